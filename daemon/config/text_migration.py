"""Conversion of a file's text to the current schema; comments and order stay.

The changes are those that reading the file applies to its values. Each becomes an insertion or a
replacement at the place of a key in the text.
"""

from __future__ import annotations

from dataclasses import dataclass

from daemon.config.config_file import ConfigFile
from daemon.config.migration import SCHEMA, Addition, Renaming
from daemon.config.yaml_files import KeyLocation


@dataclass(frozen=True, slots=True)
class _Edit:
    """Replacement of some characters of a line."""

    line: int  # from 0
    column: int  # from 0
    removed: int  # characters
    text: str


def migrated_text(file: ConfigFile) -> str:
    """Return the text of a file in the current schema; the same text if it is up to date."""
    if not file.changes and "schema" in file.yaml.values:
        return file.yaml.text
    places = list(file.yaml.key_locations())
    edits = []
    for change in file.changes:
        if isinstance(change, Renaming):
            edits.append(_renamed(change, places, file.yaml.text))
        else:
            edits.append(_added(change, places))
    edits.append(_schema_edit(file, places))
    lines = file.yaml.text.splitlines(keepends=True) or [""]
    # At one place the last edit comes first in the text: the schema.
    for edit in sorted(edits, key=lambda edit: (edit.line, edit.column), reverse=True):
        line = lines[edit.line]
        end = edit.column + edit.removed
        lines[edit.line] = line[: edit.column] + edit.text + line[end:]
    return "".join(lines)


def _schema_edit(file: ConfigFile, places: list[KeyLocation]) -> _Edit:
    """Return the edit that writes the schema: at its key, else as the first line."""
    lines = file.yaml.text.splitlines() or [""]
    for place in places:
        if place.key == "schema":
            line = lines[place.line - 1]
            number = str(file.yaml.values["schema"])
            return _Edit(place.line - 1, line.index(number, place.column), len(number), f"{SCHEMA}")
    if places and places[0].in_braces:
        return _Edit(places[0].line - 1, places[0].column, 0, f"schema: {SCHEMA}, ")
    first_key_line = places[0].line - 1 if places else 0
    heads = [n for n in range(first_key_line) if lines[n].startswith(("---", "%"))]
    start = 1 if lines[0].startswith("\ufeff") and not heads else 0  # a byte order mark
    return _Edit(heads[-1] + 1 if heads else 0, start, 0, f"schema: {SCHEMA}\n")


def _renamed(change: Renaming, places: list[KeyLocation], text: str) -> _Edit:
    """Return the edit that gives a key its new name."""
    place = next(place for place in places if place.key == change.key)
    old_name = change.key.rpartition(".")[2]
    line = text.splitlines()[place.line - 1]
    return _Edit(place.line - 1, line.index(old_name, place.column), len(old_name), change.name)


def _added(change: Addition, places: list[KeyLocation]) -> _Edit:
    """Return the edit that adds a value before the first key of its group, or a new group."""
    inside = [place for place in places if place.key.startswith(f"{change.group}.")]
    if inside:
        return _before(inside[0], f"{change.name}: {change.value}")
    place = next(place for place in places if place.key == change.key)
    group = change.group.rpartition(".")[2]
    return _before(place, f"{group}: {{{change.name}: {change.value}}}")


def _before(place: KeyLocation, entry: str) -> _Edit:
    """Return the edit that puts an entry of a mapping before the key at ``place``."""
    ending = ", " if place.in_braces else "\n" + " " * place.column
    return _Edit(place.line - 1, place.column, 0, entry + ending)
