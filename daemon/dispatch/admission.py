"""Admission control: is there enough memory, and enough disk space, to begin one more film?"""

from __future__ import annotations

from dataclasses import dataclass

from daemon.config.locations import FolderSettings
from daemon.config.schema import Config
from daemon.folders.checks import free_bytes
from daemon.inbox.settling import Candidate
from daemon.jobs.store import JobStore
from daemon.workers.admission import Demand, held_bytes, lacking_bytes, needed_bytes
from daemon.workers.host_resources import available_bytes, memory_bytes
from daemon.workers.pool import WorkerPool
from daemon.workers.process import Supervisor, WorkerState


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


def space_shortage(
    candidate: Candidate, folders: FolderSettings, outstanding_bytes: int
) -> Shortage | None:
    """Return the lack of disk space for the products of a film; None if there is enough.

    Args:
        candidate: film that is to be claimed.
        folders: folders and their limits, ``min_free_mb`` and ``free_factor``.
        outstanding_bytes: space that the films at work will still use.

    Raises:
        OSError: the free space of a folder cannot be read.
    """
    size_bytes = candidate.signature.size_bytes
    needed = (folders.min_free_mb << 20) + int(folders.free_factor * size_bytes)
    for role, path in (("work", folders.work), ("done", folders.done)):
        free = free_bytes(path)
        if free < needed:
            sentence = (
                f"folders.{role}: {path} has {free >> 20} MB free, the next film needs "
                f"{needed >> 20} MB; free some space, the queue goes on by itself."
            )
            return Shortage(sentence, passes=False)
        if free < needed + outstanding_bytes:
            lacking = needed + outstanding_bytes - free
            sentence = f"the next film waits for {lacking >> 20} MB of space on folders.{role}"
            return Shortage(sentence, passes=True)
    return None
