"""Errors of the diffusion engine's weights and of their download; for the operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from erasecore.errors.base import HostError

MEND = "`subtitle-eraser models fetch`"
"""Command that downloads missing weights and replaces damaged ones."""
_MAX_NAMED_FILES = 3  # in one sentence; the others are only counted


class WeightsMissing(HostError):
    """Weights of the diffusion engine are missing."""

    def __init__(self, models: Path, missing: Sequence[str]) -> None:
        self.missing = tuple(missing)
        unnamed = len(missing) - _MAX_NAMED_FILES
        more = f" and {unnamed} more" if unnamed > 0 else ""
        lacking = ", ".join(missing[:_MAX_NAMED_FILES]) + more
        super().__init__(f"{models}: lacks {lacking}; run {MEND}, or set engine: propagate.")


class WeightsDamaged(HostError):
    """Weights differ from the files that were downloaded, or cannot be read.

    Args:
        models: the models folder.
        faults: file name -> its problem, e.g. "is missing".
    """

    def __init__(self, models: Path, faults: Mapping[str, str]) -> None:
        self.faults = dict(faults)
        named = [f"{name} {problem}" for name, problem in list(faults.items())[:_MAX_NAMED_FILES]]
        unnamed = len(faults) - _MAX_NAMED_FILES
        more = f"; and {unnamed} more" if unnamed > 0 else ""
        super().__init__(f"{models}: {'; '.join(named)}{more}. Run {MEND}, which mends just that.")


class NoRoom(HostError):
    """The disk has not enough free space for the weights to download."""

    def __init__(self, path: Path, needed_bytes: int, free_bytes: int) -> None:
        super().__init__(
            f"{path}: {needed_bytes / 1e9:.2f} GB are needed, {free_bytes / 1e9:.2f} GB are free; "
            "free some, or set models.folder to a larger disk. Nothing was fetched."
        )


class HubUnreachable(HostError):
    """The hub (download server) does not answer, or answers with an error."""

    def __init__(self, hub: str, detail: str, key: str) -> None:
        super().__init__(
            f"{hub}: {detail}. Check the network, HTTPS_PROXY and {key}, then run the same command "
            "again; it goes on where it was."
        )


class HubRefused(HostError):
    """The hub requires a token, or does not give this account access to the repository."""

    def __init__(self, hub: str, repository: str, detail: str, token: str) -> None:
        super().__init__(
            f"{hub}: {repository} is refused ({detail}). Accept its terms on its page there, make "
            f"a token that may read it, and set {token}."
        )


class NotOnHub(HostError):
    """The hub has no such repository, revision or file."""

    def __init__(self, hub: str, problem: str, key: str) -> None:
        super().__init__(f"{hub}: {problem}; correct {key} in the configuration.")


class DownloadDamaged(HostError):
    """A downloaded file does not have the hash or size that the hub announced."""

    def __init__(self, hub: str, name: str) -> None:
        super().__init__(
            f"{hub}: {name} came with other content than announced, twice; a proxy in between may "
            "change it. Fetch from another endpoint, or try again later."
        )


class DownloadRefused(HostError):
    """The hub announces no digest of a file, or another one than was recorded at this revision."""


class BadWeights(HostError):
    """A weights file is unreadable or does not contain the tensors that the networks need."""

    def __init__(self, path: Path, problem: str) -> None:
        self.path = path
        super().__init__(f"{path}: {problem}; put back the published file, or run {MEND}.")
