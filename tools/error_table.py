"""Writes the table of errors into docs/operations.md, from the classes' own first sentences.

usage: python -m tools.error_table
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

from erasecore import errors
from tools.house_map import rewrite

PAGE = Path("docs/operations.md")
BEGIN = "<!-- errors: written by tools/error_table.py -->"
END = "<!-- end of errors -->"
KINDS = (errors.EraseError, errors.InputError, errors.HostError)
"""What stands for several errors."""


def rows() -> Iterator[str]:
    """A row for each error, in the order in which the classes stand."""
    for name, kind in vars(errors).items():
        if inspect.isclass(kind) and issubclass(kind, errors.EraseError) and kind not in KINDS:
            sentence = " ".join((inspect.getdoc(kind) or "").partition("\n\n")[0].split())
            yield f"| `{name}` | {sentence.replace('``', '`')} | `{kind.remedy}` |"


def main() -> int:
    """0; the page is as it should be."""
    head = ["| error | what it says | remedy |", "|---|---|---|"]
    rewrite(PAGE, BEGIN, END, "\n".join([*head, *rows()]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
