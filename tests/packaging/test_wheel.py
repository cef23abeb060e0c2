"""The built wheel, installed where there is nothing but the wheel and what it asks for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.clips import small_film

REPOSITORY = Path(__file__).parents[2]
PACKAGES = ("daemon", "erasecore")


def run(*arguments: str | Path, cwd: Path) -> str:
    """Run a command that must succeed, away from the checkout; return its output."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [str(one) for one in arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.budget(900)
def test_the_wheel_erases_a_clip(tmp_path: Path) -> None:
    """The wheel holds every package and its type marker; installed alone, it erases a film."""
    constraints = REPOSITORY / "constraints.txt"
    sources = tmp_path / "sources"  # a build leaves folders behind, and takes up what they hold
    for package in PACKAGES:
        shutil.copytree(REPOSITORY / package, sources / package)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, sources)
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", sources, cwd=tmp_path)
    (wheel,) = tmp_path.glob("subtitle_eraser-*.whl")
    home = tmp_path / "venv"
    venv.create(home, with_pip=True)
    run(home / "bin/pip", "install", "-q", "-c", constraints, wheel, cwd=tmp_path)
    small_film(tmp_path / "film.mp4")
    said = run(home / "bin/subtitle-eraser", "erase", "film.mp4", "clean.mp4", cwd=tmp_path)
    assert "1 subtitle," in said
    assert (tmp_path / "clean.mp4").stat().st_size > 0
    code = "import daemon, erasecore; print(daemon.__file__, erasecore.__file__)"
    where = run(home / "bin/python", "-c", code, cwd=tmp_path)
    assert str(home) in where and str(REPOSITORY) not in where
    modules = {
        str(path.relative_to(REPOSITORY))
        for package in PACKAGES
        for path in (REPOSITORY / package).rglob("*.py")
    }
    listing = run(home / "bin/python", "-m", "zipfile", "-l", wheel, cwd=tmp_path)
    packed = {line.split()[0] for line in listing.splitlines() if line.strip()}
    assert modules <= packed
    assert {"daemon/py.typed", "erasecore/py.typed"} <= packed
