"""Results into ``done/``, failures into ``failed/``, sources into ``originals/``.

What goes where, and under which name, is written into ``job.json`` before anything moves, and each
file moves by one step that never overwrites. So after a crash anywhere the same list is simply
worked through again: what is not in the job's folder any more has been published.

A name that is taken in one of the folders is taken for all: ``film (2).mp4`` and its sidecars keep
together. The report, which bears the job's id and so is like no other file, goes first and reserves
the name; the film itself comes last, so whoever sees it finds its sidecars.
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
from daemon.storage.atomic import make_folder
from daemon.storage.failpoints import failpoint
from daemon.storage.moves import Tick, move_no_clobber, no_tick
from daemon.storage.names import FILM_SETTINGS_SUFFIX, numbered, output_name, same_on_windows

AFTER_MOVE = {
    REPORT_FILE: "report",
    ERROR_FILE: "error",
    LOG_FILE: "log",
    PREVIEW_FILE: "preview",
    SRT_FILE: "subtitles",
    SETTINGS_FILE: "settings",
    CUES_FILE: "cues",
}
"""Of each file but the films the fault point after its move, as in ``publish.after_log``."""


@dataclass(frozen=True, slots=True)
class _Item:
    """A file of the job's folder, and what it is called beside the film."""

    file: str
    place: Place
    ending: str = ""  # nothing: the film itself
    instead: bool = False  # whether ``ending`` takes the place of the film's own


