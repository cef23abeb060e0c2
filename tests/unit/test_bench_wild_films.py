"""The judge's films: captions, draws, clean cuts, labels, rows, the table; no product is run."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from random import Random

import cv2
import numpy as np
import pytest

from bench.__main__ import main as bench_main
from bench.boxes import Box
from bench.fonts import DEMO_FONT, write_demo_font
from bench.media import BenchError, Bgr, read_pictures, to_i420
from bench.wild import part
from bench.wild.barred import LAYOUTS, barred_kind
from bench.wild.build import WildCase, build_case, encode, load_case
from bench.wild.camera import MOVES, ROOM, camera_path, scene_track
from bench.wild.captions import sentences
from bench.wild.cuts import clean_cut
from bench.wild.draws import drawn_kind
from bench.wild.halves import Half
from bench.wild.judge import judge
from bench.wild.kinds import KINDS, Coding, Kind, drawn_on
from bench.wild.objects import Verdict
from bench.wild.real import (
    LABELS,
    Label,
    all_labels,
    examined,
    is_covered,
    load_labels,
)
from bench.wild.rows import ObjectRow, WildRow, load_row, load_rows, save_row
from bench.wild.scene_text import PLACES, compose, draw_scene_text
from bench.wild.scenes import Footage, Scene
from bench.wild.script import Canvas, Line, Look, ass_script, captions, lanes
from bench.wild.table import cells, groups, has_failed, markdown
from bench.wild.tasks import Task, bar_tasks, clean_tasks, draw_tasks, kind_tasks

WIDTH, HEIGHT, FRAMES = 160, 96, 30
CANVAS = Canvas(640, 360, 4.0)


def field(frames: int = FRAMES, step: float = 1.0) -> list[Bgr]:
    """A film of soft blobs that drift to the left by ``step`` px a frame."""
    noise = np.random.default_rng(5).integers(0, 256, (HEIGHT, WIDTH * 2, 3), np.uint8)
    wide = cv2.GaussianBlur(noise, (0, 0), 3)
    wide = cv2.normalize(wide, wide, 0, 255, cv2.NORM_MINMAX)
    shown = []
    for frame in range(frames):
        move = np.array([[1, 0, -step * frame], [0, 1, 0]], np.float32)
        shown.append(cv2.warpAffine(wide, move, (WIDTH, HEIGHT)).astype(np.uint8))
    return shown


def write_clip(folder: Path, name: str = "film") -> None:
    """Have that film on the disk."""
    pictures = np.stack([to_i420(picture) for picture in field()])
    encode(folder / f"{name}.mp4", Footage(pictures, Fraction(15)), Coding(options="-crf 10"))


def two_captions(canvas: Canvas) -> list[Line]:
    """One caption above and one below, of which the second begins later."""
    upper = Line(0.2, 1.2, rf"{{\an8\fn{DEMO_FONT}}}First", "upper")
    return [upper, Line(0.8, 1.8, rf"{{\fn{DEMO_FONT}}}Second", "lower")]


def pair() -> Kind:
    """A kind of two captions that overlap in time, over that film."""
    scene = Scene(("film",), WIDTH, HEIGHT, FRAMES)
    return Kind("pair", scene, two_captions, Look(size=0.2, outline=1.5))


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> WildCase:
    """A case of that kind, drawn with the demo's own font."""
    folder = tmp_path_factory.mktemp("wild")
    write_clip(folder)
    fonts = write_demo_font(folder / "fonts")
    return build_case("pair", pair(), folder / "case", folder, fonts)


def test_lanes_hold_captions_that_never_meet() -> None:
    """Captions that share time lie in two lanes; the lines of one object are one caption."""
    lines = [
        Line(0, 1, "a", "a"),
        Line(0.5, 1.5, "a again", "a"),
        Line(1, 2, "b", "b"),
        Line(1.5, 3, "c", "c"),
    ]
    found = captions(lines)
    assert [(item.name, item.start, item.stop) for item in found] == [
        ("a", 0, 1.5),
        ("b", 1, 2),
        ("c", 1.5, 3),
    ]
    assert [[item.name for item in lane] for lane in lanes(lines)] == [["a", "c"], ["b"]]


def test_sentences_end_before_the_film() -> None:
    """The last caption ends 0.2 s before the end, and none is shorter than half a second."""
    lines = sentences(CANVAS)
    assert lines[-1].stop == pytest.approx(3.8)
    assert min(line.stop - line.start for line in lines) >= 0.5


