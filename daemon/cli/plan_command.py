"""The command ``plan FILM|FOLDER``: plans and contact sheets beside the films, nothing else."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from daemon.cli.context import CommandContext, WrongUsage
from daemon.cli.erase_file import check_film
from daemon.cli.film_worker import FilmWorker, Observe, Stopped
from daemon.cli.progress_bar import progress_bar
from daemon.cli.single_film import film_settings, named_films
from daemon.plans.files import NEW_PLAN_FILE, NEW_SHEET_FILE
from daemon.storage.names import PLAN_SUFFIX, SHEET_SUFFIX
from daemon.workers.messages import Planned, Start, Task
from daemon.workers.pool import WORKER_LOG
from erasecore.errors import EraseError, FolderError, printable
from erasecore.settings import Companions, EraseSettings
from erasecore.system.atomic_files import replace_durably
from erasecore.system.no_clobber import rename_no_clobber

_MAX_SECONDS = 120  # longer durations are told in minutes


@dataclass(frozen=True, slots=True)
class _PlanRequest:
    """One film to be planned."""

    film: Path
    settings: EraseSettings
    companions: Companions
    force: bool  # True: a plan that is there is replaced


def plan(context: CommandContext) -> int:
    """Plan the films that are named; return 1 if one of them failed."""
    console = Console(stderr=True, highlight=False, markup=False)
    code, films = 0, named_films(context.options.films, context.config)
    settings, companions = film_settings(context)
    if companions.mask:
        raise WrongUsage("a mask says what is erased; there is nothing to plan.")
    companions = replace(companions, plan="")
    with (
        TemporaryDirectory() as folder,
        FilmWorker(context.config, Path(folder) / WORKER_LOG) as worker,
    ):
        for film in (named.path for named in films):
            job = _PlanRequest(film, settings, companions, context.options.force)
            try:
                with progress_bar(console, printable(film.name)) as observe:
                    outcome = _plan_film(job, worker, observe)
            except Stopped as stopped:
                console.print("stopped")
                return 128 + stopped.number
            except EraseError as error:
                console.print(f"{printable(str(film))}: {error}")
                code = 1
            else:
                console.print(_summary(film, outcome))
    return code


def _plan_film(request: _PlanRequest, worker: FilmWorker, observe: Observe) -> Planned:
    """Plan one film; write the plan and the contact sheet beside it.

    Raises:
        EraseError: the film or the host prevents it, or there is a plan already.
        Stopped: the user interrupted it.
    """
    film = request.film
    check_film(film)
    goal = film.with_name(film.name + PLAN_SUFFIX)
    if goal.exists() and not request.force:
        raise FolderError(goal, "is there already; edits would be lost. Use --force to replace it.")
    with TemporaryDirectory() as made:
        start = Start(
            job_id="plan",
            attempt=1,
            source=str(film.resolve()),
            folder=made,
            shown_as=printable(film.name),
            log="",
            settings=request.settings,
            companions=request.companions,
            task=Task.PLAN,
        )
        outcome = worker.run(start, observe)
        assert isinstance(outcome, Planned)
        _publish(Path(made) / NEW_SHEET_FILE, film.with_name(film.name + SHEET_SUFFIX), force=True)
        _publish(Path(made) / NEW_PLAN_FILE, goal, force=request.force)
    return outcome


def _publish(made: Path, goal: Path, *, force: bool) -> None:
    """Copy a file beside the film, atomically; an existing one is replaced only with ``force``.

    Raises:
        FolderError: the folder cannot be written to, or a file has appeared there.
    """
    part = goal.with_name(f".{goal.name}.part")
    try:
        shutil.copyfile(made, part)
        (replace_durably if force else rename_no_clobber)(part, goal)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise FolderError(goal, f"{error.strerror or error}; choose another place.") from error


def _summary(film: Path, outcome: Planned) -> str:
    """Return the line about a planned film."""
    expected = outcome.expected
    forecast = "it would be copied"
    if outcome.erased:
        seconds, megabytes = expected.seconds, expected.bytes / 1e6
        time = f"{seconds:.0f} s" if seconds < _MAX_SECONDS else f"{seconds / 60:.0f} min"
        forecast = f"about {time}, {megabytes:.1f} MB, {expected.invent:.0%} to invent"
    goal = film.with_name(film.name + PLAN_SUFFIX)
    counts = f"{outcome.erased} to erase, {outcome.kept} to keep"
    return f"{printable(str(goal))}: {counts}; {forecast}"
