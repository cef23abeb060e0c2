"""Checks of the arguments of the Python interface, before any work is done."""

from __future__ import annotations

import errno
import operator
import os
import reprlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from erasecore.errors import FolderError, InputError, UnreadableFile
from erasecore.loaded_models import Models, StrPath
from erasecore.settings import Companions, DiffusionSettings, EraseSettings
from erasecore.settings_check import check_settings
from erasecore.system.safe_open import blames_host
from erasecore.video.opening import check_regular


def checked_path(path: object, name: str) -> Path:
    """Return ``path`` as an absolute path; links are not resolved.

    Args:
        path: the argument.
        name: its name in error texts.

    Raises:
        TypeError: it is no str or PathLike; ValueError: it is empty or holds a NUL.
    """
    if not isinstance(path, str | os.PathLike) or not isinstance(os.fspath(path), str):
        raise TypeError(f"{name}: a path is needed (str or Path), not {type(path).__name__}")
    text = os.fspath(path)
    if not text or "\0" in text:
        why = "holds a NUL character" if text else "is empty"
        raise ValueError(f"{name}: the path {why}: {reprlib.repr(text)}")
    return Path(text).absolute()


def checked_film(src: object) -> Path:
    """Return the absolute path of the film ``src``, with links resolved.

    Raises:
        InputError: there is no such file, or it is not one that can be read.
        OSError: the disk or the share does not answer.
    """
    path = checked_path(src, "src")
    try:
        source = path.resolve(strict=True)
        check_regular(source)
    except PermissionError as error:
        raise UnreadableFile(path, os.geteuid()) from error
    except (OSError, RuntimeError) as error:  # RuntimeError: links that form a loop
        if isinstance(error, OSError) and blames_host(error):
            raise
        why = getattr(error, "strerror", None) or "its links form a loop"
        raise InputError(path, f"there is no such film ({why}); correct the path.") from error
    return source


def checked_companions(source: Path, mask: StrPath | None, cues: StrPath | None) -> Companions:
    """Return the absolute paths of the files that say more about ``source``.

    Raises:
        InputError: one of them is not there, or is no regular file.
    """
    found = {"mask": "", "cues": ""}
    for kind, file in (("mask", mask), ("cues", cues)):
        if file is None:
            continue
        path = checked_path(file, kind)
        if not os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises PermissionError
            raise InputError(source, f"there is no {kind} file {path}; correct the path.")
        found[kind] = str(path.resolve())
    return Companions(**found)


def checked_target(dst: object, source: Path, *, overwrite: bool) -> Path:
    """Return the absolute path of the result, after checking that it may be written.

    Raises:
        ValueError: it is a folder, or the source.
        FileExistsError: it exists, and ``overwrite`` is False.
        FolderError: its folder does not exist.
    """
    result = checked_path(dst, "dst")
    if not os.path.isdir(result.parent):  # noqa: PTH112 - as above
        raise FolderError(result.parent, "is no folder; make it, or name another place.")
    if result.is_dir():
        raise ValueError(f"dst: {result} is a folder; name a file in it")
    if result.exists() and result.samefile(source):
        raise ValueError(f"dst: {result} is the source itself; name another file")
    if os.path.lexists(result) and not overwrite:
        raise result_exists(result)
    return result


def result_exists(result: Path) -> FileExistsError:
    """Return the error for a result that is there already."""
    sentence = "the result exists already; name another file, or pass overwrite=True"
    return FileExistsError(errno.EEXIST, sentence, str(result))


def checked_settings(settings: EraseSettings | None) -> EraseSettings:
    """Return ``settings``, or the defaults for ``None``.

    Raises:
        TypeError, ValueError: a field has a wrong type, or a value that is not allowed.
    """
    if settings is None:
        return EraseSettings()
    check_settings(settings, prefix="settings.")
    if settings.mask:
        raise ValueError(
            f"settings.mask: is {settings.mask!r}, but only the daemon reads it; pass the file's "
            "path to erase as mask= instead"
        )
    return settings


def check_engine(engine: object, diffusion: object) -> None:
    """Raise TypeError or ValueError unless ``inpaint`` can make this engine of these settings."""
    if not isinstance(engine, str):
        raise TypeError(f"engine: a str is needed, not {type(engine).__name__}")
    if diffusion is not None and not isinstance(diffusion, DiffusionSettings):
        raise TypeError(f"diffusion: DiffusionSettings are needed, not {type(diffusion).__name__}")
    settings = EraseSettings(engine=engine, diffusion=diffusion or DiffusionSettings())
    check_settings(settings, prefix="")


def check_models(models: object, progress: object) -> None:
    """Raise TypeError unless both are ``None`` or of the right kind."""
    if models is not None and not isinstance(models, Models):
        kind = type(models).__name__
        raise TypeError(f"models: what load_models() returns is needed, not {kind}")
    if progress is not None and not callable(progress):
        raise TypeError(f"progress: a function is needed, not {type(progress).__name__}")


def check_arrays(frames: object, masks: object) -> None:
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


def checked_cuts(cuts: object, count: int) -> tuple[int, ...] | None:
    """Return the cuts of a clip of ``count`` frames as a tuple; ``None`` stays ``None``.

    Raises:
        TypeError: it is no sequence of whole numbers; ValueError: one is no frame of the clip.
    """
    if cuts is None:
        return None
    wanted = "cuts: a sequence of frame numbers (int) is needed"
    if not isinstance(cuts, Iterable) or isinstance(cuts, str | bytes):
        raise TypeError(f"{wanted}, not {type(cuts).__name__}")
    try:
        numbers = tuple(operator.index(cut) for cut in cuts)
    except TypeError as error:
        raise TypeError(f"{wanted}, not {reprlib.repr(cuts)}") from error
    for cut in numbers:
        if not 0 <= cut < count:
            raise ValueError(f"cuts: {cut} is no frame of a clip of {count} frames")
    return numbers
