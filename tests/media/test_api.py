"""The Python interface: erase, detect, inpaint; what they promise and what they leave behind."""

from __future__ import annotations

import errno
import math
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

import erasecore
from erasecore import (
    DetectSettings,
    EncodeSettings,
    EraseSettings,
    FolderError,
    InputError,
    Models,
    Progress,
    Region,
    Stage,
    TimeRange,
)
from erasecore.api import detect, erase, inpaint
from erasecore.engines.diffueraser.engine import DiffuEraser
from erasecore.errors import UnreadableFile, WeightsMissing
from erasecore.frame_inpainting import inpaint_frames
from erasecore.loaded_models import load_models
from erasecore.memory.ladder import Ladders
from erasecore.settings import DiffusionSettings
from erasecore.system.progress import ProgressReporter
from tests.clips import DrawnFilm, clean_film, draw, ffmpeg, small_film
from tests.conftest import wait_for
from tests.media.erasing import ink_psnr
from tests.painters import PatternPainter

REPOSITORY = Path(__file__).parents[2]
FAST = EraseSettings(srt=False)


@pytest.fixture(scope="module")
def models() -> Models:
    """Loaded once for all tests."""
    return load_models(threads=2)


@pytest.fixture
def film(tmp_path: Path) -> DrawnFilm:
    """The truth of ``film.mp4`` in the test's folder."""
    return small_film(tmp_path / "film.mp4")


def names(folder: Path) -> list[str]:
    """What lies in a folder."""
    return sorted(one.name for one in folder.iterdir())


