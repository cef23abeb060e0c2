"""Mappings from outside (YAML, JSON) into frozen records, strictly; complaints name the key."""

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

from erasecore.system.safe_open import blames_host, read_plain

Record = TypeVar("Record")
Complaint = Callable[[str], Exception]

# libyaml reads the example configuration in a tenth of the time; not every build of PyYAML has it.
_Loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader

_STRICT = dacite.Config(strict=True, cast=[Enum, tuple], type_hooks={Path: Path})


def read_record(kind: type[Record], raw: Mapping[str, Any], *, error: Complaint) -> Record:
    """``raw`` as a ``kind``; absent keys take their defaults.

    Raises:
        Exception: what ``error`` makes of a sentence that names the key and, where a key is
            unknown, lists the known ones.
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
    """What is wrong with ``raw`` as a ``kind``, or nothing."""
    if is_dataclass(kind) and isinstance(kind, type):
        return _record_complaint(kind, raw, path)
    if get_origin(kind) is tuple:
        if not isinstance(raw, list | tuple):
            return f"{path}: must be a list, not {_shown(raw)}."
        item = get_args(kind)[0]
        complaints = (_complaint(item, one, f"{path}[{at}]") for at, one in enumerate(raw))
        return next((complaint for complaint in complaints if complaint), "")
    if get_origin(kind) in (Union, UnionType):
        complaints_of = [_complaint(one, raw, path) for one in get_args(kind)]
        if "" in complaints_of:
            return ""
        ways = [one.removeprefix(f"{path}: ").removesuffix(".") for one in complaints_of]
        return f"{path}: {', or '.join(ways)}."
    return _plain_complaint(kind, raw, path)


def _record_complaint(kind: type, raw: object, path: str) -> str:
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


def _plain_complaint(kind: Any, raw: Any, path: str) -> str:  # noqa: ANN401 - as above
    if isinstance(kind, type) and issubclass(kind, Enum):
        choices = [str(one.value) for one in kind]
        return "" if raw in choices else f"{path}: must be one of {', '.join(choices)}."
    if kind not in _PLAIN:
        return ""
    allowed, name = _PLAIN[kind]
    fits = isinstance(raw, allowed) and (kind is bool or not isinstance(raw, bool))
    if kind is Path and raw == "":
        fits = False
    return "" if fits else f"{path}: must be {name}, not {_shown(raw)}."


def _shown(raw: object) -> str:
    return reprlib.repr(raw)


def as_json(record: Any, *, indent: int | None = None) -> str:  # noqa: ANN401 - any dataclass
    """A record as JSON; paths and enumerations as text, odd bytes of names escaped."""
    return json.dumps(asdict(record), default=str, indent=indent)


MAX_YAML_BYTES = 64_000
MAX_YAML_DEPTH = 20


def read_yaml(path: Path, *, error: Complaint) -> dict[str, Any]:
    """The mapping that a YAML file holds; an empty file is an empty mapping.

    The file may be anybody's: it is opened only if it is a regular file (a link is not followed,
    a pipe does not block), read up to a limit, and only plain values are built from it.

    Raises:
        Exception: what ``error`` makes of a sentence that names the file.
        OSError: not the file is at fault, but the disk or the share that it lies on.
    """
    try:
        text = read_plain(path, MAX_YAML_BYTES + 1)
    except OSError as fault:
        if blames_host(fault):
            raise
        raise error(f"{path}: cannot be read ({fault.strerror or fault}); correct it.") from fault
    if len(text) > MAX_YAML_BYTES:
        raise error(f"{path}: larger than {MAX_YAML_BYTES} bytes; shorten it.")
    try:
        raw = _plain_values(text)
    except (yaml.YAMLError, ValueError) as fault:
        raise error(f"{path}: not YAML ({_place(fault, text)}); correct it.") from fault
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise error(f"{path}: must be 'key: value' lines; see config.example.yaml.")
    return raw


def _place(fault: Exception, text: bytes) -> str:
    """What is wrong in a YAML text, and in which of its lines; its end is in the last of them."""
    mark = getattr(fault, "problem_mark", None)
    line = f"line {min(mark.line + 1, len(text.splitlines()))}: " if mark else ""
    return line + " ".join(str(getattr(fault, "problem", None) or fault).split())[:300]


def _plain_values(text: bytes) -> object:
    """What a YAML text says, of plain values only, neither by aliases nor nested without end.

    A few lines of aliases can stand for more than memory, and brackets in brackets for more than
    the loader's stack, which would end the process.
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
