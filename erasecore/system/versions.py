"""What a result may depend on besides our own code: the versions of the libraries that made it."""

from __future__ import annotations

import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

import av

LIBRARIES = ("subtitle-eraser", "av", "numpy", "opencv-python-headless", "onnxruntime", "rapidocr")


def library_versions() -> dict[str, str]:
    """Name and version of each; ``ffmpeg`` is the one inside PyAV, which reads and writes films."""
    found = {"python": platform.python_version(), "ffmpeg": str(av.ffmpeg_version_info)}
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
