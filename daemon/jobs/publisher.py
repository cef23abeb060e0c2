"""Publication of the held jobs that have ended: into the result folders and into the history."""

from __future__ import annotations

from pathlib import Path

import structlog

from daemon.config.schema import Config
from daemon.jobs import claims
from daemon.jobs.history import History
from daemon.jobs.history_view import REPORT_ENDING
from daemon.jobs.job import LOG_FILE, Job, JobState, load_job
from daemon.jobs.publish import publish, reject, sidecar_of, target
from daemon.jobs.report_files import write_error
from daemon.jobs.store import JobStore
from daemon.runtime.log_limits import shorten_if_we_may
from daemon.storage.failpoints import failpoint
from daemon.storage.moves import Tick, no_tick
from erasecore.errors import printable

log = structlog.get_logger(__name__)


class Publisher:
    """Publishes the jobs of a store that are finished or rejected, then releases them."""

    def __init__(self, store: JobStore, history: History, config: Config) -> None:
        self._store = store
        self._history = history
        self.ended: list[Job] = []  # published since the start, for the exit code of ``once``
        self.reconfigure(config)

    def reconfigure(self, config: Config) -> None:
        """Publish into the folders of ``config`` from now on."""
        self._folders = config.folders

    def publish_finished(self, *, tick: Tick = no_tick) -> int:
        """Publish and release every job that has ended; return how many jobs these were.

        Args:
            tick: callback for each file and each piece of a long copy, e.g. a heartbeat.

        Raises:
            OSError: a folder cannot be written to; the call may be repeated.
        """
        pending = self._store.states(
            JobState.FINISHED, JobState.REJECTED, JobState.DONE, JobState.FAILED
        )
        for job in pending:
            self._publish_job(job, tick)
        return len(pending)

    def _publish_job(self, job: Job, tick: Tick) -> None:
        folder = self._store.folder(job)
        if job.state in (JobState.FINISHED, JobState.REJECTED):
            folder.stat()  # raises if another daemon took the job over, believing us dead
            job = load_job(folder)  # a try that failed may have saved the target names
            shorten_if_we_may(folder / LOG_FILE)
        if job.state is JobState.FINISHED:
            job = publish(folder, job, self._folders, tick=tick)
        elif job.state is JobState.REJECTED:
            if not job.placements:
                write_error(folder, job)
                failpoint("reject.after_explanation")
            job = reject(folder, job, self._folders, tick=tick)
        self._store.hold(job)
        self._record(job)
        failpoint("history.after_record")
        claims.discard(folder)
        self._store.release(job)
        self.ended.append(job)

    def _record(self, job: Job) -> None:
        """Add the published job to the history and to the log."""
        sidecar = sidecar_of(job)
        if sidecar is None:
            return
        root: Path = getattr(self._folders, sidecar.place.value)
        self._history.record_published(target(self._folders, sidecar), root)
        film = printable(job.name)
        if job.state is JobState.DONE:
            result = printable(sidecar.name.removesuffix(REPORT_ENDING))
            log.info("job.done", job_id=job.job_id, film=film, result=result)
        else:
            sentence = job.failure.sentence if job.failure else ""
            log.warning("job.failed", job_id=job.job_id, film=film, sentence=sentence)