def python(code: str, *arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run ``code`` in a fresh interpreter, in ``folder``."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


# --- the package --------------------------------------------------------------------------------


def test_import_loads_nothing_heavy(tmp_path: Path) -> None:
    """``import erasecore``, its settings, records and errors load the standard library only."""
    code = (
        "import sys, erasecore\n"
        "erasecore.EraseSettings(); erasecore.InputError; erasecore.Progress; erasecore.errors\n"
        "heavy = {'numpy', 'cv2', 'av', 'torch', 'onnxruntime', 'rapidocr', 'structlog'}\n"
        "print(sorted(heavy & set(sys.modules)), erasecore.__version__)\n"
    )
    done = python(code, folder=tmp_path)
    assert (done.stdout, done.stderr) == (f"[] {erasecore.__version__}\n", "")


def test_every_public_name_is_there() -> None:
    """Each name of ``__all__`` resolves and is told by ``dir``; no other name does."""
    for name in erasecore.__all__:
        assert getattr(erasecore, name) is not None
    assert set(erasecore.__all__) <= set(dir(erasecore))
    with pytest.raises(AttributeError, match="no attribute 'eraze'"):
        _ = erasecore.eraze


def test_silence(tmp_path: Path, film: DrawnFilm) -> None:
    """Nothing is printed, and the host's logging, OpenCV and warnings stay as they are."""
    code = (
        "import logging, cv2, warnings, numpy, erasecore\n"
        "before = cv2.getNumThreads(), list(logging.root.handlers), list(warnings.filters)\n"
        "erasecore.erase('film.mp4', 'clean.mp4')\n"
        "erasecore.detect('film.mp4')\n"
        "frames = numpy.zeros((2, 40, 40, 3), numpy.uint8)\n"
        "erasecore.inpaint(frames, numpy.ones(frames.shape[:3], bool))\n"
        "after = cv2.getNumThreads(), list(logging.root.handlers), list(warnings.filters)\n"
        "assert before == after, (before, after)\n"
    )
    done = python(code, folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert names(tmp_path) == ["clean.mp4", "film.mp4"]


@pytest.mark.parametrize("library", ["logging", "structlog"])
def test_logging_that_is_configured_hears_of_the_work(
    tmp_path: Path, film: DrawnFilm, library: str
) -> None:
    """An application that configures the standard library's logging, or structlog, gets events."""
    setup = {
        "logging": "import logging; logging.basicConfig(level=logging.INFO)",
        "structlog": "import structlog; structlog.configure()",
    }
    code = f"{setup[library]}\nimport erasecore\nerasecore.detect('film.mp4')\n"
    done = python(code, folder=tmp_path)
    said = done.stderr if library == "logging" else done.stdout
    assert done.returncode == 0, done.stderr
    assert re.search(r"text\.found.*events.*1", said)
    if library == "logging":
        assert "INFO:erasecore.detection_pass:text.found events=1 " in said


# --- erase --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [str, Path])
def test_erase(
    tmp_path: Path, film: DrawnFilm, models: Models, kind: Callable[[Path], str | Path]
) -> None:
    """From a string or a path; the report says what was erased, and nothing else is left."""
    seen: list[Progress] = []
    report = erase(
        kind(tmp_path / "film.mp4"),
        kind(tmp_path / "clean.mp4"),
        models=models,
        progress=seen.append,
    )
    assert ink_psnr(film, tmp_path / "clean.mp4") > 30
    assert [(event.start, event.stop, event.text) for event in report.events] == [
        (8, 30, "Hello there")
    ]
    assert report.result == "clean.mp4"
    assert report.warnings == ()
    assert {one.stage for one in seen} == set(Stage)
    assert seen[-1].job_share == pytest.approx(1.0)
    assert names(tmp_path) == ["clean.mp4", "film.mp4"]


def test_erase_without_models_in_a_relative_place(
    tmp_path: Path, film: DrawnFilm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names without a folder are in the current one; a link to a film is followed."""
    (tmp_path / "link.mp4").symlink_to("film.mp4")
    monkeypatch.chdir(tmp_path)
    assert len(erase("link.mp4", "clean.mp4", FAST).events) == 1
    assert names(tmp_path) == ["clean.mp4", "film.mp4", "link.mp4"]


def test_a_film_without_subtitles_is_copied(tmp_path: Path, models: Models) -> None:
    """Byte for byte; the suffix asked for is kept, and the report says that it does not fit."""
    clean_film(tmp_path / "film.mp4")
    report = erase(tmp_path / "film.mp4", tmp_path / "copy.mkv", models=models)
    assert report.untouched
    assert (tmp_path / "copy.mkv").read_bytes() == (tmp_path / "film.mp4").read_bytes()
    (warning,) = report.warnings
    assert "is a .mp4 file; copy.mp4 would fit" in warning


def test_a_suffix_of_another_container(tmp_path: Path, film: DrawnFilm, models: Models) -> None:
    """A film keeps its container whatever the result is called, as with the command."""
    ffmpeg("-i", tmp_path / "film.mp4", "-c", "copy", tmp_path / "film.mkv")
    report = erase(tmp_path / "film.mkv", tmp_path / "clean.mp4", FAST, models=models)
    with av.open(str(tmp_path / "clean.mp4")) as container:
        assert "matroska" in container.format.name
    (warning,) = report.warnings
    assert "clean.mkv would fit" in warning


def test_nothing_is_overwritten_unasked(tmp_path: Path, film: DrawnFilm, models: Models) -> None:
    """What has the result's name stays, before and after; ``overwrite`` replaces it."""
    result = tmp_path / "clean.mp4"
    result.write_text("mine")
    with pytest.raises(FileExistsError, match=r"exists already.*overwrite=True.*clean\.mp4"):
        erase(tmp_path / "film.mp4", result, FAST, models=models)
    result.unlink()

    def be_quicker(progress: Progress) -> None:
        if progress.stage is Stage.VERIFY:
            result.write_text("mine")

    with pytest.raises(FileExistsError, match="exists already"):
        erase(tmp_path / "film.mp4", result, FAST, models=models, progress=be_quicker)
    assert result.read_text() == "mine"
    erase(tmp_path / "film.mp4", result, FAST, models=models, overwrite=True)
    assert ink_psnr(film, result) > 30
    assert names(tmp_path) == ["clean.mp4", "film.mp4"]


def test_places_that_will_not_do(tmp_path: Path, film: DrawnFilm, models: Models) -> None:
    """Each error names the place and the way out; nothing is left behind."""
    source = tmp_path / "film.mp4"
    (tmp_path / "folder").mkdir()
    for result, error, words in (
        (source, ValueError, "is the source itself"),
        (tmp_path / "folder", ValueError, "is a folder; name a file in it"),
        (tmp_path / "missing" / "clean.mp4", FolderError, "missing: is no folder; make it"),
    ):
        with pytest.raises(error, match=words):
            erase(source, result, FAST, models=models, overwrite=True)
    with pytest.raises(FolderError, match="nowhere: No such file or directory"):
        erase(source, tmp_path / "a.mp4", models=models, work_dir=tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"nothing\.mp4: there is no such film"):
        erase(tmp_path / "nothing.mp4", tmp_path / "a.mp4", models=models)
    with pytest.raises(InputError, match=r"there is no mask file .*nothing\.png"):
        erase(source, tmp_path / "a.mp4", models=models, mask=tmp_path / "nothing.png")
    (tmp_path / "text.mp4").write_text("no film")
    with pytest.raises(InputError, match=r"text\.mp4: not a film container"):
        erase(tmp_path / "text.mp4", tmp_path / "a.mp4", models=models)
    assert names(tmp_path) == ["film.mp4", "folder", "text.mp4"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
@pytest.mark.parametrize("stage", list(Stage))
def test_work_that_is_broken_off(
    tmp_path: Path, film: DrawnFilm, models: Models, error: type[BaseException], stage: Stage
) -> None:
    """What progress raises reaches the caller, at whatever stage, and nothing is left behind."""

    def stop(progress: Progress) -> None:
        if progress.stage is stage:
            raise error

    with pytest.raises(error):
        erase(tmp_path / "film.mp4", tmp_path / "clean.mp4", FAST, models=models, progress=stop)
    seen: list[Progress] = []

    def stop_once(progress: Progress) -> None:
        if progress.stage is stage and not seen:
            seen.append(progress)
            raise error

    with pytest.raises(error):
        erase(
            tmp_path / "film.mp4", tmp_path / "clean.mp4", FAST, models=models, progress=stop_once
        )
    assert names(tmp_path) == ["film.mp4"]


def test_ctrl_c(tmp_path: Path, film: DrawnFilm) -> None:
    """A real interrupt in the middle of the work leaves nothing behind."""
    code = (
        "import erasecore, pathlib\n"
        "def tell(progress):\n"
        "    if progress.stage is erasecore.Stage.ERASE: pathlib.Path('going').touch()\n"
        "while True:\n"
        "    erasecore.erase('film.mp4', 'clean.mp4', overwrite=True, progress=tell)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stderr=subprocess.PIPE,
    )
    wait_for((tmp_path / "going").exists, 60)
    said = _interrupted(process)
    assert b"KeyboardInterrupt" in said
    assert set(names(tmp_path)) <= {"film.mp4", "going", "clean.mp4"}


def _interrupted(process: subprocess.Popen[bytes]) -> bytes:
    """What a process says at the end, once SIGINT has ended it.

    Python loses an interrupt that arrives while it runs a destructor; a person presses again.
    """
    for _ in range(6):
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=10)[1]
    process.kill()
    pytest.fail(f"six interrupts did not end it: {process.communicate()[1]!r}")


def test_work_elsewhere(tmp_path: Path, film: DrawnFilm, models: Models) -> None:
    """Unfinished files lie in ``work_dir``, also on another filesystem, and are gone afterwards."""
    inside: set[str] = set()
    shared = Path("/dev/shm")
    work = shared if shared.is_dir() else tmp_path / "work"
    work.mkdir(exist_ok=True)
    before = set(names(work))
    erase(
        tmp_path / "film.mp4",
        tmp_path / "clean.mp4",
        FAST,
        models=models,
        work_dir=work,
        progress=lambda _: inside.update(set(names(work)) - before),
    )
    assert len(inside) == 1
    assert set(names(work)) == before
    assert ink_psnr(film, tmp_path / "clean.mp4") > 30
    assert names(tmp_path) == ["clean.mp4", "film.mp4"]


def test_mask_and_cues(tmp_path: Path, film: DrawnFilm, models: Models) -> None:
    """A mask replaces detection; cues say when text may appear at all."""
    inked = (film.alpha.max(axis=0) > 0.02).astype(np.uint8) * 255
    picture = av.VideoFrame.from_ndarray(inked, format="gray")
    with av.open(str(tmp_path / "mask.png"), "w", format="image2") as container:
        stream = container.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "gray"
        container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    source = tmp_path / "film.mp4"
    report = erase(source, tmp_path / "a.mp4", models=models, mask=tmp_path / "mask.png")
    assert [(event.start, event.stop) for event in report.events] == [(0, 38)]
    assert ink_psnr(film, tmp_path / "a.mp4") > 25
    (tmp_path / "film.srt").write_text("1\n00:01:00,000 --> 00:01:02,000\nlater\n")
    report = erase(source, tmp_path / "b.mp4", models=models, cues=tmp_path / "film.srt")
    assert report.untouched
    assert "no subtitle was found at the times" in report.warnings[-1]


def test_a_relative_work_dir_and_a_change_of_folder(
    tmp_path: Path, film: DrawnFilm, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All paths count from the folder of the call, wherever the process goes meanwhile."""
    (tmp_path / "work").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    erase(
        "film.mp4",
        "clean.mp4",
        FAST,
        models=models,
        work_dir="work",
        progress=lambda _: os.chdir(tmp_path / "elsewhere"),
    )
    assert names(tmp_path) == ["clean.mp4", "elsewhere", "film.mp4", "work"]
    assert names(tmp_path / "work") == names(tmp_path / "elsewhere") == []


def test_a_callback_must_not_use_the_models_of_its_call(
    tmp_path: Path, film: DrawnFilm, models: Models
) -> None:
    """It would wait for itself for ever: it gets an error, and others stay usable."""
    source = tmp_path / "film.mp4"
    with pytest.raises(RuntimeError, match="in use by the call that this one is made from"):
        erase(
            source,
            tmp_path / "clean.mp4",
            FAST,
            models=models,
            progress=lambda _: void(detect(source, models=models)),
        )
    with pytest.raises(RuntimeError, match="in use"):
        detect(source, models=models, progress=lambda _: void(detect(source, models=models)))
    frames, masks = np.zeros((2, 40, 40, 3), np.uint8), np.ones((2, 40, 40), np.bool_)
    masks[:, :10] = False
    with pytest.raises(RuntimeError, match="in use"):
        inpaint(
            frames, masks, models=models, progress=lambda _: void(detect(source, models=models))
        )
    assert len(detect(source, models=models).events) == 1
    assert names(tmp_path) == ["film.mp4"]


def void(_: object) -> None:
    """Return nothing: callbacks do not."""


def test_a_film_that_may_not_be_read(
    tmp_path: Path, film: DrawnFilm, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an InputError from each function, which names the film."""

    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("erasecore.argument_checks.check_regular", refuse)
    with pytest.raises(UnreadableFile, match=r"film\.mp4: it cannot be read by user"):
        erase(tmp_path / "film.mp4", tmp_path / "clean.mp4", models=models)
    with pytest.raises(UnreadableFile, match="try again"):
        detect(tmp_path / "film.mp4", models=models)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"engine": "auto"}, TypeError, "settings: must be of class EraseSettings, not {'engine'"),
        (EraseSettings(engine="magic"), ValueError, "settings.engine: no engine 'magic'; known: a"),
        (EraseSettings(mask="a.png"), ValueError, "settings.mask: is 'a.png'.*mask= instead"),
        (EraseSettings(segment_seconds=0), ValueError, "segment_seconds: is 0, must be from 2 to"),
        (
            EraseSettings(on_residual="done"),  # type: ignore[arg-type]
            TypeError,
            "settings.on_residual: must be one of OnResidual.DONE, .*, not 'done'",
        ),
        (
            EraseSettings(encode=EncodeSettings(codec="h264")),  # type: ignore[arg-type]
            TypeError,
            "settings.encode.codec: must be one of Codec.SOURCE, .*, not 'h264'",
        ),
        (
            EraseSettings(encode=EncodeSettings(crf="16")),  # type: ignore[arg-type]
            TypeError,
            "settings.encode.crf: must be a float, not '16'",
        ),
        (EraseSettings(encode=EncodeSettings(crf=99)), ValueError, "crf: is 99, must be from 0 to"),
        (EraseSettings(encode=EncodeSettings(crf=math.nan)), ValueError, "crf: is nan, must be"),
        (EraseSettings(encode=EncodeSettings(threads=-1)), ValueError, "encode.threads: is -1, mu"),
        (
            EraseSettings(encode=EncodeSettings(preset="")),
            ValueError,
            "preset: is '', must be one of",
        ),
        (
            EraseSettings(detect=DetectSettings(regions=Region(0, 0, 1, 1))),  # type: ignore[arg-type]
            TypeError,
            "settings.detect.regions: must be a tuple of Region, not Region",
        ),
        (
            EraseSettings(detect=DetectSettings(regions=((0, 0, 1, 1),))),  # type: ignore[arg-type]
            TypeError,
            r"regions\[0\]: must be of class Region, not \(0, 0, 1, 1\)",
        ),
        (
            EraseSettings(detect=DetectSettings(regions=(Region(0, 0, 1, 2),))),
            ValueError,
            r"regions\[0\]: needs 0 <= left.* It is Region\(left=0",
        ),
        (
            EraseSettings(detect=DetectSettings(regions=(Region(0.5, 0, 0.5, 1),))),
            ValueError,
            "left < right",
        ),
        (
            EraseSettings(detect=DetectSettings(regions=(Region(0, math.nan, 1, 1),))),
            ValueError,
            "top < bottom",
        ),
        (
            EraseSettings(detect=DetectSettings(times=(TimeRange(3, 2),))),
            ValueError,
            r"times\[0\]: needs 0 <= start_seconds < stop_seconds. It is TimeRange",
        ),
        (EraseSettings(detect=DetectSettings(side_px=8)), ValueError, "side_px: is 8, must be"),
        (
            EraseSettings(detect=DetectSettings(every_seconds=0)),
            ValueError,
            "detect.every_seconds: is 0, must be from 0.02 to 10",
        ),
        (
            EraseSettings(detect=DetectSettings(side_px=True)),
            TypeError,
            "detect.side_px: must be an int, not True",
        ),
    ],
)
def test_settings_that_are_not_allowed(
    tmp_path: Path, settings: EraseSettings, error: type[Exception], words: str
) -> None:
    """Before any work, even on a film that is not there, the text names field, value and range."""
    with pytest.raises(error, match=words):
        erase(tmp_path / "none.mp4", tmp_path / "clean.mp4", settings)
    with pytest.raises(error, match=words):
        detect(tmp_path / "none.mp4", settings)


