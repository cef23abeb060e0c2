"""A program that is run for an event: argv without a shell, the event on standard input.

It has a session of its own, which is killed when the program has ended or its time is up: children
that it leaves behind do not stay, unless they have made a session of theirs. Its standard output
goes nowhere; of its standard error the beginning is kept, the rest is read and forgotten.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from threading import Event as Flag

from erasecore.errors import printable

KEPT_BYTES = 500
"""Bytes of standard error that are kept, for the log. A guess."""
_CHUNK_BYTES = 65536
_STOP_LOOK_SECONDS = 0.5
"""Time between two looks at whether the program is to be stopped, in seconds. A guess."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a program."""

    succeeded: bool  # it exited with 0
    reason: str  # why not; with the beginning of its standard error
    code: int = -1  # its exit code; negative: there is none


def run_command(
    argv: Sequence[str],
    stdin: bytes,
    variables: Mapping[str, str],
    *,
    seconds: float,
    cut_off: Flag,
    kept_bytes: int = KEPT_BYTES,
) -> Ended:
    """Run a program to its end, at most for ``seconds`` and until ``cut_off`` is set.

    Args:
        argv: the program's path and its arguments.
        stdin: its standard input.
        variables: all its environment variables.
        seconds: longest time, after which it is killed.
        cut_off: set when the program is to be killed.
        kept_bytes: how many bytes of its standard error are kept for the reason.
    """
    try:
        process = _started(argv, stdin, variables)
    except OSError as error:
        return Ended(False, f"it cannot be started: {error.strerror or error}.")
    try:
        said, in_time = _watch(process, seconds, cut_off)
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # not reaped yet, so the number is still its own
        process.wait()
    return _ended(process.returncode, said[:kept_bytes], in_time=in_time, seconds=seconds)


def _started(
    argv: Sequence[str], stdin: bytes, variables: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start a program; its standard input is a file in memory, so that it need not be read."""
    with open(os.memfd_create("event"), "w+b") as given:  # noqa: PTH123 - a handle, no path
        given.write(stdin)
        given.seek(0)
        return subprocess.Popen(
            argv,
            stdin=given,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=variables,
            cwd="/",
            start_new_session=True,
        )


def _watch(process: subprocess.Popen[bytes], seconds: float, cut_off: Flag) -> tuple[bytes, bool]:
    """Read standard error until the process ends; return its beginning, and True if it ended.

    The end of the process counts, not that of the pipe, which its children may keep open.
    """
    assert process.stderr is not None
    said, deadline = b"", time.monotonic() + seconds
    with (
        process.stderr as pipe,
        closing(selectors.DefaultSelector()) as selector,
        open(os.pidfd_open(process.pid), "rb", buffering=0) as ending,  # noqa: PTH123 - as above
    ):
        selector.register(pipe, selectors.EVENT_READ)
        selector.register(ending, selectors.EVENT_READ)
        while not cut_off.is_set() and (left := deadline - time.monotonic()) > 0:
            ready = {key.fileobj for key, _ in selector.select(min(left, _STOP_LOOK_SECONDS))}
            if pipe in ready:
                chunk = os.read(pipe.fileno(), _CHUNK_BYTES)
                said += chunk[: KEPT_BYTES - len(said)]
                if not chunk:
                    selector.unregister(pipe)
            if ending in ready:
                return said, True
    return said, False


def _ended(code: int, said: bytes, *, in_time: bool, seconds: float) -> Ended:
    if in_time and code == 0:
        return Ended(True, "", code)
    if not in_time:
        reason = f"it was killed: it did not end within {seconds:g} s, or this service ends."
    elif code < 0:
        reason = f"it was ended by signal {-code}."
    else:
        reason = f"it exited with {code}."
    text = printable(said.decode("utf-8", "replace").strip())
    return Ended(False, f"{reason} It said: {text}" if text else reason, code)
