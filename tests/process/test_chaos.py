"""A little chaos at each test run; ``make chaos N=200`` is a lot."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.process.chaos import run_chaos

KILLS = 8


@pytest.mark.budget(300)
def test_chaos(tmp_path: Path) -> None:
    """Random kills under load lose, double and tear nothing, and no segment is done again."""
    tally = run_chaos(KILLS, 20260725, tmp_path)
    assert tally.wrong == [], str(tally)
    assert tally.kills == KILLS
    assert tally.daemons_killed
    assert tally.done >= 2