def test_paths_that_are_none(tmp_path: Path, film: DrawnFilm) -> None:
    """A NUL, an empty name, a wrong type: the argument is named."""
    source = tmp_path / "film.mp4"
    calls_by_argument: tuple[tuple[str, list[Callable[[Any], object]]], ...] = (
        ("src", [lambda path: erase(path, "a.mp4"), lambda path: detect(path)]),
        ("dst", [lambda path: erase(source, path)]),
        ("mask", [lambda path: erase(source, tmp_path / "a.mp4", mask=path)]),
        ("cues", [lambda path: detect(source, cues=path)]),
        ("work_dir", [lambda path: erase(source, tmp_path / "a.mp4", work_dir=path)]),
    )
    for name, calls in calls_by_argument:
        for call in calls:
            with pytest.raises(ValueError, match=f"{name}: the path holds a NUL character"):
                call("film\0.mp4")
            with pytest.raises(ValueError, match=f"{name}: the path is empty"):
                call("")
            with pytest.raises(TypeError, match=f"{name}: a path is needed"):
                call(7)
    assert names(tmp_path) == ["film.mp4"]


def test_models_and_progress_of_a_wrong_type(tmp_path: Path) -> None:
    """Models come from load_models; progress can be called."""
    wrong: Any = "models"
    frames = np.zeros((1, 40, 40, 3), np.uint8)
    calls: tuple[Callable[..., object], ...] = (
        lambda **options: erase("film.mp4", "clean.mp4", **options),
        lambda **options: detect("film.mp4", **options),
        lambda **options: inpaint(frames, frames[..., 0], **options),
    )
    for call in calls:
        with pytest.raises(TypeError, match=r"models: what load_models\(\) returns is needed"):
            call(models=wrong)
        with pytest.raises(TypeError, match="progress: a function is needed, not str"):
            call(progress=wrong)


