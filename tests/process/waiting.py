"""Waiting for a condition that may never come true, which then is a finding, not a failure."""

from __future__ import annotations

import time
from collections.abc import Callable


def comes_true(condition: Callable[[], object], seconds: float) -> bool:
    """Return True as soon as ``condition`` holds, False if it does not within ``seconds``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if condition():
                return True
        except FileNotFoundError:
            pass  # it looked at what is being renamed
        time.sleep(0.05)
    return False
