"""The Python interface: erase a film's subtitles, detect them, or inpaint arrays.

``import erasecore`` offers all of it; this module is imported when one of its names is first used.
Nothing is printed and no file is left behind. See docs/python.md.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from erasecore.argument_checks import (
    check_arrays,
    check_engine,
    check_models,
    checked_companions,
    checked_cuts,
    checked_film,
    checked_path,
    checked_settings,
    checked_target,
    result_exists,
)
from erasecore.checkpoints import Checkpoints
from erasecore.detected_text import Detection, public_detection
from erasecore.detection_pass import detect_film
from erasecore.errors import FolderError, printable
from erasecore.frame_inpainting import inpaint_frames
from erasecore.loaded_models import Models, StrPath, borrowed_engine, load_models
from erasecore.pipeline import erase as erase_in_folder
from erasecore.reports import EraseReport, Progress
from erasecore.settings import Companions, DiffusionSettings, EraseSettings
from erasecore.system.atomic_files import name_durably, replace_durably, sync_folder
from erasecore.system.no_clobber import rename_no_clobber
from erasecore.video.probe import probe

_WORK_PREFIX, _WORK_SUFFIX = ".erase-", ".part"  # of the folder that an unfinished film lies in


# --- erase --------------------------------------------------------------------------------------


def erase(  # noqa: PLR0913 - everything after the settings is optional and keyword-only
    src: StrPath,
    dst: StrPath,
    settings: EraseSettings | None = None,
    *,
    overwrite: bool = False,
    mask: StrPath | None = None,
    cues: StrPath | None = None,
    models: Models | None = None,
    progress: Callable[[Progress], None] | None = None,
    work_dir: StrPath | None = None,
) -> EraseReport:
    """Write the film ``src`` to ``dst`` without its subtitles, completely or not at all.

    Args:
        src: the film; not modified.
        dst: the result, in the container of ``src`` whatever its suffix.
        settings: engine, regions, times, encoder, limits; ``None``: the defaults.
        overwrite: replace ``dst`` if it exists.
        mask: a PNG, or a film with as many frames; white is erased, no text is searched for.
        cues: a subtitle file (``.srt``); text is searched for only when it has a line.
        models: loaded networks to be reused; ``None``: loaded for this call.
        progress: called about once a frame, from any thread; what it raises ends the work.
        work_dir: for a temporary folder of about the film's size; ``None``: beside ``dst``.

    Raises:
        TypeError, ValueError, FileExistsError: an argument is not allowed; no work was done.
        InputError: the film, the mask or the cues cannot be used.
        HostError: this machine lacks something; FolderError: ``dst`` cannot be written.
        OutOfMemory, OSError: not even the smallest pieces fit; the disk does not answer.
    """
    check_models(models, progress)
    settings, source = checked_settings(settings), checked_film(src)
    companions = checked_companions(source, mask, cues)
    result = checked_target(dst, source, overwrite=overwrite)
    place = result.parent if work_dir is None else checked_path(work_dir, "work_dir")
    with _work_folder(place) as folder:
        report = _erase_in(folder, source, settings, companions, models, observe=progress)
        _publish(folder / report.result, result, overwrite=overwrite)
    return _with_name(report, result)


def _erase_in(
    folder: Path,
    source: Path,
    settings: EraseSettings,
    companions: Companions,
    models: Models | None,
    *,
    observe: Callable[[Progress], None] | None,
) -> EraseReport:
    """Make the result in ``folder``."""
    models = models or load_models()
    with models.borrowed() as cache:
        return erase_in_folder(
            source,
            folder,
            replace(settings, mask=Path(companions.mask).name),
            models=cache,
            observe=models.guarded(observe or (lambda _: None)),
            companions=companions,
        )


@contextmanager
def _work_folder(parent: Path) -> Iterator[Path]:
    """Make a temporary folder in ``parent``; remove it with all that is in it in any case."""
    try:
        folder = TemporaryDirectory(
            prefix=_WORK_PREFIX, suffix=_WORK_SUFFIX, dir=parent, ignore_cleanup_errors=True
        )
    except OSError as error:
        raise FolderError(parent, f"{error.strerror}; choose another place.") from error
    with folder as name:
        yield Path(name).resolve()


def _publish(made: Path, result: Path, *, overwrite: bool) -> None:
    """Rename the finished file ``made`` to ``result``; copy it first from another filesystem.

    Raises:
        FileExistsError: it has been made by somebody else meanwhile.
        FolderError: it cannot be done.
    """
    try:
        try:
            _rename(made, result, overwrite=overwrite)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            with _work_folder(result.parent) as folder:
                copy = folder / made.name
                shutil.copyfile(made, folder / "copy")
                name_durably(folder / "copy", copy)
                _rename(copy, result, overwrite=overwrite)
    except FileExistsError as error:
        raise result_exists(result) from error
    except OSError as error:
        raise FolderError(result, f"{error.strerror}; choose another place.") from error


def _rename(made: Path, result: Path, *, overwrite: bool) -> None:
    if overwrite:
        replace_durably(made, result)
    else:
        rename_no_clobber(made, result)
        sync_folder(result.parent)


def _with_name(report: EraseReport, result: Path) -> EraseReport:
    """Return ``report`` with the result's name, and a warning if its suffix does not fit.

    A film keeps its container, as with the command ``erase IN OUT``.
    """
    ending, warnings = Path(report.result).suffix, report.warnings
    if ending and ending.lower() != result.suffix.lower():
        fitting = printable(result.with_suffix(ending).name)
        misnamed = f"what is in it is a {ending} file; {fitting} would fit"
        warnings = (*warnings, f"films keep their container: {misnamed}")
    return replace(report, result=result.name, warnings=warnings)


# --- detect -------------------------------------------------------------------------------------


def detect(
    src: StrPath,
    settings: EraseSettings | None = None,
    *,
    cues: StrPath | None = None,
    models: Models | None = None,
    progress: Callable[[float], None] | None = None,
) -> Detection:
    """Find the burned-in subtitles of a film, as :func:`erase` does, without erasing them.

    Args:
        src: the film; not modified.
        settings: ``detect`` and ``limits`` count; ``None``: the defaults.
        cues: a subtitle file (``.srt``); text is searched for only when it has a line.
        models: loaded networks to be reused; ``None``: loaded for this call.
        progress: called after each frame with the share that is done, 0 to 1.

    Raises:
        TypeError, ValueError: an argument or a setting is not allowed; no work was done.
        InputError: the film or the cues cannot be used.
        OSError: the disk or the share does not answer.
    """
    check_models(models, progress)
    settings, source = checked_settings(settings), checked_film(src)
    companions = checked_companions(source, None, cues)
    models = models or load_models()
    tell = models.guarded(progress or (lambda _: None))
    with models.borrowed() as cache, TemporaryDirectory() as folder:
        video = replace(probe(source, settings.limits), threads=cache.host.threads)
        total = max(1, video.frames_estimate)
        found = detect_film(
            video,
            settings,
            companions,
            Checkpoints(Path(folder), source, settings, companions),
            models=cache,
            report_frames=lambda done: tell(min(1.0, done / total)),
        )
        with closing(found):
            return public_detection(found, video)


# --- inpaint ------------------------------------------------------------------------------------


def inpaint(  # noqa: PLR0913 - everything after the arrays is optional and keyword-only
    frames: NDArray[np.uint8],
    masks: NDArray[np.bool_] | NDArray[np.uint8],
    *,
    engine: str = "propagate",
    cuts: Sequence[int] | None = None,
    diffusion: DiffusionSettings | None = None,
    models: Models | None = None,
    progress: Callable[[float], None] | None = None,
) -> NDArray[np.uint8]:
    """Replace the masked pixels of a clip by what other frames show there (video inpainting).

    What no frame shows is inpainted in space. The result takes as much memory as ``frames``, the
    work about 1 GB at 1080p; masks that change, 350 bytes for each masked pixel of 16 frames.

    Args:
        frames: uint8 ``(T, H, W, 3)``, RGB, of any size; not modified.
        masks: bool or uint8 ``(T, H, W)``; not 0 is replaced. Cover soft edges and shadows, too.
        engine: ``propagate``, ``auto``, or ``diffueraser`` with ``load_models(weights=...)``.
        cuts: first frame of each shot but the first; ``None``: detected, ``()``: none.
        diffusion: settings of the diffusion engine.
        models: loaded networks to reuse.
        progress: called now and then with the share that is done, 0 to 1.

    Returns:
        New uint8 ``(T, H, W, 3)``, equal to ``frames`` bit for bit where no mask is set. A frame
        masked completely repeats the nearest one of its shot that is not, or is black.

    Raises:
        TypeError, ValueError: types, shapes or settings do not fit; there is no such engine.
        HostError, OutOfMemory: the engine is not to be had here, or does not fit into memory.
    """
    check_models(models, progress)
    check_engine(engine, diffusion)
    check_arrays(frames, masks)
    shots = checked_cuts(cuts, len(frames))
    tell = progress or (lambda _: None)
    tell = models.guarded(tell) if models else tell
    with borrowed_engine(engine, diffusion or DiffusionSettings(), models) as made:
        return inpaint_frames(frames, masks != 0, made, cuts=shots, tick=tell)