def test_loading_what_cannot_be_loaded(tmp_path: Path) -> None:
    """Weights that are named must be there; the number of threads has bounds."""
    with pytest.raises(WeightsMissing, match="lacks"):
        load_models(weights=tmp_path)
    for threads in (-1, 257):
        with pytest.raises(ValueError, match=r"threads: is .*, must be from 0 to 256"):
            load_models(threads=threads)
    with pytest.raises(TypeError, match="threads: an int is needed, not str"):
        load_models(threads="two")  # type: ignore[arg-type]


def test_the_share_of_a_job_is_never_above_one() -> None:
    """The sum of the stages' shares is rounded, and must not exceed 1 for it."""
    shares: list[float] = []
    reporter = ProgressReporter(lambda progress: shares.append(progress.job_share))
    for stage in Stage:
        reporter.report(stage, 38, 38)
    assert shares[-1] == pytest.approx(1)
    assert max(shares) <= 1


# --- detect -------------------------------------------------------------------------------------


def test_detect(tmp_path: Path, film: DrawnFilm, models: Models) -> None:
    """Frames, seconds and boxes of what erase would take away."""
    shares: list[float] = []
    found = detect(str(tmp_path / "film.mp4"), models=models, progress=shares.append)
    (event,) = found.events
    assert (event.start, event.stop) == (8, 30)
    assert (event.start_seconds, event.stop_seconds) == (0.32, 1.2)
    rows, columns = np.nonzero(film.alpha[15] > 0.5)
    inner = (columns.min(), rows.min(), columns.max(), rows.max())
    assert np.abs(np.array(event.box_xyxy) - inner).max() < 12
    assert 0.5 < event.score <= 1
    assert event.rejected_because == ""
    assert (found.frames, found.width, found.height, found.cuts) == (38, 320, 180, ())
    np.testing.assert_allclose(found.frame_seconds, np.arange(39) / 25)
    assert not found.frame_seconds.flags.writeable
    assert found.events_at(8) == (event,)
    assert found.events_at(30) == ()
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert names(tmp_path) == ["film.mp4"]


