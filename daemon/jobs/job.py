"""A job, the states it goes through, and ``job.json``, which is the truth about it.

CLAIMING, CLAIMED, QUEUED, RUNNING, FINISHED, DONE is the way of a film that is well. RUNNING goes
back to QUEUED (try again), to CLAIMED (the source changed), or to REJECTED and FAILED.

Every function here returns a new job; only ``save_job`` touches the disk.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path, PurePosixPath

from daemon.config.parsing import as_json, read_record
from daemon.storage.atomic import write_whole
from daemon.workers.messages import Failure
from erasecore.settings import EraseSettings

JOB_FILE = "job.json"
LOG_FILE = "log"
SETTINGS_FILE = "settings.yaml"
CUES_FILE = "cues.srt"  # when text may appear, as the sender says
MASK_FILE = "mask"  # a copy; a picture or a film


class JobState(StrEnum):
    """Where a job stands."""

    CLAIMING = "claiming"  # we mean to take the source; it may still be in the inbox
    CLAIMED = "claimed"  # the source is in the job's folder; its sender may still be writing
    QUEUED = "queued"  # waits for a worker
    RUNNING = "running"  # a worker is at it
    FINISHED = "finished"  # the result is verified; it is being published
    REJECTED = "rejected"  # given up; the source is on its way to failed/
    DONE = "done"  # published
    FAILED = "failed"  # in failed/


LEGAL: dict[JobState, frozenset[JobState]] = {
    JobState.CLAIMING: frozenset({JobState.CLAIMED}),
    JobState.CLAIMED: frozenset({JobState.QUEUED, JobState.REJECTED}),
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.REJECTED}),
    JobState.RUNNING: frozenset(
        {JobState.QUEUED, JobState.CLAIMED, JobState.FINISHED, JobState.REJECTED}
    ),
    JobState.FINISHED: frozenset({JobState.DONE}),
    JobState.REJECTED: frozenset({JobState.FAILED}),
    JobState.DONE: frozenset(),
    JobState.FAILED: frozenset(),
}


class IllegalMove(Exception):
    """A job was asked to go where it cannot; our own mistake."""


class BrokenJob(Exception):
    """A ``job.json`` that is missing or cannot be read."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a job by a worker."""

    number: int  # from 1
    started_at: float  # seconds since 1970
    stopped_at: float | None = None
    counted: bool = True  # False: handed back, e.g. at a shutdown; the film is not the cause
    failure: Failure | None = None


class Place(StrEnum):
    """A folder of results."""

    DONE = "done"
    FAILED = "failed"
    ORIGINALS = "originals"


@dataclass(frozen=True, slots=True)
class Placement:
    """One file of a job's folder and where it is to be published."""

    file: str  # its name in the job's folder
    place: Place
    name: str  # its name below that place


@dataclass(frozen=True, slots=True)
class Job:
    """One source file and what is to become of it."""

    job_id: str
    name: str  # the source's path below the inbox; odd bytes as surrogate escapes
    source: str  # the source's file name in the job's folder
    size_bytes: int
    mtime_ns: int
    claimed_at: float  # seconds since 1970
    state: JobState = JobState.CLAIMING
    settings: EraseSettings = field(default_factory=EraseSettings)
    attempts: tuple[Attempt, ...] = ()
    not_before: float = 0.0  # seconds since 1970; a requeued job waits until then
    unchanged_since: float = 0.0  # seconds since 1970; when the source was first seen as it is
    pixels: int = 0  # width x height; 0 until a worker has looked at the film
    result: str = ""  # the result's file name in the job's folder
    failure: Failure | None = None  # why it was rejected
    placements: tuple[Placement, ...] = ()  # what is published under which name, result last

    @property
    def relative(self) -> PurePosixPath:
        """The source's path below the inbox."""
        return PurePosixPath(self.name)

    @property
    def rungs_down(self) -> int:
        """How much smaller the pieces of the next attempt are to be, for attempts that were killed.

        Steps grow, so that the few attempts a film has come to the end of a ladder.
        """
        killed = sum(one.failure is not None and one.failure.killed for one in self.attempts)
        return int(2**killed) - 1

    @property
    def counted(self) -> int:
        """How many attempts count against the limit."""
        return sum(attempt.counted for attempt in self.attempts)


