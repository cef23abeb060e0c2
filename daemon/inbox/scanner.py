"""What lies in the inbox: names that are films, and how they look. Light, for whoever only asks."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import translate
from pathlib import Path
from typing import TypeAlias

from daemon.config.locations import InboxSettings
from daemon.storage.names import CUES_SUFFIX, FILM_SETTINGS_SUFFIX, FOLDER_SETTINGS

MAX_DEPTH = 32
_WILD = re.compile(r"[*?[]")
_SKIPPED_KINDS = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ENAMETOOLONG)
"""What the system says of a thing that went while we looked, or that its sender has put out of our
reach, by rights or so deep that no path leads there: no film beside it is to wait for that."""


@dataclass(frozen=True, slots=True)
class FileSignature:
    """How a file looked; the same looks later mean that nobody has touched it."""

    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class SettingsFileRef:
    """A settings file as it was when it was looked at."""

    name: str  # its path below the inbox
    signature: FileSignature


class Rules:
    """Which names are films, and which are never touched."""

    def __init__(self, settings: InboxSettings) -> None:
        self._suffixes = {one.lstrip(".").lower() for one in settings.extensions}
        self._ignored = _matcher(settings.ignore)
        self._ignored_film = _matcher(filter(self._about_films, settings.ignore))

    def _about_films(self, pattern: str) -> bool:
        """Whether a name that ends as a film's can match; with so many names it pays to ask."""
        end = pattern.removeprefix("*").lower()
        endings = [f".{one}" for one in self._suffixes]
        either = any(end.endswith(one) or one.endswith(end) for one in endings)
        return either or _WILD.search(end) is not None

    def ignored(self, name: str) -> bool:
        """Whether a file or folder of this name is never touched."""
        return self._ignored(name) is not None

    def film(self, name: str) -> bool:
        """Whether a file of this name is taken for a film."""
        stem, _, suffix = name.rpartition(".")  # a Path for each of so many takes seconds
        return suffix.lower() in self._suffixes and stem != "" and self._ignored_film(name) is None


def _matcher(patterns: Iterable[str]) -> Callable[[str], re.Match[str] | None]:
    return re.compile("|".join(map(translate, patterns)) or r"(?!)").match


def signature_of(status: os.stat_result) -> FileSignature:
    """How a file looks."""
    return FileSignature(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


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
class InboxEntry:
    """A film-like thing in the inbox."""

    name: str  # its path below the inbox
    status: os.stat_result  # by lstat, as are the next
    beside: tuple[tuple[str, os.stat_result], ...]  # files that come along with it, as far as there
    settings: tuple[SettingsFileRef, ...]


Files: TypeAlias = dict[str, os.DirEntry[str]]
"""What lies in a folder and is no folder itself, by its name."""


class SkippedEntries:
    """What a look leaves out, since it has just gone or is out of our reach."""

    def __init__(self) -> None:
        self.closed: set[str] = set()  # folders that we may not look into, each with its slash

    def note(self, error: OSError, prefix: str) -> None:
        """Go on past what ``error`` says of a folder, or of what is in it; else raise it."""
        if error.errno not in _SKIPPED_KINDS:
            raise error
        if error.errno == errno.EACCES:
            self.closed.add(prefix)


def scan(inbox: Path, rules: Rules, skipped: SkippedEntries | None = None) -> Iterator[InboxEntry]:
    """Every film-like thing in the inbox.

    Links are never followed. Paths stay plain text here: there may be very many.

    Args:
        inbox: the inbox.
        rules: which names count.
        skipped: takes in what vanishes while we look, or is out of our reach.

    Raises:
        OSError: the inbox itself, or the share that it lies on, cannot be read.
    """
    skipped = skipped or SkippedEntries()
    for prefix, files, settings in _folders(inbox, rules, skipped):
        for name, entry in files.items():
            if not rules.film(name) or (status := _status(entry, prefix, skipped)) is None:
                continue
            companions = [files[one] for one in _beside(name) if one in files]
            beside = tuple(
                (prefix + one.name, found)
                for one in companions
                if (found := _status(one, prefix, skipped))
            )
            own = _settings_files(prefix, name + FILM_SETTINGS_SUFFIX, files, skipped)
            yield InboxEntry(prefix + name, status, beside, settings + own)


def count_films(inbox: Path, rules: Rules) -> int:
    """How many film-like things lie in the inbox, by their names alone.

    Raises:
        OSError: the inbox itself cannot be read.
    """
    folders = _folders(inbox, rules, SkippedEntries(), marks=False)
    return sum(sum(map(rules.film, files)) for _, files, _ in folders)


def _folders(
    inbox: Path, rules: Rules, skipped: SkippedEntries, *, marks: bool = True
) -> Iterator[tuple[str, Files, tuple[SettingsFileRef, ...]]]:
    """Each folder: the prefix of its names, its files, and what settings files speak about it."""
    pending: list[tuple[str, int, tuple[SettingsFileRef, ...]]] = [("", 0, ())]
    while pending:
        prefix, depth, settings = pending.pop()
        files, folders = _listed(inbox, prefix, skipped)
        if marks:
            settings = settings + _settings_files(prefix, FOLDER_SETTINGS, files, skipped)
        yield prefix, files, settings
        if depth < MAX_DEPTH:
            inner = (name for name in folders if not rules.ignored(name))
            pending += [(f"{prefix}{name}/", depth + 1, settings) for name in inner]


def _listed(inbox: Path, prefix: str, skipped: SkippedEntries) -> tuple[Files, list[str]]:
    """What lies in a folder: everything that is no folder, and the names of those that are."""
    files, folders = {}, []
    try:
        with os.scandir(inbox / prefix) as scan:
            for entry in scan:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                else:
                    files[entry.name] = entry
    except OSError as error:
        if not prefix:
            raise
        skipped.note(error, prefix)
    return files, folders


def _settings_files(
    prefix: str, name: str, files: Files, skipped: SkippedEntries
) -> tuple[SettingsFileRef, ...]:
    """How the settings file ``name`` looks, if there is one."""
    status = _status(files[name], prefix, skipped) if name in files else None
    return () if status is None else (SettingsFileRef(prefix + name, signature_of(status)),)


def _beside(film: str) -> tuple[str, str]:
    """What the files that come along with a film are called."""
    return film + FILM_SETTINGS_SUFFIX, film.rpartition(".")[0] + CUES_SUFFIX


def _status(entry: os.DirEntry[str], prefix: str, skipped: SkippedEntries) -> os.stat_result | None:
    """How a thing in the folder ``prefix`` looks, if it is there and we may know."""
    try:
        return entry.stat(follow_symlinks=False)
    except OSError as error:
        skipped.note(error, prefix)
        return None
