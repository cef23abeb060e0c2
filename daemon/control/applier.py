"""Carrying out of requests: one method for each command, each of which may be repeated.

A method returns the answer, or None if the request has to wait, e.g. while a thread owns the job.
Called again after a crash it finds out how far it came: from the state of the job, or from whether
the film still lies where it was.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import TypeAlias

from daemon.config.schema import Config
from daemon.control.film_search import find_film, is_unchanged
from daemon.control.journal import Answer, RequestRecord, Target, accepted, refused
from daemon.control.reach import Reach
from daemon.control.redoer import Redoer
from daemon.control.requests import (
    CancelFilm,
    HandBackFilm,
    PauseQueue,
    PreferFilm,
    RedoFilm,
    Request,
    ResumeQueue,
)
from daemon.inbox.left_films import LeftFilm
from daemon.jobs import claims
from daemon.jobs.job import Job, JobState
from daemon.jobs.pause import Pause, clock_text
from daemon.jobs.steering import Cancelled, cancel_job, prefer_job
from daemon.jobs.unclaim import has_free_names, unclaim
from erasecore.errors import printable

JobAction: TypeAlias = Callable[[Job, RequestRecord, float, float], Answer | None]
"""Does something with a job; gets the request, the monotonic and the system time in seconds."""
LEFT = "it is in the inbox, and this daemon leaves it alone; `prefer` takes it again."
"""Answer to a film that was handed back."""
WITH_SOURCE = (JobState.CLAIMED, JobState.QUEUED, JobState.RUNNING)
"""States of a job that can be cancelled, preferred or handed back."""


class RequestApplier:
    """Carries out requests on the parts within ``reach``."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._redoer = Redoer(reach)

    def reconfigure(self, config: Config) -> None:
        """Use the folders and the default erase settings of ``config`` from now on."""
        self._reach = self._reach.reconfigured(config)
        self._redoer.reconfigure(self._reach)

    def target_of(self, request: Request) -> Target | None:
        """Return the film that a request is about; None if it is about the queue.

        Raises:
            NoSuchFilm: there is no such film of ours; the text is the answer.
            OSError: a folder cannot be read.
        """
        if isinstance(request, PauseQueue | ResumeQueue):
            return None
        if isinstance(request, RedoFilm):
            return self._redoer.target_of(request)
        return find_film(request.film, self._reach)

    def apply(self, record: RequestRecord, *, now: float, wall: float) -> Answer | None:
        """Carry out a request; return the answer, None if it has to wait.

        Args:
            record: the request, with the film that it is about.
            now: monotonic time in seconds.
            wall: seconds since 1970.

        Raises:
            OSError: it failed; the call may be repeated.
        """
        request = record.request
        if isinstance(request, PauseQueue | ResumeQueue):
            return self._apply_to_queue(request, record, now, wall)
        assert record.target is not None
        if isinstance(request, CancelFilm):
            return self._on_job(record, self._cancel, now, wall)
        if isinstance(request, PreferFilm):
            return self._prefer(record, now, wall)
        if isinstance(request, HandBackFilm):
            return self._hand_back(record, record.target, now, wall)
        return self._redoer.apply(record, record.target)

    # --- the queue ------------------------------------------------------------------------------

    def _apply_to_queue(
        self, request: PauseQueue | ResumeQueue, record: RequestRecord, now: float, wall: float
    ) -> Answer:
        reach = self._reach
        if request.daemon not in ("", reach.host):
            return refused(f"the daemon of {printable(request.daemon)} has ended; ask again.")
        if isinstance(request, PauseQueue):
            return self._pause(request, record, now, wall)
        pause = reach.pauses.current(wall=wall)
        if pause is None:
            return accepted("it is not paused.")
        if pause.since > record.at:  # done before a crash; somebody has paused again since
            return accepted("resumed.")
        reach.pauses.end(record.by)
        return accepted("resumed.")

    def _pause(self, request: PauseQueue, record: RequestRecord, now: float, wall: float) -> Answer:
        until = request.until
        if request.for_seconds is not None:
            until = record.at + request.for_seconds
        if until is not None and until <= wall:
            return refused(f"that is over: here it is {clock_text(wall)}.")
        pause = Pause(record.by, record.at, until, record.request_id)
        if self._reach.pauses.current(wall=wall) != pause:
            self._reach.pauses.begin(pause)
        if request.at_once:
            self._reach.interrupt(now=now, wall=wall)
        rest = "films at work wait, too" if request.at_once else "films at work are finished"
        return accepted(f"{pause.sentence()}; {rest}.")

    # --- films ----------------------------------------------------------------------------------

    def _on_job(
        self,
        record: RequestRecord,
        act: JobAction,
        now: float,
        wall: float,
    ) -> Answer | None:
        """Do something with the job of a request; a film of the inbox is claimed for it first.

        Args:
            record: the request.
            act: what to do.
            now: monotonic time in seconds.
            wall: seconds since 1970.
        """
        target = record.target
        assert target is not None
        job = self._reach.jobs.store.jobs.get(target.job_id)
        if job is None and is_unchanged(target, self._reach.folders.inbox):
            candidate = self._reach.inbox.find(target.name)
            if candidate is None:
                return None  # until the next scan, or until it is settled again
            job = self._reach.claim(candidate, target.job_id, now=now, wall=wall)
            if job is None and not self._reach.jobs.store.has_orphans:
                return refused("it cannot be taken from the inbox now; ask again.")
        if job is None:
            if self._reach.jobs.store.has_orphans:
                return None  # it may be among them
            return refused("it is not in the inbox or at work any more.")
        if target.job_id in self._reach.jobs.claimer.owned():
            return None  # until its mask is copied
        return act(job, record, now, wall)

    def _interrupted(self, job: Job, now: float, wall: float) -> Job | None:
        """Return a job without a worker, None if that cannot be saved now."""
        if job.state is JobState.RUNNING:
            self._reach.interrupt(job.job_id, now=now, wall=wall)
            job = self._reach.jobs.store.jobs[job.job_id]
        return None if job.state is JobState.RUNNING else job

    def _cancel(self, job: Job, record: RequestRecord, now: float, wall: float) -> Answer | None:
        cancelled = accepted("cancelled; it goes to failed/, `requeue` puts it back.")
        if job.state in WITH_SOURCE:
            folder = self._reach.jobs.store.folder(job)
            if job.state is JobState.CLAIMED and not claims.untouched(folder, job):
                return None  # its sender still writes to it: a copy to failed/ would be cut short
            idle = self._interrupted(job, now, wall)
            if idle is None:
                return None
            cancel_job(self._reach.jobs.store, idle, record.by, wall=wall)
            self._reach.jobs.isolation.clear(job.job_id)
            return cancelled
        if job.failure is not None and job.failure.error == Cancelled.__name__:
            return cancelled  # before a crash
        return refused(_ended(job))

    def _prefer(self, record: RequestRecord, now: float, wall: float) -> Answer | None:
        target = record.target
        assert target is not None
        if target.signature is not None:
            self._reach.left.remove(target.name)
        return self._on_job(record, self._put_first, now, wall)

    def _put_first(self, job: Job, record: RequestRecord, _now: float, wall: float) -> Answer:
        if job.state not in WITH_SOURCE:
            return refused(_ended(job))
        if job.state is JobState.RUNNING:
            return accepted("it is being worked on already.")
        if job.preferred_at < record.at:
            prefer_job(self._reach.jobs.store, job, record.by, wall=wall)
        return accepted("it goes first, as soon as a worker is free.")

    def _hand_back(
        self, record: RequestRecord, target: Target, now: float, wall: float
    ) -> Answer | None:
        jobs = self._reach.jobs
        job = jobs.store.jobs.get(target.job_id)
        if job is None:
            return None if jobs.store.has_orphans else self._leave_in_inbox(record, target)
        if job.state not in WITH_SOURCE:
            return refused(_ended(job))
        folder, inbox = jobs.store.folder(job), self._reach.folders.inbox
        if not has_free_names(folder, job, inbox):
            return refused(
                f"the inbox has another {printable(PurePosixPath(job.name).name)}, or settings or "
                "subtitles of that name; rename those."
            )
        idle = None if job.job_id in jobs.claimer.owned() else self._interrupted(job, now, wall)
        if idle is None:
            return None
        status = (folder / job.source).lstat()
        self._reach.left.add(LeftFilm(job.name, status.st_size, status.st_mtime_ns, record.by))
        jobs.store.release(idle)
        jobs.store.expect_orphans()  # if this fails, the job is taken up again from its folder
        unclaim(folder, idle, inbox, now=wall)
        jobs.isolation.clear(job.job_id)
        self._reach.inbox.request_rescan()
        return accepted(LEFT)

    def close(self) -> None:
        """Stop the copies of originals; they are made at the next start."""
        self._redoer.close()

    def _leave_in_inbox(self, record: RequestRecord, target: Target) -> Answer:
        """Leave a film alone that is in the inbox, or was put there before a crash."""
        found = target.signature
        if found is not None and is_unchanged(target, self._reach.folders.inbox):
            film = LeftFilm(target.name, found.size_bytes, found.mtime_ns, record.by)
            self._reach.left.add(film)
            candidate = self._reach.inbox.find(target.name)
            if candidate is not None:
                self._reach.inbox.take(candidate)
            self._reach.inbox.request_rescan()
        return accepted(LEFT)


def _ended(job: Job) -> str:
    """Return why nothing can be done with a job that has ended."""
    if job.state in (JobState.FINISHED, JobState.DONE):
        return "it is done already, and is being published; `redo` has it done again."
    return "it has failed, or was cancelled, already; `requeue` puts it back."
