"""Weights fetched by the real client from a hub on loopback: whole, resumed, mended, refused."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from huggingface_hub import close_session

from daemon.config.schema import ModelSettings, ModelSource, RepositorySettings
from daemon.models.fetching import FetchContext, FetchOutput, fetch
from daemon.models.hubs import Hub as HubProtocol
from daemon.models.hubs import make_hub, requests_from
from daemon.models.inventory import verify
from erasecore.errors import (
    DiskFull,
    DownloadDamaged,
    DownloadRefused,
    HubRefused,
    HubUnreachable,
    NoRoom,
    NotOnHub,
    WeightsDamaged,
)
from erasecore.settings import HostSettings
from erasecore.weights.layout import locate
from erasecore.weights.manifest import MANIFEST, proven, read_manifest
from tests.hub import COMMIT, Hub, hub_at_work, tiny_weights

LORA = "sd15/pcm_sd15_smallcfg_2step_converted.safetensors"
UNET = "diffuEraser/unet_main/diffusion_pytorch_model.safetensors"
LARGE = random.Random(7).randbytes(24 << 20)
"""More than twice what the client takes off the wire at once."""
NEWER = "f" * 40


@dataclass
class Rig:
    """A hub, a place for its weights, and what was said."""

    hub: Hub
    place: FetchContext
    models: ModelSettings
    said: list[str] = field(default_factory=list)

    def fetch(self, *, update: bool = False, token: str = "") -> int:
        """How many files came."""
        tokens = {"HF_TOKEN": token, "MODELSCOPE_API_TOKEN": token}
        voice = FetchOutput(self.said.append, lambda _name, _done, _total: None)
        return fetch(
            self.place,
            requests_from(self.models),
            lambda source: make_hub(source, self.models, tokens),
            voice,
            update=update,
        )

    @property
    def host(self) -> HostSettings:
        """What a worker would be told."""
        return HostSettings(str(self.place.models), str(self.place.state))

    def file(self, name: str) -> Path:
        """A file below the models folder."""
        return self.place.models / name


@contextmanager
def rig_in(folder: Path, repositories: dict[str, dict[str, bytes]]) -> Iterator[Rig]:
    """A hub with ``repositories`` and an empty models folder."""
    place = FetchContext(folder / "models", folder, now=time.time())
    try:
        with hub_at_work(Hub(repositories)) as hub:
            settings = ModelSettings(
                huggingface_endpoint=hub.endpoint, modelscope_endpoint=hub.endpoint
            )
            yield Rig(hub, place, settings)
    finally:
        close_session()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """A hub with tiny weights and an empty models folder."""
    with rig_in(tmp_path, tiny_weights()) as one:
        yield one


@pytest.fixture
def large(tmp_path: Path) -> Iterator[Rig]:
    """The same with a LoRA of 24 MB."""
    weights = tiny_weights()
    weights["wangfuyun/PCM_Weights"][LORA] = LARGE
    with rig_in(tmp_path, weights) as one:
        yield one


def sha256(path: Path) -> str:
    """The digest of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_whole_fetch(rig: Rig) -> None:
    """Only what is needed comes; the manifest says of each file what it is and whence it came."""
    assert rig.fetch() == 13
    locate(rig.place.models)
    manifest = read_manifest(rig.place.models)
    assert manifest is not None
    assert {name: one.sha256 for name, one in manifest.files.items()} == {
        str(path.relative_to(rig.place.models)): sha256(path)
        for path in rig.place.models.rglob("*")
        if path.is_file() and path.name not in (MANIFEST, "lock")
    }
    assert not any("unet/" in path or path.endswith((".bin", ".md")) for path in rig.hub.served)
    source = manifest.repositories["vae"]
    assert (source.source, source.repository) == ("huggingface", "stabilityai/sd-vae-ft-mse")
    assert (source.asked, source.revision) == ("", COMMIT)
    assert proven(rig.host, now=time.time()) == locate(rig.place.models)


