"""Writes the table of modules into docs/architecture.md, from the modules' own first sentences.

usage: python tools/house_map.py
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

PAGE = Path("docs/architecture.md")
BEGIN = "<!-- modules: written by tools/house_map.py -->"
END = "<!-- end of modules -->"
ROOMS = ("daemon", "erasecore")


def rows(room: Path) -> Iterator[str]:
    """A table row for each module below ``room`` that has a docstring."""
    for path in sorted(room.rglob("*.py"), key=lambda path: (len(path.parts), path)):
        sentence = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        if sentence and path.name != "__init__.py":
            first = " ".join(sentence.partition("\n\n")[0].replace("``", "`").split())
            yield f"| `{path.relative_to(room.parent)}` | {first} |"


def table(root: Path) -> str:
    """The whole table, all rooms below one another."""
    lines = ["| module | what it is |", "| --- | --- |"]
    return "\n".join([*lines, *(row for room in ROOMS for row in rows(root / room))])


def main() -> int:
    """0; the page is as it should be."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n\n{table(Path())}\n\n{END}{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
