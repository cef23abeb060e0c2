"""Films go through the daemon as a process: where everything ends up, for every ending."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import psutil
import pytest

from tests.process.house import House
from tests.process.quick_worker import SRT
from tests.process.test_begin import status_of
from tests.process.test_daemon_life import run_command


def test_done(house: House) -> None:
    """A film comes out in done/ with its sidecars, its source in originals/, sub-folders kept."""
    house.drop("a/b/film.mp4")
    assert house.once() == 0
    assert house.files("done") == [
        "a/b/film.mp4",
        "a/b/film.mp4.log",
        "a/b/film.mp4.preview.jpg",
        "a/b/film.mp4.report.json",
        "a/b/film.und.srt",
    ]
    assert house.files("originals") == ["a/b/film.mp4"]
    assert house.films("inbox") == []
    assert house.work_is_empty()
    report = house.report("a/b/film.mp4")
    assert report["source"] == "a/b/film.mp4"
    assert report["versions"] == {"quick": "1"}
    assert "attempt.finished" in (house.done / "a/b/film.mp4.log").read_text()


@pytest.mark.parametrize(
    ("orders", "error", "attempts"),
    [
        ("raise FIX_INPUT", "TruncatedVideo", 2),  # a film is called broken if it is so twice
        ("raise FIX_CODE", "VerifyFailed", 1),  # nor here
        ("raise UNKNOWN", "ZeroDivisionError", 1),  # a bug is no reason to try again
        ("raise RETRY", "OutOfMemory", 3),  # a quieter moment may do, three times
        ("raise MEMORY", "OutOfMemory", 3),  # Python's own word for it
        ("die", "WorkerLost", 3),  # as by the kernel, when memory runs out
        ("exit", "WorkerLost", 3),  # without a word
        ("garbage", "WorkerLost", 3),  # a worker that lies is not to be relied upon
        ("", "EmptyFile", 2),  # zero bytes
    ],
)
def test_failed(house: House, orders: str, error: str, attempts: int) -> None:
    """A film that cannot be done lies in failed/, explained, after as many tries as make sense."""
    house.drop("film.mp4", orders)
    house.drop("well.mp4")
    assert house.once() == 1
    assert house.films("failed") == ["film.mp4"]
    assert (house.failed / "film.mp4").read_text() == orders
    explained = house.explanation("film.mp4")
    assert explained["error"] == error
    assert explained["sentence"]
    assert len(explained["attempts"]) == attempts
    assert house.films("done") == ["well.mp4"]
    assert house.work_is_empty()


def test_stall(house: House) -> None:
    """A worker that gives no sign of life is ended with everything it started."""
    house.configure(worker={"stall_seconds": 2.0}, retry={"max_attempts": 2})
    house.drop("film.mp4", "spawn\nhang")
    assert house.once() == 1
    explained = house.explanation("film.mp4")
    assert "no sign of life for 2 seconds" in explained["sentence"]
    assert len(explained["attempts"]) == 2
    spawned = [int(pid) for pid in (house.root / "spawned").read_text().split()]
    assert len(spawned) == 2
    house.wait(lambda: not any(map(psutil.pid_exists, spawned)))


def test_output_of_libraries(house: House) -> None:
    """What is printed in the worker is in the film's log, and disturbs nothing."""
    house.drop("film.mp4", "print\nsegments 1")
    assert house.once() == 0
    assert "a library says something" in (house.done / "film.mp4.log").read_text()


def test_host_trouble_pauses(house: House) -> None:
    """A fault of the host fails no film: the queue waits, says why, and goes on by itself."""
    house.drop("film.mp4", "raise FIX_HOST")
    daemon = house.start()
    house.wait(lambda: daemon.said("host.trouble"))
    # More tries than a film has attempts.
    house.wait(lambda: len(daemon.said("attempt.failed")) > 4)
    assert house.films("failed") == []
    assert daemon.stop() == 0
    (source,) = house.work.rglob("source.mp4")
    source.write_text("segments 1")
    assert house.once() == 0
    assert house.films("done") == ["film.mp4"]


def test_subtitles_switched_off_beside_a_film(house: House) -> None:
    """``srt: false`` in its own settings: no subtitle file for this film, one for the next."""
    house.drop("mute.mp4.erase.yaml", "srt: false")
    house.drop("mute.mp4")
    house.drop("film.mp4")
    assert house.once() == 0
    assert house.films("done") == ["film.mp4", "mute.mp4"]
    assert not (house.done / "mute.und.srt").exists()
    assert (house.done / "film.und.srt").read_text() == SRT


