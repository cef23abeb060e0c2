"""Directory scan of the inbox: entries whose names are films, with their file signatures.

It imports little, so that commands that only count films start fast.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import translate
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from daemon.config.locations import InboxSettings, ReadyMode
from daemon.storage.below import GONE_ERRNOS, MAX_PATH_BYTES, folder_below
from daemon.storage.names import (
    CUES_SUFFIX,
    FILM_SETTINGS_SUFFIX,
    FOLDER_SETTINGS,
    MARKER_SUFFIX,
    PLAN_SUFFIX,
    SHEET_SUFFIX,
    TRIAL_PREFIX,
    TRIAL_SUFFIX,
)

MAX_EXAMPLES = 3
"""Names of ignored entries that are kept for the status, per reason; guess."""
_GLOB_CHARACTERS = re.compile(r"[*?[]")
_MAX_NAME_BYTES = 1024
"""Upper limit of a file name's length, in bytes: 255 characters on some FUSE filesystems. Only
where less room is left in a path are names measured, to save time."""


@dataclass(frozen=True, slots=True)
class FileSignature:
    """Size, times and inode of a file; equal signatures mean that the file was not changed."""

    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class SettingsFileRef:
    """A settings file as the scan found it."""

    name: str  # its path below the inbox
    signature: FileSignature


class Rules:
    """Filter by file name: film extensions and ignored glob patterns of the configuration."""

    def __init__(self, settings: InboxSettings) -> None:
        self.marker = settings.ready is ReadyMode.MARKER  # films without a marker are not taken
        self.suffixes = {suffix.lstrip(".").lower() for suffix in settings.extensions}
        self._ignored = _matcher(settings.ignore)
        self._ignored_film = _matcher(filter(self._may_match_film, settings.ignore))

    def _may_match_film(self, pattern: str) -> bool:
        """Return True if the glob ``pattern`` may match a name with a film's extension.

        Patterns that cannot are left out when films are matched, to save time.
        """
        end = pattern.removeprefix("*").lower()
        endings = [f".{suffix}" for suffix in self.suffixes]
        overlaps = any(end.endswith(ending) or ending.endswith(end) for ending in endings)
        return overlaps or _GLOB_CHARACTERS.search(end) is not None

    def ignored(self, name: str) -> bool:
        """Return True if the name of a file or folder matches an ignored pattern."""
        return self._ignored(name) is not None

    def film(self, name: str) -> bool:
        """Return True if a file of this name is a film, by its extension, and not ignored."""
        # Not PurePath.suffix: that takes seconds for the names of a huge inbox.
        stem, _, suffix = name.rpartition(".")
        return suffix.lower() in self.suffixes and stem != "" and self._ignored_film(name) is None


def _matcher(patterns: Iterable[str]) -> Callable[[str], re.Match[str] | None]:
    """Return a function that matches a whole name against any of the glob ``patterns``."""
    return re.compile("|".join(map(translate, patterns)) or r"(?!)").match


def signature_of(status: os.stat_result) -> FileSignature:
    """Return the signature of a file with this ``stat`` result."""
    return FileSignature(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def kind_of(mode: int) -> str:
    """Return the name of a file type other than regular, e.g. "a symbolic link".

    Args:
        mode: ``st_mode`` of the file.
    """
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
    """An entry of the inbox whose name is a film's; not necessarily a regular file."""

    name: str  # path below the inbox
    status: os.stat_result  # of lstat
    # Its companions that exist: path below the inbox, and result of lstat.
    beside: tuple[tuple[str, os.stat_result], ...]
    settings: tuple[SettingsFileRef, ...]  # settings files that apply to it, the deepest last


Files: TypeAlias = dict[str, os.DirEntry[str]]
"""The entries of one folder that are not folders, by name."""


class WhyIgnored(StrEnum):
    """Reason why an entry of the inbox is not taken for a film."""

    EXTENSION = "extension"  # its extension is not in ``inbox.extensions``
    PATTERN = "pattern"  # its name matches a pattern of ``inbox.ignore``
    MARKER = "marker"  # it is a film whose marker is not there, see ``inbox.ready``
    KIND = "kind"  # it has a film's name, but is a link, a folder, a pipe or a device


@dataclass(frozen=True, slots=True)
class Ignored:
    """Entries of the inbox that are ignored for one reason."""

    reason: WhyIgnored
    count: int
    examples: tuple[str, ...]  # paths below the inbox, at most ``MAX_EXAMPLES``


