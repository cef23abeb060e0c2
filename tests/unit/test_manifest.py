"""The manifest and its stamps: what a start costs, and what it does when it cannot remember."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.typing import EventDict

from daemon.models.inventory import adopt, overview, verify
from erasecore.errors import FolderError, WeightsDamaged, WeightsMissing
from erasecore.settings import HostSettings
from erasecore.weights.layout import locate
from erasecore.weights.manifest import MANIFEST, STAMPS, proven, read_manifest, write_manifest
from tests.unit.test_weights import WHOLE, lay_out


@pytest.fixture
def host(tmp_path: Path) -> HostSettings:
    """A host with weights that were adopted at second 1000."""
    models, state = tmp_path / "models", tmp_path / "state"
    state.mkdir()
    adopt(lay_out(models), state, now=1000.0)
    return HostSettings(models=str(models), state=str(state))


def files_read(host: HostSettings, now: float = 2000.0) -> int:
    """How many files a start reads: each is one block."""
    ticks: list[None] = []
    proven(host, now=now, tick=lambda: ticks.append(None))
    return len(ticks)


def test_a_start_reads_nothing_that_was_not_touched(host: HostSettings) -> None:
    """Files are read once; a file that was touched is read again, and then no more."""
    assert files_read(host) == 0
    touched = Path(host.models) / WHOLE[3]
    os.utime(touched, (5, 5))
    assert files_read(host) == 1
    assert files_read(host) == 0


def test_without_a_memory_all_is_read(host: HostSettings) -> None:
    """Stamps that are lost, torn, or of another folder are no stamps; they are made anew."""
    stamps = Path(host.state) / STAMPS
    raw: dict[str, Any] = json.loads(stamps.read_bytes())
    for content in ("", "[]", '{"models": 3}', json.dumps({**raw, "models": "/elsewhere"})):
        stamps.write_text(content)
        assert files_read(host) == len(WHOLE)
        assert files_read(host) == 0


def test_a_state_folder_that_cannot_be_written(host: HostSettings) -> None:
    """Nothing but time is lost where nothing can be remembered."""
    nowhere = replace(host, state=str(Path(host.state) / "gone"))
    assert files_read(nowhere) == files_read(nowhere) == len(WHOLE)


def test_the_manifest_travels(host: HostSettings, tmp_path: Path) -> None:
    """Copied to another machine, weights are compared there with what was fetched here."""
    copied = tmp_path / "copied"
    Path(host.models).rename(copied)
    there = replace(host, models=str(copied))
    assert files_read(there) == len(WHOLE)
    (copied / WHOLE[1]).write_text("something else")
    with pytest.raises(WeightsDamaged, match="bytes instead of"):
        proven(there, now=3000.0)


def test_brought_by_hand(tmp_path: Path, log_records: list[EventDict]) -> None:
    """A folder without a manifest is used as it is, and the log says that nobody knows it."""
    host = HostSettings(models=str(lay_out(tmp_path)), state=str(tmp_path))
    assert proven(host, now=1.0) == locate(tmp_path)
    assert [one["event"] for one in log_records] == ["weights.unproven"]


def test_no_models_folder_is_named() -> None:
    """A worker that was told of no folder does not look for weights where it stands."""
    with pytest.raises(WeightsMissing, match=r"models\.folder"):
        proven(HostSettings(), now=1.0)


def _drop_key(raw: dict[str, Any]) -> object:
    del raw["files"]
    return raw


def _spoil_size(raw: dict[str, Any]) -> object:
    raw["files"][WHOLE[0]]["size_bytes"] = "many"
    return raw


@pytest.mark.parametrize("spoil", [_drop_key, _spoil_size, lambda _raw: [], lambda _raw: 3])
def test_a_manifest_that_is_none(
    host: HostSettings, spoil: Callable[[dict[str, Any]], object]
) -> None:
    """A manifest that cannot be read is damage, not the absence of one."""
    file = Path(host.models) / MANIFEST
    file.write_text(json.dumps(spoil(json.loads(file.read_bytes()))))
    with pytest.raises(WeightsDamaged, match=r"manifest\.json cannot be read"):
        proven(host, now=2000.0)


def test_everything_is_told_once(host: HostSettings) -> None:
    """Several faults are several lines of the list; the error names three and counts the rest."""
    models, state = Path(host.models), Path(host.state)
    for name in WHOLE[:5]:
        (models / name).write_text("x")
    views = overview(models, state, now=2000.0)
    told = {one.name for view in views for one in view.files if one.sentence}
    assert told == set(WHOLE[:5])
    with pytest.raises(WeightsDamaged, match="and 2 more") as caught:
        verify(models, state, now=2000.0)
    assert set(caught.value.faults) == set(WHOLE[:5])


def test_a_manifest_is_whole_or_absent(host: HostSettings) -> None:
    """What is written is what is read, and nothing else is left in the folder."""
    models = Path(host.models)
    manifest = read_manifest(models)
    assert manifest is not None
    before = sorted(one.name for one in models.iterdir())
    write_manifest(models, manifest)
    assert read_manifest(models) == manifest
    assert sorted(one.name for one in models.iterdir()) == before


def test_a_folder_that_may_not_be_read(host: HostSettings) -> None:
    """A folder of another user's is named as that, not as one that is empty."""
    folder = Path(host.models) / "diffuEraser" / "brushnet"
    folder.chmod(0)
    if os.access(folder, os.R_OK):
        folder.chmod(0o755)
        pytest.skip("who runs this may read everything")
    try:
        with pytest.raises(FolderError, match="must be readable"):
            proven(host, now=2000.0)
    finally:
        folder.chmod(0o755)
