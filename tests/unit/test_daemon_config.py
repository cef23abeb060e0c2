"""The configuration and the settings beside films: defaults, complaints, what they may not say."""

from __future__ import annotations

import os
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from daemon.cli.config_commands import migrate
from daemon.cli.main import main
from daemon.config import environment as environment_module
from daemon.config.config_file import TOP_KEYS
from daemon.config.environment import find_config, foreign_reason, read_environment
from daemon.config.film_settings import resolve_settings
from daemon.config.locations import Locations, load_locations
from daemon.config.schema import Config, load_config, read_config
from daemon.folders.checks import prove
from erasecore.errors import BadSidecar, ConfigError
from erasecore.settings import EraseSettings, PictureFrame

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
    assert tuple(item.name for item in fields(Config)) == TOP_KEYS
    assert places == Locations(2, config.folders, config.inbox, config.claims)
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
    assert str(raised.value).startswith(f"{path}:1: {sentence}")


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
        ("inbox: {settle: 3}", "inbox.settle: no such key; known keys: duplicates, ext"),
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
        ("erase: {encode: {preset: p7}}", "erase.encode.preset: is 'p7', must be one of ultrafast"),
        ("worker: {count: 0}", "worker.count: is 0, must be at least 1, or auto."),
        ("schema: 0", "schema: must be from 1 to 2, not 0; write schema: 2."),
        ("erase: {encode: {codec: h265}}", "source, h264, hevc, av1. Did you mean hevc?"),
        ("erase: {encode: {codec: x264}}", "source, h264, hevc, av1. Did you mean h264?"),
        ("on: 1", ":1: True: no such key, and no text to YAML; known keys: claims, erase"),
        ("log: {1: 2}", ":1: log.1: no such key, and no text to YAML; known keys: format, level."),
        (
            "models: {endpoint: 'http://a', huggingface_endpoint: 'http://b'}",
            "models.endpoint: is the old name of models.huggingface_endpoint, which is there, too",
        ),
        ("folders: {result_name: 'film{suffix}'}", "folders.result_name: must have {stem} once"),
        ("folders: {result_name: '{suffix}{stem}'}", "folders.result_name: must have {stem} once"),
        ("folders: {result_name: '{stem:>9}{suffix}'}", "result_name: must have {stem} once"),
        ("folders: {result_name: '{stem.x}{suffix}'}", "result_name: must have {stem} once"),
        ("folders: {result_name: '{stem{suffix}'}", "result_name: must have {stem} once"),
        ("folders: {result_name: '../{stem}{suffix}'}", "result_name: must not have a slash"),
        ("folders: {result_name: '.{stem}{suffix}'}", "result_name: must not begin with a dot"),
        ("schema: two", "schema: must be 2, not 'two'."),
        ("schema: 3\nnews: 1", "schema: is 3, but this release knows 1 to 2"),
        ("log: {}\nlog: {}", "log: is given twice, first in line 1; keep one."),
        (
            "erase: {detect: {regions: [{left: 0, right: 1, bottom: 1}]}}",
            "erase.detect.regions[0].top: is missing",
        ),
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
    (line,) = str(raised.value).split("\n")
    assert line.startswith(f"{path}:")
    assert sentence in line


MISTAKES = """\
inbox:
  extensions: [mp4]
  watch: event
  polls_seconds: 3
folders: {mode: "9"}
erase:
  encode:
    crf: 99
    preset: fastest
claims:
  lease_seconds: 1
models: {vae: {repository: vae}}
"""


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    """Each mistake has its line, its key, what is allowed, and what may have been meant."""
    path = tmp_path / "config.yaml"
    path.write_text(MISTAKES)
    with pytest.raises(ConfigError) as raised:
        load_config(path)
    lines = str(raised.value).removeprefix(f"{path}:").split(f"\n{path}:")
    assert [line.partition(". ")[0].partition(", must")[0] for line in lines] == [
        "3: inbox.watch: must be one of auto, events, polling",
        "4: inbox.polls_seconds: no such key; known keys: duplicates, extensions, ignore, "
        "poll_seconds, ready, rescan_seconds, settle_local_seconds, settle_network_seconds, watch, "
        "young_seconds",
        "5: folders.mode: is '9'",
        "8: erase.encode.crf: is 99",
        "9: erase.encode.preset: is 'fastest'",
        "11: claims.lease_seconds: must be at least three times claims.heartbeat_seconds, so that "
        "one late heartbeat costs nobody a job.",
        "12: models.vae.repository: must be of the form owner/name.",
    ]
    assert lines[0].endswith("Did you mean events?")
    assert lines[1].endswith("Did you mean poll_seconds?")


