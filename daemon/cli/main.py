"""Entry point of the command line: argument parser, dispatch to the commands, exit codes.

Exit codes: 0 success, 1 some job failed, 2 wrong usage, 78 bad configuration.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from daemon.cli.control_parser import (
    CONTROL_HELP,
    VIEW_HELP,
    add_control_options,
    add_view_options,
)
from daemon.cli.terminal import until_interrupted
from daemon.config.environment import (
    LOCAL_CONFIG,
    Environment,
    find_config,
    foreign_reason,
    read_environment,
)
from daemon.config.locations import load_locations
from daemon.storage.failpoints import arm_from
from erasecore.errors import ConfigError, EraseError, printable
from erasecore.version import __version__

if TYPE_CHECKING:  # ``status`` must not import it
    from daemon.config.schema import Config
    from daemon.status.command import StatusSources

EXIT_FAILED = 1  # a job or the command failed
EXIT_USAGE = 2  # wrong usage; also the code of argparse
EXIT_CONFIG = 78  # bad configuration; EX_CONFIG of sysexits.h

_FUNCTIONS = {
    "run": ("daemon.cli.commands", "run"),
    "once": ("daemon.cli.commands", "once"),
    "erase": ("daemon.cli.erase_command", "erase"),
    "plan": ("daemon.cli.plan_command", "plan"),
    "requeue": ("daemon.cli.commands", "requeue_films"),
    "doctor": ("daemon.cli.commands", "doctor"),
    "models": ("daemon.cli.models_commands", "models"),
    "notify": ("daemon.cli.notify_command", "notify"),
}
"""Module and function of each command; a module is imported only if its command runs."""
_EPILOG = """\
examples:
  subtitle-eraser erase film.mp4 clean.mp4      one film, here and now
  subtitle-eraser once --root ~/films           everything in ~/films/inbox, then leave
  subtitle-eraser run --config config.yaml      the daemon, in the foreground
  subtitle-eraser status                        what it is at

