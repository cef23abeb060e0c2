"""Films through the real daemon with the diffusion engine, on tiny networks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from daemon.cli.erase_file import EraseRequest, erase_file
from daemon.config.schema import ModelSettings, load_config
from erasecore.settings import EraseSettings
from tests.clips import Caption, Coding, draw, write
from tests.process.house import House
from tests.process.test_begin import reload, status_of
from tests.tinyweights import write_tiny_weights

LOSSLESS = Coding("ffv1", "yuv420p", options={})
SHOWN, CUTS = (4, 24), (10, 18)
"""Of three still shots; in the middle one the text is never away, so that all of it is made up."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder."""
    return write_tiny_weights(tmp_path_factory.mktemp("models"))


@dataclass(frozen=True)
class Dropped:
    """A film of three still shots, a line of text across both cuts, and a mask of that line."""

    film: bytes
    mask: bytes

    def into(self, house: House, *names: str) -> None:
        """Put copies of the film into an inbox where the mask says what is to go, and when."""
        seconds = f"{{start_seconds: {SHOWN[0] / 25}, stop_seconds: {SHOWN[1] / 25}}}"
        house.drop("mask.png", self.mask)
        house.drop(".erase.yaml", f"mask: mask.png\ndetect: {{times: [{seconds}]}}")
        for name in names:
            house.drop(name, self.film)


@pytest.fixture(scope="module")
def dropped(tmp_path_factory: pytest.TempPathFactory) -> Dropped:
    """The film and its mask."""
    folder = tmp_path_factory.mktemp("film")
    drawn = draw(captions=[Caption("Hello there", *SHOWN)], frames=28, pan=(0, 0), cuts=CUTS)
    film = write(folder / "film.mkv", drawn.shown, LOSSLESS).read_bytes()
    inked = (drawn.alpha.max(axis=0) > 0).astype(np.uint8) * 255
    _, mask = cv2.imencode(".png", cv2.dilate(inked, np.ones((5, 5), np.uint8)))
    return Dropped(film, mask.tobytes())


def report_of(house: House, name: str) -> dict[str, Any]:
    """What is published beside a result."""
    found: dict[str, Any] = house.report(name)["report"]
    return found


def luma_of(path: Path) -> NDArray[np.uint8]:
    """All frames' luma."""
    with av.open(str(path)) as container:
        frames = [picture.to_ndarray()[: picture.height] for picture in container.decode(video=0)]
    return np.stack(frames).astype(np.uint8)


@pytest.mark.budget(300)
def test_films_are_diffused_where_nothing_shows_the_background(
    house: House, models: Path, dropped: Dropped
) -> None:
    """Claimed, diffused, short of memory, tried in smaller pieces, published; all of it is told.

    A second film in the same worker finds the networks loaded and the rung remembered; a third one,
    without diffusion, shows that everything else is what the propagate engine makes.
    """
    house.configure(models={"folder": str(models)}, erase={"engine": "diffueraser"})
    dropped.into(house, "first.mkv", "second.mkv")
    assert house.once(worker="tests.process.hungry_worker", seconds=250) == 0
    house.configure(erase={"engine": "propagate"})
    dropped.into(house, "plain.mkv")
    assert house.once(quick=False, seconds=100) == 0
    assert house.films("done") == ["first.mkv", "plain.mkv", "second.mkv"]

    first, second, plain = (report_of(house, f"{n}.mkv") for n in ("first", "second", "plain"))
    assert (first["engine"], plain["engine"]) == ("diffueraser", "propagate")
    assert first["frames_diffused"] == second["frames_diffused"] == CUTS[1] - CUTS[0]
    assert plain["frames_diffused"] == 0
    for event in first["events"]:
        assert 0.2 < event["share_diffused"] < 0.6
        shares = ("share_diffused", "share_propagated", "share_invented", "share_unblended")
        assert sum(event[share] for share in shares) == pytest.approx(1, abs=0.001)
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


def test_without_weights_the_queue_waits_for_them(house: House, dropped: Dropped) -> None:
    """Nothing fails: the operator is told which command fetches them."""
    house.configure(models={"folder": str(house.root / "nothing")}, erase={"engine": "diffueraser"})
    dropped.into(house, "film.mkv")
    daemon = house.start(quick=False)
    house.wait(lambda: "models fetch" in daemon.log.read_text("utf-8", "replace"), seconds=60)
    assert daemon.stop() == 0
    assert house.films("failed") == []


@pytest.mark.errors_logged
def test_without_a_card_films_wait_if_they_must(
    house: House, models: Path, dropped: Dropped
) -> None:
    """Torch finds no card where one is required: films wait, and go on as soon as they may."""
    insisting = {"engine": "diffueraser", "diffusion": {"require_gpu": True}}
    house.configure(models={"folder": str(models)}, erase=insisting)
    dropped.into(house, "film.mkv")
    daemon = house.start(quick=False, CUDA_VISIBLE_DEVICES="99")
    house.wait(lambda: status_of(house)["paused"], seconds=60)
    assert "no CUDA device" in status_of(house)["trouble"]
    assert "set engine: propagate" in status_of(house)["trouble"]
    assert house.films("inbox") == house.films("failed") == []
    reload(house, daemon, models={"folder": str(models)}, erase={"engine": "propagate"})
    house.wait(lambda: house.films("done") == ["film.mkv"], seconds=60)
    assert report_of(house, "film.mkv")["engine"] == "propagate"
    assert all(one["remedy"] == "fix-host" for one in daemon.said("attempt.failed"))
    assert daemon.stop() == 0


@pytest.mark.budget(240)
def test_one_file_without_a_daemon(tmp_path: Path, models: Path, dropped: Dropped) -> None:
    """``erase IN OUT`` finds the text, paints what is under it, and leaves none.

    If what untrained networks paint looks like text, the second pass goes without them.
    """
    source, result = tmp_path / "film.mkv", tmp_path / "clean.mkv"
    source.write_bytes(dropped.film)
    config = replace(
        load_config(None, tmp_path),
        models=ModelSettings(folder=str(models)),
        erase=EraseSettings(engine="diffueraser", srt=False),
    )
    report = erase_file(EraseRequest(source, result), config, lambda _: None)
    (event,) = report.events
    assert (report.engine, report.residual_events, report.memory) == ("diffueraser", 0, ())
    assert report.frames_diffused == (CUTS[1] - CUTS[0] if event.passes == 1 else 0)
    assert result.exists()
