"""What the diffusion engine would find on this machine, told by a process of its own.

``python -m erasecore.survey HOST``, a ``HostSettings`` as JSON, answers with a ``Survey`` as JSON.
It loads torch, seconds and hundreds of megabytes: nothing that stays does that only to ask.
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
    """One GPU that torch can compute on."""

    name: str
    total_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class DeviceReport:
    """What was found."""

    engine: str  # that ``auto`` stands for; empty: none, films wait until the reason is gone
    reason: str
    torch: str  # its version; empty: it is not installed
    cuda: str  # that torch was built for; empty: for none
    devices: tuple[Device, ...] = ()


def probe_device(host: HostSettings) -> DeviceReport:
    """What there is for the diffusion engine, and what ``auto`` makes of it."""
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
    devices = tuple(_device(torch, number) for number in range(count))
    cuda = torch.version.cuda or ""
    return DeviceReport(choice.engine, choice.reason, torch.__version__, cuda, devices)


def _device(torch: Any, number: int) -> Device:  # noqa: ANN401 - a module without a type
    free, total = torch.cuda.mem_get_info(number)
    return Device(torch.cuda.get_device_name(number), total, free)


def main(arguments: list[str]) -> None:
    """Answer."""
    found = probe_device(HostSettings(**json.loads(arguments[0])))
    sys.stdout.write(json.dumps(asdict(found)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
