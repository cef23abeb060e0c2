"""A real Samba server on loopback, and senders that use it as Windows and Macs do."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.conftest import wait_for

PROGRAMS = ("smbd", "smbclient")


def why_not() -> str:
    """What this machine lacks for serving a share; empty where nothing does."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"{' and '.join(missing)} missing: apt-get install samba smbclient" if missing else ""


class Server:
    """``smbd`` with one share, ``inbox``, open to guests."""

    def __init__(self, folder: Path, inbox: Path) -> None:
        self._folder = folder
        for name in ("private", "lock", "state", "cache", "pid", "ncalrpc"):
            (folder / name).mkdir(parents=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._config = folder / "smb.conf"
        self._config.write_text(
            f"""
            [global]
                smb ports = {self.port}
                interfaces = 127.0.0.1
                bind interfaces only = yes
                server role = standalone server
                map to guest = bad user
                guest account = root
                private dir = {folder}/private
                lock directory = {folder}/lock
                state directory = {folder}/state
                cache directory = {folder}/cache
                pid directory = {folder}/pid
                ncalrpc dir = {folder}/ncalrpc
                log file = {folder}/log
                disable spoolss = yes
                load printers = no
            [inbox]
                path = {inbox}
                read only = no
                guest ok = yes
                force user = root
                strict allocate = yes
            """.replace("\n            ", "\n")
        )
        with (folder / "out").open("wb") as output:
            self._process = subprocess.Popen(
                ["smbd", "--foreground", "--no-process-group", f"--configfile={self._config}"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        wait_for(self._answers, tell=lambda: (folder / "out").read_text())

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def send(self, *commands: str, check: bool = True) -> str:
        """What ``smbclient`` says to commands, once it has ended."""
        done = subprocess.run(
            self._client(commands), capture_output=True, text=True, check=False, timeout=60
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def sender(self, *commands: str) -> subprocess.Popen[bytes]:
        """An ``smbclient`` at work, whose ``put -`` reads what is written to its input."""
        return subprocess.Popen(
            self._client(commands),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _client(self, commands: Sequence[str]) -> list[str]:
        share = ["smbclient", "//127.0.0.1/inbox", "--port", str(self.port), "--no-pass"]
        return [*share, "--configfile", str(self._config), "--command", "; ".join(commands)]

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()
