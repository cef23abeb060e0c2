"""Publication: results to ``done/``, failures to ``failed/``, sources to ``originals/``.

The list of placements (file, folder, name) is saved in ``job.json`` before anything moves, and each
file moves by one step that never overwrites. After a crash the same list is worked through again: a
file that is not in the job folder any more has been published.

``daemon.jobs.result_names`` finds the names. The report goes first and reserves the name: it
contains the job id, so no other file is like it. The film comes last: who sees it finds its
sidecars.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath

import structlog

from daemon.config.locations import FolderSettings, SubtitleNames
from daemon.folders.permissions import apply_mode
from daemon.jobs.companions import cues_beside, marker_beside, plan_beside
from daemon.jobs.history_view import ERROR_ENDING, REPORT_ENDING
from daemon.jobs.job import (
    CUES_FILE,
    LOG_FILE,
    SETTINGS_FILE,
    Job,
    JobState,
    Place,
    Placement,
    load_job,
    moved,
    rejected,
    save_job,
)
from daemon.jobs.report_files import ERROR_FILE, PREVIEW_FILE, REPORT_FILE, SRT_ENDING, SRT_FILE
from daemon.jobs.result_names import Item, folder_is_blocked, is_taken, placements_of, target
from daemon.jobs.subtitle_language import language_of_file
from daemon.plans.files import PLAN_FILE
from daemon.storage.below import folder_below, pinned
from daemon.storage.copy_progress import CopyProgress
from daemon.storage.failpoints import failpoint
from daemon.storage.moves import move_no_clobber
from daemon.storage.names import FILM_SETTINGS_SUFFIX, PLAN_SUFFIX
from daemon.workers.messages import Failure
from erasecore.errors import printable
from erasecore.system.atomic_files import make_folder, sync_file

log = structlog.get_logger(__name__)

AFTER_MOVE = {
    REPORT_FILE: "report",
    ERROR_FILE: "error",
    LOG_FILE: "log",
    PREVIEW_FILE: "preview",
    SRT_FILE: "subtitles",
    SETTINGS_FILE: "settings",
    CUES_FILE: "cues",
    PLAN_FILE: "film_plan",
}
"""File name -> last part of the failpoint after its move, as in ``publish.after_log``; films have
``link`` and ``original``."""


_REPORTS = (REPORT_FILE, ERROR_FILE)


TIME_ERROR_NS = 2_000_000_000
"""Largest difference of a file's times that a move may make, in ns: FAT knows even seconds only."""
MAX_CLASHES = 20
"""Times that a job's files are moved back in one go because a name was taken meanwhile; a guess."""


def publish(
    folder: Path, job: Job, folders: FolderSettings, *, progress: CopyProgress | None = None
) -> Job:
    """Publish a FINISHED job; return it as DONE.

    Its result goes to done/, its source to originals/ if ``keep_originals`` is set. Otherwise the
    source stays in the job folder, which the caller removes.

    Args:
        folder: the job folder.
        job: the job, with the placements of an earlier try if there are any.
        folders: where to publish.
        progress: progress of copies to another filesystem; it may stop them.

    Raises:
        CopyStopped: it was stopped; the call may be repeated.
        OSError: a folder cannot be written to; the call may be repeated.
    """
    items = [
        Item(REPORT_FILE, Place.DONE, REPORT_ENDING),
        Item(LOG_FILE, Place.DONE, ".log"),
        Item(PREVIEW_FILE, Place.DONE, ".preview.jpg"),
        _subtitles(folder, folders),
        Item(job.result, Place.DONE),
    ]
    if folders.keep_originals:
        items.append(Item(SETTINGS_FILE, Place.ORIGINALS, FILM_SETTINGS_SUFFIX))
        items.append(Item(CUES_FILE, Place.ORIGINALS, ".srt", replaces_suffix=True))
        items.append(Item(PLAN_FILE, Place.ORIGINALS, PLAN_SUFFIX))
        items.append(Item(job.source, Place.ORIGINALS))
    job = _place_all(folder, job, folders, items, progress=progress or CopyProgress())
    job = moved(job, JobState.DONE)
    save_job(folder, job)
    failpoint("publish.after_done")
    return job


