"""The configuration sections ``folders``, ``inbox`` and ``claims``, and their checks.

Kept apart from ``daemon.config.schema``, which has all sections, so that ``status`` imports little.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from daemon.config.parsing import read_record, read_yaml
from erasecore.errors import ConfigError

SECTIONS = (
    *("folders", "inbox", "worker", "retry", "claims", "schedule", "models", "log", "status"),
    "erase",
)
"""Sections of the configuration file: the fields of ``daemon.config.schema.Config``."""


class WatchMode(StrEnum):
    """Method by which changes in the inbox are noticed."""

    AUTO = "auto"  # events on local filesystems, polling on network ones
    EVENTS = "events"
    POLLING = "polling"


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
    settle_local_seconds: float = 5.0  # without change before a claim, on local filesystems
    settle_network_seconds: float = 60.0  # the same on network filesystems and FUSE
    young_seconds: float = 120.0  # a truncated film unchanged for less may still be being copied
    rescan_seconds: float = 60.0  # between two full scans while events work
    poll_seconds: float = 10.0  # between two full scans where events do not work
    extensions: tuple[str, ...] = (  # of films, lower case, without the dot
        *("3gp", "avi", "flv", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "mxf"),
        *("ogv", "ts", "vob", "webm", "wmv"),
    )
    ignore: tuple[str, ...] = (  # shell patterns of file and folder names that are left alone
        *(".*", "~$*", "*~", "*.part", "*.partial", "*.crdownload", "*.download", "*.filepart"),
        *("*.tmp", "Thumbs.db", "desktop.ini", "@eaDir", "#recycle", "__MACOSX", "lost+found"),
    )


@dataclass(frozen=True, slots=True)
class ClaimSettings:
    """Section ``claims``: how several daemons share one inbox. The times are guesses."""

    instance: str = ""  # name of this daemon, unique among hosts; empty: the host's name
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
        ConfigError: the text names the file, the key and the next step.
    """
    raw = read_sections(path)
    with naming(path):
        if unknown := sorted(raw.keys() - set(SECTIONS), key=str):
            known = ", ".join(sorted(SECTIONS))
            raise ConfigError(f"{unknown[0]}: no such key; known keys: {known}.")
        own_sections = {item.name: raw[item.name] for item in fields(Locations) if item.name in raw}
        places = read_record(Locations, own_sections, error=ConfigError)
        if root is not None:
            places = replace(places, folders=folders_below(root, places.folders))
        check_folders(places.folders)
        check_claims(places.claims)
        check_status(places.status)
    return places


def read_sections(path: Path | None) -> dict[str, Any]:
    """Return the configuration file as a mapping, not yet checked; empty if ``path`` is ``None``.

    Raises:
        ConfigError: the file cannot be read; the text names it and the next step.
    """
    if path is None:
        return {}
    try:
        return read_yaml(path, error=ConfigError)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); mend its disk.") from error


@contextmanager
def naming(path: Path | None) -> Iterator[None]:
    """Put ``path`` in front of the text of any ``ConfigError`` of the block; ``None``: do not."""
    try:
        yield
    except ConfigError as error:
        if path is None:
            raise
        raise ConfigError(f"{path}: {error}") from error


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


def check_folders(folders: FolderSettings) -> None:
    """Raise if a folder has a NUL character, or if ``mode`` is neither empty nor octal.

    Octal means three digits, with or without a leading 0. The file system is not looked at.

    Raises:
        ConfigError: the text names the key.
    """
    for item in fields(folders):
        if "\0" in str(getattr(folders, item.name)):
            raise ConfigError(f"folders.{item.name}: has a NUL character; write a plain path.")
    if not re.fullmatch(r"(0?[0-7]{3})?", folders.mode):
        raise ConfigError(
            f'folders.mode: is {folders.mode!r}, must be three octal digits, as in "0640".'
        )


def check_claims(claims: ClaimSettings) -> None:
    """Raise unless a lease spans three heartbeats and ``instance`` can be part of a file name.

    Raises:
        ConfigError: the text names the key.
    """
    if claims.lease_seconds < 3 * claims.heartbeat_seconds:
        raise ConfigError(
            "claims.lease_seconds: must be at least three times claims.heartbeat_seconds, "
            "so that one late heartbeat costs nobody a job."
        )
    if claims.instance.strip(".") != claims.instance or "/" in claims.instance:
        raise ConfigError("claims.instance: a plain name, without '/' or dots at its ends.")


def check_status(status: StatusSettings) -> None:
    """Raise unless ``file`` is empty or an absolute path.

    Raises:
        ConfigError: the text names the key.
    """
    if status.file and ("\0" in status.file or not status.file.startswith("/")):
        raise ConfigError(f"status.file: {status.file!r} must be a path that begins with '/'.")
