"""The fonts that some kinds need; a kind whose font is missing is skipped with a word."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_ROOTS = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), Path.home() / ".fonts")


@cache
def has_cjk_font() -> bool:
    """Return True if Noto Sans CJK is installed."""
    return any(root.is_dir() and any(root.rglob("NotoSansCJK*")) for root in _ROOTS)
