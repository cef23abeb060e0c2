"""The check of docstrings' first words."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.check_docstrings import complaints_about, main


@pytest.mark.parametrize("first", ["What it is.", "Whether, or not.", "Whoever.", "How.", "Where:"])
def test_indirect_questions_are_refused(first: str) -> None:
    """Modules, classes, methods and nested functions are all read; name and line are told."""
    quoted = f'"""{first}"""'
    source = f"{quoted}\n\n\nclass A:\n    {quoted}\n\n    def b(self):\n        {quoted}\n"
    told = list(complaints_about(Path("m.py"), source))
    assert [one.partition(" begins")[0] for one in told] == [
        "m.py:1: the docstring of the module",
        "m.py:5: the docstring of A",
        "m.py:8: the docstring of b",
    ]


def test_the_same_words_elsewhere_are_allowed() -> None:
    """Only first words count, and only whole ones; a function may have no docstring."""
    source = '"""Say what it is."""\n\ndef a():\n    """Wherever: no."""\n\ndef b(): ...\n'
    assert list(complaints_about(Path("m.py"), source)) == []


def test_exit_status_tells(tmp_path: Path) -> None:
    """The check fails when any module of any folder fails."""
    (tmp_path / "good.py").write_text('"""Good."""\n')
    assert main([str(tmp_path)]) == 0
    (tmp_path / "bad.py").write_text('"""How bad."""\n')
    assert main([str(tmp_path)]) == 1