def publish(folder: Path, job: Job, folders: FolderSettings, *, tick: Tick = no_tick) -> Job:
    """The finished ``job``, done: its result in done/, its source in originals/ (or no more).

    Raises:
        OSError: a folder cannot be written to; the same call may be made again.
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
        items.append(_Item(CUES_FILE, Place.ORIGINALS, ".srt", instead=True))
        items.append(_Item(job.source, Place.ORIGINALS))
    job = _place_all(folder, job, folders, items, tick=tick)
    job = moved(job, JobState.DONE)
    save_job(folder, job)
    failpoint("publish.after_done")
    return job


def reject(folder: Path, job: Job, folders: FolderSettings, *, tick: Tick = no_tick) -> Job:
    """The rejected ``job``, failed: its source and why, in failed/.

    Raises:
        OSError: a folder cannot be written to; the same call may be made again.
    """
    items = [
        _Item(ERROR_FILE, Place.FAILED, ERROR_ENDING),
        _Item(LOG_FILE, Place.FAILED, ".log"),
        _Item(SETTINGS_FILE, Place.FAILED, FILM_SETTINGS_SUFFIX),
        _Item(CUES_FILE, Place.FAILED, ".srt", instead=True),
        _Item(job.source, Place.FAILED),
    ]
    job = _place_all(folder, job, folders, items, tick=tick)
    job = moved(job, JobState.FAILED)
    save_job(folder, job)
    failpoint("reject.after_failed")
    return job


def sidecar_of(job: Job) -> Placement | None:
    """Where the report or the error of a published job went; nothing if it had none."""
    return next((one for one in job.placements if one.file in (REPORT_FILE, ERROR_FILE)), None)


def _place_all(
    folder: Path, job: Job, folders: FolderSettings, items: Sequence[_Item], *, tick: Tick
) -> Job:
    step = "publish" if job.state is JobState.FINISHED else "reject"
    number = 1
    while True:
        if not job.placements:
            job, number = _planned(folder, job, folders, items, number)
            save_job(folder, job)
            failpoint(f"{step}.after_plan")
        try:
            _work_through(folder, job, folders, step=step, tick=tick)
        except FileExistsError:
            # Somebody took the name since we looked: take everything back, choose the next one.
            _undo(folder, job, folders, tick=tick)
            job, number = replace(job, placements=()), number + 1
            save_job(folder, job)
            failpoint("undo.after_all")
        else:
            return job


def _planned(
    folder: Path, job: Job, folders: FolderSettings, items: Sequence[_Item], first: int
) -> tuple[Job, int]:
    """The job with a name for each of its files, all of them free, and the number they bear."""
    present = [item for item in items if (folder / item.file).is_file()]
    for number in count(first):
        base = output_name(job.relative, portable=folders.portable_names)
        placements = tuple(
            Placement(item.file, item.place, str(_name(job, base, item, number)))
            for item in present
        )
        if not any(_taken(target(folders, one), folders) for one in placements):
            return replace(job, placements=placements), number
    raise AssertionError  # count() has no end


def _name(job: Job, name: PurePosixPath, item: _Item, number: int) -> PurePosixPath:
    result_ending = PurePosixPath(job.result).suffix
    if item.place is Place.DONE and result_ending.lower() != name.suffix.lower():
        name = name.with_suffix(result_ending)
    name = numbered(name, number)
    return (
        name.with_suffix(item.ending) if item.instead else name.with_name(name.name + item.ending)
    )


def target(folders: FolderSettings, placement: Placement) -> Path:
    """Where a file is to be published."""
    root: Path = getattr(folders, placement.place.value)
    return root / placement.name


def _taken(path: Path, folders: FolderSettings | None = None) -> bool:
    """Whether something has that name or, where names are portable, one that clashes with it."""
    if path.is_symlink() or path.exists():
        return True
    if folders is None or not folders.portable_names or not path.parent.is_dir():
        return False
    wanted = same_on_windows(path.name)
    return any(same_on_windows(one) == wanted for one in os.listdir(path.parent))  # noqa: PTH208


def _work_through(
    folder: Path, job: Job, folders: FolderSettings, *, step: str, tick: Tick
) -> None:
    films = (job.result, job.source)
    for placement in job.placements:
        original = placement.place is Place.ORIGINALS
        if placement.file in films and not original:
            failpoint(f"{step}.after_sidecars")
        _move(folder / placement.file, target(folders, placement), job, folders, tick)
        film = "original" if original else "link"
        failpoint(f"{step}.after_{AFTER_MOVE.get(placement.file, film)}")


def _move(source: Path, goal: Path, job: Job, folders: FolderSettings, tick: Tick) -> None:
    tick()
    if source.exists():  # else it has been published before a crash
        for made in make_folder(goal.parent):
            apply_mode(made, folders)
        apply_mode(source, folders)
        move_no_clobber(source, goal, part=f".{job.job_id}", tick=tick)
        apply_mode(goal, folders)  # a copy on another filesystem is a new file


def _undo(folder: Path, job: Job, folders: FolderSettings, *, tick: Tick) -> None:
    """Take back what has been published of a job, so that it can be given another name."""
    for placement in job.placements:
        back = folder / placement.file
        if not back.exists():
            move_no_clobber(target(folders, placement), back, part=f".{placement.file}", tick=tick)
            failpoint("undo.after_file")


def requeue(film: Path, failed: Path, inbox: Path, *, tick: Tick = no_tick) -> Path:
    """A film of failed/ back in the inbox, where it becomes a new job; its explanation is removed.

    Raises:
        FileExistsError: the inbox has another film of that name.
        FileNotFoundError: there is no such film.
    """
    goal = inbox / film.relative_to(failed)
    make_folder(goal.parent)
    if not film.is_file():
        if not goal.is_file():
            raise FileNotFoundError(film)
        _forget_explanation(film)  # a crash came in between
        return goal
    cues = cues_beside(film)
    if _taken(goal) or (cues.is_file() and _taken(cues_beside(goal))):
        raise FileExistsError(goal)
    part = f".requeue-{film.stat().st_ino}"  # short, whatever the film is called
    own = film.with_name(film.name + FILM_SETTINGS_SUFFIX)
    if own.is_file():
        move_no_clobber(own, goal.with_name(own.name), part=part, tick=tick)
        failpoint("requeue.after_settings")
    if cues.is_file():
        move_no_clobber(cues, cues_beside(goal), part=part, tick=tick)
        failpoint("requeue.after_cues")
    move_no_clobber(film, goal, part=part, tick=tick)
    failpoint("requeue.after_film")
    _forget_explanation(film)
    return goal


def _forget_explanation(film: Path) -> None:
    for ending in (".log", ERROR_ENDING):
        film.with_name(film.name + ending).unlink(missing_ok=True)
        failpoint("requeue.after_log")
