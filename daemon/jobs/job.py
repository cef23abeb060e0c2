"""Job, its state machine, and ``job.json``, the persistent state of a job.

A successful film goes through CLAIMING, CLAIMED, QUEUED, RUNNING, FINISHED, DONE. From RUNNING a
job may return to QUEUED (retry) or CLAIMED (the source changed), or go to REJECTED and FAILED. From
CLAIMING or FINISHED a job goes to REJECTED if its claim cannot be completed, or its result not be
published. A film that is handed back to the inbox is CLAIMING again while it is moved there.

Jobs are frozen. The functions return a new job; only ``save_job`` and ``load_job`` use the disk.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from pathlib import Path, PurePosixPath

from daemon.config.parsing import as_json, read_record
from daemon.workers.messages import Failure
from erasecore.errors import NewerJob
from erasecore.settings import EraseSettings, PictureFrame
from erasecore.system.atomic_files import write_whole
from erasecore.system.safe_open import read_plain

# Names in the job folder.
JOB_FILE = "job.json"
LOG_FILE = "log"  # published with the film
SETTINGS_FILE = "settings.yaml"  # the film's own settings, moved from the inbox
MARKER_FILE = "ready"  # the sender's marker, see ``inbox.ready``; it goes with the job folder
CUES_FILE = "cues.srt"  # subtitle file of the sender: when text may appear
MASK_FILE = "mask"  # copy of the mask that the settings name; an image or a film
# The plan that came with the film is ``daemon.plans.files.PLAN_FILE``.


JOB_VERSION = 1
"""Version of the format of ``job.json``; files without one have version 0. It grows when an older
release would do wrong with a newer file; keys that it merely does not know are ignored."""
MAX_LOG_BYTES = 65536
"""Bytes of a job's log that are searched for the film's name; it is near the beginning. A guess."""
MAX_NAME_CHARACTERS = 4096
"""Longest name of a film that is taken from a broken ``job.json``; PATH_MAX of Linux."""


class JobState(StrEnum):
    """State of a job."""

    CLAIMING = "claiming"  # the source is on its way from the inbox, or back to it
    CLAIMED = "claimed"  # the source is in the job folder; its sender may still be writing to it
    QUEUED = "queued"  # waits for a worker
    RUNNING = "running"  # a worker is working on it
    FINISHED = "finished"  # the result is verified and is to be published
    REJECTED = "rejected"  # given up; the source is to be published to failed/
    DONE = "done"  # the result is published
    FAILED = "failed"  # the source is in failed/


LEGAL: dict[JobState, frozenset[JobState]] = {
    JobState.CLAIMING: frozenset({JobState.CLAIMED, JobState.REJECTED}),
    JobState.CLAIMED: frozenset({JobState.QUEUED, JobState.REJECTED, JobState.CLAIMING}),
    # FINISHED without a result: its content has been done before, see ``inbox.duplicates``.
    JobState.QUEUED: frozenset(
        {JobState.RUNNING, JobState.FINISHED, JobState.REJECTED, JobState.CLAIMING}
    ),
    JobState.RUNNING: frozenset(
        {
            JobState.QUEUED,
            JobState.CLAIMED,
            JobState.FINISHED,
            JobState.REJECTED,
            JobState.CLAIMING,
        }
    ),
    JobState.FINISHED: frozenset({JobState.DONE, JobState.REJECTED}),
    JobState.REJECTED: frozenset({JobState.FAILED}),
    JobState.DONE: frozenset(),
    JobState.FAILED: frozenset(),
}
"""Allowed transitions: state -> next states."""


class IllegalMove(Exception):
    """A transition that is not in ``LEGAL``; a bug of ours."""


class BrokenJob(Exception):
    """A ``job.json`` that is missing or unreadable.

    Args:
        text: the reason.
        name: the film's path below the inbox, if at least that could be read.
    """

    def __init__(self, text: str, name: str = "") -> None:
        super().__init__(text)
        self.name = name


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a worker to process a job."""

    number: int  # from 1
    started_at: float  # seconds since 1970
    stopped_at: float | None = None  # seconds since 1970; None: it is running
    counted: bool = True  # False: handed back; does not count against ``retry.max_attempts``
    failure: Failure | None = None


class Place(StrEnum):
    """Folder that files are published to; the name of its field in ``FolderSettings``."""

    DONE = "done"
    FAILED = "failed"
    ORIGINALS = "originals"


@dataclass(frozen=True, slots=True)
class Placement:
    """One file of a job folder, and the path it is published under."""

    file: str  # name in the job folder
    place: Place
    name: str  # path below the folder ``place``
    size_bytes: int = -1  # of the file before it was moved; -1: not noted yet
    mtime_ns: int = 0  # the same


