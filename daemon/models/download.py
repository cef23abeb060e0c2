"""Resumable download of one file from a hub into a ``.part`` file, and digests of its content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

import httpx2
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.file_download import http_get

from daemon.models.hubs import RemoteFile
from daemon.storage.moves import COPY_BYTES
from erasecore.errors import NO_ROOM, DiskFull
from erasecore.system.atomic_files import sync_folder

Observe = Callable[[int], None]
"""Progress callback: receives the number of bytes of the file that are on the disk."""

MAX_FRUITLESS_CONNECTIONS = 5
"""Connections that may break in a row without one new byte. Guess."""


def download(
    address: str, headers: Mapping[str, str], part: Path, remote: RemoteFile, observe: Observe
) -> None:
    """Complete ``part`` with the file at ``address``, resuming after the bytes that it has.

    A broken connection is retried at once as long as each brings new bytes. The content is not
    verified here; see ``digests_of``.

    Args:
        address: URL of the file.
        headers: HTTP headers of the hub, e.g. with the token.
        part: partial file; created if it does not exist.
        remote: announced size of the file.
        observe: progress callback.

    Raises:
        DiskFull: the disk has no room for it.
        httpx2.HTTPError: the hub refused it or the connection failed; ``part`` keeps its bytes.
    """
    fruitless = 0
    while not part.exists() or part.stat().st_size != remote.size_bytes:
        before = _prepare_part(part, remote.size_bytes)
        try:
            _append(address, headers, part, remote.size_bytes, observe)
        except (httpx2.NetworkError, httpx2.RemoteProtocolError):
            fruitless = 0 if part.stat().st_size > before else fruitless + 1
            if fruitless == MAX_FRUITLESS_CONNECTIONS:
                raise
    observe(remote.size_bytes)
    sync_folder(part.parent)


def _prepare_part(part: Path, size_bytes: int) -> int:
    """Create ``part`` if it is missing, empty it if it is larger than the file; return its size."""
    part.touch()
    size = part.stat().st_size
    if size <= size_bytes:
        return size
    os.truncate(part, 0)
    return 0


def _append(
    address: str, headers: Mapping[str, str], part: Path, size_bytes: int, observe: Observe
) -> None:
    """Append the rest of the file to ``part`` by one HTTP range request, and fsync it."""
    with part.open("ab") as file:
        try:
            http_get(
                address,
                file,
                resume_size=file.tell(),
                headers=dict(headers),
                expected_size=size_bytes,
                tqdm_class=cast(Any, _meter(observe)),
            )
            file.flush()
            os.fsync(file.fileno())
        except HfHubHTTPError:
            raise
        except OSError as error:
            if error.errno in NO_ROOM:
                raise DiskFull(part.parent) from error
            if error.errno is not None:
                raise
            # Raised by the client, not by the system: the response was shorter than announced.
            raise httpx2.RemoteProtocolError(str(error)) from error


def _meter(observe: Observe) -> type:
    """Return a class with the interface of ``tqdm`` that reports each byte count to ``observe``."""

    class Meter:
        def __init__(self, *, initial: int = 0, **_: object) -> None:
            self._done = initial
            observe(initial)

        def update(self, count: int) -> None:
            self._done += count
            observe(self._done)

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    return Meter


@dataclass(frozen=True, slots=True)
class Digests:
    """SHA-256 and Git blob SHA-1 of a file, in hexadecimal; hubs announce one or the other."""

    sha256: str
    git_sha1: str  # SHA-1 over "blob SIZE\0" and the content

    def fit(self, remote: RemoteFile) -> bool:
        """Return True if they match the digest that the hub announced; False without one."""
        if remote.sha256:
            return self.sha256 == remote.sha256
        return bool(remote.git_sha1) and self.git_sha1 == remote.git_sha1


def digests_of(path: Path, tick: Callable[[], object] = lambda: None) -> Digests:
    """Return the digests of a file's content, reading it once.

    Args:
        path: the file.
        tick: heartbeat callback, called for each block read.
    """
    sha256 = hashlib.sha256()
    git_sha1 = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(COPY_BYTES):
            sha256.update(block)
            git_sha1.update(block)
            tick()
    return Digests(sha256.hexdigest(), git_sha1.hexdigest())
