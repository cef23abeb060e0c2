"""The receivers that the configuration names, with their secrets, which are read here only."""

from __future__ import annotations

import base64
import binascii
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from threading import Event as Flag

from daemon.config.notify_settings import (
    COMMAND_NAME,
    AppriseSettings,
    EventKind,
    NotifySettings,
    WebhookSettings,
    url_problem,
)
from daemon.notify.delivery import Receiver
from daemon.notify.programs import AppriseReceiver, CommandReceiver
from erasecore.errors import ConfigError
from erasecore.system.safe_open import read_plain

CREDENTIAL_PREFIX = "notify_"
"""What systemd puts before the names of the files of a folder that is loaded as ``notify``."""
MAX_SECRET_BYTES = 65536
"""Largest file that is read as a credential, in bytes. A guess."""
_SECRET_PREFIX = "whsec_"
_READABLE_BY_OTHERS = stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Things that receivers are given from outside of the configuration."""

    credentials: Path | None  # folder of the credentials; ``None``: there is none
    environment: Mapping[str, str]  # of this process
    cut_off: Flag  # set when programs are waited for no longer


def receivers_of(notify: NotifySettings, around: Surroundings) -> list[Receiver]:
    """Return all receivers; reads their credentials.

    Raises:
        ConfigError: a credential is missing or cannot be used, or a library is missing.
    """
    found: list[Receiver] = []
    if notify.command:
        found.append(
            CommandReceiver(
                COMMAND_NAME,
                frozenset(notify.events),
                notify.command,
                notify.command_seconds,
                around.cut_off,
                around.environment,
            )
        )
    for index, webhook in enumerate(notify.webhooks):
        found.append(_webhook(webhook, notify, around, f"notify.webhooks[{index}]"))
    for index, one in enumerate(notify.apprise):
        found.append(_apprise(one, notify, around, f"notify.apprise[{index}]"))
    return found


def _kinds(own: tuple[EventKind, ...] | None, notify: NotifySettings) -> frozenset[EventKind]:
    return frozenset(notify.events if own is None else own)


def _webhook(
    webhook: WebhookSettings, notify: NotifySettings, around: Surroundings, key: str
) -> Receiver:
    _require("standardwebhooks", key)
    from daemon.notify.webhook import WebhookReceiver  # needs a library of the extra

    url = webhook.url
    if webhook.url_credential:
        url = _read_secret(webhook.url_credential, around, f"{key}.url_credential")
        if reason := url_problem(url):
            raise ConfigError(f"{key}.url_credential: the address in it {reason}")
    secrets = [
        _signing_secret(name, around, f"{key}.secrets[{index}]")
        for index, name in enumerate(webhook.secrets)
    ]
    return WebhookReceiver(
        name=webhook.name,
        kinds=_kinds(webhook.events, notify),
        url=url,
        secrets=tuple(secrets),
        allow_private=webhook.allow_private,
        send_seconds=notify.send_seconds,
    )


def _apprise(
    one: AppriseSettings, notify: NotifySettings, around: Surroundings, key: str
) -> Receiver:
    _require("apprise", key)
    return AppriseReceiver(
        name=one.name,
        kinds=_kinds(one.events, notify),
        url=_read_secret(one.credential, around, f"{key}.credential"),
        seconds=notify.command_seconds,
        cut_off=around.cut_off,
        environment=around.environment,
    )


def _require(library: str, key: str) -> None:
    if find_spec(library) is None:
        raise ConfigError(
            f"{key}: needs the library {library}; install with the extra `notify`: "
            "pip install 'subtitle-eraser[notify]', or install.sh --notify."
        )


def _signing_secret(name: str, around: Surroundings, key: str) -> str:
    """Return a secret that signs, ``whsec_`` and base64 as Standard Webhooks has it."""
    secret = _read_secret(name, around, key)
    text = secret.removeprefix(_SECRET_PREFIX).rstrip("=")
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if not raw:
        raise ConfigError(f"{key}: the secret in it must be whsec_ and base64, as receivers give.")
    return secret


def _read_secret(name: str, around: Surroundings, key: str) -> str:
    """Return the content of a credential, or of the file that ``name`` is the path of.

    Raises:
        ConfigError: it is missing, empty, no text, or everybody may read it.
    """
    path = _secret_file(name, around, key)
    try:
        if path.stat().st_mode & _READABLE_BY_OTHERS:
            raise ConfigError(f"{key}: everybody may read {path}; chmod 0600 it.")
        text = read_plain(path, MAX_SECRET_BYTES).decode("utf-8").strip()
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise ConfigError(f"{key}: {path} cannot be read ({reason}).") from error
    except UnicodeDecodeError:
        raise ConfigError(f"{key}: {path} is no text.") from None
    if not text:
        raise ConfigError(f"{key}: {path} is empty.")
    return text


def _secret_file(name: str, around: Surroundings, key: str) -> Path:
    if name.startswith("/"):
        return Path(name)
    if around.credentials is not None:
        for prefix in (CREDENTIAL_PREFIX, ""):
            path = around.credentials / f"{prefix}{name}"
            if path.exists():
                return path
    raise ConfigError(
        f"{key}: there is no credential {name}; put it into a file of that name in "
        "/etc/subtitle-eraser/notify (owner root, mode 0600) and restart the service, or write "
        "the path of a file."
    )
