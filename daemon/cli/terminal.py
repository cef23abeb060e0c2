"""Output of commands that go on until they are interrupted."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

EXIT_INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 and the number of SIGINT."""


def until_interrupted(follow: Callable[[], int]) -> int:
    """Return the exit code of ``follow``; end quietly on Ctrl-C or when nobody reads any more."""
    try:
        return follow()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Else Python complains at exit, when it flushes what is left (docs of the module signal).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def write_line(text: str) -> None:
    """Write one line to standard output at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