def reject(
    folder: Path, job: Job, folders: FolderSettings, *, progress: CopyProgress | None = None
) -> Job:
    """Publish the source of a REJECTED job and its error report to failed/; return it as FAILED.

    Args:
        folder: the job folder.
        job: the job, with the placements of an earlier try if there are any.
        folders: where to publish.
        progress: progress of copies to another filesystem; it may stop them.

    Raises:
        CopyStopped: it was stopped; the call may be repeated.
        OSError: a folder cannot be written to; the call may be repeated.
    """
    items = [
        Item(ERROR_FILE, Place.FAILED, ERROR_ENDING),
        Item(LOG_FILE, Place.FAILED, ".log"),
        Item(SETTINGS_FILE, Place.FAILED, FILM_SETTINGS_SUFFIX),
        Item(CUES_FILE, Place.FAILED, ".srt", replaces_suffix=True),
        Item(PLAN_FILE, Place.FAILED, PLAN_SUFFIX),
        Item(job.source, Place.FAILED),
    ]
    job = _place_all(folder, job, folders, items, progress=progress or CopyProgress())
    job = moved(job, JobState.FAILED)
    save_job(folder, job)
    failpoint("reject.after_failed")
    return job


def _subtitles(folder: Path, folders: FolderSettings) -> Item:
    """Return the subtitle file, with the name that ``folders.subtitle_names`` asks for."""
    if folders.subtitle_names is SubtitleNames.FILM:
        return Item(SRT_FILE, Place.DONE, SRT_ENDING)
    ending = f".{language_of_file(folder / SRT_FILE)}{SRT_ENDING}"
    return Item(SRT_FILE, Place.DONE, ending, replaces_suffix=True, may_append=True)


def sidecar_of(job: Job) -> Placement | None:
    """Return the placement of a job's report or error report; None if it has none."""
    reports = (placement for placement in job.placements if placement.file in _REPORTS)
    return next(reports, None)


def _place_all(
    folder: Path,
    job: Job,
    folders: FolderSettings,
    items: Sequence[Item],
    *,
    progress: CopyProgress,
) -> Job:
    """Plan names for ``items`` and move them; return the job with its placements.

    Raises:
        FileExistsError: names were taken ``MAX_CLASHES`` times between planning and moving.
        OSError: a folder cannot be written to; the call may be repeated.
    """
    step = "publish" if job.state is JobState.FINISHED else "reject"
    number = 1
    _remove_parts(job, folders)
    if any(folder_is_blocked(folders, placement) for placement in job.placements):
        job = _taken_back(folder, job, folders, progress)
    job = _with_identities(folder, job)
    for clash in range(1, MAX_CLASHES + 1):
        if not job.placements:
            present = names_in(folder)
            items_there = [item for item in items if item.file in present]
            placements, number = placements_of(job, items_there, folders, number)
            job = _with_identities(folder, replace(job, placements=placements))
            failpoint(f"{step}.after_plan")
        try:
            _move_all(folder, job, folders, step=step, progress=progress)
        except FileExistsError:
            # The name was taken after it was planned: move everything back, try the next number.
            job, number = _taken_back(folder, job, folders, progress), number + 1
            if clash == MAX_CLASHES:
                raise
        else:
            break
    return job


def _with_identities(folder: Path, job: Job) -> Job:
    """Return the job, saved, with size and time of the files that are not moved yet.

    They tell a published file from a stranger's of the same name, see ``_is_strangers``.
    """
    present, placements = names_in(folder), []
    for placement in job.placements:
        if placement.file in present:
            with suppress(OSError):  # then it is moved without
                status = (folder / placement.file).lstat()
                size_bytes, mtime_ns = status.st_size, status.st_mtime_ns
                placement = replace(placement, size_bytes=size_bytes, mtime_ns=mtime_ns)
        placements.append(placement)
    known = replace(job, placements=tuple(placements))
    if known != job:
        save_job(folder, known)
    return known


