"""Parts of the daemon are configured by methods: nobody sets another object's attributes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
ALLOWED = {
    "constants.HF_HUB_DISABLE_TELEMETRY",  # a switch of a library, which has no function for it
    "error.filename",  # an exception on its way up is given the path it lacks
}


def foreign_assignments(source: str) -> Iterator[str]:
    """Yield the targets, such as ``worker.state``, that are attributes of anything but ``self``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
            target = ast.unparse(node)
            if target != f"self.{node.attr}":
                yield target


def test_parts_set_their_own_attributes_only() -> None:
    """Settings reach a part as one value, by ``reconfigure``; state changes by its methods."""
    found = [
        f"{path.relative_to(REPOSITORY)}: {target}"
        for path in sorted((REPOSITORY / "daemon").rglob("*.py"))
        for target in foreign_assignments(path.read_text(encoding="utf-8"))
        if target not in ALLOWED
    ]
    assert found == []


def test_a_foreign_assignment_would_be_found() -> None:
    """Plain, augmented, unpacked and deleted ones are found, and those two levels deep."""
    source = "self.a = part.b = 1\nself.part.c += 1\nself.d, part.e = 1, 2\ndel part.f\n"
    assert sorted(foreign_assignments(source)) == ["part.b", "part.e", "part.f", "self.part.c"]