def test_detect_goes_by_its_settings(tmp_path: Path, film: DrawnFilm, models: Models) -> None:
    """Regions narrow what is found; text elsewhere is none of it."""
    top = EraseSettings(detect=DetectSettings(regions=(Region(0, 0, 1, 0.5),)))
    assert detect(tmp_path / "film.mp4", top, models=models).events == ()


def test_times_are_those_that_players_show(tmp_path: Path, film: DrawnFilm, models: Models) -> None:
    """In a transport stream, whose stamps begin anywhere, times count from the film's start."""
    ffmpeg("-i", tmp_path / "film.mp4", "-c", "copy", tmp_path / "film.ts")
    found = detect(tmp_path / "film.ts", models=models)
    assert found.frame_seconds[0] == pytest.approx(0, abs=0.1)
    assert found.events[0].start_seconds == pytest.approx(0.32, abs=0.1)


# --- inpaint ------------------------------------------------------------------------------------


def hole_psnr(made: NDArray[np.uint8], truth: NDArray[np.uint8], mask: NDArray[np.bool_]) -> float:
    """PSNR where the mask is set, dB."""
    error = (made[mask].astype(np.float64) - truth[mask]) ** 2
    return float(10 * np.log10(255**2 / max(error.mean(), 1e-9)))


def clip_with_hole(
    width: int, height: int, frames: int, cuts: tuple[int, ...] = ()
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.bool_]]:
    """A panning clip, the same with a white rectangle that is there in the middle, and its mask."""
    truth = draw(max(width, 64), max(height, 64), frames, pan=(2, 1), cuts=cuts).clean
    truth = np.ascontiguousarray(truth[:, :height, :width])
    mask = np.zeros(truth.shape[:3], np.bool_)
    first, last = frames // 6, max(frames // 6 + 1, frames - frames // 6)
    mask[first:last, height // 2 : height * 3 // 4 + 1, width // 3 : width * 2 // 3 + 1] = True
    shown = truth.copy()
    shown[mask] = 255
    return truth, shown, mask


@pytest.mark.parametrize("kind", [np.bool_, np.uint8])
@pytest.mark.parametrize("size", [(320, 180), (321, 181)])
def test_inpaint_recovers_a_pan(size: tuple[int, int], kind: type) -> None:
    """What other frames show comes back; outside the mask every pixel is kept; inputs too."""
    truth, shown, mask = clip_with_hole(*size, 30)
    before = shown.copy()
    shares: list[float] = []
    made = inpaint(shown, mask.astype(kind), progress=shares.append)
    assert hole_psnr(made, truth, mask) > 36
    assert made.dtype == np.uint8
    assert made.flags.c_contiguous
    assert np.array_equal(made[~mask], shown[~mask])
    assert np.array_equal(shown, before)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)


