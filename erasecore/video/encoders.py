"""Choice of the video encoder and its options: by default the source's own codec and bit depth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import av
import av.codec

from erasecore.errors import WrongContainer
from erasecore.settings import PRESETS, Codec, EncodeSettings
from erasecore.video.containers import muxer_takes_encoder
from erasecore.video.formats import planar_format
from erasecore.video.hdr import svt_hdr, x265_hdr
from erasecore.video.hevc_fields import PictureStruct
from erasecore.video.probe import VideoInfo
from erasecore.video_endings import RESULT_ENDINGS

# Codec name as FFmpeg decodes it -> name of FFmpeg's encoder for it.
_ENCODER_BY_CODEC = {
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
# Muxer -> encoders for codecs that FFmpeg only decodes; elsewhere libx264, then mpeg4.
_FALLBACK_ENCODERS = {"asf": ("wmv2",), "webm": ("libvpx-vp9",)}
# Encoders of FFmpeg without a CRF mode: quality is set by a constant quantiser (qmin = qmax).
_QUANTISER_ENCODERS = {
    "mpeg1video", "mpeg2video", "mpeg4", "msmpeg4", "msmpeg4v2", "wmv1", "wmv2", "flv", "h263",
    "mjpeg",
}  # fmt: skip
# The index of a preset in ``PRESETS`` selects from the speed tables below.
_SVT_SPEED = (12, 11, 10, 9, 8, 6, 5, 4, 3, 2)  # SVT-AV1's preset, 0 slowest to 13; guess
_VPX_SPEED = (8, 7, 6, 5, 5, 4, 2, 1, 0, 0)  # libvpx's cpu-used, 0 slowest to 8; guess
_PRORES_PROFILES = {"Proxy": 0, "LT": 1, "Standard": 2, "HQ": 3, "4444": 4, "XQ": 5}  # prores_ks
# Muxers for which no B-frames are made: AVI stores no presentation times, and FLV no decoding times
# below zero, which B-frames need in a film that begins at zero.
_NO_B_FRAMES = ("avi", "flv")
_X264_RGB_OFFSET = -3
"""x264's chroma-qp-offset for RGB, where blue and red are coded as chroma, in quantiser steps.
Measured on a drawn film at crf 16, squared errors: green 6.3; blue and red 7.2 at 0, 4.2 at -3."""
_LEAN_LOOKAHEAD = "10"  # frames; guess: x264's default is 40
_FORCED_KEYFRAME_ENCODERS = {"libx264", "libx264rgb"}  # scenecut is off, we place the keyframes
_INTERLACED_ENCODERS = {"libx264", "mpeg2video", "mpeg4", "prores_ks", "ffv1"}  # take field flags


@dataclass(frozen=True, slots=True)
class EncoderPlan:
    """Encoder and all its parameters; a function of film and settings alone."""

    encoder: str  # FFmpeg's name
    pix_fmt: str  # the encoder's input format
    rate: Fraction  # frames per second for rate control; assemble sets the true timestamps
    options: dict[str, str]
    gop_frames: int  # largest distance between two keyframes
    interlaced: bool
    forces_keyframes: bool = False  # keyframes at our cuts, not at the encoder's scene detection


def plan_encoder(
    video: VideoInfo, settings: EncodeSettings, *, first_frame: int = 0, lean: bool = False
) -> EncoderPlan:
    """Return the encoder for the result of ``video``, with all its options.

    Args:
        video: the source film.
        settings: codec, quality, preset and threads.
        first_frame: index in the film of the first frame that is encoded.
        lean: save memory with a short lookahead; the encoder holds each frame of it.
    """
    encoder = choose_encoder(video, settings)
    options = _options(encoder, video, settings)
    if encoder == "libx265":
        options["x265-params"] += _x265_fields(video.picture_struct, first_frame)
    return EncoderPlan(
        encoder=encoder,
        pix_fmt=_nearest_format(encoder, video.layout.pix_fmt),
        rate=_nearest_rate(encoder, video.rate),
        options=_with_short_lookahead(encoder, options) if lean else options,
        gop_frames=min(250, max(12, round(video.rate * 10))),
        interlaced=video.top_field_first is not None and encoder in _INTERLACED_ENCODERS,
        forces_keyframes=encoder in _FORCED_KEYFRAME_ENCODERS,
    )


def choose_encoder(video: VideoInfo, settings: EncodeSettings) -> str:
    """Return the name of the encoder for the configured codec.

    ``Codec.SOURCE``: the source's own codec, or a fallback where FFmpeg cannot encode it or the
    container cannot store it.
    """
    if settings.codec is not Codec.SOURCE:
        return _rgb_variant(video, _ENCODER_BY_CODEC[settings.codec.value])
    same_codec = _rgb_variant(video, _ENCODER_BY_CODEC.get(video.codec, "libx264"))
    usual = _rgb_variant(video, "libx264")
    fallbacks = _FALLBACK_ENCODERS.get(video.muxer, (usual, "mpeg4"))
    candidates = (same_codec, *fallbacks) if video.codec in _ENCODER_BY_CODEC else fallbacks
    return next(
        (encoder for encoder in candidates if muxer_takes_encoder(video.muxer, encoder)), same_codec
    )


def fit_container(video: VideoInfo, settings: EncodeSettings) -> VideoInfo:
    """Return ``video``, with Matroska as the result's container if its own cannot store the codec.

    The codec is that of :func:`choose_encoder`. MPEG-PS takes MPEG-1 and -2 only: it has stamps for
    few pictures, from which readers cannot tell the order of others.
    """
    if _fits(video, settings):
        return video
    return replace(video, muxer="matroska", suffix=".mkv")


def in_container(video: VideoInfo, settings: EncodeSettings, ending: str) -> VideoInfo:
    """Return ``video`` with the container of the result that ``ending`` stands for.

    Raises:
        WrongContainer: that container cannot store the codec.
    """
    video = replace(video, muxer=RESULT_ENDINGS[ending], suffix=ending)
    if not _fits(video, settings):
        raise WrongContainer(video.path, choose_encoder(video, settings), ending)
    return video


def _fits(video: VideoInfo, settings: EncodeSettings) -> bool:
    """Return True if the result's container can store its codec."""
    encoder = choose_encoder(video, settings)
    fits = video.muxer != "vob" or encoder in ("mpeg1video", "mpeg2video")
    return fits and muxer_takes_encoder(video.muxer, encoder)


