"""What a SIGKILL in the middle of a real film costs: at most one segment's work, and a start.

``python -m tests.process.recovery`` does the same film twice, once undisturbed, once with its
daemon and worker killed when half of its segments are stored, and compares what was left to do.
"""

from __future__ import annotations

import re
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from tests.clips import Caption, Coding, draw, write
from tests.process.house import Daemon, House

RATE = Fraction(12)
SEGMENT_SECONDS = 2
SEGMENTS = 6
STORED = 3  # when it is killed
_STAMP = re.compile(r"^(\S+) \S+ +(\S+)")


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of one comparison."""

    undisturbed: float  # from the attempt's start to the film's end
    rest: float  # of that, after the moment at which the other run was killed
    after_kill: float  # from the kill to the film's end, in the other run
    start: float  # of that, until the new worker is at the film
    segment: float  # the longest time that a segment took
    fresh: float  # what the first segment takes in a worker that has just started
    resumed: int  # segments that were not done again

    @property
    def more(self) -> float:
        """How much more work there was."""
        return self.after_kill - self.start - self.rest

    def __str__(self) -> str:
        return (
            f"undisturbed {self.undisturbed:.1f} s; killed with {self.resumed} of {SEGMENTS} "
            f"segments stored: done {self.after_kill:.1f} s later, {self.start:.1f} s to start; "
            f"the rest undisturbed is {self.rest:.1f} s: {self.more:+.1f} s of work; "
            f"one segment takes {self.segment:.1f} s, {self.fresh:.1f} s as a worker's first"
        )


def measure(root: Path) -> Cost:
    """The cost of a kill, in houses below ``root``."""
    film = _film(root)
    quiet, killed = _house(root / "quiet"), _house(root / "killed")
    quiet.drop("film.mp4", film)
    assert quiet.once(quick=False, seconds=200) == 0
    told = _transitions(quiet.done / "film.mp4.log")
    begun, ended = told["attempt.started"][0], told["attempt.finished"][0]
    stored = told["segment.stored"]
    killed.drop("film.mp4", film)
    first = killed.start(quick=False)
    killed.wait(lambda: len(list(killed.work.rglob("segments/*.json"))) >= STORED, seconds=200)
    first.end()
    at = datetime.now(UTC).timestamp()
    second = killed.start("once", quick=False)
    assert second.wait(200) == 0
    again = _transitions(killed.done / "film.mp4.log")
    return Cost(
        undisturbed=ended - begun,
        rest=ended - stored[STORED - 1],
        after_kill=again["attempt.finished"][-1] - at,
        start=again["attempt.started"][-1] - at,
        segment=max(b - a for a, b in pairwise(stored)),
        fresh=stored[0] - told["text.found"][0],
        resumed=_resumed(second, killed),
    )


def _house(root: Path) -> House:
    root.mkdir()
    house = House(root)
    house.configure(erase={"segment_seconds": float(SEGMENT_SECONDS)})
    return house


def _film(root: Path) -> bytes:
    """A film with a subtitle in each of its segments."""
    length = int(SEGMENT_SECONDS * RATE)
    captions = [
        Caption(f"Line number {number}", number * length + 4, (number + 1) * length - 4)
        for number in range(SEGMENTS)
    ]
    shown = draw(frames=SEGMENTS * length, captions=captions).shown
    return write(root / "film.mp4", shown, Coding(rate=RATE)).read_bytes()


def _transitions(log: Path) -> dict[str, list[float]]:
    """When each event was logged, seconds since 1970."""
    transitions: dict[str, list[float]] = {}
    for line in log.read_text("utf-8", "replace").splitlines():
        if found := _STAMP.match(line):
            at = datetime.fromisoformat(found[1]).replace(tzinfo=UTC).timestamp()
            transitions.setdefault(found[2], []).append(at)
    return transitions


def _resumed(daemon: Daemon, house: House) -> int:
    assert daemon.said("job.recovered")
    text = (house.done / "film.mp4.report.json").read_text()
    found = re.search(r'"segments_resumed": (\d+)', text)
    assert found is not None
    return int(found[1])


def main() -> int:
    """Measure and tell; 1 if it cost more than one segment of a fresh worker."""
    with tempfile.TemporaryDirectory(prefix="recovery-") as root:
        cost = measure(Path(root))
    sys.stdout.write(f"{cost}\n")
    return 0 if cost.more <= cost.fresh else 1


if __name__ == "__main__":
    sys.exit(main())
