"""What there is to compute on, told without loading what computes."""

from __future__ import annotations

from pathlib import Path

_NVIDIA = ("/dev/nvidiactl", "/proc/driver/nvidia/version", "/dev/dxg")


def nvidia_driver() -> bool:
    """Whether a driver for NVIDIA's GPUs is there; only then is it worth asking torch."""
    return any(Path(place).exists() for place in _NVIDIA)
