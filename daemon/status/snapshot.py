"""Status snapshots: each daemon writes one into its folder below work/, ``status`` reads them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.config.parsing import as_json, read_record
from daemon.inbox.scanner import Ignored
from daemon.jobs.history_view import HistorySummary
from daemon.jobs.instances import (
    STATUS_FILE,
    InstanceId,
    Liveness,
    heartbeat_of,
    list_instances,
    start_time_of,
)
from daemon.jobs.pause import Pause
from daemon.status.failures import NO_FAILURES, Failures
from daemon.status.queue_view import NO_QUEUE, QueueView
from daemon.storage.untrusted_json import BadJson, read_json
from erasecore.errors import printable
from erasecore.system.atomic_files import write_whole

if TYPE_CHECKING:  # keeps the daemon's own modules out of the start-up time of ``status``
    from daemon.jobs.job import Job
    from daemon.jobs.publication import Publication
    from daemon.workers.process import Supervisor
    from erasecore.reports import Progress


@dataclass(frozen=True, slots=True)
class Current:
    """Progress of one running job."""

    job_id: str
    film: str
    attempt: int
    started_at: float  # of the attempt, seconds since the epoch
    stage: str = ""  # value of ``erasecore.reports.Stage``; empty: no progress reported yet
    share: float = 0.0  # finished part of the job, 0 to 1
    frames_done: int = 0
    frames_total: int = 0

    @classmethod
    def from_job(cls, job: Job, progress: Progress | None) -> Current:
        """Return the view of a running job; ``progress`` is ``None`` before the first report."""
        attempt = job.attempts[-1]
        fresh = cls(job.job_id, printable(job.name), attempt.number, attempt.started_at)
        if progress is None:
            return fresh
        return cls(
            job_id=fresh.job_id,
            film=fresh.film,
            attempt=fresh.attempt,
            started_at=fresh.started_at,
            stage=progress.stage.value,
            share=round(progress.job_share, 4),
            frames_done=progress.frames_done,
            frames_total=progress.frames_total,
        )


@dataclass(frozen=True, slots=True)
class WorkerView:
    """One worker slot, its process and its current job."""

    number: int
    state: str
    pid: int | None = None
    device: str = ""  # GPU as in CUDA_VISIBLE_DEVICES; empty: not restricted to one
    threads: int = 0  # 0: one for each core
    current: Current | None = None

    @classmethod
    def from_worker(cls, worker: Supervisor, jobs: Mapping[str, Job]) -> WorkerView:
        """Return the view of ``worker``; ``jobs`` are the daemon's jobs by their ids."""
        job, slot = jobs.get(worker.job_id), worker.slot
        current = Current.from_job(job, worker.progress) if job else None
        return cls(slot.number, worker.state.value, worker.pid, slot.device, slot.threads, current)

    def sentence(self) -> str:
        """Return the state in one line: film, percentage and stage if the worker is busy."""
        if self.current is None:
            return self.state
        stage = f", {self.current.stage}" if self.current.stage else ""
        return f"{self.current.film}: {self.current.share:.0%}{stage}"


@dataclass(frozen=True, slots=True)
class PublishingView:
    """One film that is being published, and how far the copy of its current file is."""

    job_id: str
    film: str
    stage: str = "moving"  # "copying", "checking" (the copy is read back), or "moving": no copy
    bytes_done: int = 0  # of the stage
    bytes_total: int = 0  # size of the file; 0: nothing is being copied
    bytes_per_second: float = 0.0  # of the last seconds; 0: not known yet

    @classmethod
    def of(cls, publication: Publication) -> PublishingView:
        """Return the view of a publication that runs."""
        job, file = publication.job, publication.progress.file
        view = cls(job.job_id, printable(job.name))
        if file is None:
            return view
        checking = file.checked_bytes > 0
        return replace(
            view,
            stage="checking" if checking else "copying",
            bytes_done=file.checked_bytes if checking else file.copied_bytes,
            bytes_total=file.size_bytes,
            bytes_per_second=round(publication.bytes_per_second, 1),
        )

    def sentence(self) -> str:
        """Return the state in one line, e.g. "film.mp4: copying 12.5 of 50.0 GB, 34.0 MB/s"."""
        if not self.bytes_total:
            return f"{self.film}: publishing"
        unit, size = ("GB", 1e9) if self.bytes_total >= 1e9 else ("MB", 1e6)
        amount = f"{self.bytes_done / size:.1f} of {self.bytes_total / size:.1f} {unit}"
        speed = f", {self.bytes_per_second / 1e6:.1f} MB/s" if self.bytes_per_second else ""
        return f"{self.film}: {self.stage} {amount}{speed}"


