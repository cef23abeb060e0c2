"""When the inbox is looked at, and which of the films found there goes next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from daemon.config.film_settings import resolve_settings
from daemon.config.parsing import MAX_YAML_BYTES
from daemon.config.schema import Config
from daemon.inbox.blocked_paths import BlockedPaths
from daemon.inbox.scanner import SettingsFileRef
from daemon.inbox.settling import Candidate, Inbox
from daemon.inbox.watcher import InboxWatcher
from daemon.runtime.wakeup import Wakeup
from daemon.storage.names import FILM_SETTINGS_SUFFIX
from erasecore.errors import BadSidecar, ClaimRefused
from erasecore.settings import EraseSettings
from erasecore.system.safe_open import read_plain

HINT_SECONDS = 0.5
"""Events come in flocks; two looks at the inbox lie at least this far apart."""
PAUSE_PER_SCAN = 4.0
RESCAN_PER_SCAN = 150.0
"""Between two looks lies a multiple of what one takes: a huge inbox keeps us a fifth of a core busy
while things happen in it, and less than a hundredth while nothing does."""


class CandidateQueue:
    """The settled films of the inbox, kept up to date by events and by time."""

    def __init__(self, config: Config, wake: Wakeup, blocked: BlockedPaths) -> None:
        self._wake = wake
        self._blocked = blocked
        self._pause_seconds = config.retry.pause_seconds
        self.held = 0  # settled films that are left alone, since they may not be taken
        self.inbox = Inbox(config.folders.inbox, config.inbox)
        self._watch = InboxWatcher(config.folders.inbox, wake.hint)
        self._priorities = Priorities(config.folders.inbox, config.erase)
        self.candidates: deque[Candidate] = deque()
        self._look_at = self._hint_at = self._looked_at = float("-inf")
        if self.inbox.events and not self._watch.start():
            self.inbox.rescan_seconds = config.inbox.poll_seconds

    @property
    def watching(self) -> str:
        """How changes are noticed, for the log."""
        return "events" if self._watch.alive() else "polling"

    @property
    def settle_seconds(self) -> float:
        """How long a file must not change to be settled."""
        return self.inbox.settling.settle_seconds

    def scan_if_due(self, clock: Callable[[], float]) -> bool:
        """Look into the inbox if it is time to, or if an event says that it is worth while.

        Args:
            clock: our monotonic clock.

        Returns:
            Whether it was looked at.

        Raises:
            OSError: it cannot be read; ``candidates`` is empty then.
        """
        now = clock()
        if now < self.next_scan_at():
            return False
        self._wake.hinted = False
        self.candidates.clear()
        self._looked_at = now
        self._plan(now, now)
        found = self.inbox.scan(now=now)
        self.candidates.extend(self._priorities.sort(self._free(found, now)))
        self._plan(now, clock())
        if self.inbox.events and not self._watch.alive():
            self._watch.stop()
            self._watch.start()
        return True

    def _free(self, found: list[Candidate], now: float) -> list[Candidate]:
        """Those of the settled films that may be tried; the others are counted."""
        inbox, pause_seconds = self.inbox.folder, self._pause_seconds
        self._blocked.keep_only(self.inbox.settling.files())
        self._blocked.see_closed(self.inbox.closed, inbox, now=now, pause_seconds=pause_seconds)
        free = self._blocked.free(found, now=now)
        self.held = len(found) - len(free)
        return free

    def _plan(self, began: float, ended: float) -> None:
        """Say when to look again, after a look from ``began`` to ``ended``."""
        took = ended - began
        self._hint_at = ended + max(HINT_SECONDS, PAUSE_PER_SCAN * took)
        self._look_at = began + max(self.inbox.rescan_seconds, RESCAN_PER_SCAN * took)
        if self.inbox.settles_at is not None:
            # Not before a film can be settled, and then soon: its writer may let go of it.
            self._look_at = min(self._look_at, max(self.inbox.settles_at + 0.01, self._hint_at))
        self._look_at = min(self._look_at, self._blocked.until(now=ended))

    def next_scan_at(self) -> float:
        """When ``look_if_due`` has something to do, if nothing happens."""
        return min(self._hint_at, self._look_at) if self._wake.hinted else self._look_at

    def empty(self) -> bool:
        """Whether the inbox was looked at and held nothing that is or may become a job."""
        looked = self._looked_at > float("-inf") and not self._wake.hinted
        return looked and not self.candidates and not self.inbox.waiting

    def best(self) -> Candidate | None:
        """The film that goes next: of the highest priority the oldest."""
        return self.candidates[0] if self.candidates else None

    def priority(self, candidate: Candidate) -> int:
        """How urgent a film is, by the operator's settings and those beside it."""
        return self._priorities.of(candidate)

    def take(self, candidate: Candidate) -> None:
        """Offer ``candidate`` no more."""
        self.candidates.remove(candidate)

    def taken(self, candidate: Candidate) -> None:
        """``candidate`` could be claimed."""
        self.inbox.settling.forget(candidate.name)
        self._blocked.taken(candidate)

    def refused(self, candidate: Candidate, error: ClaimRefused, *, now: float) -> None:
        """``candidate`` may not be taken: offer it, or all of its folder, later and not before."""
        self._blocked.add(candidate, error, now=now, pause_seconds=self._pause_seconds)
        free = self._blocked.free(self.candidates, now=now)
        self.held += 1 + len(self.candidates) - len(free)
        self.candidates = deque(free)
        self._look_at = min(self._look_at, self._blocked.until(now=now))

    def request_rescan(self) -> None:
        """What was offered was not there any more."""
        self._wake.hinted = True

    def stop(self) -> None:
        """Watch no more."""
        self._watch.stop()


class Priorities:
    """How urgent films are; each settings file is read when it is new, not at every look."""

    def __init__(self, inbox: Path, base: EraseSettings) -> None:
        self._inbox = inbox
        self._base = base
        self._known: dict[tuple[SettingsFileRef, ...], int] = {}

    def sort(self, candidates: list[Candidate]) -> list[Candidate]:
        """``candidates``, the most urgent first, else in the order they have."""
        ordered = sorted(candidates, key=lambda one: -self.of(one))
        used = {one.settings for one in candidates}
        self._known = {marks: known for marks, known in self._known.items() if marks in used}
        return ordered

    def of(self, candidate: Candidate) -> int:
        """The priority of one film."""
        marks = candidate.settings
        if not marks:
            return self._base.priority
        if marks not in self._known:
            self._known[marks] = self._read(candidate)
        return self._known[marks]

    def _read(self, candidate: Candidate) -> int:
        own = candidate.settings[-1]
        if own.name == candidate.name + FILM_SETTINGS_SUFFIX and not self._speaks(own):
            return self.of(replace(candidate, settings=candidate.settings[:-1]))
        try:
            return resolve_settings(candidate.path, self._inbox, self._base).settings.priority
        except BadSidecar:
            return self._base.priority  # it is rejected for it once it is claimed

    def _speaks(self, own: SettingsFileRef) -> bool:
        """Whether a film's own settings can be about priority: most are not, and need no parser."""
        try:
            return b"priority" in read_plain(self._inbox / own.name, MAX_YAML_BYTES)
        except OSError:
            return True
