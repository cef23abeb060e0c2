"""When the inbox is looked at: seldom enough to cost nothing, soon enough to miss nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.config.schema import load_config
from daemon.inbox.blocked_paths import BlockedPaths
from daemon.inbox.candidate_queue import CandidateQueue
from daemon.inbox.left_films import LeftFilms
from daemon.runtime.host_problems import HostProblems
from daemon.runtime.wakeup import Wakeup

SETTLE_SECONDS, RESCAN_SECONDS = 5.0, 60.0


class Clock:
    """A clock on which each look takes so many seconds, of them some of the processor's."""

    def __init__(self, look_seconds: float, busy_share: float) -> None:
        self.now = 1000.0
        self._look_seconds = look_seconds
        self._busy_share = busy_share
        self._calls = 0

    def processor(self) -> float:
        """The processor time."""
        return self.now * self._busy_share

    def __call__(self) -> float:
        """The time; every other call is the end of a look."""
        self._calls += 1
        if self._calls % 2 == 0:
            self.now += self._look_seconds
        return self.now


@pytest.fixture
def wake() -> Iterator[Wakeup]:
    """What an event wakes."""
    wake = Wakeup()
    yield wake
    wake.close()


def looked(
    wake: Wakeup, root: Path, look_seconds: float, busy_share: float = 1.0
) -> tuple[CandidateQueue, Clock]:
    """An intake that polls an inbox, after its first look."""
    (root / "inbox").mkdir()
    (root / "config.yaml").write_text(
        f"inbox: {{watch: polling, poll_seconds: {RESCAN_SECONDS}, "
        f"settle_local_seconds: {SETTLE_SECONDS}}}"
    )
    queue = CandidateQueue(
        load_config(root / "config.yaml", root),
        wake,
        BlockedPaths(HostProblems(), LeftFilms(root / "left.json")),
    )
    clock = Clock(look_seconds, busy_share)
    assert queue.scan_if_due(clock, clock.processor)
    return queue, clock


@pytest.mark.parametrize(
    ("look_seconds", "busy_share", "next_look", "after_hint"),
    [
        (0.0, 1.0, 60.0, 0.5),
        (0.1, 1.0, 60.0, 0.6),  # two looks lie half a second apart in any case
        # Twenty thousand films: 0.7 % of a core at rest, 20 % while things happen.
        (0.6, 1.0, 90.0, 3.0),
        (10.0, 1.0, 1500.0, 50.0),
        (10.0, 0.01, 60.0, 50.0),  # a share that answers slowly, or a busy machine
        (20.0, 0.01, 100.0, 100.0),
    ],
)
def test_looks_that_take_long_are_rare(
    wake: Wakeup,
    tmp_path: Path,
    look_seconds: float,
    busy_share: float,
    next_look: float,
    after_hint: float,
) -> None:
    """The longer one takes the longer it is to the next, with an event and without."""
    queue, _ = looked(wake, tmp_path, look_seconds, busy_share)
    assert queue.next_scan_at() == pytest.approx(1000.0 + next_look)
    wake.hint()
    assert queue.next_scan_at() == pytest.approx(1000.0 + after_hint)
    queue.stop()


def test_a_look_when_a_film_may_be_settled(wake: Wakeup, tmp_path: Path) -> None:
    """Without any event: just then, not at the next full look."""
    queue, clock = looked(wake, tmp_path, 0.1)
    (tmp_path / "inbox" / "film.mp4").touch()
    clock.now += 1.0
    wake.hint()
    begun = clock.now
    assert queue.scan_if_due(clock, clock.processor)
    assert queue.best() is None
    assert queue.next_scan_at() == pytest.approx(begun + SETTLE_SECONDS + 0.01)
    assert not queue.empty()
    clock.now = queue.next_scan_at()
    assert queue.scan_if_due(clock, clock.processor)
    best = queue.best()
    assert best is not None
    assert best.path == tmp_path / "inbox" / "film.mp4"
    queue.stop()


def test_a_look_that_fails_is_repeated_soon(wake: Wakeup, tmp_path: Path) -> None:
    """With backoff up to the interval of full looks, and from the beginning after a good one."""
    queue, clock = looked(wake, tmp_path, 0.0)
    (tmp_path / "inbox").rmdir()
    delays = []
    for _ in range(8):
        clock.now = queue.next_scan_at()
        begun = clock.now
        with pytest.raises(FileNotFoundError):
            queue.scan_if_due(clock, clock.processor)
        delays.append(queue.next_scan_at() - begun)
    assert delays == pytest.approx([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, RESCAN_SECONDS, RESCAN_SECONDS])
    (tmp_path / "inbox").mkdir()
    clock.now = queue.next_scan_at()
    assert queue.scan_if_due(clock, clock.processor)
    assert queue.next_scan_at() - clock.now == pytest.approx(RESCAN_SECONDS)
    (tmp_path / "inbox").rmdir()
    clock.now = queue.next_scan_at()
    begun = clock.now
    with pytest.raises(FileNotFoundError):
        queue.scan_if_due(clock, clock.processor)
    assert queue.next_scan_at() - begun == pytest.approx(1.0)
    queue.stop()
