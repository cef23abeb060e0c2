"""`models fetch|verify|list` as processes: killed, two at once, without a network, for machines."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import wait_for
from tests.hub import COMMIT, Hub, hub_at_work, tiny_weights
from tests.process.house import REPOSITORY
from tests.process.test_models_fetch import LARGE, LORA

UNET = "diffuEraser/unet_main/diffusion_pytorch_model.safetensors"


class Shop:
    """A root folder, a hub, and the command line."""

    def __init__(self, root: Path, hub: Hub) -> None:
        self.root, self.hub = root, hub
        self.config = root / "config.yaml"
        self._started: list[subprocess.Popen[str]] = []
        self.point_at(hub.endpoint)

    @property
    def models(self) -> Path:
        """Where weights lie."""
        return self.root / "state" / "models"

    def point_at(self, endpoint: str, **models: object) -> None:
        """Write the configuration."""
        section = {"huggingface_endpoint": endpoint, **models}
        self.config.write_text(yaml.safe_dump({"models": section}))

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """A command at work."""
        places = ["--config", str(self.config), "--root", str(self.root)]
        process = subprocess.Popen(
            [sys.executable, "-m", "daemon", "models", *words, *places],
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        self._started.append(process)
        return process

    def run(self, *words: str, **environment: str) -> tuple[int, str, str]:
        """The exit code of a command, and what it said."""
        process = self.start(*words, **environment)
        said, complained = process.communicate(timeout=90)
        return process.returncode, said, complained

    def close(self) -> None:
        """End what a test that failed has left at work."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.communicate()

    def listed(self) -> dict[str, Any]:
        """What `models list --json` says."""
        code, said, complained = self.run("list", "--json")
        assert code == 0, complained
        found: dict[str, Any] = json.loads(said)
        return found


@contextmanager
def shop_in(root: Path, hub: Hub) -> Iterator[Shop]:
    """A shop whose hub answers while the block lasts."""
    with hub_at_work(hub), closing(Shop(root, hub)) as shop:
        yield shop


@pytest.fixture
def large_hub() -> Hub:
    """A hub with a LoRA of 24 MB, which stalls in the middle of it."""
    weights = tiny_weights()
    weights["wangfuyun/PCM_Weights"][LORA] = LARGE
    return Hub(weights, stalls_after={LORA: 14 << 20})


def test_killed_in_the_middle_it_goes_on_there(tmp_path: Path, large_hub: Hub) -> None:
    """SIGKILL costs at most what was on the wire: the next fetch asks for the rest alone."""
    with shop_in(tmp_path, large_hub) as shop:
        process = shop.start("fetch")
        parts = shop.models / ".fetch"
        wait_for(lambda: any(one.stat().st_size >= 10 << 20 for one in parts.glob("*.part")))
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=90)
        assert process.returncode == -signal.SIGKILL
        code, _, complained = shop.run("verify")
        assert (code, LORA in complained) == (1, True)
        large_hub.go.set()
        large_hub.served.clear()
        code, said, complained = shop.run("fetch")
        assert (code, "1 files fetched" in said) == (0, True), complained
        assert large_hub.served[LORA] < len(LARGE) - (9 << 20)
        assert set(large_hub.served) == {LORA}
        assert (shop.models / "PCM_Weights" / LORA).read_bytes() == LARGE
        assert not list(parts.glob("*.part"))


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C is heard by what is started, also where these tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_stopped_by_the_user(tmp_path: Path, large_hub: Hub) -> None:
    """Ctrl-C ends a fetch with a sentence instead of a traceback."""
    with shop_in(tmp_path, large_hub) as shop:
        process = shop.start("fetch")
        parts = shop.models / ".fetch"
        wait_for(lambda: any(one.stat().st_size >= 10 << 20 for one in parts.glob("*.part")))
        process.send_signal(signal.SIGINT)
        _, complained = process.communicate(timeout=90)
        assert process.returncode == 1
        assert complained.endswith("stopped; the same command goes on from here\n")


def test_two_at_once(tmp_path: Path, large_hub: Hub) -> None:
    """A second fetch waits for the first, and finds everything there; every byte came once."""
    with shop_in(tmp_path, large_hub) as shop:
        first = shop.start("fetch")
        wait_for(lambda: large_hub.served[LORA] > 0)
        second = shop.start("fetch")
        assert second.stderr is not None
        assert "another fetch is at work" in second.stderr.readline()
        large_hub.go.set()
        told = [process.communicate(timeout=90) for process in (first, second)]
        assert [first.returncode, second.returncode] == [0, 0], told
        assert "13 files fetched" in told[0][0]
        assert "everything was there" in told[1][0]
        assert large_hub.served[LORA] == len(LARGE)


