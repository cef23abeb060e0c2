"""What a worker goes on holding of what it has used: told by processes of their own."""

from __future__ import annotations

import subprocess
import sys

import pytest

MIB = 1 << 20
RESIDENT = """
import numpy as np
from pathlib import Path
from resource import getpagesize

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * getpagesize()
"""
PIECES = """
def once():
    large, small = [], []
    for _ in range(20):
        large.append(np.ones(8 << 20, np.uint8))
        small.append(np.ones(64 << 10, np.uint8))
    return small

np.ones(8 << 20, np.uint8)  # freed at once: from it glibc learns what sizes come and go
before = resident()
kept = once()
print(resident() - before)
"""
SIZES = """
from erasecore.detection.detector import RapidOcrDetector

detector = RapidOcrDetector(threads=1)
for _ in range(3):
    detector.detect(np.zeros((544, 960, 3), np.uint8))
before = resident()
for height in 3 * [*range(96, 512, 64)]:
    detector.detect(np.zeros((height, 960, 3), np.uint8))
print(resident() - before)
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks the system as Linux has it")


def held(script: str) -> int:
    """The bytes that a fresh Python holds more after ``script`` than before it."""
    command = [sys.executable, "-c", RESIDENT + script]
    return int(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout)


def test_large_pieces_are_given_back_though_small_ones_between_them_stay() -> None:
    """Twenty pieces of 8 MiB leave nothing behind but the small ones that were made among them."""
    told = "from erasecore.memory.malloc import map_large_blocks\nmap_large_blocks()\n"
    assert held(told + PIECES) < 8 * MIB


def test_the_detector_holds_what_its_largest_picture_needs() -> None:
    """Pictures of seven more sizes, all smaller, make it hold next to nothing more."""
    assert held(SIZES) < 34 * MIB
