"""When the inbox is looked at: seldom enough to cost nothing, soon enough to miss nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.config.schema import load_config
from daemon.inbox.blocked import Refusals
from daemon.inbox.candidates import Intake
from daemon.runtime.host_problems import Troubles
from daemon.runtime.wakeup import Wake

SETTLE_SECONDS, RESCAN_SECONDS = 5.0, 60.0


class Clock:
    """A clock on which each look takes so many seconds."""

    def __init__(self, look_seconds: float) -> None:
        self.now = 1000.0
        self._look_seconds = look_seconds
        self._calls = 0

    def __call__(self) -> float:
        """The time; every other call is the end of a look."""
        self._calls += 1
        if self._calls % 2 == 0:
            self.now += self._look_seconds
        return self.now


@pytest.fixture
def wake() -> Iterator[Wake]:
    """What an event wakes."""
    wake = Wake()
    yield wake
    wake.close()


def looked(wake: Wake, root: Path, look_seconds: float) -> tuple[Intake, Clock]:
    """An intake that polls an inbox, after its first look."""
    (root / "inbox").mkdir()
    (root / "config.yaml").write_text(
        f"inbox: {{watch: polling, poll_seconds: {RESCAN_SECONDS}, "
        f"settle_local_seconds: {SETTLE_SECONDS}}}"
    )
    intake = Intake(load_config(root / "config.yaml", root), wake, Refusals(Troubles()))
    clock = Clock(look_seconds)
    assert intake.look_if_due(clock)
    return intake, clock


@pytest.mark.parametrize(
    ("look_seconds", "next_look", "after_hint"),
    [
        (0.0, 60.0, 0.5),
        (0.1, 60.0, 0.6),  # two looks lie half a second apart in any case
        (
            0.6,
            90.0,
            3.0,
        ),  # twenty thousand films: 0.7 % of a core at rest, 20 % while things happen
        (10.0, 1500.0, 50.0),
    ],
)
def test_looks_that_take_long_are_rare(
    wake: Wake, tmp_path: Path, look_seconds: float, next_look: float, after_hint: float
) -> None:
    """The longer one takes the longer it is to the next, with an event and without."""
    intake, _ = looked(wake, tmp_path, look_seconds)
    assert intake.next_look_at() == pytest.approx(1000.0 + next_look)
    wake.hint()
    assert intake.next_look_at() == pytest.approx(1000.0 + after_hint)
    intake.stop()


def test_a_look_when_a_film_may_be_settled(wake: Wake, tmp_path: Path) -> None:
    """Without any event: just then, not at the next full look."""
    intake, clock = looked(wake, tmp_path, 0.1)
    (tmp_path / "inbox" / "film.mp4").touch()
    clock.now += 1.0
    wake.hint()
    begun = clock.now
    assert intake.look_if_due(clock)
    assert intake.best() is None
    assert intake.next_look_at() == pytest.approx(begun + SETTLE_SECONDS + 0.01)
    assert not intake.empty()
    clock.now = intake.next_look_at()
    assert intake.look_if_due(clock)
    best = intake.best()
    assert best is not None
    assert best.path == tmp_path / "inbox" / "film.mp4"
    intake.stop()
