"""Files beside a film, through the daemon: taken along or copied, never lost, never foreign."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import pytest

from daemon.jobs.companions import MAX_MASK_BYTES, copy_mask
from daemon.jobs.job import MASK_FILE
from erasecore.errors import BadSidecar
from tests.clips import Caption, make_film
from tests.process.house import House
from tests.process.test_real_worker import run

FILM = "companions\nsegments 1\n"


def told(house: House) -> list[dict[str, str]]:
    """What came with each attempt."""
    lines = (house.root / "companions").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_a_mask_serves_every_film_of_a_folder(house: House) -> None:
    """It stays in the inbox, and each film has its own copy of what it was."""
    house.drop("a/logo.png", "a mask")
    house.drop("a/.erase.yaml", "mask: logo.png")
    for name in ("a/one.mp4", "a/b/two.mp4"):
        house.drop(name, FILM)
    house.drop("a/b/none.mp4.erase.yaml", 'mask: ""')
    house.drop("a/b/none.mp4", FILM)
    assert house.once() == 0
    assert sorted(told(house), key=len) == [{}, {"mask": "a mask"}, {"mask": "a mask"}]
    assert house.files("inbox") == ["a/.erase.yaml", "a/logo.png"]
    report = house.report("a/one.mp4")
    assert report["settings"]["mask"] == "logo.png"
    assert house.work_is_empty()


def test_a_retry_has_the_mask_that_the_film_came_with(house: House) -> None:
    """Taken away in the meantime, it is there all the same."""
    mask = house.drop("logo.png", "a mask")
    house.drop("film.mp4.erase.yaml", "mask: logo.png")
    house.drop("film.mp4", "companions\nwait\nraise RETRY\n")
    daemon = house.start("once")
    house.wait(lambda: (house.root / "companions").exists())
    mask.unlink()
    (house.root / "go").touch()
    assert daemon.wait() == 1
    assert told(house) == [{"mask": "a mask"}] * 3


def test_a_subtitle_file_goes_where_its_film_goes(house: House) -> None:
    """To failed/, back with ``requeue``, and at last to originals/; nobody else's is touched."""
    house.drop("film.srt", "cues")
    house.drop("other.srt", "of no film here")
    house.drop("film.mp4", "companions\nraise FIX_INPUT\n")
    assert house.once() == 1
    assert (house.failed / "film.srt").read_text() == "cues"
    (house.failed / "film.mp4").write_text(FILM)
    done = run("requeue", "--config", house.config, "film.mp4")
    assert done.returncode == 0, done.stdout
    assert house.files("inbox") == ["film.mp4", "film.srt", "other.srt"]
    assert house.once() == 0
    assert told(house) == [{"cues.srt": "cues"}] * 3  # it was looked at twice before it failed
    assert house.files("originals") == ["film.mp4", "film.srt"]
    assert house.files("inbox") == ["other.srt"]


def test_requeue_overwrites_no_subtitle_file(house: House) -> None:
    """Another one of that name in the inbox keeps the film in failed/."""
    house.drop("film.srt", "cues")
    house.drop("film.mp4", "raise FIX_INPUT\n")
    assert house.once() == 1
    house.drop("film.srt", "other cues")
    assert run("requeue", "--config", house.config, "film.mp4").returncode == 1
    assert (house.inbox / "film.srt").read_text() == "other cues"
    assert (house.failed / "film.srt").read_text() == "cues"
    assert house.films("failed") == ["film.mp4"]


def test_a_film_waits_for_its_subtitle_file(house: House) -> None:
    """While somebody writes it the film is not taken."""
    house.configure(inbox={"settle_local_seconds": 0.2, "rescan_seconds": 0.1})
    writer = (house.inbox / "film.srt").open("w")
    writer.write("half of the ")
    writer.flush()
    house.drop("film.mp4", FILM)
    house.drop("other.mp4", FILM)
    daemon = house.start()
    house.wait(lambda: house.films("done") == ["other.mp4"])
    assert house.films("inbox") == ["film.mp4"]
    writer.write("cues")
    writer.close()
    house.wait(lambda: len(house.films("done")) == 2)
    assert daemon.stop() == 0
    assert {"cues.srt": "half of the cues"} in told(house)


