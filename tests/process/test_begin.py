"""When a film is begun: memory, working hours, priorities."""

from __future__ import annotations

import json
import signal
from datetime import datetime, timedelta
from typing import Any

import pytest

from daemon.folders.checks import free_bytes
from daemon.workers.host_resources import available_bytes, memory_bytes
from tests.process.house import Daemon, House
from tests.process.systemd import Systemd
from tests.process.test_workers import at_work, wait_for_films

MB = 1 << 20
UHD = 3840 * 2160


def status_of(house: House) -> dict[str, Any]:
    """What the daemon says of itself; at first nothing."""
    status: dict[str, Any] = {"note": "", "paused": False, "settled": 0, "settling": 0}
    for path in house.work.glob("*/status.json"):
        status |= json.loads(path.read_bytes())
    return status


def reload(house: House, daemon: Daemon, **changes: dict[str, Any]) -> None:
    """Have a daemon go by another configuration."""
    before = len(daemon.said("config.reloaded"))
    house.configure(**changes)
    daemon.process.send_signal(signal.SIGHUP)
    house.wait(lambda: len(daemon.said("config.reloaded")) > before)


def check_one_at_a_time(house: House, note: str) -> None:
    """Of two films one is begun, the other waits in the inbox with ``note`` and goes next."""
    daemon = house.start()
    house.wait(lambda: at_work(house))
    house.wait(lambda: note in status_of(house)["note"])
    (first,) = at_work(house)
    assert len(house.films("inbox")) == 1, "a film was claimed that cannot be begun"
    (house.root / first.removesuffix(".mp4")).touch()
    house.wait(lambda: house.films("done") == [first] and len(at_work(house)) == 1)
    (house.root / "go").touch()
    house.wait(lambda: len(house.films("done")) == 2)
    assert not daemon.said("host.trouble")
    assert daemon.stop() == 0