exit codes: 0 well, 1 some film failed, 2 wrong usage, 78 wrong configuration
configuration: --config, else $SUBTITLE_ERASER_CONFIG, else /etc/subtitle-eraser/config.yaml,
else ./config.yaml if it is ours, else the defaults; `config example` explains every key
"""

# Short and long help text of each command.
_HELP: dict[str, tuple[str, str]] = {
    "run": (
        "watch the inbox and erase what comes, until asked to leave",
        "Watches the inbox. A film that has finished arriving is erased: the result goes to\n"
        "done/, its source to originals/; what cannot be done goes to failed/, explained.\n\n"
        "SIGTERM or Ctrl-C: finish the current film if that is quick, else go on with it at the\n"
        "next start. A second one: leave at once. SIGHUP: read the configuration again.\n\n"
        "example: subtitle-eraser run --root /srv/films",
    ),
    "once": (
        "erase everything in the inbox, then leave",
        "Like run, but leaves once the inbox is empty; films that are still being copied are\n"
        "waited for. Exit code 1 if some film failed.\n\n"
        "example: subtitle-eraser once --root /srv/films",
    ),
    "erase": (
        "erase films here and now, without inbox and folders",
        "Writes IN without its burned-in subtitles to OUT, which appears whole or not at all.\n"
        "The ending of OUT is its container. Several IN, folders and patterns go to a folder OUT;\n"
        "results that are there already are skipped. A plan beside a film is obeyed.\n"
        "Stopped or killed, the same command goes on with what is finished. Exit code: 1 if some\n"
        "film failed, 130 after Ctrl-C, 143 after SIGTERM.\n\n"
        "examples:\n"
        "  subtitle-eraser erase film.mp4 clean.mp4\n"
        "  subtitle-eraser erase --engine propagate --crf 18 film.mkv done/\n"
        "  subtitle-eraser erase --mask logo.png film.mkv clean.mkv\n"
        "  subtitle-eraser erase --region 0,70%,100%,100% --script han season1/ 'more/*.mkv' done/",
    ),
    "plan": (
        "show what would be erased, without erasing",
        "Writes film.mp4.plan.yaml (each object with times, box and text, and what becomes of it)\n"
        "and film.mp4.plan.jpg (a contact sheet with the numbers) beside each film. The plan may\n"
        "be edited; erase obeys it there, and so does the daemon where film and plan come\n"
        "together. A FOLDER stands for all films in it.\n\n"
        "examples:\n"
        "  subtitle-eraser plan film.mp4\n"
        "  subtitle-eraser plan --region 0,0.7,1,1 season1/",
    ),
    "status": (
        "show what the daemons are at and what was done",
        "Shows every daemon that shares the work folder, the film it is at, what waits, and the\n"
        "last jobs. Who may not read the folders sees what the daemon tells everybody.\n"
        "Exit code 0: a daemon runs and is well; 1: none runs, or one is stuck or needs you.\n\n"
        "example: subtitle-eraser status --json",
    ),
    "requeue": (
        "put films from failed/ back into the inbox",
        "NAME is the path of a film below failed/, or the id of its job. The explanation of its\n"
        "failure is removed.\n\n"
        "examples:\n"
        "  subtitle-eraser requeue film.mp4 series/02.mkv\n"
        "  subtitle-eraser requeue --all",
    ),
    "doctor": (
        "check configuration, folders, the worker and the weights",
        "Tries everything that a film will need, and says what to do where something is wrong.\n\n"
        "example: subtitle-eraser doctor --config /etc/subtitle-eraser/config.yaml",
    ),
    "config": (
        "check, bring up to date or explain the configuration",
        "Nothing is run or changed, except by migrate --write.\n\n"
        "example: subtitle-eraser config check",
    ),
    "notify": (
        "tell of films that are done or failed, and of pauses",
        "Takes the events that the daemons of this host have written, and tells those whom the\n"
        "section notify: of the configuration names; until asked to leave. What cannot be sent is\n"
        "tried again. The service subtitle-eraser-notify runs it.\n\n"
        "example: subtitle-eraser notify --test",
    ),
    "models": (
        "fetch, verify or list the weights of the diffusion engine",
        "The propagate engine needs none of them.\n\nexample: subtitle-eraser models fetch",
    ),
    **VIEW_HELP,
    **CONTROL_HELP,
}

# The same for the actions of the commands config and models.
_CONFIG_HELP: dict[str, tuple[str, str]] = {
    "check": (
        "name all mistakes, with line, key and what is allowed",
        "FILE is a configuration, or a settings file: .erase.yaml, film.mp4.erase.yaml. Exit code\n"
        "78 if something is wrong.\n\n"
        "examples:\n"
        "  subtitle-eraser config check\n"
        "  subtitle-eraser config check inbox/series/.erase.yaml",
    ),
    "migrate": (
        "show a file of an earlier schema as it is written now",
        "Comments stay. With --write the file is replaced, and kept as FILE.schema-1.\n\n"
        "example: subtitle-eraser config migrate --write /etc/subtitle-eraser/config.yaml",
    ),
    "example": (
        "print a configuration with every key, explained, at its default",
        "example: subtitle-eraser config example > config.yaml",
    ),
}
_MODELS_HELP: dict[str, tuple[str, str]] = {
    "fetch": (
        "bring the weights that are lacking, damaged or of another revision",
        "Goes on where an earlier one was interrupted. Asks no hub while everything is there and\n"
        "unchanged. Where they come from, and go to, is in the section models: of the\n"
        "configuration; about 10 GB.\n\nexample: subtitle-eraser models fetch",
    ),
    "verify": (
        "read all weights and compare them with what was fetched",
        "Exit code 1 if something is missing or damaged; what, and what mends it, is said.\n\n"
        "example: subtitle-eraser models verify",
    ),
    "list": (
        "show what is there, from where, and when it was last verified",
        "example: subtitle-eraser models list --json",
    ),
}


Commands: TypeAlias = (
    "argparse._SubParsersAction[argparse.ArgumentParser]"  # result of add_subparsers
)


def build_parser(only: str = "") -> argparse.ArgumentParser:
    """Return the argument parser.

    Args:
        only: the first word of the command line. If it is a command, the parsers of all others are
            left out: building them takes too long for ``status``.
    """
    parser = argparse.ArgumentParser(
        prog="subtitle-eraser",
        description="Erases burned-in subtitles from films that are dropped into a folder.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    common = _common_options()
    for name, texts in _HELP.items():
        if only in _HELP and only != name:
            continue
        if name == "models":
            _add_models_actions(_add_command(commands, name, texts), common)
        elif name == "config":
            _add_config_actions(_add_command(commands, name, texts), common)
        elif name in CONTROL_HELP:
            add_control_options(name, _add_command(commands, name, texts, common))
        elif name in VIEW_HELP:
            add_view_options(name, _add_command(commands, name, texts, common))
        else:
            _add_options(name, _add_command(commands, name, texts, common))
    return parser


def _add_command(
    commands: Commands, name: str, texts: tuple[str, str], *parents: argparse.ArgumentParser
) -> argparse.ArgumentParser:
    """Add a command with the options of ``parents``; return its parser.

    Args:
        commands: the result of ``add_subparsers``.
        name: the command.
        texts: its short and its long help.
        parents: parsers whose options it has, too.
    """
    short, long = texts
    return commands.add_parser(
        name,
        parents=parents,
        help=short,
        description=long,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_models_actions(command: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Add the actions of the command ``models``, and their options."""
    actions = command.add_subparsers(dest="action", metavar="ACTION", required=True)
    parsers = {
        name: _add_command(actions, name, texts, common) for name, texts in _MODELS_HELP.items()
    }
    parsers["fetch"].add_argument(
        "--update", action="store_true", help="ask for newer revisions, too"
    )
    parsers["verify"].add_argument(
        "--adopt",
        action="store_true",
        help="take what lies there, brought by hand, for what it should be from now on",
    )
    parsers["list"].add_argument("--json", action="store_true", help="for machines")


