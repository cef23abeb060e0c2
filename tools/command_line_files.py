"""Writes the shell completions and the man page from the argument parser.

usage: python -m tools.command_line_files

Needs shtab and argparse-manpage, which ``make env`` installs. A test holds the files equal to the
parser, without these libraries.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path

from daemon.cli.main import build_parser
from erasecore.version import __version__

DEPLOY = Path(__file__).parents[1] / "deploy"
FILES = {
    "bash": DEPLOY / "completion" / "subtitle-eraser",
    "zsh": DEPLOY / "completion" / "_subtitle-eraser",
    "man": DEPLOY / "man" / "subtitle-eraser.1",
}
"""Kind of file -> its path; completions are found by these names."""
_PATHS = ("IN", "FILM", "FILE", "PATH", "DIR")
"""Beginnings of the placeholders of arguments that are files or folders."""


def commands_of(parser: argparse.ArgumentParser) -> dict[str, set[str]]:
    """Return the options of each command, those of its actions included; "" for the program's."""
    found = {"": {text for action in parser._actions for text in action.option_strings}}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                found[name] = set().union(*commands_of(command).values())
    return found


def complete_paths(parser: argparse.ArgumentParser, function: dict[str, str]) -> None:
    """Let the shells complete the names of files and folders where an argument is one."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                complete_paths(command, function)
        elif action.type is Path or str(action.metavar).startswith(_PATHS):
            action.complete = function  # type: ignore[attr-defined]


def man_page(parser: argparse.ArgumentParser) -> str:
    """Return the man page, without the date, which would make it another one each day."""
    manpage = import_module("argparse_manpage.manpage").Manpage
    _, rest = str(manpage(parser)).split("\n", 1)
    name = ".SH NAME\nsubtitle\\-eraser"
    rest = rest.replace(name, f"{name} \\- erase burned\\-in subtitles from films", 1)
    return f'.TH SUBTITLE\\-ERASER "1" "" "subtitle\\-eraser {__version__}" "User Commands"\n{rest}'


def main() -> int:
    """Write all files; return 0."""
    shtab = import_module("shtab")
    for kind, path in FILES.items():
        path.parent.mkdir(exist_ok=True)
        parser = build_parser()
        complete_paths(parser, shtab.FILE)
        text = man_page(parser) if kind == "man" else shtab.complete(parser, kind)
        lines = [line.rstrip() for line in text.strip().split("\n")]
        path.write_text("\n".join(lines) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
