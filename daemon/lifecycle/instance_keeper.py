"""Keeping our instance folder: heartbeat, takeover of abandoned ones, new start when it is lost."""

from __future__ import annotations

import structlog
from ulid import ULID

from daemon.config.schema import Config
from daemon.jobs import claims
from daemon.jobs.instance_lease import InstanceLease
from daemon.lifecycle.folder_watch import FolderWatch
from daemon.lifecycle.instance_parts import InstanceParts, SharedParts
from daemon.runtime.clock_watch import ClockWatch
from daemon.runtime.event_log import EVENT_LOG
from erasecore.errors import FolderError

log = structlog.get_logger(__name__)


class InstanceKeeper:
    """Owns the instance folder and its parts; replaces both if another daemon takes it over."""

    def __init__(
        self, config: Config, shared: SharedParts, folders: FolderWatch, *, preload: bool
    ) -> None:
        self._config = config
        self._shared = shared
        self._folders = folders
        self._clock = ClockWatch()
        self.lease = InstanceLease(config)
        self.parts = self._acquire(preload=preload)

    def _acquire(self, *, preload: bool) -> InstanceParts:
        """Create an instance folder of our own, and the parts that belong to it."""
        instance = self.lease.acquire(str(ULID())[-10:].lower())
        EVENT_LOG.write_to(instance)
        parts = InstanceParts.build(instance, self._config, self._shared, preload=preload)
        parts.controller.watch()
        return parts

    def reconfigure(self, config: Config) -> None:
        """Pass a new configuration to the lease and to the parts."""
        self._config = config
        self.lease.reconfigure(config)
        self.parts.reconfigure(config)

    def keep(self, *, now: float, wall: float) -> None:
        """Send the heartbeat when it is due; take over the jobs of dead daemons.

        If the system clock was set, the jobs' delays stay as long as they are.

        Args:
            now: monotonic time in seconds.
            wall: seconds since 1970.

        Raises:
            OSError: a folder cannot be read or written; the call may be repeated.
            FolderGone: the heartbeat failed because the share is gone.
        """
        if jump_seconds := self._clock.jump_seconds(now=now, wall=wall):
            log.info("clock.set", seconds=round(jump_seconds, 1))
            self.parts.jobs.store.shift_times(jump_seconds)
        if self.parts.jobs.isolation.take_lost():
            self.recover(now=now, wall=wall)
        self.parts.jobs.isolation.blame.recheck(now=now)
        if self.lease.renewal_due(now=now) and not self.lease.renew(now=now):
            self._start_over()
        for abandoned in self.lease.abandoned_if_due(now=now):
            taken = claims.take_over(abandoned, self.lease.folder)
            if taken or not abandoned.exists():  # else it is tried again with each check
                log.info("claims.taken_over", instance=abandoned.name, jobs=len(taken))
            self.parts.jobs.adopter.adopt(taken, now=now, wall=wall)
            self.parts.controller.reread()

    def recover(self, *, now: float, wall: float) -> None:
        """Make memory and disk agree again after a failed turn.

        Forgets the jobs that were taken over, kills their workers, and holds orphans; or starts
        over if the whole folder was taken over. A failure of this is only logged.
        """
        try:
            if self.lease.renew(now=now):
                jobs = self.parts.jobs
                self.parts.kill_workers_of(jobs.store.forget_lost(jobs.publisher.owned()))
                jobs.adopter.reattach_orphans(now=now, wall=wall)
            else:
                self._start_over()
        except (OSError, FolderError):
            log.debug("turn.not_recovered", exc_info=True)

    def _start_over(self) -> None:
        """Give up every job, since another daemon believed us dead and has taken them over."""
        self._folders.verify()  # an unmounted share looks the same, but loses nothing
        log.warning("claims.lost", instance=self.lease.folder.name)
        self.parts.workers.kill()
        self.parts.jobs.stop_threads()
        self.parts.jobs.isolation.forget_all()
        self.parts.controller.close()
        self.parts = self._acquire(preload=False)

    def close(self) -> None:
        """End the workers and the threads, and release the folder."""
        self.parts.controller.close()
        self.parts.jobs.stop_threads()
        self.parts.workers.dismiss()
        self.parts.jobs.close()
        EVENT_LOG.write_to(None)
        try:
            self._folders.call("release", self.lease.release, role="work")
        except (OSError, FolderError):
            log.debug("service.left_folder", exc_info=True)