@pytest.mark.parametrize(
    "name",
    ["../secret.png", "/etc/hostname", "a/../../secret.png", ".", "..", "a//b.png", "a/./b.png"],
)
def test_masks_from_elsewhere_are_refused(house: House, name: str) -> None:
    """A path that leads out of the folder is no name of a mask, whether it is there or not."""
    (house.root / "secret.png").write_text("secret")
    house.drop("film.mp4.erase.yaml", f"mask: {name}")
    house.drop("film.mp4", FILM)
    assert house.once() == 1
    explained = house.explanation("film.mp4")
    assert explained["error"] == "BadSidecar"
    assert "mask: must be the name of a file in the same folder" in explained["sentence"]
    assert house.work_is_empty()


def test_a_missing_mask_fails_its_film(house: House) -> None:
    """Without it the film is not done as if it had none."""
    house.drop("film.mp4.erase.yaml", "mask: logo.png")
    house.drop("film.mp4", FILM)
    assert house.once() == 1
    explained = house.explanation("film.mp4")
    assert "film.mp4.erase.yaml: mask: logo.png is not there" in explained["sentence"]
    assert explained["remedy"] == "fix-input"


def test_a_link_that_is_called_a_subtitle_file(house: House) -> None:
    """It is not followed, and not passed over in silence."""
    (house.root / "secret").write_text("secret")
    (house.inbox / "film.srt").symlink_to(house.root / "secret")
    house.drop("film.mp4", FILM)
    assert house.once() == 1
    assert "film.srt: it is a symbolic link" in house.explanation("film.mp4")["sentence"]


def _link_to_file(inbox: Path, outside: Path) -> None:
    (inbox / "a").mkdir()
    (inbox / "a" / "mask.png").symlink_to(outside / "mask.png")


def _link_to_folder(inbox: Path, outside: Path) -> None:
    (inbox / "a").symlink_to(outside)


def _pipe(inbox: Path, _outside: Path) -> None:
    (inbox / "a").mkdir()
    os.mkfifo(inbox / "a" / "mask.png")


def _folder(inbox: Path, _outside: Path) -> None:
    (inbox / "a" / "mask.png").mkdir(parents=True)


def _huge(inbox: Path, _outside: Path) -> None:
    (inbox / "a").mkdir()
    with (inbox / "a" / "mask.png").open("wb") as file:
        file.truncate(MAX_MASK_BYTES + 1)


@pytest.mark.parametrize("make", [_link_to_file, _link_to_folder, _pipe, _folder, _huge])
def test_what_is_no_plain_file_below_the_inbox_is_not_copied(
    tmp_path: Path, make: Callable[[Path, Path], None]
) -> None:
    """A plain ``open`` would read the links' goals and wait for the pipe; ours does neither."""
    inbox, outside, folder = tmp_path / "inbox", tmp_path / "outside", tmp_path / "job"
    for one in (inbox, outside, folder):
        one.mkdir()
    (outside / "mask.png").write_text("secret")
    make(inbox, outside)
    if make in (_link_to_file, _link_to_folder):
        assert (inbox / "a" / "mask.png").read_text() == "secret"  # what the guard is for
    with pytest.raises(BadSidecar, match=r"mask: mask\.png"):
        copy_mask(inbox, PurePosixPath("a/mask.png"), folder, named_in=inbox / ".erase.yaml")
    assert list(folder.iterdir()) == []