def _add_config_actions(command: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Add the actions of the command ``config``, and their options."""
    actions = command.add_subparsers(dest="action", metavar="ACTION", required=True)
    parsers = {
        name: _add_command(actions, name, texts, common) for name, texts in _CONFIG_HELP.items()
    }
    for name in ("check", "migrate"):
        parsers[name].add_argument(
            "files", nargs="*", type=Path, metavar="FILE", help="else the configuration"
        )
    parsers["migrate"].add_argument("--write", action="store_true", help="replace the files")


def _common_options() -> argparse.ArgumentParser:
    """Return a parser with the options that every command has."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", type=Path, metavar="PATH", help="the configuration file")
    common.add_argument(
        "--root",
        type=Path,
        metavar="DIR",
        help="use DIR/inbox, DIR/work, DIR/done, DIR/failed, DIR/originals, DIR/state",
    )
    return common


def _add_options(name: str, command: argparse.ArgumentParser) -> None:
    """Add the arguments that only the command ``name`` has."""
    if name == "erase":
        _add_erase_options(command)
    if name == "plan":
        command.add_argument("films", nargs="+", metavar="FILM|FOLDER", help="what to plan")
        command.add_argument("--force", action="store_true", help="replace plans that are there")
        _add_film_options(command)
        command.set_defaults(plan=None)
    if name == "status":
        command.add_argument("--json", action="store_true", help="for machines")
        command.add_argument("--last", type=int, default=10, metavar="N", help="jobs to show")
        command.add_argument("--watch", action="store_true", help="again every two seconds")
    if name == "notify":
        command.add_argument(
            "--test", action="store_true", help="tell everybody that this is a test, and leave"
        )
    if name == "requeue":
        command.add_argument("names", nargs="*", metavar="NAME", help="film or job id")
        command.add_argument("--all", action="store_true", help="every film in failed/")


