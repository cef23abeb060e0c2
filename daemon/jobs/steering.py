"""Changes of held jobs that people ask for: cancel a film, or put it first."""

from __future__ import annotations

from pathlib import Path

import structlog

from daemon.jobs.job import LOG_FILE, Job, preferred, rejected
from daemon.jobs.store import JobStore
from daemon.runtime.logs import job_bound
from daemon.storage.failpoints import failpoint
from daemon.workers.messages import Failure
from erasecore.errors import InputError, printable

log = structlog.get_logger(__name__)


class Cancelled(InputError):
    """A person has taken the film out of the queue."""

    def __init__(self, path: Path, by: str) -> None:
        super().__init__(path, f"cancelled by {by}; requeue it to have it done after all.")


def cancel_job(store: JobStore, job: Job, by: str, *, wall: float) -> None:
    """Give up a job that has not ended, because a person asked for it.

    Args:
        store: the store that holds it.
        job: the job, without a worker.
        by: the person, printable.
        wall: seconds since 1970.

    Raises:
        OSError: ``job.json`` cannot be written; nothing has changed.
    """
    error = Cancelled(Path(job.name), by)
    failure = Failure(type(error).__name__, error.remedy, str(error))
    with job_bound(job.job_id, store.folder(job) / LOG_FILE):
        log.info("job.cancelled", film=printable(job.name), by=by)
    store.save(rejected(job, failure, now=wall))
    failpoint("attempt.after_cancel")


def prefer_job(store: JobStore, job: Job, by: str, *, wall: float) -> None:
    """Put a job first in the queue, because a person asked for it.

    Args:
        store: the store that holds it.
        job: the job, which has not ended.
        by: the person, printable.
        wall: seconds since 1970.

    Raises:
        OSError: ``job.json`` cannot be written; nothing has changed.
    """
    with job_bound(job.job_id, store.folder(job) / LOG_FILE):
        log.info("job.preferred", film=printable(job.name), by=by)
    store.save(preferred(job, now=wall))
    failpoint("attempt.after_preference")
