"""Entry point of a worker process: loads the models once, then erases one film after another.

``python -m daemon.worker COMMANDS ANSWERS PARENT NICE HOST``: file descriptors of two inherited
pipes, the daemon's process id, the increment of nice(2), and a ``HostSettings`` as JSON. The only
module of the daemon that imports the pipeline.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from daemon.config.environment import read_environment
from daemon.config.parsing import read_record
from daemon.plans.files import NEW_PLAN_FILE
from daemon.plans.reading import read_plan
from daemon.plans.writing import plan_text
from daemon.runtime.logs import configure_worker
from daemon.storage.failpoints import arm_from
from daemon.storage.moves import digest_of
from daemon.storage.names import PLAN_SUFFIX
from daemon.workers.messages import Failed, Failure, MessageError, Planned, Start
from daemon.workers.worker_loop import Channel, Observe, die_with_parent, serve
from erasecore.errors import BadPlan, EraseError
from erasecore.excerpts import Stretch, erase_excerpt
from erasecore.pipeline import erase
from erasecore.planning.film_plan import plan_film
from erasecore.plans import FilmPlan, JobOptions
from erasecore.reports import EraseReport, Progress, Stage
from erasecore.resources import ModelCache
from erasecore.settings import HostSettings
from erasecore.system.atomic_files import whole_file
from erasecore.system.versions import library_versions

WAITING = Progress(Stage.PROBE, 0.0, 0, 0)
"""Heartbeat while a film is hashed."""


def prepare(parent_pid: int, nice: int) -> None:
    """Make this process end with its parent, lower its priority, arm a failpoint if one is set."""
    die_with_parent(parent_pid)
    os.nice(nice)
    environment = read_environment()
    arm_from(environment.fault_at, environment.fault_does, parent_pid=parent_pid)


def main(arguments: list[str]) -> int:
    """Run attempts until the daemon closes its end.

    Args:
        arguments: command line without the program; see the module's docstring.

    Returns:
        Exit code: 0, or 1 if the models cannot be loaded, which a Failed message reports.
    """
    commands, answers, parent_pid, nice = (int(argument) for argument in arguments[:4])
    host = read_record(HostSettings, json.loads(arguments[4]), error=MessageError)
    prepare(parent_pid, nice)
    configure_worker()
    with os.fdopen(commands, "rb") as reader, os.fdopen(answers, "wb") as writer:
        channel = Channel(reader, writer)
        try:
            models = ModelCache.load(host)
        except EraseError as error:
            channel.send(Failed("", Failure(type(error).__name__, error.remedy, str(error))))
            return 1

        serve(channel, library_versions(), partial(erase_film, models), partial(make_plan, models))
    return 0


def erase_film(models: ModelCache, start: Start, observe: Observe) -> EraseReport:
    """Erase one film, by the plan that came with it if there is one."""
    models.ladders.begin(Path(start.folder), start.rungs_down)
    plan = plan_of(start, partial(observe, WAITING)) if start.companions.plan else None
    do = erase
    if start.span is not None or start.preview_seconds:
        do = partial(erase_excerpt, stretch=Stretch(start.span, start.preview_seconds))
    return do(
        Path(start.source),
        Path(start.folder),
        start.settings,
        models=models,
        observe=observe,
        companions=start.companions,
        options=JobOptions(plan, start.ending),
    )


def plan_of(start: Start, tick: Callable[[], None]) -> FilmPlan:
    """Return the plan that came with a film.

    Args:
        start: the attempt.
        tick: heartbeat, called while the film is hashed.

    Raises:
        BadPlan: it is not valid, or for another film.
    """
    file, source = Path(start.companions.plan), Path(start.source)
    moved = file.is_relative_to(start.folder)
    shown_as = Path(f"{start.shown_as}{PLAN_SUFFIX}") if moved else file
    plan = read_plan(file, shown_as=shown_as)
    same = source.stat().st_size == plan.film.bytes
    if not same or digest_of(source, lambda _: tick()) != plan.film.sha256:
        raise BadPlan(shown_as, f"is for another film than {start.shown_as}; make a new plan.")
    return plan


def make_plan(models: ModelCache, start: Start, observe: Observe) -> Planned:
    """Write the plan of one film, and its contact sheet, into the job's folder."""
    source, folder = Path(start.source), Path(start.folder)
    plan = plan_film(
        source,
        folder,
        start.settings,
        models=models,
        observe=observe,
        companions=replace(start.companions, plan=""),
    )
    hashing = replace(WAITING, stage=Stage.VERIFY, job_share=1.0)
    digest = digest_of(source, lambda _: observe(hashing))
    plan = replace(plan, film=replace(plan.film, sha256=digest, name=start.shown_as))
    with whole_file(folder / NEW_PLAN_FILE) as part:
        part.write_text(plan_text(plan), encoding="utf-8")
    erased = sum(one.erase for one in plan.objects)
    return Planned(start.job_id, erased, len(plan.objects) - erased, plan.expected)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
