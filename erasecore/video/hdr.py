"""HDR10 facts in the words of the encoders, so that they stand in the bitstream too."""

from __future__ import annotations

from fractions import Fraction

from erasecore.video.probe import VideoInfo


def x265_hdr(video: VideoInfo, display_key: str, light_key: str) -> dict[str, str]:
    """Parameters for x265 (and x264, which differs in the keys only)."""
    words = {}
    if video.mastering is not None:
        m = video.mastering
        points = "".join(
            f"{name}({_steps(x, 50_000)},{_steps(y, 50_000)})"
            for name, (x, y) in (("G", m.green), ("B", m.blue), ("R", m.red), ("WP", m.white))
        )
        luminance = f"L({_steps(m.brightest, 10_000)},{_steps(m.darkest, 10_000)})"
        words[display_key] = points + luminance
    if video.light is not None:
        words[light_key] = f"{video.light.brightest_pixel},{video.light.brightest_average}"
    return words


def svt_hdr(video: VideoInfo) -> dict[str, str]:
    """Parameters for SVT-AV1."""
    words = {}
    if video.mastering is not None:
        m = video.mastering
        points = "".join(
            f"{name}({float(x):.5f},{float(y):.5f})"
            for name, (x, y) in (("G", m.green), ("B", m.blue), ("R", m.red), ("WP", m.white))
        )
        words["mastering-display"] = f"{points}L({float(m.brightest):.4f},{float(m.darkest):.4f})"
    if video.light is not None:
        light = video.light
        words["content-light"] = f"{light.brightest_pixel},{light.brightest_average}"
    return words


def _steps(value: Fraction, per_unit: int) -> int:
    return round(value * per_unit)
