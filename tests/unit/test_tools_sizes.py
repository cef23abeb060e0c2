"""The check of module, class and function sizes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.check_sizes import main, oversized


def complaints(source: str) -> list[str]:
    """The complaints about a module ``m.py``."""
    return list(oversized(Path("m.py"), source))


def function(lines: int) -> str:
    """The source of a function that is so many lines long."""
    return "def long() -> None:\n" + "    pass\n" * (lines - 1)


def long_class(lines: int, *, decorator: str = "") -> str:
    """The source of a class that is so many lines long, its decorator not counted."""
    return f"{decorator}class Long:\n" + "    x = 1\n" * (lines - 1)


def wide_class(attributes: int, *, decorator: str = "") -> str:
    """The source of a class that assigns so many attributes, each of them twice."""
    lines = [f"        self.a{number} = 0\n" for number in range(attributes)]
    return f"{decorator}class Wide:\n    def __init__(self):\n{''.join(lines * 2)}"


def test_limits_are_exact() -> None:
    """Forty lines are allowed and forty-one are not; the name and the line are told."""
    assert complaints(function(40)) == []
    (complaint,) = complaints("\n" + function(41))
    assert complaint == "m.py:2: long has 41 lines, at most 40 are allowed"


def test_modules_have_at_most_five_hundred_lines() -> None:
    """A module of 500 lines is allowed, one of 501 is not."""
    assert complaints("x = 1\n" * 500) == []
    assert complaints("x = 1\n" * 501) == ["m.py:1: module has 501 lines, at most 500 are allowed"]


@pytest.mark.parametrize("decorator", ["", "@dataclass\n"])
def test_classes_have_at_most_two_hundred_lines(decorator: str) -> None:
    """A class of 200 lines is allowed, one of 201 is not, whatever its kind."""
    assert complaints(long_class(200, decorator=decorator)) == []
    (complaint,) = complaints(long_class(201, decorator=decorator))
    assert complaint.endswith("class Long has 201 lines, at most 200 are allowed")


def test_classes_have_at_most_twelve_attributes() -> None:
    """Twelve names are allowed and thirteen are not; assigning one twice counts once."""
    assert complaints(wide_class(12)) == []
    assert complaints(wide_class(13)) == [
        "m.py:1: class Wide has 13 attributes, at most 12 are allowed"
    ]


@pytest.mark.parametrize("decorator", ["@dataclass\n", "@dataclasses.dataclass(frozen=True)\n"])
def test_dataclasses_may_have_many_fields(decorator: str) -> None:
    """Fields are settings, not state: no dataclass fails for their number."""
    assert complaints(wide_class(18, decorator=decorator)) == []
    assert len(complaints(wide_class(18, decorator="@final\n"))) == 1


def test_every_kind_of_assignment_counts() -> None:
    """Unpacked, annotated, augmented, by a loop or a context manager: each makes an attribute."""
    source = (
        "class Odd:\n"
        "    def fill(self, other):\n"
        "        self.a, (self.b, *self.c) = self.d = self.e\n"
        "        self.f: int = 1\n"
        "        self.g += 1\n"
        "        for self.h in other:\n"
        "            with other as self.i:\n"
        "                other.z = self.y\n"
        "        def later():\n"
        "            self.j = self.k = 1\n"
        "        return later\n"
        "    class Inner:\n"
        "        def fill(self):\n"
        "            self.w = self.x = 1\n"
    )
    assert complaints(source) == []  # a, b, c, d, f, g, h, i, j, k: ten
    more = "    def more(self):\n        self.l = self.m = self.n = 1\n"
    (complaint,) = complaints(source + more)
    assert "has 13 attributes" in complaint


def test_exit_status_tells(tmp_path: Path) -> None:
    """The check fails when any module of any folder fails."""
    (tmp_path / "good.py").write_text(function(3))
    assert main([str(tmp_path)]) == 0
    (tmp_path / "bad.py").write_text(function(60))
    assert main([str(tmp_path)]) == 1
