"""The Python interface: erase a film's subtitles, detect them, or inpaint arrays.

``import erasecore`` offers all of it; this module is imported when one of its names is first used.
Nothing is printed and no file is left behind. See docs/python.md.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from erasecore.checkpoints import Checkpoints
from erasecore.detected_text import Detection, public_detection
from erasecore.detection_pass import detect_film
from erasecore.errors import FolderError, InputError
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
    """Write the film ``src`` to ``dst`` without its burned-in subtitles.

    ``dst`` appears complete and checked, or not at all. A film in which no subtitle is found is
    copied byte for byte. A film keeps its container: if the suffix of ``dst`` names another one,
    the content is that of ``src``'s container all the same, and a warning in the report says so.

    Args:
        src: the film; not modified.
        dst: the result; its folder must exist.
        settings: engine, regions, times, encoder, limits; ``None``: the defaults.
        overwrite: replace ``dst`` if it exists.
        mask: a PNG, or a film with as many frames as ``src``; what is white is erased, and no text
            is searched for.
        cues: a subtitle file (``.srt``); text is searched for only when it has a line.
        models: loaded networks to be reused; ``None``: loaded for this call.
        progress: called about once per frame or more, from any thread; an exception that it raises
            ends the work and reaches the caller. It must not call this library with ``models``.
        work_dir: where unfinished files lie, in a temporary folder of their own that is removed in
            any case; ``None``: beside ``dst``. They take about the size of the film.

    Returns:
        What was erased, when, how sure it is, what the text said, and warnings.

    Raises:
        InputError: the film, the mask or the cues cannot be used.
        FolderError: ``dst`` exists, is ``src``, or cannot be written.
        HostError: this machine lacks something else: space, weights, a GPU.
        OutOfMemory: not even the smallest pieces of work fit into memory.
        OSError: the disk or the share does not answer.
    """
    source, result = _existing(src, "film"), Path(dst).absolute()
    _check_target(result, source, overwrite=overwrite)
    companions = _companions(source, mask, cues)
    settings = replace(settings or EraseSettings(), mask=Path(mask).name if mask else "")
    with (
        (models or load_models()).borrowed() as cache,
        _work_folder(result.parent if work_dir is None else Path(work_dir)) as folder,
    ):
        report = erase_in_folder(
            source,
            folder,
            settings,
            models=cache,
            observe=progress or (lambda _: None),
            companions=companions,
        )
        _publish(folder / report.result, result, overwrite=overwrite)
    warnings = (*report.warnings, *_misnamed(report.result, result))
    return replace(report, result=result.name, warnings=warnings)


def _existing(path: StrPath, kind: str) -> Path:
    """Return ``path`` with links resolved.

    Raises:
        InputError: there is no such file.
    """
    try:
        return Path(path).resolve(strict=True)
    except OSError as error:
        why = f"there is no such {kind} ({error.strerror}); correct the path."
        raise InputError(Path(path), why) from error


def _companions(source: Path, mask: StrPath | None, cues: StrPath | None) -> Companions:
    """Return the absolute paths of the files that say more about ``source``."""
    found = {"mask": mask, "cues": cues}
    for kind, file in found.items():
        if file is not None and not Path(file).is_file():
            raise InputError(source, f"there is no {kind} file {file}; correct the path.")
    return Companions(**{kind: str(Path(f).resolve()) if f else "" for kind, f in found.items()})


def _check_target(result: Path, source: Path, *, overwrite: bool) -> None:
    """Raise FolderError unless ``result`` may be written."""
    if not result.parent.is_dir():
        raise FolderError(result.parent, "is no folder; make it, or name another place.")
    if result.is_dir():
        raise FolderError(result, "is a folder; name a file in it.")
    if result.exists() and result.samefile(source):
        raise FolderError(result, "is the source itself; name another file.")
    if os.path.lexists(result) and not overwrite:
        raise _taken(result)


def _taken(result: Path) -> FolderError:
    return FolderError(result, "exists already; name another file, or pass overwrite=True.")


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
        raise _taken(result) from error
    except OSError as error:
        raise FolderError(result, f"{error.strerror}; choose another place.") from error


def _rename(made: Path, result: Path, *, overwrite: bool) -> None:
    if overwrite:
        replace_durably(made, result)
    else:
        rename_no_clobber(made, result)
        sync_folder(result.parent)


def _misnamed(made: str, result: Path) -> Iterator[str]:
    """Yield a warning if the suffix of ``result`` is not that of its content."""
    ending = Path(made).suffix
    if ending and ending.lower() != result.suffix.lower():
        name = result.with_suffix(ending).name
        yield f"films keep their container: what is in it is a {ending} file; {name} would fit"


# --- detect -------------------------------------------------------------------------------------


def detect_subtitles(
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
        InputError: the film or the cues cannot be used.
        OSError: the disk or the share does not answer.
    """
    source, settings = _existing(src, "film"), settings or EraseSettings()
    companions = _companions(source, None, cues)
    tell = progress or (lambda _: None)
    with (models or load_models()).borrowed() as cache, TemporaryDirectory() as folder:
        video = replace(probe(source, settings.limits), threads=cache.host.threads)
        total = max(1, video.frames_estimate)
        found = detect_film(
            video,
            settings,
            companions,
            Checkpoints(Path(folder), source, settings, companions),
            detector=cache.detector,
            tell=lambda done: tell(min(1.0, done / total)),
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
    """Replace the masked pixels of a clip (video inpainting).

    A masked pixel gets the value that other frames of its shot show there, along the motion (dense
    optical flow); only what no frame shows is inpainted in space from what surrounds it. Masked
    areas are worked on in crops around them, so the time follows the masks, not the picture.

    Memory: the result takes as much as ``frames``, and the work about 1 GB more at 1080p, since a
    clip is worked on in overlapping parts. Where a large mask differs from frame to frame it is
    more: 350 bytes for each masked pixel of 16 frames. A long film does not fit as an array: use
    :func:`erase` with ``mask``, which holds a few frames only.

    Thread-safe as long as nobody writes to the arrays meanwhile.

    Args:
        frames: uint8 ``(T, H, W, 3)``, RGB in display values (not linear light); any size; not
            modified.
        masks: bool or uint8 ``(T, H, W)``; what is not 0 is replaced. One mask for all frames:
            ``np.broadcast_to(mask, frames.shape[:3])``. Cover soft edges and shadows, too: they
            would be taken for background.
        engine: ``propagate``, ``diffueraser`` (with ``models=load_models(weights=...)``) or
            ``auto``: diffueraser if its weights and a GPU are there.
        cuts: first frame of every shot but the first; nothing is copied across them. ``None``:
            they are detected; ``()``: there are none.
        diffusion: settings of the diffusion engine.
        models: loaded networks to be reused.
        progress: called now and then with the share that is done, 0 to 1.

    Returns:
        uint8 ``(T, H, W, 3)``, a new array; equal to ``frames`` bit for bit where no mask is set.
        A frame that is masked completely repeats the nearest one of its shot that is not; a shot
        that is masked completely becomes black.

    Raises:
        TypeError: an argument is no array of such a type.
        ValueError: shapes do not fit, or a cut is no frame of the clip.
        EngineMissing, WeightsMissing: the engine is not to be had on this machine.
        OutOfMemory: not even the smallest pieces of the diffusion engine's work fit into memory.
    """
    _check_arrays(frames, masks)
    _check_cuts(cuts, len(frames))
    bits = masks if masks.dtype == np.bool_ else masks != 0
    if not bits.any():
        return np.array(frames, order="C")
    tell = progress or (lambda _: None)
    with borrowed_engine(engine, diffusion or DiffusionSettings(), models) as made:
        return inpaint_frames(frames, np.asarray(bits, np.bool_), made, cuts=cuts, tick=tell)


def _check_arrays(frames: object, masks: object) -> None:
    """Raise TypeError or ValueError unless both are arrays that fit."""
    for name, array, kinds in (
        ("frames", frames, (np.uint8,)),
        ("masks", masks, (np.bool_, np.uint8)),
    ):
        if not isinstance(array, np.ndarray):
            raise TypeError(f"{name}: a numpy array is needed, not {type(array).__name__}")
        if array.dtype not in kinds:
            wanted = " or ".join(np.dtype(kind).name for kind in kinds)
            raise TypeError(f"{name}: values are {array.dtype}, needed is {wanted}")
    assert isinstance(frames, np.ndarray)
    assert isinstance(masks, np.ndarray)
    if frames.ndim != 4 or frames.shape[3] != 3:
        raise ValueError(f"frames: shape is {frames.shape}, needed is (T, H, W, 3)")
    if masks.shape != frames.shape[:3]:
        raise ValueError(f"masks: shape is {masks.shape}, needed is {frames.shape[:3]}")


def _check_cuts(cuts: Sequence[int] | None, count: int) -> None:
    """Raise ValueError unless each cut is the number of a frame."""
    for cut in cuts or ():
        if not 0 <= cut < count:
            raise ValueError(f"cuts: {cut} is no frame of a clip of {count} frames")
