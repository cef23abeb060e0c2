"""Status snapshots: each daemon writes one into its folder below work/, ``status`` reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.config.parsing import as_json, read_record
from daemon.jobs.history_view import HistorySummary
from daemon.jobs.instances import STATUS_FILE, InstanceId, Liveness, list_instances
from erasecore.errors import printable
from erasecore.system.atomic_files import write_whole

if TYPE_CHECKING:  # keeps the daemon's own modules out of the start-up time of ``status``
    from daemon.jobs.job import Job
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
    def of(cls, job: Job, progress: Progress | None) -> Current:
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
    def of(cls, worker: Supervisor, jobs: Mapping[str, Job]) -> WorkerView:
        """Return the view of ``worker``; ``jobs`` are the daemon's jobs by their ids."""
        job, slot = jobs.get(worker.job_id), worker.slot
        current = Current.of(job, worker.progress) if job else None
        return cls(slot.number, worker.state.value, worker.pid, slot.device, slot.threads, current)

    def sentence(self) -> str:
        """Return the state in one line: film, percentage and stage if the worker is busy."""
        if self.current is None:
            return self.state
        stage = f", {self.current.stage}" if self.current.stage else ""
        return f"{self.current.film}: {self.current.share:.0%}{stage}"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """State of one daemon; the content of its ``status.json``."""

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

    def sentence(self) -> str:
        """Return the state in one line: paused, or the busy workers, or the number of films."""
        if self.paused:
            return f"Paused: {self.trouble}"
        busy = [worker.sentence() for worker in self.workers if worker.current is not None]
        activity = "; ".join(busy) or self._waiting_sentence()
        remarks = " ".join(remark for remark in (self.trouble, self.note) if remark)
        return f"{activity} ({remarks})" if remarks else activity

    def _waiting_sentence(self) -> str:
        waiting = self.queued + self.settled + self.settling
        return f"Waiting; {waiting} in the inbox." if waiting else "Waiting for films."


@dataclass(frozen=True, slots=True)
class DaemonView:
    """One daemon as another process sees it."""

    instance: str  # name of its folder below work/
    standing: Liveness
    snapshot: Snapshot | None  # ``None``: it has written none, or it cannot be read


@dataclass(frozen=True, slots=True)
class StatusReport:
    """Everything that the ``status`` command shows."""

    daemons: list[DaemonView]
    inbox: int | None  # number of films that wait there; ``None``: the folders cannot be read
    history: HistorySummary
    complaint: str = ""  # reason why part of the report is missing; empty: it is complete


def write_snapshot(instance: Path, snapshot: Snapshot) -> None:
    """Write ``snapshot`` into the daemon's folder atomically, without fsync (it may be lost)."""
    write_whole(instance / STATUS_FILE, as_json(snapshot).encode(), durable=False)


class _InvalidSnapshot(Exception):
    pass


def daemons(work: Path, me: InstanceId) -> list[DaemonView]:
    """Return a view of every daemon that has a folder below ``work``; ``me`` is this process."""
    return [
        DaemonView(instance.name, liveness, _read_snapshot(instance))
        for instance, liveness in list_instances(work, me)
    ]


def _read_snapshot(instance: Path) -> Snapshot | None:
    """Return the snapshot in an instance's folder; ``None`` if there is no valid one."""
    try:
        raw = json.loads((instance / STATUS_FILE).read_bytes())
        return read_record(Snapshot, raw, error=_InvalidSnapshot)
    except (OSError, ValueError, _InvalidSnapshot):
        return None
