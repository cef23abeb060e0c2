"""Clients of the hubs that serve weights: file listings of repositories, and URLs of files.

Both hubs are queried through the HTTP client of huggingface_hub, which handles proxies,
certificates and redirects. Only the code that fetches imports this module; nothing else in the
product needs the network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import quote, urlencode

import httpx2
from huggingface_hub import HfApi, constants, get_session, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

from daemon.config.environment import TOKENS
from daemon.config.schema import ModelSettings, ModelSource
from erasecore.errors import EraseError, HubRefused, HubUnreachable, NotOnHub
from erasecore.version import __version__

constants.HF_HUB_DISABLE_TELEMETRY = True  # else it sends which other libraries are installed
ANSWER_SECONDS = 30.0  # timeout of a request for a file listing; guess
PRODUCT = "subtitle-eraser"  # our name in the User-Agent header
MODELSCOPE = "https://modelscope.cn"  # default endpoint


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a repository, with its size and the digest that the hub announces."""

    size_bytes: int
    sha256: str = ""  # hexadecimal; empty: not announced
    git_sha1: str = ""  # Git blob id, announced for small files that are not in Git LFS


@dataclass(frozen=True, slots=True)
class Listing:
    """Files of a repository at one revision."""

    revision: str  # a commit if the hub reports one, else as requested
    files: dict[str, RemoteFile]  # by their paths in the repository


@dataclass(frozen=True, slots=True)
class RepositoryRequest:
    """One repository to be fetched, according to the configuration."""

    key: str  # of ``erasecore.weights.layout.REPOSITORIES``
    source: ModelSource
    repository: str
    revision: str  # empty: the main branch


USUAL = {
    ModelSource.HUGGINGFACE: {
        "diffueraser": "lixiaowen/diffuEraser",
        "stable_diffusion": "stable-diffusion-v1-5/stable-diffusion-v1-5",
        "vae": "stabilityai/sd-vae-ft-mse",
        "pcm": "wangfuyun/PCM_Weights",
    },
    ModelSource.MODELSCOPE: {
        "diffueraser": "xingzi/diffuEraser",
        "stable_diffusion": "AI-ModelScope/stable-diffusion-v1-5",
        "vae": "AI-ModelScope/sd-vae-ft-mse",
    },
}
"""Default repositories of each source; those that ModelScope lacks come from Hugging Face."""


def requests_from(models: ModelSettings) -> list[RepositoryRequest]:
    """Return a request for each repository, with defaults for all that ``models`` leaves empty."""
    requests = []
    for key, usual in USUAL[ModelSource.HUGGINGFACE].items():
        settings = getattr(models, key)
        source = settings.source or (models.source if key in USUAL[models.source] else None)
        source = source or ModelSource.HUGGINGFACE
        repository = settings.repository or USUAL[source].get(key, usual)
        requests.append(RepositoryRequest(key, source, repository, settings.revision))
    return requests


class Hub(Protocol):
    """Interface of a server of weights repositories."""

    source: ModelSource
    title: str  # name in messages
    headers: dict[str, str]  # HTTP headers of downloads

    def listing(self, repository: str, revision: str) -> Listing:
        """Ask the hub for sizes and hashes of the files of ``repository``, and for its commit.

        Uses the network; errors of the hub's library are passed on, see ``translated_errors``.

        Args:
            repository: name of the repository on the hub.
            revision: branch, tag or commit; an empty string means the main branch.
        """
        ...

    def address(self, repository: str, revision: str, path: str) -> str:
        """Return the download URL of the file ``path`` of ``repository``."""
        ...


@dataclass
class HuggingFace:
    """Client of the Hugging Face hub or a mirror of it.

    An empty endpoint means $HF_ENDPOINT or the hub itself.
    """

    endpoint: str
    token: str = field(repr=False)
    source = ModelSource.HUGGINGFACE
    title = "Hugging Face"

    def __post_init__(self) -> None:
        # Without a token of ours the client uses the one that the user has stored, if any.
        identity: dict[str, Any] = {
            "token": self.token or None,
            "library_name": PRODUCT,
            "library_version": __version__,
        }
        # No compression: sizes and resume offsets are those of the file.
        self.headers = {**build_hf_headers(**identity), "Accept-Encoding": "identity"}
        self._api = HfApi(endpoint=self.endpoint or None, **identity)

    def listing(self, repository: str, revision: str) -> Listing:
        """Ask the hub for sizes and hashes of the files of ``repository``, and for its commit.

        Uses the network; errors of the hub's library are passed on, see ``translated_errors``.

        Args:
            repository: name of the repository on the hub.
            revision: branch, tag or commit; an empty string means the main branch.
        """
        info = self._api.model_info(
            repository, revision=revision or None, files_metadata=True, timeout=ANSWER_SECONDS
        )
        files = {}
        for entry in info.siblings or []:
            if entry.lfs:  # the blob id would be that of the LFS pointer
                files[entry.rfilename] = RemoteFile(entry.lfs.size, sha256=entry.lfs.sha256)
            else:
                files[entry.rfilename] = RemoteFile(entry.size or 0, git_sha1=entry.blob_id or "")
        return Listing(info.sha or revision, files)

    def address(self, repository: str, revision: str, path: str) -> str:
        """Return the download URL of the file ``path`` of ``repository``."""
        return hf_hub_url(repository, path, revision=revision, endpoint=self.endpoint or None)


