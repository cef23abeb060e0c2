"""What the doctor says of weights, torch and cards, and of an engine that cannot be had."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from daemon.cli.doctor import SURVEY_COMMAND, Finding, examine
from daemon.config.schema import Config, load_config
from daemon.models.inventory import adopt
from tests.process.house import House
from tests.unit.test_weights import WHOLE, lay_out

NO_WORKER = (sys.executable, "-c", "import sys; sys.exit('no worker here')")


def findings(config: Config, *, survey: str = "") -> dict[str, Finding]:
    """What is found by what was looked at; ``survey`` is a program in place of the real one."""
    command = (sys.executable, "-c", survey) if survey else SURVEY_COMMAND
    found = examine(config, "a test", worker_command=NO_WORKER, survey_command=command)
    return {one.what: one for one in found}


def answer(**changes: object) -> str:
    """A program that answers as a survey does."""
    usual: Mapping[str, object] = {
        "engine": "diffueraser",
        "reason": "the weights are there, and so is a CUDA device (a card).",
        "torch": "2.13.0",
        "cuda": "13.0",
        "devices": [{"name": "a card", "total_bytes": 24 * 10**9, "free_bytes": 23 * 10**9}],
    }
    return f"print({json.dumps({**usual, **changes})!r})"


def everything(folder: Path) -> list[tuple[str, int]]:
    """All that lies below a folder, with the times of the folders' last changes."""
    return sorted((str(one), one.lstat().st_ino) for one in folder.rglob("*"))


def test_it_leaves_nothing_behind(tmp_path: Path) -> None:
    """Missing folders are named, not made; where they can't be made that is bad."""
    config = load_config(None, tmp_path / "films")
    found = findings(config, survey=answer())
    assert not (tmp_path / "films").exists()
    assert found["inbox"].well
    assert "is not there yet" in found["inbox"].sentence
    (tmp_path / "films" / "done").mkdir(parents=True)
    before = everything(tmp_path)
    found = findings(config, survey=answer())
    assert everything(tmp_path) == before
    assert "GB free" in found["done"].sentence
    (tmp_path / "file").touch()
    found = findings(load_config(None, tmp_path / "file"), survey=answer())
    assert not found["inbox"].well
    assert f"may not be made in {tmp_path}/file" in found["inbox"].sentence


def test_whose_rights_it_tried(config: Config) -> None:
    """What root may do says nothing about the service's user."""
    assert f"({os.geteuid()})" in findings(config, survey=answer())["user"].sentence


@pytest.fixture
def config(house: House) -> Config:
    """A configuration whose weights are whole, and adopted."""
    adopt(lay_out(house.state / "models"), house.state, now=1000.0)
    return load_config(house.config)


def test_whole_weights_and_a_card(config: Config) -> None:
    """The engine that auto stands for, why, and the memory of the card."""
    found = findings(config, survey=answer())
    assert found["weights"].well
    assert "whole, 0.00 GB" in found["weights"].sentence
    assert found["torch"].sentence == "2.13.0, for CUDA 13.0"
    assert found["cuda"].sentence == "a card, 24.0 GB, 23.0 GB free"
    assert found["engine"].well
    assert found["engine"].sentence.startswith("auto is diffueraser: the weights are there")


def test_the_real_survey_of_this_machine(config: Config) -> None:
    """A process of its own loads torch and says what there is; the doctor stays light."""
    found = findings(config)
    assert found["torch"].sentence.startswith("2.")
    assert found["engine"].well
    assert ("cuda" in found) == ("auto is diffueraser" in found["engine"].sentence)


@pytest.mark.parametrize("name", WHOLE[:2])
def test_damaged_weights(config: Config, name: str) -> None:
    """A file that is not as it was fetched is BAD, whichever engine is configured."""
    (config.models_folder / name).write_text("something else")
    weights = findings(config, survey=answer())["weights"]
    assert not weights.well
    assert name in weights.sentence
    assert "models fetch" in weights.sentence


def test_weights_brought_by_hand(config: Config) -> None:
    """They do, and the doctor says how to have them guarded."""
    (config.models_folder / "manifest.json").unlink()
    weights = findings(config, survey=answer())["weights"]
    assert weights.well
    assert "models verify --adopt" in weights.sentence


def test_an_engine_that_cannot_be_had(house: House) -> None:
    """Who asks for diffueraser by name is told what it lacks: weights, torch."""
    house.configure(erase={"engine": "diffueraser"})
    found = findings(load_config(house.config), survey=answer(torch="", cuda="", devices=[]))
    assert not found["weights"].well
    assert not found["torch"].well
    house.configure(erase={"engine": "auto"})
    found = findings(load_config(house.config), survey=answer(torch="", cuda="", devices=[]))
    assert found["weights"].well
    assert found["torch"].well


def test_auto_that_stands_for_nothing(config: Config) -> None:
    """Where films would wait for weights that are gone, the doctor says BAD."""
    engine = findings(config, survey=answer(engine="", reason="x lacks y."))["engine"]
    assert (engine.well, engine.sentence) == (False, "auto is none: x lacks y.")


@pytest.mark.parametrize(
    ("survey", "words"),
    [
        ("import sys; sys.exit('libcuda.so.1: undefined symbol')", "libcuda.so.1: undefined"),
        ("import os; os.abort()", "does not work"),
        ("print('a banner')", "does not work"),
        ("pass", "does not work"),
    ],
)
def test_a_torch_that_does_not_work(config: Config, survey: str, words: str) -> None:
    """A library or a driver that breaks ends the survey, not the doctor."""
    engine = findings(config, survey=survey)["engine"]
    assert not engine.well
    assert words in engine.sentence


def test_weights_that_are_there_in_part(tmp_path: Path) -> None:
    """Weights of which only some were ever there are BAD: somebody wanted them."""
    config = load_config(None, tmp_path)
    lay_out(tmp_path / "state" / "models", WHOLE[:4])
    weights = findings(config, survey=answer())["weights"]
    assert not weights.well
    assert "lacks sd-vae-ft-mse/config.json" in weights.sentence
