"""The configuration sections ``folders``, ``inbox``, ``claims``, ``status``, and their checks.

Kept apart from ``daemon.config.schema``, which has all sections, so that ``status`` imports little.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from daemon.config.config_file import TOP_KEYS, ConfigFile, read_config_file
from daemon.config.migration import SCHEMA
from daemon.config.parsing import (
    Problem,
    new_problems,
    problems_of,
    read_record,
    unknown_key,
    without_problems,
)
from daemon.storage.names import PLAIN_NAME, template_problem
from erasecore.errors import ConfigError


class WatchMode(StrEnum):
    """Method by which changes in the inbox are noticed."""

    AUTO = "auto"  # events on local filesystems, polling on network ones
    EVENTS = "events"
    POLLING = "polling"


class ReadyMode(StrEnum):
    """Sign by which a film in the inbox counts as complete."""

    SETTLED = "settled"  # it has not changed for a while
    MARKER = "marker"  # besides, film.mp4.ready lies beside film.mp4


class DuplicateMode(StrEnum):
    """Treatment of a film whose content has been done before, under another name or the same."""

    ERASE = "erase"  # as any other film
    SKIP = "skip"  # not again: its original is kept, a report names the result there is
    NUMBER = "number"  # again, with the name of the result there is and a number


class SubtitleNames(StrEnum):
    """Names of the files with the erased text."""

    LANGUAGE = "language"  # film.zh.srt, which players find
    FILM = "film"  # film.mp4.srt, as before 0.2


@dataclass(frozen=True, slots=True)
class FolderSettings:
    """Section ``folders``: the daemon's folders, and how files are published there."""

    inbox: Path = Path("/srv/subtitle-eraser/inbox")
    work: Path = Path("/srv/subtitle-eraser/work")  # on the inbox's filesystem: claims are renames
    done: Path = Path("/srv/subtitle-eraser/done")
    failed: Path = Path("/srv/subtitle-eraser/failed")
    originals: Path = Path("/srv/subtitle-eraser/originals")
    state: Path = Path("/var/lib/subtitle-eraser")  # history and verified weights; a local disk
    keep_originals: bool = True  # False: a source is deleted once its result is published
    min_free_mb: int = 500  # MiB that stay free on work and done; guess
    free_factor: float = 3.0  # free space needed to begin a film, as a multiple of its size; guess
    mode: str = ""  # permissions of published files, three octal digits; empty: by umask
    group: str = ""  # group of published files; empty: not changed
    portable_names: bool = False  # True: results get names that are valid on Windows
    subtitle_names: SubtitleNames = SubtitleNames.LANGUAGE
    result_name: str = PLAIN_NAME  # template of the names of results and of their sidecars

    @property
    def mode_bits(self) -> int | None:
        """Permission bits of published files; ``None``: those of the umask."""
        return int(self.mode, 8) if self.mode else None


@dataclass(frozen=True, slots=True)
class InboxSettings:
    """Section ``inbox``: which files are films, and when they count as complete.

    The times are guesses.
    """

    watch: WatchMode = WatchMode.AUTO
    ready: ReadyMode = ReadyMode.SETTLED
    duplicates: DuplicateMode = DuplicateMode.ERASE
    settle_local_seconds: float = 5.0  # without change before a claim, on local filesystems
    settle_network_seconds: float = 60.0  # the same on network filesystems and FUSE
    young_seconds: float = 120.0  # a truncated film unchanged for less may still be being copied
    rescan_seconds: float = 60.0  # between two full scans while events work
    poll_seconds: float = 10.0  # between two full scans where events do not work
    extensions: tuple[str, ...] = (  # of films, lower case, without the dot
        *("3g2", "3gp", "asf", "avi", "divx", "dv", "dvr-ms", "f4v", "flv", "m1v", "m2p", "m2t"),
        *("m2ts", "m2v", "m4v", "mk3d", "mkv", "mov", "mp4", "mpe", "mpeg", "mpg", "mpv", "mts"),
        *("mxf", "nut", "ogm", "ogv", "qt", "rm", "rmvb", "tod", "tp", "trp", "ts", "vob"),
        *("webm", "wmv", "wtv", "xvid"),
    )
    ignore: tuple[str, ...] = (  # shell patterns of file and folder names that are left alone
        *(".*", "~$*", "*~", "*.part", "*.partial", "*.crdownload", "*.download", "*.filepart"),
        *("*.tmp", "Thumbs.db", "desktop.ini", "@eaDir", "#recycle", "__MACOSX", "lost+found"),
    )


@dataclass(frozen=True, slots=True)
class ClaimSettings:
    """Section ``claims``: how several daemons share one inbox. The times are guesses."""

    instance: str = ""  # name of this host in ``work/``, unique among hosts; empty: its own
    heartbeat_seconds: float = 10.0  # between two heartbeats
    lease_seconds: float = 120.0  # without a heartbeat until other daemons take over the jobs