def test_a_copied_mask_is_whole(tmp_path: Path) -> None:
    """In a folder below, too; nothing but the mask lies in the job's folder then."""
    (tmp_path / "inbox" / "a").mkdir(parents=True)
    (tmp_path / "job").mkdir()
    content = os.urandom(3_000_000)
    (tmp_path / "inbox" / "a" / "mask.mkv").write_bytes(content)
    name = PurePosixPath("a/mask.mkv")
    copy_mask(tmp_path / "inbox", name, tmp_path / "job", named_in=tmp_path / ".erase.yaml")
    assert [one.name for one in (tmp_path / "job").iterdir()] == [MASK_FILE]
    assert (tmp_path / "job" / MASK_FILE).read_bytes() == content


def mask_png() -> bytes:
    """A picture of 320x180 with a white rectangle."""
    mask = np.zeros((180, 320), np.uint8)
    mask[20:60, 40:120] = 255
    encoded, data = cv2.imencode(".png", mask)
    assert encoded
    return data.tobytes()


def test_real_films_with_companions(house: House, tmp_path: Path) -> None:
    """The real worker: a mask says what goes, cues say when, bad ones say why not."""
    captions = [Caption("Where were you?", 8, 30), Caption("Nobody told me so", 100, 122)]
    make_film(tmp_path / "film.mp4", captions, frames=130)
    film = (tmp_path / "film.mp4").read_bytes()
    house.drop("logo.png", mask_png())
    house.drop("torn.png", mask_png()[:40])
    house.drop("masked.mp4.erase.yaml", "mask: logo.png")
    house.drop("badmask.mp4.erase.yaml", "mask: torn.png")
    house.drop("timed.srt", "1\n00:00:04,300 --> 00:00:04,600\nNobody told me so\n")
    house.drop("badcues.srt", "these are words")
    for name in ("masked", "badmask", "timed", "badcues"):
        house.drop(f"{name}.mp4", film)
    assert house.once(quick=False, seconds=110) == 1
    assert house.films("done") == ["masked.mp4", "timed.mp4"]
    masked = house.report("masked.mp4")["report"]
    assert [event["box_xyxy"] for event in masked["events"]] == [[40, 20, 120, 60]]
    timed = house.report("timed.mp4")["report"]
    assert {(event["start"], event["stop"]) for event in timed["events"]} == {(100, 122)}
    assert (
        "badmask.mp4: its mask torn.png is a damaged PNG"
        in (house.explanation("badmask.mp4")["sentence"])
    )
    assert (
        "badcues.mp4: its subtitle file holds no times"
        in (house.explanation("badcues.mp4")["sentence"])
    )
    assert not (house.done / "masked.und.srt").exists()
    assert house.files("originals") == [
        "masked.mp4", "masked.mp4.erase.yaml", "timed.mp4", "timed.srt",
    ]  # fmt: skip


def test_erase_with_companions(tmp_path: Path) -> None:
    """The command line takes them, too, and says which one is not there."""
    make_film(tmp_path / "film.mp4", [Caption("Where were you?", 8, 30)])
    (tmp_path / "logo.png").write_bytes(mask_png())
    (tmp_path / "film.yaml").write_text("mask: logo.png\nencode: {crf: 20}")
    done = run(
        "erase", "--settings", tmp_path / "film.yaml", tmp_path / "film.mp4", tmp_path / "a.mp4"
    )
    assert done.returncode == 0, done.stderr
    assert "1 subtitle," in done.stderr
    (tmp_path / "film.srt").write_text("1\n00:10:00,000 --> 00:10:02,000\nLate\n")
    done = run("erase", "--cues", tmp_path / "film.srt", tmp_path / "film.mp4", tmp_path / "b.mp4")
    assert done.returncode == 0, done.stderr
    words = " ".join(done.stderr.split())  # the console breaks lines where it likes
    assert "no subtitles found; copied" in words
    assert "no subtitle was found at the times of the .srt" in words
    done = run("erase", "--mask", tmp_path / "no.png", tmp_path / "film.mp4", tmp_path / "c.mp4")
    assert done.returncode == 1
    assert "no.png: there is no such mask file" in done.stderr
