"""I/O errors of one step as a host problem that lasts until the step succeeds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from daemon.runtime.host_problems import HostProblems
from daemon.storage.os_errors import hint_for


@contextmanager
def io_problem(
    problems: HostProblems, subject: str, *, place: object, now: float, pauses: bool = True
) -> Iterator[None]:
    """Report an ``OSError`` of the block as the problem ``subject``; clear it on success.

    Args:
        problems: where the problem is recorded.
        subject: name of the step.
        place: file or folder for the sentence, if the error names none.
        now: monotonic time in seconds.
        pauses: True if the queue waits for it.
    """
    try:
        yield
    except OSError as error:
        path = error.filename2 or error.filename or place
        sentence = f"{path} {hint_for(error)}"
        kind = (
            f"{error.errno} {Path(str(path)).parent}"  # not each temporary name that it is said of
        )
        problems.report(subject, sentence, now=now, pauses=pauses, kind=kind)
    else:
        problems.clear(subject)