def test_a_film_waits_for_memory(house: House) -> None:
    """Two workers, memory for one film: the second begins when the first is done."""
    house.configure(worker={"count": 2, "film_mb": int(0.6 * available_bytes()) // MB})
    for name in ("a", "b"):
        house.drop(f"{name}.mp4", f"wait {name}\n")
    check_one_at_a_time(house, "waits for")


def test_a_film_waits_for_space(house: House) -> None:
    """What films that are being worked on are still going to take is not free for the next one."""
    films = {name: f"wait {name}\n".ljust(4096) for name in ("a", "b")}
    free_factor = 0.6 * free_bytes(house.work) / 4096
    house.configure(worker={"count": 2}, folders={"free_factor": free_factor})
    for name, content in films.items():
        house.drop(f"{name}.mp4", content)
    check_one_at_a_time(house, "of space on folders.work")


@pytest.mark.errors_logged
def test_no_memory_at_all(house: House) -> None:
    """If nothing runs and memory is short, status says what to do, and it goes on by itself."""
    house.configure(worker={"film_mb": 2 * memory_bytes() // MB})
    house.drop("film.mp4")
    daemon = house.start()
    house.wait(lambda: daemon.said("host.trouble"))
    assert "lower worker.film_mb" in daemon.said("host.trouble")[0]["sentence"]
    house.wait(lambda: status_of(house)["paused"])
    assert house.films("inbox") == ["film.mp4"]
    reload(house, daemon, worker={"film_mb": 1})
    house.wait(lambda: house.films("done") == ["film.mp4"])
    house.wait(lambda: not status_of(house)["paused"])
    assert daemon.stop() == 0


def test_a_film_that_turns_out_to_be_large(house: House) -> None:
    """It is handed back at no cost, lets a smaller one pass, and begins when there is room."""
    film_mb = int(0.3 * available_bytes()) // MB
    house.configure(worker={"count": 2, "film_mb": film_mb}, retry={"max_attempts": 1})
    house.drop("a.mp4", "wait a\n")
    daemon = house.start()
    wait_for_films(house, "a.mp4")
    house.drop("large.mp4", f"segments 1\nlarge {UHD}\nwait large\n")
    house.wait(lambda: daemon.said("attempt.handed_back"))
    assert daemon.said("memory.lacking")[0]["film"] == "large.mp4"
    house.drop("small.mp4", "wait small\n")
    wait_for_films(house, "a.mp4", "small.mp4")
    for name in ("small", "a"):
        (house.root / name).touch()
    wait_for_films(house, "large.mp4")
    (house.root / "large").touch()
    house.wait(lambda: len(house.films("done")) == 3)
    report = house.report("large.mp4")
    assert [one["counted"] for one in report["attempts"]] == [False, True]
    assert report["report"]["segments_resumed"] == 1
    assert daemon.stop() == 0


def hours_from_now(start_minutes: int, stop_minutes: int) -> dict[str, Any]:
    """Working hours around the present moment."""
    now = datetime.now()
    start, stop = (now + timedelta(minutes=one) for one in (start_minutes, stop_minutes))
    return {"hours": [{"start": f"{start:%H:%M}", "stop": f"{stop:%H:%M}"}]}


def test_working_hours(house: House) -> None:
    """Nothing is begun while it is closed; status and systemd are told until when."""
    systemd = Systemd(house.root / "notify")
    closed, opened = hours_from_now(120, 180), hours_from_now(-60, 60)
    house.configure(schedule=closed)
    house.drop("film.mp4")
    daemon = house.start(NOTIFY_SOCKET=str(systemd.path))
    start = closed["hours"][0]["start"]
    house.wait(lambda: start in status_of(house)["note"] and status_of(house)["settled"] == 1)
    house.wait(lambda: daemon.said("worker.ready"))  # whether it can work is seen all the same
    assert house.films("inbox") == ["film.mp4"]
    (told,) = systemd.heard("STATUS=Waiting; 1 in the inbox. (no film is begun before")
    assert start in told
    reload(house, daemon, schedule=opened)
    house.wait(lambda: house.films("done") == ["film.mp4"])
    assert daemon.stop() == 0
    systemd.close()


@pytest.mark.parametrize("at_closing", ["finish", "hand_back"])
def test_closing_time(house: House, at_closing: str) -> None:
    """A film that is being worked on is finished, or goes on when it opens again, as configured."""
    closed, opened = hours_from_now(120, 180), hours_from_now(-60, 60)
    house.configure(schedule=opened)
    house.drop("film.mp4", "segments 1\nwait film\n")
    daemon = house.start()
    wait_for_films(house, "film.mp4")
    reload(house, daemon, schedule={**closed, "at_closing": at_closing})
    if at_closing == "hand_back":
        house.wait(lambda: daemon.said("attempt.handed_back"))
        reload(house, daemon, schedule=opened)
        wait_for_films(house, "film.mp4")
    (house.root / "film").touch()
    house.wait(lambda: house.films("done") == ["film.mp4"])
    counted = [one["counted"] for one in house.report("film.mp4")["attempts"]]
    assert counted == ([True] if at_closing == "finish" else [False, True])
    assert daemon.stop() == 0


def test_once_does_not_wait_for_opening(house: House) -> None:
    """Whoever drains the inbox by hand means now."""
    house.configure(schedule=hours_from_now(120, 180))
    house.drop("film.mp4")
    assert house.once() == 0
    assert house.films("done") == ["film.mp4"]


def test_priorities(house: House) -> None:
    """Of films that wait: the most urgent first, by folder or by sidecar, then the oldest."""
    house.drop("first.mp4", "seat\nwait first\n")
    daemon = house.start()
    wait_for_films(house, "first.mp4")
    house.drop("urgent/.erase.yaml", "priority: 5")
    house.drop("late/film.mp4.erase.yaml", "priority: 9")
    for name in ("b.mp4", "a.mp4", "urgent/d.mp4", "urgent/c.mp4", "late/film.mp4"):
        house.drop(name, "seat\n")
        path = house.inbox / name
        house.wait(lambda: status_of(house)["settled"] > 0)
        count = len(house.films("inbox"))
        house.wait(lambda count=count: status_of(house)["settled"] == count)  # type: ignore[misc]
        assert path.exists()
    (house.root / "first").touch()
    house.wait(lambda: len(house.films("done")) == 6)
    told = [json.loads(line)["film"] for line in (house.root / "seats").read_text().splitlines()]
    assert told == ["first.mp4", "film.mp4", "d.mp4", "c.mp4", "b.mp4", "a.mp4"]
    assert daemon.stop() == 0
