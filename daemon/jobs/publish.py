"""Publication: results to ``done/``, failures to ``failed/``, sources to ``originals/``.

The list of placements (file, folder, name) is saved in ``job.json`` before anything moves, and each
file moves by one step that never overwrites. After a crash the same list is worked through again: a
file that is not in the job folder any more has been published.

A name that exists in one of the folders is taken for all of them, so that ``film (2).mp4`` and its
sidecars keep together. The report goes first and reserves the name: it contains the job id, so no
other file is like it. The film comes last: who sees it finds its sidecars.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path, PurePosixPath

from daemon.config.locations import FolderSettings
from daemon.folders.permissions import apply_mode
from daemon.jobs.companions import cues_beside
from daemon.jobs.history_view import ERROR_ENDING, REPORT_ENDING
from daemon.jobs.job import (
    CUES_FILE,
    LOG_FILE,
    SETTINGS_FILE,
    Job,
    JobState,
    Place,
    Placement,
    moved,
    save_job,
)
from daemon.jobs.report_files import ERROR_FILE, PREVIEW_FILE, REPORT_FILE, SRT_ENDING, SRT_FILE
from daemon.storage.failpoints import failpoint
from daemon.storage.moves import Tick, move_no_clobber, no_tick
from daemon.storage.names import FILM_SETTINGS_SUFFIX, numbered, output_name, same_on_windows
from erasecore.system.atomic_files import make_folder

AFTER_MOVE = {
    REPORT_FILE: "report",
    ERROR_FILE: "error",
    LOG_FILE: "log",
    PREVIEW_FILE: "preview",
    SRT_FILE: "subtitles",
    SETTINGS_FILE: "settings",
    CUES_FILE: "cues",
}
"""File name -> last part of the failpoint after its move, as in ``publish.after_log``; films have
``link`` and ``original``."""


_REPORTS = (REPORT_FILE, ERROR_FILE)


@dataclass(frozen=True, slots=True)
class _Item:
    """One file of the job folder to publish, and the rule for its name."""

    file: str
    place: Place
    ending: str = ""  # "": the film itself
    replaces_suffix: bool = False  # True: film.mp4 -> film.srt; False: film.mp4 -> film.mp4.log


def publish(folder: Path, job: Job, folders: FolderSettings, *, tick: Tick = no_tick) -> Job:
    """Publish a FINISHED job; return it as DONE.

    Its result goes to done/, its source to originals/ if ``keep_originals`` is set. Otherwise the
    source stays in the job folder, which the caller removes.

    Args:
        folder: the job folder.
        job: the job, with the placements of an earlier try if there are any.
        folders: where to publish.
        tick: callback for each file and each piece of a long copy.

    Raises:
        OSError: a folder cannot be written to; the call may be repeated.
    """
    items = [
        _Item(REPORT_FILE, Place.DONE, REPORT_ENDING),
        _Item(LOG_FILE, Place.DONE, ".log"),
        _Item(PREVIEW_FILE, Place.DONE, ".preview.jpg"),
        _Item(SRT_FILE, Place.DONE, SRT_ENDING),
        _Item(job.result, Place.DONE),
    ]
    if folders.keep_originals:
        items.append(_Item(SETTINGS_FILE, Place.ORIGINALS, FILM_SETTINGS_SUFFIX))
        items.append(_Item(CUES_FILE, Place.ORIGINALS, ".srt", replaces_suffix=True))
        items.append(_Item(job.source, Place.ORIGINALS))
    job = _place_all(folder, job, folders, items, tick=tick)
    job = moved(job, JobState.DONE)
    save_job(folder, job)
    failpoint("publish.after_done")
    return job


def reject(folder: Path, job: Job, folders: FolderSettings, *, tick: Tick = no_tick) -> Job:
    """Publish the source of a REJECTED job and its error report to failed/; return it as FAILED.

    Args:
        folder: the job folder.
        job: the job, with the placements of an earlier try if there are any.
        folders: where to publish.
        tick: callback for each file and each piece of a long copy.

    Raises:
        OSError: a folder cannot be written to; the call may be repeated.
    """
    items = [
        _Item(ERROR_FILE, Place.FAILED, ERROR_ENDING),
        _Item(LOG_FILE, Place.FAILED, ".log"),
        _Item(SETTINGS_FILE, Place.FAILED, FILM_SETTINGS_SUFFIX),
        _Item(CUES_FILE, Place.FAILED, ".srt", replaces_suffix=True),
        _Item(job.source, Place.FAILED),
    ]
    job = _place_all(folder, job, folders, items, tick=tick)
    job = moved(job, JobState.FAILED)
    save_job(folder, job)
    failpoint("reject.after_failed")
    return job


def sidecar_of(job: Job) -> Placement | None:
    """Return the placement of a job's report or error report; None if it has none."""
    reports = (placement for placement in job.placements if placement.file in _REPORTS)
    return next(reports, None)


def _place_all(
    folder: Path, job: Job, folders: FolderSettings, items: Sequence[_Item], *, tick: Tick
) -> Job:
    """Plan names for ``items`` and move them; return the job with its placements."""
    step = "publish" if job.state is JobState.FINISHED else "reject"
    number = 1
    while True:
        if not job.placements:
            job, number = _planned(folder, job, folders, items, number)
            save_job(folder, job)
            failpoint(f"{step}.after_plan")
        try:
            _move_all(folder, job, folders, step=step, tick=tick)
        except FileExistsError:
            # The name was taken after it was planned: move everything back, try the next number.
            _undo(folder, job, folders, tick=tick)
            job, number = replace(job, placements=()), number + 1
            save_job(folder, job)
            failpoint("undo.after_all")
        else:
            return job


