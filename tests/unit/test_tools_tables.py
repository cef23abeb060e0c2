"""The tables in the documentation that are made from the sources."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.error_table import rewrite
from tools.error_table import rows as error_rows

REPOSITORY = Path(__file__).parents[2]


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
