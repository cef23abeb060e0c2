"""From native planes to the RGB that networks know, and back.

Any planar layout: 8 to 16 bits, reduced or full-size colour, limited or full range, gray, RGB, HDR.
Values are float32; planes count in 8-bit levels of their own range, RGB from 0 to 255.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from erasecore.engines.diffueraser import tone_mapping
from erasecore.model.inpaint_input import Floats
from erasecore.video.color import PlaneLayout

FINE = 257
"""Steps of one 8-bit level in pictures of 16 bits: what is painted keeps a film's own depth."""
_PEAK = np.float32(255)
_DARK, _LUMA_SPAN, _COLOUR_SPAN = 16, 219, 224  # of limited range, in 8-bit levels
_YCGCO = 8
_LUMA_SHARES = {  # FFmpeg's number of the matrix: what red and blue give to luma
    1: (0.2126, 0.0722),  # Rec. 709
    4: (0.30, 0.11),  # FCC
    5: (0.299, 0.114),  # Rec. 601, 625 lines
    6: (0.299, 0.114),  # Rec. 601, 525 lines
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # Rec. 2020
    10: (0.2627, 0.0593),  # Rec. 2020, constant luminance: near enough for what is made up
}


def to_rgb(planes: tuple[Floats, ...], layout: PlaneLayout) -> Floats:
    """The picture as RGB for ordinary screens, ``(H, W, 3)``; beyond 0 to 255 it is clipped.

    Args:
        planes: luma ``(H, W)`` and the colour planes, in 8-bit levels.
        layout: how they lie.
    """
    signal = np.clip(_signal(planes, layout), np.float32(0), np.float32(1))
    return tone_mapping.tone_map(signal, layout.transfer) * _PEAK


def _signal(planes: tuple[Floats, ...], layout: PlaneLayout) -> Floats:
    """The film's own RGB, 0 to 1 and a little beyond."""
    if layout.rgb:
        green, blue, red = planes
        return np.stack([red, green, blue], axis=-1) / _peak(layout)
    luma = (planes[0] - _floor(layout)) / _luma_span(layout)
    if len(planes) == 1:
        return np.repeat(luma[..., None], 3, axis=-1)
    colours = [_full_size(plane, luma.shape, layout) for plane in planes[1:]]
    signal = np.stack([luma, *((c - 128) / _colour_span(layout) for c in colours)], axis=-1)
    return np.asarray(signal @ np.linalg.inv(_matrix(layout.matrix)).T.astype(np.float32))


def from_rgb(rgb: Floats, layout: PlaneLayout) -> tuple[Floats, ...]:
    """The picture's planes in 8-bit levels; reduced colours are the mean of what they cover.

    Args:
        rgb: ``(H, W, 3)``, 0 to 255.
        layout: how the planes are to lie.
    """
    stored = tone_mapping.inverse_tone_map(rgb / _PEAK, layout.transfer)
    if layout.rgb:
        red, green, blue = np.moveaxis(stored * _peak(layout), -1, 0)
        return green, blue, red
    signal = stored @ _matrix(layout.matrix).T.astype(np.float32)
    luma = signal[..., 0] * _luma_span(layout) + _floor(layout)
    if layout.planes == 1:
        return (luma,)
    colours = [block_mean(signal[..., k] * _colour_span(layout) + 128, layout) for k in (1, 2)]
    return luma, *colours


def block_mean(plane: Floats, layout: PlaneLayout) -> Floats:
    """The mean under each colour sample; at an odd border the last column or row counts twice."""
    rows, columns = 1 << layout.shift_y, 1 << layout.shift_x
    height, width = plane.shape
    padded = np.pad(plane, ((0, -height % rows), (0, -width % columns)), mode="edge")
    blocks = padded.reshape(padded.shape[0] // rows, rows, padded.shape[1] // columns, columns)
    return np.asarray(blocks.mean(axis=(1, 3)), np.float32)


def _full_size(plane: Floats, shape: tuple[int, ...], layout: PlaneLayout) -> Floats:
    rows, columns = plane.shape
    size = (columns << layout.shift_x, rows << layout.shift_y)
    large = cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(large[: shape[0], : shape[1]], np.float32)


@cache
def _matrix(number: int) -> Floats:
    """From R, G, B to luma and the two colours (0 to 1, and -0.5 to 0.5), ``(3, 3)``."""
    if number == _YCGCO:
        rows = [[0.25, 0.5, 0.25], [-0.25, 0.5, -0.25], [0.5, 0.0, -0.5]]
        return np.array(rows, np.float32)
    red, blue = _LUMA_SHARES.get(number, _LUMA_SHARES[1])
    luma = np.array([red, 1 - red - blue, blue])
    of_blue = (np.array([0.0, 0.0, 1.0]) - luma) / (2 * (1 - blue))
    of_red = (np.array([1.0, 0.0, 0.0]) - luma) / (2 * (1 - red))
    return np.stack([luma, of_blue, of_red]).astype(np.float32)


def _peak(layout: PlaneLayout) -> np.float32:
    """The largest sample in 8-bit levels: 255, 255.75 at 10 bits, 255.94 at 12."""
    return np.float32(layout.peak / layout.scale)


def _floor(layout: PlaneLayout) -> np.float32:
    return np.float32(0 if layout.full_range else _DARK)


def _luma_span(layout: PlaneLayout) -> np.float32:
    return _peak(layout) if layout.full_range else np.float32(_LUMA_SPAN)


def _colour_span(layout: PlaneLayout) -> np.float32:
    return _peak(layout) if layout.full_range else np.float32(_COLOUR_SPAN)
