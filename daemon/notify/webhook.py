"""Webhooks as standardwebhooks.com describes them: a signed POST, and what the answer means.

The answer's body is not read. Redirects are not followed: the signature is for one receiver, and a
redirect may lead into a private network.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPMessage
from threading import Event as Flag
from threading import Thread
from urllib.parse import SplitResult, urlsplit

from standardwebhooks import Webhook as Signer

from daemon.config.notify_settings import EventKind
from daemon.notify.addresses import PrivateAddress, resolve
from daemon.notify.delivery import Message, Outcome
from erasecore.version import __version__

GONE = 410
"""Status of a receiver that wants no more messages."""
_BUSY = (429, 502, 503, 504)
"""Statuses whose header Retry-After counts."""
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class WebhookReceiver:
    """An address that messages are posted to."""

    name: str
    kinds: frozenset[EventKind]
    url: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)  # each signs; several while one is exchanged
    allow_private: bool
    send_seconds: float

    @property
    def address_digest(self) -> str:
        """Digest of the address, which may be a secret."""
        return hashlib.sha256(self.url.encode()).hexdigest()

    def send(self, message: Message, *, now: float) -> Outcome:
        """Post the message once; see ``Receiver.send``."""
        headers = self._headers(message, datetime.fromtimestamp(now, UTC))
        try:
            status, answer = _post(
                urlsplit(self.url),
                message.body.encode(),
                headers,
                seconds=self.send_seconds,
                allow_private=self.allow_private,
            )
        except PrivateAddress:
            return Outcome(
                delivered=False,
                reason="its name leads into a private network; if that is right, set "
                "allow_private: true.",
            )
        except (OSError, HTTPException, UnicodeError) as error:
            return Outcome(delivered=False, reason=_reason(error, self.send_seconds))
        return outcome_of(status, answer.get("Retry-After", ""), now=now)

    def _headers(self, message: Message, moment: datetime) -> dict[str, str]:
        """Return the headers, signed at ``moment``: receivers refuse old signatures."""
        headers = {
            "content-type": "application/json",
            "user-agent": f"subtitle-eraser/{__version__}",
            "webhook-id": message.event_id,
            "webhook-timestamp": str(int(moment.timestamp())),
        }
        signed = [Signer(one).sign(message.event_id, moment, message.body) for one in self.secrets]
        return {**headers, "webhook-signature": " ".join(signed)} if signed else headers


def outcome_of(status: int, retry_after: str, *, now: float) -> Outcome:
    """Return the meaning of an answer.

    Args:
        status: its HTTP status.
        retry_after: its header Retry-After, seconds or a date; "" without one.
        now: seconds since 1970.
    """
    if 200 <= status < 300:
        return Outcome(delivered=True)
    reason = f"it answered {status}."
    if 300 <= status < 400:
        reason = f"it answered {status}, a redirect; write the new address into the configuration."
    seconds = _seconds_of(retry_after, now) if status in _BUSY else 0.0
    return Outcome(False, reason, gone=status == GONE, retry_after_seconds=seconds)


def _seconds_of(retry_after: str, now: float) -> float:
    """Return the header Retry-After in seconds; 0 if it makes no sense."""
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9])
    with suppress(ValueError, OverflowError):
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - now)
    return 0.0


def _reason(error: Exception, seconds: float) -> str:
    """Return a sentence on an error; the texts of libraries may contain the address."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted ({error.verify_message})."
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or type(error).__name__})."
    if isinstance(error, TimeoutError):
        return f"it did not answer within {seconds:g} s."
    if isinstance(error, socket.gaierror):
        return f"its name cannot be resolved ({error.strerror})."
    if isinstance(error, OSError):
        return f"it cannot be reached ({error.strerror or type(error).__name__})."
    return f"it does not speak HTTP ({type(error).__name__})."


# --- one request --------------------------------------------------------------------------------


def _post(
    url: SplitResult,
    body: bytes,
    headers: Mapping[str, str],
    *,
    seconds: float,
    allow_private: bool,
) -> tuple[int, HTTPMessage]:
    """Return status and headers of the answer to one POST, made within ``seconds``.

    Raises:
        PrivateAddress: the address is private, and that is not allowed.
        OSError, HTTPException: there was no proper answer.
    """
    host = url.hostname or ""
    port = url.port or _PORTS[url.scheme]
    addresses = resolve(host, port, allow_private=allow_private)
    with _deadline(_connected(addresses, port, seconds), seconds) as raw:
        tls = ssl.create_default_context() if url.scheme == "https" else None
        stream = tls.wrap_socket(raw, server_hostname=host) if tls else raw
        with closing(_Preconnected(host, port, stream)) as connection:
            target = (url.path or "/") + (f"?{url.query}" if url.query else "")
            connection.request("POST", target, body, dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.headers


class _Preconnected(HTTPConnection):
    """An HTTP connection over a socket that is connected already."""

    def __init__(self, host: str, port: int, stream: socket.socket) -> None:
        super().__init__(host, port)
        self.sock = stream

    def connect(self) -> None:
        """Do nothing; were the connection lost, another address could be reached."""


def _connected(addresses: list[str], port: int, seconds: float) -> socket.socket:
    """Return a socket connected to the first address that answers.

    Raises:
        OSError: none did.
    """
    for address in addresses[:-1]:
        with suppress(OSError):
            return socket.create_connection((address, port), seconds / len(addresses))
    return socket.create_connection((addresses[-1], port), seconds / len(addresses))


@contextmanager
def _deadline(stream: socket.socket, seconds: float) -> Iterator[socket.socket]:
    """Shut ``stream`` down after ``seconds``, even if bytes trickle in; raise TimeoutError then."""
    expired: list[bool] = []
    ended = Flag()
    guard = stream.dup()  # TLS takes the other one over

    def watch() -> None:
        if not ended.wait(seconds):
            expired.append(True)
            with suppress(OSError):
                guard.shutdown(socket.SHUT_RDWR)

    watcher = Thread(target=watch, name="deadline", daemon=True)
    watcher.start()
    try:
        yield stream
    except (OSError, HTTPException) as error:
        if expired:
            raise TimeoutError from error
        raise
    else:
        if expired:  # a head that was cut off counts as a whole one for http.client
            raise TimeoutError
    finally:
        ended.set()
        watcher.join()
        guard.close()
        stream.close()
