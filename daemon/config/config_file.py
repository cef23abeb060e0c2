"""A configuration or settings file with its values in the current schema, and its mistakes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daemon.config.migration import Change, upgraded
from daemon.config.parsing import Problem
from daemon.config.yaml_files import Complaint, YamlFile, read_own_yaml, read_yaml
from erasecore.errors import ConfigError, printable

JOB_SECTION = "erase"
"""Section of the configuration with what settings files may set, too."""
TOP_KEYS = (
    *("schema", "folders", "inbox", "worker", "publish", "retry", "claims", "schedule"),
    *("models", "log", "status", "notify", JOB_SECTION),
)
"""Keys at the top of the configuration file: the fields of ``daemon.config.schema.Config``."""


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A file as it was read; ``path`` is ``None`` for the defaults."""

    path: Path | None = None
    yaml: YamlFile = field(default_factory=YamlFile)
    raw: dict[str, Any] = field(default_factory=dict)  # values in the current schema
    changes: tuple[Change, ...] = ()  # made for that
    problems: tuple[Problem, ...] = ()  # of the file itself: its version, keys given twice

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences on what should be written differently, with file and line."""
        return tuple(
            f"{self._place(change.key)}: {change.key}: {change.sentence}" for change in self.changes
        )

    def error_of(self, problems: Iterable[Problem]) -> ConfigError:
        """Return the error for ``problems``: one line for each, in the order of the file."""
        ordered = sorted(problems, key=lambda problem: self._line_of(problem.key) or 0)
        if self.path is None:
            return ConfigError("\n".join(map(str, ordered)))
        return ConfigError("\n".join(f"{self._place(one.key)}: {one}" for one in ordered))

    def in_lines(self, problems: Iterable[Problem]) -> str:
        """Return ``problems`` as one text for a sender, with line numbers, without the path."""
        texts = []
        for problem in problems:
            line = self._line_of(problem.key)
            text = str(problem).removesuffix(".")
            texts.append(f"line {line}: {text}" if line else text)
        return "; ".join(texts)

    def _place(self, key: str) -> str:
        line = self._line_of(key)
        name = printable(str(self.path))
        return f"{name}:{line}" if line else name

    def _line_of(self, key: str) -> int | None:
        old_keys = {change.new_key: change.key for change in self.changes}
        return self.yaml.line_of(old_keys.get(key, key))


def read_config_file(path: Path | None) -> ConfigFile:
    """Return the configuration file, not yet checked; an empty one if ``path`` is ``None``.

    Raises:
        ConfigError: the file cannot be read; the text names it and the next step.
    """
    if path is None:
        return ConfigFile()
    try:
        return file_of(path, read_own_yaml(path, error=ConfigError), erase=JOB_SECTION)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); mend its disk.") from error


def read_settings_file(path: Path, *, error: Complaint, folder: int | None = None) -> ConfigFile:
    """Return a settings file of a film or a folder, not yet checked.

    Args:
        path: the file.
        error: makes the exception from a sentence.
        folder: handle of the open folder in which the file lies; None: the path is followed.

    Raises:
        Exception: the result of ``error``: the file cannot be read.
        OSError: the file's disk or share does not work.
    """
    return file_of(path, read_yaml(path, error=error, folder=folder), erase="")


def file_of(path: Path, file: YamlFile, *, erase: str) -> ConfigFile:
    """Return a file with its values in the current schema; ``erase`` as in ``upgraded``."""
    current = upgraded(file.values, erase=erase)
    problems = (*current.problems, *repeated_keys(file))
    return ConfigFile(path, file, current.raw, current.changes, problems)


def repeated_keys(file: YamlFile) -> Iterator[Problem]:
    """Yield the keys that are given twice: YAML readers keep the last one and say nothing."""
    first_lines: dict[str, int] = {}
    for place in file.key_locations():
        if place.key in first_lines:
            sentence = f"is given twice, first in line {first_lines[place.key]}; keep one."
            yield Problem(place.key, sentence)
        first_lines.setdefault(place.key, place.line)
