"""Broken films by the dozen; ``make mutants N=500`` lets more loose."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.process.house import House
from tests.process.mutants import MUTATIONS, RECIPES, let_loose, whole_films

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
