"""Reading of YAML files, untrusted ones too, with the line of each key for error texts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from daemon.storage.below import read_in
from erasecore.system.safe_open import blames_host, read_plain

Complaint = Callable[[str], Exception]
"""Makes the exception to raise from a sentence that names the key."""

# libyaml parses the example configuration in a tenth of the time; not all PyYAML builds have it.
_Loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader

MAX_YAML_BYTES = 64_000  # bytes of a settings or configuration file, at most; guess
MAX_YAML_DEPTH = 20  # nested mappings and lists, at most; ours need five; guess


@dataclass(frozen=True, slots=True)
class KeyLocation:
    """Place of a key in the text of a YAML file."""

    key: str  # dotted path, e.g. "schedule.hours[0].start"
    line: int  # from 1
    column: int  # from 0
    in_braces: bool  # True: in a mapping that is written {key: value, ...}


@dataclass(frozen=True, slots=True)
class YamlFile:
    """Content of a YAML file: one mapping."""

    values: dict[str, Any] = field(default_factory=dict)
    text: str = ""  # bytes that are no UTF-8 are surrogate escapes
    node: yaml.MappingNode | None = field(default=None, repr=False)

    def key_locations(self) -> Iterator[KeyLocation]:
        """Yield the place of every key, in the order of the text; a key given twice comes twice."""
        if self.node is not None:
            yield from _locations_in(self.node, "")

    def line_of(self, key: str) -> int | None:
        """Return the line of a key, else that of the nearest group of keys around it."""
        lines = {place.key: place.line for place in self.key_locations()}
        while key and key not in lines:
            cut = max(key.rfind("."), key.rfind("["))
            key = key[:cut] if cut > 0 else ""
        return lines.get(key)


def _locations_in(node: yaml.Node, path: str) -> Iterator[KeyLocation]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = f"{path}.{_key_of(key)}" if path else _key_of(key)
            mark = key.start_mark
            yield KeyLocation(name, mark.line + 1, mark.column, bool(node.flow_style))
            yield from _locations_in(value, name)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _locations_in(item, f"{path}[{index}]")


def _key_of(node: yaml.Node) -> str:
    """Return a key as its value's ``str``: to YAML, the key ``on`` is True."""
    if node.tag == "tag:yaml.org,2002:str" or not isinstance(node, yaml.ScalarNode):
        return str(node.value)
    return str(_Loader("").construct_object(node))


def read_yaml(
    path: Path, *, error: Complaint, folder: int | None = None, max_bytes: int = MAX_YAML_BYTES
) -> YamlFile:
    """Return the mapping in a YAML file; an empty file is an empty mapping.

    Safe for untrusted files: only a regular file is opened (a symbolic link is not followed, a
    pipe does not block), its size is limited, and only plain values are built from it.

    Args:
        path: the file.
        error: makes the exception from a sentence.
        folder: handle of the open folder in which the file lies; None: the path is followed.
        max_bytes: largest size of the file.

    Raises:
        Exception: the result of ``error`` for a sentence that names the file.
        OSError: the disk or share of the file does not work; the file itself may be fine.
    """
    text = _content_of(path, path, folder, error, max_bytes)
    return parse_yaml(path, text, error=error, max_bytes=max_bytes)


def _content_of(
    path: Path, file: Path, folder: int | None, error: Complaint, max_bytes: int = MAX_YAML_BYTES
) -> bytes:
    """Return the content of ``file``, which errors call ``path``; raise as ``read_yaml`` does."""
    try:
        return _bytes_of(file, folder, max_bytes)
    except OSError as cause:
        if blames_host(cause):
            raise
        raise error(f"{path}: cannot be read ({cause.strerror or cause}); correct it.") from cause


def read_own_yaml(path: Path, *, error: Complaint) -> YamlFile:
    """Return the mapping in a file of the operator, who may have put a link in its place.

    Links are common with configuration management. Each file on the way has to belong to root or
    to this user: whoever may change the file names the code that is run.

    Args:
        path: the file, or a link to it.
        error: makes the exception from a sentence.

    Raises:
        Exception: the result of ``error`` for a sentence that names the file.
        OSError: as in ``read_yaml``.
    """
    if not path.is_symlink():
        return read_yaml(path, error=error)
    try:
        target = path.resolve(strict=True)
        owners = [path.lstat().st_uid, target.lstat().st_uid]
    except RuntimeError as cause:  # until Python 3.13: links in a circle
        raise error(f"{path}: leads to itself; correct the link.") from cause
    except OSError as cause:
        if blames_host(cause):
            raise
        raise error(f"{path}: cannot be read ({cause.strerror}); correct the link.") from cause
    if foreign := [owner for owner in owners if owner not in (0, os.geteuid())]:
        raise error(
            f"{path}: is a link to {target}, and one of them belongs to user {foreign[0]}; give "
            "both to root or to the service's user."
        )
    return parse_yaml(path, _content_of(path, target, None, error), error=error)


def parse_yaml(
    path: Path, text: bytes, *, error: Complaint, max_bytes: int = MAX_YAML_BYTES
) -> YamlFile:
    """Return the mapping in the text of a YAML file.

    Args:
        path: the file, for error texts.
        text: its content.
        error: makes the exception from a sentence.
        max_bytes: largest size of the text.

    Raises:
        Exception: the result of ``error`` for a sentence that names the file.
    """
    if len(text) > max_bytes:
        raise error(f"{path}: larger than {max_bytes} bytes; shorten it.")
    try:
        node, raw = _load_plain(text)
    except (yaml.YAMLError, ValueError) as cause:
        raise error(f"{path}: not YAML ({_yaml_detail(cause, text)}); correct it.") from cause
    if raw is None:
        return YamlFile(text=_decoded(text))
    if not isinstance(raw, dict):
        raise error(f"{path}: must be 'key: value' lines; see `subtitle-eraser config example`.")
    return YamlFile(raw, _decoded(text), node if isinstance(node, yaml.MappingNode) else None)


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


def _bytes_of(path: Path, folder: int | None, max_bytes: int) -> bytes:
    """Read a YAML file; an error that may be blamed on its sender has to be met twice."""

    def read() -> bytes:
        if folder is None:
            return read_plain(path, max_bytes + 1)
        return read_in(folder, path.name, max_bytes + 1)

    try:
        return read()
    except OSError:
        return read()


def _yaml_detail(error: Exception, text: bytes) -> str:
    """Return the line number (from 1) and the problem of a YAML error, in at most 300 characters.

    An error at the end of the text is given the number of the last line.
    """
    mark = getattr(error, "problem_mark", None)
    if mark is None and (place := _undecodable(text)) is not None:
        number = text.count(b"\n", 0, place) + 1
        return f"line {number}: the byte 0x{text[place]:02x} is no UTF-8; save it as UTF-8"
    line = f"line {min(mark.line + 1, len(text.splitlines()))}: " if mark else ""
    return line + " ".join(str(getattr(error, "problem", None) or error).split())[:300]


def _undecodable(text: bytes) -> int | None:
    """Return the offset of the first byte that is no UTF-8; ``None`` if all of the text is."""
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start
    return None


def _load_plain(text: bytes) -> tuple[yaml.Node | None, object]:
    """Return a YAML text's nodes and value.

    A few lines of aliases can expand to more than the memory ("billion laughs"), and deep nesting
    overflows the loader's stack, which would kill the process.

    Raises:
        ComposerError: aliases, or too deep nesting.
        YAMLError, ValueError: no YAML, or a value that Python does not have.
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
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        return node, None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()
