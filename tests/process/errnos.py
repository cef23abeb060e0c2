"""Every step of a job through every errno: one film's trouble never stops another film.

``python -m tests.process.errnos`` (``make errnos``). Many films, each with a fault of its own, go
through one daemon on an ``ErrnoShare``; a good film that comes after them has to be done while the
faults last. Then each film must be where its step allows, with a sentence that names it, and once
the faults are lifted, whole, in one place, and published at most once. A batch that goes wrong as a
whole is tried again in pieces, down to single films, so that the blame falls on the right one.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.process.errno_batch import Batch
from tests.process.errno_state import StateTrial
from tests.process.errno_steps import (
    ERRNOS,
    STATE_STEPS,
    STEPS,
    Case,
    Duration,
    Step,
    Verdict,
)

ALL_STEPS = (*STEPS, *STATE_STEPS)


def cases_of(
    steps: Iterable[Step], errors: Sequence[str], durations: Sequence[Duration]
) -> list[Case]:
    """Return all combinations that a filesystem can express."""
    return [
        Case(step, error, duration)
        for step in steps
        for error in errors
        for duration in durations
        if step.expressible(error)
    ]


@contextmanager
def scratch() -> Iterator[Path]:
    """Yield a new folder, removed afterwards."""
    root = Path(tempfile.mkdtemp(prefix="errnos-"))
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def run_batch(cases: Sequence[Case]) -> list[Verdict]:
    """Return the verdicts on ``cases``, which share one daemon."""
    with scratch() as root:
        batch = Batch(root, cases)
        try:
            return batch.run()
        finally:
            batch.close()


def run_state(case: Case) -> list[Verdict]:
    """Return the verdict on a fault of the state folder."""
    with scratch() as root:
        trial = StateTrial(root, case)
        try:
            return [trial.run()]
        finally:
            trial.close()


def run_all(
    cases: Sequence[Case],
    *,
    size: int,
    parallel: int,
    tell: Callable[[list[Verdict]], None] = lambda _: None,
) -> list[Verdict]:
    """Return the verdicts on ``cases``, in batches; those that go wrong are tried in pieces."""
    films = [one for one in cases if one.step not in STATE_STEPS]
    batches = _pieces(films, size)
    verdicts: list[Verdict] = []

    def take(found: list[Verdict]) -> None:
        tell(found)
        verdicts.extend(found)

    with ThreadPoolExecutor(parallel) as pool:
        while batches:
            again: list[Sequence[Case]] = []
            for batch, found in zip(batches, pool.map(run_batch, batches), strict=True):
                if len(found) > 1 and set.intersection(*(set(one.wrong) for one in found)):
                    again += _pieces(batch, max(1, len(batch) // 4))
                else:
                    take(found)
            batches = again
        for found in pool.map(run_state, [one for one in cases if one.step in STATE_STEPS]):
            take(found)
    return verdicts


def _pieces(cases: Sequence[Case], size: int) -> list[Sequence[Case]]:
    return [cases[start : start + size] for start in range(0, len(cases), size)]


def sample(count: int, seed: int) -> list[Case]:
    """Return ``count`` cases at random, each of another step as far as that goes."""
    chosen = random.Random(seed)
    picked = []
    for step in chosen.sample(STEPS, min(count, len(STEPS))):
        errors = [one for one in ERRNOS if step.expressible(one)]
        picked.append(Case(step, chosen.choice(errors), chosen.choice(tuple(Duration))))
    return picked


def table(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Yield a line for each step: how many cases, where films ended, what was wrong."""
    steps: dict[str, list[Verdict]] = {}
    for one in verdicts:
        steps.setdefault(one.case.step.name, []).append(one)
    for name, found in steps.items():
        ends = Counter(one.outcome for one in found)
        wrong = Counter(kind for one in found for kind in one.wrong)
        right = sum(not one.wrong for one in found)
        places = "  ".join(f"{where} {number}" for where, number in sorted(ends.items()))
        kinds = ", ".join(f"{kind} {number}" for kind, number in wrong.most_common())
        yield f"{name:26} {right:3} of {len(found):3} right   {places:34} {kinds}"


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", default="*", help="shell patterns, separated by commas")
    parser.add_argument("--errnos", default=",".join(ERRNOS))
    parser.add_argument("--durations", default=",".join(Duration))
    parser.add_argument("--sample", type=int, default=0, help="so many steps at random")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", type=int, default=48, help="films that share a daemon")
    parser.add_argument("--parallel", type=int, default=2, help="daemons at once")
    parser.add_argument("--report", type=Path, help="file for the verdicts, as JSON lines")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Run, print a table and what is wrong; the exit code is 1 if anything is."""
    options = _options(arguments)
    patterns = options.steps.split(",")
    steps = [one for one in ALL_STEPS if any(fnmatch.fnmatch(one.name, like) for like in patterns)]
    durations = [Duration(one) for one in options.durations.split(",")]
    cases = cases_of(steps, options.errnos.split(","), durations)
    if options.sample:
        cases = sample(options.sample, options.seed)
    cases = [one for one in cases if one.step in STEPS or one.duration is not Duration.EVERYTHING]
    random.Random(options.seed).shuffle(cases)  # so that each batch has something of all

    def tell(found: list[Verdict]) -> None:
        for one in found:
            if one.wrong:
                print(f"WRONG {one.case}: {one.outcome}; {', '.join(one.wrong)}", flush=True)
            if options.report:
                with options.report.open("a") as report:
                    report.write(json.dumps([str(one.case), one.outcome, one.wrong]) + "\n")

    began = time.monotonic()
    verdicts = run_all(cases, size=options.size, parallel=options.parallel, tell=tell)
    order = {one.name: number for number, one in enumerate(ALL_STEPS)}
    for line in table(sorted(verdicts, key=lambda one: order[one.case.step.name])):
        print(line)
    wrong = sum(bool(one.wrong) for one in verdicts)
    seconds = time.monotonic() - began
    stopped = sum("queue stopped" in one.wrong for one in verdicts)
    print(f"combinations {len(verdicts)}   wrong {wrong}   queue stops {stopped}   {seconds:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