def test_what_is_whole_is_not_asked_for(rig: Rig) -> None:
    """Once all is there no hub is needed, even one that cannot be reached."""
    rig.fetch()
    asked = len(rig.hub.requests)
    rig.models = replace(rig.models, huggingface_endpoint="http://127.0.0.1:9")
    assert rig.fetch() == 0
    assert len(rig.hub.requests) == asked
    proven(rig.host, now=time.time())


def test_no_more_is_told_than_who_asks(rig: Rig) -> None:
    """A hub learns the product's name and the client's, and not what else is installed."""
    rig.fetch()
    assert all(agent.startswith("subtitle-eraser/") for agent in rig.hub.agents)
    assert not any("torch" in agent for agent in rig.hub.agents)
    assert rig.hub.tokens == {""}


def test_a_dead_endpoint(rig: Rig) -> None:
    """A hub that does not answer is named with what to look at."""
    rig.models = replace(rig.models, huggingface_endpoint="http://127.0.0.1:9")
    with pytest.raises(HubUnreachable, match=r"models\.huggingface_endpoint") as caught:
        rig.fetch()
    assert "HTTPS_PROXY" in str(caught.value)


DAMAGES = {
    "tampered": "other content than was fetched",
    "truncated": "has 1000 bytes instead of 3000",
    "longer": "has 3001 bytes instead of 3000",
    "missing": "models fetch",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_named_and_mended_alone(rig: Rig, damage: str) -> None:
    """A file that is not as it was fetched is named at the next start; a fetch brings just that."""
    rig.fetch()
    file, before = rig.file(UNET), rig.file(UNET).stat()
    content = file.read_bytes()
    if damage == "missing":
        file.unlink()
    elif damage == "tampered":
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # as if nothing had happened
    else:
        file.write_bytes(content[:1000] if damage == "truncated" else content + b"x")
    with pytest.raises(Exception, match=DAMAGES[damage]) as caught:
        proven(rig.host, now=time.time())
    assert UNET in str(caught.value)
    assert "subtitle-eraser models fetch" in str(caught.value)
    rig.hub.served.clear()
    assert rig.fetch() == 1
    assert dict(rig.hub.served) == {UNET.removeprefix("diffuEraser/"): 3000}
    assert file.read_bytes() == content
    proven(rig.host, now=time.time())


def test_bits_that_rot_are_found_by_verify(rig: Rig) -> None:
    """Content that changed without any trace outside is found when all is read."""
    rig.fetch()
    stamps = json.loads((rig.place.state / "weights.json").read_bytes())
    file = rig.file(UNET)
    file.write_bytes(bytes(3000))
    status = file.stat()
    stamps["files"][UNET] |= {"mtime_ns": status.st_mtime_ns, "ctime_ns": status.st_ctime_ns}
    (rig.place.state / "weights.json").write_text(json.dumps(stamps))
    proven(rig.host, now=time.time())
    with pytest.raises(WeightsDamaged, match="other content") as caught:
        verify(rig.place.models, rig.place.state, now=time.time())
    assert list(caught.value.faults) == [UNET]
    assert rig.fetch() == 1
    assert verify(rig.place.models, rig.place.state, now=time.time()) > 5 * 3000


def test_a_file_that_nobody_fetched_is_not_loaded(rig: Rig) -> None:
    """Tensors that would be loaded in place of fetched ones are refused and set aside."""
    vae = rig.hub.repositories["stabilityai/sd-vae-ft-mse"]
    safetensors = vae.pop("diffusion_pytorch_model.safetensors")
    rig.fetch()
    assert rig.file("sd-vae-ft-mse/diffusion_pytorch_model.bin").is_file()
    stranger = rig.file("sd-vae-ft-mse/diffusion_pytorch_model.safetensors")
    stranger.write_bytes(b"evil")
    with pytest.raises(WeightsDamaged, match=r"safetensors was not fetched"):
        proven(rig.host, now=time.time())
    assert rig.fetch() == 0
    assert stranger.with_name(stranger.name + ".not-fetched").read_bytes() == b"evil"
    proven(rig.host, now=time.time())
    vae["diffusion_pytorch_model.safetensors"] = safetensors
    assert rig.fetch(update=True) == 1  # now the better form is there; what it replaces goes
    assert stranger.read_bytes() == safetensors
    assert not rig.file("sd-vae-ft-mse/diffusion_pytorch_model.bin").exists()


def test_a_lost_manifest_is_made_anew_without_downloads(rig: Rig) -> None:
    """Files whose content the hub confirms are kept; only the listings are asked for."""
    rig.fetch()
    for broken in (None, b"{"):
        rig.hub.served.clear()
        rig.file(MANIFEST).unlink()
        if broken is not None:
            rig.file(MANIFEST).write_bytes(broken)
            with pytest.raises(WeightsDamaged, match=r"manifest\.json cannot be read"):
                proven(rig.host, now=time.time())
        assert rig.fetch() == 0
        assert not rig.hub.served
        proven(rig.host, now=time.time())


def test_mended_as_it_was_updated_when_asked(rig: Rig) -> None:
    """What is mended stays at its commit though the hub has moved on; an update goes along."""
    rig.fetch()
    old = rig.file(UNET).read_bytes()
    newer = tiny_weights()
    newer["lixiaowen/diffuEraser"]["unet_main/diffusion_pytorch_model.safetensors"] = b"new" * 700
    rig.hub.move_on(NEWER, newer)
    rig.file(UNET).unlink()
    assert rig.fetch() == 1
    assert rig.file(UNET).read_bytes() == old
    assert rig.fetch(update=True) == 1
    assert rig.file(UNET).read_bytes() == b"new" * 700
    manifest = read_manifest(rig.place.models)
    assert manifest is not None
    assert manifest.repositories["diffueraser"].revision == NEWER
    assert proven(rig.host, now=time.time())


def test_a_revision_that_is_asked_for(rig: Rig) -> None:
    """A revision in the configuration is fetched; another one there makes it be exchanged."""
    rig.hub.move_on(NEWER, tiny_weights(2))
    rig.models = replace(rig.models, vae=RepositorySettings(revision=COMMIT))
    rig.fetch()
    vae = "sd-vae-ft-mse/diffusion_pytorch_model.safetensors"
    pinned = rig.file(vae).read_bytes()
    assert pinned == tiny_weights()["stabilityai/sd-vae-ft-mse"][Path(vae).name]
    rig.models = replace(rig.models, vae=RepositorySettings(revision="v1"))
    assert rig.fetch() == 1
    assert rig.file(vae).read_bytes() != pinned


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (RepositorySettings(revision="v9"), ("at revision v9", "models.vae")),
        (RepositorySettings(repository="nobody/nothing"), ("nobody/nothing", "models.vae")),
        (RepositorySettings(repository="wangfuyun/PCM_Weights"), ("lacks config.json",)),
    ],
)
def test_what_a_hub_has_not(rig: Rig, settings: RepositorySettings, words: tuple[str, ...]) -> None:
    """A repository, revision or file that does not exist is named with the key to correct."""
    rig.fetch()
    before = sha256(rig.file(MANIFEST))
    rig.models = replace(rig.models, vae=settings)
    with pytest.raises(NotOnHub) as caught:
        rig.fetch()
    assert all(word in str(caught.value) for word in words)
    assert sha256(rig.file(MANIFEST)) == before
    proven(rig.host, now=time.time())


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("source", list(ModelSource))
def test_a_hub_that_wants_to_know_who_asks(rig: Rig, status: int, source: ModelSource) -> None:
    """A gated repository is named with what to do: accept the terms, set a token."""
    repository = requests_from(replace(rig.models, source=source))[0].repository
    rig.hub.repositories[repository] = rig.hub.repositories["lixiaowen/diffuEraser"]
    rig.hub.refused[repository] = status
    rig.models = replace(rig.models, source=source)
    with pytest.raises(HubRefused) as caught:
        rig.fetch()
    token = "HF_TOKEN" if source is ModelSource.HUGGINGFACE else "MODELSCOPE_API_TOKEN"
    assert repository in str(caught.value)
    assert token in str(caught.value)
    assert "you are not on the list" in str(caught.value)


