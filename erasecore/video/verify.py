"""The last look at a result before it may be published: everything is there, and in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av.container
from av.stream import Stream

from erasecore.errors import InputError, VerifyFailed
from erasecore.settings import LimitSettings
from erasecore.video.containers import MOV_FAMILY
from erasecore.video.opening import open_film
from erasecore.video.probe import VideoInfo, probe
from erasecore.video.reader import Frame, FrameReader
from erasecore.video.streams import can_be_copied, is_matroska_cover
from erasecore.video.timeline import Timeline


@dataclass(frozen=True, slots=True)
class Verified:
    """A result that passed: what it is, and what of the source its container could not take."""

    video: VideoInfo
    timeline: Timeline
    left_out: tuple[str, ...]  # sentences


def verify(
    source: VideoInfo,
    result: Path,
    timeline: Timeline,
    *,
    on_frame: Callable[[Frame], None] | None = None,
) -> Verified:
    """The result's description, after it was decoded from the first frame to the last.

    Args:
        source: the film the result was made from.
        result: the file to check.
        timeline: the source's stamps.
        on_frame: is given every decoded frame of the result, in order; what it raises goes through.

    Raises:
        VerifyFailed: a frame, stamp, stream or tag is not what it was in the source.
    """
    try:
        found = replace(probe(result, _limits(source)), threads=source.threads)
    except InputError as error:
        raise VerifyFailed(result, str(error)) from error
    stamps = _decode(found, on_frame)
    left_out = tuple(_compare(source, found, timeline, stamps))
    return Verified(found, stamps, left_out)


def _limits(source: VideoInfo) -> LimitSettings:
    """The source's limits: its result is neither larger nor longer by more than rounding."""
    limits = source.limits
    return LimitSettings(
        max_width_px=limits.max_width_px,
        max_height_px=limits.max_height_px,
        max_streams=limits.max_streams + 1,
        max_hours=limits.max_hours * 1.01,
        max_frames=limits.max_frames + 1,
    )


def _decode(found: VideoInfo, on_frame: Callable[[Frame], None] | None) -> Timeline:
    """The result's stamps; every frame was decoded, and none is damaged."""
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
    """Sentences about what had to be left out, after everything that must agree was found to."""
    if len(stamps) != len(timeline):
        raise VerifyFailed(found.path, f"{len(stamps)} frames instead of {len(timeline)}")
    _same_stamps(source, found, timeline, stamps)
    _same_picture(source, found)
    with (
        open_film(source.path, source.limits) as before,
        open_film(found.path, _limits(source)) as after,
    ):
        _same_chapters(found.path, before, after)
        _same_sound_starts(found.path, before, after)
        yield from _same_streams(source, found, before, after)


def _same_stamps(source: VideoInfo, found: VideoInfo, timeline: Timeline, stamps: Timeline) -> None:
    """Exact where the result can say it; else within half a tick of the coarser time base."""
    exact = (source.time_base / found.time_base).denominator == 1
    slack = Fraction(0) if exact else found.time_base / 2
    for index, (was, now) in enumerate(zip(timeline.pts, stamps.pts, strict=True)):
        off = int(now) * found.time_base - int(was) * source.time_base
        if abs(off) > slack:
            raise VerifyFailed(
                found.path, f"frame {index} is shown {float(off):+.4f} s from its time"
            )


def _same_picture(source: VideoInfo, found: VideoInfo) -> None:
    """Size, shape, turn and colours must be the source's."""
    for name, was, now in (
        ("size", (source.width, source.height), (found.width, found.height)),
        ("sample aspect ratio", _aspect(source), _aspect(found)),
        ("rotation", source.rotation % 360, found.rotation % 360),
        ("colour range", source.layout.full_range, found.layout.full_range),
        ("colour primaries", source.color.primaries, found.color.primaries),
        ("colour transfer", source.color.transfer, found.color.transfer),
        ("colour matrix", source.color.matrix, found.color.matrix),
        ("mastering display", source.mastering is None, found.mastering is None),
        ("content light level", source.light, found.light),
    ):
        if was != now:
            raise VerifyFailed(found.path, f"its {name} is {now}, it was {was}")


