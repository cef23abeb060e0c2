"""The command ``erase IN... OUT``: films without inbox and folders, one after the other."""

from __future__ import annotations

import os
from argparse import Namespace
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from daemon.cli.context import CommandContext, WrongUsage
from daemon.cli.erase_file import EraseRequest, erase_file
from daemon.cli.film_worker import FilmWorker, Stopped
from daemon.cli.option_values import seconds_of
from daemon.cli.progress_bar import progress_bar
from daemon.cli.single_film import (
    NamedFilm,
    film_settings,
    named_films,
    with_plan_beside,
)
from daemon.config.schema import Config
from daemon.workers.pool import WORKER_LOG
from erasecore.errors import EraseError, printable
from erasecore.reports import EraseReport
from erasecore.settings import Companions, TimeRange
from erasecore.video_endings import RESULT_ENDINGS

_ALL_SECONDS = 1e6  # longer than any film
EXIT_SIGNAL = 128
"""Exit code of a command that a signal has ended, less the signal's number: 130, 143."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """Everything that the films of one command line have in common."""

    config: Config
    companions: Companions
    console: Console
    force: bool
    quiet: bool
    log: str  # file for the worker's log lines; empty: none
    span: TimeRange | None  # stretch of the films that is erased; None: all
    preview_seconds: float  # length of a preview; 0: none
    by_ending: bool  # True: the ending of the result that is named decides its container
    several: bool  # results that are there already are skipped, so that a batch can go on


def erase(context: CommandContext) -> int:
    """Erase the films that are named; return 1 if one of them failed, 130 or 143 if stopped."""
    options = context.options
    *names, goal = options.paths
    if not names:
        raise WrongUsage("the following argument is required: OUT, the place of the result.")
    films = named_films(names, context.config)
    settings, companions = film_settings(context)
    several = len(films) > 1 or any(Path(name).is_dir() for name in names)
    if companions.plan and several:
        raise WrongUsage("--plan is for one film; plans beside films are obeyed by themselves.")
    batch = _Batch(
        config=replace(context.config, erase=settings),
        companions=companions,
        console=Console(stderr=True, highlight=False, markup=False),
        force=options.force,
        quiet=options.quiet,
        log=f"/proc/{os.getpid()}/fd/2" if options.verbose else "",
        several=several,
        span=_span(options),
        preview_seconds=_preview_seconds(options),
        by_ending=_names_container(Path(goal), several=several),
    )
    pairs = [(film, _result_of(film, Path(goal), several=several)) for film in films]
    with TemporaryDirectory() as folder:
        log = Path(folder) / WORKER_LOG
        with FilmWorker(context.config, log) as worker:
            return _erase_all(pairs, batch, worker)


def _span(options: Namespace) -> TimeRange | None:
    """Return the stretch that ``--start`` and ``--duration`` name; ``None``: the whole film.

    Raises:
        WrongUsage: one of them is no time, or cannot go with another option.
    """
    if options.start is None and options.duration is None:
        return None
    if options.preview is not None:
        raise WrongUsage("--preview finds its place by itself; leave --start and --duration out.")
    _refuse_companions(options)
    start = seconds_of(options.start, "--start") if options.start else 0.0
    duration = seconds_of(options.duration, "--duration") if options.duration else _ALL_SECONDS
    if duration <= 0:
        raise WrongUsage("--duration: must be more than 0.")
    return TimeRange(start, start + duration)


def _preview_seconds(options: Namespace) -> float:
    """Return the length of the preview that is asked for; 0 for none.

    Raises:
        WrongUsage: it is no time, 0, or cannot go with another option.
    """
    if options.preview is None:
        return 0.0
    _refuse_companions(options)
    seconds = seconds_of(options.preview, "--preview")
    if seconds <= 0:
        raise WrongUsage("--preview: must be more than 0.")
    return seconds


def _refuse_companions(options: Namespace) -> None:
    """Raise WrongUsage if a file is named that is for a whole film."""
    if options.mask is not None or options.cues is not None:
        raise WrongUsage("--mask and --cues are for whole films; leave them out here.")


def _result_of(film: NamedFilm, goal: Path, *, several: bool) -> Path:
    """Return the path of a film's result: ``goal``, or its place below the folder ``goal``."""
    if several:
        return goal / film.below
    return goal / film.path.name if goal.is_dir() else goal


def _names_container(goal: Path, *, several: bool) -> bool:
    """Return True if ``goal`` is a film, whose ending decides its container; False for a folder.

    Raises:
        WrongUsage: its ending is that of no container.
    """
    if several or goal.is_dir():
        return False
    if goal.suffix.lower() not in RESULT_ENDINGS:
        known = ", ".join(sorted(RESULT_ENDINGS))
        raise WrongUsage(f"{goal.name}: its ending names no container; known: {known}.")
    return True


def _erase_all(pairs: list[tuple[NamedFilm, Path]], batch: _Batch, worker: FilmWorker) -> int:
    """Erase the films one by one; return the exit code."""
    code = 0
    for film, result in pairs:
        if batch.several and not batch.force and os.path.lexists(result):
            _say(batch, f"{printable(str(result))}: is there already; skipped")
            continue
        try:
            report = _erase_one(film, result, batch, worker)
        except Stopped as stopped:
            batch.console.print("stopped; the same command goes on with what is finished")
            return EXIT_SIGNAL + stopped.number
        except EraseError as error:
            if not batch.several:
                raise
            batch.console.print(printable(f"{film.path}: {error}"))
            code = 1
        else:
            _say_done(batch, result, report)
    return code


def _erase_one(film: NamedFilm, result: Path, batch: _Batch, worker: FilmWorker) -> EraseReport:
    """Erase one film; the folder of its result is made if several films go there."""
    if batch.several:
        result.parent.mkdir(parents=True, exist_ok=True)
    companions = with_plan_beside(batch.companions, film.path)
    if companions.plan and not batch.companions.plan:
        _say(batch, f"{printable(companions.plan)}: is obeyed")
    request = EraseRequest(
        film.path,
        result,
        force=batch.force,
        companions=companions,
        subtitle_names=batch.config.folders.subtitle_names,
        span=batch.span,
        preview_seconds=batch.preview_seconds,
        by_ending=batch.by_ending,
        log=batch.log,
    )
    name = printable(film.path.name)
    with progress_bar(batch.console, name, quiet=batch.quiet, lines=bool(batch.log)) as observe:
        return erase_file(request, batch.config, observe, worker=worker)


def _say_done(batch: _Batch, result: Path, report: EraseReport) -> None:
    """Print the summary of a finished film, and its warnings."""
    count = len(report.events)
    counted = "1 subtitle" if count == 1 else f"{count} subtitles"
    summary = "no subtitles found; copied" if report.untouched else counted
    seconds = sum(report.seconds.values())
    place = printable(str(result.with_name(report.result)))
    _say(batch, f"{place}: {summary}, {report.frames} frames in {seconds:.1f} s")
    for warning in report.warnings:
        _say(batch, f"  {warning}")


def _say(batch: _Batch, line: str) -> None:
    if not batch.quiet:
        batch.console.print(line)
