"""Fixtures for tests with real daemons."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.house import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A root folder; its daemons are ended after the test."""
    house = House(tmp_path)
    yield house
    house.close()