def _taken_back(folder: Path, job: Job, folders: FolderSettings, progress: CopyProgress) -> Job:
    """Move the published files of a job back; return it, saved, without placements."""
    _undo(folder, job, folders, progress)
    _remove_parts(job, folders)
    job = replace(job, placements=())
    save_job(folder, job)
    failpoint("undo.after_all")
    return job


def withdrawn(
    folder: Path,
    job: Job,
    failure: Failure,
    folders: FolderSettings,
    *,
    now: float,
    progress: CopyProgress | None = None,
) -> Job:
    """Return a job as REJECTED because of ``failure``; what was published of it is moved back.

    Args:
        folder: the job folder.
        job: the job in any state before REJECTED; it is not saved.
        failure: the reason.
        folders: folders that it was to be published to.
        now: seconds since 1970.
        progress: progress of copies to another filesystem; it may stop them.

    Raises:
        CopyStopped: it was stopped; the call may be repeated.
        FileExistsError: its result is in done/ already; it is not taken away from the users.
        OSError: a file cannot be moved back; the call may be repeated.
    """
    if job.state is JobState.FINISHED:
        job = load_job(folder)  # a try that failed may have saved the target names
        if job.result and job.placements and job.result not in names_in(folder):
            raise FileExistsError(errno.EEXIST, "its result is published", job.result)
        job = _taken_back(folder, job, folders, progress or CopyProgress())
    return rejected(job, failure, now=now)


def _move_all(
    folder: Path, job: Job, folders: FolderSettings, *, step: str, progress: CopyProgress
) -> None:
    """Move the files of the job's placements, in order.

    Raises:
        FileExistsError: a name is taken; the files before it have been moved.
    """
    films = (job.result, job.source)
    present = names_in(folder)
    for placement in job.placements:
        original = placement.place is Place.ORIGINALS
        if placement.file in films and not original:
            failpoint(f"{step}.after_sidecars")
        progress.check()
        if placement.file in present:  # else it was moved before a crash or an error
            _move(folder / placement.file, target(folders, placement), job, folders, progress)
        film = "original" if original else "link"
        failpoint(f"{step}.after_{AFTER_MOVE.get(placement.file, film)}")


def _move(
    source: Path, goal: Path, job: Job, folders: FolderSettings, progress: CopyProgress
) -> None:
    """Move one file with the configured owner and mode."""
    for new_folder in make_folder(goal.parent):
        apply_mode(new_folder, folders)
    apply_mode(source, folders)
    if source.name == LOG_FILE:
        sync_file(source)  # daemon, worker and libraries write to it without a sync
    move_no_clobber(source, goal, part=f".{job.job_id}", progress=progress)
    apply_mode(goal, folders)  # a copy on another filesystem is a new file


def _undo(folder: Path, job: Job, folders: FolderSettings, progress: CopyProgress) -> None:
    """Move the published files of a job back into its folder, to give them another name.

    A file that somebody has removed or moved away since is done without. Another that has its name
    stays.
    """
    present = names_in(folder)
    for placement in job.placements:
        back, goal = folder / placement.file, target(folders, placement)
        if placement.file in present:
            _remove_second_name(back, goal)
        elif _is_strangers(goal, placement, folder):
            log.warning("undo.not_ours", file=printable(str(goal)))
        elif goal.name in names_in(goal.parent):
            move_no_clobber(goal, back, part=f".{placement.file}", progress=progress)
            failpoint("undo.after_file")
        else:
            log.warning("undo.file_gone", file=printable(str(goal)))


def _is_strangers(goal: Path, placement: Placement, folder: Path) -> bool:
    """Return True if ``goal`` is not the file that was published there from the job folder.

    Inode numbers do not tell: some FUSE filesystems change them, ext4 uses them again at once.
    """
    try:
        status = goal.lstat()
    except FileNotFoundError:
        return False
    if placement.size_bytes < 0:
        return False
    if not stat.S_ISREG(status.st_mode) or status.st_size != placement.size_bytes:
        return True
    is_copy = status.st_dev != folder.lstat().st_dev  # its time may not have come along
    return not is_copy and abs(status.st_mtime_ns - placement.mtime_ns) > TIME_ERROR_NS


