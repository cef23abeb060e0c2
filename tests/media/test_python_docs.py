"""The examples of docs/python.md, each in a fresh interpreter, as a reader would run it."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import av
import pytest

import erasecore
from tests.clips import small_film

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "python.md").read_text("utf-8")
EXAMPLES = re.findall(r"^## (.+?)$(?:(?!^## ).)*?^```python\n(.*?)^```$", PAGE, re.M | re.S)
MADE = {
    "Erase a film": ["clean.mp4"],
    "Settings, progress, several films": ["film.clean.mp4"],
    "Find subtitles": [],
    "Inpaint arrays": [],
    "Frames from a film, and back into one": ["filled.mp4"],
}


def test_every_example_is_tried() -> None:
    """No block of the page is left out."""
    assert [title for title, _ in EXAMPLES] == list(MADE)
    assert PAGE.count("```python") == len(MADE)


@pytest.mark.parametrize("name", ["erase", "detect", "inpaint", "load_models"])
def test_every_signature_is_there(name: str) -> None:
    """The reference gives each function's parameters with their defaults, in order."""
    parameters = inspect.signature(getattr(erasecore, name)).parameters.values()
    words: list[str] = []
    for parameter in parameters:
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in words:
            words.append("*")
        default = parameter.default
        given = "" if default is parameter.empty else "=" + repr(default).replace("'", '"')
        words.append(parameter.name + given)
    assert f"`{name}({', '.join(words)})" in " ".join(PAGE.split())


@pytest.mark.parametrize(
    "name", ["EraseReport", "EventReport", "ResidueReport", "LeftText", "Progress", "Detection"]
)
def test_every_field_is_there(name: str) -> None:
    """The reference has a table for each record, with all its fields."""
    table = PAGE.partition(f"\n### {name}\n")[2].partition("\n#")[0]
    named = set(re.findall(r"`(\w+)`", table))
    assert named >= {field.name for field in fields(getattr(erasecore, name))}
    named = set(re.findall(r"`(\w+)`", PAGE.partition("A `DetectedText` has")[2]))
    assert named >= {field.name for field in fields(erasecore.DetectedText)}


@pytest.mark.parametrize(("title", "code"), EXAMPLES, ids=[title for title, _ in EXAMPLES])
def test_example(tmp_path: Path, title: str, code: str) -> None:
    """It runs without a warning, says something, and makes what it is about."""
    small_film(tmp_path / "film.mp4")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted(["film.mp4", *MADE[title]])
    for name in MADE[title]:
        with av.open(str(tmp_path / name)) as container:
            assert sum(1 for _ in container.decode(video=0)) == 38
    if "print" in code:
        assert done.stdout
