"""Containers: which muxer writes a film's result, and how that muxer is told to be exact."""

from __future__ import annotations

import math
import os
from fractions import Fraction
from functools import lru_cache

import av
import av.codec
import av.container
from av.stream import Disposition

_FINEST_SCALE = 100_000_000
MOV_FAMILY = ("mp4", "mov", "3gp", "3g2")

# Tags that a muxer makes anew; copied they would be wrong or doubled.
MADE_TAGS = frozenset({"major_brand", "minor_version", "compatible_brands", "encoder", "duration"})
USUAL_TAGS = frozenset({
    "title", "artist", "album_artist", "composer", "album", "date", "comment", "genre",
    "copyright", "grouping", "lyrics", "description", "synopsis", "show", "episode_id",
    "network", "keywords", "episode_sort", "season_number", "media_type", "hd_video",
    "gapless_playback", "compilation", "track", "disc", "location", "creation_time", "timecode",
})  # fmt: skip

# Demuxer name (FFmpeg lists aliases) -> (muxer, suffix) where the file's own suffix says nothing.
_BY_DEMUXER = {
    "mov,mp4,m4a,3gp,3g2,mj2": ("mp4", ".mp4"),
    "matroska,webm": ("matroska", ".mkv"),
    "avi": ("avi", ".avi"),
    "mpegts": ("mpegts", ".ts"),
    "mpeg": ("vob", ".mpg"),
    "flv": ("flv", ".flv"),
    "live_flv": ("flv", ".flv"),
    "asf": ("asf", ".wmv"),
    "asf_o": ("asf", ".wmv"),
    "mxf": ("mov", ".mov"),  # same codecs; the muxer wants more than can be told it
    "nut": ("nut", ".nut"),
}
_BY_SUFFIX = {
    "mov,mp4,m4a,3gp,3g2,mj2": {
        ".mov": "mov",
        ".qt": "mov",
        ".3gp": "3gp",
        ".3g2": "3g2",
        ".m4v": "mp4",
    },
    "matroska,webm": {".webm": "webm"},
    "mpegts": {".m2ts": "mpegts", ".mts": "mpegts"},
    "mpeg": {".vob": "vob", ".mpeg": "vob"},
}


def muxer_of(demuxer: str, suffix: str) -> tuple[str, str]:
    """The muxer and the suffix for the result of a film read by ``demuxer``.

    The film's own suffix is kept wherever it fits its content; a Matroska file called ``film.mp4``
    gets ``.mkv``, and films of containers that can only be read become Matroska.
    """
    usual, usual_suffix = _BY_DEMUXER.get(demuxer, ("matroska", ".mkv"))
    lower = suffix.lower()
    by_suffix = _BY_SUFFIX.get(demuxer, {})
    if lower in by_suffix:
        return by_suffix[lower], suffix
    return usual, suffix if lower == usual_suffix else usual_suffix


def holds(muxer: str, encoder: str) -> bool:
    """Whether ``muxer`` takes what ``encoder`` makes."""
    return takes(muxer, av.codec.Codec(encoder, "w").canonical_name)


@lru_cache(maxsize=256)
def takes(muxer: str, codec: str) -> bool:
    """Whether ``muxer`` takes ``codec``, as far as FFmpeg knows."""
    with av.open(os.devnull, "w", format=muxer) as container:  # nothing is written to it
        try:
            container.add_mux_stream(codec)
        except ValueError:
            return False
    return True


def muxer_for(muxer: str, codec: str) -> str:
    """The muxer of the result: the film's own where that takes ``codec``, else Matroska."""
    return muxer if takes(muxer, codec) else "matroska"


def mux_options(
    muxer: str, time_base: Fraction, source: av.container.InputContainer
) -> dict[str, str]:
    """Options under which ``muxer`` writes stamps as they are given, in ``time_base`` if it can."""
    options = {"avoid_negative_ts": "disabled"}
    if muxer in MOV_FAMILY:
        options["video_track_timescale"] = str(time_base.denominator)
        options["movie_timescale"] = str(_movie_scale(source))
        options["movflags"] = "+faststart" + _own_tags(source)
    if muxer == "mpegts":
        options["mpegts_copyts"] = "1"
    return options


def _movie_scale(source: av.container.InputContainer) -> int:
    """Ticks a second in which every track begins at a whole number.

    Edit lists, which say when each track begins, count in the movie's time scale: at the usual
    1000 a start after 1/24 second would be rounded.
    """
    scale = 1000
    for stream in source.streams:
        if stream.time_base is None or not stream.start_time or stream.start_time < 0:
            continue
        finer = math.lcm(scale, (stream.start_time * stream.time_base).denominator)
        scale = finer if finer <= _FINEST_SCALE else scale
    return scale


def _own_tags(source: av.container.InputContainer) -> str:
    """The flag that keeps tags beyond the usual ones; it cannot be had together with a cover."""
    covers = any(s.disposition & Disposition.attached_pic for s in source.streams)
    own = set(source.metadata) - USUAL_TAGS - MADE_TAGS
    return "+use_metadata_tags" if own and not covers else ""
