"""The count of unnamed numeric literals."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.count_literals import main, unnamed_literals


@pytest.mark.parametrize(
    ("body", "values"),
    [
        ("return 3 * x + 0.5", [3, 0.5]),
        ("return x[-1] + 0 + 1.0 + 2", []),  # exempt, as integers and as floats
        ("return -3", [3]),  # the sign is not part of the literal
        ("return True, 'text', None", []),
        ("def inner():\n        return 7\n    return inner", [7]),  # once, not for each function
        ("return lambda y=4: y", [4]),
    ],
)
def test_numbers_in_function_bodies_are_counted(body: str, values: list[float]) -> None:
    """Every number but -1, 0, 1 and 2, wherever in the body it is."""
    found = unnamed_literals(f"def f(x):\n    {body}\n")
    assert [value for _, value in found] == values


def test_named_numbers_are_not_counted() -> None:
    """Constants, fields, defaults of parameters and decorators have a name or are no body."""
    source = "LIMIT = 3\nclass A:\n    px: int = 4\n    @cache(5)\n    def f(self, x=6): return x\n"
    assert list(unnamed_literals(source)) == []


def test_the_table_names_modules_and_totals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Modules without such a number are left out; the sums stand at the end."""
    (tmp_path / "some.py").write_text("def f(): return 3, 4\n")
    (tmp_path / "none.py").write_text("LIMIT = 3\n")
    assert main([str(tmp_path)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["2", str(tmp_path / "some.py")],
        ["2", str(tmp_path), "in", "all"],
        ["2", "total"],
    ]
