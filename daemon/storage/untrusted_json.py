"""Reading of JSON files that others can change: bounded, never blocking, links not followed."""

from __future__ import annotations

import json
from pathlib import Path

from erasecore.system.safe_open import read_plain

MAX_JSON_BYTES = 4 << 20
"""Largest JSON file that is read, in bytes; guess. A report of 4 MB has about 6,000 subtitles."""


class BadJson(ValueError):
    """A file that is no JSON, is too large, or is nested too deeply; the text says which."""


def read_json(path: Path, max_bytes: int = MAX_JSON_BYTES) -> object:
    """Return the value of a JSON file; its type is not checked.

    Only a regular file is read: a symbolic link is refused, a FIFO does not block, and of a huge
    file no more than ``max_bytes`` are read.

    Raises:
        BadJson: the content cannot be used.
        OSError: the file cannot be opened or read, or is not a regular file.
    """
    content = read_plain(path, max_bytes + 1)
    if len(content) > max_bytes:
        raise BadJson(f"it is larger than {max_bytes} bytes")
    return parse_json(content)


def parse_json(content: bytes) -> object:
    """Return the value of a JSON text; its type is not checked.

    Raises:
        BadJson: the text cannot be used.
    """
    try:
        return json.loads(content)
    except RecursionError:
        raise BadJson("it is nested too deeply") from None
    except ValueError as error:
        raise BadJson(f"it is no JSON ({error})") from error
