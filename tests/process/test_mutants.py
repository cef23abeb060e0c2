"""Broken films by the dozen; ``make mutants N=500`` lets more loose."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import pytest

from erasecore import errors as fault_classes
from tests.process.house import House
from tests.process.mutants import MUTATIONS, RECIPES, let_loose, mutants, whole_films

pytestmark = [pytest.mark.process, pytest.mark.budget(600), pytest.mark.errors_logged]

FILMS = 3 * len(RECIPES)


def test_mutants(house: House, tmp_path: Path) -> None:
    """None is lost, crashes or hangs the daemon, meets an unknown error, or leaves anything."""
    assert len(MUTATIONS) < FILMS
    (tmp_path / "films").mkdir()
    verdict = let_loose(house, whole_films(tmp_path / "films"), FILMS)
    assert verdict.complaints == []
    assert verdict.done + verdict.failed == FILMS
    assert verdict.failed > FILMS // 6  # they are broken indeed


@pytest.mark.parametrize(("number", "seed"), [(177, 1), (429, 1), (450, 20261130)])
def test_mutants_that_were_too_much(house: House, tmp_path: Path, number: int, seed: int) -> None:
    """Films that once met an error without a class: odd headers, a stream late or broken."""
    (tmp_path / "films").mkdir()
    films = whole_films(tmp_path / "films")
    name, data = next(islice(mutants(films, number + 1, seed), number, None))
    house.drop(name, data)
    assert house.once(quick=False) in (0, 1)
    if house.films("failed") or house.files("failed"):
        [found] = house.failed.glob("*.error.json")
        assert json.loads(found.read_bytes())["remedy"] in ("fix-input", "fix-code")
        assert hasattr(fault_classes, json.loads(found.read_bytes())["error"])
