"""Which encoder, with which options, gives a result of the source's own kind."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import av
import av.codec

from erasecore.settings import Codec, EncodeSettings
from erasecore.video.containers import holds
from erasecore.video.formats import planar_format
from erasecore.video.hdr import svt_hdr, x265_hdr
from erasecore.video.probe import VideoInfo

_FAMILY = {
    "h264": "libx264",
    "hevc": "libx265",
    "av1": "libsvtav1",
    "vp9": "libvpx-vp9",
    "vp8": "libvpx",
    "mpeg1video": "mpeg1video",
    "mpeg2video": "mpeg2video",
    "mpeg4": "mpeg4",
    "msmpeg4v3": "msmpeg4",
    "msmpeg4v2": "msmpeg4v2",
    "wmv1": "wmv1",
    "wmv2": "wmv2",
    "flv1": "flv",
    "h263": "h263",
    "mjpeg": "mjpeg",
    "prores": "prores_ks",
    "dnxhd": "dnxhd",
    "ffv1": "ffv1",
    "huffyuv": "huffyuv",
    "ffvhuff": "ffvhuff",
    "utvideo": "utvideo",
    "magicyuv": "magicyuv",
    "qtrle": "qtrle",
    "png": "png",
    "v210": "v210",
    "rawvideo": "rawvideo",
}
# For codecs that can be read but not written, per container; the first that the container takes.
_OTHERWISE = {"asf": ("wmv2",), "webm": ("libvpx-vp9",)}
_QSCALE = {
    "mpeg1video", "mpeg2video", "mpeg4", "msmpeg4", "msmpeg4v2", "wmv1", "wmv2", "flv", "h263",
    "mjpeg",
}  # fmt: skip
_PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast",
    "medium", "slow", "slower", "veryslow", "placebo",
)  # fmt: skip
_SVT_SPEED = (12, 11, 10, 9, 8, 6, 5, 4, 3, 2)
_VPX_SPEED = (8, 7, 6, 5, 5, 4, 2, 1, 0, 0)
_PRORES = {"Proxy": 0, "LT": 1, "Standard": 2, "HQ": 3, "4444": 4, "XQ": 5}
_LEAN_LOOKAHEAD = "10"  # frames; usually 40 with x264
_TOLD_CUTS = {"libx264", "libx264rgb"}
_INTERLACED = {"libx264", "mpeg2video", "mpeg4", "prores_ks", "ffv1"}


@dataclass(frozen=True, slots=True)
class EncoderPlan:
    """One encoder, fully described; the same film and settings always give the same plan."""

    encoder: str
    pix_fmt: str
    rate: Fraction  # what the encoder is told; stamps are set right later
    options: dict[str, str]
    gop_frames: int
    interlaced: bool
    told_cuts: bool = False  # keyframes stand where it is told, not where it sees a cut


def plan_encoder(video: VideoInfo, settings: EncodeSettings, *, lean: bool = False) -> EncoderPlan:
    """The encoder for the result of ``video`` and everything it is told.

    ``lean``: it looks ahead less than it likes to; each frame it looks at is held in memory.
    """
    encoder = choose_encoder(video, settings)
    options = _options(encoder, video, settings)
    return EncoderPlan(
        encoder=encoder,
        pix_fmt=_nearest_format(encoder, video.layout.pix_fmt),
        rate=_nearest_rate(encoder, video.rate),
        options=_leaner(encoder, options) if lean else options,
        gop_frames=min(250, max(12, round(video.rate * 10))),
        interlaced=video.top_field_first is not None and encoder in _INTERLACED,
        told_cuts=encoder in _TOLD_CUTS,
    )


def choose_encoder(video: VideoInfo, settings: EncodeSettings) -> str:
    """The encoder of the asked-for codec, or of the source's own family."""
    if settings.codec is not Codec.SOURCE:
        return _rgb(video, _FAMILY[settings.codec.value])
    own = _rgb(video, _FAMILY.get(video.codec, "libx264"))
    others = _OTHERWISE.get(video.muxer, ("libx264", "mpeg4"))
    candidates = (own, *others) if video.codec in _FAMILY else others
    return next((encoder for encoder in candidates if holds(video.muxer, encoder)), own)


def fit_container(video: VideoInfo, settings: EncodeSettings) -> VideoInfo:
    """The same film, its result's container changed to Matroska if it cannot hold the codec."""
    if holds(video.muxer, choose_encoder(video, settings)):
        return video
    return replace(video, muxer="matroska", suffix=".mkv")


def _rgb(video: VideoInfo, encoder: str) -> str:
    return "libx264rgb" if encoder == "libx264" and video.layout.rgb else encoder


def _nearest_format(encoder: str, wanted: str) -> str:
    """The pixel format nearest to ``wanted`` that the encoder takes."""
    offered = [str(form.name) for form in av.codec.Codec(encoder, "w").video_formats or ()]
    if not offered or wanted in offered:
        return wanted
    plain = wanted.replace("yuvj", "yuv")
    if plain in offered:
        return plain
    form = av.VideoFormat(wanted, 64, 64)
    nearest: str = min(offered, key=lambda name: _distance(form, av.VideoFormat(name, 64, 64)))
    return nearest


def _distance(wanted: av.VideoFormat, other: av.VideoFormat) -> tuple[int, ...]:
    """How much ``other`` loses against ``wanted``, the gravest loss first."""
    a, b = wanted.components, other.components
    chroma = len(a) > 1
    return (
        int(wanted.is_rgb != other.is_rgb),
        int(other.has_palette) + int(chroma and len(b) < 3),
        int(chroma and len(b) > 1 and (b[1].width < a[1].width or b[1].height < a[1].height)),
        max(0, a[0].bits - b[0].bits),
        int(planar_format(other.name) != other.name and not other.is_rgb),
        abs(b[0].bits - a[0].bits),
        b[min(1, len(b) - 1)].width * b[min(1, len(b) - 1)].height,
        abs(len(a) - len(b)),
    )


