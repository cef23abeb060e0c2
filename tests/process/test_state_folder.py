"""No film needs the state folder: full, read-only, locked, missing or forged, films go on."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import pytest

from daemon.jobs.history_view import HISTORY_FILE, Entry, read_history
from tests.process.house import REPOSITORY, Daemon, House, problems
from tests.process.mounts import Mounts, run
from tests.process.systemd import Systemd
from tests.process.test_daemon_life import run_command
from tests.process.test_shares import filled

pytestmark = pytest.mark.process

NOBODY = 65534
MANY_REPORTS = 5000
"""So many that a rebuild takes a second or more."""
READY_SECONDS = 30.0
"""Longest time from the first line of a daemon to READY, whatever lies in done/."""


def check_films_go_on(house: House, daemon: Daemon, words: str) -> None:
    """Two films come out, one is refused, and the trouble is told once, with what to do."""
    house.wait(lambda: problems(daemon))
    for name in ("first", "second"):
        house.drop(f"{name}.mp4")
        house.wait(lambda name=name: f"{name}.mp4" in house.films("done"))  # type: ignore[misc]
    house.drop("refused.mp4", "raise FIX_INPUT\n")
    house.wait(lambda: house.films("failed") == ["refused.mp4"])
    (told,) = (one for one in problems(daemon) if "folders.state" in one)
    assert words in told
    assert "Films go on" in told
    assert daemon.process.poll() is None
    (status,) = house.work.glob("*/status.json")
    house.wait(lambda: words in json.loads(status.read_bytes())["trouble"])
    assert json.loads(status.read_bytes())["paused"] is False


def check_history_is_whole(house: House, jobs: int) -> None:
    """Return once the history has every job."""
    house.wait(lambda: sum(read_history(house.state, 1).counts.values()) == jobs)


@pytest.mark.parametrize("at_start", [True, False], ids=["at its start", "later"])
def test_a_full_state_disk(house: House, mounts: Mounts, *, at_start: bool) -> None:
    """Films go through while the disk stays full; with room the lines are written after all."""
    disk = mounts.disk(house.root / "small", size_kb=512)
    house.place(state=disk / "state")
    if not at_start:
        daemon = house.start()
        house.wait(lambda: (house.state / HISTORY_FILE).exists() and daemon.said("worker.ready"))
    ballast = filled(disk)
    if at_start:
        daemon = house.start()
    else:
        house.drop("before.mp4")
    check_films_go_on(house, daemon, "has no room left; free some space or raise the quota.")
    assert not filled_room(disk), "the disk was not full"
    ballast.unlink()
    check_history_is_whole(house, 3 if at_start else 4)
    house.wait(lambda: (house.state / "filesystems.json").exists())
    house.wait(lambda: daemon.said("host.mended"))
    assert daemon.stop() == 0
    assert house.work_is_empty()


def filled_room(disk: Path) -> int:
    """How many bytes are free on ``disk``."""
    status = os.statvfs(disk)
    return status.f_bavail * status.f_frsize


def test_a_read_only_state_disk(house: House, mounts: Mounts) -> None:
    """The daemon starts, films go through, and what is missing is written later."""
    disk = mounts.disk(house.root / "small")
    house.place(state=disk / "state")
    run("mount", "-o", "remount,ro", disk)
    daemon = house.start()
    check_films_go_on(house, daemon, "is on a read-only filesystem; mount it writable.")
    run("mount", "-o", "remount,rw", disk)
    check_history_is_whole(house, 3)
    assert daemon.stop() == 0
    assert not list(house.state.glob("*.broken"))


def test_a_state_folder_that_cannot_be_made(house: House) -> None:
    """A file in the place of a folder above it is told, and films go on."""
    (house.root / "file").touch()
    house.state = house.root / "file" / "state"
    house.configure()
    daemon = house.start()
    check_films_go_on(house, daemon, "is not a folder")
    assert daemon.stop() == 0


@pytest.fixture
def open_house(mounts: Mounts) -> Iterator[House]:
    """A house that another user may enter, and that belongs to nobody."""
    assert mounts  # only who may mount may be another user
    with tempfile.TemporaryDirectory() as root:
        Path(root).chmod(0o755)
        house = House(Path(root))
        for path in (house.root, *house.root.iterdir()):
            os.chown(path, NOBODY, NOBODY)
        yield house
        house.close()


_OPEN = """
mount --bind "$2" "$3" && mount -t tmpfs -o mode=755 tmpfs "$1" && mkdir -p "$2" &&
mount --move "$3" "$2" && shift 3 && exec "$@"
"""
"""Shows the folder $2 alone of the closed folder $1, by way of $3, in a mount namespace."""


def as_nobody(house: House, *arguments: str, module: str = "daemon") -> list[str]:
    """The command line of the program, run by a user without rights who may run our Python."""
    argv = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    argv += [sys.executable, "-m", module, *arguments, "--config", str(house.config)]
    python = Path(sys.executable).resolve().parents[1]
    closed = [path for path in python.parents if not path.stat().st_mode & 0o001]
    if not closed:
        return argv
    (house.root / "python").mkdir(exist_ok=True)
    shown = [str(closed[-1]), str(python), str(house.root / "python")]
    return ["unshare", "--mount", "sh", "-c", _OPEN, "-", *shown, *argv]


def test_a_state_folder_without_rights(open_house: House) -> None:
    """A user who may not even enter it starts, works and shows the status all the same."""
    house = open_house
    os.chown(house.state, 0, 0)
    house.state.chmod(0o000)
    argv = as_nobody(house, "run", module="tests.process.quick_daemon")
    daemon = Daemon(argv, house.root / "log", {})
    house.daemons.append(daemon)
    check_films_go_on(house, daemon, f"cannot be written by user {NOBODY}")
    done = subprocess.run(
        as_nobody(house, "status"), cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert "alive" in done.stdout
    assert "history.sqlite3 cannot be read" in done.stdout
    assert daemon.stop() == 0


def test_a_locked_history(house: House) -> None:
    """Somebody's browser holds the database for the whole run: it is told, and not renamed."""
    house.drop("before.mp4")
    assert house.once() == 0
    with closing(sqlite3.connect(house.state / HISTORY_FILE, isolation_level=None)) as browser:
        browser.execute("BEGIN EXCLUSIVE")
        daemon = house.start()
        check_films_go_on(house, daemon, "is locked by another program")
    check_history_is_whole(house, 4)
    assert daemon.stop() == 0
    assert not list(house.state.glob("*.broken"))


