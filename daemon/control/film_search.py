"""Search for the film that a request names: among our jobs, in the inbox, at other daemons."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

from ulid import ULID

from daemon.config.locations import FolderSettings
from daemon.config.parsing import nearest
from daemon.control.journal import Target
from daemon.control.reach import Reach
from daemon.inbox.scanner import signature_of
from daemon.jobs.claims import job_folders
from daemon.jobs.history_view import ERROR_ENDING, REPORT_ENDING
from daemon.jobs.job import BrokenJob, Job, load_job
from daemon.storage.below import GONE_ERRNOS, folder_below, status_in
from erasecore.errors import NewerJob, printable


class NoSuchFilm(Exception):
    """The request cannot be about a film of ours; the text is the answer."""


def find_film(film: str, reach: Reach) -> Target:
    """Return the film of ours that ``film`` names: a job, or a settled film of the inbox.

    Args:
        film: path below the inbox, or a job id.
        reach: the parts of the daemon.

    Raises:
        NoSuchFilm: there is none, or there are several.
    """
    jobs = [job for job in reach.jobs.store.jobs.values() if film in (job.name, job.job_id)]
    if len(jobs) > 1:
        ids = ", ".join(sorted(job.job_id for job in jobs))
        raise NoSuchFilm(f"several films of that name are at work; name one by its id: {ids}.")
    if jobs:
        return Target(jobs[0].name, jobs[0].job_id)
    candidate = reach.inbox.find(film)
    if candidate is not None:
        return Target(film, str(ULID()).lower(), candidate.signature)
    raise NoSuchFilm(_why_not(film, reach))


def _why_not(film: str, reach: Reach) -> str:
    """Return why there is no film ``film`` that a request could be about."""
    folders = reach.folders
    instance = reach.jobs.store.instance
    for other, job in jobs_elsewhere(folders.work, instance):
        if film in (job.name, job.job_id):
            return f"it is held by another daemon, {printable(other.name)}; ask that one."
    blocked = reach.inbox.blocked()
    for path in (film, f"{PurePosixPath(film).parent}/".removeprefix("./")):
        if path in blocked:
            return f"it cannot be taken from the inbox: {printable(blocked[path])}"
    if is_there(folders.inbox, film):
        return "it is still being copied into the inbox, or no film; ask again when it is settled."
    if is_there(folders.done, film) or is_there(folders.done, film + REPORT_ENDING):
        return "it is done already; `redo` has it done again."
    if is_there(folders.failed, film) or is_there(folders.failed, film + ERROR_ENDING):
        return "it has failed, or was cancelled, already; `requeue` puts it back."
    near = nearest(film, [job.name for job in reach.jobs.store.jobs.values()])
    return f"there is no such film in the inbox or at work.{printable(near)}"


def jobs_elsewhere(work: Path, instance: Path) -> Iterator[tuple[Path, Job]]:
    """Yield the jobs of the other daemons' instance folders, as far as they can be read."""
    with suppress(OSError):
        for other in sorted(work.iterdir()):
            if other == instance or other.name.startswith(".") or not other.is_dir():
                continue
            with suppress(OSError):
                for folder in job_folders(other):
                    with suppress(OSError, BrokenJob, NewerJob):
                        yield other, load_job(folder)


def is_unchanged(target: Target, inbox: Path) -> bool:
    """Return True if the film of the inbox that a request was about is still there, the same.

    Raises:
        OSError: that cannot be known.
    """
    path = PurePosixPath(target.name)
    try:
        with folder_below(inbox, path.parent) as folder:
            status = status_in(folder, path.name)
    except OSError as error:
        if error.errno in GONE_ERRNOS:
            return False
        raise
    return status is not None and signature_of(status) == target.signature


def is_there(root: Path, name: str) -> bool:
    """Return True if ``name`` exists below ``root``; no link below it is followed."""
    path = PurePosixPath(name)
    try:
        with folder_below(root, path.parent) as folder:
            return status_in(folder, path.name) is not None
    except OSError as error:
        if error.errno in GONE_ERRNOS:
            return False
        raise


def find_original(film: str, folders: FolderSettings) -> Target:
    """Return the original of a film that is done.

    Args:
        film: path below originals/.
        folders: the daemon's folders.

    Raises:
        NoSuchFilm: it was not kept, or there is no such film, or its name is taken in the inbox.
    """
    path = PurePosixPath(film)
    try:
        with folder_below(folders.originals, path.parent) as folder:
            status = status_in(folder, path.name)
    except OSError as error:
        if error.errno not in GONE_ERRNOS:
            raise
        status = None
    if status is None:
        done = is_there(folders.done, film) or is_there(folders.done, film + REPORT_ENDING)
        if done:
            raise NoSuchFilm(
                "its original was not kept (folders.keep_originals), or is gone from originals/; "
                "put the film into the inbox again."
            )
        raise NoSuchFilm("no film of that name is done.")
    if is_there(folders.inbox, film):
        raise NoSuchFilm("the inbox has a film of that name; wait until it is done, or rename it.")
    return Target(film, "", signature_of(status))
