"""Languages of subtitle files, guessed from the script of their text."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.jobs.subtitle_language import language_of, language_of_file


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("1\n00:00:01,000 --> 00:00:02,000\nHello there\n", "und"),
        ("1\n00:00:01,000 --> 00:00:02,000\n你好,世界\n", "zh"),
        ("1\n00:00:01,000 --> 00:00:02,000\n東京へ行きたいです\n", "ja"),
        ("東京大学\n東京都庁\nに", "ja"),  # few kana are enough
        ("NASA 宣布了新的计划", "zh"),
        ("He said 你好 to all of them", "und"),  # a word or two
        ("Привет", "und"),  # Russian, Ukrainian, Bulgarian...
        ("안녕하세요", "ko"),
        ("1\n00:00:01,000 --> 00:00:02,000\n[unreadable]\n", "und"),
        ("", "und"),
    ],
)
def test_language(text: str, language: str) -> None:
    """A script that one language has tells the language; others do not."""
    assert language_of(text) == language


def test_language_of_no_file(tmp_path: Path) -> None:
    """A film without subtitles, or a file that cannot be read, has none."""
    assert language_of_file(tmp_path / "none") == "und"
