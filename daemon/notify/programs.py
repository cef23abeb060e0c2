"""Receivers that are programs: the operator's command, and apprise in a process of its own."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Event as Flag

from daemon.config.notify_settings import EventKind
from daemon.notify.command import run_command
from daemon.notify.delivery import Message, Outcome
from erasecore.errors import printable

PREFIX = "SUBTITLE_ERASER_"
"""Beginning of the names of the variables that a command gets."""
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "USER", "LOGNAME")
"""Variables that a program inherits; credentials and systemd's sockets are none of its business."""
_NETWORK = ("http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR", "PYTHONPATH")
"""Variables that apprise inherits as well."""
NOT_TAKEN = 3
"""Exit code of apprise's process: the address has not taken the message."""
NO_ADDRESS = 4
"""Exit code of apprise's process: it knows no such address."""
_APPRISE_REASONS = {
    NOT_TAKEN: "it did not take the message.",
    NO_ADDRESS: "its credential is no address that apprise knows.",
}
APPRISE_COMMAND = (sys.executable, "-m", "daemon.notify.apprise_process")
"""Command line of the process that has apprise loaded."""


@dataclass(frozen=True, slots=True)
class CommandReceiver:
    """A program of the operator's."""

    name: str
    kinds: frozenset[EventKind]
    argv: tuple[str, ...]
    seconds: float
    cut_off: Flag
    environment: Mapping[str, str] = field(repr=False)

    @property
    def address_digest(self) -> str:
        """Digest of the command line."""
        return hashlib.sha256("\0".join(self.argv).encode("utf-8", "surrogateescape")).hexdigest()

    def send(self, message: Message, *, now: float) -> Outcome:
        """Run the program once; see ``Receiver.send``."""
        del now  # the message has its time
        ended = run_command(
            self.argv,
            message.body.encode(),
            {**_inherited(self.environment, _INHERITED), **variables_of(message)},
            seconds=self.seconds,
            cut_off=self.cut_off,
        )
        return Outcome(ended.succeeded, ended.reason)


@dataclass(frozen=True, slots=True)
class AppriseReceiver:
    """An address of apprise; sent to by a process that can be killed: apprise may wait for ever."""

    name: str
    kinds: frozenset[EventKind]
    url: str = field(repr=False)
    seconds: float
    cut_off: Flag
    environment: Mapping[str, str] = field(repr=False)

    @property
    def address_digest(self) -> str:
        """Digest of the address, which is a secret."""
        return hashlib.sha256(self.url.encode()).hexdigest()

    def send(self, message: Message, *, now: float) -> Outcome:
        """Send to the address once; see ``Receiver.send``."""
        del now  # the message has its time
        sentence = json.loads(message.body)["data"]["sentence"]
        title = f"subtitle-eraser: {message.kind}"
        given = json.dumps({"url": self.url, "title": title, "text": sentence})
        ended = run_command(
            APPRISE_COMMAND,
            given.encode(),
            _inherited(self.environment, (*_INHERITED, *_NETWORK)),
            seconds=self.seconds,
            cut_off=self.cut_off,
            kept_bytes=0,
        )
        return Outcome(ended.succeeded, _APPRISE_REASONS.get(ended.code, ended.reason))


def _inherited(environment: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    return {name: environment[name] for name in names if name in environment}


def variables_of(message: Message) -> dict[str, str]:
    """Return the variables of a command: the event, its id, its time, and all of its data.

    A path keeps its bytes, as surrogate escapes.
    """
    content = json.loads(message.body)
    values = {
        "EVENT": message.kind,
        "EVENT_ID": message.event_id,
        "TIME": content["timestamp"],
        **{key.upper(): value for key, value in content["data"].items()},
    }
    return {f"{PREFIX}{key}": _value(value) for key, value in values.items()}


def _value(value: object) -> str:
    """Return a value as that of a variable; text that no variable can have is escaped."""
    text = str(value)
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return printable(text)
    return printable(text) if "\0" in text else text
