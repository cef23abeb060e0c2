"""The configuration section ``notify``: who is told of which events, and its checks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from daemon.config.parsing import Problem

COMMAND_NAME = "command"
"""Name of the receiver that ``notify.command`` makes; no other receiver may have it."""
MAX_RETRY_SECONDS = 7 * 24 * 3600.0
"""Longest delay between two tries, in seconds; the queue of a receiver must not wait for ever."""


class EventKind(StrEnum):
    """Kinds of events that receivers may be told of."""

    DONE = "done"  # a film's result is in done/
    FAILED = "failed"  # a film is in failed/
    REVIEW = "review"  # a film waits for a person
    PAUSED = "paused"  # the queue waits
    RESUMED = "resumed"  # the queue goes on


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """One address that messages are posted to."""

    name: str  # for the log and the outbox; the address may be a secret
    url: str = ""
    url_credential: str = ""  # where the address is read from, if it is a secret
    secrets: tuple[str, ...] = ()  # where the signing secrets are read from; several: all sign
    events: tuple[EventKind, ...] | None = None  # ``None``: those of the section
    allow_private: bool = False  # True: it may lie in a private network or on this machine


@dataclass(frozen=True, slots=True)
class AppriseSettings:
    """One address of apprise, which is a secret."""

    name: str  # for the log and the outbox
    credential: str  # where the address is read from
    events: tuple[EventKind, ...] | None = None  # ``None``: those of the section


@dataclass(frozen=True, slots=True)
class NotifySettings:
    """Section ``notify``. The times are guesses, but for ``retry_seconds``."""

    events: tuple[EventKind, ...] = tuple(EventKind)
    command: tuple[str, ...] = ()  # argv; empty: none
    command_seconds: float = 60.0  # after which the command is killed
    webhooks: tuple[WebhookSettings, ...] = ()
    apprise: tuple[AppriseSettings, ...] = ()
    send_seconds: float = 15.0  # to connect to a webhook's receiver, and again for its answer
    retry_seconds: tuple[float, ...] = (  # before the second and each further try
        *(5.0, 30.0, 120.0, 600.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0),
    )

    @property
    def enabled(self) -> bool:
        """True if somebody is to be told of something."""
        return bool(self.command or self.webhooks or self.apprise)

    def names(self) -> list[str]:
        """Return the names of all receivers."""
        command = [COMMAND_NAME] if self.command else []
        return command + [one.name for one in self.webhooks] + [one.name for one in self.apprise]


_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}")
_CREDENTIAL = re.compile(r"[A-Za-z0-9][\w.-]*|/[^\0]+")  # a credential of systemd, or a file


def notify_problems(notify: NotifySettings) -> Iterator[Problem]:
    """Yield names, addresses, commands and times that cannot be used; credentials are not read."""
    yield from _command_problems(notify.command)
    yield from _time_problems(notify)
    for index, webhook in enumerate(notify.webhooks):
        yield from _webhook_problems(webhook, f"notify.webhooks[{index}]")
    for index, one in enumerate(notify.apprise):
        key = f"notify.apprise[{index}]"
        yield from _name_problems(one.name, key)
        yield from _credential_problems(one.credential, f"{key}.credential")
    for name, count in Counter(notify.names()).items():
        if count > 1:
            yield Problem("notify", f"two receivers are called {name}; give each its own name.")


def _command_problems(command: tuple[str, ...]) -> Iterator[Problem]:
    if command and not command[0].startswith("/"):
        yield Problem("notify.command", "begins with the program's path, which begins with '/'.")
    if any("\0" in word for word in command):
        yield Problem("notify.command", "has a NUL character.")


def _time_problems(notify: NotifySettings) -> Iterator[Problem]:
    for key in ("command_seconds", "send_seconds"):
        value = getattr(notify, key)
        if not 1 <= value <= 3600:
            yield Problem(f"notify.{key}", f"is {value:g}, must be from 1 to 3600.")
    if not all(0 < one <= MAX_RETRY_SECONDS for one in notify.retry_seconds):
        yield Problem("notify.retry_seconds", "each is above 0 and at most a week.")


def _name_problems(name: str, key: str) -> Iterator[Problem]:
    if not _NAME.fullmatch(name):
        yield Problem(f"{key}.name", f"{name!r}: letters, digits, '.', '_' and '-', at most 64.")


def _credential_problems(name: str, key: str) -> Iterator[Problem]:
    if not _CREDENTIAL.fullmatch(name):
        yield Problem(key, "must be the name of a credential, or the path of a file.")


def _webhook_problems(webhook: WebhookSettings, key: str) -> Iterator[Problem]:
    yield from _name_problems(webhook.name, key)
    if bool(webhook.url) == bool(webhook.url_credential):
        yield Problem(key, "needs either url or url_credential.")
    if webhook.url and (reason := url_problem(webhook.url)):
        yield Problem(f"{key}.url", reason)
    if webhook.url_credential:
        yield from _credential_problems(webhook.url_credential, f"{key}.url_credential")
    for index, name in enumerate(webhook.secrets):
        yield from _credential_problems(name, f"{key}.secrets[{index}]")


def url_problem(url: str) -> str:
    """Return a sentence on why ``url`` can be no webhook's address, without showing it; or ""."""
    demand = "must be an address such as https://hub.example.org/hook"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
        host.encode("idna")
    except ValueError:
        return f"{demand}."
    if parts.scheme not in ("http", "https") or not host:
        return f"{demand}."
    if parts.username is not None or parts.password is not None:
        return f"{demand}, without user and password."
    if not url.isascii() or not url.isprintable() or " " in url:
        return f"{demand}: plain ASCII, all else escaped with %."
    return ""