@dataclass(frozen=True, slots=True)
class StatusSettings:
    """Section ``status``: the status file that everybody on this host may read."""

    file: str = ""  # its path; empty: status.json in the runtime folder that systemd gives
    private: bool = False  # True: names of films are hidden in it


@dataclass(frozen=True, slots=True)
class Locations:
    """The configuration sections that ``status`` needs to inspect daemons from outside."""

    schema: int = SCHEMA  # version of the file's format
    folders: FolderSettings = field(default_factory=FolderSettings)
    inbox: InboxSettings = field(default_factory=InboxSettings)
    claims: ClaimSettings = field(default_factory=ClaimSettings)
    status: StatusSettings = field(default_factory=StatusSettings)


def load_locations(path: Path | None, root: Path | None = None) -> Locations:
    """Return the sections of ``Locations``; the other sections are not checked.

    Args:
        path: the configuration file; ``None``: the defaults.
        root: if given, the folders have their usual names below it, whatever the file says.

    Raises:
        ConfigError: the text names the file, each wrong key and the next step.
    """
    file = read_config_file(path)
    unknown = [unknown_key(str(key), key, TOP_KEYS) for key in file.raw if key not in TOP_KEYS]
    file = replace(file, problems=(*file.problems, *unknown))
    own = {item.name: file.raw[item.name] for item in fields(Locations) if item.name in file.raw}
    places = checked(file, Locations, own, location_problems)
    return places if root is None else replace(places, folders=folders_below(root, places.folders))


Checked = TypeVar("Checked")


def checked(
    file: ConfigFile,
    kind: type[Checked],
    raw: Mapping[str, Any],
    value_problems: Callable[[Checked], Iterable[Problem]],
) -> Checked:
    """Return the sections ``raw`` of a file as a record, if everything in them is allowed.

    Args:
        file: the file.
        kind: a dataclass whose fields are sections.
        raw: the sections that are checked.
        value_problems: yields the problems of values whose types are right.

    Raises:
        ConfigError: one line for each mistake, with file, line and key.
    """
    problems = [*file.problems, *problems_of(kind, raw)]
    record = read_record(kind, without_problems(raw, problems), error=ConfigError)
    problems += new_problems(value_problems(record), problems)
    if problems:
        raise file.error_of(problems)
    return record


def location_problems(places: Locations) -> Iterator[Problem]:
    """Yield the values of these sections that are not allowed."""
    yield from folder_problems(places.folders)
    yield from claim_problems(places.claims)
    yield from status_problems(places.status)


def folders_below(root: Path, like: FolderSettings) -> FolderSettings:
    """Return ``like`` with its six folders replaced by those of the usual names below ``root``."""
    root = root.absolute()
    return replace(
        like,
        inbox=root / "inbox",
        work=root / "work",
        done=root / "done",
        failed=root / "failed",
        originals=root / "originals",
        state=root / "state",
    )


def film_folders(folders: FolderSettings) -> dict[str, Path]:
    """Return the path of each folder that films need, by its key: all but the state folder."""
    names = ("inbox", "work", "done", "failed", "originals")
    return {name: getattr(folders, name) for name in names}


def folder_problems(folders: FolderSettings) -> Iterator[Problem]:
    """Yield folders that have a NUL character, and a ``mode`` that is neither empty nor octal.

    Octal means three digits, with or without a leading 0. The file system is not looked at.
    """
    for item in fields(folders):
        if "\0" in str(getattr(folders, item.name)):
            yield Problem(f"folders.{item.name}", "has a NUL character; write a plain path.")
    if not re.fullmatch(r"(0?[0-7]{3})?", folders.mode):
        found = f"is {folders.mode!r}"
        yield Problem("folders.mode", f'{found}, must be three octal digits, as in "0640".')
    if problem := template_problem(folders.result_name):
        yield Problem("folders.result_name", problem)


def claim_problems(claims: ClaimSettings) -> Iterator[Problem]:
    """Yield a lease of less than three heartbeats, and an ``instance`` that is no file name."""
    if claims.lease_seconds < 3 * claims.heartbeat_seconds:
        yield Problem(
            "claims.lease_seconds",
            "must be at least three times claims.heartbeat_seconds, so that one late heartbeat "
            "costs nobody a job.",
            other_keys=("claims.heartbeat_seconds",),
        )
    if claims.instance.strip(".") != claims.instance or "/" in claims.instance:
        yield Problem("claims.instance", "a plain name, without '/' or dots at its ends.")


def status_problems(status: StatusSettings) -> Iterator[Problem]:
    """Yield ``file`` unless it is empty or an absolute path."""
    if status.file and ("\0" in status.file or not status.file.startswith("/")):
        yield Problem("status.file", f"{status.file!r} must be a path that begins with '/'.")