@dataclass(frozen=True, slots=True)
class Job:
    """One source file and its processing state; saved as ``job.json``."""

    job_id: str
    name: str  # path of the source below the inbox; bytes that are no UTF-8 are surrogate escapes
    source: str  # file name of the source in the job folder
    size_bytes: int  # of the source
    mtime_ns: int  # of the source, nanoseconds since 1970
    claimed_at: float  # seconds since 1970
    state: JobState = JobState.CLAIMING
    settings: EraseSettings = field(default_factory=EraseSettings)
    attempts: tuple[Attempt, ...] = ()
    not_before: float = 0.0  # seconds since 1970; end of the delay before the next attempt
    unchanged_since: float = 0.0  # seconds since 1970; the source was first seen in its last state
    pixels: int = 0  # frame width x height; 0 until a worker has opened the film
    result: str = ""  # file name of the result in the job folder
    frames: int = 0  # of the result; 0 until the job is finished
    events: int = 0  # erased subtitles in the result; 0 until the job is finished
    failure: Failure | None = None  # reason of the rejection
    placements: tuple[Placement, ...] = ()  # files to publish in this order; () until planned
    source_sha256: str = ""  # of the source, once the job is finished by a worker
    named_like: str = ""  # result below done/ whose name it takes, with a number; "": its own
    marked: bool = False  # its sender's marker goes with it, see ``inbox.ready``
    preferred_at: float = 0.0  # seconds since 1970; a person has put it first; 0: nobody has
    version: int = JOB_VERSION  # of the format of ``job.json``

    @property
    def relative(self) -> PurePosixPath:
        """Path of the source below the inbox."""
        return PurePosixPath(self.name)

    @property
    def rungs_down(self) -> int:
        """Rungs of the memory ladder to descend in the next attempt, after k killed ones: 2^k - 1.

        The step doubles, so that the few attempts of a film reach the end of the ladder.
        """
        killed = sum(
            attempt.failure is not None and attempt.failure.killed for attempt in self.attempts
        )
        return int(2**killed) - 1

    @property
    def counted(self) -> int:
        """Number of attempts that count against ``retry.max_attempts``."""
        return sum(attempt.counted for attempt in self.attempts)


def moved(job: Job, state: JobState) -> Job:
    """Return ``job`` in another state.

    Raises:
        IllegalMove: ``LEGAL`` has no such transition.
    """
    if state not in LEGAL[job.state]:
        raise IllegalMove(f"{job.job_id}: {job.state} -> {state}")
    return replace(job, state=state)


def claimed(job: Job) -> Job:
    """Return ``job`` as CLAIMED: its source is in the job folder."""
    return replace(moved(job, JobState.CLAIMED), unchanged_since=job.claimed_at)


def queued(job: Job, settings: EraseSettings, *, size_bytes: int, mtime_ns: int) -> Job:
    """Return ``job`` as QUEUED: its source is complete and its settings are known."""
    job = replace(job, settings=settings, size_bytes=size_bytes, mtime_ns=mtime_ns)
    return moved(job, JobState.QUEUED)


def begun(job: Job, *, now: float) -> Job:
    """Return ``job`` as RUNNING, with one more attempt; counted now, so that a crash counts."""
    attempt = Attempt(number=len(job.attempts) + 1, started_at=now)
    return replace(moved(job, JobState.RUNNING), attempts=(*job.attempts, attempt))


def requeued(job: Job, failure: Failure, *, now: float, delay_seconds: float, counted: bool) -> Job:
    """Return ``job`` as QUEUED again, after an attempt that failed with ``failure``."""
    job = _stopped(job, failure, now=now, counted=counted)
    return replace(moved(job, JobState.QUEUED), not_before=now + delay_seconds)


def waiting(job: Job, failure: Failure, *, now: float, delay_seconds: float) -> Job:
    """Return ``job`` as CLAIMED again: its source looks as if it were still being copied."""
    job = moved(_stopped(job, failure, now=now, counted=False), JobState.CLAIMED)
    return replace(job, not_before=now + delay_seconds)


def handed_back(job: Job, *, now: float) -> Job:
    """Return ``job`` as QUEUED again: the daemon ended the attempt, which does not count."""
    return moved(_stopped(job, None, now=now, counted=False), JobState.QUEUED)


def unclaimed(job: Job, *, now: float) -> Job:
    """Return ``job`` as CLAIMING again: its source is about to go back to the inbox."""
    if job.state is JobState.RUNNING:
        job = _stopped(job, None, now=now, counted=False)
    return moved(job, JobState.CLAIMING)


def preferred(job: Job, *, now: float) -> Job:
    """Return ``job`` as the first of the queue, in the same state and without a delay."""
    return replace(job, preferred_at=now, not_before=0.0)


