"""Isolation of jobs: an error met while working on one job concerns that job alone.

Each step on one job runs through ``JobIsolation.run``, so that no job's error reaches another job
or ends a turn. After an error the folders concerned are proved (``daemon.folders.proofs``):

==================  ==============================================================================
proof               consequence
==================  ==============================================================================
a folder fails      host problem: the queue pauses until the folder works; the job is not blamed
the folders work    the job alone waits, with exponential backoff on the monotonic clock; after
                    ``retry.max_attempts`` tries it is rejected, so that it goes to failed/
==================  ==============================================================================

A job that cannot even be rejected or moved to failed/ is *set aside*: it stays in its job folder,
is named in the status, and is tried again at the longest interval of the backoff, at each restart
and at each reload. Nothing waits for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from daemon.config.schema import Config
from daemon.jobs.blame import FolderBlame
from daemon.jobs.claims import source_is_there
from daemon.jobs.job import LOG_FILE, BrokenJob, Job, JobState
from daemon.jobs.publish import withdrawn
from daemon.jobs.retry import FOLDER_FAILURES, Blame, Next, decide
from daemon.jobs.store import JobStore
from daemon.runtime.host_problems import HostProblems
from daemon.runtime.logs import job_bound
from daemon.storage.os_errors import NAME_ERRNOS, film_hint_for
from daemon.workers.messages import Failure
from erasecore.errors import (
    DiskFull,
    FilmBlocked,
    FolderError,
    NameRefused,
    NewerJob,
    Remedy,
    SourceGone,
    printable,
)

log = structlog.get_logger(__name__)

Action = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Step:
    """Kind of a step on one job, and the folders that it needs, by their roles."""

    phrase: str  # what did not succeed; follows the film's name
    roles: tuple[str, ...]


CLAIM = Step("cannot be taken from the inbox", ("inbox", "work"))
ADOPT = Step("cannot be taken up again", ("inbox", "work"))
QUEUE = Step("cannot be put into the queue", ("inbox", "work"))
ATTEMPT = Step("cannot be worked on", ("work",))
PUBLISH = Step("cannot be published", ("work", "done", "originals"))
REJECT = Step("cannot be moved to failed/", ("work", "failed"))
WITHDRAW = Step("cannot be taken back from the result folders", ("work", "done", "originals"))
DISCARD = Step("has ended, but its job folder cannot be removed", ("work",))

_WITH_SOURCE = (JobState.CLAIMED, JobState.QUEUED, JobState.RUNNING)
"""States in which a job needs its source."""
_GIVEN_UP = (JobState.REJECTED, JobState.DONE, JobState.FAILED)
"""States from which a job cannot be rejected any more."""


@dataclass(frozen=True, slots=True)
class Hindrance:
    """The last error of one job, and how often its step has failed in a row."""

    film: str  # its path below the inbox, printable
    step: Step
    failure: Failure  # the reason, if the job is given up
    tries: int = 1
    set_aside: bool = False  # it cannot even be moved to failed/

    def sentence(self, folder: Path) -> str:
        """Return the text for the operator; ``folder`` is the job's."""
        if self.set_aside:
            then = f"is set aside in {folder} and goes on once that is mended"
        elif self.step == REJECT:
            then = "goes to failed/ as soon as that can be done"
        else:
            then = "is tried again by itself"
        return f"{self.failure.sentence} It {then}; other films go on."


