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


class Drain:
    """Counts down from the first SIGTERM or SIGINT; a second one ends the countdown."""

    def __init__(self, wake: Wakeup, notifier: Notifier, config: Config) -> None:
        self._wake = wake
        self._notifier = notifier
        self._deadline: float | None = None  # monotonic seconds; None: not asked to stop
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
        busy = parts.workers.in_state(WorkerState.BUSY)
        if busy and now < self._deadline and self._wake.stops == 1:
            return False
        for worker in busy:
            parts.control.hand_back(worker, now=now, wall=wall)
        return True

    def _begin(self, now: float) -> float:
        self._notifier.stopping()
        self._notifier.extend(self._drain_seconds + STOP_SECONDS)
        log.info("service.draining", seconds=self._drain_seconds)
        return now + self._drain_seconds
