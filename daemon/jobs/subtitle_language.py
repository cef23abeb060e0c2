"""Language of recognised subtitle text, guessed from its script, for names such as film.zh.srt."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from erasecore.system.safe_open import read_plain

UNKNOWN = "und"
"""Code of an undetermined language (ISO 639-2); players take it for a language, too."""
MAX_READ_BYTES = 1 << 20
"""Bytes of a subtitle file that are looked at; a film has some 100 kB. Guess."""
MIN_KANA_SHARE = 0.05
"""Least share of kana among Chinese and Japanese characters that makes a text Japanese. Japanese
subtitles have about a half, Chinese ones none; a guess in between."""
_KANA, _HAN = "kana", "han"
_BLOCKS: tuple[tuple[int, int, str], ...] = (
    (0x0370, 0x03FF, "el"),
    (0x0590, 0x05FF, "he"),
    (0x0E00, 0x0E7F, "th"),
    (0x1100, 0x11FF, "ko"),
    (0x3040, 0x30FF, _KANA),
    (0x3130, 0x318F, "ko"),
    (0x31F0, 0x31FF, _KANA),
    (0x3400, 0x4DBF, _HAN),
    (0x4E00, 0x9FFF, _HAN),
    (0xAC00, 0xD7AF, "ko"),
    (0xF900, 0xFAFF, _HAN),
    (0xFF66, 0xFF9D, _KANA),
    (0x20000, 0x3134F, _HAN),
)
"""First and last code point of blocks (Unicode, Blocks.txt) whose script is that of one language,
and its ISO 639-1 code. Latin, Cyrillic and Arabic are scripts of many."""


def language_of_file(subtitles: Path) -> str:
    """Return the language code of an SRT file; ``UNKNOWN`` if it cannot be read."""
    try:
        return language_of(read_plain(subtitles, MAX_READ_BYTES).decode("utf-8", "replace"))
    except OSError:
        return UNKNOWN


def language_of(text: str) -> str:
    """Return the ISO 639 code of the language in whose script most letters of ``text`` are."""
    text = text.replace("[unreadable]", "")
    scripts = Counter(_script_of(letter) for letter in text if letter.isalpha())
    cjk = scripts[_KANA] + scripts[_HAN]
    if cjk:
        language = "ja" if scripts[_KANA] >= MIN_KANA_SHARE * cjk else "zh"
        del scripts[_KANA], scripts[_HAN]
        scripts[language] = cjk
    if not scripts:
        return UNKNOWN
    ((most, letters),) = scripts.most_common(1)
    return most if 2 * letters > scripts.total() else UNKNOWN


def _script_of(letter: str) -> str:
    code = ord(letter)
    return next((name for first, last, name in _BLOCKS if first <= code <= last), UNKNOWN)
