"""Detection of settled (stable) films: the ones that their senders have finished copying.

A file is settled once its size, times and inode have not changed for ``settle_seconds`` of our
monotonic clock, and no process of this machine has it open for writing. Only full scans of the
inbox count; file system events merely say that a scan is worth while.
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
from daemon.folders.mount_table import filesystem_of, is_network, mounts
from daemon.inbox.scanner import (
    FileSignature,
    InboxEntry,
    Rules,
    SettingsFileRef,
    SkippedEntries,
    WhyIgnored,
    kind_of,
    scan,
    signature_of,
)
from daemon.storage.below import open_below
from daemon.storage.names import MARKER_SUFFIX
from erasecore.errors import printable
from erasecore.system.safe_open import open_plain

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A settled film in the inbox that may become a job; many thousands may wait."""

    inbox: Path
    name: str  # path below the inbox
    signature: FileSignature
    first_seen: float  # seconds on our monotonic clock
    settings: tuple[SettingsFileRef, ...] = ()  # files that apply to it, the deepest folder's last
    marked: bool = False  # a marker lies beside it, which goes with it

    @property
    def path(self) -> Path:
        """Absolute path of the film."""
        return self.inbox / self.name

    @property
    def relative(self) -> PurePosixPath:
        """Path below the inbox."""
        return PurePosixPath(self.name)

    @property
    def prefix(self) -> str:
        """Path of its folder below the inbox, with a slash; empty for the inbox itself."""
        return prefix_of(self.name)


def prefix_of(name: str) -> str:
    """Return the folder of a path below the inbox, with a slash; empty for the inbox itself."""
    return name[: name.rfind("/") + 1]


def writer_has(path: Path) -> bool:
    """Return True if a process of this machine is known to have the file open for writing.

    False also if the file cannot be opened. See ``writer_has_open``.
    """
    try:
        handle = open_plain(path)
    except OSError:
        return False
    return writer_has_open(handle)


