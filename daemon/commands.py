"""Each command as a function from what was asked to an exit code."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from daemon.anchors import await_folders
from daemon.config import Config, Environment, load_config
from daemon.doctor import examine
from daemon.history import ERROR_ENDING, Entry, History
from daemon.inbox import Rules, look
from daemon.jobsettings import Wishes, overridden
from daemon.names import shown
from daemon.onefile import Errand, Stopped, erase_file
from daemon.owners import this_process
from daemon.progressbar import progress_bar
from daemon.publish import requeue
from daemon.service import Service
from daemon.status import DaemonView, daemons
from erasecore.errors import FolderError, InputError
from erasecore.settings import Companions, EraseSettings


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for."""

    config: Config
    config_path: Path | None
    root: Path | None
    environment: Environment
    options: argparse.Namespace

    def reload(self) -> Config:
        """The configuration as it is now."""
        return load_config(self.config_path, self.root)


def run(asked: Asked) -> int:
    """Be the daemon."""
    if not await_folders(asked.config, asked.environment):
        return 0
    return Service(asked.config, asked.environment, asked.reload).run()


def once(asked: Asked) -> int:
    """Drain the inbox."""
    return Service(asked.config, asked.environment, asked.reload).run(until_drained=True)


def erase(asked: Asked) -> int:
    """Erase one film."""
    options = asked.options
    result: Path = options.result
    if result.is_dir():
        result = result / options.source.name
    console = Console(stderr=True, highlight=False, markup=False)
    settings, companions = _asked_of_one(asked)
    errand = Errand(options.source, result, force=options.force, companions=companions)
    config = replace(asked.config, erase=settings)
    try:
        with progress_bar(console, shown(options.source.name)) as observe:
            report = erase_file(errand, config, observe)
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


def _asked_of_one(asked: Asked) -> tuple[EraseSettings, Companions]:
    """The settings and companions that the command line names for one film."""
    options, wishes = asked.options, Wishes(asked.config.erase)
    if options.settings is not None:
        wishes = overridden(wishes, options.settings, shown_as=options.settings)
    mask = wishes.mask if options.mask is None else options.mask
    files = {"cues": options.cues, "mask": mask}
    for option, file in files.items():
        if file is not None and not Path(file).is_file():
            raise InputError(options.source, f"there is no {option} file {file}; correct the path.")
    found = {option: str(Path(file).resolve()) if file else "" for option, file in files.items()}
    settings = replace(wishes.settings, mask=Path(mask).name if mask else "")
    if options.engine:
        settings = replace(settings, engine=options.engine)
    if options.crf is not None:
        settings = replace(settings, encode=replace(settings.encode, crf=options.crf))
    return settings, Companions(**found)


def status(asked: Asked) -> int:
    """Show what the daemons are at, what waits and what was done."""
    folders = asked.config.folders
    if not folders.work.is_dir():
        raise FolderError(folders.work, "is not there; has the daemon ever been started?")
    views = daemons(folders.work, this_process(asked.config.claims.instance))
    rules = Rules(asked.config.inbox)
    waiting = sum(1 for _ in look(folders.inbox, rules)) if folders.inbox.is_dir() else 0
    recent, counts = _past(folders.state, asked.options.last)
    if asked.options.json:
        answer = {
            "daemons": [asdict(view) for view in views],
            "inbox": waiting,
            "counts": counts,
            "recent": [asdict(entry) for entry in recent],
        }
        sys.stdout.write(json.dumps(answer, indent=2) + "\n")
        return 0
    console = Console(highlight=False, markup=False)
    console.print(_daemon_table(views) if views else "no daemon is running")
    console.print(f"in the inbox: {waiting}   ", end="")
    console.print("   ".join(f"{outcome}: {count}" for outcome, count in sorted(counts.items())))
    if recent:
        console.print(_recent_table(recent))
    for sentence in [entry.sentence for entry in recent if entry.sentence]:
        console.print(sentence)
    return 0


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _past(state: Path, most: int) -> tuple[list[Entry], dict[str, int]]:
    if not state.is_dir():
        return [], {}
    history = History(state)
    try:
        return history.recent(most), history.counts()
    finally:
        history.close()


def _daemon_table(views: list[DaemonView]) -> Table:
    table = Table("daemon", "is", "at", title="daemons", title_justify="left")
    for view in views:
        sentence = view.snapshot.sentence() if view.snapshot else ""
        table.add_row(view.instance, view.standing.value, shown(sentence))
    return table


def _recent_table(entries: list[Entry]) -> Table:
    table = Table("when", "film", "outcome", "attempts", "seconds", "subtitles")
    for entry in entries:
        when = datetime.fromtimestamp(entry.stopped_at).astimezone()
        table.add_row(
            when.strftime("%Y-%m-%d %H:%M:%S"),
            entry.name,
            entry.outcome,
            str(entry.attempts),
            f"{entry.seconds:.1f}",
            str(entry.events),
        )
    return table


def requeue_films(asked: Asked) -> int:
    """Put films from failed/ back into the inbox."""
    folders, options = asked.config.folders, asked.options
    console = Console(highlight=False, markup=False)
    if not options.names and not options.all:
        console.print("say which: a name below failed/, a job id, or --all")
        return 2
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
            films[str(json.loads(file.read_bytes()).get("job_id", film))] = film
    return films


def _find(name: str, films: dict[str, Path], failed: Path) -> Path:
    inside = ".." not in Path(name).parts
    return films.get(name.lower(), failed / name if inside else failed)


def doctor(asked: Asked) -> int:
    """Check everything."""
    console = Console(highlight=False, markup=False)
    source = str(asked.config_path) if asked.config_path else "no file found; the defaults"
    code = 0
    for finding in examine(asked.config, source):
        mark = Text("ok ", "green") if finding.well else Text("BAD", "red")
        console.print(mark, f"{finding.what}:", shown(finding.sentence), soft_wrap=True)
        code = code if finding.well else 1
    return code


COMMANDS: dict[str, Callable[[Asked], int]] = {
    "run": run,
    "once": once,
    "erase": erase,
    "status": status,
    "requeue": requeue_films,
    "doctor": doctor,
}