def _add_erase_options(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``erase``."""
    command.add_argument(
        "paths", nargs="+", metavar="IN... OUT", help="films or folders, and the new film or folder"
    )
    command.add_argument("--force", action="store_true", help="replace results that are there")
    command.add_argument("--plan", type=Path, metavar="FILE", help="erase as this plan says")
    command.add_argument("--start", metavar="TIME", help="begin there, e.g. 1:30 or 90s")
    command.add_argument("--duration", metavar="TIME", help="erase so much of the film only")
    command.add_argument(
        "--preview",
        metavar="TIME",
        help="erase the hardest stretch of this length only, e.g. 5s; OUT shows it after, and "
        "OUT's .before file before",
    )
    command.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    command.add_argument("-v", "--verbose", action="store_true", help="print the log as well")
    _add_film_options(command)


def _add_film_options(command: argparse.ArgumentParser) -> None:
    """Add the options that say how a film is treated."""
    command.add_argument("--engine", help="auto, propagate or diffueraser")
    command.add_argument("--crf", type=float, help="quality, 0 to 51; lower is better")
    command.add_argument(
        "--codec", choices=("source", "h264", "hevc", "av1"), help="of the result's picture"
    )
    command.add_argument("--no-srt", action="store_true", help="do not write the erased text")
    command.add_argument(
        "--region",
        action="append",
        metavar="L,T,R,B[@TIMES]",
        help="look there only, and erase all text there: shares (0,0.7,1,1), %% or px of the "
        "picture as seen; may be given several times",
    )
    command.add_argument(
        "--times", metavar="START-STOP,...", help="erase the lines that show then, e.g. 0:10-1:30"
    )
    command.add_argument(
        "--script",
        action="append",
        choices=("han", "kana", "latin", "other"),
        help="erase lines in this script only; may be given several times",
    )
    command.add_argument(
        "--mask",
        type=Path,
        metavar="FILE",
        help="a PNG, or a film with as many frames: erase what is white in it",
    )
    command.add_argument(
        "--cues",
        type=Path,
        metavar="FILE",
        help="an .srt file: look for text only at its times, a second more on each side",
    )
    command.add_argument(
        "--settings", type=Path, metavar="FILE", help="settings as in a film.mp4.erase.yaml"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command in ``arguments`` (``None``: ``sys.argv``) and return the exit code.

    Our errors are printed as one sentence. argparse itself exits, with code 2, on wrong usage.
    """
    words = sys.argv[1:] if arguments is None else arguments
    options = build_parser(only="".join(words[:1])).parse_args(words)
    environment = read_environment()
    try:
        if options.command == "status":
            return _run_status(environment, options)
        if options.command == "config":
            return _run_config(environment, options)
        if options.command in CONTROL_HELP or options.command in VIEW_HELP:
            return until_interrupted(lambda: _run_control(environment, options))
        return _run_command(_find_config(options, environment), environment, options)
    except ConfigError as error:
        return _print_error(error, EXIT_CONFIG)
    except EraseError as error:
        return _print_error(error, EXIT_FAILED)


def _find_config(options: argparse.Namespace, environment: Environment) -> Path | None:
    """Return the configuration file; say so if one in the working folder is passed over."""
    path = find_config(options.config, environment)
    if path is None and (reason := foreign_reason()):
        sentence = f"{LOCAL_CONFIG} is not read: {reason}; name it with --config if it is meant."
        _print_line(sentence)
    return path


def _run_config(environment: Environment, options: argparse.Namespace) -> int:
    """Run ``config``, which must work where the configuration is wrong."""
    from daemon.cli.config_commands import check, example, migrate

    if options.action == "example":
        return example()
    found = None if options.files else _find_config(options, environment)
    files = options.files or ([found] if found else [])
    if options.action == "migrate":
        return migrate(files, write=options.write)
    return 0 if check(files) else EXIT_CONFIG


def _run_status(environment: Environment, options: argparse.Namespace) -> int:
    """Run ``status``, without importing what only other commands need."""
    from daemon.status.command import status, watch

    sources = _status_sources(environment, options)
    if options.watch:
        return until_interrupted(lambda: watch(sources, last=options.last, as_json=options.json))
    code = status(sources, last=options.last, as_json=options.json)
    gc.freeze()  # saves the time of the garbage collection at exit
    return code


def _status_sources(environment: Environment, options: argparse.Namespace) -> StatusSources:
    """Return the places that the status is read from."""
    from daemon.status.command import StatusSources

    return StatusSources(
        load=lambda: load_locations(_find_config(options, environment), options.root),
        config=options.config or environment.config,
        runtime_folder=environment.runtime_folder,
        has_root=options.root is not None,
    )


def _run_control(environment: Environment, options: argparse.Namespace) -> int:
    """Run a command that steers or shows a daemon, with little of the configuration."""
    if options.command == "queue":
        from daemon.status.queue_command import queue

        return queue(_status_sources(environment, options), as_json=options.json)
    from daemon.cli.context import WrongUsage
    from daemon.cli.control_commands import ask
    from daemon.cli.follow_commands import show_events, show_log

    functions = {"logs": show_log, "events": show_events}
    places = load_locations(_find_config(options, environment), options.root)
    try:
        return functions.get(options.command, ask)(places, options)
    except WrongUsage as error:
        return _print_error(error, EXIT_USAGE)


def _run_command(path: Path | None, environment: Environment, options: argparse.Namespace) -> int:
    """Run any other command: load the configuration, set up logging, import the command."""
    from daemon.cli.context import CommandContext, WrongUsage
    from daemon.config.schema import read_config
    from daemon.runtime.logs import configure, tell_outdated

    loaded = read_config(path, options.root)
    config = loaded.config
    configure(config.log)
    tell_outdated(loaded.warnings)
    load = partial(_load_again, path, options.root)
    arm_from(environment.fault_at, environment.fault_does)
    module, name = _FUNCTIONS[options.command]
    function: Callable[[CommandContext], int] = getattr(import_module(module), name)
    try:
        return function(CommandContext(config, path, load, environment, options))
    except WrongUsage as error:
        return _print_error(error, EXIT_USAGE)


def _load_again(path: Path | None, root: Path | None) -> Config:
    """Return the configuration as it is on disk now; log what is outdated in it."""
    from daemon.config.schema import read_config
    from daemon.runtime.logs import tell_outdated

    loaded = read_config(path, root)
    tell_outdated(loaded.warnings)
    return loaded.config


def _print_error(error: Exception, code: int) -> int:
    """Print ``error`` on standard error, one line for each mistake, and return ``code``."""
    for line in str(error).split("\n"):
        _print_line(line)
    return code


def _print_line(text: str) -> None:
    print(f"subtitle-eraser: {printable(text)}", file=sys.stderr)
