"""The command ``notify``: the process that tells of events, or one test message."""

from __future__ import annotations

import time
from threading import Event as Flag

from rich.console import Console
from ulid import ULID

from daemon.cli.context import CommandContext
from daemon.notify.delivery import Receiver
from daemon.notify.events import host_of
from daemon.notify.notifier import Notifier, outbox_folder, trial_message
from daemon.notify.outbox import OUTBOX_FILE, Outbox
from daemon.notify.receivers import Surroundings, receivers_of
from daemon.runtime.systemd import Notifier as Systemd

CREDENTIALS_FOLDER = "notify"
"""Folder beside the configuration with the credentials, where systemd has not loaded them."""


def notify(context: CommandContext) -> int:
    """Tell of events until asked to stop; with ``--test`` send one message and return."""
    environment, cut_off = context.environment, Flag()
    credentials = environment.credentials
    if credentials is None and context.config_path is not None:
        credentials = context.config_path.absolute().parent / CREDENTIALS_FOLDER
    around = Surroundings(credentials, environment.variables, cut_off)
    receivers = receivers_of(context.config.notify, around)
    if context.options.test:
        return _test(context, receivers)
    systemd = Systemd(environment.notify_socket, environment.watchdog_seconds)
    return Notifier(context.config, receivers, cut_off, systemd).run()


def _test(context: CommandContext, receivers: list[Receiver]) -> int:
    """Send a test message to everybody; return 1 if somebody has not taken it, or nobody is named.

    A receiver that had asked to be told no more, and takes it, is told of events again.
    """
    console = Console(highlight=False, markup=False)
    now = time.time()
    message = trial_message(host_of(context.config), now=now, token=str(ULID()))
    outcomes = {one.name: one.send(message, now=now) for one in receivers}
    for name, outcome in outcomes.items():
        console.print(f"{name}: {'delivered' if outcome.delivered else outcome.reason}")
    if not receivers:
        console.print("the section notify: of the configuration names nobody who is to be told")
        return 1
    _enable(context, [name for name, outcome in outcomes.items() if outcome.delivered])
    return 0 if all(one.delivered for one in outcomes.values()) else 1


def _enable(context: CommandContext, names: list[str]) -> None:
    folder = outbox_folder(context.config)
    if not (folder / OUTBOX_FILE).exists():
        return
    outbox = Outbox(folder)
    try:
        for name in names:
            outbox.enable(name)
    finally:
        outbox.close()
