"""Fields that the headers of Matroska and AVI files lack when FFmpeg writes them through PyAV.

* Pixel aspect ratios: the muxers take them from a field of the stream that PyAV does not set.
* The number of packets of compressed sound in AVI: the muxer computes it from the block size of the
  source, which PyAV does not clear (1152 bytes or 1 for MP3, whose frames have other sizes).

They are written into the finished header, where FFmpeg leaves spare room (a Void element, a JUNK
chunk), which shrinks by what is added. Nothing after the header moves. Sources: RFC 9559
(Matroska), RFC 8794 (EBML), "OpenDML AVI File Format Extensions" 1.02, section 5.0 (vprp).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

_HEAD_BYTES = 4 << 20  # read of a file at most; guess, headers with fonts attached are smaller

_SEGMENT, _SEEK_HEAD, _SEEK, _SEEK_ID, _SEEK_POSITION = (
    b"\x18\x53\x80\x67",
    b"\x11\x4d\x9b\x74",
    b"\x4d\xbb",
    b"\x53\xab",
    b"\x53\xac",
)
_INFO, _TRACKS, _ENTRY, _VIDEO = b"\x15\x49\xa9\x66", b"\x16\x54\xae\x6b", b"\xae", b"\xe0"
_VOID, _CRC = b"\xec", b"\xbf"
_PIXEL_WIDTH, _PIXEL_HEIGHT = b"\xb0", b"\xba"
_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT = b"\x54\xb0", b"\x54\xba", b"\x54\xb2"
_UNIT_ASPECT_RATIO = b"\x03"  # DisplayUnit: width and height are a ratio, no pixels

_STRH_LENGTH, _STRH_SAMPLE_BYTES = slice(32, 36), slice(44, 48)  # fields of AVISTREAMHEADER
_STRF_BLOCK_ALIGN = slice(12, 14)  # field of WAVEFORMATEX
_FRAME_SAMPLES = 1152
"""Block size of sound with one frame a chunk: more bytes than a frame has, so that readers count
each chunk as one. The samples of a MP3 frame by convention."""
_MP3, _FRAMED_SOUND = 0x55, (0x50, 0x55, 0xFF, 0x2000)  # wFormatTag: MP2, MP3, AAC, AC-3
_AVI_VPRP = struct.Struct("<5I2H11I")  # VideoPropHeader with one VIDEO_FIELD_DESC
_MAX_AVI_ASPECT = 0xFFFF  # of either number of dwFrameAspectRatio


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """Facts about one stream that the header must state."""

    aspect: Fraction | None = None  # of its pixels; ``None``: not stated, or no video
    packets: int = 0  # that were written; 0: not counted


@dataclass(frozen=True, slots=True)
class _Element:
    """An EBML element or RIFF chunk, and its place in the bytes it was read from."""

    name: bytes
    start: int  # of its head
    body: int  # of its content
    stop: int


def complete_header(path: Path, muxer: str, streams: Sequence[StreamFacts]) -> None:
    """Write what FFmpeg could not say of the streams into the header of a finished file, in place.

    Does nothing for other containers, or without enough spare room.

    Args:
        path: written by FFmpeg's ``muxer``, closed.
        muxer: FFmpeg's name.
        streams: all streams but attachments, in order.
    """
    makers = {"matroska": _matroska_header, "webm": _matroska_header, "avi": _avi_header}
    if muxer not in makers:
        return
    with path.open("r+b") as file:
        head = file.read(_HEAD_BYTES)
        made = makers[muxer](head, streams)
        if made is not None and made != head:
            if len(made) != len(head):  # all that follows would be shifted
                raise AssertionError(f"{muxer} header: {len(head)} bytes became {len(made)}")
            file.seek(0)
            file.write(made)


# --- Matroska ---------------------------------------------------------------------------------


def _matroska_header(head: bytes, streams: Sequence[StreamFacts]) -> bytes | None:
    """Return ``head`` with the aspects in its Tracks; ``None``: no room, or all pixels are square.

    Tracks grow downwards: what lies between the Void element and them moves towards the beginning.
    """
    aspects = [stream.aspect for stream in streams]
    if not any(aspects):
        return None
    segment = next((e for e in _elements(head, 0, len(head)) if e.name == _SEGMENT), None)
    if segment is None:
        return None
    top: dict[bytes, _Element] = {}
    for element in _elements(head, segment.body, len(head)):
        top.setdefault(element.name, element)
        if element.name == _TRACKS:
            break
    if not {_SEEK_HEAD, _VOID, _TRACKS} <= top.keys() or top[_VOID].start != top[_SEEK_HEAD].stop:
        return None
    void, tracks = top[_VOID], top[_TRACKS]
    if tracks.stop > len(head):
        return None
    made = _like(head, tracks, _tracks(head, tracks, aspects))
    shift = len(made) - (tracks.stop - tracks.start)
    seek_head = _moved_seek_head(head, top[_SEEK_HEAD], shift, tracks.start - segment.body)
    begin = top[_SEEK_HEAD].start
    room = void.stop - begin - len(seek_head) - shift
    if room < 2:
        return None
    between = head[void.stop : tracks.start]
    return head[:begin] + seek_head + _void(room) + between + made + head[tracks.stop :]


def _tracks(head: bytes, tracks: _Element, aspects: Sequence[Fraction | None]) -> bytes:
    """Return the content of Tracks with the aspects, without its checksum."""
    made, number = b"", 0
    for child in _elements(head, tracks.body, tracks.stop):
        if child.name == _CRC:
            continue
        if child.name == _ENTRY:
            aspect = aspects[number] if number < len(aspects) else None
            number += 1
            if aspect:
                made += _element(_ENTRY, _track_entry(head, child, aspect))
                continue
        made += head[child.start : child.stop]
    return made


def _track_entry(head: bytes, entry: _Element, aspect: Fraction) -> bytes:
    return b"".join(
        _element(_VIDEO, _video(head, child, aspect))
        if child.name == _VIDEO
        else head[child.start : child.stop]
        for child in _elements(head, entry.body, entry.stop)
    )


def _video(head: bytes, video: _Element, aspect: Fraction) -> bytes:
    """Return the content of a Video element with the size at which it is to be displayed.

    As FFmpeg writes it: in pixels where that is exact, else as a ratio.
    """
    children = list(_elements(head, video.body, video.stop))
    values = {c.name: int.from_bytes(head[c.body : c.stop], "big") for c in children}
    width, height = values[_PIXEL_WIDTH] * aspect, values[_PIXEL_HEIGHT]
    display = (_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT)
    made = b"".join(head[c.start : c.stop] for c in children if c.name not in display)
    unit = b""
    if width.denominator != 1:
        ratio = width / height
        width, height, unit = Fraction(ratio.numerator), ratio.denominator, _UNIT_ASPECT_RATIO
    made += _element(_DISPLAY_WIDTH, _number(int(width)))
    made += _element(_DISPLAY_HEIGHT, _number(height))
    return made + (_element(_DISPLAY_UNIT, unit) if unit else b"")


def _moved_seek_head(head: bytes, seek_head: _Element, shift: int, until: int) -> bytes:
    """Return SeekHead, for elements up to position ``until`` that lie ``shift`` bytes earlier."""
    made = b""
    for seek in _elements(head, seek_head.body, seek_head.stop):
        if seek.name != _SEEK:
            continue
        content = b""
        for child in _elements(head, seek.body, seek.stop):
            value = head[child.body : child.stop]
            if child.name == _SEEK_POSITION and int.from_bytes(value, "big") <= until:
                moved = int.from_bytes(value, "big") - shift
                value = moved.to_bytes(len(value), "big")
            content += _element(child.name, value)
        made += _element(_SEEK, content)
    return _like(head, seek_head, made)


def _like(head: bytes, old: _Element, content: bytes) -> bytes:
    """Return ``old`` with other content, which is given without a checksum.

    If the old content began with its CRC-32 (RFC 8794, 11.3.1; not in WebM), the new one does.
    """
    first = next(_elements(head, old.body, old.stop), None)
    if first is not None and first.name == _CRC:
        content = _element(_CRC, struct.pack("<I", zlib.crc32(content))) + content
    return _element(old.name, content)


def _element(name: bytes, content: bytes) -> bytes:
    length = len(content)
    octets = next(n for n in range(1, 9) if length < (1 << 7 * n) - 1)
    return name + (length | 1 << 7 * octets).to_bytes(octets, "big") + content


def _void(size_bytes: int) -> bytes:
    """Return a Void element of exactly this size, 2 bytes or more."""
    if size_bytes < 9:
        return _VOID + bytes([0x80 | size_bytes - 2]) + bytes(size_bytes - 2)
    return _VOID + (size_bytes - 9 | 1 << 56).to_bytes(8, "big") + bytes(size_bytes - 9)


def _number(value: int) -> bytes:
    return value.to_bytes(max(1, -(-value.bit_length() // 8)), "big")


def _elements(data: bytes, start: int, stop: int) -> Iterator[_Element]:
    """Yield the EBML elements in ``data[start:stop]``; the last one may reach beyond ``data``."""
    while start < stop:
        name_octets = 9 - data[start].bit_length()
        size_at = start + name_octets
        if name_octets > 4 or size_at >= stop:
            return
        octets = 9 - data[size_at].bit_length()
        body = size_at + octets
        if octets > 8 or body > stop:
            return
        size = int.from_bytes(data[size_at:body], "big") & (1 << 7 * octets) - 1
        yield _Element(data[start:size_at], start, body, body + size)
        start = body + size


# --- AVI --------------------------------------------------------------------------------------


def _avi_header(head: bytes, streams: Sequence[StreamFacts]) -> bytes | None:
    """Return ``head`` with the facts in the lists of the streams; ``None`` without room.

    What lies between them and the JUNK chunk after the header list moves towards the end.
    """
    top = list(_chunks(head, 12, len(head)))
    lists = [c for c in top if c.name == b"LIST" and head[c.body : c.body + 4] == b"hdrl"]
    junk = next((c for c in top if c.name == b"JUNK"), None)
    if not lists or junk is None or junk.stop > len(head):
        return None
    header, number, made = lists[0], 0, b"hdrl"
    for chunk in _chunks(head, header.body + 4, header.stop):
        content = head[chunk.body : chunk.stop]
        if content[:4] == b"strl":
            facts = streams[number] if number < len(streams) else StreamFacts()
            number += 1
            content = _avi_stream(head, chunk, facts)
        made += _chunk(chunk.name, content)
    growth = len(made) - (header.stop - header.body)
    room = junk.stop - junk.body - growth
    if room < 0:
        return None
    between = head[header.stop : junk.start]
    begin = head[: header.start] + _chunk(b"LIST", made) + between
    return begin + _chunk(b"JUNK", bytes(room)) + head[junk.stop :]


def _avi_stream(head: bytes, stream: _Element, facts: StreamFacts) -> bytes:
    """Return the content of a stream's strl list, with its aspect or number of packets."""
    if facts.aspect:
        return head[stream.body : stream.stop] + _vprp(head, stream, facts.aspect)
    parts = {
        c.name: bytearray(head[c.body : c.stop])
        for c in _chunks(head, stream.body + 4, stream.stop)
    }
    tag = int.from_bytes(parts[b"strf"][:2], "little")
    if parts[b"strh"][:4] == b"auds" and tag in _FRAMED_SOUND and facts.packets:
        parts[b"strh"][_STRH_LENGTH] = struct.pack("<I", facts.packets)
        parts[b"strh"][_STRH_SAMPLE_BYTES] = bytes(4)  # 0: a chunk is one frame of any size
        if tag == _MP3:
            parts[b"strf"][_STRF_BLOCK_ALIGN] = struct.pack("<H", _FRAME_SAMPLES)
    return b"strl" + b"".join(_chunk(name, bytes(content)) for name, content in parts.items())


