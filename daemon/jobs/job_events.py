"""Events of jobs, for ``notify``: which state of a job is one, and what it says.

To tell another state: name it in ``KINDS``, call ``JobEvents.expect`` before the job is saved in
that state and ``JobEvents.publish`` after it, there and where a job is recovered in that state.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from daemon.config.locations import FolderSettings
from daemon.config.notify_settings import EventKind
from daemon.config.schema import Config
from daemon.jobs.job import LEGAL, Job, JobState
from daemon.jobs.report_files import entry_of
from daemon.notify.events import (
    Event,
    FilmFacts,
    event_expected,
    expect_event,
    host_of,
    job_events_folder,
    publish_event,
)
from erasecore.errors import printable

KINDS = {
    JobState.DONE: (EventKind.DONE, "done"),
    JobState.FAILED: (EventKind.FAILED, "failed"),
}
"""States of a job that are told: the kind of the event, and the folder where the film lies then."""


@dataclass(frozen=True, slots=True)
class JobEvents:
    """Writer of the events of this host's jobs; writes nothing if nobody is to be told."""

    enabled: bool
    host: str
    folder: Path  # in which the events wait for the notifier
    folders: FolderSettings

    @classmethod
    def of(cls, config: Config) -> JobEvents:
        """Return the writer that ``config`` asks for."""
        enabled, folders = config.notify.enabled, config.folders
        return cls(enabled, host_of(config), job_events_folder(config), folders)

    def expect(self, job_folder: Path) -> None:
        """Note that the next outcome of a job is to be told; before it is saved."""
        if self.enabled:
            expect_event(job_folder)

    def publish(self, job_folder: Path, job: Job, published_as: str) -> None:
        """Publish the event of a job's saved outcome, unless it is published already.

        Raises:
            OSError: it could not be written; the call may be repeated.
        """
        if self.enabled and event_expected(job_folder):
            publish_event(job_folder, self._event_of(job, published_as), self.folder)

    def _event_of(self, job: Job, published_as: str) -> Event:
        """Return the event; the same whenever it is asked for."""
        kind, role = KINDS[job.state]
        entry = entry_of(job, kind, published_as)
        place: Path = getattr(self.folders, role)
        facts = FilmFacts(
            job_id=job.job_id,
            film=entry.name,
            path=str(place / published_as),
            attempts=entry.attempts,
            seconds=entry.seconds,
            frames=entry.frames,
            subtitles=entry.events,
            error=job.failure.error if job.failure else "",
            remedy=job.failure.remedy.value if job.failure else "",
        )
        sentence = printable(entry.sentence or _sentence_on(facts, kind))
        # A state that a job may come to again is told again.
        part = f"-{entry.attempts}" if LEGAL[job.state] else ""
        event_id = f"{job.job_id}-{kind}{part}"
        return Event(event_id, kind, entry.stopped_at, self.host, sentence, film=facts)


def _sentence_on(facts: FilmFacts, kind: EventKind) -> str:
    """Return the sentence on a film without a failure."""
    if kind is not EventKind.DONE:
        return f"{facts.film}: {kind}."
    if not facts.subtitles:
        return f"{facts.film}: done, no subtitles found."
    noun = "subtitle" if facts.subtitles == 1 else "subtitles"
    return f"{facts.film}: done, {facts.subtitles} {noun} erased in {facts.seconds:.0f} s."
