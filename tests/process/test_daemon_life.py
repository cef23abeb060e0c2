"""The daemon's own life: start, stop, reload, what it tells systemd and its operator."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.process.house import REPOSITORY, Daemon, House
from tests.process.systemd import Systemd


def run_command(house: House, *arguments: str, code: int = 0) -> str:
    """What a command prints on either stream, after it ended with ``code``."""
    argv = [sys.executable, "-m", "daemon", *arguments, "--config", str(house.config)]
    done = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, timeout=120, check=False)
    text = (done.stdout + done.stderr).decode()
    assert done.returncode == code, text
    return text


def test_tells_systemd(house: House, systemd: Systemd) -> None:
    """READY, the film and its percentage as STATUS, WATCHDOG while it is well, STOPPING."""
    house.drop("film.mp4", "wait\n")
    daemon = house.start(NOTIFY_SOCKET=str(systemd.path), WATCHDOG_USEC="400000")
    house.wait(lambda: systemd.heard("READY=1"))
    house.wait(lambda: systemd.heard("STATUS=film.mp4: 50%, erase"))
    house.wait(lambda: len(systemd.heard("WATCHDOG=1")) > 3)
    assert not systemd.heard("STOPPING=1")
    (house.root / "go").touch()
    house.wait(lambda: systemd.heard("STATUS=Waiting for films."))
    assert daemon.stop() == 0
    assert systemd.heard("STOPPING=1")


def test_frozen_loop_starves_the_watchdog(house: House, systemd: Systemd) -> None:
    """A daemon that is stuck says nothing, so that systemd can end it."""
    daemon = house.start(NOTIFY_SOCKET=str(systemd.path), WATCHDOG_USEC="400000")
    house.wait(lambda: systemd.heard("WATCHDOG=1"))
    daemon.process.send_signal(signal.SIGSTOP)
    house.wait(lambda: Path(f"/proc/{daemon.process.pid}/stat").read_text().split()[2] == "T")
    before = len(systemd.heard("WATCHDOG=1"))
    until = time.monotonic() + 0.6  # longer than the watchdog's patience
    house.wait(lambda: time.monotonic() > until)
    assert len(systemd.heard("WATCHDOG=1")) == before


def test_drains_a_quick_film(house: House) -> None:
    """SIGTERM lets a film that is nearly done be finished."""
    house.drop("film.mp4", "wait\n")
    daemon = house.start()
    house.wait(lambda: daemon.said("attempt.started"))
    daemon.process.terminate()
    house.wait(lambda: daemon.said("service.draining"))
    (house.root / "go").touch()
    assert daemon.wait() == 0
    assert house.films("done") == ["film.mp4"]
    assert house.work_is_empty()


def test_hands_back_a_slow_film(house: House) -> None:
    """A film that outlasts the patience of a stop goes on at the next start, at no cost."""
    house.configure(worker={"drain_seconds": 0.2}, retry={"max_attempts": 1})
    house.drop("film.mp4", "segments 2\nwait\nsegments 3\n")
    for _ in range(2):
        daemon = house.start()
        house.wait(lambda: house.segments() == 2)
        house.wait(lambda daemon=daemon: daemon.said("attempt.started"))  # type: ignore[misc]
        assert daemon.stop() == 0
        assert daemon.said("attempt.handed_back")
    (house.root / "go").touch()
    assert house.once() == 0
    report = house.report("film.mp4")
    assert report["report"]["segments_resumed"] == 2
    assert [one["counted"] for one in report["attempts"]] == [False, False, True]


def test_second_signal_leaves_at_once(house: House) -> None:
    """Whoever asks twice does not wait for the film."""
    house.drop("film.mp4", "wait\n")
    daemon = house.start()
    house.wait(lambda: daemon.said("attempt.started"))
    daemon.process.terminate()
    house.wait(lambda: daemon.said("service.draining"))
    assert daemon.stop(signal.SIGINT, seconds=15) == 0  # it would wait for 20 seconds
    assert daemon.said("attempt.handed_back")


def test_idle_stop_is_quick(house: House) -> None:
    """With nothing to do a stop takes no time and leaves nothing in work/."""
    daemon = house.start()
    house.wait(lambda: daemon.said("worker.ready"))
    begun = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - begun < 10.0  # for a film it would wait for 20
    assert house.work_is_empty()


def test_reload(house: House, systemd: Systemd) -> None:
    """SIGHUP makes new settings count for the next film; a wrong file changes nothing."""
    daemon = house.start(NOTIFY_SOCKET=str(systemd.path))
    house.wait(lambda: daemon.said("worker.ready"))
    house.configure(erase={"engin": "auto"})
    daemon.process.send_signal(signal.SIGHUP)
    house.wait(lambda: daemon.said("config.refused"))
    house.configure(erase={"priority": 7})
    daemon.process.send_signal(signal.SIGHUP)
    house.wait(lambda: daemon.said("config.reloaded"))
    assert len(systemd.heard("RELOADING=1")) == 2
    house.drop("film.mp4")
    house.wait(lambda: house.films("done"))
    report = house.report("film.mp4")
    assert report["settings"]["priority"] == 7
    assert daemon.stop() == 0


def test_polling(house: House) -> None:
    """Without events the daemon looks for itself."""
    house.configure(inbox={"watch": "polling"})
    daemon = house.start()
    house.wait(lambda: daemon.said("service.started"))
    assert daemon.said("service.started")[0]["watch"] == "polling"
    house.drop("a/film.mp4")
    house.wait(lambda: house.films("done") == ["a/film.mp4"])
    assert daemon.stop() == 0


def is_watched(folder: Path, daemon: Daemon) -> bool:
    """Whether a daemon gets the events of a folder, as the kernel tells (proc(5), fdinfo)."""
    handles = Path(f"/proc/{daemon.process.pid}/fdinfo").iterdir()
    return any(f" ino:{folder.stat().st_ino:x} " in one.read_text() for one in handles)


def test_an_inbox_that_is_made_anew(house: House) -> None:
    """Whoever replaces the inbox by another folder ends what watches it; it is watched again."""
    house.configure(inbox={"rescan_seconds": 600.0})
    daemon = house.start()
    house.wait(lambda: daemon.said("worker.ready"))
    assert daemon.said("service.started")[0]["watch"] == "events"
    house.inbox.rmdir()
    house.inbox.mkdir()
    house.wait(lambda: is_watched(house.inbox, daemon))
    house.drop("film.mp4")
    house.wait(lambda: house.films("done") == ["film.mp4"])
    assert daemon.stop() == 0


def test_no_watches_left(house: House) -> None:
    """Where the system grants no more events the operator is told, and the daemon polls."""
    limit = "/proc/sys/user/max_inotify_instances"  # of a namespace of its own
    enter = ["unshare", "--user", "--map-root-user", "sh", "-c", f'echo 0 >{limit} && exec "$@"']
    if shutil.which("unshare") is None or subprocess.run([*enter, "-", "true"]).returncode:
        pytest.skip("this system lets nobody have a namespace")
    argv = [*enter, "-", sys.executable, "-m", "tests.process.quick_daemon", "run"]
    daemon = Daemon([*argv, "--config", str(house.config)], house.root / "daemon.log", {})
    house.daemons.append(daemon)
    house.wait(lambda: daemon.said("service.started"))
    assert daemon.said("service.started")[0]["watch"] == "polling"
    assert "fs.inotify.max_user_watches" in daemon.said("inbox.no_events")[0]["remedy"]
    house.drop("a/film.mp4")
    house.wait(lambda: house.films("done") == ["a/film.mp4"])
    house.wait(lambda: len(daemon.said("inbox.no_events")) > 2)  # it is tried again at each look
    assert [one["level"] for one in daemon.said("inbox.no_events")].count("warning") == 1
    assert daemon.stop() == 0


def test_idle_costs_nothing(house: House) -> None:
    """A daemon with nothing to do uses hardly any processor time."""
    house.configure(
        inbox={"rescan_seconds": 60.0}, claims={"heartbeat_seconds": 10.0, "lease_seconds": 60.0}
    )
    daemon = house.start()
    house.wait(lambda: daemon.said("worker.ready"))
    stat = Path(f"/proc/{daemon.process.pid}/stat")

    def ticks() -> int:
        return sum(int(one) for one in stat.read_text().rpartition(")")[2].split()[11:13])

    def is_idle() -> bool:
        before, until = ticks(), time.monotonic() + 2.0
        house.wait(lambda: time.monotonic() > until)
        return (ticks() - before) / os.sysconf("SC_CLK_TCK") < 0.04

    house.wait(is_idle)  # at first it may have something left to do
    assert daemon.stop() == 0


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"inbox": {"settle": 1}}, "inbox.settle: no such key"),
        ({"retry": {"max_attempts": "3"}}, "retry.max_attempts: must be a whole number"),
        ({"folders": {"done": "/proc/nowhere"}}, "folders.done: /proc/nowhere"),
        ({"folders": {"work": "relative"}}, "folders.work: relative must begin with '/'"),
    ],
)
def test_refuses_a_wrong_configuration(
    house: House, change: dict[str, dict[str, object]], word: str
) -> None:
    """Exit code 78 and one sentence that names the key."""
    house.configure(**change)
    assert word in run_command(house, "run", code=78)


def test_refuses_folders_in_each_other(house: House) -> None:
    """A done/ inside the inbox would be taken for new films."""
    house.configure(folders={"done": str(house.inbox / "done")})
    assert "folders.done" in run_command(house, "once", code=78)


def test_no_configuration_file(house: House) -> None:
    """A file that was asked for and is not there is an error, not the defaults."""
    house.config.unlink()
    assert "--config: there is no file" in run_command(house, "once", code=78)


def test_status(house: House) -> None:
    """Status names the film at work and its share, what waits and what was done."""
    house.drop("first.mp4", "raise FIX_INPUT")
    assert house.once() == 1
    house.drop("film.mp4", "wait\n")
    daemon = house.start()
    house.wait(lambda: b'"share": 0.5' in b"".join(_statuses(house)))
    house.drop("next.mp4")
    text = run_command(house, "status")
    for word in ("film.mp4: 50%, erase", "in the inbox: 1", "failed: 1", "first.mp4"):
        assert word in text
    answer = json.loads(run_command(house, "status", "--json"))
    (worker,) = answer["daemons"][0]["snapshot"]["workers"]
    assert worker["current"]["film"] == "film.mp4"
    assert psutil.Process(worker["pid"]).ppid() == daemon.process.pid
    assert answer["recent"][0]["outcome"] == "failed"
    (house.root / "go").touch()
    house.wait(lambda: house.films("done") == ["film.mp4", "next.mp4"])
    assert daemon.stop() == 0


def _statuses(house: House) -> Iterator[bytes]:
    for path in house.work.glob("*/status.json"):
        yield path.read_bytes()


def test_requeue(house: House) -> None:
    """A failed film goes back into the inbox by name or by job id, with its settings."""
    house.drop("a/film.mp4.erase.yaml", "priority: 1")
    for name in ("a/film.mp4", "b.mp4"):
        house.drop(name, "raise FIX_INPUT")
    assert house.once() == 1
    job_id = house.explanation("b.mp4")["job_id"]
    run_command(house, "requeue", "a/film.mp4", job_id)
    assert house.files("inbox") == ["a/film.mp4", "a/film.mp4.erase.yaml", "b.mp4"]
    assert house.files("failed") == []
    assert "no such film" in run_command(house, "requeue", "../work", code=1)


def test_requeue_of_what_is_not_explained(house: House) -> None:
    """An explanation that somebody has overwritten keeps no film in failed/."""
    for number, text in enumerate(("", "{", "[]", '{"job": 1}')):
        (house.failed / f"Film {number}.mp4").touch()
        (house.failed / f"Film {number}.mp4.error.json").write_text(text)
    run_command(house, "requeue", "--all")
    assert house.files("inbox") == [f"Film {number}.mp4" for number in range(4)]
    assert house.files("failed") == []


def test_history_can_be_lost(house: House) -> None:
    """A damaged history is put aside; the films are not concerned."""
    house.drop("film.mp4")
    assert house.once() == 0
    (house.state / "history.sqlite3").write_bytes(b"not a database" * 100)
    house.drop("next.mp4")
    assert house.once() == 0
    assert house.films("done") == ["film.mp4", "next.mp4"]
    assert "film.mp4" in run_command(house, "status", code=1)  # no daemon is running


def test_parent_knows_no_pixel() -> None:
    """The parent loads none of the heavy libraries, and all it loads within half a second."""
    code = (
        "import sys; import daemon.cli.main; "
        "heavy = {'numpy', 'av', 'cv2', 'torch', 'onnxruntime', 'rapidocr', 'PIL'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    argv = [sys.executable, "-X", "importtime", "-c", code]
    done = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, timeout=120, check=True)
    assert done.stdout.decode().strip() == "[]"
    last = done.stderr.decode().strip().splitlines()[-1]
    assert last.endswith("daemon.cli.main")
    assert int(last.split("|")[1]) < 500_000 * 4  # microseconds; four times, for a busy machine


def test_a_glance_at_the_status_loads_little() -> None:
    """Status loads nothing of what logs, draws, erases or runs a daemon."""
    code = (
        "import sys; import daemon.cli.main; import daemon.status.command; "
        "heavy = {'structlog', 'rich', 'asyncio', 'hashlib', 'ctypes', 'socket'}; "
        "heavy |= {'daemon.config.schema', 'daemon.jobs.store'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, timeout=120, check=True)
    assert done.stdout.decode().strip() == "[]"


COMMANDS = ["", "run", "once", "erase", "status", "requeue", "doctor", "models"]
ACTIONS = ["models fetch", "models verify", "models list"]


@pytest.mark.parametrize("command", [*COMMANDS, *ACTIONS])
def test_help(command: str) -> None:
    """Every command explains itself with an example."""
    argv = [sys.executable, "-m", "daemon", *command.split(), "--help"]
    done = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, timeout=120, check=True)
    assert b"example" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("erase only-one", "required: OUT"),
        ("erase --crf 99 a.mp4 b.mp4", "encode.crf: is 99, must be from 0 to 51"),
        ("erase --engine magic a.mp4 b.mp4", "engine: no engine 'magic'; known: auto, propagate"),
        ("requeue", "say which"),
    ],
)
def test_wrong_usage(arguments: str, words: str) -> None:
    """Exit code 2, as everywhere, and a sentence that says what is wrong."""
    argv = [sys.executable, "-m", "daemon", *arguments.split()]
    done = subprocess.run(
        argv, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert words in done.stderr