def test_a_token_goes_to_the_hub_and_nowhere_else(rig: Rig) -> None:
    """A token is shown to the hub; nothing that we write or say has it."""
    rig.fetch(token="hf_secret")
    assert "Bearer hf_secret" in rig.hub.tokens
    written = [one for one in rig.place.state.rglob("*") if one.is_file()]
    assert not any(b"hf_secret" in one.read_bytes() for one in written)
    assert "hf_secret" not in " ".join(rig.said)
    assert "hf_secret" not in repr(make_hub(ModelSource.MODELSCOPE, rig.models, {"x": "hf_secret"}))


def test_modelscope_says_no(rig: Rig) -> None:
    """An answer that is none, though its status is well, is told with the hub's own words."""
    rig.models = replace(rig.models, source=ModelSource.MODELSCOPE)
    rig.hub.refused["xingzi/diffuEraser"] = 200
    with pytest.raises(HubUnreachable, match="you are not on the list"):
        rig.fetch()


def test_a_hub_in_trouble(rig: Rig) -> None:
    """An error of the hub's own is told as such, with the way to go on."""
    rig.hub.refused["stabilityai/sd-vae-ft-mse"] = 500
    with pytest.raises(HubUnreachable, match="status 500") as caught:
        rig.fetch()
    assert "goes on where it was" in str(caught.value)