def test_lines_outside_of_the_film_are_not_written() -> None:
    """A line that ends before the first frame is left out, times below 0 become 0."""
    script = ass_script(CANVAS, Look(), [Line(-2, -1, "gone", "a"), Line(-1, 1, "here", "b")])
    assert "gone" not in script
    assert "Dialogue: 0,0:00:00.00,0:00:01.00,plain,,0,0,0,,here" in script


@pytest.mark.parametrize("name", sorted(KINDS))
def test_every_kind_writes_captions(name: str) -> None:
    """Each kind has a caption within a film of four seconds, on scenes of both halves."""
    variants = drawn_on(KINDS[name])
    assert {kind.scene.half for _, kind in variants} == set(Half)
    assert len({kind.scene for _, kind in variants}) == 3
    lines = KINDS[name].write(CANVAS)
    assert any(0 <= line.start < line.stop and line.start < CANVAS.seconds for line in lines)


@pytest.mark.parametrize("tasks", [draw_tasks, bar_tasks])
def test_a_seed_is_always_the_same_film(tasks: Callable[[int, int], list[Task]]) -> None:
    """Draws and cuts depend on their seed alone, and differ between seeds."""
    first, second = tasks(7, 12), tasks(7, 12)
    assert [task.made_from for task in first] == [task.made_from for task in second]
    assert len({task.made_from for task in first}) == 12
    assert " at 0x" not in "".join(task.made_from for task in first)  # the same in each process
    assert drawn_kind(8).write(CANVAS) == drawn_kind(8).write(CANVAS)
    cuts = [task.made_from for task in clean_tasks(7, 12, with_text=True)]
    assert cuts == [task.made_from for task in clean_tasks(7, 12, with_text=True)]
    assert len(set(cuts)) == 12


def test_bars_of_every_layout_are_drawn() -> None:
    """The draws have every layout, and FFmpeg filters for each that has bars."""
    drawn = [barred_kind(seed) for seed in range(120)]
    assert {kind.name for kind in drawn} == {f"bars_{layout}" for layout in LAYOUTS}
    for kind in drawn:
        framed = any(word in kind.before for word in ("pad=", "drawbox=", "overlay="))
        assert framed == (kind.name != "bars_none")


def test_cuts_with_text_never_stand_still() -> None:
    """Text of the scene always moves on the screen: a still one would be a caption."""
    drawn = [clean_cut(seed, with_text=True) for seed in range(40)]
    assert "still" not in {cut.move for cut in drawn}
    assert {cut.place for cut in drawn} == set(PLACES)
    assert {clean_cut(seed, with_text=False).place for seed in range(9)} == {""}


def test_tasks_can_be_chosen_by_clip() -> None:
    """Only scenes of the clips asked for are run."""
    tasks = kind_tasks(("plain", "logo"), ("pp_sample2",), 3)
    assert {task.name for task in tasks} >= {"plain-0", "logo-0"}
    assert all("pp_sample2" in repr(task.recipe) for task in tasks)


def test_a_case_knows_its_objects(case: WildCase) -> None:
    """Objects that overlap in time have their own frames and pixels, and come back from disk."""
    spans = {item.name: (item.start, item.stop) for item in case.objects}
    assert spans == {"upper": (3, 18), "lower": (12, 27)}
    masks = case.lane_masks()
    upper, lower = (masks.of(item, 14) for item in case.objects)
    assert upper.any() and lower.any() and not (upper & lower).any()
    assert ((upper | lower) == masks.every(14)).all()
    assert not masks.every(0).any()
    assert load_case(case.folder) == case


def test_a_case_is_built_once(case: WildCase) -> None:
    """The same recipe is not built again: not even its clip is looked at; another one is."""
    nowhere = case.folder / "nowhere"
    assert build_case("pair", pair(), case.folder, nowhere) == case
    with pytest.raises(BenchError, match="no such clip"):
        build_case("pair", replace(pair(), look=Look(size=0.3)), case.folder, nowhere)
    assert build_case("pair", pair(), case.folder, nowhere) == case


