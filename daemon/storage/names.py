"""File names: names of results, of sources in work/, and of the files that belong to a film."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import PurePosixPath
from string import Formatter

FOLDER_SETTINGS = ".erase.yaml"
"""Name of the settings file that applies to all films of its folder and of the folders below."""
FILM_SETTINGS_SUFFIX = ".erase.yaml"
"""Suffix appended to a film's full name (``film.mp4.erase.yaml``): settings of that film alone."""
PLAN_SUFFIX, SHEET_SUFFIX = ".plan.yaml", ".plan.jpg"
"""Suffixes appended to a film's full name: its plan, and the contact sheet of the plan."""
CUES_SUFFIX = ".srt"
"""Suffix that replaces the film's own: a subtitle file beside the film, see ``CUES_FILE``."""
MARKER_SUFFIX = ".ready"
"""Suffix appended to a film's full name (``film.mp4.ready``): its sender is done, see
``inbox.ready``."""
TRIAL_PREFIX, TRIAL_SUFFIX = ".prove-", ".tmp"
"""Beginning and end of the names of trial files and folders, by which folders are proved."""
TRIAL_SECONDS = 60.0
"""Age in seconds from which a trial file counts as a leftover; a proof takes far less (guess)."""
MAX_NAME_BYTES = 255
"""Longest name of a directory entry, in bytes (NAME_MAX of Linux filesystems)."""
SIDECAR_ROOM_BYTES = 24
"""Bytes kept free in a result's name for ``.preview.jpg``, ``.erase.yaml``, `` (99)``."""
MAX_TEMPLATE_BYTES = 100
"""Longest template of names, in bytes: most of a name is to be the film's own (guess)."""
MAX_SUFFIX_CHARACTERS = 16
"""Longest text after the last dot, dot included, that counts as a file's suffix (guess)."""
MAX_WORK_SUFFIX_CHARACTERS = 5
"""Longest suffix, without its dot, that a source keeps in work/, e.g. ``m2ts`` (guess)."""

SHORTER_FOLDER_BYTES = (64, 32, 16)
"""Lengths in bytes that folder names are truncated to, in turn, until a path fits. A guess."""

_FORBIDDEN_ON_WINDOWS = re.compile(r'[<>:"|?*\\\x00-\x1f\x7f\ud800-\udfff]')
_WINDOWS_DEVICE = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])(\.|$)")


def output_name(relative: PurePosixPath, *, portable: bool = False) -> PurePosixPath:
    """Return the name of a result, given the path of its source below the inbox.

    The name is normalised to composed Unicode (NFC), which every system can open. The last part is
    truncated so that the names of sidecar files still fit into a directory entry. Bytes that are
    not UTF-8 are kept, except with ``portable``, which makes each part valid on Windows.
    """
    parts = [unicodedata.normalize("NFC", part) for part in relative.parts]
    if portable:
        parts = [portable_name(part) for part in parts]
    parts[-1] = fitted(parts[-1], max_bytes=MAX_NAME_BYTES - SIDECAR_ROOM_BYTES)
    return PurePosixPath(*parts)


def portable_name(name: str) -> str:
    """Return ``name`` made valid on Windows: ``_`` for each forbidden character.

    Forbidden are the reserved and the control characters, bytes that are not UTF-8, and a space or
    full stop at the end. A name of a device, e.g. ``con.mp4``, gets ``_`` in front. Source:
    Microsoft, "Naming Files, Paths, and Namespaces".
    """
    name = _FORBIDDEN_ON_WINDOWS.sub("_", name)
    stripped = name.rstrip(" .")
    name = stripped + "_" * (len(name) - len(stripped))
    return f"_{name}" if _WINDOWS_DEVICE.match(name) else name