def test_a_connection_that_breaks_off_is_taken_up_again(large: Rig) -> None:
    """What has come is kept: the rest is asked for, not the whole."""
    large.hub.breaks_after[LORA] = 13 << 20
    large.fetch()
    assert large.file(f"PCM_Weights/{LORA}").read_bytes() == LARGE
    assert large.hub.served[LORA] < len(LARGE) + (5 << 20)


def test_a_hub_without_ranges(large: Rig) -> None:
    """A hub that always sends all begins anew; the file is right all the same."""
    large.hub.ranges = False
    large.hub.breaks_after[LORA] = 13 << 20
    large.fetch()
    assert large.file(f"PCM_Weights/{LORA}").read_bytes() == LARGE
    assert large.hub.served[LORA] > len(LARGE) + (10 << 20)


def test_other_bytes_than_announced(rig: Rig) -> None:
    """What is not what the hub announced is asked for once more, then refused; it gets no name."""
    rig.hub.replaced[LORA] = bytes(3000)
    with pytest.raises(DownloadDamaged, match=LORA):
        rig.fetch()
    assert rig.hub.served[LORA] == 6000
    assert not rig.file(f"PCM_Weights/{LORA}").exists()
    rig.hub.replaced.clear()
    assert rig.fetch() == 1  # the others were whole already
    proven(rig.host, now=time.time())


def test_small_files_are_compared_too(rig: Rig) -> None:
    """Of files that lie in git itself the hub tells git's own digest."""
    rig.hub.replaced["tokenizer/vocab.json"] = b'{"b": 0}'
    with pytest.raises(DownloadDamaged, match=r"vocab\.json"):
        rig.fetch()


@pytest.mark.parametrize("source", list(ModelSource))
def test_content_without_a_digest_is_refused(rig: Rig, source: ModelSource) -> None:
    """Nobody could tell whether it is what was published; not a byte of it is asked for."""
    name = "diffusion_pytorch_model.safetensors"
    rig.hub.repositories |= {
        "AI-ModelScope/sd-vae-ft-mse": rig.hub.repositories["stabilityai/sd-vae-ft-mse"]
    }
    rig.models = replace(rig.models, vae=RepositorySettings(source=source))
    rig.hub.undigested.add(name)
    with pytest.raises(DownloadRefused, match=f"sd-vae-ft-mse/{name} is not fetched: no digest"):
        rig.fetch()
    assert not rig.hub.served
    rig.hub.undigested.clear()
    rig.fetch()
    proven(rig.host, now=time.time())


