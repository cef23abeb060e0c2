"""Actions of the command ``config``; they work where the configuration is wrong, too."""

from __future__ import annotations

import itertools
import os
import shutil
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.resources import files as files_of_package
from pathlib import Path
from typing import TextIO

from daemon.config.config_file import (
    JOB_SECTION,
    ConfigFile,
    file_of,
    read_config_file,
    read_settings_file,
)
from daemon.config.film_settings import settings_problems
from daemon.config.schema import read_config
from daemon.config.text_migration import migrated_text
from daemon.config.yaml_files import parse_yaml
from daemon.storage.names import FILM_SETTINGS_SUFFIX
from erasecore.errors import ConfigError, printable
from erasecore.system.atomic_files import write_whole


def example() -> int:
    """Print the configuration with every key at its default; return the exit code."""
    text = files_of_package("daemon.config").joinpath("example.yaml").read_text("utf-8")
    sys.stdout.write(text)
    return 0


def check(files: Sequence[Path]) -> bool:
    """Print all mistakes and warnings of the files; return True if there is no mistake."""
    if not files:
        _print("there is no configuration file: the defaults count.")
    well = True
    for path in files:
        try:
            warnings = _checked(path)
        except ConfigError as error:
            well = False
            for line in str(error).split("\n"):
                _print(line)
        else:
            for warning in warnings:
                _print(f"{warning} (a warning)")
            _print(f"{path}: well")
    return well


def _checked(path: Path) -> tuple[str, ...]:
    """Return the warnings about a file.

    Raises:
        ConfigError: one line for each mistake.
    """
    if not _is_settings_file(path):
        return read_config(path).warnings
    file = _read(path)
    if problems := tuple(settings_problems(file)):
        raise file.error_of(problems)
    return file.warnings


def migrate(files: Sequence[Path], *, write: bool) -> int:
    """Show files as the current schema writes them, or replace them; return the exit code.

    Raises:
        ConfigError: a file has mistakes, or cannot be converted; nothing of it is changed.
    """
    for path in files:
        _checked(path)
        file = _read(path)
        text = migrated_text(file)
        if text == file.yaml.text:
            _print(f"{path}: is up to date", stream=sys.stderr)
        _check_conversion(file, text)
        if not write:
            sys.stdout.write(text)
        elif text != file.yaml.text:
            kept = _replace(path, text)
            _print(f"{path}: converted; the old one is {kept}")
    return 0


def _check_conversion(file: ConfigFile, text: str) -> None:
    """Read the new text; raise unless it says what the old one did.

    Raises:
        ConfigError: it does not.
    """
    assert file.path is not None
    erase = "" if _is_settings_file(file.path) else JOB_SECTION
    content = text.encode("utf-8", "surrogateescape")
    again = file_of(file.path, parse_yaml(file.path, content, error=ConfigError), erase=erase)
    if again.changes or again.problems or again.raw != file.raw:
        sentence = "cannot be converted by itself; change the keys that `config check` names."
        raise ConfigError(f"{file.path}: {sentence}")


def _replace(path: Path, text: str) -> Path:
    """Replace a file, with its mode and owner; return the path under which the old one is kept."""
    status = path.stat()
    kept = _copy_beside(path, status)
    content = text.encode("utf-8", "surrogateescape")
    write_whole(path.resolve(), content, mode=stat.S_IMODE(status.st_mode))
    with suppress(OSError):  # only root may give files away
        os.chown(path, status.st_uid, status.st_gid)
    return kept


def _copy_beside(path: Path, status: os.stat_result) -> Path:
    """Copy a file, with its mode, times and owner, to ``NAME.schema-1`` or the next free number."""
    for number in itertools.count(1):
        kept = path.with_name(f"{path.name}.schema-1" + (f".{number}" if number > 1 else ""))
        try:
            with kept.open("xb") as file:
                file.write(path.read_bytes())
        except FileExistsError:
            continue
        shutil.copystat(path, kept)
        with suppress(OSError):  # only root may give files away
            os.chown(kept, status.st_uid, status.st_gid)
        return kept
    raise AssertionError("numbers do not end")


def _read(path: Path) -> ConfigFile:
    """Return a configuration or settings file."""
    if _is_settings_file(path):
        try:
            return read_settings_file(path, error=ConfigError)
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read ({error.strerror}).") from error
    return read_config_file(path)


def _is_settings_file(path: Path) -> bool:
    """Return True if ``path`` has the name of the settings of a film or of a folder."""
    return path.name.endswith(FILM_SETTINGS_SUFFIX)


def _print(text: str, *, stream: TextIO | None = None) -> None:
    print(printable(text), file=stream or sys.stdout)
