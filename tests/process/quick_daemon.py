"""The real daemon, in all but its worker: ``quick_daemon.py run|once --config PATH [WORKER]``."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from daemon.config.environment import read_environment
from daemon.config.schema import load_config
from daemon.lifecycle.folder_watch import await_folders
from daemon.runtime.logs import configure
from daemon.service import Service
from daemon.storage.failpoints import arm_from

QUICK_WORKER = "tests.process.quick_worker"


def set_clock(file: Path) -> None:
    """Let the system clock be off by the seconds in ``file``, which may change."""
    true_time = time.time
    time.time = lambda: true_time() + float(file.read_text() or 0.0)


def main(arguments: list[str]) -> int:
    """Serve."""
    if "CLOCK_FILE" in os.environ:
        set_clock(Path(os.environ["CLOCK_FILE"]))
    command, path = arguments[0], Path(arguments[2])
    worker = arguments[3] if len(arguments) > 3 else QUICK_WORKER
    config = load_config(path)
    configure(config.log)
    environment = read_environment()
    arm_from(environment.fault_at, environment.fault_does)
    if command == "run" and not await_folders(config, environment):
        return 0
    command_line = (sys.executable, "-m", worker)
    service = Service(
        config,
        environment,
        lambda: load_config(path),
        until_drained=command == "once",
        worker_command=command_line,
    )
    return service.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
