"""Commands of the program, one function each, from the command context to the exit code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from daemon.cli.context import CommandContext, WrongUsage
from daemon.cli.doctor import examine
from daemon.cli.erase_file import EraseRequest, Stopped, erase_file
from daemon.cli.progress_bar import progress_bar
from daemon.config.film_settings import ResolvedSettings, overridden
from daemon.config.locations import ReadyMode
from daemon.jobs.history_view import ERROR_ENDING
from daemon.jobs.publish import requeue
from daemon.lifecycle.folder_watch import await_folders
from daemon.service import Service
from daemon.storage.untrusted_json import BadJson, read_json
from erasecore.errors import InputError, printable
from erasecore.settings import Companions, EraseSettings
from erasecore.settings_check import check_erase


def run(context: CommandContext) -> int:
    """Run the daemon until it is asked to stop; wait first until its folders can be used."""
    if not await_folders(context.config, context.environment):
        return 0
    return Service(context.config, context.environment, context.reload).run()


def once(context: CommandContext) -> int:
    """Process all films in the inbox, then return."""
    return Service(context.config, context.environment, context.reload, until_drained=True).run()


def erase(context: CommandContext) -> int:
    """Erase one film, without inbox and folders; print a summary on standard error."""
    options = context.options
    result: Path = options.result
    if result.is_dir():
        result = result / options.source.name
    console = Console(stderr=True, highlight=False, markup=False)
    settings, companions = _single_film_settings(context)
    request = EraseRequest(
        options.source,
        result,
        force=options.force,
        companions=companions,
        subtitle_names=context.config.folders.subtitle_names,
    )
    config = replace(context.config, erase=settings)
    try:
        with progress_bar(console, printable(options.source.name)) as observe:
            report = erase_file(request, config, observe)
    except Stopped:
        console.print("stopped; nothing was written")
        return 1
    count = len(report.events)
    summary = "no subtitles found; copied" if report.untouched else _counted(count, "subtitle")
    seconds = sum(report.seconds.values())
    console.print(f"{printable(str(result))}: {summary}, {report.frames} frames in {seconds:.1f} s")
    for warning in report.warnings:
        console.print(f"  {warning}")
    return 0


def _single_film_settings(context: CommandContext) -> tuple[EraseSettings, Companions]:
    """Return settings and companion files of ``erase``: the configuration, then the options.

    Raises:
        InputError: a companion file does not exist.
        BadSidecar: the settings file is not valid.
        WrongUsage: an option has a value that is not allowed.
    """
    options, resolved = context.options, ResolvedSettings(context.config.erase)
    if options.settings is not None:
        resolved = overridden(resolved, options.settings, shown_as=options.settings)
    mask = resolved.mask if options.mask is None else options.mask
    files = {"cues": options.cues, "mask": mask}
    for option, file in files.items():
        if file is not None and not Path(file).is_file():
            raise InputError(options.source, f"there is no {option} file {file}; correct the path.")
    paths = {option: str(Path(file).resolve()) if file else "" for option, file in files.items()}
    settings = replace(resolved.settings, mask=Path(mask).name if mask else "")
    if options.engine:
        settings = replace(settings, engine=options.engine)
    if options.crf is not None:
        settings = replace(settings, encode=replace(settings.encode, crf=options.crf))
    check_erase(settings, prefix="", error=WrongUsage)
    return settings, Companions(**paths)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def requeue_films(context: CommandContext) -> int:
    """Move films from failed/ back into the inbox; return 1 if one of them could not be moved."""
    folders, options = context.config.folders, context.options
    console = Console(highlight=False, markup=False)
    if not options.names and not options.all:
        raise WrongUsage("say which: the path of a film below failed/, a job id, or --all.")
    marked = context.config.inbox.ready is ReadyMode.MARKER
    films = _failed_films(folders.failed)
    names = list(films) if options.all else options.names
    code = 0
    for name in names:
        film = _film_path(name, films, folders.failed)
        try:
            target = requeue(film, folders.failed, folders.inbox, marked=marked)
        except FileExistsError:
            console.print(f"{printable(name)}: the inbox has another film of that name; rename one")
            code = 1
        except NotADirectoryError as error:
            place = printable(str(error.filename))
            console.print(
                f"{printable(name)}: {place} is a link or a file, not a folder; remove it"
            )
            code = 1
        except (FileNotFoundError, ValueError):
            console.print(f"{printable(name)}: no such film in {folders.failed}")
            code = 1
        else:
            console.print(printable(str(target)))
    return code


def _failed_films(failed: Path) -> dict[str, Path]:
    """Return the films in failed/ by their job ids, or by their paths where the id is unknown."""
    films = {}
    for file in sorted(failed.rglob(f"*{ERROR_ENDING}")):
        film = file.with_name(file.name.removesuffix(ERROR_ENDING))
        if film.is_file():
            films[_job_id_in(file) or str(film)] = film
    return films


def _job_id_in(error_file: Path) -> str:
    """Return the job id in an ``.error.json`` file, "" if it has none: others may write it, too."""
    try:
        raw = read_json(error_file)
    except (OSError, BadJson):
        return ""
    job_id = raw.get("job_id") if isinstance(raw, dict) else None
    return job_id if isinstance(job_id, str) else ""


def _film_path(name: str, films: dict[str, Path], failed: Path) -> Path:
    """Return the path of the film with the job id ``name``, else ``failed/name``.

    A name that leads out of failed/ gives ``failed`` itself, which ``requeue`` refuses.
    """
    inside = ".." not in Path(name).parts
    return films.get(name.lower(), failed / name if inside else failed)


def doctor(context: CommandContext) -> int:
    """Check the installation and print the findings; return 1 if one of them is bad."""
    console = Console(highlight=False, markup=False)
    source = str(context.config_path) if context.config_path else "no file found; the defaults"
    code = 0
    devices = context.environment.visible_devices
    for finding in examine(context.config, source, visible_devices=devices):
        mark = Text("ok ", "green") if finding.well else Text("BAD", "red")
        console.print(mark, f"{finding.what}:", printable(finding.sentence), soft_wrap=True)
        code = code if finding.well else 1
    return code
