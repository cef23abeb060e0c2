"""Blame: an error met while working on one job is the host's only if a folder's proof fails."""

from __future__ import annotations

from collections.abc import Iterable

from daemon.folders.proofs import FolderProofs
from daemon.jobs.retry import Blame
from daemon.runtime.host_problems import HostProblems
from erasecore.errors import NO_ROOM, FolderError


class FolderBlame:
    """Proves the folders that an error may be due to, and reports those that fail as problems."""

    def __init__(self, proofs: FolderProofs, problems: HostProblems) -> None:
        self._proofs = proofs
        self._problems = problems
        self._broken_roles: set[str] = set()  # folders that failed their last proof

    def of(self, error: Exception, roles: tuple[str, ...], *, now: float, size: int = 0) -> Blame:
        """Return the owner of an error of one job's step; report the folders that fail.

        Args:
            error: the error; only an OSError or a FolderError can be the host's.
            roles: the folders that the step needs.
            now: monotonic time in seconds.
            size: bytes that the folders must have room for, if the error is about room.
        """
        if not isinstance(error, OSError | FolderError):
            return Blame.JOB
        if isinstance(error, OSError) and error.errno not in NO_ROOM:
            size = 0
        blame = Blame.JOB
        for role in roles:
            problem = self._proofs.error_of(role, now=now)
            if problem is None and size:
                problem = self._proofs.shortage_of(role, size)
            if problem is not None:
                blame = Blame.HOST
                self._report(role, problem, now=now)
        return blame

    def of_scan(self, errors: Iterable[OSError], *, now: float) -> None:
        """Prove the inbox if entries of it could not be examined; report it if it fails.

        Args:
            errors: the errors of a scan.
            now: monotonic time in seconds.
        """
        for error in errors:
            self.of(error, ("inbox",), now=now)
            return

    def host_is_broken(self, *, now: float) -> bool:
        """Return True while the queue waits for a problem of the host."""
        return self._problems.blocked(now=now)

    def recheck(self, *, now: float) -> None:
        """Prove the folders again that failed, once their pause is over."""
        for role in sorted(self._broken_roles):
            if self._problems.until_of(_subject(role)) > now:
                continue
            problem = self._proofs.error_of(role, now=now, fresh=True)
            if problem is None:
                self._broken_roles.discard(role)
                self._problems.clear(_subject(role))
            else:
                self._report(role, problem, now=now)

    def _report(self, role: str, problem: Exception, *, now: float) -> None:
        self._broken_roles.add(role)
        self._problems.report(_subject(role), str(problem), now=now)


def _subject(role: str) -> str:
    """Return the name of the host problem with one folder."""
    return f"folders.{role}"
