"""Names: what results are called, and what of a sender's name may be shown or kept."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import PurePosixPath

FOLDER_SETTINGS = ".erase.yaml"
FILM_SETTINGS_SUFFIX = ".erase.yaml"
CUES_SUFFIX = ".srt"
MAX_NAME_BYTES = 255
SIDECAR_ROOM_BYTES = 24
"""What is added to a film's name at most: ``.preview.jpg``, ``.erase.yaml``, `` (99)``."""


_NOT_ON_WINDOWS = re.compile(r'[<>:"|?*\\\x00-\x1f\x7f\ud800-\udfff]')
_DEVICE = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])(\.|$)")


def output_name(relative: PurePosixPath, *, portable: bool = False) -> PurePosixPath:
    """What a result is called, given its source's name below the inbox.

    Composed Unicode (NFC), as every system can open it; cut where sidecars' names would become too
    long for a folder entry. Bytes that are no UTF-8 stay as they are, unless it is to be portable.
    """
    parts = [unicodedata.normalize("NFC", part) for part in relative.parts]
    if portable:
        parts = [portable_name(part) for part in parts]
    parts[-1] = fitted(parts[-1], MAX_NAME_BYTES - SIDECAR_ROOM_BYTES)
    return PurePosixPath(*parts)


def portable_name(name: str) -> str:
    """``name`` with a ``_`` for all that Windows allows in no name, or not in that place.

    Source: "Naming Files, Paths, and Namespaces", Microsoft: reserved characters and device names,
    no space or full stop at the end.
    """
    name = _NOT_ON_WINDOWS.sub("_", name)
    bare = name.rstrip(" .")
    name = bare + "_" * (len(name) - len(bare))
    return f"_{name}" if _DEVICE.match(name) else name


def same_on_windows(name: str) -> str:
    """Equal for names that Windows and macOS hold to be one: by case, by composition."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def fitted(name: str, most_bytes: int) -> str:
    """``name``, its stem cut at a character's border so that it has at most ``most_bytes``."""
    path = PurePosixPath(name)
    stem, suffix = (path.stem, path.suffix) if len(path.suffix) <= 16 else (name, "")
    while len(os.fsencode(stem + suffix)) > most_bytes:
        stem = stem[:-1]
    return stem + suffix


def numbered(name: PurePosixPath, number: int) -> PurePosixPath:
    """The ``number``-th choice for a name: itself, then ``film (2).mp4``, ``film (3).mp4``."""
    return name if number == 1 else name.with_name(f"{name.stem} ({number}){name.suffix}")


def work_name(relative: PurePosixPath) -> str:
    """What a source is called in its job's folder: nothing of the sender's but a tame ending."""
    ending = relative.suffix[1:].lower()
    tame = ending.isascii() and ending.isalnum() and len(ending) <= 5
    return f"source.{ending}" if tame else "source"


def shown(name: str) -> str:
    """A name on one line, with everything unprintable escaped, for logs and terminals."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