def test_a_taken_subtitle_name(house: House) -> None:
    """Somebody else's ``film.und.srt`` in done/ stays as it is; so does the film's own name."""
    (house.done / "film.und.srt").write_text("a translator's work")
    house.drop("film.mp4")
    house.drop("film.srt", "the sender's own, in the inbox")
    assert house.once() == 0
    assert house.films("done") == ["film.mp4"]
    assert (house.done / "film.und.srt").read_text() == "a translator's work"
    assert (house.done / "film.mp4.und.srt").read_text() == SRT


def test_subtitles_named_as_before(house: House) -> None:
    """``folders.subtitle_names: film`` keeps the old name."""
    house.configure(folders={"subtitle_names": "film"})
    house.drop("film.mp4")
    assert house.once() == 0
    assert (house.done / "film.mp4.srt").read_text() == SRT


def test_names_by_template(house: House) -> None:
    """``folders.result_name`` counts in done/, for all that belongs to a film; nothing clashes."""
    house.configure(folders={"result_name": "{stem}.clean{suffix}"})
    (house.done / "film.clean.mp4").write_text("somebody else's")
    house.drop("film.mp4")
    house.drop("a/" + "x" * 240 + ".mp4")
    assert house.once() == 0
    assert (house.done / "film.clean.mp4").read_text() == "somebody else's"
    for ending in (".mp4", ".und.srt", ".mp4.log", ".mp4.report.json"):
        assert (house.done / f"film.clean (2){ending}").exists()
    assert house.films("originals") == [f"a/{'x' * 227}.mp4", "film (2).mp4"]
    (long,) = [name for name in house.films("done") if name.startswith("a/")]
    assert long.endswith("x.clean.mp4")
    assert len(long) == len("a/") + 255 - 24


def test_a_film_that_waits_for_its_marker(house: House) -> None:
    """With ``inbox.ready: marker`` a film is taken with ``film.mp4.ready``, which goes with it."""
    house.configure(inbox={"ready": "marker"})
    house.drop("a/film.mp4")
    house.drop("bad.mp4", "raise FIX_INPUT\n")
    house.drop("bad.mp4.ready", "")
    assert house.once() == 1
    assert house.files("inbox") == ["a/film.mp4"]
    assert "ready" not in {Path(name).suffix.lstrip(".") for name in house.files("failed")}
    daemon = house.start()
    house.wait(lambda: status_of(house).get("ignored"))
    assert "1 file is waiting for its marker, film.mp4.ready" in run_command(house, "status")
    house.drop("a/film.mp4.ready", "")
    house.wait(lambda: house.films("originals") == ["a/film.mp4"])
    assert daemon.stop() == 0
    run_command(house, "requeue", "bad.mp4")
    assert house.files("inbox") == ["bad.mp4", "bad.mp4.ready"]
    assert house.once() == 1
    assert house.files("inbox") == []
    assert house.work_is_empty()


def test_a_marker_goes_with_its_film_after_a_crash(house: House) -> None:
    """Killed between the film and its marker, the next start takes the marker, too."""
    house.configure(inbox={"ready": "marker"})
    house.drop("film.mp4")
    house.drop("film.mp4.ready", "")
    assert house.once(FAULT_AT="claim.after_rename") == -signal.SIGKILL
    assert house.files("inbox") == ["film.mp4.ready"]
    assert house.once() == 0
    assert house.files("inbox") == []
    assert house.films("done") == ["film.mp4"]


def test_the_same_film_twice_is_skipped(house: House) -> None:
    """``inbox.duplicates: skip``: a report names the result there is; other content is erased."""
    house.configure(inbox={"duplicates": "skip"})
    house.drop("film.mp4", "segments 2\n")
    assert house.once() == 0
    house.drop("a/copy.mp4", "segments 2\n")
    house.drop("other.mp4", "segments 3\n")  # of the same size
    assert house.once() == 0
    assert house.films("done") == ["film.mp4", "other.mp4"]
    assert house.films("originals") == ["a/copy.mp4", "film.mp4", "other.mp4"]
    report = house.report("a/copy.mp4")
    assert report["duplicate_of"]["published_as"] == "film.mp4"
    assert report["attempts"] == []
    assert house.work_is_empty()
    (house.done / "film.mp4").unlink()  # whoever removes the result wants another
    house.drop("again.mp4", "segments 2\n")
    assert house.once() == 0
    assert house.films("done") == ["again.mp4", "other.mp4"]


