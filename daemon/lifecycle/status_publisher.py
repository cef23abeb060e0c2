"""Status of the daemon for others: snapshot files for ``status``, a line for systemd, pauses."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import structlog

from daemon.config.locations import film_folders
from daemon.config.schema import Config
from daemon.inbox.candidate_queue import CandidateQueue
from daemon.jobs.instances import start_time_of
from daemon.jobs.job import JobState
from daemon.jobs.job_parts import JobParts
from daemon.lifecycle.drain import Drain
from daemon.lifecycle.hang_watch import HangWatch
from daemon.lifecycle.instance_parts import InstanceParts, SharedParts
from daemon.lifecycle.queue_reporter import QueueReporter
from daemon.notify import pauses
from daemon.runtime.systemd import Notifier
from daemon.status.failures import Failures, scan_failures
from daemon.status.public import public_file, write_public
from daemon.status.snapshot import (
    MAX_HELD,
    DaemonState,
    HeldFilm,
    PublishingView,
    Snapshot,
    WorkerView,
    write_snapshot,
)
from erasecore.errors import FolderSilent, printable
from erasecore.version import __version__

log = structlog.get_logger(__name__)

MAX_INTERVAL_SECONDS = 2.0
"""Longest time between two snapshot files while there is work, in seconds; a guess."""
FAILURES_SECONDS = 30.0
"""Time between two scans of failed/, in seconds; a guess."""


class PublicStatus:
    """Writer of the status file that everybody may read; without a place it does nothing.

    Args:
        config: the configuration.
        runtime_folder: ``$RUNTIME_DIRECTORY``, which systemd sets.
        enabled: False for ``once``, beside which a daemon may run that has the place.
    """

    def __init__(
        self, config: Config, runtime_folder: Path | None, *, enabled: bool = True
    ) -> None:
        self._enabled = enabled
        self._runtime_folder = runtime_folder
        self._complained = False
        self.reconfigure(config)

    def reconfigure(self, config: Config) -> None:
        """Write to the place that ``config`` names, with names or without."""
        file = public_file(config.status.file, self._runtime_folder)
        self._file = file if self._enabled else None
        self._private = config.status.private

    def write(self, snapshot: Snapshot) -> None:
        """Write the file; an error is logged once, and concerns no film."""
        if self._file is None:
            return
        try:
            write_public(self._file, snapshot.without_names() if self._private else snapshot)
        except OSError as error:
            if not self._complained:
                log.warning("status.not_written", file=str(self._file), error=str(error))
            self._complained = True
        else:
            self._complained = False

    def remove(self) -> None:
        """Remove the file, because the daemon ends in order."""
        if self._file is not None:
            with suppress(OSError):
                self._file.unlink()


def waiting_snapshot(config: Config, sentence: str) -> Snapshot:
    """Return the status of a daemon that waits for its folders at start-up."""
    return Snapshot(
        pid=os.getpid(),
        workers=(),
        trouble=sentence,
        paused=True,
        note="",
        leaving=False,
        queued=0,
        settled=0,
        settling=0,
        written_at=time.time(),
        version=__version__,
        state=DaemonState.HOST_PROBLEM,
        work=str(config.folders.work),
        start_time=start_time_of(os.getpid()) or 0,
        monotonic=time.monotonic(),
        interval_seconds=config.retry.pause_seconds,
    )


class FailedFilms:
    """The films that lie in failed/, scanned now and then."""

    def __init__(self) -> None:
        self.found = Failures()
        self._scanned_at = float("-inf")  # monotonic seconds

    def scan_if_due(self, failed: Path, *, now: float) -> None:
        """Scan the folder if the last scan is ``FAILURES_SECONDS`` old."""
        if now - self._scanned_at >= FAILURES_SECONDS:
            self._scanned_at = now
            self.found = scan_failures(failed)


class StatusPublisher:
    """Takes snapshots of the daemon and publishes them."""

    def __init__(
        self,
        notifier: Notifier,
        shared: SharedParts,
        drain: Drain,
        config: Config,
        public: PublicStatus,
    ) -> None:
        self._notifier = notifier
        self._shared = shared
        self._drain = drain
        self._public = public
        self._failed = FailedFilms()
        self._queue = QueueReporter(shared, config)
        self._written: tuple[Path, tuple[object, ...]] | None = None  # instance folder, see below
        self._written_at = float("-inf")  # monotonic seconds
        self._start_time = start_time_of(os.getpid()) or 0
        self.hang_watch = HangWatch(
            film_folders(config.folders), notifier.watchdog_interval_seconds, self._tell_silence
        )
        self._pauses = pauses.PauseEvents(config)
        self.reconfigure(config)

    def reconfigure(self, config: Config) -> None:
        """Write snapshots as often as ``config`` asks for heartbeats, or more often."""
        self._config = config
        self._queue.reconfigure(config)
        self._public.reconfigure(config)
        self._pauses.reconfigure(config)

    def publish(self, parts: InstanceParts, *, now: float, wall: float) -> None:
        """Send the status line to systemd, and write the snapshot files when they are due.

        Raises:
            OSError: the file in the work folder cannot be written; the public one is.
        """
        self._failed.scan_if_due(self._config.folders.failed, now=now)
        self._publish(parts, now, wall, lambda write: write())

    def refresh(
        self,
        parts: InstanceParts,
        *,
        now: float,
        wall: float,
        to_work: Callable[[Callable[[], None]], None],
    ) -> None:
        """Do the same while folders may be away: none is scanned, and no error is raised.

        Args:
            parts: the parts of our instance folder.
            now: monotonic time in seconds.
            wall: seconds since 1970.
            to_work: makes a call that writes into work/, which may hang.
        """
        with suppress(OSError, FolderSilent):
            self._publish(parts, now, wall, to_work)

    def _publish(
        self,
        parts: InstanceParts,
        now: float,
        wall: float,
        to_work: Callable[[Callable[[], None]], None],
    ) -> None:
        snapshot = self._snapshot(parts, now, wall)
        self._notifier.status(snapshot.sentence())
        reason = snapshot.trouble if snapshot.paused else ""
        self._pauses.observe(pauses.HOST, reason, now=now, wall=wall)
        asked = snapshot.pause.sentence() if snapshot.pause is not None else ""
        self._pauses.observe(pauses.PERSON, asked, now=now, wall=wall)
        instance = parts.jobs.store.instance
        written = (instance, _urgent_part(snapshot))
        interval_seconds = min(MAX_INTERVAL_SECONDS, self._config.claims.heartbeat_seconds)
        if written != self._written or now - self._written_at >= interval_seconds:
            self._written, self._written_at = written, now
            queue = self._queue.view(
                parts, snapshot.held, blocked=snapshot.paused, now=now, wall=wall
            )
            snapshot = replace(snapshot, queue=queue)
            self._public.write(snapshot)
            to_work(lambda: write_snapshot(instance, snapshot))

    def _tell_silence(self, sentence: str) -> None:
        """Say why the main loop hangs, and that it lives; called in the thread of HangWatch."""
        self._notifier.alive(now=time.monotonic())
        self._notifier.status(f"Paused: {sentence}")
        self._public.write(waiting_snapshot(self._config, sentence))

    def close(self) -> None:
        """Remove the public file: the daemon ends in order."""
        self.hang_watch.stop()
        self._pauses.close()
        self._public.remove()

    def is_paused(self, parts: InstanceParts, *, now: float) -> bool:
        """Return True if the queue waits for the operator."""
        return self._shared.problems.pausing() or not parts.workers.able(now=now)

    def _snapshot(self, parts: InstanceParts, now: float, wall: float) -> Snapshot:
        store, queue = parts.jobs.store, self._shared.queue
        workers = tuple(WorkerView.from_worker(worker, store.jobs) for worker in parts.workers)
        publishing = tuple(map(PublishingView.of, parts.jobs.publisher.running()))
        paused = self.is_paused(parts, now=now)
        held = held_films(parts.jobs, queue, now=now, wall=wall)
        return Snapshot(
            pid=os.getpid(),
            workers=workers,
            trouble=self._shared.problems.sentence(),
            paused=paused,
            note=parts.dispatcher.idle_reason,
            leaving=self._drain.begun,
            queued=len(store.states(JobState.CLAIMED, JobState.QUEUED)),
            settled=len(queue.candidates) + queue.held,
            settling=queue.inbox.waiting,
            written_at=wall,
            version=__version__,
            state=self._state(parts, workers, publishing, paused=paused, wall=wall),
            instance=store.instance.name,
            work=str(self._config.folders.work),
            start_time=self._start_time,
            monotonic=now,
            interval_seconds=max(MAX_INTERVAL_SECONDS, self._config.claims.heartbeat_seconds),
            ignored=queue.inbox.skipped.ignored(),
            held=held[:MAX_HELD],
            held_count=len(held),
            failures=self._failed.found,
            publishing=publishing,
            pause=self._shared.steering.pauses.current(wall=wall),
        )

    def _state(
        self,
        parts: InstanceParts,
        workers: tuple[WorkerView, ...],
        publishing: tuple[PublishingView, ...],
        *,
        paused: bool,
        wall: float,
    ) -> DaemonState:
        if self._drain.begun:
            return DaemonState.STOPPING
        if paused:
            return DaemonState.HOST_PROBLEM
        if self._shared.steering.pauses.current(wall=wall) is not None:
            return DaemonState.PAUSED
        if publishing or any(worker.current is not None for worker in workers):
            return DaemonState.WORKING
        return DaemonState.CLOSED if parts.dispatcher.closed else DaemonState.IDLE


def _urgent_part(snapshot: Snapshot) -> tuple[object, ...]:
    """Return what is published at once when it changes: the state, and the films at work."""
    at_work = [worker.current.job_id for worker in snapshot.workers if worker.current]
    out = [film.job_id for film in snapshot.publishing]
    return snapshot.state, snapshot.trouble, snapshot.paused, tuple(at_work), tuple(out)


def held_films(
    jobs: JobParts, queue: CandidateQueue, *, now: float, wall: float
) -> tuple[HeldFilm, ...]:
    """Return the films that are set aside or stay in the inbox, then those that wait.

    Args:
        jobs: the held jobs, and the errors that hold some of them up.
        queue: the films of the inbox, and why some of them cannot be taken.
        now: monotonic time in seconds.
        wall: seconds since 1970.
    """
    isolation = jobs.isolation
    hindrances = isolation.hindrances()
    hindered = [
        HeldFilm(
            film=known.film,
            job_id=job_id,
            sentence=known.failure.sentence,
            attempts=known.tries,
            retry_at=None if known.set_aside else wall + isolation.waits_until(job_id) - now,
        )
        for job_id, known in hindrances.items()
    ]
    in_inbox = [
        HeldFilm(printable(name), "", printable(sentence), attempts=0)
        for name, sentence in queue.blocked().items()
    ]
    delayed = [
        HeldFilm.of(job)
        for job in jobs.store.states(JobState.QUEUED, JobState.CLAIMED)
        if job.not_before > wall and job.job_id not in hindrances
    ]
    found = [*hindered, *delayed, *in_inbox]
    return tuple(sorted(found, key=lambda film: film.retry_at or 0.0))
