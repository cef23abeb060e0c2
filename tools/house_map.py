"""Writes the tables of modules into docs/architecture.md: by subject, in the modules' own words.

A module of `daemon` or `erasecore` itself belongs to one of the subjects below; a package inside
them is a subject of its own, in its own words.

usage: python tools/house_map.py
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

PAGE = Path("docs/architecture.md")
BEGIN = "<!-- modules: written by tools/house_map.py -->"
END = "<!-- end of modules -->"
ROOMS = ("daemon", "erasecore")
HOMELESS = "In no subject yet; tools/house_map.py has the list"

SUBJECTS: tuple[tuple[str, str], ...] = (
    (
        "daemon: what people ask for, and what they are told",
        "__main__ cli asked commands onefile progressbar doctor status statuscommand statusview "
        "past history logs logsize notify",
    ),
    (
        "daemon: its life",
        "service dispatch schedule troubles wake retry environment config places records",
    ),
    (
        "daemon: films and folders",
        "inbox looking intake watch folders anchors advice files moves names claims owners "
        "companions jobsettings jobs holdings refusals publish sidecars dress faults",
    ),
    (
        "daemon: workers",
        "supervisor workers machine admission memorykills wire worker attempt",
    ),
    (
        "erasecore: one film, top to bottom",
        "pipeline tools finding windows segments recover recovered composite residual looks "
        "hypotheses summary preview fidelity",
    ),
    (
        "erasecore: words, times and masks",
        "reading subtitles cues wantedtimes masks maskedink areas",
    ),
    (
        "erasecore: memory and machine",
        "footprint batching rungbook memory memoryfaults device survey versions weights manifest",
    ),
    (
        "erasecore: shared by all of it",
        "settings reports errors progress workspace durable plainfile faults cutout boxes",
    ),
)


def sentence_of(path: Path) -> str:
    """The first paragraph of a module's docstring, on one line; empty without one."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    return " ".join((docstring or "").partition("\n\n")[0].replace("``", "`").split())


def table(heading: str, modules: Sequence[Path], root: Path) -> str:
    """One subject: its heading, and a row for each module."""
    rows = [f"| `{path.relative_to(root)}` | {sentence_of(path)} |" for path in modules]
    return "\n".join([f"### {heading}", "", "| module | what it is |", "| --- | --- |", *rows])


def subjects(root: Path) -> Iterator[tuple[str, list[Path]]]:
    """Each subject and its modules; last, under ``HOMELESS``, those that nobody has sorted."""
    left = {path for room in ROOMS for path in (root / room).glob("*.py")}
    left = {path for path in left if path.name != "__init__.py"}
    for heading, names in SUBJECTS:
        room = root / heading.partition(":")[0]
        modules = [path for name in names.split() if (path := room / f"{name}.py") in left]
        left -= set(modules)
        yield heading, modules
    for package in sorted(one for room in ROOMS for one in (root / room).rglob("*/__init__.py")):
        modules = sorted(path for path in package.parent.glob("*.py") if path != package)
        where = str(package.parent.relative_to(root))
        yield f"{where}: {sentence_of(package).rstrip('.')}", modules
    yield HOMELESS, sorted(left)


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
    """0 when the page is as it should be, 1 when a module has no subject."""
    found = [(heading, modules) for heading, modules in subjects(Path()) if modules]
    tables = "\n\n".join(table(heading, modules, Path()) for heading, modules in found)
    rewrite(PAGE, BEGIN, END, tables)
    homeless = [path for heading, modules in found if heading == HOMELESS for path in modules]
    for path in homeless:
        print(f"{path}: belongs to no subject; add it to SUBJECTS in {__file__}")
    return 1 if homeless else 0


if __name__ == "__main__":
    sys.exit(main())
