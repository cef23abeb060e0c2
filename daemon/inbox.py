"""The inbox: what lies there, what of it is a film, and whether its sender has finished.

Events are hints that a look is worth while; what counts is always a full look. A file is settled
once its size, times and inode have not changed for some seconds of *our* clock, and no process of
this machine has it open for writing.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fnmatch import translate
from pathlib import Path, PurePosixPath

import structlog
from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from daemon.config import InboxSettings, WatchMode
from daemon.files import status_if_there
from daemon.folders import filesystem_of, is_network, mounts
from daemon.jobsettings import CUES_SUFFIX, FILM_SETTINGS_SUFFIX
from daemon.names import shown

log = structlog.get_logger(__name__)

MAX_DEPTH = 32


@dataclass(frozen=True, slots=True)
class Stamp:
    """How a file looked; an equal stamp later means that it was not touched."""

    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A film in the inbox that may become a job."""

    path: Path
    relative: PurePosixPath
    stamp: Stamp
    first_seen: float  # on our monotonic clock
    has_settings: bool = False  # some settings file may speak about it


@dataclass(frozen=True, slots=True)
class Refused:
    """A thing in the inbox that looks like a film and is not a regular file."""

    path: Path
    kind: str


class Rules:
    """Which names are films, and which are never touched."""

    def __init__(self, settings: InboxSettings) -> None:
        self._ignore = re.compile("|".join(translate(one) for one in settings.ignore) or r"(?!)")
        self._suffixes = {f".{one.lstrip('.').lower()}" for one in settings.extensions}

    def ignored(self, name: str) -> bool:
        """Whether a file or folder of this name is never touched."""
        return self._ignore.match(name) is not None

    def film(self, name: str) -> bool:
        """Whether a file of this name is taken for a film."""
        return not self.ignored(name) and PurePosixPath(name).suffix.lower() in self._suffixes


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


def look(inbox: Path, rules: Rules) -> Iterator[tuple[Path, os.stat_result, bool]]:
    """Every film-like thing in the inbox: path, ``lstat``, whether settings may speak about it.

    Links are never followed. What vanishes while we look is passed over.

    Raises:
        OSError: the inbox itself cannot be read.
    """
    pending = [(inbox, 0, False)]
    while pending:
        folder, depth, inherited = pending.pop()
        try:
            with os.scandir(folder) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError as error:
            if folder == inbox or error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
                raise
            continue
        names = {entry.name for entry in entries}
        settings = inherited or FILM_SETTINGS_SUFFIX in names
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if depth < MAX_DEPTH and not rules.ignored(entry.name):
                    pending.append((Path(entry.path), depth + 1, settings))
            elif rules.film(entry.name) and (status := _status(entry)) is not None:
                own = entry.name + FILM_SETTINGS_SUFFIX in names
                yield Path(entry.path), status, settings or own


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None