def test_without_a_network(tmp_path: Path) -> None:
    """Once fetched, nothing is asked of anybody; what is lacking then is told as it is."""
    with shop_in(tmp_path, Hub(tiny_weights())) as shop:
        assert shop.run("fetch")[0] == 0
        shop.point_at("http://127.0.0.1:9")
        for environment in ({}, {"HF_HUB_OFFLINE": "1"}):
            code, said, complained = shop.run("fetch", **environment)
            assert (code, "everything was there" in said) == (0, True), complained
            assert shop.run("verify", **environment)[0] == 0
        (shop.models / UNET).unlink()
        code, _, complained = shop.run("fetch", HF_HUB_OFFLINE="1")
        assert (code, "HF_HUB_OFFLINE is set" in complained) == (1, True)


def test_listed(tmp_path: Path) -> None:
    """The list says what is there, from where, and when it was verified; machines can read it."""
    with shop_in(tmp_path, Hub(tiny_weights())) as shop:
        nothing = shop.listed()
        assert (nothing["well"], nothing["size_bytes"]) == (False, 0)
        shop.run("fetch")
        found = shop.listed()
        assert (found["well"], found["folder"]) == (True, str(shop.models))
        eraser = found["repositories"][0]
        assert (eraser["source"], eraser["repository"]) == ("huggingface", "lixiaowen/diffuEraser")
        assert (eraser["revision"], eraser["folder"]) == (COMMIT, "diffuEraser")
        assert all(one["state"] == "well" and one["verified_at"] for one in eraser["files"])
        _, table, _ = shop.run("list")
        assert "PCM_Weights: well; 1 of 1 files, 0.00 GB, verified 2" in table
        assert f"  from huggingface wangfuyun/PCM_Weights at {COMMIT}\n" in table
        (shop.models / UNET).write_bytes(b"short")
        assert shop.listed()["well"] is False
        _, table, _ = shop.run("list")
        assert f"{UNET} has 5 bytes instead of 3000" in table
        assert "`subtitle-eraser models fetch` mends it" in table


def test_brought_by_hand(tmp_path: Path) -> None:
    """Weights copied here are adopted as they are, and guarded from then on."""
    with shop_in(tmp_path, Hub(tiny_weights())) as shop:
        code, _, complained = shop.run("verify", "--adopt")
        assert (code, "lacks diffuEraser/brushnet/config.json" in complained) == (1, True)
        shop.run("fetch")
        (shop.models / "manifest.json").unlink()
        assert shop.run("verify")[0] == 1
        code, said, _ = shop.run("verify", "--adopt")
        assert (code, "13 files are in the manifest" in said) == (0, True)
        assert shop.run("verify")[0] == 0
        (shop.models / UNET).write_bytes(bytes(3000))
        code, _, complained = shop.run("verify")
        assert (code, f"{UNET} has other content" in complained) == (1, True)


def test_a_credential_of_systemd(tmp_path: Path) -> None:
    """The token may be a credential of the unit; the command line and the list do not show it."""
    with shop_in(tmp_path, Hub(tiny_weights())) as shop:
        (tmp_path / "credentials").mkdir()
        (tmp_path / "credentials" / "HF_TOKEN").write_text("hf_credential\n")
        shop.run("fetch", CREDENTIALS_DIRECTORY=str(tmp_path / "credentials"), HF_TOKEN="")
        assert shop.hub.tokens == {"Bearer hf_credential"}


def test_without_the_extra(tmp_path: Path) -> None:
    """Without the libraries that fetch, the lacking one is named with what installs it."""
    code = (
        "import sys; sys.modules['huggingface_hub'] = None; from daemon.cli.main import main; "
        f"sys.exit(main(['models', 'fetch', '--root', {str(tmp_path)!r}]))"
    )
    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, timeout=60, check=False)
    assert done.returncode == 1
    assert b"huggingface_hub; install" in done.stderr
    assert b"pip install 'subtitle-eraser[diffusion]'" in done.stderr


def test_a_bar_on_a_terminal(tmp_path: Path, large_hub: Hub) -> None:
    """Who waits at a terminal sees how far the file is."""
    ours, theirs = os.openpty()
    seen = b""
    try:
        with shop_in(tmp_path, large_hub) as shop:
            argv = [sys.executable, "-m", "daemon", "models", "fetch", "--root", str(tmp_path)]
            process = subprocess.Popen(
                [*argv, "--config", str(shop.config)],
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=theirs,
            )
            os.close(theirs)
            with suppress(OSError):  # the other end is closed
                while piece := os.read(ours, 65536):
                    seen += piece
                    if b"/25.2" in seen:  # the hub has stopped in the middle until now
                        large_hub.go.set()
            assert process.wait(timeout=60) == 0
    finally:
        os.close(ours)
    assert b"sd15" in seen
    assert b"/25.2" in seen
