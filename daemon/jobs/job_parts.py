"""Parts that handle the jobs of one instance folder, each with one role."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from daemon.config.schema import Config
from daemon.jobs.attempts import AttemptRecorder
from daemon.jobs.claimer import Claimer
from daemon.jobs.history import History
from daemon.jobs.publisher import Publisher
from daemon.jobs.store import JobStore


@dataclass(frozen=True, slots=True)
class JobParts:
    """Job store of one instance folder, and the three parts that change its jobs."""

    store: JobStore
    claimer: Claimer
    attempts: AttemptRecorder
    publisher: Publisher

    @classmethod
    def build(cls, instance: Path, config: Config, history: History) -> JobParts:
        """Build the parts for the folder ``instance``, with no job held yet."""
        store = JobStore(instance, config)
        return cls(
            store=store,
            claimer=Claimer(store, config),
            attempts=AttemptRecorder(store, config),
            publisher=Publisher(store, history, config),
        )

    def reconfigure(self, config: Config) -> None:
        """Pass a new configuration to every part."""
        self.store.reconfigure(config)
        self.claimer.reconfigure(config)
        self.attempts.reconfigure(config)
        self.publisher.reconfigure(config)
