"""An HTTP server that receives webhooks, and behaves as badly as it is told."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

Answer = Callable[[BaseHTTPRequestHandler, int], None]
"""Answers a request; the number says the how manieth it is, from 1."""


@dataclass(frozen=True)
class Received:
    """One request."""

    path: str
    headers: dict[str, str]  # names in small letters
    body: bytes
    at: float = field(default_factory=time.monotonic)


class HttpReceiver:
    """A server on this machine; ``answer`` says how it behaves, ``certificate`` makes it TLS."""

    def __init__(self, answer: Answer, certificate: Path | None = None) -> None:
        self.received: list[Received] = []
        self._answer = answer
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.accept(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if certificate is not None:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate)
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def url(self) -> str:
        """Its address, with a path that nobody is to see."""
        return f"http://127.0.0.1:{self.server.server_port}/hook-path-SECRET?key=QUERY-SECRET"

    @property
    def port(self) -> int:
        """Its port."""
        return self.server.server_port

    def accept(self, handler: BaseHTTPRequestHandler) -> None:
        """Keep a request, and answer it."""
        body = handler.rfile.read(int(handler.headers["content-length"]))
        headers = {key.lower(): value for key, value in handler.headers.items()}
        self.received.append(Received(handler.path, headers, body))
        with suppress(OSError):  # the other side may hang up
            self._answer(handler, len(self.received))

    def ids(self) -> Counter[str]:
        """How often each message has come."""
        return Counter(one.headers["webhook-id"] for one in self.received)

    def close(self) -> None:
        """End the server."""
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


def status(number: int, **headers: str) -> Answer:
    """Always the same status."""

    def answer(handler: BaseHTTPRequestHandler, _count: int) -> None:
        handler.send_response(number)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("content-length", "0")
        handler.end_headers()

    return answer


def first(answer: Answer, then: Answer, times: int = 1) -> Answer:
    """One answer a few times, then another."""
    return lambda handler, count: (answer if count <= times else then)(handler, count)


def trickle(handler: BaseHTTPRequestHandler, _count: int) -> None:
    """A byte of the head now and then, without end."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for _ in range(600):
        handler.wfile.write(b"x")
        time.sleep(0.1)


def endless_body(handler: BaseHTTPRequestHandler, _count: int) -> None:
    """Success, and gigabytes that nobody has asked for."""
    handler.send_response(200)
    handler.end_headers()
    for _ in range(1 << 16):
        handler.wfile.write(bytes(1 << 16))


def garbage(handler: BaseHTTPRequestHandler, _count: int) -> None:
    """No HTTP at all."""
    handler.wfile.write(b"\x00\xff garbage\n" * 100)


def closed_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