def _aspect(video: VideoInfo) -> Fraction:
    return video.sample_aspect or Fraction(1)


def _same_chapters(
    path: Path, before: av.container.InputContainer, after: av.container.InputContainer
) -> None:
    """Titles must be the source's, and so must times, but for rounding."""
    was, now = before.chapters(), after.chapters()
    titles = [[c["metadata"].get("title", "") for c in chapters] for chapters in (was, now)]
    if titles[0] != titles[1]:
        raise VerifyFailed(path, f"{len(now)} chapters instead of {len(was)}")
    for a, b in zip(was, now, strict=True):
        base_a, base_b = a["time_base"] or Fraction(1), b["time_base"] or Fraction(1)
        if abs(a["start"] * base_a - b["start"] * base_b) > max(base_a, base_b):
            raise VerifyFailed(path, "a chapter has moved")


def _same_sound_starts(
    path: Path, before: av.container.InputContainer, after: av.container.InputContainer
) -> None:
    """Each sound track must begin when it did: lips and voices stay together."""
    same = before.format.name == after.format.name
    slack = Fraction(2 if same else 50, 1000)  # not every container can begin before zero
    starts = zip(_sound_starts(before), _sound_starts(after), strict=False)
    for number, (was, now) in enumerate(starts):
        if abs(was - now) > slack:
            raise VerifyFailed(path, f"sound track {number} begins {float(now - was):+.3f} s off")


def _sound_starts(film: av.container.InputContainer) -> list[Fraction]:
    """When the first packet of every sound track is played, in seconds."""
    starts: dict[int, Fraction] = {}
    tracks = film.streams.audio
    for packet in film.demux(*tracks) if tracks else ():
        if packet.pts is not None:
            starts.setdefault(packet.stream.index, packet.pts * packet.time_base)
        if len(starts) == len(tracks):
            break
    return [starts[index] for index in sorted(starts)]


def _same_streams(
    source: VideoInfo,
    found: VideoInfo,
    before: av.container.InputContainer,
    after: av.container.InputContainer,
) -> Iterator[str]:
    """Sentences about streams that the container cannot take; all others must be there."""
    roles = source.container == found.container  # each has its own words
    kept: list[Stream] = []
    left_out: list[Stream] = []
    for stream in before.streams:
        film = stream.index == source.stream_index
        cover = is_matroska_cover(stream, found.muxer)
        fits = film or cover or can_be_copied(stream, found.muxer)
        (kept if fits else left_out).append(stream)
    expected = [_facts(s, film=s.index == source.stream_index, roles=roles) for s in kept]
    present = [
        _facts(s, film=s.index == found.stream_index, roles=roles)
        for s in after.streams
        if s.type != "data" or found.muxer == "mpegts"
    ]
    if expected != present:
        raise VerifyFailed(found.path, f"its streams are {present}, they were {expected}")
    remade = len(after.streams.data) if found.muxer in MOV_FAMILY else 0  # time code, chapters
    for stream in left_out:
        if stream.type == "data" and remade:
            remade -= 1
            continue
        kind = f"stream {stream.index} ({stream.type})"
        yield f"{kind} was left out: {found.muxer} cannot hold it"


def _facts(stream: Stream, *, film: bool, roles: bool) -> tuple[str, ...]:
    """What must be the same of a stream, in words."""
    codec = (
        "" if film or stream.codec_context is None else stream.codec_context.codec.canonical_name
    )
    language = stream.metadata.get("language", "und") if roles else ""
    name = stream.metadata.get("filename", "")
    return (stream.type, codec, language, name, str(int(stream.disposition)) if roles else "")
