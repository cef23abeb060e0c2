"""Choice of the muxer (container format) for a result, and its options for exact timestamps."""

from __future__ import annotations

import math
import os
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import av.codec
import av.container
from av.stream import Disposition

from erasecore.video.mpegts import has_arrival_times

_MAX_TIMESCALE = 100_000_000  # ticks per second of the movie header; guess, fits its 32-bit field
MOV_FAMILY = ("mp4", "mov", "3gp", "3g2")  # FFmpeg muxers of the ISO base media file format

# Metadata tags that the muxer writes itself; a copy would be wrong or a duplicate.
MUXER_MADE_TAGS = frozenset(
    {"major_brand", "minor_version", "compatible_brands", "encoder", "duration"}
)
# Well-known tags, which FFmpeg's mov muxer keeps without the option use_metadata_tags.
STANDARD_TAGS = frozenset({
    "title", "artist", "album_artist", "composer", "album", "date", "comment", "genre",
    "copyright", "grouping", "lyrics", "description", "synopsis", "show", "episode_id",
    "network", "keywords", "episode_sort", "season_number", "media_type", "hd_video",
    "gapless_playback", "compilation", "track", "disc", "location", "creation_time", "timecode",
})  # fmt: skip

# Demuxer name (FFmpeg lists aliases) -> default (muxer, file name suffix).
_MUXER_BY_DEMUXER = {
    "mov,mp4,m4a,3gp,3g2,mj2": ("mp4", ".mp4"),
    "matroska,webm": ("matroska", ".mkv"),
    "avi": ("avi", ".avi"),
    "mpegts": ("mpegts", ".ts"),
    "mpeg": ("vob", ".mpg"),
    "flv": ("flv", ".flv"),
    "live_flv": ("flv", ".flv"),
    "asf": ("asf", ".wmv"),
    "asf_o": ("asf", ".wmv"),
    "mxf": ("mov", ".mov"),  # takes the same codecs; the mxf muxer needs parameters we cannot set
    "nut": ("nut", ".nut"),
}
# Demuxer name -> suffix of the film's name -> muxer, where it is not the default one.
_MUXER_BY_SUFFIX = {
    "mov,mp4,m4a,3gp,3g2,mj2": {
        ".mov": "mov",
        ".qt": "mov",
        ".3gp": "3gp",
        ".3g2": "3g2",
        ".m4v": "mp4",
        ".f4v": "mp4",
    },
    "matroska,webm": {".webm": "webm", ".mk3d": "matroska"},
    "avi": dict.fromkeys((".divx", ".xvid"), "avi"),
    "asf": {".asf": "asf"},
    "mpegts": dict.fromkeys((".m2ts", ".mts", ".m2t", ".tp", ".trp", ".tod"), "mpegts"),
    "mpeg": dict.fromkeys((".vob", ".mpeg", ".mpe", ".m2p"), "vob"),
}


def muxer_and_suffix(demuxer: str, suffix: str) -> tuple[str, str]:
    """Return the muxer and the file name suffix for the result of a film read by ``demuxer``.

    The film's own suffix is kept if it fits the content: a Matroska file called ``film.mp4`` gets
    ``.mkv``. Films in containers that FFmpeg can only read become Matroska.
    """
    default, default_suffix = _MUXER_BY_DEMUXER.get(demuxer, ("matroska", ".mkv"))
    lower = suffix.lower()
    by_suffix = _MUXER_BY_SUFFIX.get(demuxer, {})
    if lower in by_suffix:
        return by_suffix[lower], suffix
    return default, suffix if lower == default_suffix else default_suffix


def muxer_takes_encoder(muxer: str, encoder: str) -> bool:
    """Return True if ``muxer`` can store the codec that ``encoder`` produces."""
    return muxer_takes_codec(muxer, av.codec.Codec(encoder, "w").canonical_name)


@lru_cache(maxsize=256)
def muxer_takes_codec(muxer: str, codec: str) -> bool:
    """Return True if FFmpeg's ``muxer`` can store ``codec`` (canonical name); cached."""
    with av.open(os.devnull, "w", format=muxer) as container:  # no data is written
        try:
            container.add_mux_stream(codec)
        except ValueError:
            return False
    return True


def muxer_or_matroska(muxer: str, codec: str) -> str:
    """Return ``muxer`` if it can store ``codec``, else ``"matroska"``."""
    return muxer if muxer_takes_codec(muxer, codec) else "matroska"


def mux_options(
    muxer: str, time_base: Fraction, source: av.container.InputContainer
) -> dict[str, str]:
    """Return FFmpeg options that make ``muxer`` write timestamps unchanged.

    MOV family: the tracks' time scale is that of ``time_base``, the index comes first (faststart)
    and custom tags of ``source`` are kept where possible. MPEG-TS: with arrival times (m2ts) if the
    source has them.
    """
    options = {"avoid_negative_ts": "disabled"}
    if muxer in MOV_FAMILY:
        options["video_track_timescale"] = str(time_base.denominator)
        options["movie_timescale"] = str(_movie_timescale(source))
        options["movflags"] = "+faststart" + _custom_tags_flag(source)
    if muxer == "mpegts":
        options["mpegts_copyts"] = "1"
        if has_arrival_times(Path(source.name.removeprefix("file:"))):
            options["mpegts_m2ts_mode"] = "1"
    return options


def _movie_timescale(source: av.container.InputContainer) -> int:
    """Return the movie timescale, ticks per second, in which the tracks' starts are integers.

    It is a multiple of the default 1000. Edit lists store each track's start in this scale; at
    1000 a start at 1/24 second would be rounded. Starts that would need more than
    ``_MAX_TIMESCALE`` are left rounded; unknown, zero and negative ones have no influence.
    """
    scale = 1000
    for stream in source.streams:
        if stream.time_base is None or not stream.start_time or stream.start_time < 0:
            continue
        finer = math.lcm(scale, (stream.start_time * stream.time_base).denominator)
        scale = finer if finer <= _MAX_TIMESCALE else scale
    return scale


def _custom_tags_flag(source: av.container.InputContainer) -> str:
    """Return the movflags text that keeps custom tags, or ``""``.

    Empty without custom tags, and with cover art, which the muxer drops under this flag.
    """
    covers = any(s.disposition & Disposition.attached_pic for s in source.streams)
    custom = set(source.metadata) - STANDARD_TAGS - MUXER_MADE_TAGS
    return "+use_metadata_tags" if custom and not covers else ""
