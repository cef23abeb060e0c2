"""A short soak at each test run; ``make soak N=2000`` is a long one."""

from __future__ import annotations

import pytest

from tests.process.house import House
from tests.process.soak import soak

pytestmark = pytest.mark.process

FILMS = 40


def test_soak(house: House) -> None:
    """Films that come and go leave no handle, thread, process or memory behind."""
    assert list(soak(house, FILMS).complaints()) == []