def _rgb_variant(video: VideoInfo, encoder: str) -> str:
    """Return ``libx264rgb`` in place of ``libx264`` for films stored as RGB."""
    return "libx264rgb" if encoder == "libx264" and video.layout.rgb else encoder


def _nearest_format(encoder: str, wanted: str) -> str:
    """Return the encoder's pixel format that loses least against ``wanted``."""
    offered = [str(form.name) for form in av.codec.Codec(encoder, "w").video_formats or ()]
    if not offered or wanted in offered:
        return wanted
    plain = wanted.replace("yuvj", "yuv")
    if plain in offered:
        return plain
    form = av.VideoFormat(wanted, 64, 64)
    nearest: str = min(offered, key=lambda name: _format_loss(form, av.VideoFormat(name, 64, 64)))
    return nearest


def _format_loss(wanted: av.VideoFormat, other: av.VideoFormat) -> tuple[int, ...]:
    """Return a sort key for what ``other`` loses against ``wanted``, worst loss first.

    In order: colour model, chroma or palette, chroma subsampling, bit depth, layout, unneeded
    depth, unneeded chroma resolution, number of components.
    """
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
    """Return the frame rate nearest to ``rate`` that the encoder accepts.

    MPEG-1/2 have a fixed list; the MPEG-4 family stores 16-bit time increments.
    """
    offered = av.codec.Codec(encoder, "w").frame_rates
    if offered and encoder in ("mpeg1video", "mpeg2video"):
        legal = [r for r in (Fraction(str(o)) for o in offered) if 23 < r < 61]
        return min(legal, key=lambda r: abs(r - rate))
    if encoder in ("mpeg4", "msmpeg4", "msmpeg4v2", "h263", "flv", "wmv1", "wmv2"):
        return rate if rate.numerator <= 65535 else rate.limit_denominator(60)
    return rate


def _options(encoder: str, video: VideoInfo, settings: EncodeSettings) -> dict[str, str]:
    """Return the encoder's own options for the configured quality and preset."""
    if encoder in _QUANTISER_ENCODERS:
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


def _with_short_lookahead(encoder: str, options: dict[str, str]) -> dict[str, str]:
    """Return ``options`` with a short lookahead (x264, x265); the stream headers stay the same."""
    if encoder in ("libx264", "libx264rgb"):
        return options | {"rc-lookahead": _LEAN_LOOKAHEAD}
    if encoder == "libx265":
        params = f"{options['x265-params']}:rc-lookahead={_LEAN_LOOKAHEAD}"
        return options | {"x265-params": params}
    return options


