"""Fixtures for tests with real daemons."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.house import BESIDE_STATE, QUICK, House
from tests.process.mounts import Mounts, SickShare, able_mounts
from tests.process.systemd import Systemd


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A root folder; its daemons are ended after the test."""
    house = House(tmp_path)
    yield house
    house.close()


@pytest.fixture
def systemd(house: House) -> Iterator[Systemd]:
    """A real notification socket."""
    systemd = Systemd(house.root / "notify")
    yield systemd
    systemd.close()


@pytest.fixture
def mounts(tmp_path: Path) -> Iterator[Mounts]:
    """Makes mounts, where the system lets us; they are unmade after the test."""
    mounts = able_mounts(tmp_path)
    yield mounts
    mounts.close()


@pytest.fixture
def share(house: House, mounts: Mounts) -> Iterator[SickShare]:
    """A share on which all folders of the house lie but the state."""
    share = SickShare(house.root)
    house.place(**{name: share.point / name for name in BESIDE_STATE})
    house.configure(**QUICK)
    yield share
    house.close()
    share.close()