def _remove_parts(job: Job, folders: FolderSettings) -> None:
    """Remove the incomplete copies that earlier tries to publish a job have left."""
    places = {target(folders, placement).parent for placement in job.placements}
    for place in sorted(places):
        for name in names_in(place):
            if name.startswith(f".{job.job_id}-") and name.endswith(".part"):
                (place / name).unlink(missing_ok=True)


def _remove_second_name(file: Path, other: Path) -> None:
    """Remove the name ``other`` of ``file``, left by a crash between link and unlink, if any.

    Raises:
        OSError: something has that name, and it cannot be found out if it is ``file``.
    """
    if other.name in names_in(other.parent) and os.path.samestat(other.lstat(), file.lstat()):
        other.unlink()


def names_in(folder: Path) -> set[str]:
    """Return the names in a folder; empty if there is no such folder.

    The listing tells reliably what is there: an error about one file, even ENOENT, proves nothing.
    """
    try:
        return set(os.listdir(folder))  # noqa: PTH208 - names only
    except (FileNotFoundError, NotADirectoryError):
        return set()


def requeue(film: Path, failed: Path, inbox: Path, *, marked: bool = False) -> Path:
    """Move a film from failed/ back into the inbox as a new job; return its path there.

    Its settings and cues move along; its log and error report are removed. No link below the two
    folders is followed. After an ``OSError`` or a crash the call may be repeated.

    Args:
        film: path of the film below ``failed``.
        failed: folder of failed films.
        inbox: the inbox.
        marked: give the film a marker, without which it would not be taken (``inbox.ready``).

    Raises:
        FileExistsError: the inbox has a film or a subtitle file of that name.
        FileNotFoundError: there is no such film.
        NotADirectoryError: a folder of its path is a link or a file, in failed/ or in the inbox.
    """
    relative = PurePosixPath(film.relative_to(failed))
    name, parent = relative.name, relative.parent
    with folder_below(failed, parent) as origin, folder_below(inbox, parent, make=True) as goal:
        _requeue_into(pinned(goal) / name, pinned(origin) / name, marked=marked)
    return inbox / relative


def _requeue_into(goal: Path, film: Path, *, marked: bool) -> None:
    """Move ``film`` and its companions from failed/ to ``goal`` and beside it; see ``requeue``."""
    if not film.is_file():
        if not goal.is_file():
            raise FileNotFoundError(film)
        _remove_reports(film)  # a crash came after the move
        return
    cues, plan = cues_beside(film), plan_beside(film)
    taken = is_taken(goal) or (cues.is_file() and is_taken(cues_beside(goal)))
    if taken or (plan.is_file() and is_taken(plan_beside(goal))):
        raise FileExistsError(goal)
    part = f".requeue-{film.stat().st_ino}"  # short, so that a long film name does not matter
    own = film.with_name(film.name + FILM_SETTINGS_SUFFIX)
    if own.is_file():
        move_no_clobber(own, goal.with_name(own.name), part=part)
        failpoint("requeue.after_settings")
    if cues.is_file():
        move_no_clobber(cues, cues_beside(goal), part=part)
        failpoint("requeue.after_cues")
    if plan.is_file():
        move_no_clobber(plan, plan_beside(goal), part=part)
        failpoint("requeue.after_film_plan")
    if marked:
        marker_beside(goal).touch()
    move_no_clobber(film, goal, part=part)
    failpoint("requeue.after_film")
    _remove_reports(film)


def _remove_reports(film: Path) -> None:
    """Remove the log and the error report of a failed film."""
    for ending in (".log", ERROR_ENDING):
        film.with_name(film.name + ending).unlink(missing_ok=True)
        failpoint("requeue.after_log")
