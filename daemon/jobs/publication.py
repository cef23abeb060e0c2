"""One job on its way out: published, rejected or withdrawn by a thread of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path

from daemon.config.locations import FolderSettings
from daemon.folders.name_limits import with_portable_names
from daemon.jobs import claims
from daemon.jobs.history_view import ERROR_ENDING, REPORT_ENDING
from daemon.jobs.isolation import Step
from daemon.jobs.job import LOG_FILE, Job, JobState, load_job, save_job
from daemon.jobs.job_events import JobEvents
from daemon.jobs.publish import publish, reject, sidecar_of, withdrawn
from daemon.jobs.report_files import write_error
from daemon.jobs.step_thread import StepThread
from daemon.runtime.log_limits import shorten_if_we_may
from daemon.storage.failpoints import failpoint
from daemon.workers.messages import Failure

SPEED_SAMPLES = 10
"""Samples that a speed is the mean of; one is taken in each turn, about a second apart. Guess."""

Recorder = Callable[[Job, str], None]
"""Adds a published job to the history, with the path of its film below done/ or failed/."""


class Publication(StepThread):
    """Publication of one job that has ended: the work of a thread, and its progress.

    Args:
        job: the job as it is held.
        step: kind of the step, for ``JobIsolation``.
        folder: the job folder.
        folders: where to publish.
        disks: numbers of the disks that may be copied to.
        events: writes the event of its outcome.
    """

    def __init__(
        self,
        job: Job,
        step: Step,
        folder: Path,
        folders: FolderSettings,
        *,
        disks: frozenset[int],
        events: JobEvents,
    ) -> None:
        super().__init__(job, step)
        self.disks = disks
        self.recorded = False  # it is in the history
        self.released = False  # its folder is gone
        self.tidy = True  # False: files of the folder are left over, under a hidden name
        self._folder = folder
        self._folders = folders
        self._events = events
        self._samples: deque[tuple[float, int]] = deque(maxlen=SPEED_SAMPLES)

    # --- for the main loop ------------------------------------------------------------------

    def sample(self, *, now: float) -> None:
        """Note how many bytes are done, for ``bytes_per_second``; ``now``: monotonic seconds."""
        file = self.progress.file
        done = file.copied_bytes + file.checked_bytes if file is not None else 0
        if self._samples and done < self._samples[-1][1]:  # another file
            self._samples.clear()
        self._samples.append((now, done))

    @property
    def bytes_per_second(self) -> float:
        """Speed of copying or checking over the last samples; 0 if it is not known yet."""
        if len(self._samples) < 2:
            return 0.0
        (since, done_then), (until, done) = self._samples[0], self._samples[-1]
        return (done - done_then) / (until - since) if until > since else 0.0

    # --- in the thread ----------------------------------------------------------------------

    def publish(self, record: Recorder, *, recorded: bool) -> None:
        """Publish the job, record it and remove its folder; sets ``error``, raises nothing.

        Args:
            record: adds the job to the history.
            recorded: it is in the history already, and only its folder could not be removed.
        """
        self.recorded = recorded
        self.run(lambda: self._publish(record))

    def withdraw(self, failure: Failure, *, wall: float) -> None:
        """Take back what was published and save the job as REJECTED; sets ``error``.

        Args:
            failure: the reason.
            wall: seconds since 1970.
        """
        self.change_job(lambda: self._withdrawn(failure, wall))

    def _publish(self, record: Recorder) -> None:
        if self.job.state in (JobState.FINISHED, JobState.REJECTED):
            self._events.expect(self._folder)
            self.job = self._published(load_job(self._folder))  # it may have target names by now
        self.progress.check()
        if not self.recorded:
            record(self.job, published_as(self.job))
            self.recorded = True
        failpoint("history.after_record")
        self._events.publish(self._folder, self.job, published_as(self.job))
        published = {placement.file for placement in self.job.placements}
        # With ``keep_originals`` off the source is no file to publish: it goes with the folder.
        with_source = self.job.state is JobState.DONE and self.job.source not in published
        self.tidy = claims.discard(self._folder, with_source=with_source)
        self.released = True

    def _published(self, job: Job) -> Job:
        """Return the job as DONE or FAILED, with its files in the result folders."""
        shorten_if_we_may(self._folder / LOG_FILE)
        if job.state is JobState.FINISHED:
            folders = with_portable_names(self._folders, "done", "originals")
            return publish(self._folder, job, folders, progress=self.progress)
        if not job.placements:
            write_error(self._folder, job)
            failpoint("reject.after_explanation")
        folders = with_portable_names(self._folders, "failed")
        return reject(self._folder, job, folders, progress=self.progress)

    def _withdrawn(self, failure: Failure, wall: float) -> Job:
        job = withdrawn(
            self._folder, self.job, failure, self._folders, now=wall, progress=self.progress
        )
        save_job(self._folder, job)
        failpoint("withdraw.after_save")
        return job


def published_as(job: Job) -> str:
    """Return the path of the published film below its folder, by its report if there is one."""
    sidecar = sidecar_of(job)
    if sidecar is not None:
        return sidecar.name.removesuffix(REPORT_ENDING).removesuffix(ERROR_ENDING)
    film = job.result if job.state is JobState.DONE else job.source
    return next((one.name for one in job.placements if one.file == film), job.name)
