"""Parts of the daemon that requests reach: its jobs, its workers, its inbox and its pause."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from daemon.config.locations import DuplicateMode, FolderSettings, ReadyMode
from daemon.config.schema import Config
from daemon.inbox.left_films import LeftFilms
from daemon.inbox.settling import Candidate
from daemon.jobs.job import Job
from daemon.jobs.job_parts import JobParts
from daemon.jobs.pause_switch import PauseSwitch
from daemon.runtime.threads import Starter
from erasecore.settings import EraseSettings


class InboxFilms(Protocol):
    """The films of the inbox, as ``CandidateQueue`` knows them."""

    def find(self, name: str) -> Candidate | None:
        """Return the settled film ``name``; None if there is none."""

    def blocked(self) -> dict[str, str]:
        """Return why films or folders stay in the inbox, by path below it."""

    def take(self, candidate: Candidate) -> None:
        """Remove a film from the queue."""

    def request_rescan(self) -> None:
        """Make a scan due soon."""


class Interrupt(Protocol):
    """Interrupts attempts, as ``WorkerControl.interrupt`` does."""

    def __call__(self, job_id: str = "", *, now: float, wall: float) -> None:
        """Kill the worker of a job, or all of them, and put what they were at into the queue."""


class ClaimFilm(Protocol):
    """Claims a candidate under a given job id, as ``FilmSelection.claim`` does."""

    def __call__(self, candidate: Candidate, job_id: str, *, now: float, wall: float) -> Job | None:
        """Return the job; None if the film was not to be had."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Everything that carrying out a request may touch."""

    jobs: JobParts
    inbox: InboxFilms
    claim: ClaimFilm
    interrupt: Interrupt
    start_thread: Starter
    pauses: PauseSwitch
    left: LeftFilms
    folders: FolderSettings
    erase_defaults: EraseSettings
    marked: bool  # films of the inbox are taken once their marker is there, see ``inbox.ready``
    skips_duplicates: bool  # what has been done before is not done again, see ``inbox.duplicates``
    host: str  # host name or ``claims.instance`` of this daemon

    def reconfigured(self, config: Config) -> Reach:
        """Return the parts with the settings of ``config``."""
        return replace(
            self,
            folders=config.folders,
            erase_defaults=config.erase,
            marked=config.inbox.ready is ReadyMode.MARKER,
            skips_duplicates=config.inbox.duplicates is DuplicateMode.SKIP,
        )
