"""Films whose content has been done before, under whatever name.

The history knows size and SHA-256 of the source of each film that is done. Only a film of the same
size as one of those is read for that, by the thread that queues it, never by the main loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from daemon.config.locations import DuplicateMode, FolderSettings
from daemon.inbox.scanner import signature_of
from daemon.jobs.history_view import Content, contents_of_size
from daemon.jobs.job import Job, JobState
from daemon.jobs.result_names import is_taken
from daemon.jobs.store import JobStore
from daemon.storage.copy_progress import CopyProgress
from daemon.storage.moves import digest_of

_AHEAD = (JobState.QUEUED, JobState.RUNNING, JobState.FINISHED, JobState.DONE)
"""States of a job that may turn out to have made what another one is about to make."""


@dataclass(frozen=True, slots=True)
class Twin:
    """The same content, done before, and the treatment of the film that has come again."""

    content: Content
    mode: DuplicateMode


def may_be_twin_of_held(job: Job, store: JobStore) -> bool:
    """Return True if a film of the same size is ahead of ``job``: its end is to be waited for."""
    return any(
        other.size_bytes == job.size_bytes
        and other.job_id != job.job_id
        and (other.state in _AHEAD or other.job_id < job.job_id)
        for other in store.states(JobState.CLAIMED, *_AHEAD)
    )


def twin_of(
    source: Path, folders: FolderSettings, progress: CopyProgress | None = None
) -> Content | None:
    """Return the film with the same content whose result still lies in done/; None if none is.

    Args:
        source: the film; it may be read as a whole.
        folders: the folders; the history is in ``state``.
        progress: it may stop the reading.

    Raises:
        CopyStopped: it was stopped; the call may be repeated.
        OSError: the film cannot be read.
    """
    before = signature_of(source.lstat())
    known = [
        one
        for one in contents_of_size(folders.state, before.size_bytes)
        if _stays_inside(one.published_as) and is_taken(folders.done / one.published_as)
    ]
    if not known:
        return None
    progress = progress or CopyProgress()
    digest = digest_of(source, lambda _position: progress.check())
    if signature_of(source.lstat()) != before:  # its sender goes on; it is settled anew
        return None
    return next((one for one in known if one.sha256 == digest), None)


def _stays_inside(name: str) -> bool:
    """Return True if ``name``, from a file that others may write, leads to no other folder."""
    path = PurePosixPath(name)
    return name != "" and not path.is_absolute() and ".." not in path.parts
