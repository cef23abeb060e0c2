"""Entry point of a worker process: loads the models once, then erases one film after another.

``python -m daemon.worker COMMANDS ANSWERS PARENT NICE HOST``: file descriptors of two inherited
pipes, the daemon's process id, the increment of nice(2), and a ``HostSettings`` as JSON. The only
module of the daemon that imports the pipeline.
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
    """Make this process end with its parent, lower its priority, arm a failpoint if one is set."""
    die_with_parent(parent_pid)
    os.nice(nice)
    environment = read_environment()
    arm_from(environment.fault_at, environment.fault_does, parent_pid=parent_pid)


def main(arguments: list[str]) -> int:
    """Run attempts until the daemon closes its end.

    Args:
        arguments: command line without the program; see the module's docstring.

    Returns:
        Exit code: 0, or 1 if the models cannot be loaded, which a Failed message reports.
    """
    commands, answers, parent_pid, nice = (int(argument) for argument in arguments[:4])
    host = read_record(HostSettings, json.loads(arguments[4]), error=MessageError)
    prepare(parent_pid, nice)
    configure_worker()
    with os.fdopen(commands, "rb") as reader, os.fdopen(answers, "wb") as writer:
        channel = Channel(reader, writer)
        try:
            models = ModelCache.load(host)
        except EraseError as error:
            channel.send(Failed("", Failure(type(error).__name__, error.remedy, str(error))))
            return 1

        def erase_film(start: Start, observe: Observe) -> EraseReport:
            models.ladders.begin(Path(start.folder), start.rungs_down)
            return erase(
                Path(start.source),
                Path(start.folder),
                start.settings,
                models=models,
                observe=observe,
                companions=start.companions,
            )

        serve(channel, library_versions(), erase_film)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
