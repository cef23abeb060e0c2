"""Conversion between the film's native planes and RGB for the diffusion model.

Handles every planar layout: 8 to 16 bits, subsampled or full chroma, limited or full range, gray,
RGB, HDR. Values are float32; planes count in 8-bit levels of their own range, RGB from 0 to 255.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from erasecore.engines.diffueraser import tone_mapping
from erasecore.model.inpaint_input import Floats
from erasecore.video.color import PlaneLayout

U16_PER_LEVEL = 257
"""16-bit steps per 8-bit level (65535 / 255): results have 16 bits, to keep a film's own depth."""
_PEAK = np.float32(255)  # 8-bit levels; white in RGB
_BLACK = 16  # 8-bit levels; luma of black in limited range (Rec. 709)
_LUMA_SPAN = 219  # 8-bit levels; black to white in limited range
_COLOUR_SPAN = 224  # 8-bit levels; range of a chroma sample in limited range
_YCGCO = 8  # matrix coefficients of YCgCo (ITU-T H.273)
_LUMA_WEIGHTS = {  # matrix coefficients (ITU-T H.273): weights of red and blue in luma
    1: (0.2126, 0.0722),  # Rec. 709
    4: (0.30, 0.11),  # FCC
    5: (0.299, 0.114),  # Rec. 601, 625 lines
    6: (0.299, 0.114),  # Rec. 601, 525 lines
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # Rec. 2020
    10: (0.2627, 0.0593),  # Rec. 2020 constant luminance: approximated, enough for generated pixels
}


def to_rgb(planes: tuple[Floats, ...], layout: PlaneLayout) -> Floats:
    """Convert planes to SDR RGB, float32 ``(H, W, 3)``, clipped to 0..255.

    Args:
        planes: luma ``(H, W)`` and the colour planes ``(h, w)``, in 8-bit levels.
        layout: their layout.
    """
    signal = np.clip(_signal(planes, layout), np.float32(0), np.float32(1))
    return tone_mapping.tone_map(signal, layout.transfer) * _PEAK


def _signal(planes: tuple[Floats, ...], layout: PlaneLayout) -> Floats:
    """Return the film's own non-linear RGB ``(H, W, 3)``, 0 to 1, not clipped."""
    if layout.rgb:
        green, blue, red = planes
        return np.stack([red, green, blue], axis=-1) / _peak(layout)
    luma = (planes[0] - _black(layout)) / _luma_span(layout)
    if len(planes) == 1:
        return np.repeat(luma[..., None], 3, axis=-1)
    colours = [_upsample(plane, luma.shape, layout) for plane in planes[1:]]
    signal = np.stack([luma, *((c - 128) / _colour_span(layout) for c in colours)], axis=-1)
    return np.asarray(signal @ np.linalg.inv(_matrix(layout.matrix)).T.astype(np.float32))


def from_rgb(rgb: Floats, layout: PlaneLayout) -> tuple[Floats, ...]:
    """Convert SDR RGB to planes in 8-bit levels; subsampled chroma is the mean of its block.

    Args:
        rgb: float32 ``(H, W, 3)``, 0 to 255.
        layout: layout of the result.
    """
    stored = tone_mapping.inverse_tone_map(rgb / _PEAK, layout.transfer)
    if layout.rgb:
        red, green, blue = np.moveaxis(stored * _peak(layout), -1, 0)
        return green, blue, red
    signal = stored @ _matrix(layout.matrix).T.astype(np.float32)
    luma = signal[..., 0] * _luma_span(layout) + _black(layout)
    if layout.planes == 1:
        return (luma,)
    colours = [block_mean(signal[..., k] * _colour_span(layout) + 128, layout) for k in (1, 2)]
    return luma, *colours


def block_mean(plane: Floats, layout: PlaneLayout) -> Floats:
    """Downsample a plane ``(H, W)`` to the chroma size by block means: float32 ``(h, w)``.

    With an odd size the last row or column counts twice.
    """
    rows, columns = 1 << layout.shift_y, 1 << layout.shift_x
    height, width = plane.shape
    padded = np.pad(plane, ((0, -height % rows), (0, -width % columns)), mode="edge")
    blocks = padded.reshape(padded.shape[0] // rows, rows, padded.shape[1] // columns, columns)
    return np.asarray(blocks.mean(axis=(1, 3)), np.float32)


def _upsample(plane: Floats, shape: tuple[int, ...], layout: PlaneLayout) -> Floats:
    """Upsample a colour plane to the luma's ``shape`` by bilinear interpolation."""
    rows, columns = plane.shape
    size = (columns << layout.shift_x, rows << layout.shift_y)
    large = cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(large[: shape[0], : shape[1]], np.float32)


@cache
def _matrix(coefficients: int) -> Floats:
    """Return the matrix from RGB to luma (0 to 1) and chroma (-0.5 to 0.5), float32 ``(3, 3)``.

    Args:
        coefficients: matrix coefficients (ITU-T H.273); unknown ones count as Rec. 709.
    """
    if coefficients == _YCGCO:
        rows = [[0.25, 0.5, 0.25], [-0.25, 0.5, -0.25], [0.5, 0.0, -0.5]]
        return np.array(rows, np.float32)
    red, blue = _LUMA_WEIGHTS.get(coefficients, _LUMA_WEIGHTS[1])
    luma = np.array([red, 1 - red - blue, blue])
    of_blue = (np.array([0.0, 0.0, 1.0]) - luma) / (2 * (1 - blue))
    of_red = (np.array([1.0, 0.0, 0.0]) - luma) / (2 * (1 - red))
    return np.stack([luma, of_blue, of_red]).astype(np.float32)


def _peak(layout: PlaneLayout) -> np.float32:
    """Return the largest sample in 8-bit levels: 255, 255.75 at 10 bits, 255.94 at 12."""
    return np.float32(layout.peak / layout.scale)


def _black(layout: PlaneLayout) -> np.float32:
    """Return the luma of black, in 8-bit levels."""
    return np.float32(0 if layout.full_range else _BLACK)


def _luma_span(layout: PlaneLayout) -> np.float32:
    """Return the luma range from black to white, in 8-bit levels."""
    return _peak(layout) if layout.full_range else np.float32(_LUMA_SPAN)


def _colour_span(layout: PlaneLayout) -> np.float32:
    """Return the range of a chroma sample, in 8-bit levels."""
    return _peak(layout) if layout.full_range else np.float32(_COLOUR_SPAN)