def _vprp(head: bytes, stream: _Element, aspect: Fraction) -> bytes:
    """Return the vprp chunk of a stream (its strl list), as FFmpeg's muxer would write it."""
    strf = next(c for c in _chunks(head, stream.body + 4, stream.stop) if c.name == b"strf")
    width, height = struct.unpack_from("<ii", head, strf.body + 4)
    height = abs(height)  # below zero: the rows are stored from top to bottom
    shown = width * aspect / height
    if max(shown.numerator, shown.denominator) > _MAX_AVI_ASPECT:
        shown = shown.limit_denominator(int(_MAX_AVI_ASPECT / max(1, shown + 1)))
    field = (height, width, height, width, 0, 0, 0, 0)
    ratio = (shown.denominator, shown.numerator)
    return _chunk(b"vprp", _AVI_VPRP.pack(0, 0, 0, width, height, *ratio, width, height, 1, *field))


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def _chunks(data: bytes, start: int, stop: int) -> Iterator[_Element]:
    """Yield the RIFF chunks in ``data[start:stop]``; ``stop`` of a chunk excludes its padding."""
    while start + 8 <= stop:
        name = data[start : start + 4]
        (size,) = struct.unpack_from("<I", data, start + 4)
        yield _Element(name, start, start + 8, start + 8 + size)
        start += 8 + size + size % 2