def test_twins_that_come_at_once(house: House) -> None:
    """The second waits for the first, and is skipped when that is done; also by the reports."""
    house.configure(inbox={"duplicates": "skip"})
    house.drop("a.mp4", "segments 1\nwait go\n")
    house.drop("b.mp4", "segments 1\nwait go\n")
    daemon = house.start()
    house.wait(lambda: daemon.said("attempt.started"))
    (house.root / "go").touch()
    house.wait(lambda: house.films("originals") == ["a.mp4", "b.mp4"])
    assert len(daemon.said("attempt.started")) == len(house.films("done")) == 1
    assert daemon.stop() == 0
    (house.state / "history.sqlite3").unlink()
    assert house.once() == 0  # the history is made anew
    house.drop("c.mp4", "segments 1\nwait go\n")
    assert house.once() == 0
    assert len(house.films("done")) == 1


def test_the_same_film_twice_is_numbered(house: House) -> None:
    """``inbox.duplicates: number``: both results have the first one's name."""
    house.configure(inbox={"duplicates": "number"}, folders={"result_name": "{stem}.x{suffix}"})
    house.drop("film.mp4", "segments 2\n")
    assert house.once() == 0
    house.drop("copy.mp4", "segments 2\n")
    assert house.once() == 0
    assert house.films("done") == ["film.x (2).mp4", "film.x.mp4"]
    assert house.films("originals") == ["copy (2).mp4", "film.mp4"]


def test_same_name_twice(house: House) -> None:
    """A second film of the same name becomes ``film (2)``, with all its sidecars."""
    for text in ("segments 1", "segments 2"):
        house.drop("film.mp4", text)
        assert house.once() == 0
    assert house.films("done") == ["film (2).mp4", "film.mp4"]
    assert house.films("originals") == ["film (2).mp4", "film.mp4"]
    assert (house.done / "film.mp4").read_text() == "segments 1"
    assert (house.done / "film (2).mp4.report.json").exists()


@pytest.mark.parametrize(
    "name",
    [
        b"new\nline.mp4",
        b"-y.mp4",
        "\N{CLAPPER BOARD} Film.mp4".encode(),
        b"latin \xe9.mp4",
        b"x" * 251 + b".mp4",
        b"ffconcat:a|b.mp4",
        b" leading and trailing .MP4",
    ],
)
def test_names(house: House, name: bytes) -> None:
    """Any name that a folder can hold is taken as found, and nothing of it is lost."""
    house.drop(os.fsdecode(name))
    assert house.once() == 0
    assert len([one for one in house.files("originals") if one.lower().endswith(".mp4")]) == 1
    assert house.work_is_empty()


def test_not_a_regular_file(house: House) -> None:
    """Links, pipes and folders named like films are left where they are."""
    secret = house.root / "secret.mp4"
    secret.write_text("segments 1")
    (house.inbox / "link.mp4").symlink_to(secret)
    os.mkfifo(house.inbox / "pipe.mp4")
    (house.inbox / "folder.mp4").mkdir()
    house.drop("film.mp4")
    daemon = house.start("once")
    assert daemon.wait() == 0
    assert house.films("done") == ["film.mp4"]
    assert house.films("inbox") == ["link.mp4", "pipe.mp4"]
    assert {one["kind"] for one in daemon.said("inbox.refused")} == {"a symbolic link", "a pipe"}


def test_ignored_names(house: House) -> None:
    """Unfinished copies, system files and other kinds of files are never touched."""
    names = ["film.mp4.part", ".hidden.mp4", "~$film.mp4", "notes.txt", "@eaDir/film.mp4"]
    for name in names:
        house.drop(name)
    assert house.once() == 0
    assert house.files("inbox") == sorted(names)


def test_settings_beside_a_film(house: House) -> None:
    """A film's own settings override its folder's; they go where the film goes."""
    house.drop("a/.erase.yaml", "engine: propagate\nencode: {crf: 20}")
    house.drop("a/film.mp4.erase.yaml", "encode: {crf: 21}")
    house.drop("a/film.mp4")
    assert house.once() == 0
    settings = house.report("a/film.mp4")["settings"]
    assert settings["engine"] == "propagate"
    assert settings["encode"]["crf"] == 21
    assert (house.originals / "a/film.mp4.erase.yaml").exists()


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("engin: auto", "no such key"),
        ("engine: os:system", "must be one of"),
        ("limits: {max_streams: 1000}", "no such key"),
        ("a: [", "not YAML"),
        ("x: " + "y" * 100_000, "larger than"),
    ],
)
def test_bad_settings(house: House, text: str, word: str) -> None:
    """Settings that say what they must not fail their film, with the reason."""
    house.drop("film.mp4.erase.yaml", text)
    house.drop("film.mp4")
    assert house.once() == 1
    explained = house.explanation("film.mp4")
    assert explained["error"] == "BadSidecar"
    assert word in explained["sentence"]
    assert "film.mp4.erase.yaml" in explained["sentence"]
    assert (house.failed / "film.mp4.erase.yaml").exists()


