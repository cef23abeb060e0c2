"""A hub on loopback: repositories of weights, served as Hugging Face and as ModelScope serve them.

Large files lie behind a redirect, as on the real hubs, and can be asked for from any byte on. What
was served is counted, and a hub can be told to go wrong in the ways that hubs do.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast
from urllib.parse import parse_qs, urlsplit

TENSORS = (".safetensors", ".bin")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
_BLOCK = 64 << 10


def tiny_weights(seed: int = 1) -> dict[str, dict[str, bytes]]:
    """Every repository of Hugging Face with files like the published ones, but small."""
    numbers = random.Random(seed)

    def tensors() -> bytes:
        return numbers.randbytes(3000)

    network = "diffusion_pytorch_model.safetensors"
    return {
        "lixiaowen/diffuEraser": {
            "README.md": b"license: apache-2.0\n",
            "brushnet/config.json": b'{"_class_name": "BrushNetModel"}',
            f"brushnet/{network}": tensors(),
            "unet_main/config.json": b'{"_class_name": "UNetMotionModel"}',
            f"unet_main/{network}": tensors(),
        },
        "stable-diffusion-v1-5/stable-diffusion-v1-5": {
            "v1-5-pruned.safetensors": tensors(),
            "unet/diffusion_pytorch_model.safetensors": tensors(),
            "tokenizer/vocab.json": b'{"a": 0}',
            "tokenizer/merges.txt": b"#version: 0.2\n",
            "tokenizer/tokenizer_config.json": b"{}",
            "text_encoder/config.json": b"{}",
            "text_encoder/model.safetensors": tensors(),
            "text_encoder/pytorch_model.bin": tensors(),
            "scheduler/scheduler_config.json": b"{}",
        },
        "stabilityai/sd-vae-ft-mse": {
            "config.json": b'{"latent_channels": 4}',
            network: tensors(),
            "diffusion_pytorch_model.bin": tensors(),
        },
        "wangfuyun/PCM_Weights": {
            "sd15/pcm_sd15_smallcfg_2step_converted.safetensors": tensors(),
            "sd15/pcm_sd15_normalcfg_4step_converted.safetensors": tensors(),
        },
    }


@dataclass
class Hub:
    """What is served, how it goes wrong, and what has been asked for."""

    repositories: dict[str, dict[str, bytes]]
    commit: str = COMMIT  # that the main branches are at
    past: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)  # by commit
    refused: dict[str, int] = field(default_factory=dict)  # status by repository
    claimed: dict[str, int] = field(default_factory=dict)  # sizes that are announced, by path
    undigested: set[str] = field(default_factory=set)  # paths of which no digest is announced
    replaced: dict[str, bytes] = field(default_factory=dict)  # other bytes than announced, by path
    breaks_after: dict[str, int] = field(default_factory=dict)  # the connection, once, by path
    stalls_after: dict[str, int] = field(default_factory=dict)  # until ``go`` is set, by path
    ranges: bool = True
    go: threading.Event = field(default_factory=threading.Event)
    served: Counter[str] = field(default_factory=Counter)  # bytes by path
    requests: list[str] = field(default_factory=list)
    agents: set[str] = field(default_factory=set)
    tokens: set[str] = field(default_factory=set)
    endpoint: str = ""

    def move_on(self, commit: str, repositories: dict[str, dict[str, bytes]]) -> None:
        """Put a new commit on all main branches; the one before can still be asked for."""
        self.past[self.commit] = self.repositories
        self.commit, self.repositories = commit, repositories

    def files(self, repository: str, revision: str) -> dict[str, bytes]:
        """What ``repository`` holds at ``revision``."""
        return self.past.get(revision, self.repositories)[repository]


@contextmanager
def hub_at_work(hub: Hub) -> Iterator[Hub]:
    """``hub``, answering at ``hub.endpoint`` while the block lasts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    cast(_Server, server).hub = hub
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield hub
    finally:
        hub.go.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    hub: Hub


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two small writes

    @property
    def hub(self) -> Hub:
        return cast(_Server, self.server).hub

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self.hub.requests.append(url.path)
        self.hub.agents.add(self.headers.get("User-Agent", ""))
        self.hub.tokens.add(self.headers.get("Authorization", ""))
        asked = {key: values[0] for key, values in parse_qs(url.query).items()}
        if found := re.fullmatch(r"/api/v1/models/([^/]+/[^/]+)/repo(/files)?", url.path):
            self._modelscope(found[1], asked, listing=bool(found[2]))
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", url.path):
            self._info(found[1], found[2] or "main")
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", url.path):
            self._resolve(found[1], found[2], found[3])
        elif found := re.fullmatch(r"/cdn/([^@]+@[^/]+)/(.+)", url.path):
            self._bytes(found[2], self.hub.files(*found[1].split("@"))[found[2]], {})
        else:
            self._status(404)

    def _refused(self, repository: str, revision: str) -> bool:
        if status := self.hub.refused.get(repository, 0):
            gated = {"X-Error-Code": "GatedRepo"} if status == 403 else {}
            self._status(status, {**gated, "X-Error-Message": "you are not on the list"})
        elif repository not in self.hub.repositories:
            self._status(404, {"X-Error-Code": "RepoNotFound"})
        elif revision not in ("main", "master", "v1", self.hub.commit, *self.hub.past):
            self._status(404, {"X-Error-Code": "RevisionNotFound"})
        else:
            return False
        return True

    def _info(self, repository: str, revision: str) -> None:
        if self._refused(repository, revision):
            return
        siblings = [
            {"rfilename": path, "size": len(content)}
            if path in self.hub.undigested
            else {"rfilename": path, **_announced(path, content, self.hub.claimed.get(path))}
            for path, content in self.hub.files(repository, revision).items()
        ]
        commit = revision if revision in self.hub.past else self.hub.commit
        self._json({"id": repository, "sha": commit, "siblings": siblings})

    def _resolve(self, repository: str, revision: str, path: str) -> None:
        if self._refused(repository, revision):
            return
        content = self.hub.files(repository, revision).get(path)
        if content is None:
            self._status(404, {"X-Error-Code": "EntryNotFound"})
            return
        headers = {"X-Repo-Commit": revision, "ETag": f'"{_git_sha1(content)}"'}
        if not path.endswith(TENSORS):
            self._bytes(path, content, headers)
            return
        headers["X-Linked-Size"] = str(len(content))
        headers["X-Linked-Etag"] = f'"{hashlib.sha256(content).hexdigest()}"'
        headers["Location"] = f"{self.hub.endpoint}/cdn/{repository}@{revision}/{path}"
        self._status(302, headers)

    def _modelscope(self, repository: str, asked: dict[str, str], *, listing: bool) -> None:
        if self.hub.refused.get(repository) == 200:
            self._json({"Success": False, "Message": "you are not on the list", "Data": None})
            return
        if self._refused(repository, asked.get("Revision", "master")):
            return
        files = self.hub.repositories[repository]
        if not listing:
            self._bytes(asked["FilePath"], files[asked["FilePath"]], {})
            return
        entries: list[dict[str, object]] = [{"Path": "tokenizer", "Type": "tree", "Size": 0}]
        for path, content in files.items():
            known = path not in self.hub.undigested
            sha256 = hashlib.sha256(content).hexdigest() if known else ""
            entries.append({"Path": path, "Type": "blob", "Size": len(content), "Sha256": sha256})
        self._json({"Code": 200, "Success": True, "Data": {"Files": entries}})

    def _bytes(self, path: str, content: bytes, headers: dict[str, str]) -> None:
        content = self.hub.replaced.get(path, content)
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        begin = int(asked[1]) if asked and self.hub.ranges else 0
        if begin >= len(content) > 0:
            self._status(416)
            return
        self.send_response(206 if asked and self.hub.ranges else 200)
        if asked and self.hub.ranges:
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        for name, value in {**headers, "Content-Length": str(len(content) - begin)}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self._send(path, content, begin)

    def _send(self, path: str, content: bytes, begin: int) -> None:
        breaks = self.hub.breaks_after.pop(path, None)
        stalls = self.hub.stalls_after.get(path)
        try:
            for start in range(begin, len(content), _BLOCK):
                if breaks is not None and start - begin >= breaks:
                    self.close_connection = True
                    return
                if stalls is not None and start >= stalls:
                    self.hub.go.wait()
                block = content[start : start + _BLOCK]
                self.wfile.write(block)
                self.hub.served[path] += len(block)
        except OSError:  # whoever asked is gone
            self.close_connection = True

    def _json(self, answer: object) -> None:
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _status(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()


def _git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0%b" % (len(content), content)).hexdigest()


def _announced(path: str, content: bytes, claimed: int | None) -> dict[str, object]:
    """What a listing says of a file's content."""
    size = len(content) if claimed is None else claimed
    if not path.endswith(TENSORS):
        return {"size": size, "blobId": _git_sha1(content)}
    sha256 = hashlib.sha256(content).hexdigest()
    pointer = f"oid sha256:{sha256}\nsize {len(content)}\n".encode()
    lfs = {"sha256": sha256, "size": size, "pointerSize": len(pointer)}
    return {"size": size, "blobId": _git_sha1(pointer), "lfs": lfs}
