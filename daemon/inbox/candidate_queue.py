"""Schedule of inbox scans, and the queue of the settled films that they found."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath

from daemon.config.film_settings import resolve_settings
from daemon.config.schema import Config
from daemon.config.yaml_files import MAX_YAML_BYTES
from daemon.inbox.blocked_paths import BlockedPaths, failed_sentence
from daemon.inbox.scanner import SettingsFileRef
from daemon.inbox.settling import Candidate, Inbox
from daemon.inbox.watcher import InboxWatcher
from daemon.runtime.wakeup import Wakeup
from daemon.storage.below import folder_below, read_in
from daemon.storage.names import FILM_SETTINGS_SUFFIX
from erasecore.errors import BadSidecar, ClaimRefused
from erasecore.settings import EraseSettings

HINT_SECONDS = 0.5
"""Least pause between two scans, in seconds: file system events come in bursts (guess)."""
PAUSE_PER_SCAN = 4.0
"""Least pause after a scan, as a multiple of the time that it took. While things happen in a huge
inbox, or one that answers slowly, scans take at most a fifth of the loop's time."""
RESCAN_PER_SCAN = 150.0
"""Least interval of scans without an event, as a multiple of the processor time that one took.
While nothing happens, scans take less than a hundredth of a core. The time on the clock does not
count: one scan that waits for a busy machine or share must not put off the next by minutes."""
FAILED_SCAN_SECONDS = 1.0
"""Interval of scans after one that has failed, wholly or for an entry, in seconds. It doubles with
each further one, up to the interval of scans without an event. Guess."""
MAX_DOUBLINGS = 20
"""Upper limit of the doublings of ``FAILED_SCAN_SECONDS``: more than any interval is long."""
SETTLE_MARGIN_SECONDS = 0.01
"""Delay of a scan after the time at which the first film may be settled, in seconds (guess)."""


