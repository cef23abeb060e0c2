"""Settings of one job: the operator's defaults, then ``.erase.yaml`` files, the deepest last.

Settings files lie in folders that anybody may write to. They may say what is to be done with a
film, never where files are, what the limits are, or which code is run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from daemon.config.parsing import Complaint, read_record, read_yaml
from daemon.storage.atomic import status_if_there
from daemon.storage.names import FILM_SETTINGS_SUFFIX, FOLDER_SETTINGS
from erasecore.errors import BadSidecar
from erasecore.settings import (
    BUILT_IN_ENGINES,
    DetectSettings,
    EncodeSettings,
    EraseSettings,
    OnResidual,
)

SENDERS_ENGINES = ("auto", "propagate")
"""What a settings file beside a film may ask for: engines that no host can lack. A missing one
pauses the queue, which is not for a sender to bring about."""
MAX_RANGES = 1000
MAX_PATH_BYTES = 1000


@dataclass(frozen=True, slots=True)
class FilmSettings:
    """What a settings file beside a film may say."""

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
    """What is asked for one film, and which settings file named its mask, if one did."""

    settings: EraseSettings
    mask_named_in: Path | None = None

    @property
    def mask(self) -> PurePosixPath | None:
        """Where the mask lies: beside the settings file, or in a folder below."""
        if self.mask_named_in is None or not self.settings.mask:
            return None
        return PurePosixPath(self.mask_named_in.parent, self.settings.mask)


def resolve_settings(
    film: Path, inbox: Path, base: EraseSettings, *, own: Path | None = None
) -> ResolvedSettings:
    """What is asked for ``film``: ``base``, overridden folder by folder, then by its own file.

    Args:
        film: where the film lies (or lay) in the inbox.
        inbox: the inbox; folders above it are not asked.
        base: the operator's settings.
        own: where the film's own settings file lies now, if not beside ``film``.

    Raises:
        BadSidecar: one of the files cannot be used.
        OSError: one cannot know whether there are any, or read them.
    """
    parts = film.relative_to(inbox).parts
    folders = [inbox.joinpath(*parts[:depth]) for depth in range(len(parts))]
    files = [(folder / FOLDER_SETTINGS, folder / FOLDER_SETTINGS) for folder in folders]
    files.append((own or film_settings_file(film), film_settings_file(film)))
    resolved = ResolvedSettings(base)
    for file, shown_as in files:
        if status_if_there(file) is not None:
            resolved = overridden(resolved, file, shown_as=shown_as)
    return resolved


def up_to_date(settings: EraseSettings, base: EraseSettings) -> EraseSettings:
    """A job's ``settings`` with all that only the operator can have said as it is in ``base`` now.

    A film that waits for another engine, or another card, is to get it once it is configured.
    """
    engine = settings.engine if settings.engine in SENDERS_ENGINES else base.engine
    return replace(settings, engine=engine, diffusion=base.diffusion, limits=base.limits)


def film_settings_file(film: Path) -> Path:
    """Where the settings of ``film`` alone would lie."""
    return film.with_name(film.name + FILM_SETTINGS_SUFFIX)


def overridden(base: ResolvedSettings, file: Path, *, shown_as: Path) -> ResolvedSettings:
    """``base`` with the keys that ``file`` sets; complaints call it ``shown_as``.

    Raises:
        BadSidecar: the file cannot be read, or says what it must not.
    """

    def complain(text: str) -> BadSidecar:
        return BadSidecar(shown_as, text.removeprefix(f"{file}: ").removesuffix("."))

    raw = read_yaml(file, error=complain)
    read_record(FilmSettings, raw, error=complain)
    if raw.get("engine", "auto") not in SENDERS_ENGINES:
        raise complain(f"engine: must be one of {', '.join(SENDERS_ENGINES)}")
    settings = read_record(EraseSettings, _merged(asdict(base.settings), raw), error=complain)
    check_erase(settings, prefix="", error=complain)
    if "mask" not in raw:
        return ResolvedSettings(settings, base.mask_named_in)
    if settings.mask:
        _check_inside(settings.mask, complain)
    return ResolvedSettings(settings, shown_as)


def _check_inside(name: str, complain: Complaint) -> None:
    """Raise unless ``name`` is that of a file in the same folder, or in a folder below it."""
    parts = name.split("/")
    if "\0" in name or len(os.fsencode(name)) > MAX_PATH_BYTES or {"", ".", ".."} & set(parts):
        raise complain(
            "mask: must be the name of a file in the same folder, or in a folder below it"
        )


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        inner = base.get(key)
        if isinstance(inner, Mapping) and isinstance(value, Mapping):
            merged[key] = _merged(inner, value)
        else:
            merged[key] = value
    return merged


RANGES: tuple[tuple[str, float, float], ...] = (
    ("priority", -1000, 1000),
    ("segment_seconds", 2, 120),
    ("detect.every_seconds", 0.02, 10),
    ("detect.side_px", 160, 4096),
    ("detect.min_seconds", 0, 60),
    ("encode.crf", 0, 51),
    ("encode.threads", 0, 256),
    ("diffusion.min_invented_share", 0, 1),
    ("diffusion.min_error_levels", 0, 255),
    ("diffusion.steps", 1, 50),
    ("diffusion.seed", 0, 2**31 - 1),
    ("limits.max_width_px", 16, 65536),
    ("limits.max_height_px", 16, 65536),
    ("limits.max_streams", 1, 10000),
    ("limits.max_hours", 0.001, 1000),
    ("limits.max_frames", 1, 1_000_000_000),
)


def check_erase(settings: EraseSettings, *, prefix: str, error: Complaint) -> None:
    """Raise unless every value of ``settings`` makes sense.

    Raises:
        Exception: what ``error`` makes of a sentence that names the key.
    """
    for key, least, most in RANGES:
        found: Any = settings
        for name in key.split("."):
            found = getattr(found, name)
        if not least <= found <= most:
            raise error(f"{prefix}{key}: is {found:g}, must be from {least:g} to {most:g}.")
    if settings.engine not in BUILT_IN_ENGINES and ":" not in settings.engine:
        known = ", ".join(BUILT_IN_ENGINES)
        raise error(f"{prefix}engine: no engine {settings.engine!r}; known: {known}.")
    if not settings.encode.preset.isalnum():
        raise error(f"{prefix}encode.preset: must be an encoder's preset name, such as medium.")
    _check_ranges(settings.detect, prefix=prefix, error=error)


def _check_ranges(detect: DetectSettings, *, prefix: str, error: Complaint) -> None:
    if len(detect.regions) > MAX_RANGES or len(detect.times) > MAX_RANGES:
        raise error(f"{prefix}detect: at most {MAX_RANGES} regions and times.")
    for at, box in enumerate(detect.regions):
        if not (0 <= box.left < box.right <= 1 and 0 <= box.top < box.bottom <= 1):
            raise error(
                f"{prefix}detect.regions[{at}]: needs 0 <= left < right <= 1 and "
                "0 <= top < bottom <= 1 (fractions of the picture)."
            )
    for at, span in enumerate(detect.times):
        if not 0 <= span.start_seconds < span.stop_seconds:
            raise error(f"{prefix}detect.times[{at}]: needs 0 <= start_seconds < stop_seconds.")
