"""The scale part: the real daemon beside twenty thousand files and five thousand finished jobs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from statistics import fmean

import psutil
import yaml

from bench.media import BenchError
from daemon.config.locations import InboxSettings
from daemon.inbox.settling import Inbox
from daemon.jobs.history_view import REPORT_ENDING, Entry

FILES, JOBS = 20_000, 5_000
FILES_PER_FOLDER = 100
SETTLE_SECONDS = 2.0
IDLE_SECONDS = 200.0
"""A full look falls into it. Where looks take long they are rarer: 0.7 % of a core at most."""
DROPS = 5
LOOKS = 5
WAIT_SECONDS = 120.0
COMMANDS = 20
EXAMPLE = Path("config.example.yaml")
_PROGRAM = str(Path(sys.executable).with_name("subtitle-eraser"))
_SLOWING = frozenset({"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"})
"""What slows Python down and is set in many a container."""


@dataclass(frozen=True, slots=True)
class ScaleRow:
    """What so many files and jobs cost."""

    files: int
    jobs: int
    scan_seconds: float  # the slowest full look at the inbox
    status_seconds: float  # the whole command by the clock, start and exit included; the quickest
    status_cpu_seconds: float  # of a core, for the same
    start_seconds: float  # a Python that does nothing, likewise by the clock
    parent_mb: float  # resident memory of the daemon's own process, millions of bytes
    idle_cpu_share: float  # of one core, while nothing happens
    claim_late_seconds: float  # from drop to claim, less the settle time; the latest

    @property
    def key(self) -> str:
        """What a later run of the same replaces."""
        return f"{self.files} {self.jobs}"


def run_scale(root: Path, files: int = FILES, jobs: int = JOBS) -> ScaleRow:
    """Measure everything below ``root``, which is made and removed."""
    shutil.rmtree(root, ignore_errors=True)
    _fill(root / "inbox", files, "mp4")
    _fill_history(root / "done", jobs)
    scan_seconds = _slowest_scan(root / "inbox")
    with _daemon(root, closed=True) as process:
        _wait(lambda: _settled(root) == files, f"{files} settled films")
        status = _costs([_PROGRAM, "status", "--config", str(root / "config.yaml")])
        idle_cpu_share = _idle_cpu_share(process)
        parent_mb = process.memory_info().rss / 1e6
    shutil.rmtree(root / "inbox")
    _fill(root / "inbox", files, "nfo")
    with _daemon(root, closed=False):
        late = [_claim_late_seconds(root, number) for number in range(DROPS)]
    shutil.rmtree(root)
    return ScaleRow(
        files=files,
        jobs=jobs,
        scan_seconds=scan_seconds,
        status_seconds=status.seconds,
        status_cpu_seconds=status.cpu_seconds,
        start_seconds=_costs([sys.executable, "-c", ""]).seconds,
        parent_mb=parent_mb,
        idle_cpu_share=idle_cpu_share,
        claim_late_seconds=max(late),
    )


def _fill(inbox: Path, files: int, suffix: str) -> None:
    for number in range(files):
        folder = inbox / f"series {number // 2000:02}" / f"season {number // FILES_PER_FOLDER:03}"
        if number % FILES_PER_FOLDER == 0:
            folder.mkdir(parents=True)
        (folder / f"episode {number % FILES_PER_FOLDER:02}.{suffix}").write_bytes(b"film")


def _fill_history(done: Path, jobs: int) -> None:
    """Results with their reports, of which the daemon makes its history."""
    done.mkdir()
    for number in range(jobs):
        name = f"film {number:05}.mp4"
        entry = Entry(f"job{number:05}", name, "done", name, float(number), 1, 60.0, 1500, 40, "")
        (done / name).write_bytes(b"film")
        report = json.dumps({"history": asdict(entry)})
        (done / f"{name}{REPORT_ENDING}").write_text(report, encoding="utf-8")


def _slowest_scan(folder: Path) -> float:
    inbox, took = Inbox(folder, InboxSettings(settle_local_seconds=0.0)), []
    for _ in range(LOOKS):
        begun = time.perf_counter()
        inbox.scan(now=begun)
        took.append(time.perf_counter() - begun)
    return max(took)


# --- the daemon -------------------------------------------------------------------------------


@contextmanager
def _daemon(root: Path, *, closed: bool) -> Iterator[psutil.Process]:
    """A daemon at work in ``root``; ``closed``: outside of its working hours."""
    opens = datetime.now().astimezone() + timedelta(hours=12)
    hours = [{"start": f"{opens:%H:00}", "stop": f"{opens:%H:01}"}]
    raw = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))  # with every key, as one installed
    raw["folders"] |= {
        name: str((root / name).absolute())
        for name in ("inbox", "work", "done", "failed", "originals", "state")
    }
    raw["inbox"]["settle_local_seconds"] = SETTLE_SECONDS
    raw["schedule"]["hours"] = hours if closed else []
    raw["log"]["format"] = "json"
    raw["worker"]["count"] = 1
    (root / "config.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    argv = [sys.executable, "-m", "daemon", "run", "--config", str(root / "config.yaml")]
    with (root / "log").open("wb") as log:
        process = psutil.Popen(argv, stdout=log, stderr=log)
    try:
        _wait(lambda: _told(root, "worker.ready"), "a worker")
        yield process
    finally:
        process.terminate()
        process.wait(timeout=60)


def _told(root: Path, event: str) -> list[dict[str, str]]:
    lines = (root / "log").read_text(encoding="utf-8").split("\n")[:-1]  # the last may be a half
    records: list[dict[str, str]] = [json.loads(line) for line in lines if line.startswith("{")]
    return [record for record in records if record.get("event") == event]


def _settled(root: Path) -> int:
    found = [json.loads(path.read_bytes()) for path in (root / "work").glob("*/status.json")]
    return sum(one["settled"] for one in found)


def _wait(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise BenchError(f"scale: waited {WAIT_SECONDS:g} seconds for {what}")
        time.sleep(0.2)


def _idle_cpu_share(process: psutil.Process) -> float:
    before, begun = process.cpu_times(), time.monotonic()
    time.sleep(IDLE_SECONDS)
    after, took = process.cpu_times(), time.monotonic() - begun
    return float(after.user + after.system - before.user - before.system) / took


def _claim_late_seconds(root: Path, number: int) -> float:
    """How much longer than the settle time it takes from a drop to its claim."""
    film = root / "inbox" / f"series {number:02}" / f"dropped {number}.mp4"
    part = film.with_suffix(".part")
    part.write_bytes(b"film")
    part.rename(film)
    dropped = datetime.now()
    name = str(film.relative_to(root / "inbox"))

    def claims() -> list[dict[str, str]]:
        return [one for one in _told(root, "job.claimed") if one["film"] == name]

    _wait(claims, f"the claim of {film.name}")
    claimed = datetime.fromisoformat(claims()[0]["timestamp"])
    return (claimed - dropped).total_seconds() - SETTLE_SECONDS


@dataclass(frozen=True, slots=True)
class _Costs:
    seconds: float
    cpu_seconds: float


def _costs(argv: list[str]) -> _Costs:
    """What a command costs from its spawn to its exit, once its bytecode is there.

    By the clock the quickest counts, since other programs only add to it.
    """
    variables = {name: one for name, one in os.environ.items() if name not in _SLOWING}
    took, cpu = [], []
    for _ in range(COMMANDS + 1):  # the first writes the bytecode, as an installation does
        before, begun = os.times(), time.perf_counter()
        subprocess.run(argv, stdout=subprocess.DEVNULL, env=variables, check=True)
        took.append(time.perf_counter() - begun)
        after = os.times()
        spent = after.children_user + after.children_system
        cpu.append(spent - before.children_user - before.children_system)
    return _Costs(min(took[1:]), fmean(cpu[1:]))
