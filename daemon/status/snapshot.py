"""What the daemons are at, for ``status``: each writes a snapshot into its folder below work/."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.config.parsing import as_json, read_record
from daemon.jobs.history_view import HistorySummary
from daemon.jobs.instances import STATUS_FILE, InstanceId, Liveness, list_instances
from daemon.storage.atomic import write_whole
from daemon.storage.names import shown

if TYPE_CHECKING:  # whoever asks for the status need not wait for what runs a daemon
    from daemon.jobs.job import Job
    from daemon.workers.process import Supervisor
    from erasecore.reports import Progress


@dataclass(frozen=True, slots=True)
class Current:
    """The film that is being worked on."""

    job_id: str
    film: str
    attempt: int
    started_at: float  # seconds since 1970
    stage: str = ""
    share: float = 0.0  # 0 to 1 of the job
    frames_done: int = 0
    frames_total: int = 0

    @classmethod
    def of(cls, job: Job, progress: Progress | None) -> Current:
        """What is known of a running job."""
        attempt = job.attempts[-1]
        about = cls(job.job_id, shown(job.name), attempt.number, attempt.started_at)
        if progress is None:
            return about
        return cls(
            job_id=about.job_id,
            film=about.film,
            attempt=about.attempt,
            started_at=about.started_at,
            stage=progress.stage.value,
            share=round(progress.job_share, 4),
            frames_done=progress.frames_done,
            frames_total=progress.frames_total,
        )


@dataclass(frozen=True, slots=True)
class WorkerView:
    """One worker process, and what it is at."""

    number: int
    state: str
    pid: int | None = None
    device: str = ""  # its GPU; empty: whatever there is
    threads: int = 0  # 0: as many as there are cores
    current: Current | None = None

    @classmethod
    def of(cls, worker: Supervisor, jobs: Mapping[str, Job]) -> WorkerView:
        """What is known of a worker that may be at one of ``jobs``."""
        job, slot = jobs.get(worker.job_id), worker.slot
        current = Current.of(job, worker.progress) if job else None
        return cls(slot.number, worker.state.value, worker.pid, slot.device, slot.threads, current)

    def sentence(self) -> str:
        """It in one line."""
        if self.current is None:
            return self.state
        stage = f", {self.current.stage}" if self.current.stage else ""
        return f"{self.current.film}: {self.current.share:.0%}{stage}"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one daemon is at."""

    pid: int
    workers: tuple[WorkerView, ...]
    trouble: str  # what the operator has to mend
    paused: bool  # whether the queue waits for that
    note: str  # why no film is begun, if nothing is wrong
    leaving: bool
    queued: int
    settled: int  # films in the inbox that are whole, whether or not they may be taken
    settling: int  # films in the inbox that may still be written to
    written_at: float  # seconds since 1970

    def sentence(self) -> str:
        """It all in one line."""
        if self.paused:
            return f"Paused: {self.trouble}"
        at_work = [one.sentence() for one in self.workers if one.current is not None]
        said = "; ".join(at_work) or self._waiting()
        more = " ".join(one for one in (self.trouble, self.note) if one)
        return f"{said} ({more})" if more else said

    def _waiting(self) -> str:
        waiting = self.queued + self.settled + self.settling
        return f"Waiting; {waiting} in the inbox." if waiting else "Waiting for films."


@dataclass(frozen=True, slots=True)
class DaemonView:
    """One daemon as seen from outside."""

    instance: str
    standing: Liveness
    snapshot: Snapshot | None


@dataclass(frozen=True, slots=True)
class StatusReport:
    """All that is shown to whoever asks."""

    daemons: list[DaemonView]
    inbox: int | None  # how many films wait there; nothing if it cannot be looked into
    history: HistorySummary
    complaint: str = ""  # why not all of it can be seen


def write_snapshot(instance: Path, snapshot: Snapshot) -> None:
    """Show others what we are at; it need not survive a power cut."""
    write_whole(instance / STATUS_FILE, as_json(snapshot).encode(), durable=False)


class _Unreadable(Exception):
    pass


def daemons(work: Path, me: InstanceId) -> list[DaemonView]:
    """The daemons that have a folder below ``work``."""
    return [
        DaemonView(instance.name, what, _snapshot_in(instance))
        for instance, what in list_instances(work, me)
    ]


def _snapshot_in(instance: Path) -> Snapshot | None:
    try:
        raw = json.loads((instance / STATUS_FILE).read_bytes())
        return read_record(Snapshot, raw, error=_Unreadable)
    except (OSError, ValueError, _Unreadable):
        return None
