"""Real filesystems of other kinds below our folders: other names, other limits."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.house import House, problems
from tests.process.images import mounted
from tests.process.test_daemon_life import run_command

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("mounts")]

FILM = "segments 1\n"
FORK = "user.DosStream.AFP_Resource:$DATA"
"""Attribute in which Samba's streams_xattr keeps a Mac's resource fork."""


@pytest.fixture
def xfs_house(tmp_path: Path) -> Iterator[House]:
    """A house on XFS, whose extended attributes may have 64 kB; originals/ is on ext4."""
    with mounted("xfs", tmp_path / "xfs") as root, mounted("ext4", tmp_path / "ext4") as originals:
        house = House(root)
        house.place(originals=originals / "originals")
        yield house
        house.close()


def test_an_original_with_a_resource_fork(xfs_house: House) -> None:
    """An attribute that the other filesystem refuses is left; the rest comes along."""
    house = xfs_house
    film = house.drop("film.mp4", FILM)
    os.setxattr(film, FORK, bytes(60_000))
    os.setxattr(film, "user.note", b"kept")
    os.utime(film, (1_000_000_000, 1_000_000_000))
    house.drop("good.mp4", FILM)
    daemon = house.start()
    house.wait(lambda: house.films("originals") == ["film.mp4", "good.mp4"])
    original = house.originals / "film.mp4"
    assert os.listxattr(original) == ["user.note"]
    assert original.stat().st_mtime == 1_000_000_000
    (told,) = daemon.said("move.attributes_lost")
    assert told["lost"] == [FORK]
    assert daemon.stop() == 0
    assert house.films("done") == ["film.mp4", "good.mp4"]
    assert house.work_is_empty()


STRANGE = ("a:b?/What*.mp4", "dots./end. .mp4", 'quote".mp4', "con.mp4")
PORTABLE = ["_con.mp4", "a_b_/What_.mp4", "dots_/end. .mp4", "good.mp4", "quote_.mp4"]
REFUSED = {"vfat": ["\u30d5\u30a3\u30eb\u30e0.mp4"]}
"""Names that a filesystem does not take although Windows would: FAT without a character set."""


@pytest.mark.parametrize("kind", ["exfat", "ntfs", "vfat"])
def test_results_on_a_filesystem_that_takes_few_names(house: House, kind: str) -> None:
    """Results get names that it takes; log and doctor say so once; other folders keep names."""
    with mounted(kind, house.root / "usb") as disk:
        house.place(done=disk / "done", originals=disk / "originals")
        refused = REFUSED.get(kind, [])
        for name in (*STRANGE, *refused, "good.mp4"):
            house.drop(name, FILM)
        house.drop("bad?.mp4", "raise FIX_INPUT\n")
        daemon = house.start()
        house.wait(lambda: len(house.films("done")) == len(PORTABLE))
        house.wait(lambda: house.films("failed") == ["bad?.mp4", *refused])
        house.wait(lambda: len(house.films("originals")) == len(PORTABLE))
        assert house.films("done") == house.films("originals") == PORTABLE
        assert json.loads((house.done / "a_b_/What_.mp4.report.json").read_text())
        (told,) = daemon.said("folders.names_limited")
        assert told["folders"] == ["done", "originals"]
        assert all(any(name in one for name in refused) for one in problems(daemon))
        findings = " ".join(run_command(house, "doctor").split())
        assert findings.count("takes only names that Windows allows") == 2
        assert daemon.stop() == 0
        assert house.work_is_empty()
        house.close()
