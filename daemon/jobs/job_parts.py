"""Parts that handle the jobs of one instance folder, each with one role."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from daemon.config.schema import Config
from daemon.folders.proofs import FolderProofs
from daemon.jobs.adoption import Adopter
from daemon.jobs.attempts import AttemptRecorder
from daemon.jobs.blame import FolderBlame
from daemon.jobs.claimer import Claimer
from daemon.jobs.history import History
from daemon.jobs.isolation import JobIsolation
from daemon.jobs.publisher import Publisher
from daemon.jobs.store import JobStore
from daemon.runtime.host_problems import HostProblems
from daemon.runtime.threads import Starter


@dataclass(frozen=True, slots=True)
class JobParts:
    """Job store of one instance folder, and the parts that change its jobs."""

    store: JobStore
    isolation: JobIsolation
    adopter: Adopter
    claimer: Claimer
    attempts: AttemptRecorder
    publisher: Publisher

    @classmethod
    def build(
        cls,
        instance: Path,
        config: Config,
        history: History,
        problems: HostProblems,
        proofs: FolderProofs,
        start: Starter,
    ) -> JobParts:
        """Build the parts for the folder ``instance``, with no job held yet.

        Args:
            instance: our instance folder.
            config: the configuration.
            history: history of the ended jobs.
            problems: problems of the host, and of single jobs.
            proofs: proofs of the folders.
            start: runs a step in a thread.
        """
        store = JobStore(instance)
        isolation = JobIsolation(store, FolderBlame(proofs, problems), problems, config)
        return cls(
            store=store,
            isolation=isolation,
            adopter=Adopter(store, isolation, config),
            claimer=Claimer(store, isolation, config, start),
            attempts=AttemptRecorder(store, isolation, config),
            publisher=Publisher(store, isolation, history, config, start),
        )

    def stop_threads(self) -> None:
        """Ask every thread that works on a job to stop; the jobs stay as they are on disk."""
        self.publisher.stop()
        self.claimer.stop()

    def close(self) -> None:
        """Stop these threads and wait for them; one that hangs ends with the process."""
        self.stop_threads()
        self.publisher.close()
        self.claimer.close()

    def reconfigure(self, config: Config) -> None:
        """Pass a new configuration to every part."""
        for part in (self.isolation, self.adopter, self.claimer, self.attempts, self.publisher):
            part.reconfigure(config)