def test_a_wrong_type_hides_no_wrong_range(tmp_path: Path) -> None:
    """Both are told, in one group, too; what needs the value that has no type is not judged."""
    path = tmp_path / "config.yaml"
    path.write_text(
        "1: x\nclaims: {instance: a/b, heartbeat_seconds: often, lease_seconds: 20}\n"
        "erase:\n  priority: high\n  encode:\n    threads: many\n    crf: 99\n"
        "worker: {count: 0, nice: very}\n"
    )
    with pytest.raises(ConfigError) as raised:
        load_config(path)
    lines = str(raised.value).removeprefix(f"{path}:").split(f"\n{path}:")
    assert [":".join(line.split(":")[:2]) for line in lines] == [
        "1: 1",
        "2: claims.heartbeat_seconds",
        "2: claims.instance",
        "4: erase.priority",
        "6: erase.encode.threads",
        "7: erase.encode.crf",
        "8: worker.nice",
        "8: worker.count",
    ]


def test_another_encoding_has_a_line(tmp_path: Path) -> None:
    """An editor that writes Latin-1 is told where the first such letter is."""
    path = tmp_path / "config.yaml"
    path.write_bytes(b"log: {}\n# caf\xe9\n")
    with pytest.raises(ConfigError) as raised:
        load_config(path)
    said = f"{path}: not YAML (line 2: the byte 0xe9 is no UTF-8; save it as UTF-8); correct it."
    assert str(raised.value) == said


def test_the_configuration_may_be_a_link(tmp_path: Path) -> None:
    """As configuration management makes it; a link of somebody else, or to nothing, is refused."""
    path, target = tmp_path / "config.yaml", tmp_path / "stored.yaml"
    path.symlink_to(target)
    with pytest.raises(ConfigError, match=r"No such file or directory\); correct the link"):
        load_config(path)
    target.write_text("log: {level: debug}")
    assert load_config(path).log.level == "debug"
    assert migrate([path], write=True) == 0
    assert path.is_symlink()
    assert target.read_text().startswith("schema: 2")
    if os.geteuid() == 0:
        os.chown(target, 12345, -1)
        with pytest.raises(ConfigError, match="one of them belongs to user 12345; give both to"):
            load_config(path)
    path.unlink()
    path.symlink_to(path)
    with pytest.raises(ConfigError, match="link"):
        load_config(path)


OLD = """\
# of last year
models:
  endpoint: https://mirror.example.org  # ours
erase:
  detect: {min_seconds: 1, regions: [{left: 0, top: 0.5, right: 1, bottom: 1}]}
"""


def test_a_file_of_schema_1(tmp_path: Path) -> None:
    """Old names are taken, old meanings kept, and both are told with the line."""
    path = tmp_path / "config.yaml"
    path.write_text(OLD)
    loaded = read_config(path)
    assert loaded.config.models.huggingface_endpoint == "https://mirror.example.org"
    assert loaded.config.erase.detect.regions_frame is PictureFrame.STORED
    assert [one.removeprefix(f"{path}:").split(" is ")[0] for one in loaded.warnings] == [
        "3: models.endpoint:",
        "5: erase.detect.regions:",
    ]
    path.write_text("schema: 2\n" + OLD)
    with pytest.raises(ConfigError, match=r"models\.endpoint: no such key"):
        load_config(path)
    path.write_text("inbox: {young_seconds: 3}")
    assert read_config(path).warnings == ()  # nothing in it has changed since


def test_migration_keeps_what_was_written(tmp_path: Path) -> None:
    """The text says the same as before, with its comments, and is up to date."""
    path, settings = tmp_path / "config.yaml", tmp_path / ".erase.yaml"
    path.write_text(OLD)
    settings.write_text("mask: logo.png\npriority: 3\n")
    path.chmod(0o640)
    before = load_config(path)
    assert migrate([path, settings], write=True) == 0
    assert path.read_text() == (
        "schema: 2\n"
        "# of last year\n"
        "models:\n"
        "  huggingface_endpoint: https://mirror.example.org  # ours\n"
        "erase:\n"
        "  detect: {regions_frame: stored, min_seconds: 1, regions: "
        "[{left: 0, top: 0.5, right: 1, bottom: 1}]}\n"
    )
    assert settings.read_text() == (
        "schema: 2\ndetect: {regions_frame: stored}\nmask: logo.png\npriority: 3\n"
    )
    assert (tmp_path / "config.yaml.schema-1").read_text() == OLD
    assert path.stat().st_mode & 0o777 == 0o640
    assert (load_config(path), read_config(path).warnings) == (before, ())
    text = path.read_text()
    assert migrate([path], write=True) == 0
    assert path.read_text() == text


