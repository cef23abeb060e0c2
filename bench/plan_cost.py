"""Cost of planning films, against erasing them: processor time and wall-clock time, in one run.

usage: python -m bench.plan_cost FILM [FILM ...]

For each film: processor seconds of the plan and of the whole erase, and their ratio; by how much
planning and then obeying the plan costs more than erasing at once; the forecast beside what came.
The models are loaded before; each film is done with one thread.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from erasecore.pipeline import erase
from erasecore.planning.film_plan import plan_film
from erasecore.plans import FilmPlan, JobOptions
from erasecore.reports import EraseReport
from erasecore.resources import ModelCache
from erasecore.settings import Companions, EraseSettings, HostSettings

_HEAD = (
    *("film", "frames", "plan CPU s", "erase CPU s", "ratio", "plan, then obey"),
    *("time: forecast / real", "size: forecast / real", "invented: forecast / real"),
)


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor seconds of one film, and what came of it."""

    plan: FilmPlan
    report: EraseReport
    plan_seconds: float
    erase_seconds: float
    obey_seconds: float
    wall_seconds: float  # of the erase
    size_bytes: int  # of the result

    def row(self, name: str) -> str:
        """Return the row of the table."""
        events, expected = self.report.events, self.plan.expected
        invented = sum(event.share_invented for event in events) / max(1, len(events))
        more = (self.plan_seconds + self.obey_seconds) / self.erase_seconds - 1
        cells = (
            name,
            f"{self.report.frames}",
            f"{self.plan_seconds:.1f}",
            f"{self.erase_seconds:.1f}",
            f"{self.plan_seconds / self.erase_seconds:.3f}",
            f"{more:+.0%}",
            f"{expected.seconds:.0f} / {self.wall_seconds:.0f}",
            f"{expected.bytes / self.size_bytes:.2f}",
            f"{expected.invent:.2f} / {invented:.2f}",
        )
        return f"| {' | '.join(cells)} |"


def measure(film: Path, folder: Path, models: ModelCache) -> Cost:
    """Plan a film, erase it, and erase it by the plan, in ``folder``."""

    def erased(name: str, companions: Companions, options: JobOptions) -> EraseReport:
        (folder / name).mkdir()
        return erase(
            film,
            folder / name,
            EraseSettings(),
            models=models,
            observe=lambda _: None,
            companions=companions,
            options=options,
        )

    (folder / "plan").mkdir()
    times, wall = [time.process_time()], [time.monotonic()]
    plan = plan_film(
        film,
        folder / "plan",
        EraseSettings(),
        models=models,
        observe=lambda _: None,
        companions=Companions(),
    )
    times.append(time.process_time())
    wall.append(time.monotonic())
    report = erased("plain", Companions(), JobOptions())
    times.append(time.process_time())
    wall.append(time.monotonic())
    erased("obeyed", Companions(plan=str(film)), JobOptions(plan))
    times.append(time.process_time())
    planned, plain, obeyed = (after - before for before, after in pairwise(times))
    size_bytes = (folder / "plain" / report.result).stat().st_size
    return Cost(plan, report, planned, plain, obeyed, wall[2] - wall[1], size_bytes)


def main(names: list[str]) -> int:
    """Print the table; return 0."""
    models = ModelCache.load(HostSettings(threads=1), threads=1)
    models.text_recognizer()
    print(f"| {' | '.join(_HEAD)} |")
    print(f"|{'---|' * len(_HEAD)}")
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            print(measure(Path(name), Path(folder), models).row(Path(name).name), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
