"""Refuse docstrings whose first sentence is an indirect question.

A reader skims the first words of a docstring: they name the thing ("Return ...", "Slice covering
..."), they do not ask for it ("What is ...", "Whether it ...").

usage: python tools/check_docstrings.py FOLDER [FOLDER ...]
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

REFUSED = frozenset({"What", "Whatever", "Whether", "Who", "Whoever", "Whose", "How", "Where"})
"""First words of indirect questions."""
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def complaints_about(path: Path, source: str) -> Iterator[str]:
    """Yield one sentence for each docstring of ``source`` that begins with a refused word."""
    for node in ast.walk(ast.parse(source, filename=str(path))):
        if not isinstance(node, Documented):
            continue
        words = (ast.get_docstring(node) or "").split(maxsplit=1)
        if words and words[0].rstrip(".,:;") in REFUSED:
            name = "the module" if isinstance(node, ast.Module) else node.name
            line = node.body[0].lineno
            yield (
                f"{path}:{line}: the docstring of {name} begins with {words[0]!r}; name the thing "
                "or begin with a verb"
            )


def main(folders: list[str]) -> int:
    """Print all complaints; return 1 if there is any, else 0."""
    modules = sorted(path for folder in folders for path in Path(folder).rglob("*.py"))
    complaints = [
        complaint
        for path in modules
        for complaint in complaints_about(path, path.read_text(encoding="utf-8"))
    ]
    for complaint in complaints:
        print(complaint)
    if not complaints:
        print(f"docstrings: {len(modules)} modules say what they mean")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