@dataclass
class ModelScope:
    """Client of the ModelScope hub or a mirror of it, by its HTTP interface.

    An empty endpoint means the hub itself.
    """

    endpoint: str
    token: str = field(repr=False)
    source = ModelSource.MODELSCOPE
    title = "ModelScope"

    def __post_init__(self) -> None:
        self.endpoint = (self.endpoint or MODELSCOPE).rstrip("/")
        self.headers = {"User-Agent": f"{PRODUCT}/{__version__}", "Accept-Encoding": "identity"}
        if self.token:  # newer parts of the hub read the header, older ones the cookie
            self.headers["Authorization"] = f"Bearer {self.token}"
            self.headers["Cookie"] = f"m_session_id={self.token}"

    def listing(self, repository: str, revision: str) -> Listing:
        """Ask the hub for sizes and hashes of the files of ``repository``, and for its commit.

        Uses the network; errors of the hub's library are passed on, see ``translated_errors``.

        Args:
            repository: name of the repository on the hub.
            revision: branch, tag or commit; an empty string means the branch master.
        """
        revision = revision or "master"
        address = f"{self.endpoint}/api/v1/models/{quote(repository)}/repo/files"
        response = get_session().get(
            address,
            params={"Revision": revision, "Recursive": "True"},
            headers=self.headers,
            timeout=ANSWER_SECONDS,
        )
        hf_raise_for_status(response)
        answer = response.json()
        if not answer.get("Success", True):
            raise ValueError(answer.get("Message"))
        entries = answer["Data"]["Files"]
        files = {
            entry["Path"]: RemoteFile(int(entry["Size"]), str(entry.get("Sha256") or "").lower())
            for entry in entries
            if entry.get("Type") != "tree"
        }
        return Listing(revision, files)

    def address(self, repository: str, revision: str, path: str) -> str:
        """Return the download URL of the file ``path`` of ``repository``."""
        query = urlencode({"Revision": revision, "FilePath": path})
        return f"{self.endpoint}/api/v1/models/{quote(repository)}/repo?{query}"


def make_hub(source: ModelSource, models: ModelSettings, tokens: Mapping[str, str]) -> Hub:
    """Return the client of ``source`` at its configured endpoint.

    Args:
        source: the hub.
        models: has the endpoints.
        tokens: access tokens by the names of their variables, see ``TOKENS``.
    """
    token = tokens.get(TOKENS[source], "")
    if source is ModelSource.MODELSCOPE:
        return ModelScope(models.modelscope_endpoint, token)
    return HuggingFace(models.huggingface_endpoint.rstrip("/"), token)


@contextmanager
def translated_errors(hub: Hub, wanted: RepositoryRequest) -> Iterator[None]:
    """Translate exceptions of the HTTP client in the block to errors that say the next step.

    Raises:
        HubUnreachable: no answer, an answer that cannot be parsed, or an unexpected HTTP status.
        HubRefused: HTTP status 401 or 403.
        NotOnHub: HTTP status 404.
    """
    try:
        yield
    except OfflineModeIsEnabled as error:
        detail = "HF_HUB_OFFLINE is set in the environment, which forbids to ask"
        raise HubUnreachable(hub.title, detail, "that variable") from error
    except HfHubHTTPError as error:
        raise _refusal(hub, wanted, error) from error
    except httpx2.HTTPError as error:
        raise _unreachable(hub, f"no answer ({error or type(error).__name__})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise _unreachable(hub, f"its answer is not understood ({error})") from error


def _unreachable(hub: Hub, detail: str) -> HubUnreachable:
    return HubUnreachable(hub.title, " ".join(detail.split()), f"models.{hub.source}_endpoint")


def _refusal(hub: Hub, wanted: RepositoryRequest, error: HfHubHTTPError) -> EraseError:
    """Return our error for an HTTP status other than success."""
    status = error.response.status_code
    reason = error.server_message or error.response.reason_phrase
    if status in (401, 403):
        token = TOKENS[hub.source]
        # To anonymous clients hubs answer 401 for repositories that do not exist, too.
        or_missing = " (or there is none of that name)" if status == 401 else ""
        detail = f"status {status}{or_missing}: {reason}"
        return HubRefused(hub.title, wanted.repository, detail, token)
    if status == 404:
        at_revision = f" at revision {wanted.revision}" if wanted.revision else ""
        sentence = f"there is no {wanted.repository}{at_revision}"
        return NotOnHub(hub.title, sentence, f"models.{wanted.key}")
    return _unreachable(hub, f"it answers with status {status}: {reason}")
