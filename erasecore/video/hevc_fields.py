"""Interlaced HEVC: the picture structure that its pictures announce (H.265, table D.2).

HEVC has no interlaced coding tools. A picture is either one field of a frame, or a whole frame, and
the pic_timing SEI message says which. FFmpeg's decoder tells single fields only, and not which.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import IntEnum
from itertools import islice
from pathlib import Path

from erasecore.settings import LimitSettings
from erasecore.video.opening import open_film, packets

SEI_PREFIX = 39  # nal_unit_type (H.265, table 7-1)
_PIC_TIMING = 1  # payloadType of an SEI message (H.265, D.2.1)
_START_CODE = re.compile(rb"\x00\x00\x01")
_PACKETS_READ = 8  # of the stream; that many must agree; guess


class PictureStruct(IntEnum):
    """Kind of HEVC pictures, by the pic_struct of the first one."""

    PROGRESSIVE = 0
    TOP_FIELD = 1  # each picture is a field, the first one is the top field
    BOTTOM_FIELD = 2
    TOP_FIRST = 3  # each picture is a frame, its top field is shown first
    BOTTOM_FIRST = 4


def picture_struct(
    path: Path, stream_index: int, limits: LimitSettings, *, fields: bool
) -> PictureStruct:
    """Return the kind of the pictures of a HEVC stream.

    Args:
        path: the film.
        stream_index: of the stream.
        limits: of the film.
        fields: the decoder says that each picture is a field.
    """
    with open_film(path, limits) as film:
        stream = next(s for s in film.streams.video if s.index == stream_index)
        annex_b = not (stream.codec_context.extradata or b"").startswith(b"\x01")
        read = islice(packets(path, film, stream), _PACKETS_READ)
        structs = [
            struct
            for packet in read
            if packet is not None
            for struct in pic_structs(bytes(packet), annex_b=annex_b)
        ]
    if fields:
        # 9 to 12: a field that is paired with the previous or the next one.
        is_bottom = bool(structs) and structs[0] in (2, 10, 12)
        return PictureStruct.BOTTOM_FIELD if is_bottom else PictureStruct.TOP_FIELD
    # Without frame_field_info_present_flag the message begins with times, which change.
    if structs and set(structs) <= {PictureStruct.TOP_FIRST}:
        return PictureStruct.TOP_FIRST
    if structs and set(structs) <= {PictureStruct.BOTTOM_FIRST}:
        return PictureStruct.BOTTOM_FIRST
    return PictureStruct.PROGRESSIVE


def pic_structs(packet: bytes, *, annex_b: bool) -> Iterator[int]:
    """Yield pic_struct of each pic_timing message of a packet (its first four bits)."""
    for unit in _start_code_units(packet) if annex_b else _sized_units(packet):
        if len(unit) > 4 and unit[0] >> 1 & 0x3F == SEI_PREFIX:
            yield from _structs_of_sei(unit[2:])


def _structs_of_sei(messages: bytes) -> Iterator[int]:
    """Yield pic_struct of the pic_timing messages in an SEI unit without its head."""
    position = 0
    while position + 2 < len(messages):
        kind, size = messages[position], messages[position + 1]
        if kind == _PIC_TIMING:
            yield messages[position + 2] >> 4
        if 0xFF in (kind, size):  # longer numbers than those of pic_timing
            return
        position += 2 + size


def _start_code_units(packet: bytes) -> Iterator[bytes]:
    """Yield the NAL units of an Annex B packet."""
    starts = [match.end() for match in _START_CODE.finditer(packet)]
    for start, stop in zip(starts, [*starts[1:], len(packet) + 3], strict=True):
        yield packet[start : stop - 3]


def _sized_units(packet: bytes) -> Iterator[bytes]:
    """Yield the NAL units of a packet with sizes of four bytes (hvcC)."""
    position = 0
    while position + 4 < len(packet):
        size = int.from_bytes(packet[position : position + 4], "big")
        yield packet[position + 4 : position + 4 + size]
        position += 4 + size
