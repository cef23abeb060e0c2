"""Lists every module, class and function that exceeds its size limit.

usage: python tools/check_sizes.py FOLDER [FOLDER ...]

The limit on attributes is about state: it counts the distinct names that a class assigns as
``self.name``. Dataclasses are exempt, since a frozen record of settings may have many fields; their
lines count as those of any class do.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

MODULE_LIMIT_LINES = 500
"""Longest module, in lines (style rule 12)."""
CLASS_LIMIT_LINES = 200
"""Longest class, in lines, docstring included (style rule 12)."""
CLASS_LIMIT_ATTRIBUTES = 12
"""Most attributes of a class that is no dataclass (style rule 12)."""
FUNCTION_LIMIT_LINES = 40
"""Longest function, in lines, docstring included (style rule 12)."""


def oversized(path: Path, source: str) -> Iterator[str]:
    """Yield one sentence for each module, class and function in ``source`` over its limit."""
    module_lines = len(source.splitlines())
    if module_lines > MODULE_LIMIT_LINES:
        yield _complaint(f"{path}:1: module", module_lines, "lines", MODULE_LIMIT_LINES)
    for node in ast.walk(ast.parse(source, filename=str(path))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = _lines(node)
            if lines > FUNCTION_LIMIT_LINES:
                name = f"{path}:{node.lineno}: {node.name}"
                yield _complaint(name, lines, "lines", FUNCTION_LIMIT_LINES)
        elif isinstance(node, ast.ClassDef):
            yield from _oversized_class(path, node)


def _oversized_class(path: Path, node: ast.ClassDef) -> Iterator[str]:
    name = f"{path}:{node.lineno}: class {node.name}"
    lines = _lines(node)
    if lines > CLASS_LIMIT_LINES:
        yield _complaint(name, lines, "lines", CLASS_LIMIT_LINES)
    attributes = 0 if _is_dataclass(node) else len(_attributes(node))
    if attributes > CLASS_LIMIT_ATTRIBUTES:
        yield _complaint(name, attributes, "attributes", CLASS_LIMIT_ATTRIBUTES)


def _complaint(name: str, found: int, unit: str, limit: int) -> str:
    return f"{name} has {found} {unit}, at most {limit} are allowed"


def _lines(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> int:
    """Return the number of lines from ``def`` or ``class`` to the end, without decorators."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _is_dataclass(node: ast.ClassDef) -> bool:
    """Return True if the class is decorated with ``dataclass``, called or not."""
    calls = [one.func if isinstance(one, ast.Call) else one for one in node.decorator_list]
    return any(ast.unparse(one).rpartition(".")[2] == "dataclass" for one in calls)


def _attributes(node: ast.AST) -> set[str]:
    """Return the names assigned as ``self.name`` below ``node``, those of inner classes left out.

    Every kind of assignment counts: plain, annotated, augmented, unpacked, ``for`` and ``with``.
    """
    found: set[str] = set()
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            continue
        if (
            isinstance(child, ast.Attribute)
            and isinstance(child.ctx, ast.Store)
            and isinstance(child.value, ast.Name)
            and child.value.id == "self"
        ):
            found.add(child.attr)
        found |= _attributes(child)
    return found


def main(folders: list[str]) -> int:
    """Check every module below ``folders``; return 1 if anything exceeds its limit, else 0."""
    modules = sorted(path for folder in folders for path in Path(folder).rglob("*.py"))
    complaints = [
        complaint
        for path in modules
        for complaint in oversized(path, path.read_text(encoding="utf-8"))
    ]
    for complaint in complaints:
        print(complaint)
    if not complaints:
        print(f"sizes: {len(modules)} modules within their limits")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
