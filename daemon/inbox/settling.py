"""The inbox: what lies there, what of it is a film, and whether its sender has finished.

Events are hints that a look is worth while; what counts is always a full look. A file is settled
once its size, times and inode have not changed for some seconds of *our* clock, and no process of
this machine has it open for writing.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Collection, Hashable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import structlog

from daemon.config.locations import InboxSettings, WatchMode
from daemon.folders.checks import filesystem_of, is_network, mounts
from daemon.inbox.scanner import (
    FileSignature,
    InboxEntry,
    Rules,
    SettingsFileRef,
    SkippedEntries,
    kind_of,
    scan,
    signature_of,
)
from daemon.storage.names import shown
from erasecore.system.safe_open import open_plain

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A film in the inbox that may become a job; many thousands of them may wait."""

    inbox: Path
    name: str  # the film's path below the inbox
    signature: FileSignature
    first_seen: float  # on our monotonic clock
    settings: tuple[
        SettingsFileRef, ...
    ] = ()  # the settings files that may speak about it, the deepest last

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self.inbox / self.name

    @property
    def relative(self) -> PurePosixPath:
        """Its path below the inbox."""
        return PurePosixPath(self.name)

    @property
    def prefix(self) -> str:
        """Its folder's path below the inbox, with a slash; empty if that is the inbox itself."""
        return prefix_of(self.name)


def prefix_of(name: str) -> str:
    """The folder of a path below the inbox, with its slash; empty for the inbox itself."""
    return name[: name.rfind("/") + 1]


def writer_has(path: Path) -> bool:
    """Whether a process of this machine has the file open for writing, as far as we can know.

    A read lease cannot be had while one does. Where leases do not exist (network filesystems) or
    are not ours to take (another user's file, without CAP_LEASE) the answer is no. A process that
    is to call this must ignore SIGIO, which would tell it that somebody wants to write.
    """
    setlease = getattr(fcntl, "F_SETLEASE", None)
    if setlease is None:
        return False
    try:
        handle = open_plain(path)
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
    signature: FileSignature
    first_seen: float
    since: float


class Settling:
    """Remembers how long each file has looked the same."""

    def __init__(self, settle_seconds: float) -> None:
        self.settle_seconds = settle_seconds
        self._seen: dict[Hashable, _Sighting] = {}

    def observe(self, file: Hashable, looks: FileSignature, *, now: float) -> bool:
        """Record one look at ``file``; True once it has been still for long enough."""
        last = self._seen.get(file)
        if last is None:
            last = self._seen[file] = _Sighting(looks, now, now)
        elif last.signature != looks:
            last = self._seen[file] = _Sighting(looks, last.first_seen, now)
        return now - last.since >= self.settle_seconds

    def first_seen(self, file: Hashable) -> float:
        """When ``file`` was first looked at."""
        return self._seen[file].first_seen

    def settles_at(self, file: Hashable) -> float:
        """When ``file`` is settled, if it does not change."""
        return self._seen[file].since + self.settle_seconds

    def files(self) -> Collection[Hashable]:
        """The files that were there at the last look."""
        return self._seen.keys()

    def forget(self, file: Hashable) -> None:
        """Remember nothing of ``file``."""
        self._seen.pop(file, None)

    def keep_only(self, files: set[Hashable]) -> None:
        """Remember nothing of files that are not there any more."""
        for file in self._seen.keys() - files:
            del self._seen[file]


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
        self._complained: set[str] = set()
        self._free: dict[
            str, FileSignature
        ] = {}  # settled files that nobody had open when they looked so
        self.waiting = 0  # films that are not settled
        self.settles_at: float | None = None  # when the first of them may be
        self.closed: set[str] = set()  # folders that we may not look into, each with its slash

    def scan(self, *, now: float) -> list[Candidate]:
        """The settled films, the oldest first; ``waiting`` says how many are not settled yet.

        Raises:
            OSError: the inbox cannot be read.
        """
        settled: list[Candidate] = []
        waiting: list[str] = []
        present: set[Hashable] = set()
        odd = set()
        skipped = SkippedEntries()
        for found in scan(self.folder, self._rules, skipped):
            if not stat.S_ISREG(found.status.st_mode):
                odd.add(found.name)
                self._complain(found, "inbox.refused", kind_of(found.status.st_mode))
                continue
            if found.status.st_nlink > 1:  # it may be changed under another name
                odd.add(found.name)
                self._complain(found, "inbox.hard_link", "one name of several of the same file")
            present.add(found.name)
            present.update(name for name, _ in found.beside)
            looks = signature_of(found.status)
            if self._settled_with_companions(found, looks, now=now):
                first = self.settling.first_seen(found.name)
                settled.append(Candidate(self.folder, found.name, looks, first, found.settings))
            else:
                waiting.append(found.name)
        self.settling.keep_only(present)
        self._free = {name: looks for name, looks in self._free.items() if name in present}
        self._complained &= odd
        self.closed = skipped.closed
        self.waiting = len(waiting)
        self.settles_at = min(map(self.settling.settles_at, waiting), default=None)
        return sorted(settled, key=lambda one: (one.first_seen, one.signature.mtime_ns, one.name))

    def _settled_with_companions(
        self, found: InboxEntry, looks: FileSignature, *, now: float
    ) -> bool:
        """Whether a film is whole, and so is every file beside it that comes along."""
        whole = self._settled(found.name, looks, now=now)
        for name, status in found.beside:
            if stat.S_ISREG(status.st_mode):
                whole = self._settled(name, signature_of(status), now=now) and whole
        return whole

    def _settled(self, name: str, looks: FileSignature, *, now: float) -> bool:
        if not self.settling.observe(name, looks, now=now):
            return False
        if self.network or self._free.get(name) == looks:
            return True  # what is opened after it has settled, the claim finds out
        if writer_has(self.folder / name):
            return False
        self._free[name] = looks
        return True

    def _complain(self, found: InboxEntry, event: str, kind: str) -> None:
        """Say once that a thing is odd."""
        if found.name not in self._complained:
            self._complained.add(found.name)
            log.warning(event, file=shown(str(self.folder / found.name)), kind=kind)