def forged(done: Path) -> dict[str, Callable[[], object]]:
    """Reports that nobody should read, by what they are; each call makes one."""
    fields = asdict(Entry("x", "a", "done", "", 1.0, 1, 1.0, 1, 1, ""))

    def write(name: str, **changes: object) -> None:
        text = json.dumps({"history": {**fields, **changes}})
        (done / f"{name}.report.json").write_text(text)

    def sparse() -> None:
        with (done / "sparse.report.json").open("wb") as file:
            file.truncate(30 << 30)

    return {
        "deep": lambda: (done / "deep.report.json").write_text("[" * 200_000),
        "dict": lambda: write("dict", frames={"a": 1}),
        "list": lambda: write("list", job_id=["a"]),
        "large": lambda: write("large", job_id=2**70, attempts=2**70),
        "fifo": lambda: os.mkfifo(done / "fifo.report.json"),
        "sparse": sparse,
        "link": lambda: (done / "link.report.json").symlink_to("/dev/zero"),
    }


def test_forged_reports(house: House, systemd: Systemd) -> None:
    """Reports in done/ and failed/ that somebody has changed delay no start and stop no film."""
    for make in (*forged(house.done).values(), *forged(house.failed).values()):
        make()
    os.mkfifo(house.failed / "fifo.mp4.error.json")
    daemon = house.start(NOTIFY_SOCKET=str(systemd.path))
    house.wait(lambda: daemon.process.poll() is not None or daemon.log.stat().st_size)
    begun = time.monotonic()
    house.wait(lambda: systemd.heard("READY=1"))
    assert time.monotonic() - begun < READY_SECONDS
    house.drop("film.mp4")
    house.wait(lambda: house.films("done") == ["film.mp4"])
    house.wait(lambda: daemon.said("history.unreadable"))
    assert len(daemon.said("history.unreadable")) == 1
    assert daemon.said("host.trouble") == []
    assert daemon.stop() == 0
    check_history_is_whole(house, 1)
    assert house.once() == 0  # every later start, too


