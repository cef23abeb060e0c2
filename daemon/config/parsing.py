"""Strict parsing of YAML and JSON into frozen dataclasses; error texts name the key."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, is_dataclass
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import dacite
import yaml

from daemon.storage.below import read_in
from erasecore.system.safe_open import blames_host, read_plain

Record = TypeVar("Record")
Complaint = Callable[[str], Exception]
"""Makes the exception to raise from a sentence that names the key."""

# libyaml parses the example configuration in a tenth of the time; not all PyYAML builds have it.
_Loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader

_STRICT = dacite.Config(strict=True, cast=[Enum, tuple], type_hooks={Path: Path})


def read_record(kind: type[Record], raw: Mapping[str, Any], *, error: Complaint) -> Record:
    """Return ``raw`` as an instance of the dataclass ``kind``; absent keys take their defaults.

    Args:
        kind: a dataclass whose fields are records, enumerations, tuples, unions or plain types.
        raw: a mapping as YAML or JSON gives it.
        error: makes the exception from a sentence.

    Raises:
        Exception: the result of ``error`` for a sentence that names the key; for an unknown key
            it lists the known ones.
    """
    if complaint := _complaint(kind, raw, ""):
        raise error(complaint)
    try:
        return dacite.from_dict(kind, raw, _STRICT)
    except dacite.MissingValueError as missing:
        raise error(f"{missing.field_path}: is missing.") from missing
    except dacite.DaciteError as wrong:
        raise error(f"{getattr(wrong, 'field_path', '')}: {wrong}") from wrong


def _complaint(kind: Any, raw: Any, path: str) -> str:  # noqa: ANN401 - any type, any value
    """Return a sentence on the first thing that makes ``raw`` no valid ``kind``; "" if it is valid.

    Args:
        kind: the expected type.
        raw: the value that was read.
        path: the key of the value, e.g. "schedule.hours[0]"; "" for the whole file.
    """
    if is_dataclass(kind) and isinstance(kind, type):
        return _record_complaint(kind, raw, path)
    if get_origin(kind) is tuple:
        if not isinstance(raw, list | tuple):
            return f"{path}: must be a list, not {_shown(raw)}."
        item_kind = get_args(kind)[0]
        complaints = (
            _complaint(item_kind, item, f"{path}[{index}]") for index, item in enumerate(raw)
        )
        return next((complaint for complaint in complaints if complaint), "")
    if get_origin(kind) in (Union, UnionType):
        by_option = [_complaint(option, raw, path) for option in get_args(kind)]
        if "" in by_option:
            return ""
        demands = [text.removeprefix(f"{path}: ").removesuffix(".") for text in by_option]
        return f"{path}: {', or '.join(demands)}."
    return _plain_complaint(kind, raw, path)


def _record_complaint(kind: type, raw: object, path: str) -> str:
    """Return the complaint about a dataclass ``kind``, as ``_complaint`` does."""
    if not isinstance(raw, Mapping):
        known = ", ".join(one.name for one in fields(kind))
        return f"{path or 'file'}: must be a group of keys ({known}), not {_shown(raw)}."
    hints = get_type_hints(kind)
    prefix = f"{path}." if path else ""
    for key, value in raw.items():
        if key not in hints:
            known = ", ".join(sorted(hints))
            return f"{prefix}{key}: no such key; known keys: {known}."
        if complaint := _complaint(hints[key], value, f"{prefix}{key}"):
            return complaint
    return ""


_PLAIN: dict[type, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    str: ((str,), "text"),
    Path: ((str,), "a path"),
    type(None): ((type(None),), "null"),
}
"""Python types that a plain field accepts, and their name in error texts."""


def _plain_complaint(kind: Any, raw: Any, path: str) -> str:  # noqa: ANN401 - as above
    """Return the complaint about an enumeration or a plain type, as ``_complaint`` does."""
    if isinstance(kind, type) and issubclass(kind, Enum):
        choices = [str(one.value) for one in kind]
        return "" if raw in choices else f"{path}: must be one of {', '.join(choices)}."
    if kind not in _PLAIN:
        return ""
    allowed, name = _PLAIN[kind]
    # bool is a subclass of int, but true is no number here.
    fits = isinstance(raw, allowed) and (kind is bool or not isinstance(raw, bool))
    if kind is Path and raw == "":
        fits = False
    return "" if fits else f"{path}: must be {name}, not {_shown(raw)}."


def _shown(raw: object) -> str:
    """Return a value's ``repr``, shortened, for error texts."""
    return reprlib.repr(raw)


def as_json(record: Any, *, indent: int | None = None) -> str:  # noqa: ANN401 - any dataclass
    """Return a dataclass as JSON text in ASCII; paths and enumerations become strings."""
    return json.dumps(asdict(record), default=str, indent=indent)


MAX_YAML_BYTES = 64_000  # bytes of a settings or configuration file, at most; guess
MAX_YAML_DEPTH = 20  # nested mappings and lists, at most; ours need five; guess


def read_yaml(path: Path, *, error: Complaint, folder: int | None = None) -> dict[str, Any]:
    """Return the mapping in a YAML file; an empty file is an empty mapping.

    Safe for untrusted files: only a regular file is opened (a symbolic link is not followed, a
    pipe does not block), its size is limited, and only plain values are built from it.

    Args:
        path: the file.
        error: makes the exception from a sentence.
        folder: handle of the open folder in which the file lies; None: the path is followed.

    Raises:
        Exception: the result of ``error`` for a sentence that names the file.
        OSError: the disk or share of the file does not work; the file itself may be fine.
    """
    try:
        text = _bytes_of(path, folder)
    except OSError as cause:
        if blames_host(cause):
            raise
        raise error(f"{path}: cannot be read ({cause.strerror or cause}); correct it.") from cause
    if len(text) > MAX_YAML_BYTES:
        raise error(f"{path}: larger than {MAX_YAML_BYTES} bytes; shorten it.")
    try:
        raw = _load_plain(text)
    except (yaml.YAMLError, ValueError) as cause:
        raise error(f"{path}: not YAML ({_yaml_detail(cause, text)}); correct it.") from cause
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise error(f"{path}: must be 'key: value' lines; see config.example.yaml.")
    return raw


def _bytes_of(path: Path, folder: int | None) -> bytes:
    """Read a YAML file; an error that may be blamed on its sender has to be met twice."""

    def read() -> bytes:
        if folder is None:
            return read_plain(path, MAX_YAML_BYTES + 1)
        return read_in(folder, path.name, MAX_YAML_BYTES + 1)

    try:
        return read()
    except OSError:
        return read()


def _yaml_detail(error: Exception, text: bytes) -> str:
    """Return the line number (from 1) and the problem of a YAML error, in at most 300 characters.

    An error at the end of the text is given the number of the last line.
    """
    mark = getattr(error, "problem_mark", None)
    line = f"line {min(mark.line + 1, len(text.splitlines()))}: " if mark else ""
    return line + " ".join(str(getattr(error, "problem", None) or error).split())[:300]


def _load_plain(text: bytes) -> object:
    """Return a YAML text's value; raise ``ComposerError`` on aliases and on too deep nesting.

    A few lines of aliases can expand to more than the memory ("billion laughs"), and deep nesting
    overflows the loader's stack, which would kill the process.
    """
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "aliases are not allowed", None)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_YAML_DEPTH:
            raise yaml.composer.ComposerError(None, None, "nested too deeply", None)
    return yaml.load(text, Loader=_Loader)
