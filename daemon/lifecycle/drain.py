"""Shutdown: no film begins any more, and the films at work have a limited time to finish."""

from __future__ import annotations

import structlog

from daemon.config.schema import Config
from daemon.lifecycle.instance_parts import InstanceParts
from daemon.runtime.systemd import Notifier
from daemon.runtime.wakeup import Wakeup
from daemon.workers.process import WorkerState

log = structlog.get_logger(__name__)

STOP_SECONDS = 30
"""Time that systemd grants on top of ``worker.drain_seconds``, to kill workers and to tidy up; a
guess."""


PUBLISH_SECONDS = 3.0
"""Time that publications have after the last worker is done, in seconds. Renames and small copies
take less; a longer copy is stopped, and made at the next start. A guess."""


class Drain:
    """Counts down from the first SIGTERM or SIGINT; a second one ends the countdown."""

    def __init__(self, wake: Wakeup, notifier: Notifier, config: Config) -> None:
        self._wake = wake
        self._notifier = notifier
        self._deadline: float | None = None  # monotonic seconds; None: not asked to stop
        self._publish_until = 0.0  # monotonic seconds
        self.reconfigure(config)

    def reconfigure(self, config: Config) -> None:
        """Use ``worker.drain_seconds`` of ``config``, unless the countdown has begun."""
        self._drain_seconds = config.worker.drain_seconds

    @property
    def begun(self) -> bool:
        """True while the daemon shuts down."""
        return self._deadline is not None

    def is_over(self, parts: InstanceParts, *, now: float, wall: float) -> bool:
        """Return True once the daemon may exit; films still at work are handed back then.

        Films that are being published are not waited for longer than ``PUBLISH_SECONDS``.

        Begins the countdown when the daemon was asked to stop.

        Args:
            parts: the parts of our instance folder.
            now: monotonic time in seconds.
            wall: seconds since 1970.
        """
        if not self._wake.stops:
            return False
        if self._deadline is None:
            self._deadline = self._begin(now)
        busy, patient = parts.workers.in_state(WorkerState.BUSY), self._wake.stops == 1
        if busy:
            self._publish_until = now + PUBLISH_SECONDS
        if busy and now < self._deadline and patient:
            return False
        for worker in busy:
            parts.control.hand_back(worker, now=now, wall=wall)
        return not (parts.jobs.publisher.busy and now < self._publish_until and patient)

    def _begin(self, now: float) -> float:
        self._notifier.stopping()
        self._notifier.extend(self._drain_seconds + STOP_SECONDS)
        log.info("service.draining", seconds=self._drain_seconds)
        self._publish_until = now + PUBLISH_SECONDS
        return now + self._drain_seconds