def writer_has_open(handle: int) -> bool:
    """Return True if a process of this machine has an open file open for writing; close ours.

    It tries to take a read lease (fcntl(2), F_SETLEASE), which fails while a writer has the file
    open. False also if leases are not supported (network filesystems) or not permitted (a file of
    another user, without CAP_LEASE). The calling process must ignore SIGIO, the kernel's signal
    that a lease is to be given up.
    """
    setlease = getattr(fcntl, "F_SETLEASE", None)
    try:
        if setlease is None:
            return False
        fcntl.fcntl(handle, setlease, fcntl.F_RDLCK)
        fcntl.fcntl(handle, setlease, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno in (errno.EAGAIN, errno.EBUSY)
    finally:
        os.close(handle)
    return False


@dataclass(frozen=True, slots=True)
class _Sighting:
    """The last observation of a file; times in seconds on our monotonic clock."""

    signature: FileSignature
    first_seen: float
    since: float  # when the file was first observed with this signature


class Settling:
    """Time since each file's last change, from repeated observations of its signature."""

    def __init__(self, settle_seconds: float) -> None:
        self.settle_seconds = settle_seconds
        self._sightings: dict[Hashable, _Sighting] = {}

    def reconfigure(self, settle_seconds: float) -> None:
        """Require files to be unchanged for ``settle_seconds`` from now on."""
        self.settle_seconds = settle_seconds

    def observe(self, file: Hashable, signature: FileSignature, *, now: float) -> bool:
        """Record one observation of ``file``.

        Returns:
            True if its signature has not changed for ``settle_seconds``.
        """
        last = self._sightings.get(file)
        if last is None:
            last = self._sightings[file] = _Sighting(signature, now, now)
        elif last.signature != signature:
            last = self._sightings[file] = _Sighting(signature, last.first_seen, now)
        return now - last.since >= self.settle_seconds

    def first_seen(self, file: Hashable) -> float:
        """Return the time of the first observation of ``file``."""
        return self._sightings[file].first_seen

    def settles_at(self, file: Hashable) -> float:
        """Return the time at which ``file`` is settled, if it does not change."""
        return self._sightings[file].since + self.settle_seconds

    def files(self) -> Collection[Hashable]:
        """Return the files that were present at the last scan."""
        return self._sightings.keys()

    def forget(self, file: Hashable) -> None:
        """Remove the observation of ``file``, if any."""
        self._sightings.pop(file, None)

    def keep_only(self, files: set[Hashable]) -> None:
        """Remove the observations of all other files: they are no longer present."""
        for file in self._sightings.keys() - files:
            del self._sightings[file]


def _has_marker(entry: InboxEntry) -> bool:
    """Return True if the marker of a film lies beside it, as a regular file."""
    marker = entry.name + MARKER_SUFFIX
    return any(name == marker and stat.S_ISREG(status.st_mode) for name, status in entry.beside)


class Inbox:
    """Scans of the inbox, and the settled films that the last one found."""

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
        self._warned: set[str] = set()  # names that a warning was logged for
        # Settled files that can be read and no writer had open, with their signature then.
        self._without_writer: dict[str, FileSignature] = {}
        self.waiting = 0  # number of films that are not settled yet
        self.settles_at: float | None = None  # earliest time at which one of them may be
        self.skipped = SkippedEntries()  # of the last scan

    def fall_back_to_polling(self, settings: InboxSettings) -> None:
        """Rescan every ``poll_seconds``: no file system events can be had after all."""
        self.rescan_seconds = settings.poll_seconds

    def scan(self, *, now: float) -> list[Candidate]:
        """Scan the inbox; update ``waiting``, ``settles_at`` and ``skipped``.

        Returns:
            The settled films, the one that was seen first coming first.

        Raises:
            OSError: the inbox cannot be read.
        """
        settled: list[Candidate] = []
        waiting: list[str] = []
        present: set[Hashable] = set()
        unusual = set()
        self.skipped = SkippedEntries()
        for entry in scan(self.folder, self._rules, self.skipped):
            if not stat.S_ISREG(entry.status.st_mode):
                unusual.add(entry.name)
                self.skipped.ignore(WhyIgnored.KIND, entry.name)
                self._warn_once(entry, "inbox.refused", kind_of(entry.status.st_mode))
                continue
            if entry.status.st_nlink > 1:  # it may be changed under another name
                unusual.add(entry.name)
                self._warn_once(entry, "inbox.hard_link", "one name of several of the same file")
            present.add(entry.name)
            present.update(name for name, _ in entry.beside)
            is_settled = self._settled_with_companions(entry, now=now)
            if self._rules.marker and not _has_marker(entry):
                self.skipped.ignore(WhyIgnored.MARKER, entry.name)
            elif not is_settled:
                waiting.append(entry.name)
            elif entry.name not in self.skipped.unreadable:
                settled.append(self._candidate(entry))
        self.settling.keep_only(present)
        for name in self._without_writer.keys() - present:
            del self._without_writer[name]
        self._warned &= unusual
        self.waiting = len(waiting)
        self.settles_at = min(map(self.settling.settles_at, waiting), default=None)
        settled.sort(key=lambda film: (film.first_seen, film.signature.mtime_ns, film.name))
        return settled

    def _candidate(self, entry: InboxEntry) -> Candidate:
        return Candidate(
            inbox=self.folder,
            name=entry.name,
            signature=signature_of(entry.status),
            first_seen=self.settling.first_seen(entry.name),
            settings=entry.settings,
            marked=self._rules.marker,
        )

    def _settled_with_companions(self, entry: InboxEntry, *, now: float) -> bool:
        """Return True if a film and all its companions are settled; observe each of them."""
        settled = self._settled(entry.name, signature_of(entry.status), now=now)
        for name, status in entry.beside:
            if stat.S_ISREG(status.st_mode):
                settled = self._settled(name, signature_of(status), now=now) and settled
                self.skipped.unreadable.discard(name)  # it does not hold up its film
        return settled

    def _settled(self, name: str, signature: FileSignature, *, now: float) -> bool:
        """Observe a file; return True if it is settled and no local writer has it open.

        A file that cannot be read for lack of permission is noted as unreadable. Neither test is
        repeated while the signature stays the same: the claim tests again after its rename.
        """
        if not self.settling.observe(name, signature, now=now):
            return False
        if self._without_writer.get(name) == signature:
            return True
        try:
            handle = open_below(self.folder, PurePosixPath(name))
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM):
                self.skipped.unreadable.add(name)
            return True
        if self.network:  # no leases there, or they fail for other reasons than a writer
            os.close(handle)
        elif writer_has_open(handle):
            return False
        self._without_writer[name] = signature
        return True

    def _warn_once(self, entry: InboxEntry, event: str, kind: str) -> None:
        """Log a warning about an entry, unless one was logged for it before."""
        if entry.name not in self._warned:
            self._warned.add(entry.name)
            log.warning(event, file=printable(str(self.folder / entry.name)), kind=kind)