@pytest.mark.parametrize("frames", [1, 2, 5])
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (7, 9), (33, 17), (300, 1)])
def test_inpaint_any_size(size: tuple[int, int], frames: int) -> None:
    """Sizes down to a pixel, and single frames, with any mask, without a warning."""
    _, shown, mask = clip_with_hole(*size, frames)
    noise = np.random.default_rng(1).random(mask.shape) < 0.3
    for one in (mask, noise, np.zeros_like(mask), np.ones_like(mask)):
        made = inpaint(shown, one)
        assert made.shape == shown.shape
        assert made is not shown
        assert np.array_equal(made[~one], shown[~one])


def test_inpaint_a_single_picture() -> None:
    """Without other frames a hole is filled from around it."""
    truth, shown, mask = clip_with_hole(320, 180, 1)
    assert hole_psnr(inpaint(shown, mask), truth, mask) > hole_psnr(shown, truth, mask) + 3


def test_inpaint_masks_that_move() -> None:
    """Each frame may have a mask of its own, and areas may come and go."""
    truth = draw(320, 180, 24, pan=(2, 1)).clean
    mask = np.zeros(truth.shape[:3], np.bool_)
    for frame in range(24):
        mask[frame, 40:60, 20 + 8 * frame : 60 + 8 * frame] = True
    mask[5:9, 120:150, 250:290] = True
    shown = truth.copy()
    shown[mask] = 255
    made = inpaint(shown, mask)
    assert hole_psnr(made, truth, mask) > 36
    assert np.array_equal(made[~mask], shown[~mask])


