"""GPU and library probe for the diffusion engine, run as a separate process.

``python -m erasecore.engines.probe_device HOST`` takes a `HostSettings` as JSON and prints a
`DeviceReport` as JSON. A separate process, since importing torch takes seconds and hundreds of
megabytes that no long-lived process should spend on a question.
"""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from erasecore.engines.registry import AutoChoice, choose_auto
from erasecore.errors import HostError
from erasecore.settings import HostSettings


@dataclass(frozen=True, slots=True)
class Device:
    """CUDA device that torch can use."""

    name: str
    total_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class DeviceReport:
    """Result of the probe."""

    engine: str  # engine that ``auto`` resolves to; empty: none, films wait until it is fixed
    reason: str  # explanation of ``engine``, for people
    torch: str  # version of torch; empty: not installed
    cuda: str  # CUDA version that torch was built for; empty: a build without CUDA
    devices: tuple[Device, ...] = ()


def probe_device(host: HostSettings) -> DeviceReport:
    """Return the engine that ``auto`` resolves to, the torch build and the CUDA devices."""
    try:
        choice = choose_auto(host)
    except HostError as error:
        choice = AutoChoice("", str(error))
    try:
        version("torch")
    except PackageNotFoundError:
        return DeviceReport(choice.engine, choice.reason, torch="", cuda="")
    torch: Any = importlib.import_module("torch")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    devices = tuple(_device(torch, index) for index in range(count))
    cuda = torch.version.cuda or ""
    return DeviceReport(choice.engine, choice.reason, torch.__version__, cuda, devices)


def _device(torch: Any, index: int) -> Device:  # noqa: ANN401 - a module without a type
    """Return name and memory of the CUDA device ``index``."""
    free, total = torch.cuda.mem_get_info(index)
    return Device(torch.cuda.get_device_name(index), total, free)


def main(arguments: list[str]) -> None:
    """Print the `DeviceReport` for the host settings in ``arguments[0]``, both as JSON."""
    report = probe_device(HostSettings(**json.loads(arguments[0])))
    sys.stdout.write(json.dumps(asdict(report)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
