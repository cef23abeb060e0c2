"""Publication of the held jobs that have ended: into the result folders and into the history."""

from __future__ import annotations

from functools import partial

import structlog

from daemon.config.schema import Config
from daemon.folders.name_limits import with_portable_names
from daemon.jobs import claims
from daemon.jobs.history import History
from daemon.jobs.history_view import ERROR_ENDING, REPORT_ENDING
from daemon.jobs.isolation import DISCARD, PUBLISH, REJECT, JobIsolation
from daemon.jobs.job import LOG_FILE, Job, JobState, load_job
from daemon.jobs.publish import publish, reject, sidecar_of
from daemon.jobs.report_files import entry_of, write_error
from daemon.jobs.store import JobStore
from daemon.runtime.log_limits import shorten_if_we_may
from daemon.storage.failpoints import failpoint
from daemon.storage.moves import Tick, no_tick
from erasecore.errors import printable

log = structlog.get_logger(__name__)


_STEPS = {
    JobState.FINISHED: PUBLISH,
    JobState.REJECTED: REJECT,
    JobState.DONE: DISCARD,
    JobState.FAILED: DISCARD,
}
"""Next step of a job that has ended, by its state."""


class Publisher:
    """Publishes the jobs of a store that are finished or rejected, then releases them."""

    def __init__(
        self, store: JobStore, isolation: JobIsolation, history: History, config: Config
    ) -> None:
        self._store = store
        self._isolation = isolation
        self._history = history
        self._recorded: set[str] = set()  # ids of held jobs that are in the history already
        self.failed_count = (
            0  # jobs moved to failed/ since the start, for the exit code of ``once``
        )
        self.reconfigure(config)

    def reconfigure(self, config: Config) -> None:
        """Publish into the folders of ``config`` from now on."""
        self._folders = config.folders

    def publish_finished(self, *, now: float, wall: float, tick: Tick = no_tick) -> int:
        """Publish and release every job that has ended; return how many were released.

        A job that cannot be published waits alone; a broken folder is reported, and ends the call.

        Args:
            now: monotonic time in seconds.
            wall: seconds since 1970.
            tick: callback for each file and each piece of a long copy, e.g. a heartbeat.
        """
        released = 0
        for job in self._store.states(*_STEPS):
            step = _STEPS[job.state]
            publish_job = partial(self._publish_job, job, tick)
            released += self._isolation.run(job, step, publish_job, now=now, wall=wall)
            if self._isolation.blame.host_is_broken(now=now):
                break
        return released

    def _publish_job(self, job: Job, tick: Tick) -> None:
        folder = self._store.folder(job)
        if job.state in (JobState.FINISHED, JobState.REJECTED):
            job = load_job(folder)  # a try that failed may have saved the target names
            shorten_if_we_may(folder / LOG_FILE)
        if job.state is JobState.FINISHED:
            folders = with_portable_names(self._folders, "done", "originals")
            job = publish(folder, job, folders, tick=tick)
        elif job.state is JobState.REJECTED:
            if not job.placements:
                write_error(folder, job)
                failpoint("reject.after_explanation")
            folders = with_portable_names(self._folders, "failed")
            job = reject(folder, job, folders, tick=tick)
        self._store.hold(job)
        if job.job_id not in self._recorded:  # else only its folder could not be removed
            self._record(job)
            self._recorded.add(job.job_id)
        failpoint("history.after_record")
        published = {placement.file for placement in job.placements}
        # With ``keep_originals`` off the source is no file to publish: it goes with the folder.
        with_source = job.state is JobState.DONE and job.source not in published
        if not claims.discard(folder, with_source=with_source):
            self._store.expect_orphans()
        self._store.release(job)
        self._recorded.discard(job.job_id)
        self.failed_count += job.state is JobState.FAILED

    def _record(self, job: Job) -> None:
        """Add the published job to the history and to the log."""
        outcome = "done" if job.state is JobState.DONE else "failed"
        published_as = _published_as(job)
        self._history.record(entry_of(job, outcome, published_as))
        film = printable(job.name)
        if job.state is JobState.DONE:
            log.info("job.done", job_id=job.job_id, film=film, result=printable(published_as))
        else:
            sentence = job.failure.sentence if job.failure else ""
            log.warning("job.failed", job_id=job.job_id, film=film, sentence=sentence)


def _published_as(job: Job) -> str:
    """Return the path of the published film below its folder, by its report if there is one."""
    sidecar = sidecar_of(job)
    if sidecar is not None:
        return sidecar.name.removesuffix(REPORT_ENDING).removesuffix(ERROR_ENDING)
    film = job.result if job.state is JobState.DONE else job.source
    return next((one.name for one in job.placements if one.file == film), job.name)
