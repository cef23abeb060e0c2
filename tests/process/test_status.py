"""What ``status`` tells, to whom, and with which exit code."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from daemon.status.snapshot import read_snapshot, write_snapshot
from tests.process.errno_mount import ErrnoMount
from tests.process.house import REPOSITORY, Daemon, House
from tests.process.mounts import Mounts
from tests.process.systemd import Systemd
from tests.process.test_begin import status_of
from tests.process.test_daemon_life import run_command
from tests.process.test_state_folder import as_nobody, open_house
from tests.unit.test_status_views import SNAPSHOT

pytestmark = pytest.mark.process

__all__ = ["open_house"]


def answer_of(house: House, *, code: int = 0) -> dict[str, Any]:
    """What ``status --json`` says."""
    answer: dict[str, Any] = json.loads(run_command(house, "status", "--json", code=code))
    return answer


def state_of(house: House, code: int) -> str:
    """The state of the only daemon."""
    (daemon,) = answer_of(house, code=code)["daemons"]
    return str(daemon["snapshot"]["state"])


def started(house: House, *, runtime_folder: str = "", socket: str = "") -> Daemon:
    """A daemon that has looked into the inbox."""
    daemon = house.start(RUNTIME_DIRECTORY=runtime_folder, NOTIFY_SOCKET=socket)
    house.wait(lambda: daemon.said("worker.ready"))
    return daemon


def public(house: House) -> dict[str, Any]:
    """The content of the public status file."""
    content: dict[str, Any] = json.loads((house.root / "run" / "status.json").read_bytes())
    return content


def test_a_folder_that_is_moved_away(house: House, systemd: Systemd) -> None:
    """With done/ gone every status says so, and the exit code is 1; back, all is well."""
    (house.root / "run").mkdir()
    daemon = started(house, runtime_folder=str(house.root / "run"), socket=str(systemd.path))
    assert state_of(house, code=0) == "idle"
    house.done.rename(house.root / "elsewhere")
    house.wait(lambda: status_of(house)["paused"])
    house.wait(lambda: public(house)["paused"])
    house.wait(lambda: systemd.heard("STATUS=Paused"))
    said = run_command(house, "status", code=1)
    assert f"Paused: {house.done}: folders.done" in said
    assert state_of(house, code=1) == "host-problem"
    (house.root / "elsewhere").rename(house.done)
    house.wait(lambda: not status_of(house)["paused"] and not public(house)["paused"])
    assert state_of(house, code=0) == "idle"
    assert daemon.stop() == 0
    assert not (house.root / "run" / "status.json").exists()
    assert "no daemon is running" in run_command(house, "status", code=1)


def test_a_start_that_waits(house: House) -> None:
    """A daemon that waits for its folders says so in the public file; it has no other yet."""
    (house.root / "run").mkdir()
    house.configure(status={"file": str(house.root / "run" / "status.json")})
    assert house.once() == 0
    assert not (house.root / "run" / "status.json").exists()  # ``once`` leaves it to a daemon
    (house.work / ".subtitle-eraser").unlink()
    daemon = house.start()
    house.wait(lambda: public(house)["state"] == "host-problem")
    assert "has lost its mark" in public(house)["trouble"]
    assert daemon.stop() == 0


def test_exit_codes(house: House) -> None:
    """0: working, closed; 1: stuck, dead, none."""
    run_command(house, "status", code=1)
    house.drop("film.mp4", "wait\n")
    daemon = started(house)
    house.wait(lambda: daemon.said("attempt.started"))
    house.wait(lambda: status_of(house)["state"] == "working")
    assert state_of(house, code=0) == "working"
    (file,) = house.work.glob("*/status.json")
    daemon.process.send_signal(signal.SIGSTOP)
    house.wait(lambda: Path(f"/proc/{daemon.process.pid}/stat").read_text().split()[2] == "T")
    content = json.loads(file.read_bytes())
    content["monotonic"] = time.monotonic() - 31.0
    file.write_text(json.dumps(content))
    (view,) = answer_of(house, code=1)["daemons"]
    assert (view["condition"], view["stuck"], view["standing"]) == ("stuck", True, "alive")
    assert re.search(r"\b(3[1-9]|[4-9]\d) s ago|min ago", run_command(house, "status", code=1))
    daemon.end()
    assert "dead" in run_command(house, "status", code=1)


def test_the_end_of_the_last_film_is_told_at_once(house: House) -> None:
    """Nothing else happens for a minute then."""
    house.configure(
        claims={"heartbeat_seconds": 60.0, "lease_seconds": 240.0},
        inbox={"rescan_seconds": 60.0},
    )
    daemon = started(house)
    house.drop("film.mp4", "wait go\n")
    house.wait(lambda: status_of(house)["state"] == "working")
    written_at = status_of(house)["written_at"]
    house.wait(lambda: status_of(house)["written_at"] > written_at)
    (house.root / "go").touch()
    house.wait(lambda: daemon.said("job.done"))
    house.wait(lambda: status_of(house)["state"] == "idle", seconds=15.0)
    assert daemon.stop() == 0


def test_outside_the_working_hours(house: House) -> None:
    """A daemon that waits for its hours is well."""
    later = datetime.now().astimezone() + timedelta(hours=5)
    house.configure(schedule={"hours": [{"start": f"{later:%H:00}", "stop": f"{later:%H:01}"}]})
    daemon = started(house)
    house.wait(lambda: status_of(house).get("state") == "closed")
    assert state_of(house, code=0) == "closed"
    assert daemon.stop() == 0


def test_what_is_ignored_waits_or_failed(house: House) -> None:
    """Status names what is not taken and why, what waits for its next try, and what failed."""
    house.configure(retry={"delay_seconds": 600.0, "max_attempts": 3})
    for name in ("clip.gif", "a.nfo", "b.nfo", "c.nfo", "film.mkv.part"):
        (house.inbox / name).touch()
    (house.inbox / "link.mp4").symlink_to("nowhere")
    house.drop("bad.mp4", "raise FIX_INPUT\n")
    house.drop("later.mp4", "raise RETRY\n")
    daemon = started(house)
    house.wait(lambda: house.films("failed") == ["bad.mp4"])
    house.wait(lambda: status_of(house).get("held"))
    said = run_command(house, "status")
    assert "4 files are not taken by their name (inbox.extensions): " in said
    assert "1 file is not taken by their name (inbox.ignore): film.mkv.part" in said
    assert "1 file is not taken: no regular files: link.mp4" in said
    assert "later.mp4 waits until " in said
    assert "in failed/: 1, the newest bad.mp4" in said
    (held,) = status_of(house)["held"]
    assert (held["film"], held["attempts"]) == ("later.mp4", 1)
    assert held["retry_at"] > time.time() + 500
    answer = answer_of(house)
    assert answer["failures"] == {"count": 1, "complete": True, "newest": ["bad.mp4"]}
    assert daemon.stop() == 0


@pytest.mark.parametrize("private", [False, True], ids=["names", "private"])
def test_everybody_may_know(open_house: House, *, private: bool) -> None:
    """Who may read nothing else sees the public file; names are hidden if they are private."""
    house = open_house
    run = house.root / "run"
    run.mkdir()
    os.chown(run, 0, 0)
    house.configure(status={"file": str(run / "status.json"), "private": private})
    house.drop("secret.mp4", "wait\n")
    (house.inbox / "secret.nfo").touch()
    house.drop("secret-failed.mp4", "raise FIX_INPUT\n")
    daemon = started(house)
    house.wait(lambda: public(house)["workers"][0]["current"])
    house.wait(lambda: public(house)["ignored"])
    assert stat.S_IMODE((run / "status.json").stat().st_mode) == 0o644
    for closed in (house.work, house.state, house.inbox, house.failed):
        os.chown(closed, 0, 0)
        closed.chmod(0o700)
    argv = as_nobody(house, "status")
    done = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert f"{house.work} is closed to user" in done.stdout
    assert "alive" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert ("secret" in done.stdout) is not private
    assert ("secret" in (run / "status.json").read_text()) is not private
    house.config.chmod(0o600)
    os.chown(house.config, 0, 0)
    environment = {**os.environ, "RUNTIME_DIRECTORY": str(run)}
    done = subprocess.run(
        argv, cwd=REPOSITORY, capture_output=True, text=True, check=True, env=environment
    )
    assert "alive" in done.stdout
    assert "config.yaml: cannot be read" in done.stdout
    (house.root / "go").touch()
    assert daemon.stop() == 0


def test_a_terminal_that_lacks_letters(house: House) -> None:
    """A name that the terminal cannot show is escaped."""
    house.drop("电影.mp4", "raise FIX_INPUT\n")
    assert house.once() == 1
    argv = [sys.executable, "-m", "daemon", "status", "--config", str(house.config)]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        argv, cwd=REPOSITORY, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 1  # no daemon is running
    assert r"\u7535\u5f71.mp4" in done.stdout
    assert done.stderr == ""


def test_a_snapshot_is_replaced_while_it_is_read(mounts: Mounts, tmp_path: Path) -> None:
    """Over a share an opened file that is replaced cannot be read any more; the new one can."""
    assert mounts  # else no share can be mounted
    share, over = ErrnoMount(tmp_path), threading.Event()
    write_snapshot(share.point, SNAPSHOT)

    def replace_it() -> None:
        while not over.is_set():
            write_snapshot(share.point, SNAPSHOT)

    daemon = threading.Thread(target=replace_it)
    daemon.start()
    try:
        found = [read_snapshot(share.point / "status.json") for _ in range(200)]
    finally:
        over.set()
        daemon.join()
        share.close()
    assert found.count(None) == 0
