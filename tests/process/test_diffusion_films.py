"""Films through the real daemon with the diffusion engine, on tiny networks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from daemon.config import ModelSettings, load_config
from daemon.onefile import Errand, erase_file
from erasecore.settings import EraseSettings
from tests.clips import Caption, Coding, draw, write
from tests.process.house import House
from tests.tinyweights import write_tiny_weights

LOSSLESS = Coding("ffv1", "yuv420p", options={})
CUTS = (10, 18)
"""Of three still shots; in the middle one the text is never away, so that all of it is made up."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder."""
    return write_tiny_weights(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A film of three shots with one line of text."""
    pictures = draw(captions=[Caption("Hello there", 4, 24)], frames=28, pan=(0, 0), cuts=CUTS)
    path = write(tmp_path_factory.mktemp("film") / "film.mkv", pictures.shown, LOSSLESS)
    return path.read_bytes()


def report_of(house: House, name: str) -> dict[str, Any]:
    """What is published beside a result."""
    found: dict[str, Any] = json.loads((house.done / f"{name}.report.json").read_bytes())["report"]
    return found


def luma_of(path: Path) -> NDArray[np.uint8]:
    """All frames' luma."""
    with av.open(str(path)) as container:
        frames = [picture.to_ndarray()[: picture.height] for picture in container.decode(video=0)]
    return np.stack(frames).astype(np.uint8)


@pytest.mark.budget(300)
def test_films_are_diffused_where_nothing_shows_the_background(
    house: House, models: Path, film: bytes
) -> None:
    """Claimed, diffused, short of memory, tried in smaller pieces, published; all of it is told.

    A second film in the same worker finds the networks loaded and the rung remembered; a third one,
    without diffusion, shows that everything else is what the propagate engine makes.
    """
    house.configure(models={"folder": str(models)}, erase={"engine": "diffueraser"})
    for name in ("first.mkv", "second.mkv"):
        house.drop(name, film)
    assert house.once(worker="tests.process.hungry_worker", seconds=250) == 0
    house.configure(erase={"engine": "propagate"})
    house.drop("plain.mkv", film)
    assert house.once(quick=False, seconds=100) == 0
    assert house.films("done") == ["first.mkv", "plain.mkv", "second.mkv"]

    first, second, plain = (report_of(house, f"{n}.mkv") for n in ("first", "second", "plain"))
    assert (first["engine"], plain["engine"]) == ("diffueraser", "propagate")
    assert first["frames_diffused"] == second["frames_diffused"] == CUTS[1] - CUTS[0]
    assert plain["frames_diffused"] == 0
    (event,) = first["events"]
    assert event["share_diffused"] > 0.2
    assert event["share_diffused"] + event["share_propagated"] + event["share_invented"] > 0.99
    (rungs,) = first["memory"]
    assert (rungs["rung"], rungs["steps_down"]) == ("1 window", 2)
    assert second["memory"][0]["steps_down"] == 0

    log = (house.done / "first.mkv.log").read_text("utf-8")
    assert "can't allocate memory" in log
    for said in ("memory.short", "networks.loaded", "strip.filled", "frames_diffused=8"):
        assert said in log
    assert "networks.loaded" not in (house.done / "second.mkv.log").read_text("utf-8")

    one, other, without = (
        luma_of(house.done / f"{name}.mkv") for name in ("first", "second", "plain")
    )
    assert np.array_equal(one, other)
    differs = (one != without).any(axis=(1, 2))
    assert differs[slice(*CUTS)].all()
    assert not differs[: CUTS[0]].any()
    assert not differs[CUTS[1] :].any()


def test_without_weights_the_queue_waits_for_them(house: House, film: bytes) -> None:
    """Nothing fails: the operator is told which command fetches them."""
    house.configure(models={"folder": str(house.root / "nothing")}, erase={"engine": "diffueraser"})
    house.drop("film.mkv", film)
    daemon = house.start(quick=False)
    house.wait(lambda: "models fetch" in daemon.log.read_text("utf-8", "replace"), seconds=60)
    assert daemon.stop() == 0
    assert house.films("failed") == []


@pytest.mark.budget(240)
def test_one_file_without_a_daemon(tmp_path: Path, models: Path, film: bytes) -> None:
    """``erase IN OUT`` uses the networks, too, and says how much they have painted."""
    (tmp_path / "film.mkv").write_bytes(film)
    config = replace(
        load_config(None, tmp_path),
        models=ModelSettings(folder=str(models)),
        erase=EraseSettings(engine="diffueraser"),
    )
    errand = Errand(tmp_path / "film.mkv", tmp_path / "clean.mkv")
    report = erase_file(errand, config, lambda _: None)
    assert (report.engine, report.frames_diffused) == ("diffueraser", CUTS[1] - CUTS[0])
    assert report.memory == ()
    assert (tmp_path / "clean.mkv").exists()
