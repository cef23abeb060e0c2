"""Return of a finished film's original to the inbox, perhaps with other settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from daemon.config.film_settings import ResolvedSettings, film_settings_file, overridden
from daemon.jobs.companions import cues_beside, marker_beside
from daemon.storage.below import folder_below, pinned
from daemon.storage.copy_progress import CopyProgress
from daemon.storage.failpoints import failpoint
from daemon.storage.moves import move_no_clobber
from erasecore.errors import BadSidecar
from erasecore.settings import EraseSettings
from erasecore.system.atomic_files import status_if_there, write_whole
from erasecore.system.safe_open import read_plain


def problem_of_settings(text: str, name: str, base: EraseSettings, scratch: Path) -> str:
    """Return what is wrong with the text of a settings file; "" if it can be used.

    Args:
        text: the text.
        name: path of its film below the inbox, for the sentence.
        base: the operator's settings.
        scratch: file of ours that may be written, and is removed.

    Raises:
        OSError: it cannot be written.
    """
    write_whole(scratch, text.encode(), durable=False)
    try:
        overridden(ResolvedSettings(base), scratch, shown_as=film_settings_file(Path(name)))
    except BadSidecar as error:
        return str(error)
    finally:
        scratch.unlink(missing_ok=True)
    return ""


@dataclass(frozen=True, slots=True)
class RedoOrder:
    """An original that is to be done again."""

    name: str  # path of the film below originals/ and below the inbox
    settings: str  # text of a settings file that replaces the film's own; "": it keeps its own
    marked: bool  # the marker of a complete film is put beside it
    part: str  # prefix of temporary files, the same for repetitions


def put_into_inbox(order: RedoOrder, originals: Path, inbox: Path, progress: CopyProgress) -> None:
    """Move an original with its settings and cues from originals/ into the inbox.

    The film comes last: it is never taken without its settings. No link below the two folders is
    followed. The call may be repeated after a crash or an error.

    Args:
        order: the film, and what goes with it.
        originals: the folder of originals.
        inbox: the inbox.
        progress: it may stop the copy to another filesystem.

    Raises:
        FileExistsError: the inbox has another file of one of these names; the film stays.
        OSError: a file cannot be moved, or ``progress`` has stopped it (CopyStopped).
    """
    path, part = PurePosixPath(order.name), order.part
    below_inbox = folder_below(inbox, path.parent, make=True)
    with folder_below(originals, path.parent) as origin, below_inbox as goal:
        source, film = pinned(origin) / path.name, pinned(goal) / path.name
        if order.settings:
            _write_settings(film_settings_file(film), order.settings, part)
        else:
            _move_if_there(film_settings_file(source), film_settings_file(film), part)
        failpoint("redo.after_settings")
        _move_if_there(cues_beside(source), cues_beside(film), part)
        if order.marked:
            marker_beside(film).touch()
        _move_film(source, film, part, progress, own_settings=not order.settings)
        failpoint("redo.after_film")
        if order.settings:
            film_settings_file(source).unlink(missing_ok=True)


def _move_film(
    source: Path, film: Path, part: str, progress: CopyProgress, *, own_settings: bool
) -> None:
    """Move the film, unless that was done before a crash; if it must stay, its companions too."""
    try:
        if status_if_there(source) is not None:
            move_no_clobber(source, film, part=part, progress=progress)
    except FileExistsError:
        _take_companions_back(source, film, part, own_settings=own_settings)
        raise


def _write_settings(goal: Path, settings: str, part: str) -> None:
    """Write a settings file, unless it is there already.

    Raises:
        FileExistsError: another one is there.
    """
    content = settings.encode()
    if status_if_there(goal) is not None and read_plain(goal, len(content) + 1) == content:
        return
    draft = goal.with_name(f"{part}-settings")
    write_whole(draft, content)
    try:
        move_no_clobber(draft, goal, part=part)
    finally:
        draft.unlink(missing_ok=True)


def _move_if_there(file: Path, goal: Path, part: str) -> None:
    if status_if_there(file) is not None:
        move_no_clobber(file, goal, part=part)


def _take_companions_back(source: Path, film: Path, part: str, *, own_settings: bool) -> None:
    """Take back what was put beside a film that could not follow."""
    if own_settings:
        _move_if_there(film_settings_file(film), film_settings_file(source), part)
    else:
        film_settings_file(film).unlink(missing_ok=True)
    _move_if_there(cues_beside(film), cues_beside(source), part)
