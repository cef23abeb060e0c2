"""Pixel formats: which planar format a film's frames are delivered in, and their plane views.

Frames are worked on in planes. Formats that are not planar are turned into the nearest planar one:
``nv12`` into ``yuv420p`` and the like only separate interleaved samples and lose nothing; packed
RGB becomes ``gbrp`` (the same samples, separated; no colour matrix is applied); palette formats
become ``gbrp`` too. Alpha planes of planar formats stay in the picture, unseen and unchanged.
"""

from __future__ import annotations

from typing import cast

import av
import numpy as np

from erasecore.video.color import Plane, PlaneLayout, Planes

_PLANAR = {
    "nv12": "yuv420p",
    "nv21": "yuv420p",
    "nv16": "yuv422p",
    "nv24": "yuv444p",
    "nv42": "yuv444p",
    "yuyv422": "yuv422p",
    "uyvy422": "yuv422p",
    "yvyu422": "yuv422p",
    "uyyvyy411": "yuv411p",
    "p010le": "yuv420p10le",
    "p010be": "yuv420p10le",
    "p012le": "yuv420p12le",
    "p016le": "yuv420p16le",
    "p210le": "yuv422p10le",
    "p216le": "yuv422p16le",
    "p410le": "yuv444p10le",
    "p416le": "yuv444p16le",
    "y210le": "yuv422p10le",
    "v30xle": "yuv444p10le",
    "xv30le": "yuv444p10le",
    "x2rgb10le": "gbrp10le",
    "x2bgr10le": "gbrp10le",
    "rgb48le": "gbrp16le",
    "rgb48be": "gbrp16le",
    "bgr48le": "gbrp16le",
    "rgba64le": "gbrap16le",
    "rgba64be": "gbrap16le",
    "rgba": "gbrap",
    "argb": "gbrap",
    "bgra": "gbrap",
    "abgr": "gbrap",
    "ya8": "gray",
    "monow": "gray",
    "monob": "gray",
}


def planar_format(pix_fmt: str) -> str:
    """The name of the planar little-endian format in which ``pix_fmt`` is delivered."""
    if pix_fmt in _PLANAR:
        return _PLANAR[pix_fmt]
    form = av.VideoFormat(pix_fmt, 16, 16)
    if form.is_big_endian and (form.is_planar or len(form.components) == 1):
        return planar_format(pix_fmt.removesuffix("be") + "le")
    plain = form.is_planar or form.name.startswith("gray")
    if plain and not form.is_bayer and _one_component_a_plane(form):
        return form.name
    return "gbrp"


def layout_of(pix_fmt: str, *, full_range: bool) -> PlaneLayout:
    """The layout in which frames of the planar format ``pix_fmt`` are seen."""
    form = av.VideoFormat(pix_fmt, 64, 64)
    colors = [c for c in form.components if not c.is_alpha]
    chroma = colors[1] if len(colors) > 1 else colors[0]
    return PlaneLayout(
        pix_fmt=form.name,
        bits=form.components[0].bits,
        shift_x=(64 // chroma.width).bit_length() - 1,
        shift_y=(64 // chroma.height).bit_length() - 1,
        planes=len(colors),
        full_range=full_range or form.name.startswith("yuvj") or form.is_rgb,
        rgb=form.is_rgb,
    )


def views(picture: av.VideoFrame, layout: PlaneLayout, *, writable: bool = False) -> Planes:
    """Numpy views of the picture's colour planes, without copying.

    Args:
        picture: in ``layout.pix_fmt``.
        layout: how its planes lie.
        writable: whether the views may be written to; only for pictures that nobody else holds.

    Returns:
        One array per colour plane, true width and height, uint8 or (above 8 bits) uint16. They keep
        the picture's memory alive.
    """
    return tuple(_view(picture, index, layout, writable=writable) for index in range(layout.planes))


def _view(picture: av.VideoFrame, index: int, layout: PlaneLayout, *, writable: bool) -> Plane:
    plane = picture.planes[index]
    kind: np.dtype[np.uint8] | np.dtype[np.uint16]
    kind = np.dtype(np.uint8) if layout.bits == 8 else np.dtype("<u2")
    rows, columns = layout.plane_size(index, picture.width, picture.height)
    step = abs(plane.line_size) // kind.itemsize
    whole = np.frombuffer(memoryview(plane), dtype=kind).reshape(-1, step)
    if plane.line_size < 0:  # stored bottom row first
        whole = whole[::-1]
    view = cast(Plane, whole[:rows, :columns])
    view.setflags(write=writable)
    return view


def _one_component_a_plane(form: av.VideoFormat) -> bool:
    planes = [c.plane for c in form.components]
    in_depth = all(8 <= c.bits <= 16 for c in form.components)
    return in_depth and len(set(planes)) == len(planes) and "f" not in form.name[-5:]
