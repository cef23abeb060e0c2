"""Detection of a GPU without importing torch."""

from __future__ import annotations

from pathlib import Path

# Files of NVIDIA's Linux driver; /dev/dxg is that of WSL.
_NVIDIA_DRIVER_FILES = ("/dev/nvidiactl", "/proc/driver/nvidia/version", "/dev/dxg")


def nvidia_driver() -> bool:
    """Return True if an NVIDIA driver is loaded; without one torch need not be imported."""
    return any(Path(file).exists() for file in _NVIDIA_DRIVER_FILES)