def moved(job: Job, state: JobState) -> Job:
    """``job`` in another state.

    Raises:
        IllegalMove: there is no way from its state to that one.
    """
    if state not in LEGAL[job.state]:
        raise IllegalMove(f"{job.job_id}: {job.state} -> {state}")
    return replace(job, state=state)


def claimed(job: Job) -> Job:
    """``job`` once its source lies in its folder."""
    return replace(moved(job, JobState.CLAIMED), unchanged_since=job.claimed_at)


def queued(job: Job, settings: EraseSettings, *, size_bytes: int, mtime_ns: int) -> Job:
    """``job`` once its source is whole and its settings are known."""
    job = replace(job, settings=settings, size_bytes=size_bytes, mtime_ns=mtime_ns)
    return moved(job, JobState.QUEUED)


def begun(job: Job, *, now: float) -> Job:
    """``job`` with one more attempt, counted before it starts, so that a crash counts."""
    attempt = Attempt(number=len(job.attempts) + 1, started_at=now)
    return replace(moved(job, JobState.RUNNING), attempts=(*job.attempts, attempt))


def requeued(job: Job, failure: Failure, *, now: float, delay_seconds: float, counted: bool) -> Job:
    """``job`` back in the queue after an attempt that failed with ``failure``."""
    job = _stopped(job, failure, now=now, counted=counted)
    return replace(moved(job, JobState.QUEUED), not_before=now + delay_seconds)


def waiting(job: Job, failure: Failure, *, now: float, delay_seconds: float) -> Job:
    """``job`` waiting for its sender, since its source looks as if it were still being copied."""
    job = moved(_stopped(job, failure, now=now, counted=False), JobState.CLAIMED)
    return replace(job, not_before=now + delay_seconds)


def handed_back(job: Job, *, now: float) -> Job:
    """``job`` back in the queue because we are leaving; the attempt does not count."""
    return moved(_stopped(job, None, now=now, counted=False), JobState.QUEUED)


def renewed(job: Job, *, now: float) -> Job:
    """``job`` as if just claimed: its source changed while an attempt was at it."""
    job = replace(job, pixels=0)
    return moved(_stopped(job, None, now=now, counted=False), JobState.CLAIMED)


def finished(job: Job, result: str, *, now: float) -> Job:
    """``job`` once an attempt has made a verified ``result``."""
    job = _stopped(job, None, now=now, counted=True)
    return replace(moved(job, JobState.FINISHED), result=result)


def rejected(job: Job, failure: Failure, *, now: float) -> Job:
    """``job`` given up because of ``failure``."""
    if job.state is JobState.RUNNING:
        job = _stopped(job, failure, now=now, counted=True)
    return replace(moved(job, JobState.REJECTED), failure=failure)


def _stopped(job: Job, failure: Failure | None, *, now: float, counted: bool) -> Job:
    last = replace(job.attempts[-1], stopped_at=now, counted=counted, failure=failure)
    return replace(job, attempts=(*job.attempts[:-1], last))


def save_job(folder: Path, job: Job) -> None:
    """Make ``job`` the truth, durably."""
    write_whole(folder / JOB_FILE, as_json(job, indent=1).encode())


def _rename_old_keys(record: dict[str, object]) -> dict[str, object]:
    """Rename the key ``fault`` of a job or an attempt, as version 0.1 wrote it, to ``failure``."""
    if "fault" in record and "failure" not in record:
        record["failure"] = record.pop("fault")
    return record


def load_job(folder: Path) -> Job:
    """The truth about the job in ``folder``.

    Raises:
        BrokenJob: its file is missing or cannot be understood.
    """
    try:
        text = (folder / JOB_FILE).read_bytes()
        raw = json.loads(text, object_hook=_rename_old_keys)
    except FileNotFoundError as error:
        raise BrokenJob(f"{folder.name}: no {JOB_FILE}") from error
    except ValueError as error:
        raise BrokenJob(f"{folder.name}: {JOB_FILE} is no JSON") from error
    if not isinstance(raw, dict):
        raise BrokenJob(f"{folder.name}: {JOB_FILE} is no record")
    return read_record(Job, raw, error=lambda text: BrokenJob(f"{folder.name}: {text}"))
