"""One worker process as the operating system sees it: spawn, two pipes, exit status, kill."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import structlog

from daemon.runtime.log_limits import shorten
from daemon.workers.oom_kills import OomKillCount, count_oom_kills
from erasecore.errors import printable

log = structlog.get_logger(__name__)

KILL_SECONDS = 5.0
"""Longest wait for a killed process, in seconds; a guess."""
EXIT_SECONDS = 5.0
"""Longest wait for a process that was asked to end or has closed its pipe, in seconds; a guess."""
OOM_SCORE = "500"
"""Value of ``oom_score_adj`` (-1000 to 1000): out of memory, the kernel kills a worker first, not
the daemon."""
READ_BYTES = 1 << 20
"""Bytes read from the pipe at once."""
LAST_BYTES = 2000
"""Bytes at the end of a log in which its last line is searched."""


class ChildProcess:
    """At most one worker process at a time, in its own session and process group.

    The child gets the file descriptors of a command pipe and an answer pipe as its first two
    arguments; its standard output and error are appended to a log file.
    """

    def __init__(self, command: Sequence[str], log: Path, *, number: int) -> None:
        self.log = log
        self._number = number  # of the worker, for log lines
        self._command = tuple(command)
        self._process: subprocess.Popen[bytes] | None = None
        self._commands = self._answers = -1  # our ends of the pipes; -1: closed
        self._oom_kills = OomKillCount(None, None)  # at the start of the process or attempt

    @property
    def pid(self) -> int | None:
        """Process id, or None while there is no process."""
        return self._process.pid if self._process else None

    def fileno(self) -> int | None:
        """Return our end of the answer pipe, for select(); None while there is no process."""
        return self._answers if self._process else None

    def spawn(self, arguments: Sequence[str], variables: Mapping[str, str]) -> None:
        """Start the process.

        Args:
            arguments: put behind the two pipe descriptors.
            variables: environment variables added to our own.

        Raises:
            OSError: the process or its log cannot be created; nothing is left open.
        """
        shorten(self.log)  # each start of a worker that cannot load has added to it
        command_in, self._commands = os.pipe()
        self._answers, answer_out = os.pipe()
        os.set_blocking(self._answers, False)
        pipes = (command_in, answer_out)
        try:
            with self.log.open("ab") as output:
                self._process = subprocess.Popen(
                    [*self._command, *map(str, pipes), *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=pipes,
                    start_new_session=True,
                    env={**os.environ, **variables},  # passed on, not read
                )
        except OSError:
            self._forget()
            raise
        finally:
            for handle in pipes:
                os.close(handle)
        with suppress(OSError):  # not every system has it
            Path(f"/proc/{self._process.pid}/oom_score_adj").write_text(OOM_SCORE)
        self.note_oom_kills()

    def note_oom_kills(self) -> None:
        """Count the OOM kills up to now; later ones explain a death by SIGKILL."""
        self._oom_kills = count_oom_kills()

    def send(self, content: bytes) -> None:
        """Write to the command pipe; a process that has ended is noticed by ``read``."""
        with suppress(BrokenPipeError):
            while content:
                content = content[os.write(self._commands, content) :]

    def read(self) -> bytes | None:
        """Return up to 1 MiB from the answer pipe: None if it is empty, b"" at its end."""
        try:
            return os.read(self._answers, READ_BYTES)
        except BlockingIOError:
            return None

    # --- the end ----------------------------------------------------------------------------

    def ending(self) -> str:
        """Wait for a process that has closed its pipe; return how it ended, as a verb phrase."""
        assert self._process is not None
        try:
            code = self._process.wait(timeout=EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            return "closed its pipe without a word"
        if code >= 0:
            return f"ended by itself with exit code {code}"
        name = signal.Signals(-code).name
        if code != -signal.SIGKILL:
            return f"was killed by {name}"
        return f"was killed by {name}: {count_oom_kills().cause(self._oom_kills)}"

    def was_killed(self) -> bool:
        """Return True if the process ended by SIGKILL that we did not send, e.g. an OOM kill."""
        return self._process is not None and self._process.poll() == -signal.SIGKILL

    def last_words(self) -> str:
        """Return the last non-empty line of the log, escaped; "" if there is none."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - LAST_BYTES))
                lines = file.read().splitlines()
        except OSError:
            return ""
        last = next((line for line in reversed(lines) if line.strip()), b"")
        return printable(os.fsdecode(last.strip()))

    def hang_up(self) -> None:
        """Close the command pipe, which asks an idle worker to end."""
        if self._commands >= 0:
            os.close(self._commands)
            self._commands = -1

    def wait_for_exit(self) -> None:
        """Return once the process has ended, or after ``EXIT_SECONDS``."""
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=EXIT_SECONDS)

    def kill(self) -> None:
        """Send SIGKILL to the whole process group, reap the process and close the pipes."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):  # every process of the group has ended already
            os.killpg(self._process.pid, signal.SIGKILL)
        try:
            self._process.wait(timeout=KILL_SECONDS)
        except subprocess.TimeoutExpired:
            # In uninterruptible sleep (state D), e.g. on a dead NFS mount: SIGKILL takes effect
            # when the mount returns.
            log.warning("worker.not_reaped", pid=self._process.pid, worker=self._number)
        self._forget()

    def _forget(self) -> None:
        for handle in (self._commands, self._answers):
            if handle >= 0:
                os.close(handle)
        self._commands = self._answers = -1
        self._process = None
