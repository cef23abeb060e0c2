"""Folders and files below a root, by handles: no link on the way is followed."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from daemon.config.locations import InboxSettings
from daemon.inbox.scanner import Rules, SkippedEntries, scan
from daemon.storage import below
from daemon.storage.below import (
    GONE_ERRNOS,
    folder_below,
    folders_down,
    open_below,
    pinned,
    read_in,
    status_in,
)


@pytest.fixture(params=["openat2", "steps"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder with ``a/b/film``, ``outside/b/film`` and a link to that one, by both ways."""
    for folder, text in (("root/a/b", "inside"), ("outside/b", "secret")):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "film").write_text(text)
    (tmp_path / "root" / "link").symlink_to(tmp_path / "outside")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "steps":
            patch.setattr(below, "_has_openat2", lambda: False)
        yield tmp_path / "root"


def listed(folder: int) -> list[str]:
    """The names in an open folder."""
    return sorted(os.listdir(folder))


def test_folder_below(root: Path) -> None:
    """A handle leads into the folder even if its name is taken by a link meanwhile."""
    with folder_below(root, PurePosixPath("a/b")) as folder:
        (root / "a").rename(root / "moved")
        (root / "a").symlink_to(root.parent / "outside")
        assert read_in(folder, "film", 100) == b"inside"
        assert status_in(folder, "film") == (root / "moved" / "b" / "film").lstat()
        assert status_in(folder, "x" * 300) is None
        assert (pinned(folder) / "film").read_text() == "inside"
    with folder_below(root, PurePosixPath(".")) as folder:
        assert listed(folder) == ["a", "link", "moved"]


@pytest.mark.parametrize("name", ["link/b", "a/b/film", "nothing/here", "link"])
def test_what_is_no_folder_below(root: Path, name: str) -> None:
    """Links, files and missing folders are refused with an error that names the place."""
    with (
        pytest.raises(OSError, match=str(root / name.split("/")[0])) as caught,
        folder_below(root, PurePosixPath(name)),
    ):
        pass
    assert caught.value.errno in GONE_ERRNOS


def test_a_path_that_leads_out(root: Path) -> None:
    """Two full stops are no way out."""
    for name in ("..", "a/../../outside"):
        with (
            pytest.raises(OSError, match=r"cross-device|out of"),
            folder_below(root, PurePosixPath(name)),
        ):
            pass


def test_a_file_below(root: Path) -> None:
    """It is opened if no part of its path is a link."""
    os.close(open_below(root, PurePosixPath("a/b/film")))
    (root / "a" / "link").symlink_to("b/film")
    for name in ("link/b/film", "a/link"):
        with pytest.raises(OSError, match=r"film|link|levels"):
            open_below(root, PurePosixPath(name))


def test_folders_down(root: Path) -> None:
    """Each folder of a path, until one is missing or a link."""
    found = [listed(folder) for folder in folders_down(root, PurePosixPath("a/b/c"))]
    assert found == [["a", "link"], ["b"], ["film"]]
    assert len(list(folders_down(root, PurePosixPath("link/b")))) == 1


def test_folders_are_made_below(root: Path) -> None:
    """Missing folders are made, and never behind a link."""
    with folder_below(root, PurePosixPath("a/new/inner"), make=True):
        assert (root / "a" / "new" / "inner").is_dir()
    with (
        pytest.raises(NotADirectoryError),
        folder_below(root, PurePosixPath("link/new"), make=True),
    ):
        pass
    assert [path.name for path in (root.parent / "outside").iterdir()] == ["b"]


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A folder that is removed after the test; nobody else can remove one that is so deep."""
    yield tmp_path
    subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)


def test_a_thousand_levels_take_no_time(deep: Path) -> None:
    """Whoever nests folders a thousand levels deep does not hold up the scan."""
    folder = os.open(deep, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=folder)
        inner = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(os.open("film.mp4", os.O_CREAT | os.O_CLOEXEC, dir_fd=folder))
    os.close(folder)
    skipped, began = SkippedEntries(), time.process_time()
    (entry,) = scan(deep, Rules(InboxSettings()), skipped)
    assert entry.name == "d/" * 1500 + "film.mp4"
    assert not skipped.closed
    assert not skipped.too_deep
    assert time.process_time() - began < 5.0  # of the processor: a busy machine takes no more
