"""Names every module and function that has outgrown its limit.

usage: python tools/check_sizes.py FOLDER [FOLDER ...]
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

MODULE_LIMIT_LINES = 400
FUNCTION_LIMIT_LINES = 40


def oversized(path: Path, source: str) -> Iterator[str]:
    """One sentence for the module and for each function of it that is too long."""
    module_lines = len(source.splitlines())
    if module_lines >= MODULE_LIMIT_LINES:
        yield f"{path}:1: module has {module_lines} lines, must stay under {MODULE_LIMIT_LINES}"
    for node in ast.walk(ast.parse(source, filename=str(path))):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if lines > FUNCTION_LIMIT_LINES:
            yield (
                f"{path}:{node.lineno}: {node.name} has {lines} lines, "
                f"at most {FUNCTION_LIMIT_LINES} are allowed"
            )


def main(folders: list[str]) -> int:
    """1 if anything is too long, else 0."""
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