def _nearest_rate(encoder: str, rate: Fraction) -> Fraction:
    offered = av.codec.Codec(encoder, "w").frame_rates
    if offered and encoder in ("mpeg1video", "mpeg2video"):
        legal = [r for r in (Fraction(str(o)) for o in offered) if 23 < r < 61]
        return min(legal, key=lambda r: abs(r - rate))
    if encoder in ("mpeg4", "msmpeg4", "msmpeg4v2", "h263", "flv", "wmv1", "wmv2"):
        return rate if rate.numerator <= 65535 else rate.limit_denominator(60)
    return rate


def _options(encoder: str, video: VideoInfo, settings: EncodeSettings) -> dict[str, str]:
    """What the encoder is told to give the quality that was asked for."""
    if encoder in _QSCALE:
        return _quantiser_options(settings)
    makers = {
        "libx264": _x264_options,
        "libx264rgb": _x264_options,
        "libx265": _x265_options,
        "libsvtav1": _svt_options,
        "libvpx-vp9": _vpx_options,
        "libvpx": _vpx_options,
        "prores_ks": _prores_options,
        "dnxhd": _dnx_options,
    }
    if encoder in makers:
        return makers[encoder](video, settings)
    return {"level": "3", "slicecrc": "1"} if encoder == "ffv1" else {}


def _leaner(encoder: str, options: dict[str, str]) -> dict[str, str]:
    """``options`` of an encoder that holds fewer frames; what players are told stays the same."""
    if encoder in ("libx264", "libx264rgb"):
        return options | {"rc-lookahead": _LEAN_LOOKAHEAD}
    if encoder == "libx265":
        params = f"{options['x265-params']}:rc-lookahead={_LEAN_LOOKAHEAD}"
        return options | {"x265-params": params}
    return options


def _speed(preset: str, table: tuple[int, ...]) -> int:
    return table[_PRESETS.index(preset)] if preset in _PRESETS else table[5]


def _quantiser_options(settings: EncodeSettings) -> dict[str, str]:
    """A constant quantiser: 2 (all but invisible) at crf 16, one more for every 6."""
    quantiser = str(min(31, max(1, round((settings.crf - 4) / 6))))
    # No B-frames: at this quality they save little, and AVI cannot say when they are shown.
    return {"qmin": quantiser, "qmax": quantiser, "b": "200M", "bf": "0"}


def _x264_options(video: VideoInfo, settings: EncodeSettings) -> dict[str, str]:
    # A flash behind letters is no cut to x264; behind the same letters erased it is, and the frames
    # before it are starved. Where the cuts are we know, and say so.
    params = ["open-gop=0", "scenecut=0"]
    if video.mastering is not None and video.codec == "h264":
        params += [f"{k}={v}" for k, v in x265_hdr(video, "mastering-display", "cll").items()]
    options = {"preset": settings.preset, "crf": f"{settings.crf:g}"}
    if video.muxer == "avi":  # its stamps cannot say that a frame is shown later than decoded
        options["bf"] = "0"
    return options | {"x264-params": ":".join(params)}


def _x265_options(video: VideoInfo, settings: EncodeSettings) -> dict[str, str]:
    params = {
        "log-level": "none",
        "info": "0",  # no version string: headers are the same in every segment
        "repeat-headers": "0",
        "open-gop": "0",
    }
    params |= x265_hdr(video, "master-display", "max-cll")
    if settings.threads:
        params["pools"] = str(settings.threads)
    if video.muxer == "avi":
        params["bframes"] = "0"
    joined = ":".join(f"{key}={value}" for key, value in params.items())
    return {"preset": settings.preset, "crf": f"{settings.crf:g}", "x265-params": joined}


def _svt_options(video: VideoInfo, settings: EncodeSettings) -> dict[str, str]:
    params = svt_hdr(video)
    if settings.threads:
        params["lp"] = str(settings.threads)
    options = {
        "preset": str(_speed(settings.preset, _SVT_SPEED)),
        "crf": str(min(63, round(settings.crf) + 4)),  # its scale is wider than x264's
    }
    joined = ":".join(f"{key}={value}" for key, value in params.items())
    return options | ({"svtav1-params": joined} if joined else {})


def _vpx_options(video: VideoInfo, settings: EncodeSettings) -> dict[str, str]:
    vp9 = video.codec == "vp9"
    options = {
        "deadline": "good",
        "cpu-used": str(_speed(settings.preset, _VPX_SPEED)),
        "crf": str(max(4, min(63, round(settings.crf) + (4 if vp9 else -8)))),
        "b": "0" if vp9 else "100M",  # VP8 has no quality mode without a ceiling
    }
    return options | ({"row-mt": "1"} if vp9 else {"qmin": "0", "auto-alt-ref": "0"})


def _prores_options(video: VideoInfo, settings: EncodeSettings) -> dict[str, str]:
    words = video.profile.split()
    profile = _PRORES.get(words[-1] if words else "", 3)
    if video.layout.shift_x == 0:
        profile = max(profile, 4)
    return {"profile": str(profile), "vendor": "apl0"}


def _dnx_options(video: VideoInfo, settings: EncodeSettings) -> dict[str, str]:
    if video.layout.shift_x == 0:
        return {"profile": "dnxhr_444"}
    return {"profile": "dnxhr_hqx" if video.layout.bits > 8 else "dnxhr_hq"}