class JobIsolation:
    """Runs steps on single jobs, and remembers which of them did not succeed."""

    def __init__(
        self, store: JobStore, blame: FolderBlame, problems: HostProblems, config: Config
    ) -> None:
        self._store = store
        self.blame = blame
        self._problems = problems
        self._hindrances: dict[str, Hindrance] = {}  # by job id
        self.lost = False  # a job's folder is gone: another daemon may have taken it over
        self._retry, self._folders = config.retry, config.folders

    def reconfigure(self, config: Config) -> None:
        """Use the limits of ``config`` from now on, and let every job that waits try at once."""
        self._retry, self._folders = config.retry, config.folders
        self.forget_all()

    # --- queries ----------------------------------------------------------------------------

    def due(self, job_id: str, *, now: float) -> bool:
        """Return True unless the job waits after an error; ``now``: monotonic seconds."""
        return self.waits_until(job_id) <= now

    def waits_until(self, job_id: str) -> float:
        """Return the monotonic time of the job's next try; ``-inf`` without an error."""
        return self._problems.until_of(_subject(job_id))

    def is_set_aside(self, job_id: str) -> bool:
        """Return True if the job can be neither done nor moved to failed/ for the time being."""
        known = self._hindrances.get(job_id)
        return known is not None and known.set_aside

    def hindrances(self) -> dict[str, Hindrance]:
        """Return the errors of the jobs that wait or are set aside, by job id."""
        return dict(self._hindrances)

    def note_lost(self) -> None:
        """Note that another daemon may have taken over a job or our whole instance folder."""
        self.lost = True

    def take_lost(self) -> bool:
        """Return True if a job's folder was found missing since the last call."""
        lost, self.lost = self.lost, False
        return lost

    # --- steps ------------------------------------------------------------------------------

    def run(self, job: Job, step: Step, action: Action, *, now: float, wall: float) -> bool:
        """Run one step of a held job; return True if it succeeded.

        Does nothing while the job waits after an error. After the last try the job is rejected, or
        set aside.

        Args:
            job: the job as it is held.
            step: kind of the step.
            action: the step; it may be repeated.
            now: monotonic time in seconds.
            wall: seconds since 1970.
        """
        if not self.due(job.job_id, now=now):
            return False
        error = caught(action)
        job = self._store.jobs.get(job.job_id, job)  # the step may have got half-way
        self.conclude(job, step, error, now=now, wall=wall)
        return error is None

    def conclude(
        self, job: Job, step: Step, error: Exception | None, *, now: float, wall: float
    ) -> None:
        """Record how a step has ended, as ``settle``; give the job up at once if it has to be."""
        if self.settle(job, step, error, now=now, wall=wall):
            self._give_up(job, wall=wall)

    def settle(
        self, job: Job, step: Step, error: Exception | None, *, now: float, wall: float
    ) -> bool:
        """Record how a step of a held job has ended; return True if the job is to be given up.

        Args: see ``run``; ``error`` is None if the step succeeded.
        """
        if error is None:
            self._succeeded(job.job_id)
            return False
        folder = self._store.folder(job)
        if _is_missing(folder):
            self.note_lost()
        elif job.state in _WITH_SOURCE and _source_is_gone(folder, job):
            self.reject_without_source(job, now=now, wall=wall)
        else:
            return self.concerns(job.job_id, job.name, step, error, now=now, size=job.size_bytes)
        return False

    def concerns(
        self, job_id: str, name: str, step: Step, error: Exception, *, now: float, size: int = 0
    ) -> bool:
        """Record the error of one job's step; return True if the job is to be given up.

        Args:
            job_id: id of the job, which need not be held.
            name: path of its film below the inbox.
            step: kind of the step that failed.
            error: its error.
            now: monotonic time in seconds.
            size: bytes that the folders must have room for, if the error is about room.
        """
        if self.blame.of(error, step.roles, now=now, size=size) is Blame.HOST:
            return False
        film, known = printable(name), self._hindrances.get(job_id)
        tries = known.tries + 1 if known is not None and known.step == step else 1
        failure = _failure_of(error, film, step, self._store.instance)
        set_aside = known is not None and known.set_aside
        self._note(job_id, Hindrance(film, step, failure, tries, set_aside), now=now)
        decision = decide(Remedy.FIX_HOST, tries, self._retry, blame=Blame.JOB)
        return decision.next is Next.FAIL

    def blame_of_attempt(self, failure: Failure, job: Job, *, now: float) -> Blame:
        """Return the owner of a failed attempt: the host, unless the job's folder works."""
        if failure.error not in FOLDER_FAILURES:
            return Blame.HOST  # it decides nothing unless the remedy is FIX_HOST: weights, a GPU
        error = FolderError(self._store.folder(job), failure.sentence)
        size = job.size_bytes if failure.error == DiskFull.__name__ else 0
        return self.blame.of(error, ATTEMPT.roles, now=now, size=size)

    def clear(self, job_id: str) -> None:
        """Forget the error of a job: its step has succeeded, or it has ended."""
        if self._hindrances.pop(job_id, None) is not None:
            self._problems.drop(_subject(job_id))

    def _succeeded(self, job_id: str) -> None:
        if job_id in self._hindrances:
            log.info("job.goes_on", job_id=job_id, film=self._hindrances[job_id].film)
            self.clear(job_id)

    def forget_all(self) -> None:
        """Forget the errors of all jobs, e.g. because another daemon has taken them over."""
        for job_id in list(self._hindrances):
            self.clear(job_id)

    def set_aside(self, job_id: str) -> None:
        """Note that a job can be neither done nor rejected; it is named until that is mended."""
        known = self._hindrances.get(job_id)
        if known is None or known.set_aside:  # None: a reload lets every job try again
            return
        self._hindrances[job_id] = known = replace(known, set_aside=True)
        self._problems.reword(_subject(job_id), known.sentence(self._store.instance / job_id))
        folder = str(self._store.instance / job_id)
        log.error("job.set_aside", job_id=job_id, film=known.film, folder=folder)

    def reject_without_source(self, job: Job, *, now: float, wall: float) -> None:
        """Reject a job whose source somebody has removed from its folder."""
        sentence = f"{printable(job.name)}: its source was removed from work/ by somebody else."
        failure = Failure(SourceGone.__name__, SourceGone.remedy, sentence)
        self._note(job.job_id, Hindrance(printable(job.name), REJECT, failure), now=now)
        if self._rejected(job, failure, wall=wall):
            self.clear(job.job_id)

    # --- one job ----------------------------------------------------------------------------

    def _note(self, job_id: str, hindrance: Hindrance, *, now: float) -> None:
        """Record a hindrance for the status, and in the log and the job's own log."""
        self._hindrances[job_id] = hindrance
        if not hindrance.set_aside:
            log_hindrance(job_id, self._store.instance / job_id, hindrance)
        self._problems.report(
            _subject(job_id),
            hindrance.sentence(self._store.instance / job_id),
            now=now,
            pause_seconds=self._retry.delay_seconds,
            pauses=False,
        )

    def _give_up(self, job: Job, *, wall: float) -> None:
        """Reject a job after its last try; set it aside if that is not possible."""
        failure = self._hindrances[job.job_id].failure
        if job.state not in _GIVEN_UP and self._rejected(job, failure, wall=wall):
            self.clear(job.job_id)
        else:
            self.set_aside(job.job_id)

    def _rejected(self, job: Job, failure: Failure, *, wall: float) -> bool:
        """Return True if the job could be saved as REJECTED; what was published is taken back."""
        folder = self._store.folder(job)
        if not self.is_set_aside(job.job_id):
            announce_rejection(job, folder, failure)
        error = caught(
            lambda: self._store.save(withdrawn(folder, job, failure, self._folders, now=wall))
        )
        if error is not None:
            log.debug("job.not_rejected", job_id=job.job_id, reason=str(error))
        return error is None


