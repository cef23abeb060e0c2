"""The bytes of one file, from a hub into a part of it that we keep: a later call goes on there."""

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
from daemon.storage.atomic import sync_folder
from daemon.storage.moves import COPY_BYTES
from erasecore.errors import NO_ROOM, DiskFull

Observe = Callable[[int], None]
"""Told how many bytes of the file are there."""

BROKEN_OFF = 5
"""Connections that may break off in a row without a byte having come."""


def download(
    address: str, headers: Mapping[str, str], part: Path, remote: RemoteFile, observe: Observe
) -> None:
    """Fill ``part`` with the file at ``address``, beginning behind what it holds already.

    Raises:
        DiskFull: there is no room for it.
        httpx2.HTTPError: the hub does not give it; what has come is kept.
    """
    failures = 0
    while not part.exists() or part.stat().st_size != remote.size_bytes:
        before = _begin(part, remote.size_bytes)
        try:
            _append(address, headers, part, remote.size_bytes, observe)
        except (httpx2.NetworkError, httpx2.RemoteProtocolError):
            failures = 0 if part.stat().st_size > before else failures + 1
            if failures == BROKEN_OFF:
                raise
    observe(remote.size_bytes)
    sync_folder(part.parent)


def _begin(part: Path, size_bytes: int) -> int:
    """How many bytes of the file are there; more than it has cannot be of it."""
    part.touch()
    size = part.stat().st_size
    if size <= size_bytes:
        return size
    os.truncate(part, 0)
    return 0


def _append(
    address: str, headers: Mapping[str, str], part: Path, size_bytes: int, observe: Observe
) -> None:
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
            # The client's own complaint: what came is not as long as what was announced.
            raise httpx2.RemoteProtocolError(str(error)) from error


def _meter(observe: Observe) -> type:
    """What the client takes for a class of progress bars: it only counts."""

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
    """Both names that a file's content may have."""

    sha256: str
    git_sha1: str

    def fit(self, remote: RemoteFile) -> bool:
        """Whether it is the content that the hub has announced, as far as it did."""
        if remote.sha256:
            return self.sha256 == remote.sha256
        return not remote.git_sha1 or self.git_sha1 == remote.git_sha1


def digests_of(path: Path, tick: Callable[[], object] = lambda: None) -> Digests:
    """The digests of a file's content, by reading it once."""
    sha256 = hashlib.sha256()
    git_sha1 = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(COPY_BYTES):
            sha256.update(block)
            git_sha1.update(block)
            tick()
    return Digests(sha256.hexdigest(), git_sha1.hexdigest())
