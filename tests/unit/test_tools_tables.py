"""The tables in the documentation that are made from the sources."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.error_table import rows as error_rows
from tools.house_map import HOMELESS, SUBJECTS, rewrite, sentence_of, subjects

REPOSITORY = Path(__file__).parents[2]


def test_every_module_has_a_subject_and_a_sentence() -> None:
    """No module is left out of the map, none is listed that is gone, and each says what it is."""
    found = dict(subjects(REPOSITORY))
    assert found.pop(HOMELESS) == []
    listed = [name for _, names in SUBJECTS for name in names.split()]
    assert len(listed) == sum(len(found[heading]) for heading, _ in SUBJECTS)
    assert all(sentence_of(path) for modules in found.values() for path in modules)


def test_a_new_module_is_named(tmp_path: Path) -> None:
    """A module that nobody has sorted comes last, by itself; packages are subjects of their own."""
    for name in ("daemon/cli.py", "daemon/novel.py", "erasecore/ink/strokes.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('"""What it is.\n\nMore."""\n')
    (tmp_path / "erasecore/ink/__init__.py").write_text('"""Ink."""\n')
    found = {heading: [path.name for path in modules] for heading, modules in subjects(tmp_path)}
    assert found[HOMELESS] == ["novel.py"]
    assert found["erasecore/ink: Ink"] == ["strokes.py"]
    assert sentence_of(tmp_path / "daemon/cli.py") == "What it is."


def test_only_what_stands_between_the_marks_is_written_anew(tmp_path: Path) -> None:
    """The rest of a page stays; a page without the marks is not touched."""
    page = tmp_path / "page.md"
    page.write_text("before\n<b>\nold\n<e>\nafter\n")
    rewrite(page, "<b>", "<e>", "new")
    assert page.read_text() == "before\n<b>\n\nnew\n\n<e>\nafter\n"
    with pytest.raises(ValueError, match="lacks"):
        rewrite(page, "<c>", "<e>", "newer")
    assert "newer" not in page.read_text()


def test_every_error_is_in_the_manual() -> None:
    """docs/operations.md has a row for each error, as the classes say it now."""
    manual = (REPOSITORY / "docs/operations.md").read_text(encoding="utf-8")
    assert all(row in manual for row in error_rows())