def same_on_windows(name: str) -> str:
    """Return a comparison key of ``name``: equal keys are one file on Windows and macOS.

    Those systems ignore case and Unicode normalisation (composed or decomposed).
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


PLAIN_NAME = "{stem}{suffix}"
"""Template of a result's name that leaves it as the source's."""


def templated(template: str, name: str, *, max_bytes: int) -> str:
    """Return ``name`` as ``template`` says; the stem is truncated to fit into ``max_bytes``.

    Args:
        template: text with ``{stem}`` and, at its end, ``{suffix}``; see ``template_problem``.
        name: file name with the suffix of the result.
        max_bytes: longest result.
    """
    path = PurePosixPath(name)
    stem, suffix = path.stem, path.suffix
    made = template.format(stem=stem, suffix=suffix)
    while len(os.fsencode(made)) > max_bytes and stem:
        stem = stem[:-1]
        made = template.format(stem=stem, suffix=suffix)
    return made


def template_problem(template: str) -> str:
    """Return the end of a sentence that says why ``template`` gives no names; "" if it does."""
    try:
        fields = [parts[1:] for parts in Formatter().parse(template) if parts[1] is not None]
    except ValueError:  # a brace that is not closed
        fields = []
    if sorted(fields) != [("stem", "", None), ("suffix", "", None)] or (
        not template.endswith("{suffix}")
    ):
        return 'must have {stem} once and {suffix} at its end, e.g. "{stem}.clean{suffix}".'
    made = template.format(stem="film", suffix=".mp4")
    if not made.isprintable() or "/" in made or "\\" in made:
        return "must not have a slash, a backslash or a control character."
    if made[0] in ". ":
        return "must not begin with a dot or a space: such files are hidden, or hard to name."
    if len(os.fsencode(template)) > MAX_TEMPLATE_BYTES:
        return f"is longer than {MAX_TEMPLATE_BYTES} bytes; shorten it."
    return ""


def fitted(name: str, max_bytes: int) -> str:
    """Return ``name`` truncated to at most ``max_bytes``, its suffix kept.

    Whole characters are cut from the end of the stem. An overlong suffix counts as stem.
    """
    path = PurePosixPath(name)
    has_suffix = len(path.suffix) <= MAX_SUFFIX_CHARACTERS
    has_suffix = has_suffix and len(os.fsencode(path.suffix)) < max_bytes
    stem, suffix = (path.stem, path.suffix) if has_suffix else (name, "")
    while len(os.fsencode(stem + suffix)) > max_bytes:
        stem = stem[:-1]
    return stem + suffix


def fitted_folders(folders: PurePosixPath, *, max_bytes: int) -> PurePosixPath:
    """Return a relative path of folders shortened to at most ``max_bytes``.

    First each name is truncated, more and more; then the deepest folders are left out, and their
    films get into the folder above. The same path gives the same result.
    """
    parts = tuple(fitted(part, max_bytes=MAX_NAME_BYTES) for part in folders.parts)
    for longest in SHORTER_FOLDER_BYTES:
        if len(os.fsencode(PurePosixPath(*parts))) <= max_bytes:
            break
        parts = tuple(fitted(part, max_bytes=longest) for part in parts)
    while parts and len(os.fsencode(PurePosixPath(*parts))) > max_bytes:
        parts = parts[:-1]
    return PurePosixPath(*parts)


def numbered(name: PurePosixPath, number: int) -> PurePosixPath:
    """Return the ``number``-th alternative (from 1): ``film.mp4``, ``film (2).mp4``..."""
    return name if number == 1 else name.with_name(f"{name.stem} ({number}){name.suffix}")


def numbered_folder(name: str, number: int) -> str:
    """Return the ``number``-th alternative (from 1) of a folder's name, e.g. ``shows (2)``."""
    if number == 1:
        return name
    ending = f" ({number})"
    return fitted(name, max_bytes=MAX_NAME_BYTES - len(ending)) + ending


def work_name(relative: PurePosixPath) -> str:
    """Return the source's file name in its job's folder: ``source`` and a safe suffix.

    Of the sender's name only a suffix of at most ``MAX_WORK_SUFFIX_CHARACTERS`` ASCII letters and
    digits is kept, in lower case, else none: programs that are started on the file see no text of
    an untrusted user.
    """
    suffix = relative.suffix[1:].lower()
    safe = suffix.isascii() and suffix.isalnum() and len(suffix) <= MAX_WORK_SUFFIX_CHARACTERS
    return f"source.{suffix}" if safe else "source"