def writer_has(path: Path) -> bool:
    """Whether a process of this machine has the file open for writing, as far as we can know.

    A read lease cannot be had while one does. Where leases do not exist (network filesystems) or
    are not ours to take (another user's file, without CAP_LEASE) the answer is no. A process that
    is to call this must ignore SIGIO, which would tell it that somebody wants to write.
    """
    setlease = getattr(fcntl, "F_SETLEASE", None)
    if setlease is None:
        return False
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        handle = os.open(path, flags)
    except OSError:
        return False
    try:
        fcntl.fcntl(handle, setlease, fcntl.F_RDLCK)
        fcntl.fcntl(handle, setlease, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno in (errno.EAGAIN, errno.EBUSY)
    finally:
        os.close(handle)
    return False


@dataclass(frozen=True, slots=True)
class _Sighting:
    stamp: Stamp
    first_seen: float
    since: float


class Settling:
    """Remembers how long each file has looked the same."""

    def __init__(self, settle_seconds: float) -> None:
        self.settle_seconds = settle_seconds
        self._seen: dict[Path, _Sighting] = {}

    def observe(self, path: Path, stamp: Stamp, *, now: float) -> bool:
        """Record one look at ``path``; True once it has been still for long enough."""
        last = self._seen.get(path)
        if last is None:
            last = self._seen[path] = _Sighting(stamp, now, now)
        elif last.stamp != stamp:
            last = self._seen[path] = _Sighting(stamp, last.first_seen, now)
        return now - last.since >= self.settle_seconds

    def first_seen(self, path: Path) -> float:
        """When ``path`` was first looked at."""
        return self._seen[path].first_seen

    def settles_at(self, path: Path) -> float:
        """When ``path`` is settled, if it does not change."""
        return self._seen[path].since + self.settle_seconds

    def forget(self, path: Path) -> None:
        """Remember nothing of ``path``."""
        self._seen.pop(path, None)

    def keep_only(self, paths: set[Path]) -> None:
        """Remember nothing of files that are not there any more."""
        for path in self._seen.keys() - paths:
            del self._seen[path]


class Inbox:
    """Looks into the inbox and says which films are settled."""

    def __init__(self, folder: Path, settings: InboxSettings) -> None:
        self.folder = folder
        self.filesystem = filesystem_of(folder, mounts())
        self.network = is_network(self.filesystem)
        self.events = settings.watch is WatchMode.EVENTS or (
            settings.watch is WatchMode.AUTO and not self.network
        )
        network, local = settings.settle_network_seconds, settings.settle_local_seconds
        self.settling = Settling(network if self.network else local)
        self.rescan_seconds = settings.rescan_seconds if self.events else settings.poll_seconds
        self._rules = Rules(settings)
        self._complained: set[Path] = set()
        self.waiting = 0  # films that are not settled
        self.settles_at: float | None = None  # when the first of them may be

    def scan(self, *, now: float) -> list[Candidate]:
        """The settled films, the oldest first; ``waiting`` says how many are not settled yet.

        Raises:
            OSError: the inbox cannot be read.
        """
        settled, present, refused = [], set(), set()
        for path, status, has_settings in look(self.folder, self._rules):
            if not stat.S_ISREG(status.st_mode):
                refused.add(path)
                self._complain(Refused(path, kind_of(status.st_mode)))
                continue
            present.add(path)
            settled_beside = [self._settled_beside(one, now=now) for one in _beside(path)]
            if self._settled(path, status, now=now) and all(settled_beside):
                relative = PurePosixPath(path.relative_to(self.folder))
                first = self.settling.first_seen(path)
                found = Candidate(path, relative, stamp_of(status), first)
                settled.append(replace(found, has_settings=has_settings))
        self.settling.keep_only(present | {one for path in present for one in _beside(path)})
        self._complained &= refused
        waiting = present - {one.path for one in settled}
        self.waiting = len(waiting)
        self.settles_at = min((self.settling.settles_at(one) for one in waiting), default=None)
        return sorted(settled, key=lambda one: (one.first_seen, one.stamp.mtime_ns, one.path))

    def _settled(self, path: Path, status: os.stat_result, *, now: float) -> bool:
        still = self.settling.observe(path, stamp_of(status), now=now)
        return still and (self.network or not writer_has(path))

    def _settled_beside(self, path: Path, *, now: float) -> bool:
        """Whether a file beside a film is whole, or not there."""
        status = status_if_there(path)
        if status is None or not stat.S_ISREG(status.st_mode):
            return True
        return self._settled(path, status, now=now)

    def _complain(self, refused: Refused) -> None:
        """Say once that a thing is not taken."""
        if refused.path not in self._complained:
            self._complained.add(refused.path)
            log.warning("inbox.refused", file=shown(str(refused.path)), kind=refused.kind)


def _beside(film: Path) -> tuple[Path, ...]:
    """The files that come along with a film, where there are any."""
    return film.with_name(film.name + FILM_SETTINGS_SUFFIX), film.with_suffix(CUES_SUFFIX)


class _Hint(FileSystemEventHandler):
    """Passes on that something may have changed."""

    def __init__(self, hint: Callable[[], None]) -> None:
        self._hint = hint

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Pass on all but reading, of which our own looks consist."""
        if event.event_type not in ("opened", "closed_no_write"):
            self._hint()


class Watch:
    """Events of the inbox, as long as the system grants them; without, rescans must do."""

    def __init__(self, folder: Path, hint: Callable[[], None]) -> None:
        self._folder = folder
        self._handler = _Hint(hint)
        self._observer: BaseObserver | None = None

    def start(self) -> bool:
        """Begin to pass on events; False if the system has no watches left."""
        observer = Observer()
        try:
            observer.schedule(self._handler, str(self._folder), recursive=True)
            observer.start()
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EMFILE, errno.ENOENT, errno.EACCES):
                raise
            log.warning(
                "inbox.no_events",
                reason=os.strerror(error.errno),
                remedy="raise fs.inotify.max_user_watches and max_user_instances; polling instead",
            )
            return False
        self._observer = observer
        return True

    def alive(self) -> bool:
        """Whether events still arrive, as far as one can know."""
        return self._observer is not None and self._observer.is_alive()

    def stop(self) -> None:
        """Pass on nothing more, and leave no thread behind."""
        if self._observer is not None:
            self._observer.stop()
            if self._observer.is_alive():
                self._observer.join()
            self._observer = None
