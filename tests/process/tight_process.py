"""Work without room: ``python -m tests.process.tight_process LIBRARY``, its address space limited.

Prints the rungs that were tried and the sum of what was made, with memory to spare and without.
"""

from __future__ import annotations

import hashlib
import json
import resource
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.memory.ladder import Ladder, NullLadderStore, Rung, WorkloadKey

FRAMES, SIDE = 16, 1024
ROOM_BYTES = 260 << 20
RUNGS = [Rung(f"{count} at once", count) for count in (16, 8, 4, 2, 1)]
Batch = NDArray[np.float32]


def by_numpy(batch: Batch) -> Batch:
    """Some arithmetic."""
    return np.asarray(np.sqrt(batch.repeat(5, axis=1)[:, ::5] + 1), np.float32)


def by_cv2(batch: Batch) -> Batch:
    """A tall picture of the whole batch, smoothed in its rows."""
    tall = cv2.copyMakeBorder(batch.reshape(-1, SIDE), 0, 0, SIDE, SIDE, cv2.BORDER_REFLECT)
    return np.asarray(cv2.blur(tall, (5, 1))[:, SIDE:-SIDE], np.float32).reshape(batch.shape)


def by_torch(batch: Batch) -> Batch:
    """A convolution's worth of channels for each frame."""
    torch = import_module("torch")
    channels = torch.from_numpy(batch)[:, None].expand(-1, 6, -1, -1).contiguous()
    return np.asarray((channels * 0.5).mean(dim=1).numpy(), np.float32)


LIBRARIES: dict[str, Callable[[Batch], Batch]] = {
    "numpy": by_numpy,
    "cv2": by_cv2,
    "torch": by_torch,
}


def limit_memory() -> None:
    """Leave room for a little more than what is taken already."""
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (taken + ROOM_BYTES, hard))


def main(library: str) -> dict[str, object]:
    """What came of it."""
    frames = np.random.default_rng(5).random((FRAMES, SIDE, SIDE), np.float32)
    made = np.empty_like(frames)
    tried: list[int] = []

    def work(count: int) -> str:
        tried.append(count)
        for start in range(0, FRAMES, count):
            made[start : start + count] = LIBRARIES[library](frames[start : start + count])
        return hashlib.sha256(made.tobytes()).hexdigest()

    LIBRARIES[library](frames[:1])  # whatever it opens once
    spare = work(1)
    tried.clear()
    limit_memory()
    tight = Ladder(WorkloadKey(library, SIDE, SIDE), RUNGS, NullLadderStore()).run(work)
    return {"tried": tried, "equal": spare == tight}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))  # noqa: T201 - the answer
