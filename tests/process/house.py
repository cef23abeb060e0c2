"""A root folder with real daemons at work in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from daemon.folders.mount_guard import MARK
from tests.conftest import wait_for

REPOSITORY = Path(__file__).parents[2]
FAST: dict[str, dict[str, Any]] = {
    "inbox": {
        "settle_local_seconds": 0.2,
        "young_seconds": 0.0,
        "rescan_seconds": 0.3,
        "poll_seconds": 0.3,
    },
    "worker": {"count": 1, "stall_seconds": 60.0, "drain_seconds": 20.0},
    "retry": {"delay_seconds": 0.1, "pause_seconds": 0.3},
    "claims": {"heartbeat_seconds": 0.2, "lease_seconds": 1.5},
    "folders": {"min_free_mb": 0, "free_factor": 0.0},
    "log": {"format": "json", "level": "debug"},
}

BESIDE_STATE = ("inbox", "work", "done", "failed", "originals")
QUICK: dict[str, dict[str, Any]] = {
    "inbox": {"settle_network_seconds": 0.2},
    "retry": {"pause_seconds": 0.1, "max_attempts": 1},
}
"""What makes a daemon on a share quick."""


def armed(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables under their full names; with ``FAULT_AT`` the switch that lets it count."""
    faults = {name for name in environment if name.startswith("FAULT_")}
    full = {f"SUBTITLE_ERASER_{k}" if k in faults else k: v for k, v in environment.items()}
    return {**full, **({"SUBTITLE_ERASER_TEST": "1"} if faults else {})}


class Daemon:
    """A daemon process and its log."""

    def __init__(self, command: list[str], log: Path, environment: Mapping[str, str]) -> None:
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **armed(environment)},
            )

    def events(self) -> list[dict[str, Any]]:
        """What it has logged; a line that it is just writing is none yet."""
        lines = self.log.read_text("utf-8", "replace").split("\n")[:-1]
        return [json.loads(line) for line in lines if line.startswith("{")]

    def said(self, event: str) -> list[dict[str, Any]]:
        """The records of one event."""
        return [one for one in self.events() if one.get("event") == event]

    def wait(self, seconds: float = 120.0) -> int:
        """Its exit code, once it has left."""
        return self.process.wait(timeout=seconds)

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = 120.0) -> int:
        """Its exit code, after a signal."""
        self.process.send_signal(number)
        return self.wait(seconds)

    def end(self) -> None:
        """Leave nothing of it behind, frozen or not."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def problems(daemon: Daemon) -> list[str]:
    """What the operator was told to mend."""
    return [one["sentence"] for one in daemon.said("host.trouble")]


class House:
    """Five folders, a configuration, and daemons."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.daemons: list[Daemon] = []
        for name in ("inbox", "work", "done", "failed", "originals", "state"):
            (root / name).mkdir(exist_ok=True)
            setattr(self, name, root / name)
        self.configure()

    inbox: Path
    work: Path
    done: Path
    failed: Path
    originals: Path
    state: Path

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.root / "config.yaml"

    def configure(self, **changes: Mapping[str, Any]) -> None:
        """Write the configuration: fast, and with ``changes`` section by section."""
        names = ("inbox", "work", "done", "failed", "originals", "state")
        raw: dict[str, dict[str, Any]] = {key: dict(value) for key, value in FAST.items()}
        raw["folders"].update({name: str(getattr(self, name)) for name in names})
        for section, keys in changes.items():
            raw.setdefault(section, {}).update(keys)
        self.config.write_text(yaml.safe_dump(raw))

    def place(self, **places: Path) -> None:
        """Let some of the folders lie elsewhere; they are made."""
        for name, path in places.items():
            path.mkdir(parents=True, exist_ok=True)
            setattr(self, name, path)
        self.configure()

    def configuration_of(self, host: str) -> Path:
        """A configuration like ours, for a daemon that takes itself for one on ``host``."""
        raw = yaml.safe_load(self.config.read_text())
        raw["claims"]["instance"] = host
        path = self.root / f"config-{host}.yaml"
        path.write_text(yaml.safe_dump(raw))
        return path

    def drop(self, name: str, content: str | bytes = "segments 2\n") -> Path:
        """Put a film into the inbox at once."""
        path = self.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(".dropped.part")
        part.write_bytes(content.encode() if isinstance(content, str) else content)
        part.rename(path)
        return path

    def start(
        self,
        command: str = "run",
        *,
        quick: bool = True,
        worker: str = "",
        host: str = "",
        **environment: str,
    ) -> Daemon:
        """A daemon at work, with the quick worker, the real one, or the module ``worker``.

        With ``host`` it takes itself for one on another machine.
        """
        config = self.configuration_of(host) if host else self.config
        program = ["-m", "tests.process.quick_daemon"] if quick or worker else ["-m", "daemon"]
        argv = [sys.executable, *program, command, "--config", str(config)]
        argv += [worker] if worker else []
        log = self.root / f"daemon-{len(self.daemons)}.log"
        daemon = Daemon(argv, log, environment)
        self.daemons.append(daemon)
        return daemon

    def once(
        self, *, quick: bool = True, worker: str = "", seconds: float = 120.0, **environment: str
    ) -> int:
        """The exit code of a daemon that drains the inbox."""
        return self.start("once", quick=quick, worker=worker, **environment).wait(seconds)

    def wait(self, condition: Callable[[], object], seconds: float = 90.0) -> None:
        """Return once ``condition`` holds."""
        wait_for(condition, seconds, tell=self.tell)

    def tell(self) -> str:
        """The last that each daemon said, of the latest ones."""
        latest = self.daemons[-6:]
        return "\n".join(one.log.read_text("utf-8", "replace")[-3000:] for one in latest)

    def files(self, folder: str) -> list[str]:
        """The names of the files below one of the folders; daemons may be at work there."""
        top: Path = getattr(self, folder)
        found = (Path(place, name) for place, _, names in os.walk(top) for name in names)
        return sorted(str(one.relative_to(top)) for one in found)

    def segments(self) -> int:
        """How many segments are stored below work/."""
        return sum(name.endswith(".mkv") for name in self.files("work"))

    def films(self, folder: str) -> list[str]:
        """The names of the films below one of the folders."""
        return [name for name in self.files(folder) if name.endswith((".mp4", ".mkv"))]

    def report(self, film: str) -> dict[str, Any]:
        """What is published beside a result."""
        found: dict[str, Any] = json.loads((self.done / f"{film}.report.json").read_bytes())
        return found

    def explanation(self, film: str) -> dict[str, Any]:
        """What is published beside a film that failed."""
        found: dict[str, Any] = json.loads((self.failed / f"{film}.error.json").read_bytes())
        return found

    def work_is_empty(self) -> bool:
        """Whether no daemon has left anything behind but the folder's mark."""
        return [one.name for one in self.work.iterdir()] in ([], [MARK])

    def close(self) -> None:
        """End every daemon."""
        for daemon in self.daemons:
            daemon.end()