def test_originals_may_be_deleted(house: House) -> None:
    """Without keep_originals a source goes once its result is published."""
    house.configure(folders={"keep_originals": False})
    house.drop("film.mp4")
    assert house.once() == 0
    assert house.films("done") == ["film.mp4"]
    assert house.files("originals") == []


def test_priority(house: House) -> None:
    """The most urgent film goes first, then the oldest."""
    for number, name in enumerate(["b.mp4", "a.mp4", "c.mp4"]):
        os.utime(house.drop(name), (1000 + number, 1000 + number))
    house.drop("c.mp4.erase.yaml", "priority: 5")
    daemon = house.start("once")
    assert daemon.wait() == 0
    assert [one["film"] for one in daemon.said("job.claimed")] == ["c.mp4", "b.mp4", "a.mp4"]


def test_done_is_read_only(house: House) -> None:
    """When results cannot be published nothing is lost; it goes on once that is mended."""
    house.drop("film.mp4", "wait\nsegments 2\n")
    daemon = house.start()
    house.wait(lambda: daemon.said("attempt.started"))
    blocked = house.root / "elsewhere"
    house.done.rename(blocked)
    house.done.write_text("not a folder")
    (house.root / "go").touch()
    house.wait(lambda: daemon.said("host.trouble"))
    house.done.unlink()
    blocked.rename(house.done)
    house.wait(lambda: house.films("done") == ["film.mp4"])
    assert daemon.stop(signal.SIGINT) == 0
    assert daemon.said("host.mended")


def test_requeue_path_is_free(house: House, tmp_path: Path) -> None:
    """A failed film that is put back into the inbox by hand is a new job."""
    house.drop("film.mp4", "raise FIX_INPUT")
    assert house.once() == 1
    (house.failed / "film.mp4").write_text("segments 1")
    (house.failed / "film.mp4").rename(house.inbox / "film.mp4")
    assert house.once() == 0
    assert house.films("done") == ["film.mp4"]


def test_portable_names(house: House) -> None:
    """Results can be opened from Windows, and none hides another that differs by case only."""
    house.configure(folders={"portable_names": True, "mode": "0664"})
    for name in ("What?.mp4", "what_.mp4", "a:b/film.mp4"):
        house.drop(name)
    assert house.once() == 0
    found = house.films("done")
    assert "a_b/film.mp4" in found
    assert len({name.casefold() for name in found}) == len(found) == 3
    assert not any(set('?:*<>|"\\') & set(name) for name in house.files("done"))
    modes = {stat.S_IMODE((house.done / name).stat().st_mode) for name in house.files("done")}
    assert modes == {0o664}
    assert stat.S_IMODE((house.done / "a_b").stat().st_mode) & 0o777 == 0o775


def test_a_hard_link(house: House) -> None:
    """A film with another name elsewhere is taken and told of; that one stays as it is."""
    house.configure(folders={"mode": "0666"})
    own = house.root / "own.mp4"
    own.write_text("segments 1")
    own.chmod(0o600)
    (house.inbox / "film.mp4").hardlink_to(own)
    daemon = house.start("once")
    assert daemon.wait() == 0
    assert len(daemon.said("inbox.hard_link")) == 1
    assert house.films("done") == ["film.mp4"]
    assert own.read_text() == "segments 1"
    assert stat.S_IMODE(own.stat().st_mode) == 0o600


def test_twins_by_composition(house: House) -> None:
    """Two names that look the same, one from a Mac: both films come through, numbered."""
    house.drop("u\u0308ber.mp4", "segments 1")
    house.drop("\u00fcber.mp4", "segments 2")
    assert house.once() == 0
    assert house.films("done") == ["\u00fcber (2).mp4", "\u00fcber.mp4"]
    texts = {(house.done / name).read_text() for name in house.films("done")}
    assert texts == {"segments 1", "segments 2"}
