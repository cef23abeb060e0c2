"""Counts unnamed numeric literals in function bodies, for each module and package.

A number in the middle of a function has no name, unit or source. This only counts; it forbids
nothing.

usage: python tools/count_literals.py FOLDER [FOLDER ...]
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

EXEMPT = frozenset({-1, 0, 1, 2})
"""Numbers that need no name, as integers or floats."""


def unnamed_literals(source: str) -> Iterator[tuple[int, float]]:
    """Yield line and value of each number in a function body that is not exempt.

    Defaults of parameters and fields are not counted: they have a name. Signs are ignored.

    Args:
        source: text of a Python module.
    """
    return _in_node(ast.parse(source), in_function=False)


def _needs_name(value: object) -> TypeGuard[float]:
    """Return True for a number that is not exempt."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and value not in EXEMPT


def _in_node(node: ast.AST, *, in_function: bool) -> Iterator[tuple[int, float]]:
    """Yield the numbers at or below ``node``."""
    if in_function and isinstance(node, ast.Constant) and _needs_name(node.value):
        yield node.lineno, node.value
    body = node.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else []
    for child in ast.iter_child_nodes(node):
        inside = child in body if body else in_function
        yield from _in_node(child, in_function=inside)


def table(folder: Path) -> tuple[list[str], int]:
    """Return a line for each module that has unnamed numbers, and the number of all of them."""
    rows, total = [], 0
    for path in sorted(folder.rglob("*.py")):
        count = len(list(unnamed_literals(path.read_text(encoding="utf-8"))))
        total += count
        if count:
            rows.append(f"{count:6}  {path}")
    return rows, total


def main(folders: list[str]) -> int:
    """Print the table of each folder and the total; return 0."""
    everything = 0
    for folder in folders:
        rows, total = table(Path(folder))
        everything += total
        for row in rows:
            print(row)
        print(f"{total:6}  {folder} in all")
    print(f"{everything:6}  total")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