def test_inpaint_scattered_pixels() -> None:
    """Hundreds of separate areas are no trouble."""
    truth = draw(320, 180, 8, pan=(2, 1)).clean
    mask = np.random.default_rng(3).random(truth.shape[:3]) < 0.05
    shown = truth.copy()
    shown[mask] = 0
    assert hole_psnr(inpaint(shown, mask), truth, mask) > 36


def test_inpaint_does_not_look_across_cuts() -> None:
    """Cuts are found, or given; behind one there is nothing to be copied."""
    truth, shown, mask = clip_with_hole(320, 180, 24, cuts=(12,))
    found, given, denied = (inpaint(shown, mask, cuts=cuts) for cuts in (None, (12,), ()))
    assert np.array_equal(found, given)
    assert hole_psnr(found, truth, mask) > 36
    assert not np.array_equal(found, denied)


def test_inpaint_frames_that_are_hidden_completely() -> None:
    """One repeats the nearest frame of its shot; a shot of which nothing shows becomes black."""
    truth = draw(320, 180, 12, pan=(2, 1), cuts=(8,)).clean
    mask = np.zeros(truth.shape[:3], np.bool_)
    mask[0] = mask[5] = mask[8:] = True
    shown = truth.copy()
    shown[mask] = 255
    made = inpaint(shown, mask, cuts=(8,))
    assert np.array_equal(made[0], truth[1])
    assert np.array_equal(made[5], truth[4])
    assert (made[8:] == 0).all()


