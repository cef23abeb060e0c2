"""The quick worker, but what it makes lasts through a power cut, as results of the real one do."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from daemon.workers.messages import Start
from daemon.workers.worker_loop import Channel, Observe, die_with_parent, serve
from erasecore.reports import EraseReport
from tests.process import quick_worker


def erase(start: Start, observe: Observe, answers: int) -> EraseReport:
    """Obey the film, then sync what came of it."""
    report = quick_worker.erase(start, observe, answers)
    folder = Path(start.folder)
    for path in (*folder.rglob("*"), folder):
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
    return report


def main(arguments: list[str]) -> None:
    """Serve."""
    commands, answers, parent_pid, _nice = (int(one) for one in arguments[:4])
    die_with_parent(parent_pid)
    with os.fdopen(commands, "rb") as reader, os.fdopen(answers, "wb") as writer:
        channel = Channel(reader, writer)
        serve(channel, {"quick": "1"}, lambda start, observe: erase(start, observe, answers))


if __name__ == "__main__":
    main(sys.argv[1:])
