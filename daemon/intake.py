"""When the inbox is looked at, and which of the films found there goes next."""

from __future__ import annotations

from daemon.config import Config
from daemon.inbox import Candidate, Inbox, Watch
from daemon.jobsettings import wishes_for
from daemon.wake import Wake
from erasecore.errors import BadSidecar

HINT_SECONDS = 0.5
"""Events come in flocks; two looks at the inbox lie at least this far apart."""


class Intake:
    """The settled films of the inbox, kept up to date by events and by time."""

    def __init__(self, config: Config, wake: Wake) -> None:
        self._config = config
        self._wake = wake
        self.inbox = Inbox(config.folders.inbox, config.inbox)
        self._watch = Watch(config.folders.inbox, wake.hint)
        self.candidates: list[Candidate] = []
        self._look_at = self._looked_at = float("-inf")
        if self.inbox.events and not self._watch.start():
            self.inbox.rescan_seconds = config.inbox.poll_seconds

    @property
    def watching(self) -> str:
        """How changes are noticed, for the log."""
        return "events" if self._watch.alive() else "polling"

    def look_if_due(self, *, now: float) -> bool:
        """Look into the inbox if it is time to, or if an event says that it is worth while.

        Returns:
            Whether it was looked at.

        Raises:
            OSError: it cannot be read; ``candidates`` is empty then.
        """
        if self._wake.hinted and now - self._looked_at >= HINT_SECONDS:
            self._look_at = now
        if now < self._look_at:
            return False
        self._wake.hinted = False
        self.candidates = []
        self._looked_at, self._look_at = now, now + self.inbox.rescan_seconds
        self.candidates = self.inbox.scan(now=now)
        if self.inbox.settles_at is not None:
            # Not before a film can be settled, and then soon: its writer may let go of it.
            soon = max(self.inbox.settles_at + 0.01, now + HINT_SECONDS)
            self._look_at = min(self._look_at, soon)
        if self.inbox.events and not self._watch.alive():
            self._watch.stop()
            self._watch.start()
        return True

    def next_look_at(self) -> float:
        """When ``look_if_due`` has something to do, if nothing happens."""
        return self._looked_at + HINT_SECONDS if self._wake.hinted else self._look_at

    def empty(self) -> bool:
        """Whether the inbox was looked at and held nothing that is or may become a job."""
        looked = self._looked_at > float("-inf") and not self._wake.hinted
        return looked and not self.candidates and not self.inbox.waiting

    def best(self) -> Candidate | None:
        """The film that goes next: of the highest priority the oldest."""
        return max(self.candidates, key=self.priority, default=None)

    def priority(self, candidate: Candidate) -> int:
        """How urgent a film is, by the operator's settings and those beside it."""
        base, inbox = self._config.erase, self._config.folders.inbox
        if not candidate.has_settings:
            return base.priority
        try:
            return wishes_for(candidate.path, inbox, base).settings.priority
        except BadSidecar:
            return base.priority  # it is rejected for it once it is claimed

    def take(self, candidate: Candidate) -> None:
        """Offer ``candidate`` no more."""
        self.candidates.remove(candidate)
        self.inbox.settling.forget(candidate.path)

    def look_again(self) -> None:
        """What was offered was not there any more."""
        self._wake.hinted = True

    def stop(self) -> None:
        """Watch no more."""
        self._watch.stop()