def test_migrate_keeps_every_file_there_is(tmp_path: Path) -> None:
    """The old file gets a name that nothing has."""
    path = tmp_path / "config.yaml"
    for number, name in enumerate(["config.yaml.schema-1", "config.yaml.schema-1.2"]):
        path.write_text(OLD + f"# {number}\n")
        assert migrate([path], write=True) == 0
        assert (tmp_path / name).read_text() == OLD + f"# {number}\n"
    assert (tmp_path / "config.yaml.schema-1").read_text() == OLD + "# 0\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "schema: 1  # old\nerase:\n  detect:\n    # here\n    regions: [{left: 0, top: 0, "
        "right: 1, bottom: 1}]\n",
        "{erase: {detect: {regions: [{left: 0, top: 0, right: 1, bottom: 1}]}}}",
        "---\nmodels: {source: modelscope, 'endpoint': 'https://a.b'}\n",
        "%YAML 1.1\n---\nlog: {level: debug}\n",
        "\ufefflog: {level: debug}\n",
    ],
)
def test_migration_of_all_styles(tmp_path: Path, text: str) -> None:
    """However a file is written, its new text says the same in the current schema."""
    path = tmp_path / "config.yaml"
    path.write_text(text)
    before = load_config(path)
    assert migrate([path], write=True) == 0
    assert yaml.safe_load(path.read_text())["schema"] == 2
    assert (load_config(path), read_config(path).warnings) == (before, ())


def test_which_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--config goes before the environment, which goes before the working folder."""
    monkeypatch.chdir(tmp_path)
    named, local = tmp_path / "named.yaml", tmp_path / "config.yaml"
    named.touch()
    local.touch()
    environment = read_environment({"SUBTITLE_ERASER_CONFIG": str(named)})
    assert find_config(local, environment) == local
    assert find_config(None, environment) == named
    monkeypatch.setattr(environment_module, "CONFIG_PLACE", tmp_path / "none")
    assert find_config(None, read_environment({})) == Path("config.yaml")
    with pytest.raises(ConfigError, match="SUBTITLE_ERASER_CONFIG: there is no file"):
        find_config(None, read_environment({"SUBTITLE_ERASER_CONFIG": "/nowhere"}))


@pytest.mark.parametrize(
    ("text", "mode", "reason"),
    [
        ("services: {web: {}}", 0o644, "it has the key services, which is none of ours"),
        ("- a list", 0o644, "it is no configuration of ours"),
        ("log: {}", 0o666, "it belongs to another user, or everybody may write to it"),
        ("log: {}", 0o644, ""),
        ("schema: 2\nlogs: {}", 0o644, ""),  # ours, with a mistake that will be told
    ],
)
def test_a_foreign_file_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, mode: int, reason: str
) -> None:
    """Another program's config.yaml is not read, nor one that anybody may have written."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(environment_module, "CONFIG_PLACE", tmp_path / "none")
    Path("config.yaml").write_text(text)
    Path("config.yaml").chmod(mode)
    assert foreign_reason() == reason
    assert (find_config(None, read_environment({})) is None) is bool(reason)


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


REGIONS = "regions: [{left: 0, top: 0, right: 1, bottom: 1}]"


@pytest.mark.parametrize(
    ("files", "frame"),
    [
        ({".erase.yaml": f"detect: {{{REGIONS}}}"}, PictureFrame.STORED),
        ({".erase.yaml": f"schema: 2\ndetect: {{{REGIONS}}}"}, PictureFrame.SEEN),
        ({".erase.yaml": f"schema: 2\ndetect: {{{REGIONS}, regions_frame: stored}}"}, "stored"),
        ({".erase.yaml": "mask: logo.png"}, PictureFrame.STORED),
        ({".erase.yaml": "schema: 2\nmask: logo.png"}, PictureFrame.SEEN),
        (
            {".erase.yaml": f"detect: {{{REGIONS}}}", "a/.erase.yaml": "schema: 2\npriority: 1"},
            PictureFrame.STORED,
        ),
        (
            {
                ".erase.yaml": f"detect: {{{REGIONS}}}",
                "a/.erase.yaml": f"schema: 2\ndetect: {{{REGIONS}}}",
            },
            PictureFrame.SEEN,
        ),
        (
            {
                ".erase.yaml": f"schema: 2\ndetect: {{{REGIONS}}}",
                "a/b/film.mp4.erase.yaml": f"detect: {{{REGIONS}}}",
            },
            PictureFrame.STORED,
        ),
    ],
)
def test_regions_mean_what_their_file_meant(
    tmp_path: Path, files: dict[str, str], frame: PictureFrame
) -> None:
    """Regions have the frame of reference of the schema of the file that names them."""
    assert settings_of(tmp_path, files).detect.regions_frame == frame


