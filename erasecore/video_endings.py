"""File name endings of results, and the container (FFmpeg muxer) that each stands for."""

from __future__ import annotations

RESULT_ENDINGS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".qt": "mov",
    ".3gp": "3gp",
    ".3g2": "3g2",
    ".mkv": "matroska",
    ".mk3d": "matroska",
    ".webm": "webm",
    ".avi": "avi",
    ".divx": "avi",
    ".xvid": "avi",
    ".ts": "mpegts",
    ".m2ts": "mpegts",
    ".mts": "mpegts",
    ".m2t": "mpegts",
    ".tp": "mpegts",
    ".trp": "mpegts",
    ".mpg": "vob",
    ".mpeg": "vob",
    ".vob": "vob",
    ".flv": "flv",
    ".f4v": "mp4",
    ".wmv": "asf",
    ".asf": "asf",
    ".nut": "nut",
}
"""Ending in lower case -> muxer."""
