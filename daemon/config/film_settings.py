"""Settings of one job: the operator's defaults, overridden by ``.erase.yaml`` files, deepest last.

Settings files are untrusted input: anybody may write into the inbox. They may set how a film is
erased, never paths (but for a mask near the file), limits, or the code that is run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from daemon.config.config_file import ConfigFile, read_settings_file
from daemon.config.migration import SCHEMA
from daemon.config.parsing import (
    Problem,
    new_problems,
    problems_of,
    read_record,
    without_problems,
)
from daemon.storage.below import folders_down, status_in
from daemon.storage.names import FILM_SETTINGS_SUFFIX, FOLDER_SETTINGS
from erasecore.errors import BadSidecar
from erasecore.settings import (
    DetectSettings,
    EncodeSettings,
    EraseSettings,
    OnResidual,
    PictureFrame,
)
from erasecore.settings_check import problems_of_erase
from erasecore.system.atomic_files import status_if_there

SENDERS_ENGINES = ("auto", "propagate")
"""Engines that a settings file may name: those that every host has. A missing engine pauses the
whole queue, and a sender must not be able to cause that."""
MAX_PATH_BYTES = 1000  # bytes of the mask's relative path, at most; guess


@dataclass(frozen=True, slots=True)
class FilmSettings:
    """Keys that a settings file may have: the part of ``EraseSettings`` that senders may set.

    Only its keys and types are used, to check a file; the values go into ``EraseSettings``, which
    also documents the fields.
    """

    schema: int = SCHEMA
    engine: str = "auto"
    priority: int = 0
    segment_seconds: float = 15.0
    srt: bool = True
    on_residual: OnResidual = OnResidual.DONE
    mask: str = ""
    detect: DetectSettings = field(default_factory=DetectSettings)
    encode: EncodeSettings = field(default_factory=EncodeSettings)


@dataclass(frozen=True, slots=True)
class ResolvedSettings:
    """Settings of one film after all overrides, and the settings file that names its mask."""

    settings: EraseSettings
    mask_named_in: Path | None = None  # ``None``: no settings file has the key ``mask``
    warnings: tuple[str, ...] = ()  # sentences on old spellings, with file and line

    @property
    def mask(self) -> PurePosixPath | None:
        """Path of the mask, in or below the folder of the settings file; ``None`` if no mask."""
        if self.mask_named_in is None or not self.settings.mask:
            return None
        return PurePosixPath(self.mask_named_in.parent, self.settings.mask)


def resolve_settings(
    film: Path, inbox: Path, base: EraseSettings, *, own: Path | None = None
) -> ResolvedSettings:
    """Return ``base`` overridden by the settings files that apply to ``film``.

    The order is: ``.erase.yaml`` of the inbox, of each folder down to the film's, then the film's
    own file; later ones win.

    Args:
        film: path of the film in the inbox; the film itself may have been claimed since.
        inbox: the inbox; folders above it are not searched, links below it not followed.
        base: the operator's settings.
        own: current path of the film's own settings file, if it is no longer beside ``film``.

    Raises:
        BadSidecar: one of the files is not valid.
        OSError: the host cannot look for the files, or read them.
    """
    parts = film.relative_to(inbox).parts
    resolved = ResolvedSettings(base)
    for depth, folder in enumerate(folders_down(inbox, PurePosixPath(*parts[:-1]))):
        files = [inbox.joinpath(*parts[:depth], FOLDER_SETTINGS)]
        if own is None and depth == len(parts) - 1:
            files.append(film_settings_file(film))
        for file in files:
            if status_in(folder, file.name) is not None:
                resolved = overridden(resolved, file, shown_as=file, folder=folder)
    if own is not None and status_if_there(own) is not None:
        resolved = overridden(resolved, own, shown_as=film_settings_file(film))
    return resolved


def up_to_date(settings: EraseSettings, base: EraseSettings) -> EraseSettings:
    """Return a job's ``settings`` with the operator's part replaced by that of ``base``.

    The operator's part is ``diffusion``, ``limits`` and any engine that senders may not name. So a
    job that waits, e.g. for a missing engine, gets what has been configured since it was claimed.
    """
    engine = settings.engine if settings.engine in SENDERS_ENGINES else base.engine
    return replace(settings, engine=engine, diffusion=base.diffusion, limits=base.limits)


def film_settings_file(film: Path) -> Path:
    """Return the path of the settings file of this film alone; it need not exist."""
    return film.with_name(film.name + FILM_SETTINGS_SUFFIX)


def overridden(
    base: ResolvedSettings, file: Path, *, shown_as: Path, folder: int | None = None
) -> ResolvedSettings:
    """Return ``base`` with the keys of the settings file ``file``.

    Args:
        base: the settings so far.
        file: the file to read.
        shown_as: its path in error texts and for the mask: the path that the sender knows.
        folder: handle of the open folder in which the file lies; None: the path is followed.

    Raises:
        BadSidecar: the file is not valid, or sets a key that senders may not set.
        OSError: the file's disk or share does not work.
    """

    def complain(text: str) -> BadSidecar:
        return BadSidecar(shown_as, text.removeprefix(f"{file}: ").removesuffix("."))

    found = read_settings_file(file, error=complain, folder=folder)
    if problems := tuple(settings_problems(found)):
        raise complain(found.in_lines(problems))
    raw = _with_own_frame({key: found.raw[key] for key in found.raw if key != "schema"})
    settings = read_record(EraseSettings, _merged(asdict(base.settings), raw), error=complain)
    warnings = (*base.warnings, *replace(found, path=shown_as).warnings)
    if "mask" not in raw:
        return ResolvedSettings(settings, base.mask_named_in, warnings)
    return ResolvedSettings(settings, shown_as, warnings)


def settings_problems(file: ConfigFile) -> Iterator[Problem]:
    """Yield all mistakes of a settings file."""
    problems = [*file.problems, *problems_of(FilmSettings, file.raw)]
    yield from problems
    sound = without_problems(file.raw, [*problems, Problem("schema", "")])
    if sound.get("engine", "auto") not in SENDERS_ENGINES:
        yield Problem("engine", f"must be one of {', '.join(SENDERS_ENGINES)}.")
        del sound["engine"]
    settings = read_record(EraseSettings, sound, error=ValueError)
    found = (Problem(key, sentence) for key, sentence in problems_of_erase(settings))
    yield from new_problems(found, problems)
    if settings.mask and not _stays_inside(settings.mask):
        sentence = "must be the name of a file in the same folder, or in a folder below it."
        yield Problem("mask", sentence)


def _with_own_frame(raw: dict[str, Any]) -> dict[str, Any]:
    """Return a settings file's values with a frame of reference for its own regions or mask.

    Else the frame that the operator's settings, or those of a folder above, name for theirs would
    count. Files of schema 1 have got theirs already.
    """
    detect = raw.get("detect", {})
    if "regions_frame" in detect or not (detect.get("regions") or raw.get("mask")):
        return raw
    return {**raw, "detect": {**detect, "regions_frame": PictureFrame.SEEN.value}}


def _stays_inside(name: str) -> bool:
    """Return True if a mask's name stays inside the settings file's folder.

    Allowed are relative paths of plain names: no part may be empty, ``.`` or ``..`` (so ``./a``
    and ``a//b`` are refused). NUL and more than ``MAX_PATH_BYTES`` bytes are refused, too.
    """
    too_long = len(os.fsencode(name)) > MAX_PATH_BYTES
    return not ("\0" in name or too_long or {"", ".", ".."} & set(name.split("/")))


def _merged(base: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """Return a deep merge: values of ``override`` win, mappings are merged key by key."""
    merged = dict(base)
    for key, value in override.items():
        base_value = base.get(key)
        if isinstance(base_value, Mapping) and isinstance(value, Mapping):
            merged[key] = _merged(base_value, value)
        else:
            merged[key] = value
    return merged