def test_all_mistakes_of_a_settings_file(tmp_path: Path) -> None:
    """A sender is told all of them, with lines."""
    text = "prioritty: 1\ndetect:\n  side_px: 1\nmask: ../secret\n"
    with pytest.raises(BadSidecar) as raised:
        settings_of(tmp_path, {".erase.yaml": text})
    said = str(raised.value)
    assert "line 1: prioritty: no such key; known keys: detect, encode, engine" in said
    assert "Did you mean priority?; line 3: detect.side_px: is 1, must be from 160" in said
    assert "; line 4: mask: must be the name of a file in the same folder" in said


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


# --- the command config -------------------------------------------------------------------------


def test_check_by_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It works where nothing else would: all mistakes, warnings, and an exit code."""
    good, bad, old = tmp_path / "a.yaml", tmp_path / "b.yaml", tmp_path / "c.mp4.erase.yaml"
    good.write_text("schema: 2\nlog: {level: debug}")
    bad.write_text("log: {level: loud}\nworkers: 3\n")
    old.write_text(f"detect: {{{REGIONS}}}")
    assert main(["config", "check", str(good), str(old)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"{good}: well"
    assert said[1].startswith(f"{old}:1: detect.regions: is taken for a place of the stored")
    assert said[1].endswith("(a warning)")
    assert said[2] == f"{old}: well"
    assert main(["config", "check", "--config", str(bad)]) == 78
    said = capsys.readouterr().out.splitlines()
    assert [line.partition("; ")[0].partition(". ")[0] for line in said] == [
        f"{bad}:1: log.level: must be one of debug, info, warning, error.",
        f"{bad}:2: workers: no such key",
    ]
    assert said[1].endswith("Did you mean worker?")


def test_example_by_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What it prints is the example, and a configuration that is up to date."""
    assert main(["config", "example"]) == 0
    text = capsys.readouterr().out
    assert text == EXAMPLE.read_text()
    path = tmp_path / "config.yaml"
    path.write_text(text)
    assert main(["config", "migrate", str(path)]) == 0
    assert capsys.readouterr().out == text


def test_migrate_refuses_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file with a mistake stays as it is."""
    path = tmp_path / "config.yaml"
    path.write_text("log: {level: loud}\n")
    assert main(["config", "migrate", "--write", str(path)]) == 78
    assert f"{path}:1: log.level" in capsys.readouterr().err
    assert [one.name for one in tmp_path.iterdir()] == ["config.yaml"]


def test_a_crash_point_needs_the_switch_of_tests() -> None:
    """The variables alone count for nothing, nor does any value of the switch but 1."""
    faults = {
        "SUBTITLE_ERASER_FAULT_AT": "publish.after_link",
        "SUBTITLE_ERASER_FAULT_DOES": "freeze",
    }
    for switch in ({}, {"SUBTITLE_ERASER_TEST": "0"}, {"FAULT_AT": "publish.after_link"}):
        environment = read_environment({**faults, **switch})
        assert (environment.fault_at, environment.fault_does) == ("", "")
    armed = read_environment({**faults, "SUBTITLE_ERASER_TEST": "1"})
    assert (armed.fault_at, armed.fault_does) == ("publish.after_link", "freeze")


def test_the_unit_clears_what_arms_crash_points() -> None:
    """Whatever the manager's environment has, the service gets none of the three."""
    unit = Path(__file__).parents[2] / "deploy/systemd/subtitle-eraser.service"
    (line,) = [one for one in unit.read_text().splitlines() if one.startswith("UnsetEnvironment=")]
    names = {"SUBTITLE_ERASER_TEST", "SUBTITLE_ERASER_FAULT_AT", "SUBTITLE_ERASER_FAULT_DOES"}
    assert set(line.partition("=")[2].split()) == names
