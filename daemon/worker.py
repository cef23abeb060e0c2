"""The child process: loads the tools once, then erases film after film.

``python -m daemon.worker COMMANDS ANSWERS PARENT NICE HOST``: two inherited pipe ends, the daemon's
process id, our niceness, and a ``HostSettings`` as JSON. The only module of the daemon that imports
the pipeline.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from daemon.config.environment import read_environment
from daemon.config.parsing import read_record
from daemon.runtime.logs import configure_worker
from daemon.storage.failpoints import arm_from
from daemon.workers.messages import Failed, Failure, MessageError, Start
from daemon.workers.worker_loop import Channel, Observe, die_with_parent, serve
from erasecore.errors import EraseError
from erasecore.pipeline import erase
from erasecore.reports import EraseReport
from erasecore.resources import ModelCache
from erasecore.settings import HostSettings
from erasecore.system.versions import library_versions


def prepare(parent_pid: int, nice: int) -> None:
    """Make this process one that ends with its parent and yields to everybody else."""
    die_with_parent(parent_pid)
    os.nice(nice)
    environment = read_environment()
    arm_from(environment.fault_at, environment.fault_does, parent_pid=parent_pid)


def main(arguments: list[str]) -> int:
    """Serve the daemon until it closes its end; the exit code."""
    commands, answers, parent_pid, nice = (int(one) for one in arguments[:4])
    host = read_record(HostSettings, json.loads(arguments[4]), error=MessageError)
    prepare(parent_pid, nice)
    configure_worker()
    with os.fdopen(commands, "rb") as reader, os.fdopen(answers, "wb") as writer:
        channel = Channel(reader, writer)
        try:
            tools = ModelCache.load(host)
        except EraseError as error:
            channel.send(Failed("", Failure(type(error).__name__, error.remedy, str(error))))
            return 1

        def erase_film(start: Start, observe: Observe) -> EraseReport:
            tools.ladders.begin(Path(start.folder), start.rungs_down)
            return erase(
                Path(start.source),
                Path(start.folder),
                start.settings,
                models=tools,
                observe=observe,
                companions=start.companions,
            )

        serve(channel, library_versions(), erase_film)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
