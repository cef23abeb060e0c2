"""Checks of a job's settings, for daemon and Python interface; standard library only."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from enum import Enum
from typing import Any, get_args, get_origin, get_type_hints

from erasecore.settings import (
    BUILT_IN_ENGINES,
    PRESETS,
    DetectSettings,
    EraseSettings,
    RegionUnit,
    TimeRange,
)

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
"""Smallest and largest allowed value of each number of ``EraseSettings``, both included, in the
unit of the key. crf as in x264; the others are guesses."""
MAX_RANGES = 1000  # entries of detect.regions, and of detect.times, at most; guess
_REGION_LIMITS = {
    RegionUnit.SHARE: (1.0, "fractions of the picture"),
    RegionUnit.PERCENT: (100.0, "per cent of the picture"),
    RegionUnit.PIXELS: (65536.0, "pixels of the picture"),
}
"""Largest side of a region, by its unit, and words for the unit."""
_TYPES: dict[type, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "True or False"),
    int: ((int,), "an int"),
    float: ((int, float), "a float"),
    str: ((str,), "a str"),
}
"""Python types that a plain field accepts, and their name in error texts."""


def problems_of_erase(settings: EraseSettings) -> Iterator[tuple[str, str]]:
    """Yield the key and a sentence for each value of ``settings`` that is not allowed.

    Args:
        settings: checked; its types are right.
    """
    for key, sentence, _ in _problems(settings):
        yield key, sentence


def check_erase(settings: EraseSettings, *, prefix: str, error: Callable[[str], Exception]) -> None:
    """Raise unless every value of ``settings`` is in its allowed range.

    Args:
        settings: checked; its types are right.
        prefix: put before the key in the error's text, e.g. "erase.".
        error: makes the exception from a sentence.

    Raises:
        Exception: the result of ``error`` for sentences that name the keys.
    """
    problems = [f"{prefix}{key}: {sentence}" for key, sentence in problems_of_erase(settings)]
    if problems:
        raise error(" ".join(problems))


def check_settings(settings: object, *, prefix: str) -> None:
    """Raise unless ``settings`` are ``EraseSettings`` with allowed types and values.

    Args:
        settings: as a caller of the Python interface passes them.
        prefix: put before the key in the error's text, e.g. "settings.".

    Raises:
        TypeError, ValueError: the text names the key, its value, and what is allowed.
    """
    _check_record(settings, EraseSettings, prefix.rstrip("."))
    assert isinstance(settings, EraseSettings)
    for key, sentence, value in _problems(settings):
        found = "" if value is None else f" It is {reprlib.repr(value)}."
        raise ValueError(f"{prefix}{key}: {sentence}{found}")


def _problems(settings: EraseSettings) -> Iterator[tuple[str, str, object]]:
    """Yield the key and a sentence for each value that is not allowed.

    The third item is the value, or ``None`` where the sentence names it.
    """
    for key, least, most in RANGES:
        value: Any = settings
        for name in key.split("."):
            value = getattr(value, name)
        if not least <= value <= most:  # NaN is refused, too
            yield key, f"is {value:g}, must be from {least:g} to {most:g}.", None
    if settings.engine not in BUILT_IN_ENGINES and ":" not in settings.engine:
        known = ", ".join(BUILT_IN_ENGINES)
        yield "engine", f"no engine {settings.engine!r}; known: {known}.", None
    preset = settings.encode.preset
    if preset not in PRESETS:
        sentence = f"is {preset!r}, must be one of {', '.join(PRESETS)}."
        yield "encode.preset", sentence, None
    yield from _problems_of_regions_and_times(settings.detect)


def _problems_of_regions_and_times(detect: DetectSettings) -> Iterator[tuple[str, str, object]]:
    """Yield problems of empty or reversed regions and time ranges, and of too many of them."""
    if len(detect.regions) > MAX_RANGES or len(detect.times) > MAX_RANGES:
        yield "detect", f"at most {MAX_RANGES} regions and times.", None
    for index, box in enumerate(detect.regions):
        most, unit = _REGION_LIMITS[box.unit]
        if not (0 <= box.left < box.right <= most and 0 <= box.top < box.bottom <= most):
            sides = f"0 <= left < right <= {most:g} and 0 <= top < bottom <= {most:g}"
            yield f"detect.regions[{index}]", f"needs {sides} ({unit}).", box
        yield from _problems_of_times(box.times, f"detect.regions[{index}].times")
    yield from _problems_of_times(detect.times, "detect.times")


def _problems_of_times(times: tuple[TimeRange, ...], key: str) -> Iterator[tuple[str, str, object]]:
    """Yield problems of empty or reversed time ranges."""
    if len(times) > MAX_RANGES:
        yield key, f"at most {MAX_RANGES} times.", None
    for index, span in enumerate(times):
        if not 0 <= span.start_seconds < span.stop_seconds:
            yield f"{key}[{index}]", "needs 0 <= start_seconds < stop_seconds.", span


def _check_type(value: object, kind: Any, key: str) -> None:  # noqa: ANN401 - any type
    """Raise TypeError unless ``value`` is of the type ``kind``; records and tuples recursively.

    Args:
        value: any value.
        kind: a dataclass, an enumeration, ``tuple[X, ...]`` or a key of ``_TYPES``.
        key: name of the value in error texts.
    """
    if get_origin(kind) is tuple:
        item_kind = get_args(kind)[0]
        if not isinstance(value, tuple | list):
            raise _wrong_type(key, f"a tuple of {item_kind.__name__}", value)
        for index, item in enumerate(value):
            _check_type(item, item_kind, f"{key}[{index}]")
    elif is_dataclass(kind) and isinstance(kind, type):
        _check_record(value, kind, key)
    else:
        _check_plain(value, kind, key)


def _check_record(value: object, kind: type, key: str) -> None:
    """Raise TypeError unless ``value`` is a ``kind`` (dataclass) with fields of the right types."""
    if not isinstance(value, kind):
        raise _wrong_type(key, f"of class {kind.__name__}", value)
    hints = get_type_hints(kind)
    for name, hint in hints.items():
        _check_type(getattr(value, name), hint, f"{key}.{name}".strip("."))


def _check_plain(value: object, kind: type, key: str) -> None:
    """Raise TypeError unless ``value`` is of the enumeration or plain type ``kind``."""
    if issubclass(kind, Enum):
        choices = ", ".join(f"{kind.__name__}.{choice.name}" for choice in kind)
        allowed: tuple[type, ...] = (kind,)
        wanted = f"one of {choices}"
    else:
        allowed, wanted = _TYPES[kind]
    # bool is a subclass of int, but True is no number here.
    if not isinstance(value, allowed) or (kind is not bool and isinstance(value, bool)):
        raise _wrong_type(key, wanted, value)


def _wrong_type(key: str, wanted: str, value: object) -> TypeError:
    kind = type(value).__name__
    return TypeError(f"{key}: must be {wanted}, not {reprlib.repr(value)} ({kind})")
