"""Help and options of the commands that steer a running daemon."""

from __future__ import annotations

import argparse

CONTROL_HELP: dict[str, tuple[str, str]] = {
    "pause": (
        "let the daemon begin no film for a while",
        "Films at work are finished, unless --now interrupts them; their finished segments stay.\n"
        "The pause is kept over a restart, and ends by itself if it has an end.\n\n"
        "examples:\n"
        "  subtitle-eraser pause --for 2h\n"
        "  subtitle-eraser pause --until 06:00 --now",
    ),
    "resume": (
        "end the pause",
        "example: subtitle-eraser resume",
    ),
    "cancel": (
        "give films up: they go to failed/ as Cancelled",
        "FILM is its path below the inbox, or the id of its job. `requeue` brings it back.\n\n"
        "example: subtitle-eraser cancel series/02.mkv",
    ),
    "prefer": (
        "let films go before all others",
        "FILM is its path below the inbox, or the id of its job. What is at work goes on. A film\n"
        "that was handed back is taken again.\n\nexample: subtitle-eraser prefer film.mp4",
    ),
    "hand-back": (
        "put films back into the inbox, where this daemon leaves them",
        "FILM is its path below the inbox, or the id of its job. What was done of it is lost.\n"
        "The daemon leaves it alone until it changes, or `prefer` names it; others may take it.\n\n"
        "example: subtitle-eraser hand-back film.mp4",
    ),
    "redo": (
        "put the originals of finished films into the inbox again",
        "FILM is the path of its original below originals/. Its result stays; the new one gets a\n"
        "number. Refused where the original was not kept.\n\n"
        "example: subtitle-eraser redo --settings better.yaml film.mp4",
    ),
}
"""Short and long help text of each command."""
VIEW_HELP: dict[str, tuple[str, str]] = {
    "queue": (
        "show the films in their order, why each waits, and when it will be done",
        "The ends are estimated from the speed of the last films, by size.\n\n"
        "example: subtitle-eraser queue --json",
    ),
    "logs": (
        "show the log of a film",
        "FILM is its path below the inbox, or the id of its job.\n\n"
        "example: subtitle-eraser logs -f film.mp4",
    ),
    "events": (
        "show what happens to films and queue, as lines of JSON",
        "The events of the daemons that run, since each was started.\n\n"
        "example: subtitle-eraser events -f | jq .event",
    ),
}
"""The same of the commands that show something."""


def add_view_options(name: str, command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command ``name``, which is one of ``VIEW_HELP``."""
    if name == "queue":
        command.add_argument("--json", action="store_true", help="for machines")
        return
    if name == "logs":
        command.add_argument("film", metavar="FILM", help="path, or job id")
    command.add_argument(
        "-f", "--follow", action="store_true", help="go on with what comes, until interrupted"
    )


def add_control_options(name: str, command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command ``name``, which is one of ``CONTROL_HELP``."""
    if name == "pause":
        end = command.add_mutually_exclusive_group()
        end.add_argument(
            "--for", dest="duration", metavar="TIME", help="e.g. 2h, 90m or 1h30m; else no end"
        )
        end.add_argument("--until", metavar="TIME", help="e.g. 06:00, or 2026-12-01T06:00")
        command.add_argument("--now", action="store_true", help="interrupt the films at work, too")
    elif name != "resume":
        if name == "redo":
            command.add_argument(
                "--settings", metavar="FILE", help="settings as in a film.mp4.erase.yaml"
            )
        command.add_argument("films", nargs="+", metavar="FILM", help="path, or job id")
    command.add_argument(
        "--daemon", default="", metavar="NAME", help="its host; else every one, or the film's"
    )
    command.add_argument("--no-wait", action="store_true", help="do not wait for the answer")
