"""The configuration and the settings beside films: defaults, complaints, what they may not say."""

from __future__ import annotations

import os
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from daemon.config.environment import find_config, read_environment
from daemon.config.film_settings import resolve_settings
from daemon.config.locations import SECTIONS, Locations, load_locations
from daemon.config.schema import Config, load_config
from daemon.folders.checks import prove
from erasecore.errors import BadSidecar, ConfigError
from erasecore.settings import EraseSettings

EXAMPLE = Path(__file__).parents[2] / "config.example.yaml"


def names_of(record: object) -> dict[str, Any]:
    """The keys of a record, as deep as it goes."""
    assert is_dataclass(record)
    found = {}
    for one in fields(record):
        value = getattr(record, one.name)
        found[one.name] = names_of(value) if is_dataclass(value) else None
    return found


def keys_of(raw: object) -> Any:  # noqa: ANN401 - a tree of dictionaries
    """The keys of a mapping, as deep as it goes."""
    return {key: keys_of(value) for key, value in raw.items()} if isinstance(raw, dict) else None


def test_example_is_complete() -> None:
    """config.example.yaml names every key there is, and no other."""
    assert keys_of(yaml.safe_load(EXAMPLE.read_text())) == names_of(Config())


def test_example_shows_the_defaults() -> None:
    """config.example.yaml has every key at its default."""
    assert load_config(EXAMPLE) == Config()


def test_places_are_part_of_the_configuration() -> None:
    """Whoever only asks knows the same sections, and reads the same out of those that it needs."""
    config, places = load_config(EXAMPLE), load_locations(EXAMPLE)
    assert tuple(item.name for item in fields(Config)) == SECTIONS
    assert places == Locations(config.folders, config.inbox, config.claims)
    root = Path("films")
    assert load_locations(None, root).folders == load_config(None, root).folders


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("folderz: {}", "folderz: no such key; known keys: claims, erase, folders"),
        ("folders: {inbx: /a}", "folders.inbx: no such key"),
        ('folders: {done: "/a\\0b"}', "folders.done: has a NUL character"),
        ("claims: {instance: a/b}", "claims.instance: a plain name"),
    ],
)
def test_complaints_about_places(tmp_path: Path, text: str, sentence: str) -> None:
    """Whoever only asks is not shown other folders than those that were meant."""
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load_locations(path)
    assert str(raised.value).startswith(f"{path}: {sentence}")


