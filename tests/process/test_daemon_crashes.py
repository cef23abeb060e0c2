"""Killed anywhere, the daemon goes on at its next start: nothing lost, doubled or torn."""

from __future__ import annotations

import json
import signal
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest

from daemon.jobs.instances import this_process
from tests.process.house import House

FILM = "companions\nsegments 4\n"


def test_killed_in_mid_film(house: House) -> None:
    """A daemon killed in the middle of a film leaves no worker behind; the rest is done later."""
    house.drop("film.mp4", "segments 2\nwait\nsegments 4\n")
    daemon = house.start()
    house.wait(lambda: daemon.said("attempt.started"))
    house.wait(lambda: house.segments() == 2)
    (worker,) = psutil.Process(daemon.process.pid).children()
    daemon.process.kill()
    daemon.wait()
    house.wait(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
    (house.root / "go").touch()
    assert house.once() == 0
    report = house.report("film.mp4")
    assert report["report"]["segments_resumed"] == 2
    assert len(report["attempts"]) == 2


def test_crashes_count(house: House) -> None:
    """A film under which the daemon ends again and again is given up."""
    house.configure(retry={"max_attempts": 2})
    house.drop("film.mp4", FILM)
    for _ in range(2):
        assert house.once(FAULT_AT="attempt.after_begin") == -signal.SIGKILL
    assert house.once() == 1
    assert house.films("failed") == ["film.mp4"]


def test_worker_killed_from_outside(house: House) -> None:
    """A worker that is killed costs its film one attempt; a new one goes on where it was."""
    house.drop("film.mp4", "segments 1\nwait\nsegments 3\n")
    daemon = house.start()
    house.wait(lambda: house.segments() == 1)
    (worker,) = psutil.Process(daemon.process.pid).children()
    worker.kill()
    (house.root / "go").touch()
    house.wait(lambda: house.films("done"))
    report = house.report("film.mp4")
    assert [one["error"] for one in report["attempts"]] == ["WorkerLost", None]
    assert daemon.stop() == 0


def test_takes_over_from_the_dead(house: House) -> None:
    """What a killed daemon held is taken over by another that is at work."""
    house.drop("film.mp4", "segments 1\nwait\n")
    first = house.start()
    house.wait(lambda: first.said("attempt.started"))
    second = house.start()
    house.wait(lambda: second.said("worker.ready"))
    first.process.kill()
    (house.root / "go").touch()
    house.wait(lambda: house.films("done") == ["film.mp4"])
    assert second.said("claims.taken_over")
    assert second.stop() == 0
    assert house.work_is_empty()


def test_frozen_daemon_loses_its_claims(house: House) -> None:
    """A daemon that was frozen for longer than its lease notices, and publishes nothing."""
    house.drop("film.mp4", "segments 1\nwait\n")
    first = house.start()
    house.wait(lambda: first.said("attempt.started"))
    workers = psutil.Process(first.process.pid).children()
    for process in (*workers, psutil.Process(first.process.pid)):
        process.suspend()
    second = house.start()
    house.wait(lambda: second.said("claims.taken_over"))
    (house.root / "go").touch()
    house.wait(lambda: house.films("done") == ["film.mp4"])
    for process in (*workers, psutil.Process(first.process.pid)):
        process.resume()
    house.wait(lambda: first.said("claims.lost"))
    house.drop("next.mp4", "segments 1\n")
    house.wait(lambda: house.films("done") == ["film.mp4", "next.mp4"])
    assert first.stop() == 0
    assert second.stop() == 0
    assert house.films("originals") == ["film.mp4", "next.mp4"]
    assert house.work_is_empty()


def test_half_made_claims_are_cleared(house: House) -> None:
    """What a crash left in work/ without a film in it is removed at the next start."""
    instance = house.work / "gone-0000000000"
    (instance / "job").mkdir(parents=True)
    (instance / ".gone-other" / "segments").mkdir(parents=True)
    owner = asdict(this_process())
    (instance / "owner.json").write_text(json.dumps({**owner, "pid": 2**22 + 1}))
    house.drop("film.mp4")
    assert house.once() == 0
    assert house.work_is_empty()


@pytest.mark.errors_logged
def test_unreadable_job_file(house: House, tmp_path: Path) -> None:
    """A job whose job.json is damaged goes to failed/ with its film unharmed."""
    house.drop("film.mp4", FILM)
    assert house.once(FAULT_AT="claim.after_queued") == -signal.SIGKILL
    (job,) = house.work.rglob("job.json")
    job.write_text("{")
    assert house.once() == 1
    (film,) = house.films("failed")
    assert film == "film.mp4"  # by the job's log
    assert (house.failed / film).read_text() == FILM
    assert "job.json could not be read" in (house.failed / f"{film}.error.json").read_text()


def test_files_without_a_record_are_left_alone(house: House) -> None:
    """What somebody has put into work/ is no orphan to be removed; it is named, films go on."""
    house.drop("film.mp4", FILM)
    assert house.once(FAULT_AT="claim.after_queued") == -signal.SIGKILL
    (record,) = house.work.rglob("job.json")
    strangers = [record.parent.parent / "01mine" / name for name in ("other.mkv", "sub/film.mp4")]
    for path in strangers:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(FILM)
    daemon = house.start()
    house.wait(lambda: house.films("done") == ["film.mp4"])
    house.wait(lambda: daemon.said("job.hindered"))
    told = daemon.said("job.hindered")[0]["sentence"]
    assert "01mine has files but no readable job.json" in told
    assert "move what may be a film into the inbox" in told
    assert daemon.stop() == 0
    assert sorted(path.name for path in house.work.rglob("*.m*")) == ["film.mp4", "other.mkv"]


def test_a_job_of_a_later_release(house: House) -> None:
    """After a way back it is told and left alone; other films go on, and so does it later."""
    house.drop("film.mp4", FILM)
    assert house.once(FAULT_AT="claim.after_queued") == -signal.SIGKILL
    (path,) = house.work.rglob("job.json")
    raw = json.loads(path.read_bytes())
    path.write_text(json.dumps({**raw, "version": 99}))
    house.drop("other.mp4")
    daemon = house.start()
    house.wait(lambda: house.films("done") == ["other.mp4"])
    house.wait(lambda: daemon.said("job.hindered"))
    told = daemon.said("job.hindered")[0]["sentence"]
    assert "film.mp4: a later release was at it (job.json has version 99" in told
    assert daemon.stop() == 0
    assert house.films("failed") == []
    (path,) = house.work.rglob("job.json")
    assert json.loads(path.read_bytes()) == {**raw, "version": 99}
    path.write_text(json.dumps(raw))
    assert house.once() == 0
    assert house.films("done") == ["film.mp4", "other.mp4"]
