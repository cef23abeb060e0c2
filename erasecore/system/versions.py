"""Versions of the libraries on which a result may depend."""

from __future__ import annotations

import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

import av

# Names of distributions on the package index, our own first.
LIBRARIES = ("subtitle-eraser", "av", "numpy", "opencv-python-headless", "onnxruntime", "rapidocr")


def library_versions() -> dict[str, str]:
    """Return versions by name: Python, the FFmpeg inside PyAV, and installed ``LIBRARIES``."""
    found = {"python": platform.python_version(), "ffmpeg": str(av.ffmpeg_version_info)}
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
