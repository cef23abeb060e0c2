"""Errors of this machine and its folders; the operator can correct them."""

from __future__ import annotations

from pathlib import Path

from erasecore.errors.base import HostError, printable


class ConfigError(HostError):
    """The configuration cannot be used; the text names the file and the key."""


class FolderError(HostError):
    """One of the five folders cannot be used."""

    def __init__(self, path: Path, sentence: str) -> None:
        self.path = path
        super().__init__(f"{path}: {sentence}")


class ClaimRefused(FolderError):
    """A film, or any film of a folder, cannot be moved out of the inbox: permissions, or in use."""


class FolderGone(FolderError):
    """A folder is missing or not the one known from before: its share is probably not mounted."""


class FolderSilent(FolderError):
    """A folder's disk or share does not answer: whoever touches it hangs."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            path,
            "does not answer; look at its server, the network and the disk. When it answers, all "
            "goes on by itself.",
        )


class DiskFull(HostError):
    """The disk of a folder, or its quota, is full."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(
            f"{path}: no space left; free some or raise the quota, the queue goes on by itself."
        )


class FilmBlocked(HostError):
    """A step on one film failed again and again, although the folders themselves work."""


class SourceGone(HostError):
    """The source of a claimed film was removed from work/ by somebody else."""


class NewerJob(HostError):
    """A film in work/ was taken by a later release, whose job.json this one does not understand.

    Args:
        folder: the job folder.
        film: path of the film below the inbox.
        version: version of its job.json.
        known: highest version that this release knows.
    """

    def __init__(self, folder: Path, film: str, version: int, known: int) -> None:
        super().__init__(
            f"{printable(film)}: a later release was at it (job.json has version {version}, this "
            f"release knows {known}); install that release again, or move the film from {folder} "
            "back into the inbox."
        )


class EngineMissing(HostError):
    """The configured engine cannot be created on this machine."""

    def __init__(self, name: str, sentence: str) -> None:
        super().__init__(f"engine {name}: {sentence}")


class DeviceBroken(HostError):
    """The graphics card is broken, missing or busy: no process can use it."""

    def __init__(self, detail: str) -> None:
        super().__init__(
            f"{detail}: the graphics card is not usable; see what nvidia-smi and the system's log "
            "say, reset or replace it, or set engine: propagate."
        )