def renewed(job: Job, *, now: float) -> Job:
    """Return ``job`` as CLAIMED again: its source changed during the attempt."""
    job = replace(job, pixels=0)
    return moved(_stopped(job, None, now=now, counted=False), JobState.CLAIMED)


def finished(job: Job, result: str, *, now: float, frames: int = 0, events: int = 0) -> Job:
    """Return ``job`` as FINISHED: an attempt has made the verified file ``result``."""
    job = _stopped(job, None, now=now, counted=True)
    job = moved(job, JobState.FINISHED)
    return replace(job, result=result, frames=frames, events=events)


def rejected(job: Job, failure: Failure, *, now: float) -> Job:
    """Return ``job`` as REJECTED: given up because of ``failure``."""
    if job.state is JobState.RUNNING:
        job = _stopped(job, failure, now=now, counted=True)
    return replace(moved(job, JobState.REJECTED), failure=failure)


def _stopped(job: Job, failure: Failure | None, *, now: float, counted: bool) -> Job:
    """Return ``job`` with the end of its last attempt recorded; the state stays."""
    last = replace(job.attempts[-1], stopped_at=now, counted=counted, failure=failure)
    return replace(job, attempts=(*job.attempts[:-1], last))


def save_job(folder: Path, job: Job) -> None:
    """Write ``job.json`` atomically and durably."""
    write_whole(folder / JOB_FILE, as_json(job, indent=1).encode())


def _rename_old_keys(record: dict[str, object]) -> dict[str, object]:
    """Rename the key ``fault`` of a job or an attempt, as version 0 wrote it, to ``failure``."""
    if "fault" in record and "failure" not in record:
        record["failure"] = record.pop("fault")
    return record


def _keep_stored_frame(raw: dict[str, object]) -> None:
    """Keep the meaning of regions and masks in the settings of a job of version 0."""
    settings = raw.get("settings")
    detect = settings.setdefault("detect", {}) if isinstance(settings, dict) else None
    if isinstance(detect, dict):
        detect.setdefault("regions_frame", PictureFrame.STORED.value)


def load_job(folder: Path) -> Job:
    """Read ``job.json`` in a job folder; keys that this release does not know are ignored.

    Raises:
        BrokenJob: the file is missing, no JSON, or no job.
        NewerJob: the file has a format of a later release.
        OSError: the file cannot be read.
    """
    text = b""
    try:
        text = (folder / JOB_FILE).read_bytes()
        raw = json.loads(text, object_hook=_rename_old_keys)
    except FileNotFoundError as error:
        raise BrokenJob(f"{folder.name}: no {JOB_FILE}", _name_in_log(folder)) from error
    except (ValueError, RecursionError) as error:
        name = _name_in(text) or _name_in_log(folder)
        raise BrokenJob(f"{folder.name}: {JOB_FILE} is no JSON", name) from error
    if not isinstance(raw, dict):
        raise BrokenJob(f"{folder.name}: {JOB_FILE} is no record", _name_in_log(folder))
    name = _usable_name(raw.get("name")) or _name_in_log(folder)
    version = raw.get("version", 0)
    if isinstance(version, int) and version > JOB_VERSION:
        raise NewerJob(folder, name or folder.name, version, JOB_VERSION)
    if version == 0:
        _keep_stored_frame(raw)
    complain = partial(BrokenJob, name=name)
    job = read_record(Job, raw, error=lambda text: complain(f"{folder.name}: {text}"), lenient=True)
    if not _usable_name(job.name) or "/" in job.source:
        raise complain(f"{folder.name}: {JOB_FILE} names no file of the inbox")
    return replace(job, version=JOB_VERSION)


def _name_in(text: bytes) -> str:
    """Return the film's name in a ``job.json`` that is cut off or damaged; "" if it is lost."""
    found = re.search(rb'"name": ("(?:[^"\\]|\\.)*")', text)
    try:
        return _usable_name(json.loads(found[1])) if found else ""
    except ValueError:
        return ""


def _name_in_log(folder: Path) -> str:
    """Return the film's name in the job's log, unusual characters escaped; "" if it is not there.

    The log has it in the line of the claim, unless ``log.level`` leaves that out.
    """
    try:
        text = read_plain(folder / LOG_FILE, MAX_LOG_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
    found = re.search(r"^\S+ +info +job\.claimed film=(.+) size_bytes=\d+$", text, re.MULTILINE)
    return _usable_name(found[1]) if found else ""


def _usable_name(name: object) -> str:
    """Return ``name`` if it can be a path below the inbox, else ""."""
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME_CHARACTERS or "\0" in name:
        return ""
    parts = name.split("/")
    return "" if {"", ".", ".."} & set(parts) else name
