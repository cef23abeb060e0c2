"""House guards: what no test may leave behind, whatever it is about."""

from __future__ import annotations

import faulthandler
import gc
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import psutil
import pytest
import structlog
from hypothesis import HealthCheck, settings
from structlog.typing import EventDict, WrappedLogger

HANG_SECONDS = 240.0
"""No test may take longer, unless marked ``budget(seconds)``; the machine may be busy."""
GRACE_SECONDS = 20.0
"""How long threads, processes and handles of a test may take to go after it."""


def pytest_configure(config: pytest.Config) -> None:
    """Name our markers; let no property fail because the machine is busy."""
    settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("busy")
    config.addinivalue_line("markers", "errors_logged: the test provokes records at ERROR")
    config.addinivalue_line("markers", "budget(seconds): how long the test may take at most")
    config.addinivalue_line("markers", "process: starts real daemons")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The installed service takes root and minutes: only where it is asked for by name."""
    system = Path(__file__).parent / "system"
    named = (Path(one.partition("::")[0]).resolve() for one in config.args)
    asked = any(path.is_relative_to(system) for path in named)
    return True if collection_path == system and not asked else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test states its behaviour in a sentence."""
    for item in items:
        function = getattr(item, "function", None)
        is_machine = (
            item.name == "runTest"
        )  # Hypothesis' state machines: the class has the sentence
        if function is not None and not function.__doc__ and not is_machine:
            item.warn(pytest.PytestWarning(f"{item.nodeid}: has no sentence"))


@pytest.fixture(autouse=True)
def _no_hang(request: pytest.FixtureRequest) -> Iterator[None]:
    """End a test that hangs, showing where every thread is."""
    marker = request.node.get_closest_marker("budget")
    seconds = float(marker.args[0]) if marker else HANG_SECONDS

    def on_alarm(_number: int, _frame: FrameType | None) -> None:
        faulthandler.dump_traceback(sys.__stderr__ or sys.stderr)
        raise TimeoutError(f"the test took more than {seconds:g} seconds")

    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(autouse=True)
def log_records(request: pytest.FixtureRequest) -> Iterator[list[EventDict]]:
    """What is logged; a record at ERROR fails the test unless it is marked ``errors_logged``."""
    records: list[EventDict] = []

    def keep(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        records.append(dict(event))
        raise structlog.DropEvent

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            keep,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        cache_logger_on_first_use=False,
    )
    yield records
    structlog.reset_defaults()
    if request.node.get_closest_marker("errors_logged") is None:
        errors = [one for one in records if one["level"] in ("error", "critical", "exception")]
        assert not errors, f"logged at ERROR: {errors}"


@pytest.fixture(autouse=True)
def _no_leaks() -> Iterator[None]:
    """No thread, child process, pipe, socket, watch or temporary file is left open by a test."""
    threads, children, handles = set(threading.enumerate()), _children(), _handles()
    yield
    left = _wait_until_none(lambda: set(threading.enumerate()) - threads)
    # A pool of a library that lives as long as the process is not the test's leak.
    named = [one.name for one in left if not one.daemon]
    assert not named, f"threads left: {named}"
    processes = _wait_until_none(lambda: _children() - children)
    assert not processes, f"processes left: {processes}"
    open_handles = _wait_until_none(lambda: _handles() - handles)
    assert not open_handles, f"handles left: {open_handles}"


def _wait_until_none(look: Callable[[], set]) -> set:  # type: ignore[type-arg] # of whatever is left
    deadline = time.monotonic() + GRACE_SECONDS
    while (left := look()) and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.02)
    return left


def _children() -> set[int]:
    return {child.pid for child in psutil.Process().children() if child.is_running()}


def _handles() -> set[tuple[int, str]]:
    """The open handles that a test can be blamed for; libraries open devices and files lazily."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except FileNotFoundError:
            continue
        blamed = ("pipe:", "socket:", "anon_inode:inotify")
        if target.startswith(blamed) or "/pytest-of-" in target:
            found.add((int(entry.name), target))
    return found


def _holds(condition: Callable[[], object]) -> bool:
    try:
        return bool(condition())
    except FileNotFoundError:
        return False


def wait_for(
    condition: Callable[[], object],
    seconds: float = 30.0,
    *,
    tell: Callable[[], str] = lambda: "",
) -> None:
    """Return once ``condition`` holds; fail if it does not within ``seconds``, with ``tell()``.

    A condition may look at files that processes at work rename: one that is gone at that moment
    makes it false, not wrong.
    """
    deadline = time.monotonic() + seconds
    while not _holds(condition):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:g} seconds for a condition; {tell()}")
        time.sleep(0.02)
