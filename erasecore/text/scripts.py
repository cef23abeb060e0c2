"""Script of a text that was read, as far as the recognizer can read it."""

from __future__ import annotations

import unicodedata
from collections import Counter

from erasecore.settings import Script

_MIN_KANA_SHARE = 0.05
"""Least share of kana among Chinese and Japanese characters that makes a text Japanese. Japanese
subtitles have about a half, Chinese ones none; a guess in between, as for the names of results."""
_CHINESE = "CJK"  # first word of the Unicode names of Chinese characters
_KANA = ("HIRAGANA", "KATAKANA")


def script_of(text: str) -> Script:
    """Return the script of most letters of ``text``; a Japanese line has some kana."""
    letters = Counter(_script_name(letter) for letter in text if letter.isalpha())
    kana = sum(letters[name] for name in _KANA)
    chinese = letters[_CHINESE]
    by_script = {
        Script.HAN: chinese if kana < _MIN_KANA_SHARE * (kana + chinese) or not kana else 0,
        Script.LATIN: letters["LATIN"],
    }
    by_script[Script.KANA] = kana + chinese - by_script[Script.HAN]
    by_script[Script.OTHER] = letters.total() - sum(by_script.values())
    script, count = max(by_script.items(), key=lambda item: item[1])
    return script if count else Script.OTHER


def _script_name(letter: str) -> str:
    """Return the first word of a letter's Unicode name, e.g. "LATIN"; half-width forms count."""
    name = unicodedata.name(letter, "").removeprefix("HALFWIDTH ").removeprefix("FULLWIDTH ")
    return name.partition(" ")[0].partition("-")[0]