def test_a_branch_that_moved_is_followed_only_when_asked(rig: Rig) -> None:
    """ModelScope names no commits: what was fetched from a branch stays, or nothing is mended."""
    usual = rig.hub.repositories["stabilityai/sd-vae-ft-mse"]
    rig.hub.repositories |= {"AI-ModelScope/sd-vae-ft-mse": usual}
    rig.models = replace(rig.models, vae=RepositorySettings(source=ModelSource.MODELSCOPE))
    rig.fetch()
    name = "diffusion_pytorch_model.safetensors"
    rig.hub.repositories["AI-ModelScope/sd-vae-ft-mse"] = {**usual, name: b"new" * 1000}
    assert rig.fetch() == 0
    rig.file(f"sd-vae-ft-mse/{name}").unlink()
    with pytest.raises(DownloadRefused, match="has changed there"):
        rig.fetch()
    assert rig.fetch(update=True) == 1
    assert rig.file(f"sd-vae-ft-mse/{name}").read_bytes() == b"new" * 1000
    proven(rig.host, now=time.time())


def test_no_room(rig: Rig) -> None:
    """More than is free is refused before a byte is asked for, with both numbers."""
    rig.hub.claimed[LORA] = 10**15
    with pytest.raises(NoRoom, match=r"1000000\.\d\d GB are needed"):
        rig.fetch()
    assert not rig.hub.served


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a small disk")
def test_a_disk_that_fills_up(large: Rig, tmp_path: Path) -> None:
    """When the disk is full in the middle, what has come is kept; it goes on once there is room."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small disk here: {mounted.stderr.decode().strip()}")
    try:
        _fill_up(large, disk)
    finally:
        subprocess.run(["umount", disk], check=True)


def _fill_up(rig: Rig, disk: Path) -> None:
    """Fetch onto ``disk``, which is filled by somebody else when the large file has begun."""
    place = FetchContext(disk / "models", disk, now=time.time())

    def progress(name: str, done: int, _total: int) -> None:
        if name.endswith(LORA) and done > 15 << 20:
            no_space = pytest.raises(OSError, match="No space left")
            with no_space, (disk / "filler").open("ab", buffering=0) as filler:
                while True:
                    filler.write(bytes(1 << 20))

    def hub_of(source: ModelSource) -> HubProtocol:
        return make_hub(source, rig.models, {})

    with pytest.raises(DiskFull, match=r"no space left"):
        fetch(place, requests_from(rig.models), hub_of, FetchOutput(rig.said.append, progress))
    (disk / "filler").unlink()
    before = rig.hub.served[LORA]
    quiet = FetchOutput(rig.said.append, lambda _name, _done, _total: None)
    assert fetch(place, requests_from(rig.models), hub_of, quiet) == 1
    assert rig.hub.served[LORA] - before < len(LARGE) - (5 << 20)
    assert (disk / "models/PCM_Weights" / LORA).read_bytes() == LARGE


def test_modelscope(rig: Rig) -> None:
    """From ModelScope, too, only what is needed comes; what it lacks comes from Hugging Face."""
    usual = tiny_weights()
    names = {
        "xingzi/diffuEraser": "lixiaowen/diffuEraser",
        "AI-ModelScope/stable-diffusion-v1-5": "stable-diffusion-v1-5/stable-diffusion-v1-5",
        "AI-ModelScope/sd-vae-ft-mse": "stabilityai/sd-vae-ft-mse",
    }
    rig.hub.repositories = {name: usual[other] for name, other in names.items()}
    rig.hub.repositories["wangfuyun/PCM_Weights"] = usual["wangfuyun/PCM_Weights"]
    rig.models = replace(rig.models, source=ModelSource.MODELSCOPE)
    assert rig.fetch(token="ms_secret") == 13
    proven(rig.host, now=time.time())
    manifest = read_manifest(rig.place.models)
    assert manifest is not None
    sources = {key: one.source for key, one in manifest.repositories.items()}
    assert sources.pop("pcm") == "huggingface"
    assert set(sources.values()) == {"modelscope"}
    assert manifest.repositories["vae"].revision == "master"
    assert "Bearer ms_secret" in rig.hub.tokens
    rig.file(UNET).write_bytes(bytes(3000))
    assert rig.fetch() == 1
    assert not any(path.endswith((".bin", ".md")) for path in rig.hub.served)