def test_the_clean_film_has_everything_erased(case: WildCase) -> None:
    """The clean film is perfect, the source has both captions left and no foreign letters."""
    best, worst = judge(case, case.clean), judge(case, case.hardsub)
    assert {item.verdict for item in best.objects()} == {Verdict.FOUND}
    assert {item.verdict for item in worst.objects()} == {Verdict.LEFT}
    assert best.ours.psnr_db() == 99 and worst.ours.psnr_db() == worst.source.psnr_db() < 25
    assert best.telea.psnr_db() > 15
    assert worst.letters == best.letters == []


def test_a_frame_too_few_is_no_result(case: WildCase, tmp_path: Path) -> None:
    """A result that lacks a frame cannot be judged."""
    short = np.stack(list(read_pictures(case.clean))[:-1])
    encode(tmp_path / "short.mp4", Footage(short, Fraction(15)), Coding())
    with pytest.raises(BenchError, match="not 30 frames"):
        judge(case, tmp_path / "short.mp4")


def test_a_track_follows_the_scene() -> None:
    """The transform of the n-th frame is the drift so far; a cut ends the track."""
    pictures = field()
    track = scene_track(pictures, (40, 20, 120, 70))
    assert len(track) == FRAMES
    assert track[20][0, 2] == pytest.approx(-20, abs=1.0)
    noise = np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    cut = scene_track([*pictures[:10], noise, *pictures[10:]], (40, 20, 120, 70))
    assert len(cut) == 10


def test_scene_text_moves_with_its_track() -> None:
    """A sign on a scene that drifts to the left drifts with it."""
    pictures = [np.full((HEIGHT, WIDTH, 3), 90, np.uint8)] * 3
    text = draw_scene_text("scoreboard", (WIDTH, HEIGHT), Random(1))
    track = [np.array([[1, 0, -5 * k], [0, 1, 0]], np.float32) for k in range(3)]
    shown = compose(pictures, text, track)
    columns = [np.nonzero((picture != 90).any((0, 2)))[0].min() for picture in shown]
    assert np.diff(columns) == pytest.approx(-5, abs=1)


@pytest.mark.parametrize("move", MOVES)
def test_no_camera_move_shows_the_border(move: str) -> None:
    """Each corner of the moved picture lies outside of the frame, to a pixel."""
    size = (640, 360)
    for seed in range(5):
        for step in camera_path(move, 30, size, Random(seed)):
            inverse = cv2.invertAffineTransform(step)
            corners = np.array([[0, 0], [640, 0], [640, 360], [0, 360]], np.float32)
            seen = corners @ inverse[:, :2].T + inverse[:, 2]
            assert seen.min() >= -1.0
            assert (seen <= np.array(size) + 1.0).all()
    assert ROOM > 1


def test_the_labels_in_the_repository_are_sound() -> None:
    """Five films are labelled twice and settled; each label lies in its film."""
    found = all_labels()
    assert len(found) == 5
    assert sum(len(labels.captions) for labels in found) == 45
    assert all(labels.settled and labels.labellers == 2 for labels in found)


def test_a_label_outside_of_its_film_is_an_error(tmp_path: Path) -> None:
    """A label after the last frame is a slip of the hand."""
    path = tmp_path / "film.yaml"
    text = (LABELS / "lingo.yaml").read_text("utf-8").replace("stop: 240", "stop: 241")
    path.write_text(text, "utf-8")
    with pytest.raises(BenchError, match="outside of the film"):
        load_labels(path)


def test_labels_are_examined_to_their_ends() -> None:
    """Short labels in each frame, long ones in every third and in the last."""
    label = Label("word", "word", 3, 8, (0, 0, 8, 8))
    assert examined(label) == {3, 4, 5, 6, 7}
    assert examined(replace(label, stop=24)) == {*range(3, 24, 3), 23}


@pytest.mark.parametrize(
    ("found", "covered"),
    [
        ([], False),
        ([(10, 10, 50, 20)], True),  # the line itself
        ([(30, 12, 40, 18)], True),  # a word of it
        ([(48, 18, 90, 40)], False),  # a neighbour that touches it
    ],
)
def test_a_line_is_seen_where_its_box_is(found: list[Box], covered: bool) -> None:
    """A box must share 30 % of the smaller of the two."""
    assert is_covered((10, 10, 50, 20), found) is covered


def row(name: str, half: Half, *verdicts: Verdict, told: bool = False) -> WildRow:
    """A row of the kind ``logo_sub`` with objects of these verdicts."""
    objects = tuple(
        ObjectRow(f"{k}", 20, float(state is Verdict.FOUND), state, told=told)
        for k, state in enumerate(verdicts)
    )
    made = WildRow("kinds", name, "logo_sub", half, "recipe", told=told, objects=objects)
    return replace(made, source_db=10.0, ours_db=30.0, telea_db=28.0, gain_db=2.0)


