"""Check of a result before it is published: frames, timestamps, streams, tags and chapters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av.container
from av.stream import Stream

from erasecore.errors import InputError, VerifyFailed
from erasecore.settings import LimitSettings
from erasecore.video.containers import MOV_FAMILY
from erasecore.video.hevc_fields import PictureStruct
from erasecore.video.opening import open_film
from erasecore.video.probe import VideoInfo, probe
from erasecore.video.reader import Frame, FrameReader
from erasecore.video.streams import can_be_copied, is_matroska_cover
from erasecore.video.timeline import Timeline

_PS_SLACK = Fraction(1, 1000)
"""Largest error of a time in MPEG-PS, seconds: 90 ticks, each the most that one picture adds; a
picture in the wrong place is off by 8 ms or more."""
_OTHER_PACKETS = 100  # of each copied video stream, whose stamps are compared; guess


@dataclass(frozen=True, slots=True)
class Verified:
    """A result that passed the check."""

    video: VideoInfo
    timeline: Timeline
    left_out: tuple[str, ...]  # sentences about source streams that the container cannot store


def verify(
    source: VideoInfo,
    result: Path,
    timeline: Timeline,
    *,
    on_frame: Callable[[Frame], None] | None = None,
) -> Verified:
    """Decode the whole result and compare it with the source; return the result's description.

    Args:
        source: the film the result was made from.
        result: the file to check.
        timeline: the source's timestamps.
        on_frame: callback for every decoded frame of the result, in order; its errors propagate.

    Raises:
        VerifyFailed: a frame, timestamp, stream or tag differs from the source's.
    """
    try:
        found = replace(probe(result, _result_limits(source)), threads=source.threads)
    except InputError as error:
        raise VerifyFailed(result, str(error)) from error
    stamps = _decode_all(found, on_frame)
    left_out = tuple(_compare(source, found, timeline, stamps))
    return Verified(found, stamps, left_out)


def _result_limits(source: VideoInfo) -> LimitSettings:
    """Return the source's limits, with tolerance: 1 % more hours, one more frame and stream."""
    limits = source.limits
    return LimitSettings(
        max_width_px=limits.max_width_px,
        max_height_px=limits.max_height_px,
        max_streams=limits.max_streams + 1,
        max_hours=limits.max_hours * 1.01,
        max_frames=limits.max_frames + 1,
    )


def _decode_all(found: VideoInfo, on_frame: Callable[[Frame], None] | None) -> Timeline:
    """Decode every frame of the result; return its timestamps.

    Raises:
        VerifyFailed: a frame is damaged, or a timestamp is missing.
    """
    with FrameReader(found) as reader:
        try:
            for frame in reader:
                if frame.picture.is_corrupt:
                    raise VerifyFailed(found.path, f"frame {frame.index} is damaged")
                if on_frame is not None:
                    on_frame(frame)
            stamps = reader.timeline()
        except InputError as error:
            raise VerifyFailed(found.path, str(error)) from error
    if stamps.warnings:
        raise VerifyFailed(found.path, stamps.warnings[0])
    return stamps


def _compare(
    source: VideoInfo, found: VideoInfo, timeline: Timeline, stamps: Timeline
) -> Iterator[str]:
    """Compare everything; yield sentences about streams that were left out.

    Raises:
        VerifyFailed: see :func:`verify`.
    """
    if len(stamps) != len(timeline):
        raise VerifyFailed(found.path, f"{len(stamps)} frames instead of {len(timeline)}")
    _check_stamps(source, found, timeline, stamps)
    _check_picture(source, found)
    with (
        open_film(source.path, source.limits) as before,
        open_film(found.path, _result_limits(source)) as after,
    ):
        _check_chapters(found.path, before, after)
        _check_audio_starts(found.path, before, after)
        _check_other_videos(source, found)
        yield from _check_streams(source, found, before, after)
    if len(source.programs) > 1 and found.programs != source.programs:
        yield (
            f"the film's {len(source.programs)} programs became one: their tables do not fit; to "
            "keep one of them, split it off first: ffmpeg -i film.ts -map 0:p:NUMBER -c copy one.ts"
        )


