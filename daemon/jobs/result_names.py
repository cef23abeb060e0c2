"""Names of published files: free ones in all folders at once, numbered where one is taken.

A name that exists in one of the folders is taken for all of them, so that ``film (2).mp4`` and its
sidecars keep together. A folder is numbered in the same way where something else has its name: a
file, or a link, since links below our folders are never followed. ``shows (2)/e1.mp4`` then has the
company of every later film of ``shows/``, as long as the name ``shows`` is taken.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from daemon.config.locations import FolderSettings
from daemon.jobs.job import Job, Place, Placement
from daemon.storage.names import (
    MAX_NAME_BYTES,
    PLAIN_NAME,
    SIDECAR_ROOM_BYTES,
    fitted_folders,
    numbered,
    numbered_folder,
    output_name,
    same_on_windows,
    templated,
)

MAX_NUMBER = 10_000
"""Highest number that is tried for a name; a guess."""
MAX_PATH_BYTES = 4095
"""Longest path, in bytes (PATH_MAX of Linux, without the final zero byte)."""
PATH_ROOM_BYTES = 100
"""Bytes kept free in a path for the endings of sidecars, numbers and temporary copies; a guess."""


@dataclass(frozen=True, slots=True)
class Item:
    """One file of the job folder to publish, and the rule for its name."""

    file: str
    place: Place
    ending: str = ""  # "": the film itself
    replaces_suffix: bool = False  # True: film.mp4 -> film.srt; False: film.mp4 -> film.mp4.log
    may_append: bool = False  # True: film.mp4.srt after all where the name film.srt is taken


def placements_of(
    job: Job, items: Sequence[Item], folders: FolderSettings, first: int
) -> tuple[tuple[Placement, ...], int]:
    """Return placements whose names are all free, and their common number.

    Args:
        job: the job.
        items: files to publish, in order.
        folders: where to publish.
        first: number to begin with; 1 means ``film.mp4``, 2 means ``film (2).mp4``.

    Raises:
        FileExistsError: all names up to ``MAX_NUMBER`` are taken.
        OSError: a folder cannot be read.
    """
    bases = {place: _base_of(job, place, folders) for place in {item.place for item in items}}
    parents = {
        place: free_folder(root_of(folders, place), base.parent) for place, base in bases.items()
    }
    bases = {place: parents[place] / base.name for place, base in bases.items()}
    for number in range(first, MAX_NUMBER + 1):
        placements = tuple(_placement(bases[item.place], item, number, folders) for item in items)
        if not any(is_taken(target(folders, placement), folders) for placement in placements):
            return placements, number
    last = items[-1].place
    path = str(root_of(folders, last) / bases[last])
    raise FileExistsError(errno.EEXIST, f"{MAX_NUMBER} names like this are taken", path)


def _placement(base: PurePosixPath, item: Item, number: int, folders: FolderSettings) -> Placement:
    """Return the placement of one file; ``base``: path of the film below the item's folder."""
    placement = Placement(item.file, item.place, str(base.parent / _name(base, item, number)))
    if item.may_append and is_taken(target(folders, placement), folders):
        item = replace(item, replaces_suffix=False)
        return Placement(item.file, item.place, str(base.parent / _name(base, item, number)))
    return placement


def _base_of(job: Job, place: Place, folders: FolderSettings) -> PurePosixPath:
    """Return the path of the film below a folder, shortened if that is necessary.

    In done/ the suffix of the film is that of the result, since the container may differ, and
    ``folders.result_name`` counts.
    """
    relative = PurePosixPath(job.named_like or job.name) if place is Place.DONE else job.relative
    if place is Place.DONE:
        ending = PurePosixPath(job.result).suffix
        if ending and ending.lower() != relative.suffix.lower():
            relative = relative.with_suffix(ending)
        room_bytes = MAX_NAME_BYTES - SIDECAR_ROOM_BYTES
        if folders.result_name != PLAIN_NAME and not job.named_like:
            name = templated(folders.result_name, relative.name, max_bytes=room_bytes)
            relative = relative.with_name(name)
    base = output_name(relative, portable=folders.portable_names)
    roots = (folders.done, folders.failed, folders.originals)
    taken_bytes = max(len(os.fsencode(root)) for root in roots) + len(os.fsencode(base.name))
    room_bytes = MAX_PATH_BYTES - PATH_ROOM_BYTES - taken_bytes
    return fitted_folders(base.parent, max_bytes=room_bytes) / base.name


def _name(base: PurePosixPath, item: Item, number: int) -> str:
    """Return the file name of ``item``; ``base`` is that of the film."""
    name = numbered(PurePosixPath(base.name), number)
    return str(name.with_suffix(item.ending)) if item.replaces_suffix else name.name + item.ending


def free_folder(root: Path, relative: PurePosixPath) -> PurePosixPath:
    """Return the path below ``root`` for the files of the folder ``relative``.

    Each part is a folder or does not exist yet; a part whose name something else has is numbered.

    Raises:
        FileExistsError: all names of a part up to ``MAX_NUMBER`` are taken.
        OSError: a folder cannot be read.
    """
    found = PurePosixPath()
    for part in relative.parts:
        for number in range(1, MAX_NUMBER + 1):
            candidate = found / numbered_folder(part, number)
            if not _is_blocked(root / candidate):
                found = candidate
                break
        else:
            path = str(root / found / part)
            raise FileExistsError(errno.EEXIST, f"{MAX_NUMBER} names like this are taken", path)
    return found


def _is_blocked(folder: Path) -> bool:
    """Return True if something else than a folder has this name; a link counts as that."""
    try:
        return not stat.S_ISDIR(folder.lstat().st_mode)
    except FileNotFoundError:
        return False


def folder_is_blocked(folders: FolderSettings, placement: Placement) -> bool:
    """Return True if the folder of a planned file, or one above it, can no longer be made."""
    folder = PurePosixPath(placement.name).parent
    return free_folder(root_of(folders, placement.place), folder) != folder


def root_of(folders: FolderSettings, place: Place) -> Path:
    """Return the folder that ``place`` names."""
    root: Path = getattr(folders, place.value)
    return root


def target(folders: FolderSettings, placement: Placement) -> Path:
    """Return the path that a file is published under."""
    return root_of(folders, placement.place) / placement.name


def is_taken(path: Path, folders: FolderSettings | None = None) -> bool:
    """Return True if ``path`` exists, even as a dangling link.

    With ``folders.portable_names`` also if its folder has a name that Windows takes for the same.

    Raises:
        OSError: that cannot be known.
    """
    try:
        path.lstat()
    except FileNotFoundError:
        pass
    else:
        return True
    if folders is None or not folders.portable_names or not path.parent.is_dir():
        return False
    wanted = same_on_windows(path.name)
    return any(same_on_windows(name) == wanted for name in os.listdir(path.parent))  # noqa: PTH208
