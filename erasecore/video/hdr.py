"""HDR10 static metadata as encoder parameters, so that the bitstream carries it too."""

from __future__ import annotations

from fractions import Fraction

from erasecore.video.probe import Mastering, VideoInfo


def x265_hdr(video: VideoInfo, display_key: str, light_key: str) -> dict[str, str]:
    """Return mastering display and content light level as parameters of x265 or x264.

    Integers in SMPTE ST 2086 units: chromaticity 0.00002, luminance 0.0001 cd/m2.

    Args:
        video: the film.
        display_key: parameter name of the mastering display; x265 and x264 differ in it.
        light_key: parameter name of the content light level.
    """
    params = {}
    if video.mastering is not None:
        display = video.mastering
        points = "".join(
            f"{name}({_in_units(x, 50_000)},{_in_units(y, 50_000)})"
            for name, (x, y) in _named_points(display)
        )
        luminance = (
            f"L({_in_units(display.brightest, 10_000)},{_in_units(display.darkest, 10_000)})"
        )
        params[display_key] = points + luminance
    if video.light is not None:
        params[light_key] = f"{video.light.brightest_pixel},{video.light.brightest_average}"
    return params


def svt_hdr(video: VideoInfo) -> dict[str, str]:
    """Return mastering display and content light level as parameters of SVT-AV1 (decimals)."""
    params = {}
    if video.mastering is not None:
        display = video.mastering
        points = "".join(
            f"{name}({float(x):.5f},{float(y):.5f})" for name, (x, y) in _named_points(display)
        )
        luminance = f"L({float(display.brightest):.4f},{float(display.darkest):.4f})"
        params["mastering-display"] = points + luminance
    if video.light is not None:
        light = video.light
        params["content-light"] = f"{light.brightest_pixel},{light.brightest_average}"
    return params


def _named_points(display: Mastering) -> tuple[tuple[str, tuple[Fraction, Fraction]], ...]:
    """Return the primaries and the white point, named and ordered as the encoders write them."""
    return (("G", display.green), ("B", display.blue), ("R", display.red), ("WP", display.white))


def _in_units(value: Fraction, units_per_one: int) -> int:
    """Return ``value`` as a whole number of units, rounded."""
    return round(value * units_per_one)
