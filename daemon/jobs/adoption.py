"""Adoption: job folders of dead daemons, and those a failed step has left, become held jobs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import structlog

from daemon.config.schema import Config
from daemon.jobs import claims
from daemon.jobs.isolation import ADOPT, JobIsolation, caught
from daemon.jobs.job import LOG_FILE
from daemon.jobs.store import JobStore
from daemon.runtime.logs import job_bound
from erasecore.errors import printable

log = structlog.get_logger(__name__)


class Adopter:
    """Recovers the jobs of job folders, each by itself, and holds them in the store."""

    def __init__(self, store: JobStore, isolation: JobIsolation, config: Config) -> None:
        self._store = store
        self._isolation = isolation
        self._orphans: set[str] = set()  # names of job folders that could not be adopted
        self.reconfigure(config)

    def reconfigure(self, config: Config) -> None:
        """Use the inbox folder and the retry limits of ``config`` from now on."""
        self._inbox = config.folders.inbox
        self._retry = config.retry

    def adopt(self, folders: Iterable[Path], *, now: float, wall: float) -> None:
        """Recover and hold the jobs in ``folders``, whatever their state.

        A job that cannot be recovered waits alone; ``reattach_orphans`` tries it again.

        Args:
            folders: job folders directly below our instance folder.
            now: monotonic time in seconds.
            wall: seconds since 1970.
        """
        for folder in folders:
            job_id = folder.name
            if job_id in self._store.jobs:
                continue
            if self._isolation.due(job_id, now=now) and self._adopted(folder, now, wall):
                self._orphans.discard(job_id)
                self._isolation.clear(job_id)
            else:
                self._orphans.add(job_id)
        self._store.expect_orphans(expected=bool(self._orphans))

    def reattach_orphans(self, *, now: float, wall: float) -> None:
        """Hold the jobs of our instance folder that are not held (orphans of a failed step).

        Raises:
            OSError: the instance folder cannot be read; ``has_orphans`` stays set.
        """
        self._store.expect_orphans()
        folders = claims.job_folders(self._store.instance)
        self._orphans &= {folder.name for folder in folders}
        self.adopt(folders, now=now, wall=wall)
        try:
            claims.sweep(self._store.instance)
        except OSError:
            self._store.expect_orphans()
            raise

    def is_stuck(self) -> bool:
        """Return True if every orphan is set aside: trying them again soon is of no use."""
        return all(map(self._isolation.is_set_aside, self._orphans))

    def _adopted(self, folder: Path, now: float, wall: float) -> bool:
        """Return True if the job in one folder is held now, or there was none in it."""
        job_id = folder.name
        error = caught(lambda: self._recover(folder, wall))
        if error is None:
            return True
        known = self._isolation.hindrances().get(job_id)
        name = known.film if known is not None else str(folder)
        if not self._isolation.concerns(job_id, name, ADOPT, error, now=now):
            return False
        if self._given_up(folder, wall):
            return True
        self._isolation.set_aside(job_id)
        return False

    def _recover(self, folder: Path, wall: float) -> None:
        job = claims.recover(folder, self._inbox, self._retry, wall=wall)
        if job is not None:
            self._store.hold(job)
            with job_bound(job.job_id, folder / LOG_FILE):
                log.info("job.recovered", film=printable(job.name), state=job.state.value)

    def _given_up(self, folder: Path, wall: float) -> bool:
        """Return True if a job that cannot be recovered could be rejected."""
        failure = self._isolation.hindrances()[folder.name].failure
        reject = lambda: self._store.hold(claims.reject_unrecovered(folder, failure, wall=wall))  # noqa: E731
        return caught(reject) is None
