"""The real worker: real films, and engines that go wrong inside the real pipeline."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import av
import psutil
import pytest

from daemon.cli.erase_file import EraseRequest, erase_file
from daemon.config.schema import load_config
from daemon.workers.child_process import OOM_SCORE
from erasecore.errors import HostError
from tests.clips import clean_film, small_film
from tests.media.test_attacks import greedy
from tests.process.house import REPOSITORY, House


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``text.mp4``, which has a subtitle, and ``clean.mp4``, which has none."""
    folder = tmp_path_factory.mktemp("films")
    small_film(folder / "text.mp4")
    clean_film(folder / "clean.mp4")
    return folder


def test_films_of_every_kind(house: House, films: Path) -> None:
    """One daemon: a film with subtitles, one without, and things that are no films."""
    text, clean = (films / "text.mp4").read_bytes(), (films / "clean.mp4").read_bytes()
    house.drop("text.mp4", text)
    house.drop("clean.mp4", clean)
    house.drop("empty.mp4", b"")
    house.drop("truncated.mp4", text[: len(text) // 2])
    house.drop("playlist.mp4", "#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n")
    house.drop("text.txt.mkv", b"these are words " * 1000)
    assert house.once(quick=False, seconds=110) == 1
    assert house.films("done") == ["clean.mp4", "text.mp4"]
    assert house.films("originals") == ["clean.mp4", "text.mp4"]
    report = house.report("text.mp4")
    assert len(report["report"]["events"]) == 1
    assert report["source_sha256"] == hashlib.sha256(text).hexdigest()
    result = (house.done / "text.mp4").read_bytes()
    assert report["result_sha256"] == hashlib.sha256(result).hexdigest()
    assert (house.done / "text.und.srt").read_text("utf-8").endswith("\nHello there\n")
    assert not (house.done / "clean.und.srt").exists()
    assert (house.done / "text.mp4.preview.jpg").read_bytes().startswith(b"\xff\xd8")
    told = (house.done / "text.mp4.log").read_text("utf-8")
    for event in (
        "film.probed",
        "text.found events=1",
        "segment.stored",
        "result.verified",
    ):
        assert event in told
    assert "text.read lines=1 unreadable=0 cues=1" in told
    assert (house.done / "clean.mp4").read_bytes() == clean
    assert house.report("clean.mp4")["untouched"] is True
    errors = {name: house.explanation(name)["error"] for name in house.films("failed")}
    assert errors["empty.mp4"] == "EmptyFile"
    assert set(errors) == {"empty.mp4", "truncated.mp4", "playlist.mp4", "text.txt.mkv"}
    assert all(house.explanation(name)["remedy"] == "fix-input" for name in errors)
    assert house.work_is_empty()


def test_a_film_that_claims_gigabytes(house: House, films: Path) -> None:
    """Its sender is told that it is damaged, nobody to buy memory; the film behind it is done."""
    house.drop("greedy.mp4", greedy((films / "clean.mp4").read_bytes()))
    house.drop("z.mp4", (films / "clean.mp4").read_bytes())
    assert house.once(quick=False, seconds=100) == 1
    assert house.films("done") == ["z.mp4"]
    explained = house.explanation("greedy.mp4")
    assert (explained["error"], explained["remedy"]) == ("TruncatedVideo", "fix-input")
    assert "memory" not in explained["sentence"]


@pytest.mark.parametrize(
    ("engine", "error"),
    [
        ("code", "VerifyFailed"),
        ("unknown", "NothingErased"),
        ("wrong_count", "NothingErased"),
        ("memory", "OutOfMemory"),
        ("killed", "WorkerLost"),
        ("silent", "WorkerLost"),
        ("hanging", "WorkerLost"),
    ],
)
def test_faulty_engines(house: House, films: Path, engine: str, error: str) -> None:
    """Whatever an engine does, its film ends in failed/ unharmed, and the daemon well."""
    house.configure(
        erase={"engine": f"tests.engines.faulty:{engine}"},
        retry={"max_attempts": 1},
        worker={"stall_seconds": 6.0 if engine in ("silent", "hanging") else 60.0},
    )
    film = (films / "text.mp4").read_bytes()
    house.drop("film.mp4", film)
    assert house.once(quick=False, seconds=100) == 1
    assert house.explanation("film.mp4")["error"] == error
    assert (house.failed / "film.mp4").read_bytes() == film
    assert house.work_is_empty()


def test_chatty_engine(house: House, films: Path) -> None:
    """What an engine prints goes to the film's log; the film comes out well."""
    house.configure(erase={"engine": "tests.engines.faulty:chatty"})
    house.drop("film.mp4", (films / "text.mp4").read_bytes())
    assert house.once(quick=False, seconds=100) == 0
    assert "an engine talks" in (house.done / "film.mp4.log").read_text()


def test_engine_that_the_host_lacks(house: House, films: Path) -> None:
    """An engine that cannot be built here fails no film; ``once`` says what to mend."""
    house.configure(erase={"engine": "tests.engines.faulty:host"})
    house.drop("film.mp4", (films / "text.mp4").read_bytes())
    daemon = house.start("once", quick=False)
    assert daemon.wait(100) == 1
    assert "weights are missing" in daemon.said("host.trouble")[0]["sentence"]
    assert house.films("failed") == []
    assert len(list(house.work.rglob("source.mp4"))) == 1


def test_a_film_with_text_left_is_refused_where_that_is_wanted(house: House, films: Path) -> None:
    """``on_residual: failed`` beside a film sends it to failed/ unharmed; without, it is done."""
    house.configure(erase={"engine": "tests.engines.faulty:blind"})
    film = (films / "text.mp4").read_bytes()
    house.drop("strict.mp4.erase.yaml", "on_residual: failed\n")
    house.drop("strict.mp4", film)
    house.drop("lenient.mp4", film)
    assert house.once(quick=False, seconds=100) == 1
    explained = house.explanation("strict.mp4")
    assert (explained["error"], explained["remedy"]) == ("TextRemains", "fix-input")
    still_seen = "strict.mp4: text or a trace of it is still seen in 1 place (at "
    assert str(explained["sentence"]).startswith(still_seen)
    assert (house.failed / "strict.mp4").read_bytes() == film
    assert house.films("done") == ["lenient.mp4"]
    report = house.report("lenient.mp4")["report"]
    assert report["residual_events"] == 1
    assert "text is still seen" in report["warnings"][0]
    assert house.work_is_empty()


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A command, ended."""
    return subprocess.run(
        [sys.executable, "-m", "daemon", *map(str, arguments)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_erase_one_file(films: Path, tmp_path: Path) -> None:
    """``erase IN OUT`` makes OUT, replaces nothing unasked, and leaves nothing else behind."""
    result = tmp_path / "result.mp4"
    done = run("erase", films / "text.mp4", result)
    assert done.returncode == 0, done.stderr
    assert "1 subtitle," in done.stderr
    first = result.read_bytes()
    srt = (tmp_path / "result.und.srt").read_bytes()
    assert b"Hello there" in srt
    again = run("erase", films / "clean.mp4", result)
    assert again.returncode == 1
    assert "is there already" in again.stderr
    assert result.read_bytes() == first
    forced = run("erase", "--force", films / "clean.mp4", result)
    assert forced.returncode == 0
    assert result.read_bytes() == (films / "clean.mp4").read_bytes()
    assert (tmp_path / "result.und.srt").read_bytes() == srt  # perhaps edited since: it stays
    assert sorted(one.name for one in tmp_path.iterdir()) == ["result.mp4", "result.und.srt"]


def test_erase_keeps_the_users_subtitles(films: Path, tmp_path: Path) -> None:
    """A file that has the name of the subtitles stays as it is, and the user is told."""
    result = tmp_path / "result.mp4"
    (tmp_path / "result.und.srt").write_text("a translator's work")
    done = run("erase", films / "text.mp4", result)
    assert done.returncode == 0, done.stderr
    assert result.exists()
    assert (tmp_path / "result.und.srt").read_text() == "a translator's work"
    assert "result.und.srt was there already and is left as it was" in done.stderr


def test_erase_into_a_name_of_full_length(films: Path, tmp_path: Path) -> None:
    """Where the name has no room for another ending, the subtitles' is cut."""
    result = tmp_path / ("x" * 251 + ".mp4")
    done = run("erase", films / "text.mp4", result)
    assert done.returncode == 0, done.stderr
    assert sorted(len(one.name) for one in tmp_path.iterdir()) == [255, 255]
    assert result.exists()


def test_erase_into_another_ending(films: Path, tmp_path: Path) -> None:
    """The ending of OUT is its container; what needs no erasing goes there packet for packet."""
    done = run("erase", films / "clean.mp4", films / "text.mp4", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "clean.mp4").read_bytes() == (films / "clean.mp4").read_bytes()
    for name in ("clean", "text"):
        done = run("erase", films / f"{name}.mp4", tmp_path / f"{name}.mkv")
        assert done.returncode == 0, done.stderr
        with av.open(str(tmp_path / f"{name}.mkv")) as container:
            assert container.format.name == "matroska,webm"
            assert container.streams.video[0].codec_context.name == "h264"
    assert pictures_of(tmp_path / "clean.mkv") == pictures_of(films / "clean.mp4")


def test_endings_that_cannot_be(films: Path, tmp_path: Path) -> None:
    """They are refused before any work: an unknown one, and a container without this codec."""
    unknown = run("erase", films / "text.mp4", tmp_path / "out.exe")
    assert (unknown.returncode, "names no container" in unknown.stderr) == (2, True)
    small = run("erase", "--codec", "hevc", films / "text.mp4", tmp_path / "out.webm")
    assert small.returncode == 1
    assert "text.mp4: .webm cannot hold libx265" in small.stderr
    assert "detect" not in small.stderr
    assert list(tmp_path.iterdir()) == []


def pictures_of(film: Path) -> list[str]:
    """SHA-256 of each picture."""
    with av.open(str(film)) as container:
        frames = container.decode(video=0)
        return [hashlib.sha256(frame.to_ndarray().tobytes()).hexdigest() for frame in frames]


def test_erase_nothing_or_nowhere(films: Path, tmp_path: Path) -> None:
    """A film or a folder that is not there is said to be so, before any work is done."""
    nothing = run("erase", tmp_path / "no.mp4", tmp_path / "out.mp4")
    assert (nothing.returncode, "no.mp4: there is no such file" in nothing.stderr) == (1, True)
    nowhere = run("erase", films / "text.mp4", tmp_path / "no" / "out.mp4")
    assert (nowhere.returncode, f"{tmp_path}/no: is no folder" in nowhere.stderr) == (1, True)


def test_erase_what_is_no_film(tmp_path: Path) -> None:
    """One sentence that names the file as the user does, exit code 1, nothing written."""
    (tmp_path / "words.mp4").write_bytes(b"words " * 1000)
    done = run("erase", tmp_path / "words.mp4", tmp_path / "out.mp4")
    assert done.returncode == 1
    assert done.stderr.startswith("subtitle-eraser: words.mp4: ")
    assert [one.name for one in tmp_path.iterdir()] == ["words.mp4"]


def test_a_worker_that_cannot_start_is_quoted(films: Path, tmp_path: Path) -> None:
    """Its log goes with the hidden folder, so its last words are in the sentence."""
    request = EraseRequest(films / "text.mp4", tmp_path / "out.mp4")
    command = (sys.executable, "-c", "import sys; sys.exit('no such library: libfoo')")
    with pytest.raises(HostError, match="no such library: libfoo"):
        erase_file(request, load_config(None), lambda _: None, worker_command=command)
    assert list(tmp_path.iterdir()) == []


def test_two_real_workers(house: House, films: Path) -> None:
    """Two processes with a thread each, at work at once, make of one film the same result."""
    house.configure(worker={"count": 2, "threads": 1})
    for name in ("a.mp4", "b.mp4"):
        house.drop(name, (films / "text.mp4").read_bytes())
    daemon = house.start("once", quick=False)
    assert daemon.wait(110) == 0
    assert {one["worker"] for one in daemon.said("worker.ready")} == {1, 2}
    reports = [house.report(f"{name}.mp4") for name in ("a", "b")]
    told = [one["event"] for one in daemon.events() if one["event"].startswith("attempt.")]
    assert told[:2] == ["attempt.started", "attempt.started"]
    assert len({one["result_sha256"] for one in reports}) == 1


def test_a_worker_is_told_of_its_host(films: Path, tmp_path: Path) -> None:
    """Where weights lie and what may be remembered: the last word of its command line."""
    request = EraseRequest(films / "text.mp4", tmp_path / "out.mp4")
    command = (sys.executable, "-c", "import sys; sys.exit(sys.argv[-1])")
    config = load_config(None, tmp_path)
    with pytest.raises(HostError) as caught:
        erase_file(request, config, lambda _: None, worker_command=command)
    assert json.dumps(asdict(config.host())) in str(caught.value)


def test_a_worker_asks_no_hub(films: Path, tmp_path: Path) -> None:
    """Libraries that would look for weights or news in the network are told not to, in workers."""
    request = EraseRequest(films / "text.mp4", tmp_path / "out.mp4")
    code = "import huggingface_hub; huggingface_hub.HfApi().model_info('gpt2')"
    command = (sys.executable, "-c", code)
    with pytest.raises(HostError, match="offline mode is enabled"):
        erase_file(request, load_config(None), lambda _: None, worker_command=command)


def test_doctor(house: House) -> None:
    """The doctor finds everything well on a machine where it is."""
    done = run("doctor", "--config", house.config)
    assert done.returncode == 0, done.stdout
    workers = "workers: 1 (worker.count: 1)"
    for word in ("inbox", "ffmpeg", workers, "worker: ready", "onnxruntime", "torch: 2."):
        assert word in done.stdout
    assert "weights: none in " in done.stdout
    assert "engine: auto is propagate: the weights are not all there" in done.stdout


def test_the_system_ends_the_worker_first(house: House) -> None:
    """When memory runs out the kernel is to choose the worker, or its children, not the daemon."""
    scores = Path("/proc/self/oom_score_adj")
    if not scores.exists():
        pytest.skip("this system has no scores")
    house.configure(worker={"nice": 7})
    daemon = house.start(quick=False)
    house.wait(lambda: daemon.said("worker.ready"))
    pid = daemon.said("worker.ready")[0]["pid"]
    assert Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == OOM_SCORE
    own = Path(f"/proc/{daemon.process.pid}/oom_score_adj").read_text()
    assert own == scores.read_text()
    assert int(OOM_SCORE) > int(own)
    assert psutil.Process(pid).nice() == min(19, psutil.Process(daemon.process.pid).nice() + 7)
    assert daemon.stop() == 0
