"""Films of seldom kinds come out as they went in: aspect, tags, fields, streams, reel names."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from daemon.config.locations import InboxSettings
from daemon.inbox.scanner import Rules
from erasecore.errors import UnknownCodec, VerifyFailed
from erasecore.report_builder import film_warnings
from erasecore.settings import LimitSettings
from erasecore.video.assemble import assemble
from erasecore.video.hevc_fields import SEI_PREFIX, PictureStruct, pic_structs
from erasecore.video.mpegts import Program, has_arrival_times, programs_of
from erasecore.video.probe import probe
from erasecore.video.reader import FrameReader
from erasecore.video.verify import verify
from tests.clips import ffmpeg
from tests.media.film_kinds import KINDS, Kind, drawn, kind_of
from tests.media.journeys import QUICK, Journey, encode, look, travel


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drawn film that all kinds are made of, small."""
    return drawn(tmp_path_factory.mktemp("drawn"), 160, 96)


@pytest.fixture
def journey_of(tmp_path: Path, small: Path) -> JourneyOf:
    """Makes a film of a kind and sends it through ``erasecore.video``."""
    return JourneyOf(tmp_path, small)


class JourneyOf:
    """Makes films of a kind in ``folder`` and sends them through ``erasecore.video``."""

    def __init__(self, folder: Path, source: Path) -> None:
        self.folder, self._source = folder, source

    def make(self, kind: Kind) -> Path:
        """A film of this kind."""
        path = self.folder / kind.file
        kind.make(self._source, path)
        return path

    def __call__(self, file: str) -> Journey:
        """The journey of the film of this name, in three segments with odd borders."""
        return travel(self.make(kind_of(file)), self.folder)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.file)
def test_every_kind_passes_its_check(kind: Kind, journey_of: JourneyOf) -> None:
    """The check before publication compares all that must be kept, and finds it."""
    journey = journey_of(kind.file)
    before, after = journey.source, journey.video
    assert len(journey.verified.timeline) == len(journey.timeline)
    assert after.sample_aspect == before.sample_aspect
    assert after.orientation == before.orientation
    assert after.top_field_first == before.top_field_first or before.codec != after.codec


@pytest.mark.parametrize("file", ["vp8.webm", "vp9.mkv", "h264.mkv", "mpeg4.mkv"])
def test_matroska_says_how_wide_a_picture_is_shown(file: str, journey_of: JourneyOf) -> None:
    """DisplayWidth and DisplayHeight stand in the result's header, even if the codec says it too.

    FFmpeg can read the header again from its first byte to its last.
    """
    journey = journey_of(file)
    head = journey.result.read_bytes()[:4096]
    assert b"\x54\xb0" in head  # DisplayWidth
    assert b"\x54\xba" in head  # DisplayHeight
    ffmpeg("-xerror", "-i", journey.result, "-c", "copy", "-f", "null", "-")


