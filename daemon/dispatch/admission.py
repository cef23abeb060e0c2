"""Admission control: is there enough memory, and enough disk space, to begin one more film?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from daemon.config.locations import FolderSettings
from daemon.config.schema import Config
from daemon.folders.checks import free_bytes, total_bytes
from daemon.jobs.attempts import AttemptRecorder
from daemon.jobs.store import JobStore
from daemon.workers.admission import Demand, held_bytes, lacking_bytes, needed_bytes
from daemon.workers.host_resources import available_bytes, memory_bytes
from daemon.workers.pool import WorkerPool
from daemon.workers.process import Supervisor, WorkerState
from erasecore.errors import FilmTooLarge, printable


@dataclass(frozen=True, slots=True)
class Shortage:
    """Lack of memory or space for the next film."""

    sentence: str
    passes: bool  # True: films at work will release it; False: the operator must provide it


class MemoryAdmission:
    """Compares the memory that films need with the memory that is available."""

    def __init__(self, store: JobStore, workers: WorkerPool, config: Config) -> None:
        self._store = store
        self._workers = workers
        self.reconfigure(config)

    def reconfigure(self, config: Config) -> None:
        """Use ``worker.film_mb`` of ``config`` from now on."""
        self._film_mb = config.worker.film_mb

    def _needed_bytes(self, pixels: int) -> int:
        return needed_bytes(pixels, self._film_mb, memory_bytes())

    def exceeds_usual(self, pixels: int) -> bool:
        """Return True if a film needs more memory than one of unknown size is assumed to need.

        Args:
            pixels: frame width x height.
        """
        return self._needed_bytes(pixels) > self._needed_bytes(0)

    def lacking_bytes(self, pixels: int, worker: Supervisor | None) -> int:
        """Return how many bytes of memory are missing for a film; 0 if there is enough.

        Memory that the films at work have not used yet counts as used.

        Args:
            pixels: frame width x height; 0: unknown.
            worker: worker that is to have the film; None: one that is still to be started.
        """
        others = [
            Demand(self._needed_bytes(job.pixels if job else 0), held_bytes(busy))
            for busy in self._workers.in_state(WorkerState.LOADING, WorkerState.BUSY)
            if busy is not worker
            for job in [self._store.jobs.get(busy.job_id)]
        ]
        film = Demand(self._needed_bytes(pixels), held_bytes(worker) if worker else 0)
        return lacking_bytes(film, others, available_bytes())

    def shortage(self, lacking: int) -> Shortage:
        """Return the shortage of ``lacking`` bytes of memory as text for the status."""
        if self._workers.in_state(WorkerState.LOADING, WorkerState.BUSY):
            sentence = f"the next film waits for {lacking >> 20} MB of memory"
            return Shortage(sentence, passes=True)
        sentence = (
            f"memory: {lacking >> 20} MB more must be free before a film is begun; end something "
            "else or lower worker.film_mb, the queue goes on by itself."
        )
        return Shortage(sentence, passes=False)


@dataclass(frozen=True, slots=True)
class DiskRoom:
    """Space on the filesystem of one folder, in bytes."""

    role: str  # key in the section ``folders``
    path: Path
    free: int
    total: int  # 0: unknown

    def largest_film(self, space_bytes: int, folders: FolderSettings) -> float:
        """Return the size in bytes of the largest film for which ``space_bytes`` are enough."""
        left = space_bytes - (folders.min_free_mb << 20)
        if folders.free_factor > 0:
            return left / folders.free_factor
        return float("inf") if left >= 0 else -1.0

    def largest_ever(self, folders: FolderSettings) -> float:
        """Return the size in bytes of the largest film for which the empty disk is enough."""
        if not self.total:
            return float("inf")
        return min(self.total, self.largest_film(self.total, folders))


@dataclass(frozen=True, slots=True)
class SpaceBudget:
    """Largest films that the disks have space for: now, and at all."""

    folders: FolderSettings
    disks: tuple[DiskRoom, ...]
    outstanding_bytes: int  # space that the films at work will still use

    @property
    def largest_now(self) -> float:
        """Size in bytes of the largest film that may begin now."""
        return min(
            disk.largest_film(disk.free - self.outstanding_bytes, self.folders)
            for disk in self.disks
        )

    @property
    def largest_ever(self) -> float:
        """Size in bytes of the largest film that may begin even if the disks were empty."""
        return min(disk.largest_ever(self.folders) for disk in self.disks)

    def needed_bytes(self, size_bytes: int) -> int:
        """Return the free space that a film of this size needs on each disk."""
        return (self.folders.min_free_mb << 20) + int(self.folders.free_factor * size_bytes)

    def shortage(self, name: str, size_bytes: int) -> Shortage | None:
        """Return the lack of disk space for a film; None if there is enough.

        Args:
            name: path of the film below the inbox.
            size_bytes: its size.
        """
        needed = self.needed_bytes(size_bytes)
        for disk in self.disks:
            if size_bytes > disk.largest_film(disk.free, self.folders):
                sentence = (
                    f"folders.{disk.role}: {disk.path} has {disk.free >> 20} MB free, "
                    f"{printable(name)} needs {needed >> 20} MB; free some space, it goes on by "
                    "itself. Smaller films do not wait for it."
                )
                return Shortage(sentence, passes=False)
            space_bytes = disk.free - self.outstanding_bytes
            if size_bytes > disk.largest_film(space_bytes, self.folders):
                lacking = needed - space_bytes
                sentence = (
                    f"the next film waits for {lacking >> 20} MB of space on folders.{disk.role}"
                )
                return Shortage(sentence, passes=True)
        return None

    def refusal(self, name: str, size_bytes: int) -> FilmTooLarge | None:
        """Return the error for a film that the disks could not hold even empty; else None.

        Such a film may be a sparse file, which takes less space than its size says.
        """
        for disk in self.disks:
            if size_bytes > disk.largest_ever(self.folders):
                needed = max(size_bytes, self.needed_bytes(size_bytes))
                where = f"folders.{disk.role}"
                return FilmTooLarge(Path(name), needed >> 20, disk.total >> 20, where)
        return None


class SpaceAdmission:
    """Compares the disk space that films need with the space that is free."""

    def __init__(self, attempts: AttemptRecorder, config: Config) -> None:
        self._attempts = attempts
        self.reconfigure(config)

    def reconfigure(self, config: Config) -> None:
        """Use the folders and the space limits of ``config`` from now on."""
        self._folders = config.folders

    def budget(self) -> SpaceBudget:
        """Return the space on work/ and done/ as it is now.

        Raises:
            FolderError: a folder cannot be reached.
        """
        folders = self._folders
        disks = tuple(
            DiskRoom(role, path, free_bytes(path), total_bytes(path))
            for role, path in (("work", folders.work), ("done", folders.done))
        )
        return SpaceBudget(folders, disks, self._attempts.outstanding_bytes(folders.free_factor))