def test_inpaint_parts_that_fit_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clip that takes too much memory is worked on in parts, each with less to copy from."""
    truth, shown, mask = clip_with_hole(320, 180, 40)
    monkeypatch.setattr("erasecore.frame_inpainting._WORK_BYTES", 8 << 20)
    made = inpaint(shown, mask)
    assert hole_psnr(made, truth, mask) > 24
    assert np.array_equal(made[~mask], shown[~mask])


def test_inpaint_by_the_diffusion_engine() -> None:
    """An engine that wants to see more around the holes gets it; the rest is kept all the same."""
    _, shown, mask = clip_with_hole(321, 181, 6, cuts=(3,))
    engine = DiffuEraser(DiffusionSettings(), PatternPainter(), Ladders())
    made = inpaint_frames(shown, mask, engine)
    assert np.array_equal(made[~mask], shown[~mask])
    assert not np.array_equal(made[mask], shown[mask])


def test_calls_at_the_same_time(tmp_path: Path, film: DrawnFilm, models: Models) -> None:
    """Threads may share models, and then take turns, or not; each gets what it would get alone."""
    _, shown, mask = clip_with_hole(320, 180, 12)
    alone = inpaint(shown, mask)
    with ThreadPoolExecutor(4) as pool:
        erasing = [
            pool.submit(erase, tmp_path / "film.mp4", tmp_path / f"{n}.mp4", FAST, models=models)
            for n in range(2)
        ]
        filling = [pool.submit(inpaint, shown, mask, models=one) for one in (models, None, None)]
        assert all(len(one.result().events) == 1 for one in erasing)
        assert all(np.array_equal(one.result(), alone) for one in filling)
    assert names(tmp_path) == ["0.mp4", "1.mp4", "film.mp4"]


@pytest.mark.parametrize(
    ("frames", "masks", "error", "words"),
    [
        ([[1]], np.zeros((1, 4, 4), bool), TypeError, "frames: a numpy array is needed, not list"),
        ((2, 4, 4, 3), np.zeros((2, 4, 4)), TypeError, "masks: values are float64, needed is bool"),
        (np.zeros((2, 4, 4, 3)), np.zeros((2, 4, 4), bool), TypeError, "frames: values are float"),
        ((2, 4, 4), np.zeros((2, 4, 4), bool), ValueError, r"frames: shape is \(2, 4, 4\)"),
        ((2, 4, 4, 4), np.zeros((2, 4, 4), bool), ValueError, r"needed is \(T, H, W, 3\)"),
        ((2, 4, 4, 3), np.zeros((4, 4), bool), ValueError, r"masks: shape is \(4, 4\), needed"),
    ],
)
def test_inpaint_refuses_what_does_not_fit(
    frames: object, masks: NDArray[np.generic], error: type[Exception], words: str
) -> None:
    """Wrong types are a TypeError, wrong shapes a ValueError, and the text says what is wanted."""
    if isinstance(frames, tuple):
        frames = np.zeros(frames, np.uint8)
    with pytest.raises(error, match=words):
        inpaint(frames, masks)  # type: ignore[arg-type]


def test_inpaint_refuses_cuts_and_engines_that_are_not_there(models: Models) -> None:
    """A cut is a frame of the clip; an engine has a name."""
    frames, masks = np.zeros((2, 40, 40, 3), np.uint8), np.ones((2, 40, 40), np.bool_)
    with pytest.raises(ValueError, match="cuts: 2 is no frame of a clip of 2 frames"):
        inpaint(frames, masks, cuts=(2,))
    with pytest.raises(ValueError, match="'magic'; known: auto, propagate, diffueraser"):
        inpaint(frames, masks, engine="magic")
    made = inpaint(frames, masks, engine="auto", models=models)
    assert (made == 0).all()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"cuts": 1}, TypeError, "cuts: a sequence of frame numbers .* is needed, not int"),
        ({"cuts": "1"}, TypeError, "cuts: a sequence .* is needed, not str"),
        ({"cuts": (0.5,)}, TypeError, r"cuts: a sequence .* is needed, not \(0.5,\)"),
        ({"engine": 3}, TypeError, "engine: a str is needed, not int"),
        ({"diffusion": {}}, TypeError, "diffusion: DiffusionSettings are needed, not dict"),
        ({"diffusion": DiffusionSettings(steps=0)}, ValueError, "diffusion.steps: is 0, must be"),
    ],
)
def test_inpaint_refuses_options_of_a_wrong_type(
    options: dict[str, Any], error: type[Exception], words: str
) -> None:
    """The text names the argument, and what is wanted."""
    frames, masks = np.zeros((2, 40, 40, 3), np.uint8), np.ones((2, 40, 40), np.bool_)
    with pytest.raises(error, match=words):
        inpaint(frames, masks, **options)


def test_inpaint_takes_an_array_of_cuts() -> None:
    """Numbers of numpy's are numbers."""
    frames, masks = np.zeros((2, 40, 40, 3), np.uint8), np.ones((2, 40, 40), np.bool_)
    assert inpaint(frames, masks, cuts=np.array([1])).shape == frames.shape  # type: ignore[arg-type]


def test_no_frames() -> None:
    """Nothing in, nothing out."""
    frames = np.zeros((0, 40, 40, 3), np.uint8)
    assert inpaint(frames, np.zeros((0, 40, 40), np.bool_)).shape == frames.shape