def _check_stamps(
    source: VideoInfo, found: VideoInfo, timeline: Timeline, stamps: Timeline
) -> None:
    """Raise ``VerifyFailed`` if a frame's time differs from the source's.

    Exact if the result's time base divides the source's, else within half a tick of the result's.
    Within a millisecond in MPEG-PS, which has stamps for the first picture of a packet only:
    readers add up rounded durations for the others, and the result is cut into other packets.
    """
    exact = (source.time_base / found.time_base).denominator == 1
    slack = Fraction(0) if exact else found.time_base / 2
    if "mpeg" in (source.container, found.container):
        slack = max(slack, _PS_SLACK)
    for index, (was, now) in enumerate(zip(timeline.pts, stamps.pts, strict=True)):
        error_seconds = int(now) * found.time_base - int(was) * source.time_base
        if abs(error_seconds) > slack:
            raise VerifyFailed(
                found.path, f"frame {index} is shown {float(error_seconds):+.4f} s from its time"
            )


def _check_picture(source: VideoInfo, found: VideoInfo) -> None:
    """Raise ``VerifyFailed`` if size, pixel aspect, rotation or colour tags differ."""
    for name, was, now in (
        ("size", source.stored_size, found.stored_size),
        ("sample aspect ratio", _aspect(source), _aspect(found)),
        ("rotation", source.rotation % 360, found.rotation % 360),
        ("orientation", source.orientation, found.orientation),
        ("picture structure", _fields(source, source), _fields(source, found)),
        ("field order", *_field_orders(source, found)),
        ("colour range", source.layout.full_range, found.layout.full_range),
        ("colour primaries", source.color.primaries, found.color.primaries),
        ("colour transfer", source.color.transfer, found.color.transfer),
        ("colour matrix", _matrix(source), _matrix(found)),
        ("mastering display", source.mastering is None, found.mastering is None),
        ("content light level", source.light, found.light),
    ):
        if was != now:
            raise VerifyFailed(found.path, f"its {name} is {now}, it was {was}")


def _fields(source: VideoInfo, film: VideoInfo) -> PictureStruct:
    """Return which fields HEVC pictures are; ``PROGRESSIVE``: frames, or another codec."""
    is_field = film.picture_struct in (PictureStruct.TOP_FIELD, PictureStruct.BOTTOM_FIELD)
    same_codec = source.codec == film.codec
    return film.picture_struct if is_field and same_codec else PictureStruct.PROGRESSIVE


def _matrix(video: VideoInfo) -> int:
    """Return the colour matrix (ITU-T H.273); 0, the identity, for RGB, tagged or not."""
    return 0 if video.layout.rgb else video.color.matrix


def _field_orders(source: VideoInfo, found: VideoInfo) -> tuple[bool | None, bool | None]:
    """Return whether the top field comes first in both, if both say so and have one codec."""
    orders = source.top_field_first, found.top_field_first
    comparable = source.codec == found.codec and None not in orders
    return orders if comparable else (None, None)


def _aspect(video: VideoInfo) -> Fraction:
    return video.sample_aspect or Fraction(1)


def _check_chapters(
    path: Path, before: av.container.InputContainer, after: av.container.InputContainer
) -> None:
    """Raise ``VerifyFailed`` if chapter titles differ, or a start by more than one tick."""
    was, now = before.chapters(), after.chapters()
    titles = [[c["metadata"].get("title", "") for c in chapters] for chapters in (was, now)]
    if titles[0] != titles[1]:
        raise VerifyFailed(path, f"{len(now)} chapters instead of {len(was)}")
    for a, b in zip(was, now, strict=True):
        base_a, base_b = a["time_base"] or Fraction(1), b["time_base"] or Fraction(1)
        if abs(a["start"] * base_a - b["start"] * base_b) > max(base_a, base_b):
            raise VerifyFailed(path, "a chapter has moved")


