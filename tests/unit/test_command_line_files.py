"""Shell completions and man page name what the parser knows, and nothing else."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from daemon.cli.main import build_parser
from tools.command_line_files import FILES, commands_of

REMEDY = "run: python -m tools.command_line_files"


@pytest.mark.parametrize("kind", FILES)
def test_every_command_and_option_is_in_the_file(kind: str) -> None:
    """And none that there is no more."""
    text = re.sub(r"\\f.", " ", FILES[kind].read_text("utf-8").replace("\\-", "-"))
    commands = commands_of(build_parser())
    assert {name for name in commands if name and not re.search(rf"\b{name}\b", text)} == set()
    known = {text for options in commands.values() for text in options if text[:2] == "--"}
    found = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))
    assert found ^ known <= {"--help"}, REMEDY


def test_bash_completes_options_and_files() -> None:
    """As a person who presses the tabulator sees it."""
    bash = shutil.which("bash")
    assert bash is not None
    script = f"""
        source {FILES["bash"]}
        COMP_WORDS=(subtitle-eraser erase --reg); COMP_CWORD=2
        _shtab_subtitle_eraser; echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run([bash, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["--region"]
