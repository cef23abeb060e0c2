"""The scale part: the real daemon beside twenty thousand files and five thousand finished jobs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median

import psutil
import yaml

from bench.media import BenchError
from daemon.inbox import Inbox
from daemon.past import REPORT_ENDING, Entry
from daemon.places import InboxSettings

FILES, JOBS = 20_000, 5_000
FILES_PER_FOLDER = 100
SETTLE_SECONDS = 2.0
IDLE_SECONDS = 200.0
"""A full look falls into it. Where looks take long they are rarer: 0.7 % of a core at most."""
DROPS = 5
LOOKS = 5
WAIT_SECONDS = 120.0
_WORK = """
import sys, time
from daemon.cli import main
import daemon.statuscommand, daemon.statusview
start_cpu, begun = time.process_time(), time.perf_counter()
main(["status", "--config", sys.argv[1]])
print(start_cpu, time.process_time() - start_cpu, time.perf_counter() - begun, file=sys.stderr)
"""


@dataclass(frozen=True, slots=True)
class ScaleRow:
    """What so many files and jobs cost."""

    files: int
    jobs: int
    scan_seconds: float  # the slowest full look at the inbox
    status_cpu_seconds: float  # the work of the status command
    status_seconds: float  # the same by the clock, the quickest; other programs only add to it
    start_cpu_seconds: float  # the interpreter and its modules before that
    start_seconds: float
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
        status = [_status_costs(root) for _ in range(LOOKS)]
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
        status_cpu_seconds=median(cost.cpu_seconds for cost in status),
        status_seconds=min(cost.seconds for cost in status),
        start_cpu_seconds=median(cost.start_cpu_seconds for cost in status),
        start_seconds=min(cost.start_seconds for cost in status),
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
    raw = {
        "folders": {
            name: str((root / name).absolute())
            for name in ("inbox", "work", "done", "failed", "originals", "state")
        },
        "inbox": {"settle_local_seconds": SETTLE_SECONDS},
        "schedule": {"hours": hours if closed else []},
        "log": {"format": "json"},
        "worker": {"count": 1},
    }
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
class _StatusCosts:
    start_cpu_seconds: float
    cpu_seconds: float
    seconds: float
    start_seconds: float


def _status_costs(root: Path) -> _StatusCosts:
    """What one status command costs, and what of it is its start."""
    argv = [sys.executable, "-c", _WORK, str(root / "config.yaml")]
    begun = time.perf_counter()
    done = subprocess.run(argv, capture_output=True, check=True)
    took = time.perf_counter() - begun
    start_cpu, cpu, seconds = (float(word) for word in done.stderr.split()[-3:])
    return _StatusCosts(start_cpu, cpu, seconds, took - seconds)
