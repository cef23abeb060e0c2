"""Errors survive the way to another process, and copying."""

from __future__ import annotations

import copy
import inspect
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from erasecore import errors
from erasecore.errors import EraseError, FolderError

REPOSITORY = Path(__file__).parents[2]
_VALUES: dict[str, object] = {
    "path": Path("/films/a film.mp4"),
    "models": Path("/srv/models"),
    "folder": Path("/srv/work/host/job"),
    "missing": ["unet.safetensors", "vae.safetensors"],
    "faults": {"unet.safetensors": "is missing"},
    "on_host": False,
}
"""Arguments of constructors by name; others get a value that fits their annotation."""
_BY_ANNOTATION: dict[str, object] = {"str": "some words", "int": 7, "float": 2.5}
CLASSES = [
    kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, EraseError)
]


def _instance(kind: type[EraseError]) -> EraseError:
    """An error of the class, with a value for each of its parameters."""
    if kind.__init__ is Exception.__init__:
        return kind("some words")
    positional: list[object] = []
    named: dict[str, object] = {}
    for parameter in inspect.signature(kind).parameters.values():
        name = parameter.name
        value = _VALUES[name] if name in _VALUES else _BY_ANNOTATION[parameter.annotation]
        if parameter.kind is parameter.KEYWORD_ONLY:
            named[name] = value
        else:
            positional.append(value)
    make: Any = kind
    error: EraseError = make(*positional, **named)
    return error


def _pickled(error: EraseError) -> EraseError:
    back: EraseError = pickle.loads(pickle.dumps(error))
    return back


def _same(found: BaseException, error: EraseError) -> None:
    assert isinstance(found, EraseError)
    assert type(found) is type(error)
    assert str(found) == str(error)
    assert found.args == error.args
    assert found.remedy is error.remedy
    kept = {name: value for name, value in vars(found).items() if name in vars(error)}
    assert kept == vars(error)


@pytest.mark.parametrize("again", [_pickled, copy.copy, copy.deepcopy])
@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_survives_pickle_and_copy(
    kind: type[EraseError], again: Callable[[EraseError], EraseError]
) -> None:
    """Class, text, remedy and attributes (path, sentence) are the same, also the second time."""
    error = _instance(kind)
    _same(again(again(error)), error)


def test_notes_survive() -> None:
    """What was added to an error on its way goes with it."""
    error = FolderError(Path("/films"), "is gone.")
    error.add_note("seen by a test")
    assert _pickled(error).__notes__ == ["seen by a test"]


def raise_instance(number: int) -> None:
    """Raise an error of the class with that number; called in another process."""
    raise _instance(CLASSES[number])


def test_errors_reach_the_caller_of_a_process_pool() -> None:
    """A pool stays whole, and its caller gets the error that was raised in the other process."""
    code = "from tests.unit.test_errors import same_through_a_pool\nsame_through_a_pool()\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def same_through_a_pool() -> None:
    """Compare each error with what a pool's caller gets; in a process that has no thread yet."""
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
        futures = [pool.submit(raise_instance, number) for number in range(len(CLASSES))]
        for kind, future in zip(CLASSES, futures, strict=True):
            found = future.exception(timeout=60)
            assert found is not None
            _same(found, _instance(kind))