class DaemonState(StrEnum):
    """State of one daemon, for people and for monitoring."""

    WORKING = "working"  # at least one film is being worked on or copied
    IDLE = "idle"  # nothing to do, or what there is waits for its sender, memory or space
    CLOSED = "closed"  # outside the working hours
    PAUSED = "paused"  # by a person
    STOPPING = "stopping"  # it was asked to stop
    HOST_PROBLEM = "host-problem"  # the queue waits for the operator


@dataclass(frozen=True, slots=True)
class HeldFilm:
    """A film that waits for its next try, is set aside, or cannot be taken from the inbox."""

    film: str
    job_id: str  # empty: it is in the inbox
    sentence: str  # reason
    attempts: int  # made so far
    retry_at: float | None = None  # seconds since the epoch; ``None``: it is set aside

    @classmethod
    def of(cls, job: Job) -> HeldFilm:
        """Return the view of a delayed job."""
        failure = job.attempts[-1].failure if job.attempts else None
        sentence = failure.sentence if failure else ""
        return cls(printable(job.name), job.job_id, sentence, len(job.attempts), job.not_before)

    @property
    def set_aside(self) -> bool:
        """True if the film is stuck in ``work/`` until somebody acts."""
        return self.job_id != "" and self.retry_at is None


SCHEMA = 1
"""Version of the snapshot's format; a reader refuses others."""
HIDDEN = "(hidden)"
"""Text in the place of a film's name, if ``status.private`` is set."""
HIDDEN_TROUBLE = (
    "A problem needs the operator; the log, or `status` as the service's user, names it."
)
MAX_HELD = 100
"""Held films that a snapshot names; the others are counted. Guess."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """State of one daemon; the content of its ``status.json`` files."""

    pid: int
    workers: tuple[WorkerView, ...]
    trouble: str  # host problems that the operator has to mend; empty: none
    paused: bool  # True: the queue waits until they are mended
    note: str  # reason why no film is begun although the host is fine; empty: none
    leaving: bool  # True while the daemon drains
    queued: int  # claimed jobs that no worker has begun
    settled: int  # films in the inbox that are complete, including those that may not be claimed
    settling: int  # films in the inbox that may still be written to
    written_at: float  # seconds since the epoch
    schema: int = SCHEMA
    version: str = ""  # of the program
    state: DaemonState = DaemonState.IDLE
    instance: str = ""  # name of its folder below work/; empty: it has none yet
    work: str = ""  # path of work/, which tells services apart
    start_time: int = 0  # of the process, in clock ticks since boot; with ``pid`` unique in a boot
    monotonic: float = 0.0  # time of writing, seconds of the host's monotonic clock
    interval_seconds: float = 10.0  # longest time between two snapshots of a daemon that is well
    ignored: tuple[Ignored, ...] = ()  # entries of the inbox that are not taken
    held: tuple[HeldFilm, ...] = ()  # at most ``MAX_HELD``, the next to be tried first
    held_count: int = 0  # all of them
    failures: Failures = NO_FAILURES  # films that lie in failed/
    private: bool = False  # True: names of films are hidden
    publishing: tuple[PublishingView, ...] = ()  # films on their way to the result folders
    pause: Pause | None = None  # by a person; ``paused`` is about host problems
    queue: QueueView = NO_QUEUE

    def sentence(self) -> str:
        """Return the state in one line: paused, or the films at work, or the number of films."""
        if self.paused:
            return f"Paused: {self.trouble}"
        busy = [worker.sentence() for worker in self.workers if worker.current is not None]
        out = [one.sentence() for one in self.publishing]
        activity = "; ".join([*busy, *out]) or self._waiting_sentence()
        remarks = " ".join(remark for remark in (self.trouble, self.note) if remark)
        return f"{activity} ({remarks})" if remarks else activity

    def _waiting_sentence(self) -> str:
        waiting = self.queued + self.settled + self.settling
        return f"Waiting; {waiting} in the inbox." if waiting else "Waiting for films."

    def without_names(self) -> Snapshot:
        """Return the snapshot without names of films, and without texts that may have one."""
        workers = tuple(
            replace(worker, current=worker.current and replace(worker.current, film=HIDDEN))
            for worker in self.workers
        )
        pause = self.pause and replace(self.pause, by=HIDDEN)
        return replace(
            self,
            pause=pause,
            note=pause.sentence() if pause else self.note,
            workers=workers,
            trouble=HIDDEN_TROUBLE if self.trouble else "",
            ignored=tuple(replace(one, examples=()) for one in self.ignored),
            held=tuple(replace(one, film=HIDDEN, sentence="") for one in self.held),
            publishing=tuple(replace(one, film=HIDDEN) for one in self.publishing),
            queue=self.queue.without_names(HIDDEN),
            failures=replace(self.failures, newest=()),
            private=True,
        )


STUCK_INTERVALS = 3
"""Snapshots in a row that are missing when a daemon counts as stuck."""
MIN_STUCK_SECONDS = 30.0
"""Shortest silence after which a daemon counts as stuck, in seconds; a guess."""


@dataclass(frozen=True, slots=True)
class DaemonView:
    """One daemon as another process sees it."""

    instance: str  # name of its folder below work/
    standing: Liveness
    snapshot: Snapshot | None  # ``None``: it has written none, or it cannot be read
    age_seconds: float | None = None  # since it was last heard of; ``None``: unknown
    stuck: bool = False  # True: it lives, but was not heard of for too long

    @property
    def well(self) -> bool:
        """True unless it is dead, stuck, waits for the operator, or has set a film aside."""
        if self.standing is Liveness.DEAD or self.stuck:
            return False
        if self.snapshot is None:
            return True
        aside = any(film.set_aside for film in self.snapshot.held)  # they come first in ``held``
        return self.snapshot.state is not DaemonState.HOST_PROBLEM and not aside

    @property
    def condition(self) -> str:
        """One word: "stuck" or the standing."""
        return "stuck" if self.stuck else self.standing.value


@dataclass(frozen=True, slots=True)
class Moment:
    """The present on two clocks."""

    wall: float  # seconds since the epoch
    monotonic: float  # seconds of the host's monotonic clock, the same in all its processes


def view_of(
    name: str,
    standing: Liveness,
    snapshot: Snapshot | None,
    heard_at: float | None,
    *,
    now: Moment,
    patience_seconds: float = 0.0,
) -> DaemonView:
    """Return the view of a daemon, judged by the age of its last sign of life.

    Args:
        name: of its instance folder.
        standing: its liveness by its process id.
        snapshot: the last one, if there is one.
        heard_at: its last heartbeat, seconds since the epoch by the file server's clock.
        now: the present.
        patience_seconds: further silence that is allowed, because clocks of hosts differ.
    """
    here = standing in (Liveness.SELF, Liveness.ALIVE)
    if snapshot is not None and here and snapshot.monotonic:
        age = now.monotonic - snapshot.monotonic  # not spoilt by a clock that is set
    elif snapshot is not None or heard_at is not None:
        written_at = snapshot.written_at if snapshot is not None else 0.0
        age = now.wall - max(written_at, heard_at or 0.0)
    else:
        return DaemonView(name, standing, None, None, stuck=standing is not Liveness.DEAD)
    interval_seconds = snapshot.interval_seconds if snapshot is not None else 0.0
    limit = max(STUCK_INTERVALS * interval_seconds, MIN_STUCK_SECONDS, patience_seconds)
    stuck = standing is not Liveness.DEAD and not age <= limit  # NaN is stuck, too
    return DaemonView(name, standing, snapshot, age, stuck=stuck)


@dataclass(frozen=True, slots=True)
class StatusReport:
    """Everything that the ``status`` command shows."""

    daemons: list[DaemonView]
    inbox: int | None  # number of films that wait there; ``None``: the folders cannot be read
    history: HistorySummary
    failures: Failures = NO_FAILURES
    complaint: str = ""  # reason why part of the report is missing; empty: it is complete

    @property
    def well(self) -> bool:
        """True if a daemon runs, and all of them are well."""
        return bool(self.daemons) and all(view.well for view in self.daemons)


def write_snapshot(instance: Path, snapshot: Snapshot) -> None:
    """Write ``snapshot`` into the daemon's folder atomically, without fsync (it may be lost)."""
    write_whole(instance / STATUS_FILE, as_json(snapshot).encode(), durable=False)


