"""The hubs that weights are fetched from: what a repository holds, and where its files are.

Both are spoken to through the HTTP client of huggingface_hub, which knows proxies, certificates and
redirects. Only what fetches imports this module; nothing else in the product needs the network.
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
from erasecore import __version__
from erasecore.errors import EraseError, HubRefused, HubUnreachable, NotOnHub

constants.HF_HUB_DISABLE_TELEMETRY = True  # nobody is told what else is installed here
ANSWER_SECONDS = 30.0
PRODUCT = "subtitle-eraser"
MODELSCOPE = "https://modelscope.cn"


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a repository; its content is announced by one of two digests."""

    size_bytes: int
    sha256: str = ""
    git_sha1: str = ""  # as git names content: of files that are small enough to lie in git itself


@dataclass(frozen=True, slots=True)
class Listing:
    """What a repository holds at one revision."""

    revision: str  # a commit, where the hub tells one
    files: dict[str, RemoteFile]


@dataclass(frozen=True, slots=True)
class RepositoryRequest:
    """One repository to be fetched, as the configuration says."""

    key: str  # of ``weights.REPOSITORIES``
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
"""The repositories of each source; what ModelScope lacks comes from Hugging Face."""


def requests_from(models: ModelSettings) -> list[RepositoryRequest]:
    """What is to be fetched, by the configuration."""
    wanted = []
    for key, usual in USUAL[ModelSource.HUGGINGFACE].items():
        asked = getattr(models, key)
        source = asked.source or (models.source if key in USUAL[models.source] else None)
        source = source or ModelSource.HUGGINGFACE
        repository = asked.repository or USUAL[source].get(key, usual)
        wanted.append(RepositoryRequest(key, source, repository, asked.revision))
    return wanted


class Hub(Protocol):
    """A place that serves repositories of weights."""

    source: ModelSource
    title: str
    headers: dict[str, str]

    def listing(self, repository: str, revision: str) -> Listing:
        """What ``repository`` holds at ``revision``; empty: its main branch."""
        ...

    def address(self, repository: str, revision: str, path: str) -> str:
        """Where the bytes of one file are."""
        ...


@dataclass
class HuggingFace:
    """The Hugging Face hub, or a mirror of it."""

    endpoint: str
    token: str = field(repr=False)
    source = ModelSource.HUGGINGFACE
    title = "Hugging Face"

    def __post_init__(self) -> None:
        # No token of ours: the client looks for one itself, as other programs of the user do.
        given: dict[str, Any] = {
            "token": self.token or None,
            "library_name": PRODUCT,
            "library_version": __version__,
        }
        self.headers = {**build_hf_headers(**given), "Accept-Encoding": "identity"}
        self._api = HfApi(endpoint=self.endpoint or None, **given)

    def listing(self, repository: str, revision: str) -> Listing:
        """What ``repository`` holds at ``revision``."""
        info = self._api.model_info(
            repository, revision=revision or None, files_metadata=True, timeout=ANSWER_SECONDS
        )
        files = {}
        for one in info.siblings or []:
            if one.lfs:  # git holds only a pointer to it
                files[one.rfilename] = RemoteFile(one.lfs.size, sha256=one.lfs.sha256)
            else:
                files[one.rfilename] = RemoteFile(one.size or 0, git_sha1=one.blob_id or "")
        return Listing(info.sha or revision, files)

    def address(self, repository: str, revision: str, path: str) -> str:
        """Where the bytes of one file are."""
        return hf_hub_url(repository, path, revision=revision, endpoint=self.endpoint or None)


@dataclass
class ModelScope:
    """The ModelScope hub, or a mirror of it, through its plain HTTP interface."""

    endpoint: str
    token: str = field(repr=False)
    source = ModelSource.MODELSCOPE
    title = "ModelScope"

    def __post_init__(self) -> None:
        self.endpoint = (self.endpoint or MODELSCOPE).rstrip("/")
        self.headers = {"User-Agent": f"{PRODUCT}/{__version__}", "Accept-Encoding": "identity"}
        if self.token:  # older parts of the hub want the one, newer ones the other
            self.headers["Authorization"] = f"Bearer {self.token}"
            self.headers["Cookie"] = f"m_session_id={self.token}"

    def listing(self, repository: str, revision: str) -> Listing:
        """What ``repository`` holds at ``revision``."""
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
            one["Path"]: RemoteFile(int(one["Size"]), str(one.get("Sha256") or "").lower())
            for one in entries
            if one.get("Type") != "tree"
        }
        return Listing(revision, files)

    def address(self, repository: str, revision: str, path: str) -> str:
        """Where the bytes of one file are."""
        asked = urlencode({"Revision": revision, "FilePath": path})
        return f"{self.endpoint}/api/v1/models/{quote(repository)}/repo?{asked}"


def make_hub(source: ModelSource, models: ModelSettings, tokens: Mapping[str, str]) -> Hub:
    """The hub of a source, at the endpoint that the configuration names."""
    token = tokens.get(TOKENS[source], "")
    if source is ModelSource.MODELSCOPE:
        return ModelScope(models.modelscope_endpoint, token)
    return HuggingFace(models.huggingface_endpoint.rstrip("/"), token)


@contextmanager
def plain_words(hub: Hub, wanted: RepositoryRequest) -> Iterator[None]:
    """Turn what the client raises into errors that say what to do.

    Raises:
        HubUnreachable, HubRefused, NotOnHub: as the names say.
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
    """What a status other than success means."""
    status = error.response.status_code
    told = error.server_message or error.response.reason_phrase
    if status in (401, 403):
        token = TOKENS[hub.source]
        # Who does not say who they are is not told either that there is no such repository.
        unsaid = " (or there is none of that name)" if status == 401 else ""
        detail = f"status {status}{unsaid}: {told}"
        return HubRefused(hub.title, wanted.repository, detail, token)
    if status == 404:
        where = f" at revision {wanted.revision}" if wanted.revision else ""
        what = f"there is no {wanted.repository}{where}"
        return NotOnHub(hub.title, what, f"models.{wanted.key}")
    return _unreachable(hub, f"it answers with status {status}: {told}")
