"""Steering a daemon by requests, while a film is at work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from tests.process.house import REPOSITORY, Daemon, House
from tests.process.test_failpoints import REQUESTING, check_source, check_tidy

pytestmark = pytest.mark.process

FILM = "segments 2\nwait\nsegments 4\n"


def command(house: House, *words: str, code: int = 0) -> str:
    """What a command says; its exit code is ``code``."""
    argv = [sys.executable, "-m", "daemon", *words, "--config", str(house.config)]
    done = subprocess.run(
        argv, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code, (done.stdout, done.stderr, house.tell())
    return done.stdout + done.stderr


def snapshot(house: House) -> dict[str, Any]:
    """What the only daemon says of itself; it fails until there is one, which ``wait`` takes."""
    files = sorted(house.work.glob("*/status.json"))
    if len(files) != 1:
        raise FileNotFoundError(house.work)
    content: dict[str, Any] = json.loads(files[0].read_bytes())
    return content


def at_work(house: House, fault_at: str = "") -> Daemon:
    """A daemon that is at ``film.mp4``, which waits for a file ``go``."""
    house.drop("film.mp4", FILM)
    daemon = house.start(FAULT_AT=fault_at)
    house.wait(lambda: house.segments() == 2)
    return daemon


def test_pause_and_resume(house: House) -> None:
    """A paused daemon finishes its film and begins no other, over a restart, until resumed."""
    daemon = at_work(house)
    said = command(house, "pause", "--for", "2h")
    assert "paused by root on " in said
    assert "films at work are finished" in said
    house.drop("other.mp4")
    house.wait(lambda: snapshot(house)["state"] == "paused")
    (house.root / "go").touch()
    house.wait(lambda: house.films("done") == ["film.mp4"])
    assert daemon.stop() == 0
    daemon = house.start()
    house.wait(lambda: snapshot(house)["settled"] == 1)
    assert snapshot(house)["pause"]["by"].startswith("root on ")
    assert "paused by root on" in command(house, "status")
    assert house.films("inbox") == ["other.mp4"]
    assert "resumed" in command(house, "resume")
    house.wait(lambda: len(house.films("done")) == 2)
    assert "not paused" in command(house, "resume")
    assert daemon.stop() == 0
    assert house.work_is_empty()


def test_a_pause_ends_by_itself(house: House) -> None:
    """A pause that is short is over when its time is."""
    house.start()
    house.wait(lambda: snapshot(house))
    command(house, "pause", "--for", "2s")
    house.drop("other.mp4")
    house.wait(lambda: "other.mp4" in house.films("done"))
    assert snapshot(house)["pause"] is None
    assert not list(house.work.glob(".subtitle-eraser-*.json"))


def test_pause_now_interrupts(house: House) -> None:
    """What is at work goes back into the queue, and goes on after its finished segments."""
    at_work(house)
    command(house, "pause", "--now")
    house.wait(lambda: snapshot(house)["workers"][0]["current"] is None)
    (house.root / "go").touch()
    command(house, "resume")
    house.wait(lambda: house.films("done"))
    assert house.report("film.mp4")["report"]["segments_resumed"] == 2


def test_cancel(house: House) -> None:
    """A film at work and one in the inbox go to failed/ as Cancelled; requeue brings one back."""
    daemon = at_work(house)
    house.drop("a/other.mp4", "segments 1\n")
    house.wait(lambda: snapshot(house)["settled"] == 1)
    said = command(house, "cancel", "film.mp4", str(house.inbox / "a" / "other.mp4"))
    assert said.count("cancelled; it goes to failed/") == 2
    house.wait(lambda: house.films("failed") == ["a/other.mp4", "film.mp4"])
    assert house.explanation("film.mp4")["error"] == "Cancelled"
    assert "failed, or was cancelled, already" in command(house, "cancel", "film.mp4", code=1)
    command(house, "requeue", "a/other.mp4")
    house.wait(lambda: house.films("done") == ["a/other.mp4"])
    assert "it is done already" in command(house, "cancel", "a/other.mp4", code=1)
    assert "there is no such film" in command(house, "cancel", "nothing.mp4", code=1)
    assert daemon.stop() == 0


def test_prefer(house: House) -> None:
    """A preferred film goes before those that came earlier."""
    at_work(house)
    for name in ("1.mp4", "2.mp4", "3.mp4"):
        house.drop(name)
        house.wait(lambda n=int(name[0]): snapshot(house)["settled"] == n)  # type: ignore[misc]
    assert "it goes first" in command(house, "prefer", "3.mp4")
    assert "worked on already" in command(house, "prefer", "film.mp4")
    (house.root / "go").touch()
    house.wait(lambda: len(house.films("done")) == 4)
    finished = [one["film"] for one in house.daemons[0].said("attempt.finished")]
    assert finished == ["film.mp4", "3.mp4", "1.mp4", "2.mp4"]


def test_hand_back(house: House) -> None:
    """A film goes back with its settings; its daemon leaves it, also after a restart."""
    house.drop("film.mp4.erase.yaml", "encode: {crf: 20}\n")
    daemon = at_work(house)
    assert "this daemon leaves it alone" in command(house, "hand-back", "film.mp4")
    assert house.files("inbox") == ["film.mp4", "film.mp4.erase.yaml"]
    house.drop("other.mp4")
    house.wait(lambda: house.films("done") == ["other.mp4"])
    assert daemon.stop() == 0
    daemon = house.start()
    house.drop("third.mp4")
    house.wait(lambda: house.films("done") == ["other.mp4", "third.mp4"])
    assert house.films("inbox") == ["film.mp4"]
    (house.root / "go").touch()
    assert "it goes first" in command(house, "prefer", "film.mp4")
    house.wait(lambda: "film.mp4" in house.films("done"))
    assert house.report("film.mp4")["settings"]["encode"]["crf"] == 20
    assert daemon.stop() == 0
    assert house.work_is_empty()


def test_redo(house: House) -> None:
    """An original comes back with other settings; one that was not kept is refused."""
    house.drop("film.mp4.erase.yaml", "encode: {crf: 20}\n")
    house.drop("film.mp4", "segments 1\n")
    daemon = house.start()
    house.wait(lambda: house.films("originals") == ["film.mp4"])
    settings = house.root / "other.yaml"
    settings.write_text("encode: {crfff: 10}\n")
    assert "crfff" in command(house, "redo", "film.mp4", "--settings", str(settings), code=1)
    settings.write_text("encode: {crf: 10}\n")
    path = str(house.originals / "film.mp4")
    said = command(house, "redo", path, "--settings", str(settings))
    assert "its original is in the inbox again" in said
    house.wait(lambda: house.films("done") == ["film (2).mp4", "film.mp4"])
    assert house.report("film (2).mp4")["settings"]["encode"]["crf"] == 10
    house.wait(lambda: house.files("originals") == ["film (2).mp4", "film (2).mp4.erase.yaml"])
    assert "its original was not kept" in command(house, "redo", "film.mp4", code=1)
    assert "no film of that name is done" in command(house, "redo", "nothing.mp4", code=1)
    assert daemon.stop() == 0


def test_redo_where_nothing_is_done_twice(house: House) -> None:
    """With ``inbox.duplicates: skip`` the film would be skipped; that is said instead."""
    house.configure(inbox={"duplicates": "skip"})
    house.drop("film.mp4", "segments 1\n")
    daemon = house.start()
    house.wait(lambda: house.films("originals") == ["film.mp4"])
    assert "inbox.duplicates is skip" in command(house, "redo", "film.mp4", code=1)
    assert house.films("originals") == ["film.mp4"]
    assert daemon.stop() == 0


def test_nobody_runs(house: House) -> None:
    """Without a daemon there is nobody to ask; one that was killed is asked at its next start."""
    assert "has no folder of a daemon" in command(house, "cancel", "film.mp4", code=1)
    daemon = at_work(house)
    daemon.end()
    said = command(house, "cancel", "film.mp4", code=75)
    assert "no daemon is running" in said
    house.start()
    house.wait(lambda: house.films("failed") == ["film.mp4"])


def test_what_others_put_there(house: House) -> None:
    """Links, FIFOs, folders, nonsense and what is too large are removed, refused or passed over."""
    daemon = at_work(house)
    (asked,) = house.work.glob("*/asked")
    secret = house.root / "secret"
    secret.write_text("{}")
    names = [f"{number:026d}" for number in range(8)]
    (asked / f"{names[0]}.json").symlink_to(secret)
    os.mkfifo(asked / f"{names[1]}.json")
    (asked / f"{names[2]}.json").mkdir()
    (asked / f"{names[2]}.json" / "file").touch()
    with (asked / f"{names[3]}.json").open("wb") as file:
        file.truncate(1 << 40)
    (asked / f"{names[4]}.json").write_text("[" * 100_000)
    (asked / f"{names[5]}.json").write_text('{"schema": 1, "command": "format", "body": {}}')
    pause = '{"schema": 1, "command": "pause", "body": {"for_seconds": Infinity}}'
    (asked / f"{names[6]}.json").write_text(pause)
    film = '{"schema": 1, "command": "cancel", "body": {"film": "../../etc/passwd"}}'
    (asked / f"{names[7]}.json").write_text(film)
    (asked / "README").write_text("hello")
    records = asked.parent / "requests"
    house.wait(lambda: [one.name for one in asked.iterdir()] == [f"{names[2]}.json"])
    house.wait(lambda: len(list(records.glob("*.json"))) == len(names))
    for name in names:
        answer = json.loads((records / f"{name}.json").read_bytes())["answer"]
        assert not answer["accepted"], name
    assert secret.read_text() == "{}"
    assert snapshot(house)["pause"] is None
    command(house, "cancel", "film.mp4")
    house.wait(lambda: house.films("failed") == ["film.mp4"])
    assert daemon.stop() == 0


# --- killed at each step --------------------------------------------------------------------------


def die_at(house: House, *points: str) -> None:
    """Start the daemon again and again, and let it be killed at one point after the other."""
    for point in points:
        assert house.start(FAULT_AT=point).wait() == -signal.SIGKILL, (point, house.tell())
        check_source(house, FILM.encode(), point)


def ask_and_die(house: House, *words: str) -> None:
    """Ask the daemon that is at ``film.mp4``; it is killed once it has noted the request."""
    command(house, *words, "--no-wait")
    daemon = house.daemons[-1]
    assert daemon.wait() == -signal.SIGKILL, house.tell()
    check_source(house, FILM.encode(), words[0])


def test_killed_while_cancelling(house: House) -> None:
    """The film that was meant goes to failed/ once; a later one of its name is done."""
    at_work(house, REQUESTING[0])
    ask_and_die(house, "cancel", "film.mp4")
    house.drop("film.mp4", "segments 1\n")
    die_at(house, *REQUESTING[1:3], "attempt.after_cancel", *REQUESTING[3:])
    assert house.once() == 1
    assert house.films("failed") == house.films("done") == ["film.mp4"]
    assert (house.failed / "film.mp4").read_text() == FILM
    assert (house.done / "film.mp4").read_text() == "segments 1\n"
    check_tidy(house)


def test_killed_while_handing_back_to_the_inbox(house: House) -> None:
    """The film lies in the inbox once, with its settings, and its daemon leaves it alone."""
    house.drop("film.mp4.erase.yaml", "encode: {crf: 20}\n")
    at_work(house, REQUESTING[0])
    ask_and_die(house, "hand-back", "film.mp4")
    die_at(house, "left.after_file", "unclaim.after_intent", "unclaim.after_file", *REQUESTING[3:])
    assert house.once() == 0
    assert house.files("inbox") == ["film.mp4", "film.mp4.erase.yaml"]
    assert house.films("done") == house.films("failed") == []


def test_killed_while_redoing(house: House) -> None:
    """The original comes back once, with its new settings, and is done once more."""
    house.drop("film.mp4.erase.yaml", "encode: {crf: 20}\n")
    house.drop("film.mp4", FILM)
    (house.root / "go").touch()
    daemon = house.start(FAULT_AT=REQUESTING[0])
    house.wait(lambda: house.films("originals") == ["film.mp4"])
    settings = house.root / "other.yaml"
    settings.write_text("encode: {crf: 10}\n")
    command(house, "redo", "film.mp4", "--settings", str(settings), "--no-wait")
    assert daemon.wait() == -signal.SIGKILL
    house.configure(inbox={"settle_local_seconds": 30.0})  # it is not to be taken meanwhile
    die_at(house, "redo.after_settings", "redo.after_film", *REQUESTING[3:])
    assert house.files("inbox") == ["film.mp4", "film.mp4.erase.yaml"]
    assert house.files("originals") == []
    house.configure()
    assert house.once() == 0
    assert house.films("done") == ["film (2).mp4", "film.mp4"]
    assert house.report("film (2).mp4")["settings"]["encode"]["crf"] == 10
    check_tidy(house)


def test_killed_while_preferring(house: House) -> None:
    """The film that was preferred is claimed once and goes first."""
    at_work(house, REQUESTING[0])
    house.drop("other.mp4")
    house.wait(lambda: snapshot(house)["settled"] == 1)
    ask_and_die(house, "prefer", "other.mp4")
    die_at(house, "attempt.after_preference", *REQUESTING[3:])
    (house.root / "go").touch()
    assert house.once() == 0
    order = [one["film"] for one in house.daemons[-1].said("attempt.finished")]
    assert order == ["other.mp4", "film.mp4"]
    check_tidy(house)


def test_killed_while_pausing_and_resuming(house: House) -> None:
    """The pause ends when it was to end, however often it is noted; resumed, it is over."""
    at_work(house, REQUESTING[0])
    ask_and_die(house, "pause", "--for", "2h")
    die_at(house, "pause.after_file", REQUESTING[3])
    (kept,) = house.work.glob(".subtitle-eraser-pause-*.json")
    noted = kept.read_text()
    die_at(house, REQUESTING[4])
    daemon = house.start(FAULT_AT=REQUESTING[0])
    house.wait(lambda: snapshot(house)["state"] == "paused")
    assert kept.read_text() == noted
    assert not daemon.said("attempt.started")
    ask_and_die(house, "resume")
    die_at(house, "resume.after_file", *REQUESTING[3:])
    assert not kept.exists()
    (house.root / "go").touch()
    assert house.once() == 0
    assert house.films("done") == ["film.mp4"]