def _preset_speed(preset: str, table: tuple[int, ...]) -> int:
    """Return the table's entry for an x264 preset name."""
    return table[PRESETS.index(preset)]


def _quantiser_options(settings: EncodeSettings) -> dict[str, str]:
    """Return a constant quantiser, 1 to 31: 2 (nearly lossless) at crf 16, plus 1 per 6 crf."""
    quantiser = str(min(31, max(1, round((settings.crf - 4) / 6))))
    # No B-frames: they save little at this quality, and AVI stores no presentation times for them.
    return {"qmin": quantiser, "qmax": quantiser, "b": "200M", "bf": "0"}


def _x264_options(video: VideoInfo, settings: EncodeSettings) -> dict[str, str]:
    # Erased text lets x264 take a flash for a scene cut and give the frames before it few bits; so
    # its scene detection is off and writer.py forces keyframes at the cuts that we detected.
    params = ["open-gop=0", "scenecut=0"]
    if video.top_field_first is not None:  # else x264 begins with its default, top first
        params.append("tff=1" if video.top_field_first else "bff=1")
    if video.layout.rgb:
        params.append(f"chroma-qp-offset={_X264_RGB_OFFSET}")
    if video.mastering is not None and video.codec == "h264":
        params += [f"{k}={v}" for k, v in x265_hdr(video, "mastering-display", "cll").items()]
    options = {"preset": settings.preset, "crf": f"{settings.crf:g}"}
    if video.muxer in _NO_B_FRAMES:
        options["bf"] = "0"
    return options | {"x264-params": ":".join(params)}


def _x265_options(video: VideoInfo, settings: EncodeSettings) -> dict[str, str]:
    params = {
        "log-level": "none",
        "info": "0",  # no version SEI: headers must be the same in every segment
        "repeat-headers": "0",
        "open-gop": "0",
    }
    params |= x265_hdr(video, "master-display", "max-cll")
    if settings.threads:
        params["pools"] = str(settings.threads)
    if video.muxer in _NO_B_FRAMES:
        params["bframes"] = "0"
    joined = ":".join(f"{key}={value}" for key, value in params.items())
    return {"preset": settings.preset, "crf": f"{settings.crf:g}", "x265-params": joined}


def _x265_fields(struct: PictureStruct, first_frame: int) -> str:
    """Return the parameter with which x265 says of each picture which field it is.

    It takes its pictures, counted from 0, for fields by turns. It cannot say that frames are
    interlaced.
    """
    if struct in (PictureStruct.TOP_FIELD, PictureStruct.BOTTOM_FIELD):
        top = (struct is PictureStruct.TOP_FIELD) == (first_frame % 2 == 0)
        return ":interlace=tff" if top else ":interlace=bff"
    return ""


def _svt_options(video: VideoInfo, settings: EncodeSettings) -> dict[str, str]:
    params = svt_hdr(video)
    if settings.threads:
        params["lp"] = str(settings.threads)
    options = {
        "preset": str(_preset_speed(settings.preset, _SVT_SPEED)),
        "crf": str(min(63, round(settings.crf) + 4)),  # its scale is 0 to 63, x264's 0 to 51; guess
    }
    joined = ":".join(f"{key}={value}" for key, value in params.items())
    return options | ({"svtav1-params": joined} if joined else {})


def _vpx_options(video: VideoInfo, settings: EncodeSettings) -> dict[str, str]:
    vp9 = video.codec == "vp9"
    options = {
        "deadline": "good",
        "cpu-used": str(_preset_speed(settings.preset, _VPX_SPEED)),
        "crf": str(max(4, min(63, round(settings.crf) + (4 if vp9 else -8)))),
        "b": "0" if vp9 else "100M",  # VP8's constrained quality needs a maximum bit rate
    }
    return options | ({"row-mt": "1"} if vp9 else {"qmin": "0", "auto-alt-ref": "0"})


def _prores_options(video: VideoInfo, settings: EncodeSettings) -> dict[str, str]:
    words = video.profile.split()  # e.g. "Apple ProRes 422 HQ"
    profile = _PRORES_PROFILES.get(words[-1] if words else "", 3)
    if video.stored_layout.shift_x == 0:  # 4:4:4 needs the profile 4444 or XQ
        profile = max(profile, 4)
    return {"profile": str(profile), "vendor": "apl0"}


def _dnx_options(video: VideoInfo, settings: EncodeSettings) -> dict[str, str]:
    if video.stored_layout.shift_x == 0:
        return {"profile": "dnxhr_444"}
    return {"profile": "dnxhr_hqx" if video.layout.bits > 8 else "dnxhr_hq"}
