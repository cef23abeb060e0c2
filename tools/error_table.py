"""Writes the table of errors into docs/operations.md, from the classes' own first sentences.

usage: python -m tools.error_table
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

from erasecore.errors import attempts, base, film, host, program, weights

PAGE = Path("docs/operations.md")
BEGIN = "<!-- errors: written by tools/error_table.py -->"
END = "<!-- end of errors -->"
SUBJECTS = (film, host, weights, attempts, program)
"""Modules with the classes, in the order of the table."""


def rows() -> Iterator[str]:
    """A row for each error, in the order in which the classes stand."""
    for module in SUBJECTS:
        for name, kind in vars(module).items():
            if not inspect.isclass(kind) or not issubclass(kind, base.EraseError):
                continue
            if kind.__module__ != module.__name__:  # a base class, which has no row of its own
                continue
            sentence = " ".join((inspect.getdoc(kind) or "").partition("\n\n")[0].split())
            yield f"| `{name}` | {sentence.replace('``', '`')} | `{kind.remedy}` |"


def rewrite(page: Path, begin: str, end: str, content: str) -> None:
    """Put ``content`` between two marks of a page, in place of what was there.

    Raises:
        ValueError: the page lacks one of the marks.
    """
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, also_found, after = rest.partition(end)
    if not (found and also_found):
        raise ValueError(f"{page} lacks {begin} or {end}")
    page.write_text(f"{before}{begin}\n\n{content}\n\n{end}{after}", encoding="utf-8")


def main() -> int:
    """0; the page is as it should be."""
    head = ["| error | what it says | remedy |", "|---|---|---|"]
    rewrite(PAGE, BEGIN, END, "\n".join([*head, *rows()]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
