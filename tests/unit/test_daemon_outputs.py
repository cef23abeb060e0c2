"""What published files are called and whose they are."""

from __future__ import annotations

import grp
import os
import stat
from pathlib import Path, PurePosixPath

import pytest

from daemon.config.locations import FolderSettings, folders_below
from daemon.folders.checks import prove
from daemon.folders.permissions import apply_mode
from daemon.storage.names import output_name, portable_name, same_on_windows
from erasecore.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "portable"),
    [
        ("film.mp4", "film.mp4"),
        ("what? 1:2 <a|b>*.mp4", "what_ 1_2 _a_b__.mp4"),
        ("new\nline.mp4", "new_line.mp4"),
        ("ends with dots...", "ends with dots___"),
        ("ends with space ", "ends with space_"),
        ("...", "___"),
        ("con.mp4", "_con.mp4"),
        ("Aux", "_Aux"),
        ("LPT1.tar.mp4", "_LPT1.tar.mp4"),
        ("console.mp4", "console.mp4"),
        ("back\\slash.mp4", "back_slash.mp4"),
        ("latin \udce9.mp4", "latin _.mp4"),
        ("\N{CLAPPER BOARD} 電影.mp4", "\N{CLAPPER BOARD} 電影.mp4"),
    ],
)
def test_portable_names(name: str, portable: str) -> None:
    """What Windows allows in no name, or not at that place, becomes an underscore."""
    assert portable_name(name) == portable
    assert portable_name(portable) == portable


def test_folders_are_portable_too() -> None:
    """Each part of a result's path is; without being asked only the composition changes."""
    found = PurePosixPath("a:b./nul/u\u0308ber?.mp4")
    assert str(output_name(found, portable=True)) == "a_b_/_nul/über_.mp4"
    assert str(output_name(found)) == "a:b./nul/über?.mp4"


def test_names_that_clash_on_windows() -> None:
    """Case and composition make no difference there."""
    assert same_on_windows("Füße.MP4") == same_on_windows("fu\u0308ße.mp4")
    assert same_on_windows("a.mp4") != same_on_windows("b.mp4")


def test_files_and_folders_are_dressed(tmp_path: Path) -> None:
    """A file gets the mode as it is; a folder can be entered by whoever may read it."""
    file, folder = tmp_path / "film.mp4", tmp_path / "folder"
    file.touch(0o600)
    folder.mkdir(0o700)
    folder.chmod(0o2700)
    mine = grp.getgrgid(os.getegid()).gr_name
    for path in (file, folder):
        apply_mode(path, FolderSettings(mode="0640", group=mine))
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert stat.S_IMODE(folder.stat().st_mode) == 0o2750
    assert file.stat().st_gid == os.getegid()


def test_a_link_is_not_dressed(tmp_path: Path) -> None:
    """Whoever puts a link where we published something changes no other file by it."""
    other, link = tmp_path / "other", tmp_path / "link"
    other.touch(0o600)
    link.symlink_to(other)
    apply_mode(link, FolderSettings(mode="0666"))
    assert stat.S_IMODE(other.stat().st_mode) == 0o600


def test_an_unknown_group_is_refused_at_the_start(tmp_path: Path) -> None:
    """The operator is told which key, and what to do."""
    folders = folders_below(tmp_path, FolderSettings(group="nobodys"))
    with pytest.raises(ConfigError, match=r"folders\.group: there is no group nobodys"):
        prove(folders, token="t")
