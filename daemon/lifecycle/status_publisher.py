"""Status of the daemon for others: a snapshot file for ``status``, a line for systemd."""

from __future__ import annotations

import os
from pathlib import Path

from daemon.config.schema import Config
from daemon.inbox.candidate_queue import CandidateQueue
from daemon.jobs.job import JobState
from daemon.lifecycle.drain import Drain
from daemon.lifecycle.instance_parts import InstanceParts
from daemon.runtime.host_problems import HostProblems
from daemon.runtime.systemd import Notifier
from daemon.status.snapshot import Snapshot, WorkerView, write_snapshot

MAX_INTERVAL_SECONDS = 2.0
"""Longest time between two snapshot files, in seconds; a guess."""


class StatusPublisher:
    """Takes snapshots of the daemon and publishes them."""

    def __init__(
        self,
        notifier: Notifier,
        problems: HostProblems,
        queue: CandidateQueue,
        drain: Drain,
        config: Config,
    ) -> None:
        self._notifier = notifier
        self._problems = problems
        self._queue = queue
        self._drain = drain
        self._written_to: Path | None = None  # instance folder of the last snapshot file
        self._written_at = float("-inf")  # monotonic seconds
        self.reconfigure(config)

    def reconfigure(self, config: Config) -> None:
        """Write snapshots as often as ``config`` asks for heartbeats, or more often."""
        self._interval_seconds = min(MAX_INTERVAL_SECONDS, config.claims.heartbeat_seconds)

    def publish(self, parts: InstanceParts, *, now: float, wall: float) -> None:
        """Send the status line to systemd, and write the snapshot file when it is due.

        Raises:
            OSError: the file cannot be written.
        """
        snapshot = self._snapshot(parts, now, wall)
        self._notifier.status(snapshot.sentence())
        instance = parts.jobs.store.instance
        if instance != self._written_to or now - self._written_at >= self._interval_seconds:
            self._written_to, self._written_at = instance, now
            write_snapshot(instance, snapshot)

    def notify(self, parts: InstanceParts, *, now: float, wall: float) -> None:
        """Send the status line to systemd only: no folder may be touched."""
        self._notifier.status(self._snapshot(parts, now, wall).sentence())

    def is_paused(self, parts: InstanceParts, *, now: float) -> bool:
        """Return True if the queue waits for the operator."""
        return self._problems.pausing() or not parts.workers.able(now=now)

    def _snapshot(self, parts: InstanceParts, now: float, wall: float) -> Snapshot:
        store = parts.jobs.store
        return Snapshot(
            pid=os.getpid(),
            workers=tuple(WorkerView.of(worker, store.jobs) for worker in parts.workers),
            trouble=self._problems.sentence(),
            paused=self.is_paused(parts, now=now),
            note=parts.dispatcher.idle_reason,
            leaving=self._drain.begun,
            queued=len(store.states(JobState.CLAIMED, JobState.QUEUED)),
            settled=len(self._queue.candidates) + self._queue.held,
            settling=self._queue.inbox.waiting,
            written_at=wall,
        )
