"""Return of a claimed film to the inbox: the reverse of a claim, in the same crash-safe steps.

First ``job.json`` says CLAIMING again, then the film's companions are moved back, then the film, by
one rename. After a crash ``claims.recover`` finds a claim that was interrupted: with the source in
the job folder it completes the claim, without it removes the folder.
"""

from __future__ import annotations

from pathlib import Path

import structlog

from daemon.config.film_settings import film_settings_file
from daemon.jobs import claims
from daemon.jobs.companions import cues_beside, marker_beside
from daemon.jobs.job import (
    CUES_FILE,
    LOG_FILE,
    MARKER_FILE,
    SETTINGS_FILE,
    Job,
    save_job,
    unclaimed,
)
from daemon.jobs.result_names import is_taken
from daemon.runtime.logs import job_bound
from daemon.storage.below import folder_below, pinned
from daemon.storage.failpoints import failpoint
from daemon.storage.moves import move_no_clobber
from erasecore.errors import printable
from erasecore.system.atomic_files import status_if_there

log = structlog.get_logger(__name__)


def has_free_names(folder: Path, job: Job, inbox: Path) -> bool:
    """Return True if a job's source and its companions can have their names in the inbox again.

    Raises:
        OSError: that cannot be known.
    """
    with folder_below(inbox, job.relative.parent, make=True) as handle:
        return not any(is_taken(goal) for _, goal in _moves(folder, job, pinned(handle)))


def _moves(folder: Path, job: Job, place: Path) -> list[tuple[Path, Path]]:
    """Return the files of a job that go back, with their names in ``place``; the film is last."""
    film = place / job.relative.name
    moves = (
        (folder / SETTINGS_FILE, film_settings_file(film)),
        (folder / CUES_FILE, cues_beside(film)),
        (folder / MARKER_FILE, marker_beside(film)),
        (folder / job.source, film),
    )
    return [(file, goal) for file, goal in moves if status_if_there(file) is not None]


def unclaim(folder: Path, job: Job, inbox: Path, *, now: float) -> None:
    """Move the source of a job and its companions back into the inbox; remove the job folder.

    What attempts have made of it is lost.

    Args:
        folder: the job folder.
        job: the job in state CLAIMED, QUEUED or RUNNING, without a worker.
        inbox: the inbox.
        now: seconds since 1970.

    Raises:
        OSError: a step failed, e.g. since a name was taken meanwhile; ``claims.recover`` continues
            from what is on disk.
    """
    with folder_below(inbox, job.relative.parent, make=True) as handle:
        with job_bound(job.job_id, folder / LOG_FILE):
            log.info("job.handed_back", film=printable(job.name))
        save_job(folder, unclaimed(job, now=now))
        failpoint("unclaim.after_intent")
        for file, goal in _moves(folder, job, pinned(handle)):
            move_no_clobber(file, goal, part=f".{job.job_id}")
            failpoint("unclaim.after_file")
    claims.discard(folder)
