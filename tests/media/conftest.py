"""What every test of films needs and is slow to load."""

from __future__ import annotations

import pytest

from erasecore.detection.detector import RapidOcrDetector
from erasecore.resources import ModelCache


@pytest.fixture(scope="session")
def tools() -> ModelCache:
    """Loaded once for all films, as in the worker."""
    return ModelCache.load(threads=2)


@pytest.fixture(scope="session")
def detector() -> RapidOcrDetector:
    """The text detector that ships."""
    return RapidOcrDetector(threads=2)