def _check_audio_starts(
    path: Path, before: av.container.InputContainer, after: av.container.InputContainer
) -> None:
    """Raise ``VerifyFailed`` if an audio track's start has moved (audio-video synchronisation).

    Tolerance: 2 ms in the same container, 50 ms otherwise, since not every container can store
    times below zero (encoder delay). Both are guesses.
    """
    same_container = before.format.name == after.format.name
    slack = Fraction(2 if same_container else 50, 1000)
    starts = zip(_audio_starts(before), _audio_starts(after), strict=False)
    for number, (was, now) in enumerate(starts):
        if abs(was - now) > slack:
            raise VerifyFailed(path, f"sound track {number} begins {float(now - was):+.3f} s off")


def _audio_starts(film: av.container.InputContainer) -> list[Fraction]:
    """Return the pts of the first packet of every audio track, in seconds, in stream order."""
    starts: dict[int, Fraction] = {}
    tracks = film.streams.audio
    for packet in film.demux(*tracks) if tracks else ():
        if packet.pts is not None:
            starts.setdefault(packet.stream.index, packet.pts * packet.time_base)
        if len(starts) == len(tracks):
            break
    return [starts[index] for index in sorted(starts)]


def _check_other_videos(source: VideoInfo, found: VideoInfo) -> None:
    """Raise ``VerifyFailed`` if the first packets of a copied video stream have other pts.

    Tolerance: a tick of the container with the longer ones.
    """
    if len(source.other_videos) != len(found.other_videos):
        return  # some were left out; _check_streams tells
    for was_index, now_index in zip(source.other_videos, found.other_videos, strict=True):
        was, was_tick = _first_stamps(source, was_index)
        now, now_tick = _first_stamps(found, now_index)
        slack = max(was_tick, now_tick)
        if any(abs(a - b) > slack for a, b in zip(was, now, strict=False)):
            raise VerifyFailed(found.path, f"the pictures of stream {now_index} have moved in time")


def _first_stamps(video: VideoInfo, index: int) -> tuple[list[Fraction], Fraction]:
    """Return the pts of a stream's first packets in seconds, in file order, and its time base."""
    with open_film(video.path, video.limits) as film:
        stream = film.streams[index]
        read = islice(film.demux(stream), _OTHER_PACKETS)
        stamps = [packet.pts * packet.time_base for packet in read if packet.pts is not None]
        return stamps, stream.time_base or Fraction(1)


def _check_streams(
    source: VideoInfo,
    found: VideoInfo,
    before: av.container.InputContainer,
    after: av.container.InputContainer,
) -> Iterator[str]:
    """Check that all other streams are there; yield a sentence for each one left out.

    Raises:
        VerifyFailed: a stream that the container can store is missing or altered.
    """
    # Containers differ in the languages and dispositions they can store.
    with_roles = source.container == found.container
    kept: list[Stream] = []
    left_out: list[Stream] = []
    for stream in before.streams:
        film = stream.index == source.stream_index
        cover = is_matroska_cover(stream, found.muxer)
        fits = film or cover or can_be_copied(stream, found.muxer)
        (kept if fits else left_out).append(stream)
    expected = [
        _stream_signature(s, film=s.index == source.stream_index, with_roles=with_roles)
        for s in kept
    ]
    present = [
        _stream_signature(s, film=s.index == found.stream_index, with_roles=with_roles)
        for s in after.streams
        if s.type != "data" or found.muxer == "mpegts"
    ]
    if expected != present:
        raise VerifyFailed(found.path, f"its streams are {present}, they were {expected}")
    # Data tracks that the muxer created again (time code, chapters) do not count as left out.
    remade = len(after.streams.data) if found.muxer in MOV_FAMILY else 0
    for stream in left_out:
        if stream.type == "data" and remade:
            remade -= 1
            continue
        kind = f"stream {stream.index} ({stream.type})"
        yield f"{kind} was left out: {found.muxer} cannot hold it"


def _stream_signature(stream: Stream, *, film: bool, with_roles: bool) -> tuple[str, ...]:
    """Return what must not change: type, codec (except of the film), language, name, disposition.

    Language and disposition are empty without ``with_roles``.
    """
    codec = (
        "" if film or stream.codec_context is None else stream.codec_context.codec.canonical_name
    )
    language = stream.metadata.get("language", "und") if with_roles else ""
    name = stream.metadata.get("filename", "")
    return (stream.type, codec, language, name, str(int(stream.disposition)) if with_roles else "")
