"""A machine of its own for a test: a real systemd, booted over a throw-away copy of this root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.conftest import wait_for
from tests.process.mounts import SickShare

OVERLAY_SIZE = "4g"
BOOT_SECONDS = 60.0
UP = ("running", "degraded")


def why_not() -> str:
    """What this host lacks for booting a machine; empty where nothing does."""
    if os.geteuid() != 0:
        return "a machine can be booted by root only"
    for program, package in (
        ("systemd-nspawn", "systemd-container"),
        ("nsenter", "util-linux"),
        ("systemd-analyze", "systemd"),
    ):
        if shutil.which(program) is None:
            return f"{program} is missing: apt-get install {package}"
    return ""


class Machine:
    """This host's root filesystem, with all changes in memory, and systemd as process 1.

    It has no network. Nothing of it is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "root"
        self._nspawn: subprocess.Popen[bytes] | None = None
        self.second_disk: SickShare | None = None

    # --- life -------------------------------------------------------------------------------

    def mount(self) -> None:
        """Lay an empty layer over this host's root.

        Raises:
            subprocess.CalledProcessError: the host does not allow it.
        """
        self.folder.mkdir()
        _run("mount", "-t", "tmpfs", "-o", f"size={OVERLAY_SIZE}", "tmpfs", self.folder)
        upper, work = self.folder / "upper", self.folder / "work"
        for path in (upper, work, self.root):
            path.mkdir()
        layers = f"lowerdir=/,upperdir={upper},workdir={work}"
        _run("mount", "-t", "overlay", "overlay", "-o", layers, self.root)
        (self.root / "etc/machine-id").write_text(uuid.uuid4().hex + "\n")
        for wanted in (self.root / "etc/systemd/system").glob("*.wants"):
            shutil.rmtree(wanted)  # none of the host's own services

    def boot(self) -> None:
        """Start systemd and wait until it is up."""
        with (self.folder / "console.log").open("ab") as console:
            self._nspawn = subprocess.Popen(
                [
                    *("systemd-nspawn", "--quiet", f"--directory={self.root}", "--register=no"),
                    *("--keep-unit", "--link-journal=no", "--private-network", "--console=pipe"),
                    *(f"--machine=test{os.getpid()}", "--boot", "systemd.unit=multi-user.target"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
        wait_for(self._is_up, seconds=BOOT_SECONDS, tell=self.console)

    def power_off(self) -> None:
        """Shut down in order, or at once where that takes too long."""
        if self._nspawn is None:
            return
        self.run("systemctl", "poweroff", "--no-wall", check=False)
        try:
            self._nspawn.wait(30)
        except subprocess.TimeoutExpired:
            self.pull_the_plug()
        self._nspawn = None

    def pull_the_plug(self) -> None:
        """End every process of the machine at once, as a power cut does."""
        assert self._nspawn is not None
        if (leader := self._leader()) is not None:
            leader.kill()  # process 1 takes all others of its namespace along
        self._nspawn.kill()
        self._nspawn.wait()
        self._nspawn = None

    def unmount(self) -> None:
        """Forget everything."""
        for path in (self.root, self.folder):
            subprocess.run(["umount", "--lazy", path], check=False, capture_output=True)

    # --- inside -----------------------------------------------------------------------------

    def run(self, *command: str | Path, check: bool = True, **variables: str) -> str:
        """What a command says inside, run by root; fails the test if the command does."""
        leader = self._leader()
        assert leader is not None, self.console()
        into = ("nsenter", "-t", str(leader.pid), "-m", "-p", "-u", "-i", "-n", "-C", "--")
        settings = [f"{name}={value}" for name, value in variables.items()]
        done = subprocess.run(
            [*into, "env", "-i", f"PATH={_PATH}", *settings, *map(str, command)],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        if check and done.returncode:
            words = " ".join(map(str, command))
            raise AssertionError(f"{words}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout.strip()

    def show(self, unit: str, name: str) -> str:
        """One property of a unit."""
        return self.run("systemctl", "show", unit, f"--property={name}", "--value")

    def path(self, inside: str | Path) -> Path:
        """Where a file of the machine lies for us."""
        return self.root / str(inside).lstrip("/")

    def console(self) -> str:
        """What the machine has said."""
        return (self.folder / "console.log").read_text("utf-8", "replace")

    def wait(self, condition: Callable[[], bool], unit: str, seconds: float = 60.0) -> None:
        """Return once ``condition`` holds; fail with the unit's journal if it does not."""
        wait_for(condition, seconds=seconds, tell=lambda: self.journal(unit))

    def journal(self, unit: str) -> str:
        """The last that a unit has said."""
        return self.run("journalctl", f"--unit={unit}", "--no-pager", "--lines=80", check=False)

    def _is_up(self) -> bool:
        if self._leader() is None:
            return False
        return self.run("systemctl", "is-system-running", check=False) in UP

    def _leader(self) -> psutil.Process | None:
        """The machine's process 1, as this host sees it."""
        if self._nspawn is None or self._nspawn.poll() is not None:
            return None
        children = psutil.Process(self._nspawn.pid).children()
        return next((child for child in children if child.name() == "systemd"), None)


_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True)


def system_python() -> str | None:
    """A Python that every user of this host can run, and that can make environments."""
    for name in ("python3", "python3.13", "python3.12", "python3.11"):
        for folder in ("/usr/bin", "/usr/local/bin"):
            program = f"{folder}/{name}"
            check = [program, str(REPOSITORY / "tools" / "check_python.py")]
            if os.access(program, os.X_OK) and not subprocess.run(check, check=False).returncode:
                return program
    return None


REPOSITORY = Path(__file__).resolve().parents[2]


def wheelhouse(folder: Path) -> Path:
    """A folder with the wheels that installing the program takes, for a host without network."""
    wheels = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    constraints = ["--constraint", str(REPOSITORY / "constraints.txt")]
    _run(
        *wheels, *constraints, "--wheel-dir", str(folder), f"{REPOSITORY}[notify]", "setuptools>=77"
    )
    return folder
