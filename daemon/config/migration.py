"""Schema versions of configuration and settings files, and the conversion of older ones.

A file without the key ``schema`` has version 1. What a version has changed is written here as data,
once: reading a file applies the changes to its values, ``config migrate`` to its text.

=======  ==========================================================================================
version  changes
=======  ==========================================================================================
2        ``models.endpoint`` is now ``huggingface_endpoint`` or ``modelscope_endpoint``; regions and
         masks are places of the picture as players show it (``detect.regions_frame: seen``),
         before they were places of the stored picture
=======  ==========================================================================================
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from daemon.config.parsing import Problem

SCHEMA = 2
"""Version of the format that this release writes and documents."""


@dataclass(frozen=True, slots=True)
class Renaming:
    """A key whose name has changed; it stays in its group."""

    key: str  # dotted path of the old key
    name: str  # last part of the new one

    @property
    def new_key(self) -> str:
        """Dotted path of the new key."""
        return f"{self.key.rpartition('.')[0]}.{self.name}"

    @property
    def sentence(self) -> str:
        """Text of the warning."""
        return f"is called {self.new_key} since schema 2; the old name goes with the next release."


@dataclass(frozen=True, slots=True)
class Addition:
    """A value that keeps the meaning which a file had before a default changed."""

    key: str  # dotted path of the key that the meaning is of
    group: str  # dotted path of the group that gets the new key
    name: str  # last part of the new key
    value: str

    @property
    def new_key(self) -> str:
        """Dotted path of the new key."""
        return f"{self.group}.{self.name}"

    @property
    def sentence(self) -> str:
        """Text of the warning."""
        return (
            "is taken for a place of the stored picture, as before schema 2; of films that players "
            f"turn, that is another place. Write schema: 2 and {self.new_key}: {self.value}, or "
            "seen."
        )


Change = Renaming | Addition


@dataclass(frozen=True, slots=True)
class Upgraded:
    """Values of a file in the current schema."""

    raw: dict[str, Any]
    changes: tuple[Change, ...] = ()  # made to the values; each is worth a warning
    problems: tuple[Problem, ...] = ()  # with the version itself


def upgraded(values: Mapping[str, Any], *, erase: str) -> Upgraded:
    """Return the values of a file in the current schema.

    Args:
        values: the file as it was read; not modified.
        erase: key of the section with the settings of a job; "" in a settings file, which has
            nothing else.
    """
    raw = copy.deepcopy(dict(values))
    version = raw.pop("schema", 1)
    if not isinstance(version, int) or isinstance(version, bool):
        return Upgraded(raw, problems=(Problem("schema", f"must be {SCHEMA}, not {version!r}."),))
    if version < 1:
        sentence = f"must be from 1 to {SCHEMA}, not {version}; write schema: {SCHEMA}."
        return Upgraded(raw, problems=(Problem("schema", sentence),))
    if version > SCHEMA:
        sentence = f"is {version}, but this release knows 1 to {SCHEMA}; install a newer release."
        return Upgraded({}, problems=(Problem("schema", sentence),))
    raw["schema"] = SCHEMA
    changes, problems = [], []
    for change in tuple(_changes_to_2(raw, erase)) if version < 2 else ():
        if _apply(change, raw):
            changes.append(change)
        else:
            sentence = f"is the old name of {change.new_key}, which is there, too; remove one."
            problems.append(Problem(change.key, sentence))
    return Upgraded(raw, tuple(changes), tuple(problems))


def _changes_to_2(raw: Mapping[str, Any], erase: str) -> Iterator[Change]:
    """Yield what turns values of schema 1 into schema 2."""
    models = raw.get("models")
    if isinstance(models, Mapping) and "endpoint" in models and erase:
        source = "modelscope" if models.get("source") == "modelscope" else "huggingface"
        yield Renaming("models.endpoint", f"{source}_endpoint")
    prefix = f"{erase}." if erase else ""
    job = raw.get(erase) if erase else raw
    if not isinstance(job, Mapping):
        return
    detect = job.get("detect", {})
    if not isinstance(detect, Mapping) or "regions_frame" in detect:
        return
    if detect.get("regions"):
        yield Addition(f"{prefix}detect.regions", f"{prefix}detect", "regions_frame", "stored")
    elif job.get("mask"):
        yield Addition(f"{prefix}mask", f"{prefix}detect", "regions_frame", "stored")


def _apply(change: Change, raw: dict[str, Any]) -> bool:
    """Apply a change to values; the groups above its keys are mappings, or missing.

    Returns:
        False if the file has the new key beside the old one, which is removed then.
    """
    group = raw
    for name in change.new_key.split(".")[:-1]:
        group = group.setdefault(name, {})
    if isinstance(change, Addition):
        group[change.name] = change.value
        return True
    value = group.pop(change.key.rpartition(".")[2])
    return group.setdefault(change.name, value) is value
