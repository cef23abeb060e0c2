"""Commands of the program, one function each, from the command context to the exit code."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.text import Text

from daemon.cli.context import CommandContext, WrongUsage
from daemon.cli.doctor import examine
from daemon.config.locations import ReadyMode
from daemon.jobs.history_view import ERROR_ENDING
from daemon.jobs.publish import requeue
from daemon.lifecycle.folder_watch import await_folders
from daemon.service import Service
from daemon.storage.untrusted_json import BadJson, read_json
from erasecore.errors import printable


def run(context: CommandContext) -> int:
    """Run the daemon until it is asked to stop; wait first until its folders can be used."""
    if not await_folders(context.config, context.environment):
        return 0
    return Service(context.config, context.environment, context.reload).run()


def once(context: CommandContext) -> int:
    """Process all films in the inbox, then return."""
    return Service(context.config, context.environment, context.reload, until_drained=True).run()


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