class _InvalidSnapshot(Exception):
    pass


def daemons(work: Path, me: InstanceId, *, now: Moment, lease_seconds: float) -> list[DaemonView]:
    """Return a view of every daemon that has a folder below ``work``.

    Args:
        work: the work folder.
        me: this process.
        now: the present.
        lease_seconds: silence that is allowed to daemons of other hosts.
    """
    views = []
    for instance, liveness in list_instances(work, me):
        snapshot = read_snapshot(instance / STATUS_FILE)
        patience_seconds = lease_seconds if liveness is Liveness.FOREIGN else 0.0
        heard_at = _heard_at(instance)
        view = view_of(
            instance.name,
            liveness,
            snapshot,
            heard_at,
            now=now,
            patience_seconds=patience_seconds,
        )
        views.append(view)
    return views


def _heard_at(instance: Path) -> float | None:
    """Return the last heartbeat, seconds since the epoch; ``None`` if there is none."""
    try:
        heartbeat_ns = heartbeat_of(instance)
    except OSError:
        return None
    return None if heartbeat_ns is None else heartbeat_ns / 1e9


def read_snapshot(file: Path) -> Snapshot | None:
    """Return the snapshot in a file, which others may have changed; ``None`` if it is not valid."""
    for _ in range(SNAPSHOT_READS):
        try:
            return _parsed(read_json(file, MAX_SNAPSHOT_BYTES))
        except OSError:
            continue
        except (BadJson, _InvalidSnapshot):
            break
    return None


