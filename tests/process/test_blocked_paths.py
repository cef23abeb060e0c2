"""Folders of the inbox, and films in it, that may not be touched: they wait, and nothing else does.

Rights that root has to obey, too, come from a sick share, from file attributes and from mounts.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.process.house import QUICK, Daemon, House, problems
from tests.process.mounts import Mounts, SickShare
from tests.process.orders import Orders
from tests.process.quick_worker import SRT
from tests.process.test_daemon_life import run_command

pytestmark = pytest.mark.process

TRIES = 3
FILM = "segments 1\n"


def put(film: Path) -> None:
    """Lay a film where no order against it is heard."""
    film.parent.mkdir(parents=True, exist_ok=True)
    film.write_text(FILM)


@contextmanager
def immutable(path: Path) -> Iterator[None]:
    """Within it nobody may take anything out of a folder; for root, too, where a disk can that."""
    if os.geteuid() != 0:
        path.chmod(0o555)
    elif subprocess.run(["chattr", "+i", path], check=False, capture_output=True).returncode != 0:
        pytest.skip("this disk knows no immutable folders")
    try:
        yield
    finally:
        if os.geteuid() != 0:
            path.chmod(0o755)
        else:
            subprocess.run(["chattr", "-i", path], check=True)


def tries(daemon: Daemon) -> int:
    """How often a film was to be taken that may not."""
    return len(daemon.said("claim.put_off"))


def check_told_once(house: House, daemon: Daemon, place: Path, words: str) -> None:
    """It is tried again and again, and told once, of ``place``; the status says it, unpaused."""
    house.wait(lambda: tries(daemon) >= TRIES)
    (sentence,) = problems(daemon)
    assert sentence.startswith(f"{place}: ")
    assert words in sentence
    told = run_command(house, "status")
    assert sentence in told
    assert "Paused" not in told


def test_a_folder_that_nothing_may_be_taken_out_of(house: House) -> None:
    """Its films wait and those of other folders go on; once its rights are mended, so do they."""
    for name in ("shut/a.mp4", "shut/b.mp4", "shut/inner/c.mp4", "open/d.mp4", "e.mp4"):
        house.drop(name, FILM)
    with immutable(house.inbox / "shut"):
        daemon = house.start()
        house.wait(lambda: house.films("done") == ["e.mp4", "open/d.mp4", "shut/inner/c.mp4"])
        check_told_once(house, daemon, house.inbox / "shut", "chown or chmod")
        assert house.films("inbox") == ["shut/a.mp4", "shut/b.mp4"]
        house.drop("later.mp4", FILM)
        house.wait(lambda: "later.mp4" in house.films("done"))
    house.wait(lambda: {"shut/a.mp4", "shut/b.mp4"} <= set(house.films("done")))
    assert [one["what"] for one in daemon.said("host.mended")] == ["inbox: shut/"]
    assert daemon.stop() == 0
    assert len(house.films("originals")) == 6
    assert house.work_is_empty()
    assert house.files("inbox") == []


@pytest.mark.parametrize("error", ["EACCES", "EPERM"])
def test_a_folder_on_a_share_that_refuses(house: House, share: SickShare, error: str) -> None:
    """Whatever a server says, the film that it is said of stays whole, and others pass it."""
    share.fall_ill(Orders(error, ("rename", "create"), below="/inbox/shut/"))
    for name in ("shut/a.mp4", "b.mp4"):
        put(share.disk / "inbox" / name)
    daemon = house.start()
    house.wait(lambda: house.films("done") == ["b.mp4"])
    check_told_once(house, daemon, house.inbox / "shut", "chown or chmod")
    share.recover()
    house.wait(lambda: house.films("done") == ["b.mp4", "shut/a.mp4"])
    assert daemon.stop() == 0
    assert house.films("originals") == ["b.mp4", "shut/a.mp4"]


def test_a_folder_that_is_another_disk(house: House, mounts: Mounts) -> None:
    """A film cannot be renamed out of a mount: that folder waits, and is told what to do."""
    house.drop("b.mp4", FILM)
    disk = mounts.disk(house.inbox / "disk")
    put(disk / "a.mp4")
    daemon = house.start()
    house.wait(lambda: house.films("done") == ["b.mp4"])
    check_told_once(house, daemon, disk, "another filesystem")
    assert daemon.stop() == 0
    assert house.films("inbox") == ["disk/a.mp4"]
    assert house.files("inbox") == ["disk/a.mp4"]  # nothing of ours was left in it
    assert house.once() == 1  # who wants an end gets one


def test_a_film_that_may_not_be_moved(house: House, share: SickShare) -> None:
    """It alone waits, not its folder; taken away by its sender it is forgotten."""
    for name in ("held.mp4", "next.mp4"):
        put(share.disk / "inbox" / "mixed" / name)
    share.fall_ill(Orders("EPERM", ("rename",), below="/inbox/mixed/held.mp4"))
    daemon = house.start()
    house.wait(lambda: house.films("done") == ["mixed/next.mp4"])
    check_told_once(house, daemon, house.inbox / "mixed" / "held.mp4", "in use")
    (share.disk / "inbox" / "mixed" / "held.mp4").unlink()
    house.wait(lambda: daemon.said("host.mended"))
    assert daemon.said("host.mended")[0]["what"] == "inbox: mixed/held.mp4"
    assert daemon.stop() == 0
    assert house.work_is_empty()


def test_a_folder_that_may_not_be_looked_into(house: House, share: SickShare) -> None:
    """It is told once, by log and status, that what is in it is not seen; open, it is."""
    put(share.disk / "inbox" / "private" / "a.mp4")
    share.fall_ill(Orders("EACCES", ("readdir",), below="/inbox/private"))
    daemon = house.start()
    put(share.disk / "inbox" / "b.mp4")
    house.wait(lambda: house.films("done") == ["b.mp4"])
    put(share.disk / "inbox" / "c.mp4")
    house.wait(lambda: house.films("done") == ["b.mp4", "c.mp4"])  # some looks later
    (sentence,) = problems(daemon)
    assert sentence.startswith(f"{house.inbox / 'private'}: cannot be looked into")
    assert sentence in run_command(house, "status")
    share.recover()
    house.wait(lambda: house.films("done") == ["b.mp4", "c.mp4", "private/a.mp4"])
    assert [one["what"] for one in daemon.said("host.mended")] == ["inbox: private/"]
    assert daemon.stop() == 0


@pytest.mark.parametrize("calls", [("rename",), ("rename", "open")], ids=["moved", "read"])
def test_what_lies_beside_a_film_may_not_be_touched(
    house: House, share: SickShare, calls: tuple[str, ...]
) -> None:
    """Subtitles that may not be moved are copied, those that may not be read are done without."""
    inbox = share.disk / "inbox"
    put(inbox / "mixed" / "film.mp4")
    (inbox / "mixed" / "film.mp4").write_text("companions\n")
    (inbox / "mixed" / "film.srt").write_text(SRT)
    share.fall_ill(Orders("EPERM", calls, below="/inbox/mixed/film.srt"))
    daemon = house.start()
    house.wait(lambda: house.films("done") == ["mixed/film.mp4"])
    told = json.loads((house.work.parent / "companions").read_text())
    event, taken = ("left_behind", {"cues.srt": SRT}) if len(calls) == 1 else ("ignored", {})
    assert told == taken
    (said,) = daemon.said(f"companion.{event}")
    assert said["file"] == str(house.inbox / "mixed" / "film.srt")
    assert (inbox / "mixed" / "film.srt").read_text() == SRT
    assert not daemon.said("host.trouble")
    assert daemon.stop() == 0
    assert house.work_is_empty()


def test_a_claim_that_cannot_be_completed(house: House, share: SickShare) -> None:
    """A film that was taken and not yet held is not forgotten when the disk is well again."""
    put(share.disk / "inbox" / "film.mp4")
    (share.disk / "inbox" / "film.srt").write_text(SRT)
    share.fall_ill(Orders("EIO", ("rename",), below="/inbox/film.srt"))
    house.configure(**{**QUICK, "retry": {"pause_seconds": 0.1, "max_attempts": 1000}})
    daemon = house.start()
    house.wait(lambda: len(daemon.said("job.hindered")) > 1)
    assert "film.mp4: cannot be taken" in run_command(house, "status")
    house.drop("other.mp4", FILM)
    house.wait(lambda: house.films("done") == ["other.mp4"])
    share.recover()
    house.wait(lambda: house.films("done") == ["film.mp4", "other.mp4"])
    assert daemon.said("job.recovered")
    assert daemon.stop() == 0
    assert house.films("originals") == ["film.mp4", "other.mp4"]
    assert house.work_is_empty()
