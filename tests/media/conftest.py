"""What every test of films needs and is slow to load."""

from __future__ import annotations

import pytest

from erasecore.detect.detector import RapidOcrDetector
from erasecore.resources import Tools


@pytest.fixture(scope="session")
def tools() -> Tools:
    """Loaded once for all films, as in the worker."""
    return Tools.load(threads=2)


@pytest.fixture(scope="session")
def detector() -> RapidOcrDetector:
    """The text detector that ships."""
    return RapidOcrDetector(threads=2)