def test_a_rebuild_that_is_interrupted(house: House, systemd: Systemd) -> None:
    """Killed in the middle of it, the daemon does it again at its next start; READY never waits."""
    fields = asdict(Entry("", "a", "done", "", 1.0, 1, 1.0, 1, 1, ""))
    for number in range(MANY_REPORTS):
        text = json.dumps({"history": {**fields, "job_id": f"job{number:05}"}})
        (house.done / f"film{number:05}.mp4.report.json").write_text(text)
    daemon = house.start(NOTIFY_SOCKET=str(systemd.path))
    house.wait(lambda: read_history(house.state, 1).counts)
    daemon.end()
    assert 0 < read_history(house.state, 1).counts["done"] < MANY_REPORTS
    assert not daemon.said("history.rebuilt")
    daemon = house.start(NOTIFY_SOCKET=str(systemd.path))
    house.wait(lambda: daemon.said("history.rebuilt"))
    started, rebuilt = daemon.said("service.started"), daemon.said("history.rebuilt")
    assert started[0]["timestamp"] < rebuilt[0]["timestamp"]
    check_history_is_whole(house, MANY_REPORTS)
    assert daemon.stop() == 0


def test_a_report_is_not_read_back(house: House) -> None:
    """The history has what the job's own folder says, whatever becomes of the published report."""
    house.drop("film.mp4")
    daemon = house.start(FAULT_AT="publish.after_report")
    house.wait(lambda: daemon.process.poll() is not None)
    (house.done / "film.mp4.report.json").write_text("[" * 200_000)
    assert house.once() == 0
    (entry,) = read_history(house.state, 9).recent
    assert (entry.published_as, entry.frames, entry.outcome) == ("film.mp4", 25, "done")


def test_foreign_instances(house: House) -> None:
    """What somebody puts into work/ in the place of another daemon's files blocks nobody."""
    for number, content in enumerate(("[" * 200_000, "[]", '{"pid": 1e999}', '{"pid": [1]}')):
        folder = house.work / f"foreign-{number}"
        folder.mkdir()
        for name in ("owner.json", "status.json"):
            (folder / name).write_text(content)
    folder = house.work / "foreign-fifo"
    folder.mkdir()
    for name in ("owner.json", "status.json"):
        os.mkfifo(folder / name)
    os.utime(folder / "owner.json", (0, 0))
    house.drop("film.mp4")
    said = run_command(house, "status", code=1)
    assert "stuck" in said
    assert "Traceback" not in said
    assert house.once() == 0
    assert house.films("done") == ["film.mp4"]


def test_requeue_of_a_forged_explanation(house: House) -> None:
    """An explanation that is a pipe, or deep, keeps no film in failed/ and blocks nobody."""
    for name in ("fifo", "deep", "large"):
        (house.failed / f"{name}.mp4").touch()
    os.mkfifo(house.failed / "fifo.mp4.error.json")
    (house.failed / "deep.mp4.error.json").write_text("[" * 200_000)
    (house.failed / "large.mp4.error.json").write_text('{"job_id": [1]}')
    run_command(house, "requeue", "--all")
    assert house.films("inbox") == ["deep.mp4", "fifo.mp4", "large.mp4"]
