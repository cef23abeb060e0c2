"""Errors of one attempt: nobody has to correct them, another attempt may succeed."""

from __future__ import annotations

from erasecore.errors.base import EraseError, Remedy


class WorkerLost(EraseError):
    """The worker process ended, or sent no heartbeat for too long, in the middle of an attempt."""

    remedy = Remedy.RETRY


class OutOfMemory(EraseError):
    """Memory ran out even with the smallest batches; it may suffice when the machine is less busy.

    Args:
        sentence: the problem and the next step.
        on_host: True for the machine's RAM, False for the memory of a graphics card.
    """

    remedy = Remedy.RETRY

    def __init__(self, sentence: str, *, on_host: bool = True) -> None:
        self.on_host = on_host
        super().__init__(sentence)


class DeviceLost(EraseError):
    """This process can no longer use the graphics card (CUDA context lost); a new worker can."""

    remedy = Remedy.RETRY

    def __init__(self, detail: str) -> None:
        super().__init__(
            f"{detail}: the graphics card cannot be used on; a fresh worker tries again."
        )
