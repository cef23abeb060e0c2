"""Our own instance folder below ``work/``: acquired, kept by a heartbeat, released at the end.

The same object watches the heartbeats of the other instances and tells whose lease has expired.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import structlog

from daemon.config.schema import Config
from daemon.jobs import claims, instances
from daemon.jobs.instances import Leases
from daemon.jobs.owner_lock import is_file_of
from daemon.jobs.request_folders import make_request_folders

log = structlog.get_logger(__name__)

CHECKS_PER_LEASE = 4
"""Checks of the other instances during one lease; a guess."""


class InstanceLease:
    """Lease on our instance folder; another daemon takes the folder if the heartbeat stops."""

    folder: Path  # our instance folder; unset before the first ``acquire``

    def __init__(self, config: Config) -> None:
        self._work = config.folders.work
        self._settings = config.claims
        self._me = instances.this_process(config.claims.instance)
        self._leases = Leases(config.claims.lease_seconds)
        self._renewed_at = self._checked_at = float("-inf")  # monotonic seconds
        self._lock: int | None = None  # handle of ``owner.json``; while it is open we live
        self._has_inodes = True  # False: a file's inode number changes (some FUSE filesystems)

    def reconfigure(self, config: Config) -> None:
        """Use the heartbeat and lease times of ``config``; the folder stays where it is."""
        self._settings = config.claims
        self._leases.reconfigure(config.claims.lease_seconds)

    def acquire(self, token: str) -> Path:
        """Create and return a new instance folder; ``token`` makes its name unique."""
        self._unlock()
        self.folder, self._lock = instances.open_instance(
            self._work, self._me, token, make_request_folders
        )
        self._renewed_at = self._checked_at = float("-inf")
        return self.folder

    def renewal_due(self, *, now: float) -> bool:
        """Return True if the last heartbeat is ``heartbeat_seconds`` old."""
        return now - self._renewed_at >= self._settings.heartbeat_seconds

    def renew(self, *, now: float) -> bool:
        """Send a heartbeat; False if another daemon has taken our folder over."""
        self._renewed_at = now
        return instances.beat(self.folder) and self._keep_lock()

    def _keep_lock(self) -> bool:
        """Hold the lock on the owner file that is there now; False if there is none."""
        if self._lock is None or not self._has_inodes:
            return True
        again = instances.lock_again(self.folder, self._lock)
        if again is None:
            return False
        if again != self._lock:
            self._lock = again
            log.warning("claims.owner_file_replaced", instance=self.folder.name)
            with suppress(FileNotFoundError):  # the next heartbeat tells
                self._has_inodes = is_file_of(again, self.folder / instances.OWNER_FILE)
        return True

    def abandoned_if_due(self, *, now: float) -> list[Path]:
        """Return the abandoned instance folders; an empty list between two checks."""
        if now - self._checked_at < self._settings.lease_seconds / CHECKS_PER_LEASE:
            return []
        self._checked_at = now
        return instances.abandoned(self._work, self._me, self._leases, now=now)

    def next_due(self) -> float:
        """Return the monotonic time of the next heartbeat or check, whichever is first."""
        return min(
            self._renewed_at + self._settings.heartbeat_seconds,
            self._checked_at + self._settings.lease_seconds / CHECKS_PER_LEASE,
        )

    def release(self) -> None:
        """Remove our instance folder if no job is left in it.

        Raises:
            OSError: the folder cannot be read; it is left as it is.
        """
        self._unlock()  # first: NFS and SMB keep a removed file, and its folder, while it is open
        claims.release_claim(self.folder)

    def _unlock(self) -> None:
        """Release the lock on the owner file: jobs left in the folder are anybody's."""
        if self._lock is not None:
            with suppress(OSError):  # close(2) tells of earlier errors, e.g. of a dead share
                os.close(self._lock)
            self._lock = None
