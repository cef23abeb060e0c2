"""How exposed the service is, by systemd's own measure."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.system.machine import REPOSITORY

UNITS = REPOSITORY / "deploy" / "systemd"

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing"
)


def exposure(folder: Path, *drop_ins: str, unit_name: str = "subtitle-eraser.service") -> float:
    """The score of the unit with its drop-ins: 0 is sealed, 10 is open."""
    unit = folder / unit_name
    shutil.copy(UNITS / unit.name, unit)
    (folder / f"{unit.name}.d").mkdir()
    for name in drop_ins:
        shutil.copy(UNITS / name, folder / f"{unit.name}.d" / name)
    said = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(unit)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = re.search(r"Overall exposure level.*: ([0-9.]+)", said)
    assert found, said
    return float(found[1])


def test_with_a_card(tmp_path: Path) -> None:
    """A host with a card can be no tighter than CUDA allows."""
    assert exposure(tmp_path) <= 1.6


def test_of_fetching_weights(tmp_path: Path) -> None:
    """What speaks to a hub sees no films and can change nothing but weights."""
    assert exposure(tmp_path, unit_name="subtitle-eraser-models.service") <= 2.0


def test_of_being_told(tmp_path: Path) -> None:
    """The process that speaks to receivers sees finished films only, and can change none."""
    assert exposure(tmp_path, unit_name="subtitle-eraser-notify.service") <= 1.7


def test_without_a_card(tmp_path: Path) -> None:
    """A host without one has nothing to leave open for it."""
    assert exposure(tmp_path, "cpu-only.conf") <= 1.0


@pytest.mark.parametrize(
    "name",
    [
        *("subtitle-eraser.service", "cpu-only.conf", "subtitle-eraser-models.service"),
        "subtitle-eraser-notify.service",
    ],
)
def test_every_setting_is_explained(name: str) -> None:
    """Above each group of settings stands why they are there."""
    lines = (UNITS / name).read_text().splitlines()
    for before, line in zip(["", *lines], lines, strict=False):
        if re.match(r"\w+=", line):
            assert before and not before.startswith("["), f"{name}: {line} is not explained"