_OWN_SUFFIXES = (FILM_SETTINGS_SUFFIX, PLAN_SUFFIX, SHEET_SUFFIX)
"""Ends of the names of files that belong to films and do not count as ignored."""


class SkippedEntries:
    """Entries that one scan passed over: ignored ones, and errors that do not end the scan."""

    def __init__(self) -> None:
        self.closed: set[str] = set()  # paths, with a slash, of folders without read permission
        self.too_deep: set[str] = set()  # the same of folders with entries whose path is too long
        self.unreadable: set[str] = set()  # paths of settled files without read permission
        self.failed: dict[str, OSError] = {}  # error by path of an entry that cannot be examined
        self.trials: list[str] = []  # paths of trial files, ours or of another daemon
        self._ignored: dict[WhyIgnored, Ignored] = {}

    def ignore(self, reason: WhyIgnored, name: str) -> None:
        """Count an entry, by its path below the inbox, as ignored for ``reason``."""
        known = self._ignored.get(reason, Ignored(reason, 0, ()))
        examples = (*known.examples, name)[:MAX_EXAMPLES]
        self._ignored[reason] = Ignored(reason, known.count + 1, examples)

    def ignored(self) -> tuple[Ignored, ...]:
        """Return the ignored entries, one record per reason."""
        return tuple(self._ignored.values())

    def ignore_others(
        self, prefix: str, others: Iterable[str], files: Collection[str], rules: Rules
    ) -> None:
        """Count the files of one folder that are no films; settings, cues and plans do not count.

        Args:
            prefix: path of the folder below the inbox, with a slash.
            others: names of its files that are no films.
            files: names of all its files.
            rules: filter of names.
        """
        for name in others:
            if name.startswith(TRIAL_PREFIX) and name.endswith(TRIAL_SUFFIX):
                self.trials.append(prefix + name)
            elif not name.endswith(_OWN_SUFFIXES) and not _is_companion(name, files, rules):
                pattern = rules.ignored(name)
                self.ignore(WhyIgnored.PATTERN if pattern else WhyIgnored.EXTENSION, prefix + name)

    def note(self, error: OSError, prefix: str, name: str = "") -> None:
        """Record an error of the entry ``name`` of the folder ``prefix``, or of the folder itself.

        An entry that vanished during the scan is forgotten. The films beside the others are not
        held up by them.
        """
        if error.errno == errno.ENOENT:
            return
        if error.errno == errno.EACCES and prefix:
            self.closed.add(prefix)
        else:
            self.failed[prefix + name] = error


def scan(inbox: Path, rules: Rules, skipped: SkippedEntries | None = None) -> Iterator[InboxEntry]:
    """Yield every entry of the inbox and its subfolders whose name is a film's.

    Symbolic links are not followed, not even one that takes a folder's place during the scan.
    Folders may be nested as deep as a path can lead. Paths are plain strings, for speed: there may
    be very many.

    Args:
        inbox: root of the scan.
        rules: filter of names.
        skipped: records the entries that could not be read.

    Raises:
        OSError: the inbox itself cannot be read.
    """
    skipped = skipped or SkippedEntries()
    for prefix, files, settings in _folders(inbox, rules, skipped):
        others = []
        for name, entry in files.items():
            if not rules.film(name):
                others.append(name)
                continue
            if (status := _status(entry, prefix, skipped)) is None:
                continue
            names = _companion_names(name, rules)
            companions = [files[other] for other in names if other in files]
            beside = tuple(
                (prefix + companion.name, companion_status)
                for companion in companions
                if (companion_status := _status(companion, prefix, skipped))
            )
            if any(prefix + other in skipped.failed for other in names):
                continue  # without its settings or cues the film must not be taken
            own_settings = _settings_ref(prefix, name + FILM_SETTINGS_SUFFIX, files, skipped)
            yield InboxEntry(prefix + name, status, beside, settings + own_settings)
        skipped.ignore_others(prefix, others, files, rules)


def count_films(inbox: Path, rules: Rules) -> int:
    """Return the number of entries of the inbox whose name is a film's.

    Raises:
        OSError: the inbox itself cannot be read.
    """
    folders = _folders(inbox, rules, SkippedEntries(), with_settings=False)
    return sum(sum(map(rules.film, files)) for _, files, _ in folders)


