"""The check of module and function lengths."""

from __future__ import annotations

from pathlib import Path

from tools.check_sizes import main, oversized


def function(lines: int) -> str:
    """The source of a function that is so many lines long."""
    return "def long() -> None:\n" + "    pass\n" * (lines - 1)


def test_limits_are_exact() -> None:
    """Forty lines are allowed and forty-one are not; the name and the line are told."""
    assert list(oversized(Path("m.py"), function(40))) == []
    (complaint,) = oversized(Path("m.py"), "\n" + function(41))
    assert complaint.startswith("m.py:2: long has 41 lines")


def test_modules_stay_under_four_hundred_lines() -> None:
    """A module of 399 lines is allowed, one of 400 is not."""
    assert list(oversized(Path("m.py"), "x = 1\n" * 399)) == []
    assert len(list(oversized(Path("m.py"), "x = 1\n" * 400))) == 1


def test_exit_status_tells(tmp_path: Path) -> None:
    """The check fails when any module of any folder fails."""
    (tmp_path / "good.py").write_text(function(3))
    assert main([str(tmp_path)]) == 0
    (tmp_path / "bad.py").write_text(function(60))
    assert main([str(tmp_path)]) == 1