def ebml_children(data: bytes, start: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """The elements that fill ``data[start:stop]`` without a gap: id, begin, begin of content."""
    while start < stop:
        size_at = start + 9 - data[start].bit_length()
        octets = 9 - data[size_at].bit_length()
        body = size_at + octets
        size = int.from_bytes(data[size_at:body], "big") & (1 << 7 * octets) - 1
        yield data[start:size_at], start, body
        start = body + size
    assert start == stop


@pytest.mark.parametrize("file", ["vp8.webm", "vp9.webm", "vp9.mkv", "h264.mkv"])
def test_every_element_is_where_the_header_says(file: str, journey_of: JourneyOf) -> None:
    """Elements follow each other up to the last byte, and SeekHead's positions lead to them."""
    data = journey_of(file).result.read_bytes()
    segment = next(body for name, _, body in ebml_children(data, 0, len(data)) if name[0] == 0x18)
    top = {at - segment: name for name, at, _ in ebml_children(data, segment, len(data))}
    begin = min(at for at, name in top.items() if name == b"\x11\x4d\x9b\x74")
    content = next(
        body for _, at, body in ebml_children(data, segment, len(data)) if at == segment + begin
    )
    stop = min(at for at in top if at > begin) + segment
    seeks = [body for name, _, body in ebml_children(data, content, stop) if name == b"\x4d\xbb"]
    assert seeks
    for seek in seeks:
        size = data[seek - 1] & 0x7F
        fields = list(ebml_children(data, seek, seek + size))
        values = [
            data[body:after]
            for (_, _, body), after in zip(
                fields, [*(at for _, at, _ in fields[1:]), seek + size], strict=True
            )
        ]
        wanted, position = values
        assert top[int.from_bytes(position, "big")] == wanted


def test_seeking_works_after_the_header_was_completed(journey_of: JourneyOf) -> None:
    """What moved in the header is found by the positions in SeekHead, Cues by theirs."""
    journey = journey_of("vp9.mkv")
    with av.open(str(journey.result)) as film:
        film.seek(1_200_000)
        first = next(film.decode(video=0))
        assert first.time is not None
        assert first.time <= 1.2
        assert film.duration == 1_520_000


def test_avi_says_how_wide_a_picture_is_shown(journey_of: JourneyOf) -> None:
    """The vprp chunk is there, and nothing behind the header has moved."""
    journey = journey_of("huff.avi")
    data = journey.result.read_bytes()
    assert b"vprp" in data[:8192]
    assert int.from_bytes(data[4:8], "little") == len(data) - 8
    assert journey.video.sample_aspect == Fraction(16, 11)


def test_every_kind_is_taken_from_the_inbox() -> None:
    """By its extension; what is no film, such as a GIF, is left, and named in the status."""
    rules = Rules(InboxSettings())
    assert all(rules.film(kind.file) for kind in KINDS)
    assert all(rules.film(name) for name in ("a.asf", "b.DIVX", "c.rmvb", "d.rm", "e.m2v", "f.wtv"))
    assert not any(rules.film(name) for name in ("a.gif", "b.m3u8", "c.txt"))


@pytest.mark.parametrize("constant", [False, True])
def test_sound_in_avi_has_its_length(constant: bool, journey_of: JourneyOf) -> None:
    """MP3, by frames as FFmpeg stores it or by bytes as older programs do: as many, as long."""
    film = journey_of.make(kind_of("mp3.avi"))
    with av.open(str(film)) as before:
        frames = before.streams.audio[0].frames
    if constant:
        film.write_bytes(by_bytes(film.read_bytes()))
    result = travel(film, journey_of.folder).result
    assert stamps(result, 1) == pytest.approx([k * 0.024 for k in range(frames)], abs=1e-6)
    assert len(sound_of(result)) == frames
    with av.open(str(result)) as after:
        assert after.streams.audio[0].frames == frames
        assert after.duration == pytest.approx(1_520_000, abs=40_000)


def test_adpcm_in_avi_keeps_its_times(journey_of: JourneyOf) -> None:
    """The duration of its blocks is not what FFmpeg makes of the bit rate in their header."""
    journey = journey_of("adpcm.avi")
    assert sound_of(journey.result) == sound_of(journey.source.path)
    before = stamps(journey.source.path, 1)
    assert stamps(journey.result, 1) == pytest.approx(before, rel=2e-5)


def by_bytes(data: bytes) -> bytes:
    """An AVI whose MP3 sound is said to be 16,000 blocks of one byte a second (VirtualDub)."""
    head = bytearray(data)
    strh = head.index(b"strh", head.index(b"auds") - 8) + 8
    rate = struct.unpack_from("<I", head, head.index(b"strf", strh) + 8 + 8)[0]
    frames = struct.unpack_from("<I", head, strh + 32)[0]
    struct.pack_into("<II", head, strh + 20, 1, rate)  # scale, rate
    struct.pack_into("<I", head, strh + 32, frames * rate * 24 // 1000)  # length
    struct.pack_into("<I", head, strh + 44, 1)  # sample size
    struct.pack_into("<H", head, head.index(b"strf", strh) + 8 + 12, 1)  # block align
    return bytes(head)


@pytest.mark.parametrize(
    ("file", "tag"), [("hev1.mp4", "hvc1"), ("hvc1.mov", "hvc1"), ("av1.mp4", "av01")]
)
def test_apple_plays_what_we_write(file: str, tag: str, journey_of: JourneyOf) -> None:
    """HEVC is tagged hvc1, whatever the source's tag was; AV1 is av01."""
    with av.open(str(journey_of(file).result)) as film:
        assert film.streams.video[0].codec_context.codec_tag == tag


def stamps(path: Path, stream: int) -> list[float]:
    """When each packet of one stream is shown, in seconds, in file order."""
    with av.open(str(path)) as film:
        packets = film.demux(film.streams[stream])
        return [float(p.pts * p.time_base) for p in packets if p.pts is not None]


def sound_of(path: Path) -> list[bytes]:
    """The packets of the first sound track."""
    with av.open(str(path)) as film:
        return [bytes(packet) for packet in film.demux(film.streams.audio[0]) if packet.size]


def test_a_second_video_is_copied_and_told(journey_of: JourneyOf) -> None:
    """Its stamps are its own, B-frames and all, and the report says that it was not searched."""
    journey = journey_of("two.mkv")
    assert stamps(journey.result, 1) == stamps(journey_of.folder / "two.mkv", 1)
    assert journey.source.other_videos == (1,)
    (warning,) = film_warnings(journey.source)
    assert "stream 1 is a second video" in warning


def test_a_second_video_that_moved_in_time_is_missed(journey_of: JourneyOf) -> None:
    """The check compares the stamps of copied videos, too."""
    film = journey_of.make(kind_of("two.mkv"))
    video, timeline = look(film)
    bad = journey_of.folder / "bad.mkv"
    moved = "setts=pts=PTS+200*gte(N\\,9):dts=DTS"
    ffmpeg("-i", film, "-map", "0", "-c", "copy", "-bsf:v:1", moved, bad)
    with pytest.raises(VerifyFailed, match="stream 1 have moved"):
        verify(video, bad, timeline)


def test_several_programs_are_kept(journey_of: JourneyOf) -> None:
    """Each stream belongs to the program that it came with; every table of the result says so."""
    journey = journey_of("programs.ts")
    assert [program.number for program in journey.source.programs] == [7, 9]
    assert [len(program.pids) for program in journey.source.programs] == [2, 2]
    assert journey.video.programs == journey.source.programs
    assert journey.verified.left_out == ()
    ffmpeg("-xerror", "-i", journey.result, "-map", "0:p:9", "-c", "copy", "-f", "null", "-")
    data = np.frombuffer(journey.result.read_bytes(), np.uint8).reshape(-1, 188)
    tables = data[(data[:, 1] == 0x40) & (data[:, 2] == 0)]
    assert len({bytes(table[4:]) for table in tables}) == 1
    assert [b"One" in p.service for p in programs_of(journey.result)] == [True, False]


def test_programs_that_do_not_fit_are_told(journey_of: JourneyOf) -> None:
    """Tables larger than a packet are left as they are, and the check says what became of them."""
    film = journey_of.make(kind_of("programs.ts"))
    video, timeline = look(film)
    many = tuple(Program(number, frozenset({number})) for number in range(100, 150))
    parts = encode(video, timeline, journey_of.folder, segments=1, settings=QUICK)
    video = replace(video, programs=many)
    assemble(video, parts, timeline, journey_of.folder / "result.ts")
    (sentence,) = verify(video, journey_of.folder / "result.ts", timeline).left_out
    assert "50 programs became one" in sentence


def test_a_camera_s_packets_keep_their_arrival_times(journey_of: JourneyOf) -> None:
    """AVCHD players want packets of 192 bytes; a plain transport stream stays plain."""
    assert has_arrival_times(journey_of("film.m2ts").result)
    assert not has_arrival_times(journey_of("programs.ts").result)


def test_endings_are_kept_where_they_fit(journey_of: JourneyOf) -> None:
    """ASF and DivX films keep their names."""
    assert journey_of("film.asf").result.suffix == ".asf"
    assert journey_of("film.divx").result.suffix == ".divx"


def test_the_reel_keeps_its_name(journey_of: JourneyOf) -> None:
    """The time code track that the muxer makes anew names the reel."""
    with av.open(str(journey_of("reel.mov").result)) as film:
        (track,) = film.streams.data
        assert track.metadata["reel_name"] == "A001C002"
        assert track.metadata["timecode"] == "01:02:03:04"


@pytest.mark.parametrize(
    ("file", "struct"),
    [
        ("fields.ts", PictureStruct.TOP_FIELD),
        ("fields.mkv", PictureStruct.BOTTOM_FIELD),
        ("hev1.mp4", PictureStruct.PROGRESSIVE),
    ],
)
def test_interlaced_hevc_says_so(file: str, struct: PictureStruct, journey_of: JourneyOf) -> None:
    """Fields stay fields, by turns across segments of odd lengths; frames keep their order."""
    journey = journey_of(file)
    assert journey.source.picture_struct is journey.video.picture_struct is struct
    is_fields = struct in (PictureStruct.TOP_FIELD, PictureStruct.BOTTOM_FIELD)
    with av.open(str(journey.result)) as film:
        assert all(frame.interlaced_frame is is_fields for frame in film.decode(video=0))


def test_the_structure_of_pictures_is_read_from_their_messages() -> None:
    """pic_struct is the first four bits of a pic_timing message, with either kind of NAL units."""
    message = bytes([SEI_PREFIX << 1, 1, 1, 2, 0x30, 0x80, 0x80])
    other = bytes([SEI_PREFIX << 1, 1, 0, 1, 0xFF, 0x80])
    start, size = b"\x00\x00\x01", len(message).to_bytes(4, "big")
    for packet, annex_b in ((start + other + start + message, True), (size + message, False)):
        assert list(pic_structs(packet, annex_b=annex_b)) == [3]


def test_lost_fields_are_missed(journey_of: JourneyOf) -> None:
    """A result whose fields would be shown as whole pictures does not pass."""
    film = journey_of.make(kind_of("fields.ts"))
    video, timeline = look(film)
    plain = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none")
    bad = journey_of.folder / "bad.ts"
    ffmpeg("-i", film, "-copyts", *plain, "-muxdelay", "0", "-muxpreload", "0", bad)
    with pytest.raises(VerifyFailed, match="picture structure"):
        verify(video, bad, timeline)


def test_the_planes_of_rgb_are_encoded_alike(journey_of: JourneyOf) -> None:
    """Blue and red, which x264 takes for chroma, lose no more than green, as the check wants."""
    journey = journey_of("cinepak.avi")
    errors = np.zeros(3)
    with FrameReader(journey.source) as before, FrameReader(journey.video) as after:
        for was, now in zip(before, after, strict=True):
            pairs = zip(was.planes, now.planes, strict=True)
            errors += [float(np.mean((a.astype(float) - b) ** 2)) for a, b in pairs]
    green, blue, red = errors / len(journey.timeline)
    assert max(blue, red) < green


@pytest.mark.parametrize("codec", ["zmbv", "zlib", "flashsv"])
def test_codecs_that_films_do_not_use_are_not_decoded(
    codec: str, tmp_path: Path, small: Path
) -> None:
    """Neither ours nor FFmpeg's own probing opens their decoders; the sentence names the codec."""
    film = tmp_path / "film.avi"
    ffmpeg("-i", small, "-c:v", codec, film)
    with pytest.raises(UnknownCodec, match=codec):
        probe(film, LimitSettings())


def test_sound_is_copied_without_a_decoder(tmp_path: Path, small: Path) -> None:
    """Packets of sound in a transport stream come through, byte for byte."""
    sound = ("-f", "lavfi", "-i", "sine=d=1.5:r=48000")
    for codec in ("mp2", "ac3", "aac", "libopus"):
        film = tmp_path / f"{codec}.ts"
        ffmpeg("-i", small, *sound, "-c:v", "mpeg2video", "-q:v", "3", "-c:a", codec, film)
        result = travel(film, tmp_path, segments=1).result
        assert sound_of(result) == sound_of(film)


def test_a_result_is_assembled_without_room_in_its_header(tmp_path: Path, small: Path) -> None:
    """A square-pixel film's header is left as FFmpeg wrote it."""
    video, timeline = look(small)
    parts = encode(video, timeline, tmp_path, segments=1, settings=QUICK)
    assemble(video, parts, timeline, tmp_path / "result.mkv")
    assert b"\x54\xb0" not in (tmp_path / "result.mkv").read_bytes()[:4096]
