"""Links that strangers put where our folders are: none leads a film, or us, out of the inbox."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.process.house import REPOSITORY, House
from tests.process.test_daemon_life import run_command

pytestmark = pytest.mark.process

FOLDERS = 12
FILMS = 6
RACE_SECONDS = 8.0
INSIDE, SECRET = "segments 0\n", "segments 0\nsecret\n"


def put_twins(inside: Path, outside: Path) -> None:
    """Lay films of the same names, with subtitles, into two folders."""
    for folder, text in ((inside, INSIDE), (outside, SECRET)):
        folder.mkdir(parents=True)
        for number in range(FILMS):
            (folder / f"f{number}.mp4").write_text(text)
            (folder / f"f{number}.srt").write_text(text)


def names_below(folder: Path) -> set[str]:
    """The paths of all files below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.budget(400)
def test_folders_that_are_exchanged_for_links(house: House, tmp_path: Path) -> None:
    """No film from outside the inbox is taken, however often its folders are swapped for links."""
    outside, stop = tmp_path / "outside", tmp_path / "stop"
    pairs = []
    for number in range(FOLDERS):
        put_twins(house.inbox / f"s{number}", outside / f"s{number}")
        link = house.inbox / f".link{number}"
        link.symlink_to(outside / f"s{number}")
        pairs.append(f"{house.inbox / f's{number}'}={link}")
    before = names_below(outside)
    house.configure(inbox={"settle_local_seconds": 0.0, "rescan_seconds": 0.1})
    argv = [sys.executable, "-m", "tests.process.racer", str(stop), *pairs]
    with subprocess.Popen(argv, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as racer:
        daemon = house.start()
        began = time.monotonic()
        house.wait(lambda: time.monotonic() - began > RACE_SECONDS)
        stop.touch()
        told, _ = racer.communicate(timeout=60)
    assert int(told) > 1000
    house.wait(lambda: len(house.films("done")) == FOLDERS * FILMS)
    assert names_below(outside) == before
    texts = {(house.done / name).read_text() for name in house.films("done")}
    assert texts == {INSIDE}
    house.drop("good.mp4", INSIDE)
    house.wait(lambda: "good.mp4" in house.films("done"))
    assert daemon.stop() == 0
    assert not any("secret" in path.read_text() for path in house.originals.rglob("*.srt"))


def test_settings_behind_a_link(house: House, tmp_path: Path) -> None:
    """A folder that is a link when its film is admitted has no settings, mask or subtitles."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / ".erase.yaml").write_text("no: such key\n")
    (tmp_path / "outside" / "film.srt").mkdir()
    house.drop("sub/film.mp4", INSIDE)
    house.start("once", FAULT_AT="claim.after_rename").wait()
    (house.inbox / "sub").rmdir()
    (house.inbox / "sub").symlink_to(tmp_path / "outside")
    house.drop("good.mp4", INSIDE)
    assert house.once() == 0
    assert house.films("done") == ["good.mp4", "sub/film.mp4"]
    assert house.work_is_empty()


def test_requeue_follows_no_link(house: House, tmp_path: Path) -> None:
    """A film goes back into the inbox, not where a link there leads; the operator is told."""
    outside = tmp_path / "outside"
    outside.mkdir()
    house.drop("sub/film.mp4", "raise FIX_INPUT\n")
    house.once()
    (house.inbox / "sub").rmdir()
    (house.inbox / "sub").symlink_to(outside)
    told = run_command(house, "requeue", "sub/film.mp4", code=1)
    assert "is a link or a file" in " ".join(told.split())
    assert list(outside.iterdir()) == []
    assert house.films("failed") == ["sub/film.mp4"]
    (house.inbox / "sub").unlink()
    run_command(house, "requeue", "sub/film.mp4")
    assert house.films("inbox") == ["sub/film.mp4"]


def test_a_film_below_many_folders(house: House) -> None:
    """Folders may be nested as deep as a path can lead; what lies deeper is told, and only that."""
    house.drop("/".join(["d"] * 200) + "/deep.mp4", INSIDE)
    folder = os.open(house.inbox, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("x" * 255, dir_fd=folder)
        inner = os.open("x" * 255, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(os.open("film.mp4", os.O_CREAT | os.O_CLOEXEC, dir_fd=folder))
    os.close(folder)
    daemon = house.start()
    house.wait(lambda: any(one.endswith("/deep.mp4") for one in house.films("done")))
    house.drop("good.mp4", INSIDE)
    house.wait(lambda: "good.mp4" in house.films("done"))
    (told,) = daemon.said("host.trouble")
    assert "more than 4095 bytes" in told["sentence"]
    assert "more than 4095 bytes" in " ".join(run_command(house, "status").split())
    assert daemon.stop() == 0