class CandidateQueue:
    """Queue of the settled films of the inbox, kept up to date by events and periodic scans."""

    def __init__(self, config: Config, wake: Wakeup, blocked: BlockedPaths) -> None:
        self._wake = wake
        self._blocked = blocked
        self._open(config)

    def reconfigure(self, config: Config) -> None:
        """Use another configuration, and watch and scan the inbox as if for the first time.

        Also called with the same configuration after the inbox was mounted again: a watch from
        before gets no events.
        """
        self.stop()
        self._open(config)

    def _open(self, config: Config) -> None:
        self._pause_seconds = config.retry.pause_seconds
        self.held = 0  # number of settled films that are blocked or unreadable now
        self.inbox = Inbox(config.folders.inbox, config.inbox)
        self._watch = InboxWatcher(config.folders.inbox, self._wake.hint)
        self._priorities = Priorities(config.folders.inbox, config.erase)
        self.candidates: deque[Candidate] = deque()
        # On our monotonic clock: next scan without an event, and after one; time of the last scan.
        self._scan_at = self._hinted_scan_at = self._scanned_at = float("-inf")
        self._failed_scans = 0  # in a row
        if self.inbox.events and not self._watch.start():
            self.inbox.fall_back_to_polling(config.inbox)

    @property
    def watching(self) -> str:
        """Kind of watch for the log: "events" or "polling"."""
        return "events" if self._watch.alive() else "polling"

    @property
    def settle_seconds(self) -> float:
        """Seconds for which a file must not change to be settled."""
        return self.inbox.settling.settle_seconds

    def scan_if_due(self, clock: Callable[[], float], processor: Callable[[], float]) -> bool:
        """Scan the inbox if the next scan is due; then restart a watch that has ended.

        Args:
            clock: our monotonic clock, in seconds.
            processor: processor time of this thread, in seconds.

        Returns:
            True if it was scanned.

        Raises:
            OSError: the inbox cannot be read; ``candidates`` is empty then.
        """
        now = clock()
        if now < self.next_scan_at():
            return False
        self._wake.clear_hint()
        self.candidates.clear()
        self._scanned_at = now
        self._failed_scans += 1
        self._schedule(now, now, busy_seconds=0.0)  # in case that the scan raises
        begun = processor()
        settled = self.inbox.scan(now=now)
        if not self.inbox.skipped.failed:
            self._failed_scans = 0
        self.candidates.extend(self._priorities.sort(self._without_blocked(settled, now)))
        self._schedule(now, clock(), busy_seconds=processor() - begun)
        if self.inbox.events and not self._watch.alive():
            self._watch.stop()
            self._watch.start()
        return True

    def _without_blocked(self, settled: list[Candidate], now: float) -> list[Candidate]:
        """Return the settled films that are not blocked; count all others in ``held``."""
        inbox, pause_seconds = self.inbox.folder, self._pause_seconds
        self._blocked.keep_only(self.inbox.settling.files())
        skipped = self.inbox.skipped
        self._blocked.see_skipped(skipped, inbox, now=now, pause_seconds=pause_seconds)
        with suppress(OSError):  # the list is kept as it was, and shortened later
            self._blocked.left.keep_only(self.inbox.settling.files())
        settled = self._blocked.left.without_left(settled)
        free = self._blocked.free(settled, now=now)
        self.held = len(settled) - len(free) + len(skipped.unreadable) + len(skipped.failed)
        return free

    def find(self, name: str) -> Candidate | None:
        """Return the settled film ``name`` of the inbox, left alone or not; None: there is none."""
        if name in self._blocked.left.waiting:
            return self._blocked.left.waiting[name]
        return next((film for film in self.candidates if film.name == name), None)

    def blocked(self) -> dict[str, str]:
        """Return why films or folders stay in the inbox, by path below it."""
        failed = self.inbox.skipped.failed.items()
        examined = {
            name: failed_sentence(self.inbox.folder / name, error) for name, error in failed
        }
        return examined | self._blocked.sentences()

    def _schedule(self, began: float, ended: float, *, busy_seconds: float) -> None:
        """Set the times of the next scan, after one that lasted from ``began`` to ``ended``.

        Args:
            began: monotonic time in seconds.
            ended: the same.
            busy_seconds: processor time that the scan took.
        """
        self._hinted_scan_at = ended + max(HINT_SECONDS, PAUSE_PER_SCAN * (ended - began))
        rescan_at = began + max(self.inbox.rescan_seconds, RESCAN_PER_SCAN * busy_seconds)
        self._scan_at = max(rescan_at, self._hinted_scan_at)
        if self.inbox.settles_at is not None:
            # As soon as a film may be settled. If its time has passed, a writer has it open and
            # may close it any moment: then at the rate of hinted scans.
            settles_at = self.inbox.settles_at + SETTLE_MARGIN_SECONDS
            self._scan_at = min(self._scan_at, max(settles_at, self._hinted_scan_at))
        if self._failed_scans:
            doublings = min(self._failed_scans - 1, MAX_DOUBLINGS)
            retry_at = began + FAILED_SCAN_SECONDS * 2.0**doublings
            self._scan_at = min(self._scan_at, max(retry_at, self._hinted_scan_at))
        self._scan_at = min(self._scan_at, self._blocked.until(now=ended))

    def next_scan_at(self) -> float:
        """Return the time at which ``scan_if_due`` will scan, if no further event comes."""
        return min(self._hinted_scan_at, self._scan_at) if self._wake.hinted else self._scan_at

    def empty(self) -> bool:
        """Return True if the last scan is current and found no film, settled or not.

        Blocked films do not count: see ``held``.
        """
        current = self._scanned_at > float("-inf") and not self._wake.hinted
        return current and not self.candidates and not self.inbox.waiting

    def best(self) -> Candidate | None:
        """Return the film that goes next: the oldest of those with the highest priority."""
        return self.candidates[0] if self.candidates else None

    def priority(self, candidate: Candidate) -> int:
        """Return a film's priority, by its settings files, else by the configuration."""
        return self._priorities.priority_of(candidate)

    def take(self, candidate: Candidate) -> None:
        """Remove ``candidate`` from the queue, because it is about to be claimed, or left alone."""
        self._blocked.left.waiting.pop(candidate.name, None)
        with suppress(ValueError):  # it was left alone
            self.candidates.remove(candidate)

    def taken(self, candidate: Candidate) -> None:
        """Note that ``candidate`` was claimed: forget its observations, unblock its folder."""
        self.inbox.settling.forget(candidate.name)
        self._blocked.taken(candidate)

    def refused(self, candidate: Candidate, error: ClaimRefused, *, now: float) -> None:
        """Note that ``candidate`` cannot be claimed: block the film or the folder in ``error``.

        All films of a blocked folder leave the queue; a scan is due when they are tried again.
        """
        self._blocked.add(candidate, error, now=now, pause_seconds=self._pause_seconds)
        free = self._blocked.free(self.candidates, now=now)
        self.held += 1 + len(self.candidates) - len(free)
        self.candidates = deque(free)
        self._scan_at = min(self._scan_at, self._blocked.until(now=now))

    def request_rescan(self) -> None:
        """Make a scan due soon: a film of the queue has vanished from the inbox."""
        self._wake.note_hint()

    def stop(self) -> None:
        """Stop to watch for events."""
        self._watch.stop()


class Priorities:
    """Priorities of films, cached by settings files: each is read once, until it changes."""

    def __init__(self, inbox: Path, base: EraseSettings) -> None:
        self._inbox = inbox
        self._base = base
        self._cache: dict[tuple[SettingsFileRef, ...], int] = {}

    def sort(self, candidates: list[Candidate]) -> list[Candidate]:
        """Return ``candidates`` by priority, highest first, stable; drop unused cache entries."""
        ordered = sorted(candidates, key=lambda candidate: -self.priority_of(candidate))
        used = {candidate.settings for candidate in candidates}
        self._cache = {files: known for files, known in self._cache.items() if files in used}
        return ordered

    def priority_of(self, candidate: Candidate) -> int:
        """Return the priority of one film; higher goes first."""
        files = candidate.settings
        if not files:
            return self._base.priority
        if files not in self._cache:
            self._cache[files] = self._read(candidate)
        return self._cache[files]

    def _read(self, candidate: Candidate) -> int:
        """Return a film's priority from its settings files, without the cache."""
        own = candidate.settings[-1]
        if own.name == candidate.name + FILM_SETTINGS_SUFFIX and not self._mentions_priority(own):
            return self.priority_of(replace(candidate, settings=candidate.settings[:-1]))
        try:
            return resolve_settings(candidate.path, self._inbox, self._base).settings.priority
        except (BadSidecar, OSError):
            return self._base.priority  # the film meets the same error once it is claimed

    def _mentions_priority(self, own: SettingsFileRef) -> bool:
        """Return False if a film's own settings file cannot set a priority, to save parsing it."""
        name = PurePosixPath(own.name)
        try:
            with folder_below(self._inbox, name.parent) as folder:
                return b"priority" in read_in(folder, name.name, MAX_YAML_BYTES)
        except OSError:
            return True