def log_hindrance(job_id: str, folder: Path, hindrance: Hindrance) -> None:
    """Log what hinders a job; ``folder``: the job's."""
    with job_bound(job_id, folder / LOG_FILE):
        log.warning(
            "job.hindered",
            film=hindrance.film,
            sentence=hindrance.failure.sentence,
            tries=hindrance.tries,
        )


def announce_rejection(job: Job, folder: Path, failure: Failure) -> None:
    """Log that a job is about to be rejected; ``folder``: the job's."""
    with job_bound(job.job_id, folder / LOG_FILE):
        log.warning("job.given_up", film=printable(job.name), sentence=failure.sentence)


def caught(action: Action) -> Exception | None:
    """Run ``action``; return its exception, if any.

    Any exception, not only OSError: a bug that one film provokes must not stop the others. It is
    logged with its traceback.
    """
    try:
        action()
    except (OSError, FolderError, BrokenJob, NewerJob) as error:
        log.debug("job.step_failed", exc_info=True)
        return error
    except Exception as error:
        log.exception("job.step_failed")
        return error
    return None


def _is_missing(folder: Path) -> bool:
    """Return True if a job's folder is not listed in its instance folder any more."""
    try:
        return folder.name not in {path.name for path in folder.parent.iterdir()}
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _source_is_gone(folder: Path, job: Job) -> bool:
    try:
        return not source_is_there(folder, job)
    except OSError:
        return False


def _failure_of(error: Exception, film: str, step: Step, instance: Path) -> Failure:
    """Return the record of an error that is one film's alone; ``instance``: our folder."""
    detail = f"{type(error).__name__}: {error}"
    if not isinstance(error, OSError):
        expected = isinstance(error, FolderError | BrokenJob | NewerJob)
        remedy = Remedy.FIX_HOST if expected else Remedy.FIX_CODE
        more = "" if expected else " Please report this with the log."
        sentence = f"{film}: {step.phrase}: {printable(str(error)).rstrip('.')}.{more}"
        return Failure(FilmBlocked.__name__, remedy, sentence, detail)
    paths = [str(path) for path in (error.filename2, error.filename) if path]
    # Of the two paths of a rename the one that users can see; job folders are ours.
    paths.sort(key=lambda path: path.startswith(str(instance)))
    path = printable(paths[0]) if paths else "its file"
    sentence = f"{film}: {step.phrase}: {path} {film_hint_for(error)}"
    kind = NameRefused if error.errno in NAME_ERRNOS else FilmBlocked
    return Failure(kind.__name__, kind.remedy, sentence, detail)


def _subject(job_id: str) -> str:
    """Return the name of the host problem with one job."""
    return f"job {job_id}"
