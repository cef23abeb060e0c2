"""Rows, bars and the page they are written into."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench.bars import bars
from bench.measure import Cost, measure
from bench.media import BenchError
from bench.quality import OURS, CleanRow, QualityRow, Timing
from bench.report import RESULTS_MARK, comparison, markdown, write_into
from bench.results import Results, load_results, merged, save_results
from bench.score import Score
from bench.speed import MemoryRow, SpeedRow

TIMING = Timing(Cost(2.0, 3.0, 100.0), Cost(1.0, 1.5, 50.0), 2.0, 2.0)


def row(case: str, method: str, psnr_mask: float, residual: float = 0.0) -> QualityRow:
    """A row that is ordinary but for what is given."""
    score = Score(psnr_mask, 30.0, 0.9, 1.0, 0.8, 48.0, residual=residual, scene_dmg=0.0)
    return QualityRow(case, method, score, TIMING)


def test_rows_come_back_from_the_disk(tmp_path: Path) -> None:
    """Results are equal after they were saved, whatever parts they hold."""
    results = Results("machine", "2024-01-01", (row("a", OURS, 30.0),), (CleanRow("c", True),))
    save_results(tmp_path / "deep" / "results.json", results)
    assert load_results(tmp_path / "deep" / "results.json") == results
    assert load_results(tmp_path / "none.json") == Results()


def test_a_new_run_replaces_only_its_own_rows() -> None:
    """Rows of other cases and methods outlive a run that did not touch them."""
    old = Results(quality=(row("a", OURS, 30.0), row("a", "oracle", 25.0)))
    new = Results(made="today", quality=(row("a", OURS, 31.0), row("b", OURS, 32.0)))
    both = merged(old, new)
    found = [(r.case, r.method, r.score.psnr_mask) for r in both.quality]
    assert found == [("a", "oracle", 25.0), ("a", OURS, 31.0), ("b", OURS, 32.0)]
    assert both.made == "today"


def test_bars_name_the_worst_case() -> None:
    """A bar that is missed says by how much and where."""
    results = Results(
        quality=(
            row("a", "oracle", 25.0),
            row("b", "oracle", 25.0),
            row("a", OURS, 35.0),
            row("b", OURS, 21.5, residual=0.1),
        ),
        clean=(CleanRow("c", True),),
    )
    worst, mean, flicker, residual, damage, clean = bars(results)
    assert (worst.found, worst.reached) == ("-3.50 dB (b)", False)
    assert (mean.found, mean.reached) == ("+3.25 dB", False)
    assert flicker.reached
    assert (residual.found, residual.reached) == ("0.10 (b)", False)
    assert damage.reached
    assert clean.reached


def test_bars_on_flicker_and_on_what_lies_outside() -> None:
    """More flicker than oracle's in one case is too much, and so is a loss outside the boxes."""
    calm, restless = row("a", OURS, 35.0), row("b", OURS, 35.0)
    restless = replace(restless, score=replace(restless.score, flicker=1.1), plain_out_db=48.5)
    rows = (row("a", "oracle", 25.0), row("b", "oracle", 25.0), calm, restless)
    found = {bar.demand: bar for bar in bars(Results(quality=rows))}
    flicker = found["in no case more flicker than oracle"]
    assert (flicker.found, flicker.reached) == ("b", False)
    outside = found["outside the boxes at most 0.3 dB below a plain transcode"]
    assert (outside.found, outside.reached) == ("0.50 (b)", False)


def test_bars_on_time_and_memory() -> None:
    """Time is held against a transcode's; memory against a limit and against a shorter film's."""
    speed = (SpeedRow("720p", 1000, 40.0, TIMING),)
    memory = (MemoryRow("short", 60.0, 200.0, 1000.0), MemoryRow("long", 600.0, 2000.0, 1060.0))
    cpu, most, growth = bars(Results(speed=speed, memory=memory))
    assert (cpu.found, cpu.reached) == ("2.00 (720p)", True)
    assert (most.found, most.reached) == ("1060.00 (long)", True)
    assert (growth.found, growth.reached) == ("+6.0% from 60 to 600 s", False)
    assert len(bars(Results(memory=memory[:1]))) == 1


def test_nothing_measured_is_no_bar() -> None:
    """Without rows of the product there is nothing to hold against it."""
    assert bars(Results(quality=(row("a", "oracle", 25.0),))) == []


def test_page_keeps_what_stands_around_the_results(tmp_path: Path) -> None:
    """Only what stands between the two marks is written anew, however often."""
    page = tmp_path / "page.md"
    begin, end = "<!-- results: written by make bench -->", "<!-- end of results -->"
    page.write_text(f"# Title\n\n{begin}\n\nold\n{end}\n\ntail\n")
    results = Results("machine", "today", (row("a", OURS, 30.0),))
    for _ in range(2):
        write_into(page, RESULTS_MARK, markdown(results))
    text = page.read_text()
    assert text.startswith(f"# Title\n\n{begin}\n\nLast run: today, on machine.\n")
    assert text.endswith(f"{end}\n\ntail\n")
    assert "old" not in text
    assert text.count("| a | ours | 30.00 | 30.00 |") == 1


def test_cost_counts_grandchildren(tmp_path: Path) -> None:
    """Time and memory of a command's own children belong to it."""
    grandchild = (
        "import time; held = bytearray(80_000_000); start = time.process_time()\n"
        "while time.process_time() - start < 0.5: pass"
    )
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grandchild!r}])"
    cost = measure([sys.executable, "-c", child], tmp_path / "log")
    assert cost.cpu_seconds >= 0.5
    assert cost.peak_mib > 76


def test_a_command_that_fails_shows_its_last_words(tmp_path: Path) -> None:
    """The error of a failed command carries what it has printed."""
    with pytest.raises(BenchError, match="out of cheese"):
        measure([sys.executable, "-c", "raise SystemExit('out of cheese')"], tmp_path / "log")


def test_scores_without_text_still_make_a_row() -> None:
    """A score for which no text was looked for is shown as free of it."""
    plain = row("a", OURS, 30.0)
    unread = replace(plain, score=replace(plain.score, residual=None, scene_dmg=None))
    assert "| a | ours | 30.00 |" in markdown(Results(quality=(unread,)))


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    """Where the marks are missing the page stays as it is, and the error says what to put back."""
    page = tmp_path / "page.md"
    page.write_text("# Title\n")
    with pytest.raises(BenchError, match="end of results"):
        write_into(page, RESULTS_MARK, "text")
    assert page.read_text() == "# Title\n"


def test_comparison_has_a_line_for_each_method() -> None:
    """The short table shows each method's means over the cases that all have, ours last."""
    ours = (row("a", OURS, 30.0), row("b", OURS, 40.0, residual=0.1), row("c", OURS, 99.0))
    oracle = (row("a", "oracle", 25.0), row("b", "oracle", 27.0))
    lines = comparison(Results(quality=(*ours, *oracle))).splitlines()
    assert lines[2:] == [
        "| oracle | 26.00 dB | 0.00 | 0.00 | 2.0 x |",
        "| ours | 35.00 dB | 0.05 | 0.00 | 2.0 x |",
    ]
