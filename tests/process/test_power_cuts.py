"""A few power cuts at each test run; ``make power-cuts N=50`` are many."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.process.loop_disk import need_loop_disks
from tests.process.power_cuts import cut_power

pytestmark = pytest.mark.process

CUTS = 5
SEED = 20261129


def test_power_cuts(tmp_path: Path) -> None:
    """A disk that is cut off under load, mounted and drained, has every film exactly once."""
    need_loop_disks(tmp_path)
    tally = cut_power(CUTS, SEED, tmp_path)
    assert tally.wrong == []
    assert tally.cuts == CUTS
    assert tally.done >= CUTS