def _parsed(raw: object) -> Snapshot:
    """Return the snapshot that ``raw``, a value from JSON, is the record of."""
    if not isinstance(raw, dict) or raw.get("schema", SCHEMA) != SCHEMA:
        raise _InvalidSnapshot
    return read_record(Snapshot, raw, error=_InvalidSnapshot, lenient=True)


SNAPSHOT_READS = 5
"""Times that a file is opened until it can be read. On a share, one that the daemon replaces while
it is open cannot be read any more (ESTALE on NFS, ENOENT on FUSE). Guess."""
MAX_SNAPSHOT_BYTES = 1 << 20
"""Largest snapshot file that is read, in bytes; ours have a few thousand. Guess."""


def is_running(snapshot: Snapshot) -> bool:
    """Return True if the process that wrote ``snapshot`` runs; True as well if it is hidden."""
    if snapshot.pid <= 0:  # to ``kill`` a group of processes
        return False
    found = start_time_of(snapshot.pid)
    if found is not None or Path(f"/proc/{snapshot.pid}").exists():
        return found == snapshot.start_time  # ``None``: a zombie
    try:
        os.kill(snapshot.pid, 0)
    except PermissionError:  # it runs, and /proc hides the processes of other users
        return True
    except (OSError, OverflowError):
        return False
    return True