def _folders(
    inbox: Path, rules: Rules, skipped: SkippedEntries, *, with_settings: bool = True
) -> Iterator[tuple[str, Files, tuple[SettingsFileRef, ...]]]:
    """Yield each folder: its path with a slash, its files, the settings files that apply to it.

    The path is relative to the inbox, and empty for the inbox itself. Settings files are those of
    the folder and of the folders above it, the deepest last.
    """
    pending: list[tuple[str, tuple[SettingsFileRef, ...]]] = [("", ())]
    while pending:
        prefix, settings = pending.pop()
        with _opened(inbox, prefix, skipped) as handle:
            if handle is None:
                continue
            files, folders = _list_folder(handle, inbox, prefix, skipped)
            if with_settings:
                settings = settings + _settings_ref(prefix, FOLDER_SETTINGS, files, skipped)
            yield prefix, files, settings  # the entries can be examined while the handle is open
        subfolders = (name for name in folders if not rules.ignored(name))
        pending += [(f"{prefix}{name}/", settings) for name in subfolders]


@contextmanager
def _opened(inbox: Path, prefix: str, skipped: SkippedEntries) -> Iterator[int | None]:
    """Open the folder ``prefix`` and yield its handle; None if it has to be skipped.

    Raises:
        OSError: the inbox itself (empty ``prefix``) cannot be read.
    """
    with ExitStack() as stack:
        try:
            handle = stack.enter_context(folder_below(inbox, PurePosixPath(prefix)))
        except OSError as error:
            if not prefix:
                raise
            if error.errno not in GONE_ERRNOS:  # else it became a link during the scan
                skipped.note(error, prefix)
            handle = None
        yield handle


def _list_folder(
    handle: int, inbox: Path, prefix: str, skipped: SkippedEntries
) -> tuple[Files, list[str]]:
    """Return the entries of an open folder that are not folders, and the names of its subfolders.

    Entries whose absolute path would be too long for the system are left out.

    Raises:
        OSError: the inbox itself (empty ``prefix``) cannot be read.
    """
    files, folders = {}, []
    room_bytes = MAX_PATH_BYTES - len(os.fsencode(f"{inbox}/{prefix}"))
    measured = room_bytes < _MAX_NAME_BYTES
    try:
        with os.scandir(handle) as entries:
            for entry in entries:
                if measured and len(os.fsencode(entry.name)) > room_bytes:
                    skipped.too_deep.add(prefix)
                elif _is_folder(entry, prefix, skipped):
                    folders.append(entry.name)
                elif prefix + entry.name not in skipped.failed:
                    files[entry.name] = entry
    except OSError as error:
        if not prefix:
            raise
        skipped.note(error, prefix)
    return files, folders


def _is_folder(entry: os.DirEntry[str], prefix: str, skipped: SkippedEntries) -> bool:
    """Return True if an entry is a folder; False as well if that cannot be found out."""
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError as error:
        skipped.note(error, prefix, entry.name)
        return False


def _settings_ref(
    prefix: str, name: str, files: Files, skipped: SkippedEntries
) -> tuple[SettingsFileRef, ...]:
    """Return a reference to the settings file ``name`` of a folder; empty if there is none."""
    status = _status(files[name], prefix, skipped) if name in files else None
    return () if status is None else (SettingsFileRef(prefix + name, signature_of(status)),)


def _companion_names(film: str, rules: Rules) -> tuple[str, ...]:
    """Return the names of the companions (sidecars) that a film may have.

    They are its settings, subtitles and plan, and its marker if films are to have one.
    """
    cues = film.rpartition(".")[0] + CUES_SUFFIX
    names = film + FILM_SETTINGS_SUFFIX, cues, film + PLAN_SUFFIX
    return (*names, film + MARKER_SUFFIX) if rules.marker else names


def _is_companion(name: str, files: Collection[str], rules: Rules) -> bool:
    """Return True if ``name`` is the subtitle file or the marker of a film in the same folder."""
    if rules.marker and name.endswith(MARKER_SUFFIX):
        return name.removesuffix(MARKER_SUFFIX) in files
    stem = name.removesuffix(CUES_SUFFIX)
    return stem != name and any(f"{stem}.{suffix}" in files for suffix in rules.suffixes)


def _status(entry: os.DirEntry[str], prefix: str, skipped: SkippedEntries) -> os.stat_result | None:
    """Return ``lstat`` of an entry of the folder ``prefix``; None if it has to be skipped."""
    try:
        return entry.stat(follow_symlinks=False)
    except OSError as error:
        skipped.note(error, prefix, entry.name)
        return None
