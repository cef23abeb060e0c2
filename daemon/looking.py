"""What lies in the inbox: names that are films, and how they look. Light, for whoever only asks."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import translate
from pathlib import Path
from typing import TypeAlias

from daemon.config import InboxSettings
from daemon.jobsettings import CUES_SUFFIX, FILM_SETTINGS_SUFFIX, FOLDER_SETTINGS

MAX_DEPTH = 32


@dataclass(frozen=True, slots=True)
class Stamp:
    """How a file looked; an equal stamp later means that it was not touched."""

    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class Mark:
    """A settings file as it was when it was looked at."""

    name: str  # its path below the inbox
    stamp: Stamp


class Rules:
    """Which names are films, and which are never touched."""

    def __init__(self, settings: InboxSettings) -> None:
        self._ignore = re.compile("|".join(translate(one) for one in settings.ignore) or r"(?!)")
        self._suffixes = {one.lstrip(".").lower() for one in settings.extensions}

    def ignored(self, name: str) -> bool:
        """Whether a file or folder of this name is never touched."""
        return self._ignore.match(name) is not None

    def film(self, name: str) -> bool:
        """Whether a file of this name is taken for a film."""
        stem, _, suffix = name.rpartition(".")  # a Path for each of so many takes seconds
        return stem != "" and suffix.lower() in self._suffixes and not self.ignored(name)


def stamp_of(status: os.stat_result) -> Stamp:
    """How a file looks."""
    return Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def kind_of(mode: int) -> str:
    """What a thing that is not a regular file is, for a sentence."""
    kinds = (
        (stat.S_ISLNK, "a symbolic link"),
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISBLK, "a device"),
        (stat.S_ISCHR, "a device"),
    )
    return next((kind for test, kind in kinds if test(mode)), "not a regular file")


@dataclass(frozen=True, slots=True)
class Found:
    """A film-like thing in the inbox."""

    name: str  # its path below the inbox
    status: os.stat_result  # by lstat, as are the next
    beside: tuple[tuple[str, os.stat_result], ...]  # files that come along with it, as far as there
    settings: tuple[Mark, ...]


Entries: TypeAlias = dict[str, os.DirEntry[str]]


def look(inbox: Path, rules: Rules) -> Iterator[Found]:
    """Every film-like thing in the inbox.

    Links are never followed. What vanishes while we look is passed over. Paths stay plain text
    here: there may be very many.

    Raises:
        OSError: the inbox itself cannot be read.
    """
    for prefix, entries, settings in _folders(inbox, rules):
        for name, entry in entries.items():
            if not rules.film(name) or entry.is_dir(follow_symlinks=False):
                continue
            if (status := _status(entry)) is None:
                continue
            companions = [entries[one] for one in _beside(name) if one in entries]
            beside = tuple(
                (prefix + one.name, found) for one in companions if (found := _status(one))
            )
            own = _marks(prefix, name + FILM_SETTINGS_SUFFIX, entries)
            yield Found(prefix + name, status, beside, settings + own)


def count_films(inbox: Path, rules: Rules) -> int:
    """How many film-like things lie in the inbox, by their names alone.

    Raises:
        OSError: the inbox itself cannot be read.
    """
    return sum(
        rules.film(name) and not entry.is_dir(follow_symlinks=False)
        for _, entries, _ in _folders(inbox, rules, marks=False)
        for name, entry in entries.items()
    )


def _folders(
    inbox: Path, rules: Rules, *, marks: bool = True
) -> Iterator[tuple[str, Entries, tuple[Mark, ...]]]:
    """Each folder: the prefix of its names, its entries, and what settings files speak about it."""
    pending: list[tuple[str, int, tuple[Mark, ...]]] = [("", 0, ())]
    while pending:
        prefix, depth, settings = pending.pop()
        entries = _entries(inbox, prefix)
        if marks:
            settings = settings + _marks(prefix, FOLDER_SETTINGS, entries)
        yield prefix, entries, settings
        if depth < MAX_DEPTH:
            pending += [
                (f"{prefix}{name}/", depth + 1, settings)
                for name, entry in entries.items()
                if entry.is_dir(follow_symlinks=False) and not rules.ignored(name)
            ]


def _entries(inbox: Path, prefix: str) -> Entries:
    try:
        with os.scandir(inbox / prefix) as scan:
            return {entry.name: entry for entry in scan}
    except OSError as error:
        if not prefix or error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
            raise
        return {}


def _marks(prefix: str, name: str, entries: Entries) -> tuple[Mark, ...]:
    """How the settings file ``name`` looks, if there is one."""
    status = _status(entries[name]) if name in entries else None
    return () if status is None else (Mark(prefix + name, stamp_of(status)),)


def _beside(film: str) -> tuple[str, str]:
    """What the files that come along with a film are called."""
    return film + FILM_SETTINGS_SUFFIX, film.rpartition(".")[0] + CUES_SUFFIX


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