def test_rows_come_back_from_the_disk(tmp_path: Path) -> None:
    """What was saved is loaded, and a row that was never measured is none."""
    made = row("logo_sub-1", Half.HELD, Verdict.FOUND, Verdict.HALF)
    save_row(tmp_path, made)
    assert load_row(tmp_path, "kinds", "logo_sub-1") == made
    assert load_rows(tmp_path) == [made]
    assert load_row(tmp_path, "draws", "logo_sub-1") is None


def test_the_table_counts_each_half() -> None:
    """Found objects are told for both halves, failures by object, false words by film."""
    rows = [
        row("a", Half.TUNED, Verdict.FOUND, Verdict.FOUND),
        row("b", Half.HELD, Verdict.FOUND, Verdict.HALF, told=True),
        row("c", Half.HELD, Verdict.LEFT, Verdict.LEFT),
        row("e", Half.HELD, Verdict.FOUND, told=True),
        replace(row("d", Half.HELD), skipped="no font"),
    ]
    whole, kind = groups(rows)
    words = cells(kind)
    assert words[:8] == ("kinds", "logo_sub", "4", "7", "2/2", "2/5", "1/7", "2/7")
    assert words[8:12] == ("10.0", "30.0", "28.0", "2.0")
    assert words[-4:] == ("1/3", "1/2", "", "erases in part; leaves; finding 13")
    assert cells(whole)[1] == "all"
    assert [has_failed(each) for each in rows[:4]] == [False, True, True, False]


def test_a_crash_and_foreign_letters_are_told() -> None:
    """The last column names the worst first."""
    crashed = replace(row("a", Half.HELD), crash="IndexError", letters_frames=3)
    _, kind = groups([crashed])
    assert cells(kind)[-2:] == ("1", "crashes; paints other captions' letters; finding 13")


def test_the_page_lists_what_fails_and_drops_empty_columns() -> None:
    """Each fault names its kinds; a set that measures no dB has no such column."""
    clean = WildRow("clean", "1", "pan", Half.HELD, "recipe", untouched=True)
    page = markdown([row("a", Half.HELD, Verdict.LEFT), clean], "Heading.")
    assert page.startswith("Heading.\n\nRight today: 1 of 2 kinds.")
    assert "\n- leaves (kinds: logo_sub)\n" in page
    first, second = page.split("Set *clean*:")
    assert "| source dB |" in first and "touched" not in first
    assert "| kind | films | touched | false words | crashes | today |\n| :--- |" in second
    assert "| pan | 1 | 0/1 | 0/1 |  | right |" in second
    assert "nothing that these films show" in markdown([clean], "")


def test_the_page_is_written_from_stored_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One command puts the table of earlier runs into the page; without rows it is left alone."""
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "docs" / "benchmarks.md"
    page.parent.mkdir()
    empty = f"<!-- {part.MARK}: written by make bench -->\nold\n<!-- end of {part.MARK} -->\n"
    page.write_text(empty, "utf-8")
    words = ["--parts", "wild", "--table-only", "--data", str(tmp_path)]
    assert bench_main(words) == 2
    assert page.read_text("utf-8") == empty
    save_row(part.FOLDER / "rows", row("a", Half.HELD, Verdict.LEFT))
    assert bench_main(words) == 0
    assert "- leaves (kinds: logo_sub)" in page.read_text("utf-8")


def plan(*words: str) -> part.WildPlan:
    """Return the plan of these options."""
    parser = argparse.ArgumentParser()
    part.add_options(parser)
    return part.wild_plan(parser.parse_args(words))


def test_options_choose_what_is_run() -> None:
    """All sets by default, 200 draws and a new seed; names are checked."""
    default = plan()
    assert (default.draws, default.clean, default.scene) == (200, 200, 40)
    assert len({plan().seed for _ in range(4)}) > 1
    chosen = part.tasks(plan("--wild", "kinds,draws", "--kinds", "plain", "--draws", "2"))
    assert [task.kind for task in chosen[:3]] == ["plain"] * 3
    assert len(chosen) == 5
    with pytest.raises(BenchError, match="plian"):
        plan("--kinds", "plian")
