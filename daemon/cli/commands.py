"""Each command as a function from what was asked to an exit code."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from daemon.cli.context import CommandContext, WrongUsage
from daemon.cli.doctor import examine
from daemon.cli.erase_file import EraseRequest, Stopped, erase_file
from daemon.cli.progress_bar import progress_bar
from daemon.config.film_settings import ResolvedSettings, check_erase, overridden
from daemon.jobs.history_view import ERROR_ENDING
from daemon.jobs.publish import requeue
from daemon.service import Service, await_folders
from daemon.storage.names import shown
from erasecore.errors import InputError
from erasecore.settings import Companions, EraseSettings


def run(asked: CommandContext) -> int:
    """Be the daemon."""
    if not await_folders(asked.config, asked.environment):
        return 0
    return Service(asked.config, asked.environment, asked.reload).run()


def once(asked: CommandContext) -> int:
    """Drain the inbox."""
    return Service(asked.config, asked.environment, asked.reload).run(until_drained=True)


def erase(asked: CommandContext) -> int:
    """Erase one film."""
    options = asked.options
    result: Path = options.result
    if result.is_dir():
        result = result / options.source.name
    console = Console(stderr=True, highlight=False, markup=False)
    settings, companions = _single_film_settings(asked)
    request = EraseRequest(options.source, result, force=options.force, companions=companions)
    config = replace(asked.config, erase=settings)
    try:
        with progress_bar(console, shown(options.source.name)) as observe:
            report = erase_file(request, config, observe)
    except Stopped:
        console.print("stopped; nothing was written")
        return 1
    count = len(report.events)
    what = "no subtitles found; copied" if report.untouched else _counted(count, "subtitle")
    seconds = sum(report.seconds.values())
    console.print(f"{shown(str(result))}: {what}, {report.frames} frames in {seconds:.1f} s")
    for warning in report.warnings:
        console.print(f"  {warning}")
    return 0


def _single_film_settings(asked: CommandContext) -> tuple[EraseSettings, Companions]:
    """The settings and companions that the command line names for one film."""
    options, resolved = asked.options, ResolvedSettings(asked.config.erase)
    if options.settings is not None:
        resolved = overridden(resolved, options.settings, shown_as=options.settings)
    mask = resolved.mask if options.mask is None else options.mask
    files = {"cues": options.cues, "mask": mask}
    for option, file in files.items():
        if file is not None and not Path(file).is_file():
            raise InputError(options.source, f"there is no {option} file {file}; correct the path.")
    found = {option: str(Path(file).resolve()) if file else "" for option, file in files.items()}
    settings = replace(resolved.settings, mask=Path(mask).name if mask else "")
    if options.engine:
        settings = replace(settings, engine=options.engine)
    if options.crf is not None:
        settings = replace(settings, encode=replace(settings.encode, crf=options.crf))
    check_erase(settings, prefix="", error=WrongUsage)
    return settings, Companions(**found)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def requeue_films(asked: CommandContext) -> int:
    """Put films from failed/ back into the inbox."""
    folders, options = asked.config.folders, asked.options
    console = Console(highlight=False, markup=False)
    if not options.names and not options.all:
        raise WrongUsage("say which: the path of a film below failed/, a job id, or --all.")
    films = _failed_films(folders.failed)
    wanted = list(films) if options.all else options.names
    code = 0
    for name in wanted:
        film = _find(name, films, folders.failed)
        try:
            goal = requeue(film, folders.failed, folders.inbox)
        except FileExistsError:
            console.print(f"{shown(name)}: the inbox has another film of that name; rename one")
            code = 1
        except (FileNotFoundError, ValueError):
            console.print(f"{shown(name)}: no such film in {folders.failed}")
            code = 1
        else:
            console.print(shown(str(goal)))
    return code


def _failed_films(failed: Path) -> dict[str, Path]:
    """The films in failed/ by the ids of their jobs."""
    films = {}
    for file in sorted(failed.rglob(f"*{ERROR_ENDING}")):
        film = file.with_name(file.name.removesuffix(ERROR_ENDING))
        if film.is_file():
            films[_job_id_in(file) or str(film)] = film
    return films


def _job_id_in(explanation: Path) -> str:
    """Which job failed; empty if the file does not say: others may write to that folder, too."""
    try:
        return str(json.loads(explanation.read_bytes())["job_id"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _find(name: str, films: dict[str, Path], failed: Path) -> Path:
    inside = ".." not in Path(name).parts
    return films.get(name.lower(), failed / name if inside else failed)


def doctor(asked: CommandContext) -> int:
    """Check everything."""
    console = Console(highlight=False, markup=False)
    source = str(asked.config_path) if asked.config_path else "no file found; the defaults"
    code = 0
    devices = asked.environment.visible_devices
    for finding in examine(asked.config, source, visible_devices=devices):
        mark = Text("ok ", "green") if finding.well else Text("BAD", "red")
        console.print(mark, f"{finding.what}:", shown(finding.sentence), soft_wrap=True)
        code = code if finding.well else 1
    return code
