"""Strict parsing of plain values into frozen dataclasses; error texts name the key."""

from __future__ import annotations

import difflib
import json
import reprlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import dacite

from daemon.config.yaml_files import Complaint

Record = TypeVar("Record")

_STRICT = dacite.Config(strict=True, cast=[Enum, tuple], type_hooks={Path: Path})


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a file of settings."""

    key: str  # dotted path, e.g. "schedule.hours[0].start"; empty: the whole file
    sentence: str  # what is wrong and what is allowed
    other_keys: tuple[str, ...] = ()  # dotted paths of the values that ``key`` was compared with

    def __str__(self) -> str:
        return f"{self.key}: {self.sentence}" if self.key else self.sentence


def read_record(
    kind: type[Record], raw: Mapping[str, Any], *, error: Complaint, lenient: bool = False
) -> Record:
    """Return ``raw`` as an instance of the dataclass ``kind``; absent keys take their defaults.

    Args:
        kind: a dataclass whose fields are records, enumerations, tuples, unions or plain types.
        raw: a mapping as YAML or JSON gives it.
        error: makes the exception from a sentence.
        lenient: ignore unknown keys, e.g. those of a later release.

    Raises:
        Exception: the result of ``error`` for sentences that name the keys; for an unknown key
            they list the known ones.
    """
    if lenient:
        raw = _known_part(kind, raw)
    if problems := tuple(problems_of(kind, raw)):
        raise error(" ".join(map(str, problems)))
    try:
        return dacite.from_dict(kind, raw, _STRICT)
    except dacite.DaciteError as wrong:
        raise error(f"{getattr(wrong, 'field_path', '')}: {wrong}") from wrong


def _known_part(kind: Any, raw: Any) -> Any:  # noqa: ANN401 - any type, any value
    """Return ``raw`` without the keys that records of the type ``kind`` do not have."""
    if is_dataclass(kind) and isinstance(raw, Mapping):
        hints = get_type_hints(kind)
        return {key: _known_part(hints[key], raw[key]) for key in raw if key in hints}
    if get_origin(kind) is tuple and isinstance(raw, list | tuple):
        return [_known_part(get_args(kind)[0], item) for item in raw]
    if get_origin(kind) in (Union, UnionType):
        for option in get_args(kind):
            raw = _known_part(option, raw)
    return raw


def problems_of(kind: Any, raw: Any, path: str = "") -> Iterator[Problem]:  # noqa: ANN401 - as above
    """Yield everything that makes ``raw`` no valid ``kind``.

    Args:
        kind: the expected type.
        raw: the value that was read.
        path: the key of the value, e.g. "schedule.hours[0]"; "" for the whole file.
    """
    if is_dataclass(kind) and isinstance(kind, type):
        yield from _problems_of_record(kind, raw, path)
    elif get_origin(kind) is tuple:
        if not isinstance(raw, list | tuple):
            yield Problem(path, f"must be a list, not {_shown(raw)}.")
            return
        for index, item in enumerate(raw):
            yield from problems_of(get_args(kind)[0], item, f"{path}[{index}]")
    elif get_origin(kind) in (Union, UnionType):
        by_option = [tuple(problems_of(option, raw, path)) for option in get_args(kind)]
        if () not in by_option:
            demands = [problems[0].sentence.removesuffix(".") for problems in by_option]
            yield Problem(path, f"{', or '.join(demands)}.")
    else:
        yield from _problems_of_plain(kind, raw, path)


def _problems_of_record(kind: type, raw: object, path: str) -> Iterator[Problem]:
    """Yield the problems of a dataclass ``kind``, as ``problems_of`` does."""
    if not isinstance(raw, Mapping):
        known = ", ".join(one.name for one in fields(kind))
        yield Problem(path or "file", f"must be a group of keys ({known}), not {_shown(raw)}.")
        return
    hints = get_type_hints(kind)
    prefix = f"{path}." if path else ""
    for key, value in raw.items():
        if key in hints:
            yield from problems_of(hints[key], value, f"{prefix}{key}")
        else:
            yield unknown_key(f"{prefix}{key}", key, hints)
    for one in fields(kind):
        if one.default is MISSING and one.default_factory is MISSING and one.name not in raw:
            yield Problem(f"{prefix}{one.name}", "is missing.")


def unknown_key(path: str, name: object, known: Iterable[str]) -> Problem:
    """Return the problem of the key ``path``, whose last part ``name`` is not in ``known``.

    A key need not be text: to YAML, ``on`` is true, and ``1`` is a number.
    """
    names = sorted(known)
    if not isinstance(name, str):
        sentence = f"no such key, and no text to YAML; known keys: {', '.join(names)}."
        return Problem(path, sentence)
    near = nearest(name, names)
    return Problem(path, f"no such key; known keys: {', '.join(names)}.{near}")


OTHER_NAMES = {
    **dict.fromkeys(("avc", "avc1", "h.264", "x264", "libx264"), "h264"),
    **dict.fromkeys(("h265", "h.265", "x265", "libx265", "hvc1", "hev1"), "hevc"),
    **dict.fromkeys(("av01", "aom", "libaom", "svtav1"), "av1"),
}
"""Other names of codecs, and our name. By spelling alone, h265 would be taken for h264."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a sentence that suggests a word of ``known``.

    It is the one of which ``word`` is another name, else the one that is spelled most like it.

    Returns:
        The sentence, with a space in front; "" if none is similar.
    """
    words = list(known)
    other = OTHER_NAMES.get(word.lower())
    found = [other] if other in words else difflib.get_close_matches(word.lower(), words, n=1)
    return f" Did you mean {found[0]}?" if found else ""


def without_problems(raw: Any, problems: Iterable[Problem]) -> Any:  # noqa: ANN401 - any value
    """Return a copy of ``raw`` without the values that have a problem.

    A list goes as a whole: without one of its items, the others would be counted wrongly.

    Args:
        raw: mappings of mappings, as they were read; not modified.
        problems: their keys lead to the values.
    """
    bad = {problem.key.partition("[")[0] for problem in problems}
    return _without_keys(raw, bad, "")


def _without_keys(raw: Any, bad: set[str], path: str) -> Any:  # noqa: ANN401 - any value
    """Return ``raw``, the value of the key ``path``, without the keys in ``bad``."""
    if not isinstance(raw, Mapping):
        return raw
    paths = {key: f"{path}.{key}" if path else str(key) for key in raw}
    return {
        key: _without_keys(value, bad, paths[key])
        for key, value in raw.items()
        if paths[key] not in bad
    }


def new_problems(found: Iterable[Problem], known: Iterable[Problem]) -> Iterator[Problem]:
    """Yield the problems with values that took their default because of a ``known`` problem.

    Those are left out: the default is not what was written.
    """
    bad = {problem.key.partition("[")[0] for problem in known}
    for problem in found:
        keys = (problem.key, *problem.other_keys)
        if not any(_is_within(key, one) for key in keys for one in bad):
            yield problem


def _is_within(key: str, group: str) -> bool:
    """Return True if ``key`` is ``group``, or lies in it."""
    return key == group or key.startswith((f"{group}.", f"{group}["))


_PLAIN: dict[type, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    str: ((str,), "text"),
    Path: ((str,), "a path"),
    type(None): ((type(None),), "null"),
}
"""Python types that a plain field accepts, and their name in error texts."""


def _problems_of_plain(
    kind: Any,  # noqa: ANN401 - as above
    raw: Any,  # noqa: ANN401 - as above
    path: str,
) -> Iterator[Problem]:
    """Yield the problem of an enumeration or a plain type, as ``problems_of`` does."""
    if isinstance(kind, type) and issubclass(kind, Enum):
        choices = [str(one.value) for one in kind]
        if raw not in choices:
            near = nearest(raw, choices) if isinstance(raw, str) else ""
            yield Problem(path, f"must be one of {', '.join(choices)}.{near}")
        return
    if kind not in _PLAIN:
        return
    allowed, name = _PLAIN[kind]
    # bool is a subclass of int, but true is no number here.
    fits = isinstance(raw, allowed) and (kind is bool or not isinstance(raw, bool))
    if kind is Path and raw == "":
        fits = False
    if not fits:
        yield Problem(path, f"must be {name}, not {_shown(raw)}.")


def _shown(raw: object) -> str:
    """Return a value's ``repr``, shortened, for error texts."""
    return reprlib.repr(raw)


def as_json(record: Any, *, indent: int | None = None) -> str:  # noqa: ANN401 - any dataclass
    """Return a dataclass as JSON text in ASCII; paths and enumerations become strings."""
    return json.dumps(asdict(record), default=str, indent=indent)