def test_example_explains_every_key() -> None:
    """Each key of config.example.yaml has a comment, beside it or right below."""
    lines = EXAMPLE.read_text().splitlines()
    plain = [one for one in lines if ":" in one and not one.lstrip().startswith(("#", "-"))]
    headings = [one for one in plain if one.rstrip().endswith(":")]
    explained = [one for one in plain if "#" in one or one in headings or "extensions" in one]
    assert explained == plain


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("folderz: {}", "folderz: no such key; known keys: claims, erase, folders"),
        ("inbox: {settle: 3}", "inbox.settle: no such key; known keys: extensions, ignore"),
        ("inbox: {rescan_seconds: fast}", "inbox.rescan_seconds: must be a number, not 'fast'"),
        ("inbox: {rescan_seconds: 0}", "inbox.rescan_seconds: is 0, must be at least 0.05"),
        ("inbox: {rescan_seconds: .nan}", "inbox.rescan_seconds: is nan"),
        ("inbox: {extensions: mp4}", "inbox.extensions: must be a list"),
        ("inbox: {extensions: [1]}", "inbox.extensions[0]: must be text"),
        ("inbox: {watch: sometimes}", "inbox.watch: must be one of auto, events, polling"),
        ("retry: {max_attempts: true}", "retry.max_attempts: must be a whole number"),
        ("folders: {keep_originals: 1}", "folders.keep_originals: must be true or false"),
        ("folders: {inbox: ''}", "folders.inbox: must be a path"),
        ("folders: 3", "folders: must be a group of keys"),
        ('folders: {inbox: "/tmp/a\\0b"}', "folders.inbox: has a NUL character"),
        ("erase: {engine: magic}", "erase.engine: no engine 'magic'"),
        ("erase: {encode: {crf: 99}}", "erase.encode.crf: is 99, must be from 0 to 51"),
        ("erase: {encode: {preset: '-y'}}", "erase.encode.preset"),
        ("erase: {detect: {regions: [{left: 0}]}}", "erase.detect.regions.top: is missing"),
        ("erase: {detect: {times: [{start_seconds: 2, stop_seconds: 1}]}}", "detect.times[0]"),
        ("claims: {lease_seconds: 10.0}", "claims.lease_seconds: must be at least three times"),
        ("claims: {instance: a/b}", "claims.instance: a plain name"),
        ("models: {source: ftp}", "models.source: must be one of huggingface, modelscope"),
        ("models: {modelscope_endpoint: hub}", "models.modelscope_endpoint: must be an address"),
        ("models: {vae: {repository: vae}}", "models.vae.repository: must be of the form owner/"),
        ("models: {pcm: {revision: '../x y'}}", "models.pcm.revision: must be a branch, a tag or"),
        ("models: {token: hf_secret}", "models.token: no such key"),  # never in a file
        ("- a list", "must be 'key: value' lines"),
        ("a: [", "not YAML (line 1: "),
        ("log:\n  level: [", "not YAML (line 2: "),
        ("!!python/object/apply:os.system [ls]", "not YAML"),
    ],
)
def test_complaints(tmp_path: Path, text: str, sentence: str) -> None:
    """A wrong configuration is refused with a sentence that names the file and the key."""
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load_config(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert sentence in str(raised.value)


def test_which_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--config goes before the environment, which goes before the working folder."""
    monkeypatch.chdir(tmp_path)
    named, local = tmp_path / "named.yaml", tmp_path / "config.yaml"
    named.touch()
    local.touch()
    environment = read_environment({"SUBTITLE_ERASER_CONFIG": str(named)})
    assert find_config(local, environment) == local
    assert find_config(None, environment) == named
    assert find_config(None, read_environment({})) == Path("config.yaml")
    with pytest.raises(ConfigError, match="SUBTITLE_ERASER_CONFIG: there is no file"):
        find_config(None, read_environment({"SUBTITLE_ERASER_CONFIG": "/nowhere"}))


def test_where_weights_lie(tmp_path: Path) -> None:
    """Weights lie below the state folder unless the configuration says where; workers are told."""
    config = load_config(None, tmp_path)
    assert config.host().models == str(tmp_path / "state" / "models")
    assert config.host().state == str(tmp_path / "state")
    path = tmp_path / "config.yaml"
    path.write_text("models: {folder: /mnt/models}")
    assert load_config(path, tmp_path).host().models == "/mnt/models"


def test_root(tmp_path: Path) -> None:
    """--root puts all folders below one, whatever the file says of them."""
    folders = load_config(None, tmp_path).folders
    assert {folders.inbox, folders.state} == {tmp_path / "inbox", tmp_path / "state"}


def test_watchdog_of_the_environment() -> None:
    """Systemd's microseconds become seconds; nonsense is no watchdog."""
    assert read_environment({"WATCHDOG_USEC": "3000000"}).watchdog_seconds == 3.0
    assert read_environment({"WATCHDOG_USEC": "soon"}).watchdog_seconds is None


@pytest.mark.parametrize(
    ("role", "path", "sentence"),
    [
        ("done", "inbox/done", "folders.done: {root}/inbox/done lies in folders.inbox"),
        ("inbox", "work", "folders.inbox: {root}/work lies in folders.work"),
        ("state", "work/state", "folders.state: {root}/work/state lies in folders.work"),
        ("failed", "file/failed", "folders.failed: {root}/file/failed is not a folder"),
    ],
)
def test_folders_are_proved(tmp_path: Path, role: str, path: str, sentence: str) -> None:
    """Folders in each other, or that cannot be made, are refused with what to change."""
    (tmp_path / "file").touch()
    config = tmp_path / "config.yaml"
    names = {one: str(tmp_path / one) for one in ("inbox", "work", "done", "failed", "originals")}
    names |= {"state": str(tmp_path / "state"), role: str(tmp_path / path)}
    config.write_text(yaml.safe_dump({"folders": names}))
    with pytest.raises(ConfigError) as raised:
        prove(load_config(config).folders, token="test")
    assert sentence.format(root=tmp_path) in str(raised.value)


def test_another_filesystem_for_work(tmp_path: Path) -> None:
    """work/ on another filesystem than the inbox is refused, since a claim is a rename."""
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second filesystem here")
    work = other / f"subtitle-eraser-test-{os.getpid()}"
    folders = replace(load_config(None, tmp_path).folders, work=work)
    try:
        with pytest.raises(ConfigError, match="lies on another filesystem"):
            prove(folders, token="test")
        assert not list(folders.inbox.iterdir())
    finally:
        work.rmdir()


def test_proof_leaves_nothing(tmp_path: Path) -> None:
    """Proving folders makes them, and nothing else."""
    prove(load_config(None, tmp_path).folders, token="test")
    assert sorted(one.name for one in tmp_path.rglob("*")) == sorted(
        ["inbox", "work", "done", "failed", "originals"]  # the state folder is never needed
    )


# --- settings beside films ----------------------------------------------------------------------


def settings_of(tmp_path: Path, files: dict[str, str]) -> EraseSettings:
    """The settings of ``a/b/film.mp4`` with ``files`` in the inbox."""
    film = tmp_path / "a" / "b" / "film.mp4"
    film.parent.mkdir(parents=True)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    resolved = resolve_settings(film, tmp_path, EraseSettings(engine="module:factory", priority=1))
    return resolved.settings


def test_deeper_wins(tmp_path: Path) -> None:
    """The deepest file that sets a key decides it; what none sets is the operator's."""
    files = {
        ".erase.yaml": "priority: 2\nencode: {crf: 20, preset: fast}",
        "a/.erase.yaml": "encode: {crf: 21}",
        "a/b/.erase.yaml": "detect: {min_seconds: 1}",
        "a/b/film.mp4.erase.yaml": "priority: 5",
        "a/b/other.mp4.erase.yaml": "priority: 9",
    }
    settings = settings_of(tmp_path, files)
    assert (settings.engine, settings.priority) == ("module:factory", 5)
    assert (settings.encode.crf, settings.encode.preset) == (21, "fast")
    assert settings.detect.min_seconds == 1


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("engine: module:factory", "must be one of auto"),  # code is the operator's to choose
        ("engine: diffueraser", "must be one of auto, propagate"),  # a host may lack it
        ("limits: {max_hours: 1000}", "no such key"),  # and so are limits
        ("folders: {done: /etc}", "no such key"),
        ("detect: {every_seconds: 0}", "every_seconds"),
        ("segment_seconds: 1e9", "segment_seconds"),
        ("engine: &a [x]\npriority: *a", "aliases are not allowed"),  # a bomb of a few lines
        ("[" * 60_000, "nested too deeply"),  # the loader would need more stack than there is
        ("\x00", "not YAML"),
    ],
)
def test_what_senders_may_not_say(tmp_path: Path, text: str, word: str) -> None:
    """A settings file in the inbox is believed only as far as it may harm nobody."""
    with pytest.raises(BadSidecar) as raised:
        settings_of(tmp_path, {"a/b/film.mp4.erase.yaml": text})
    assert word in str(raised.value)


def test_settings_file_is_a_link(tmp_path: Path) -> None:
    """A link is not followed: it may lead to what its sender cannot read."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "secret").write_text("priority: 3")
    (tmp_path / "a" / ".erase.yaml").symlink_to(tmp_path / "secret")
    with pytest.raises(BadSidecar, match="cannot be read"):
        resolve_settings(tmp_path / "a" / "b" / "film.mp4", tmp_path, EraseSettings())


def test_settings_file_is_a_pipe(tmp_path: Path) -> None:
    """A pipe is not waited for."""
    os.mkfifo(tmp_path / ".erase.yaml")
    with pytest.raises(BadSidecar, match="not a regular file"):
        resolve_settings(tmp_path / "film.mp4", tmp_path, EraseSettings())