def _planned(
    folder: Path, job: Job, folders: FolderSettings, items: Sequence[_Item], first: int
) -> tuple[Job, int]:
    """Return the job with placements whose names are all free, and their common number.

    Args:
        folder: the job folder; items that are not in it are left out.
        job: the job.
        folders: where to publish.
        items: files to publish, in order.
        first: number to begin with; 1 means ``film.mp4``, 2 means ``film (2).mp4``.
    """
    present = [item for item in items if (folder / item.file).is_file()]
    for number in count(first):
        base = output_name(job.relative, portable=folders.portable_names)
        placements = tuple(
            Placement(item.file, item.place, str(_name(job, base, item, number)))
            for item in present
        )
        if not any(_taken(target(folders, placement), folders) for placement in placements):
            return replace(job, placements=placements), number
    raise AssertionError  # unreachable: count() is infinite


def _name(job: Job, name: PurePosixPath, item: _Item, number: int) -> PurePosixPath:
    """Return the path of ``item`` below its folder; ``name`` is that of the source.

    In done/ the suffix of the film is that of the result, since the container may differ.
    """
    result_ending = PurePosixPath(job.result).suffix
    if item.place is Place.DONE and result_ending.lower() != name.suffix.lower():
        name = name.with_suffix(result_ending)
    name = numbered(name, number)
    return (
        name.with_suffix(item.ending)
        if item.replaces_suffix
        else name.with_name(name.name + item.ending)
    )


def target(folders: FolderSettings, placement: Placement) -> Path:
    """Return the path that a file is published under."""
    root: Path = getattr(folders, placement.place.value)
    return root / placement.name


def _taken(path: Path, folders: FolderSettings | None = None) -> bool:
    """Return True if ``path`` exists, even as a dangling link.

    With ``folders.portable_names`` also if its folder has a name that Windows takes for the same.
    """
    if path.is_symlink() or path.exists():
        return True
    if folders is None or not folders.portable_names or not path.parent.is_dir():
        return False
    wanted = same_on_windows(path.name)
    return any(same_on_windows(name) == wanted for name in os.listdir(path.parent))  # noqa: PTH208


def _move_all(folder: Path, job: Job, folders: FolderSettings, *, step: str, tick: Tick) -> None:
    """Move the files of the job's placements, in order.

    Raises:
        FileExistsError: a name is taken; the files before it have been moved.
    """
    films = (job.result, job.source)
    for placement in job.placements:
        original = placement.place is Place.ORIGINALS
        if placement.file in films and not original:
            failpoint(f"{step}.after_sidecars")
        _move(folder / placement.file, target(folders, placement), job, folders, tick)
        film = "original" if original else "link"
        failpoint(f"{step}.after_{AFTER_MOVE.get(placement.file, film)}")


def _move(source: Path, goal: Path, job: Job, folders: FolderSettings, tick: Tick) -> None:
    """Move one file with the configured owner and mode; no-op if it was moved before a crash."""
    tick()
    if source.exists():
        for new_folder in make_folder(goal.parent):
            apply_mode(new_folder, folders)
        apply_mode(source, folders)
        move_no_clobber(source, goal, part=f".{job.job_id}", tick=tick)
        apply_mode(goal, folders)  # a copy on another filesystem is a new file


def _undo(folder: Path, job: Job, folders: FolderSettings, *, tick: Tick) -> None:
    """Move the published files of a job back into its folder, to give them another name."""
    for placement in job.placements:
        back = folder / placement.file
        if not back.exists():
            move_no_clobber(target(folders, placement), back, part=f".{placement.file}", tick=tick)
            failpoint("undo.after_file")


def requeue(film: Path, failed: Path, inbox: Path, *, tick: Tick = no_tick) -> Path:
    """Move a film from failed/ back into the inbox as a new job; return its path there.

    Its settings and cues move along; its log and error report are removed. After an ``OSError`` or
    a crash the call may be repeated.

    Args:
        film: path of the film below ``failed``.
        failed: folder of failed films.
        inbox: the inbox.
        tick: callback for each piece of a long copy.

    Raises:
        FileExistsError: the inbox has a film or a subtitle file of that name.
        FileNotFoundError: there is no such film.
    """
    goal = inbox / film.relative_to(failed)
    make_folder(goal.parent)
    if not film.is_file():
        if not goal.is_file():
            raise FileNotFoundError(film)
        _remove_reports(film)  # a crash came after the move
        return goal
    cues = cues_beside(film)
    if _taken(goal) or (cues.is_file() and _taken(cues_beside(goal))):
        raise FileExistsError(goal)
    part = f".requeue-{film.stat().st_ino}"  # short, so that a long film name does not matter
    own = film.with_name(film.name + FILM_SETTINGS_SUFFIX)
    if own.is_file():
        move_no_clobber(own, goal.with_name(own.name), part=part, tick=tick)
        failpoint("requeue.after_settings")
    if cues.is_file():
        move_no_clobber(cues, cues_beside(goal), part=part, tick=tick)
        failpoint("requeue.after_cues")
    move_no_clobber(film, goal, part=part, tick=tick)
    failpoint("requeue.after_film")
    _remove_reports(film)
    return goal


def _remove_reports(film: Path) -> None:
    """Remove the log and the error report of a failed film."""
    for ending in (".log", ERROR_ENDING):
        film.with_name(film.name + ending).unlink(missing_ok=True)
        failpoint("requeue.after_log")
