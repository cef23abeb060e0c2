"""Daemons that see the same folders from different namespaces: a hardened unit, a container."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.folders.mount_table import filesystem_of, mounts
from tests.process.house import REPOSITORY, House

pytestmark = pytest.mark.process

OWN_MOUNT = 'mount --bind "$0" "$0" && exec "$@"'
"""A folder is a mount of its own there, as ``ReadWritePaths=`` makes it."""
OWN_BOOT_ID = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"'
"""Another boot id is seen there, as containers show it."""


NO_PROC = 'mount -t tmpfs none /proc && exec "$@"'
"""Nothing is seen of any process, nor of mounts, there."""


def inside(script: str, argument: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a mount namespace of its own, which ``script`` arranges."""
    argv = ["unshare", "--mount", "--", "sh", "-c", script, str(argument), *map(str, command)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, cwd=REPOSITORY)


@pytest.fixture(autouse=True)
def _able(tmp_path: Path) -> None:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("namespaces take root and unshare")
    (tmp_path / "boot_id").write_text("01234567-89ab-cdef-0123-456789abcdef\n")
    for script, argument in ((OWN_MOUNT, tmp_path), (OWN_BOOT_ID, tmp_path / "boot_id")):
        if inside(script, argument, "true").returncode != 0:
            pytest.skip("this system makes no such namespaces")


def program(house: House, *command: str) -> list[str]:
    """A command line of the program with the quick worker."""
    module = "daemon" if command[0] == "status" else "tests.process.quick_daemon"
    return [sys.executable, "-m", module, *command, "--config", str(house.config)]


def test_a_unit_sees_the_same_folders(house: House) -> None:
    """A daemon for which the folders are a mount of their own, and one by hand, take turns."""
    for number, in_unit in enumerate((False, True, False)):
        house.drop(f"film{number}.mp4")
        if in_unit:
            done = inside(OWN_MOUNT, house.root, *program(house, "once"))
            assert done.returncode == 0, done.stderr
        else:
            assert house.once() == 0
    assert len(house.films("done")) == 3
    record = json.loads((house.state / "filesystems.json").read_bytes())
    assert record[str(house.inbox)]["location"].endswith("/inbox")


def test_a_record_of_the_release_before(house: House) -> None:
    """Its mount points are not compared, since units had their own; its types are, once."""
    old = house.state / "folders.json"
    old.write_text(json.dumps({str(house.done): "/nowhere (cifs)"}))
    house.drop("film.mp4")
    assert house.once() == 1  # it lay on another share
    kind = filesystem_of(house.done, mounts())
    old.write_text(json.dumps({str(house.done): f"/srv/films ({kind})"}))
    assert house.once() == 0
    assert not old.exists()  # the release before begins anew if it is put back


def test_another_boot_id_is_no_death(house: House, tmp_path: Path) -> None:
    """In a container with two views of /proc a live daemon keeps its film, and is seen alive."""
    boot_id = tmp_path / "boot_id"
    house.configure(claims={"heartbeat_seconds": 2.0, "lease_seconds": 60.0})
    house.drop("film.mp4", "segments 2\nwait go\n")
    daemon = house.start()
    house.wait(lambda: daemon.said("attempt.started"))
    answer = inside(OWN_BOOT_ID, boot_id, *program(house, "status", "--json"))
    (view,) = json.loads(answer.stdout)["daemons"]
    assert (view["standing"], view["well"], answer.returncode) == ("alive", True, 0)
    done = inside(OWN_BOOT_ID, boot_id, *program(house, "once"))
    assert done.returncode == 0, done.stderr
    assert "claims.taken_over" not in done.stderr
    (house.root / "go").touch()
    house.wait(lambda: house.films("done") == ["film.mp4"])
    assert not daemon.said("claims.lost")
    assert daemon.stop() == 0
    assert house.work_is_empty()


def test_a_dead_daemon_of_another_boot_id(house: House, tmp_path: Path) -> None:
    """The lock is free, so the film goes on at once, though the lease has long to run."""
    house.configure(claims={"heartbeat_seconds": 10.0, "lease_seconds": 600.0})
    house.drop("film.mp4", "segments 2\nwait go\n")
    daemon = house.start()
    house.wait(lambda: daemon.said("attempt.started"))
    daemon.end()
    (house.root / "go").touch()
    done = inside(OWN_BOOT_ID, tmp_path / "boot_id", *program(house, "once"))
    assert done.returncode == 0, done.stderr
    assert house.films("done") == ["film.mp4"]


def test_without_proc(house: House) -> None:
    """Nothing is known of mounts and processes: nobody is called dead, nor a folder moved."""
    house.configure(claims={"heartbeat_seconds": 2.0, "lease_seconds": 60.0})
    house.drop("film.mp4", "segments 2\nwait go\n")
    daemon = house.start()
    house.wait(lambda: daemon.said("attempt.started"))
    record = (house.state / "filesystems.json").read_bytes()
    answer = inside(NO_PROC, house.root, *program(house, "status", "--json"))
    (view,) = json.loads(answer.stdout)["daemons"]
    assert (view["well"], answer.returncode) == (True, 0)
    done = inside(NO_PROC, house.root, *program(house, "once"))
    assert done.returncode == 0, done.stderr
    assert "claims.taken_over" not in done.stderr
    assert "filesystems.unknown" in done.stderr
    assert (house.state / "filesystems.json").read_bytes() == record
    (house.root / "go").touch()
    house.wait(lambda: house.films("done") == ["film.mp4"])
    assert daemon.stop() == 0
    assert house.once() == 0
