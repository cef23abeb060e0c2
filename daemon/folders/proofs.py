"""Proof of single folders while the daemon runs: is an error the folder's, or one film's alone?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from daemon.config.locations import FolderSettings
from daemon.folders.bounded_calls import LONG_ANSWER_SECONDS, BoundedCalls
from daemon.folders.checks import free_bytes, paths_of, prove_claim, prove_folder, total_bytes
from erasecore.errors import ConfigError, FolderError

PROOF_SECONDS = 1.0
"""Time for which the result of a proof is used again, in seconds: a job that fails in each turn
must not prove a folder in each turn. A guess."""


@dataclass(frozen=True, slots=True)
class _Verdict:
    """Result of the last proof of a folder."""

    error: ConfigError | FolderError | None  # None: the folder works
    proved_at: float  # monotonic seconds


class FolderProofs:
    """Proofs of the folders by role, each kept for ``PROOF_SECONDS``.

    Args:
        folders: the configured folders, which were proved at start-up.
        token: unique text for the names of the trial files.
        check_mounts: raises FolderGone if a folder is not on its mount any more. Without it, a
            proof would succeed on the local disk under the mount point.
    """

    def __init__(
        self, folders: FolderSettings, *, token: str, check_mounts: Callable[[], None]
    ) -> None:
        self._folders = folders
        self._token = token
        self._check_mounts = check_mounts
        self._verdicts: dict[str, _Verdict] = {}
        self._calls = BoundedCalls()

    def error_of(self, role: str, *, now: float, fresh: bool = False) -> Exception | None:
        """Return the error of a folder, proved now or less than ``PROOF_SECONDS`` ago, if any.

        Args:
            role: key of the folder in the section ``folders``.
            now: monotonic time in seconds.
            fresh: prove it now in any case.
        """
        last = self._verdicts.get(role)
        if not fresh and last is not None and 0.0 <= now - last.proved_at < PROOF_SECONDS:
            return last.error
        error = self._proved(role)
        self._verdicts[role] = _Verdict(error, now)
        return error

    def _proved(self, role: str) -> ConfigError | FolderError | None:
        path = paths_of(self._folders)[role]
        try:
            prove = lambda: self._prove(role, path)  # noqa: E731 - for ``run``
            self._calls.run(role, prove, place=path, seconds=LONG_ANSWER_SECONDS)
        except (ConfigError, FolderError) as error:
            return error
        return None

    def _prove(self, role: str, path: Path) -> None:
        """Prove a folder in the thread that calls this; it may hang.

        Raises:
            ConfigError, FolderError: the folder does not work.
        """
        self._check_mounts()
        prove_folder(role, path, token=self._token)
        if role == "inbox":
            prove_claim(self._folders, token=self._token)

    def shortage_of(self, role: str, needed_bytes: int) -> FolderError | None:
        """Return the error of a folder that has less than ``needed_bytes`` free, if any.

        None as well if its whole disk is smaller than that: then the film is too large.
        """
        path = paths_of(self._folders)[role]
        space = lambda: (free_bytes(path), total_bytes(path))  # noqa: E731 - for ``run``
        try:
            free, total = self._calls.run(f"space of {role}", space, place=path)
            if free >= needed_bytes or total < needed_bytes:
                return None
        except FolderError as error:
            return error
        return FolderError(
            path,
            f"folders.{role} has less than {needed_bytes >> 20} MB free; free some space or raise "
            "the quota.",
        )
