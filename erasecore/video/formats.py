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

_DEPTHS = (8, 9, 10, 12, 14, 16)
_CHROMA = {(0, 0): "444", (1, 0): "422", (1, 1): "420", (0, 1): "440", (2, 0): "411", (2, 2): "410"}


def planar_format(pix_fmt: str) -> str:
    """The name of the planar little-endian format in which ``pix_fmt`` is delivered."""
    form = av.VideoFormat(pix_fmt, 64, 64)
    if _is_plain(form):
        return form.name
    bits = next((depth for depth in _DEPTHS if depth >= form.components[0].bits), 16)
    depth = "" if bits == 8 else f"{bits}le"
    alpha = "a" if any(c.is_alpha for c in form.components) and not form.has_palette else ""
    colors = [c for c in form.components if not c.is_alpha]
    if form.is_rgb or form.has_palette or form.is_bayer or form.name.startswith("xyz"):
        return f"gbr{alpha}p{depth}"
    if len(colors) == 1:
        return f"gray{depth}"
    return f"yuv{alpha}{_CHROMA[_shifts(form)]}p{depth}"


def _is_plain(form: av.VideoFormat) -> bool:
    """Whether each colour has a plane of its own, 8 to 16 bits, the value in the low ones."""
    planes = [c.plane for c in form.components]
    odd = form.is_big_endian or form.has_palette or form.is_bayer or form.is_bit_stream
    high = "msb" in form.name or form.name.endswith(("f16le", "f32le"))
    deep = all(8 <= c.bits <= 16 for c in form.components)
    return deep and not odd and not high and len(set(planes)) == len(planes)


def _shifts(form: av.VideoFormat) -> tuple[int, int]:
    """How far the second colour is reduced, as powers of two; of a form 64 pixels wide and high."""
    colors = [c for c in form.components if not c.is_alpha]
    chroma = colors[min(1, len(colors) - 1)]
    return (64 // chroma.width).bit_length() - 1, (64 // chroma.height).bit_length() - 1


def layout_of(pix_fmt: str, *, full_range: bool, matrix: int = 1, transfer: int = 1) -> PlaneLayout:
    """The layout in which frames of the planar format ``pix_fmt`` are seen."""
    form = av.VideoFormat(pix_fmt, 64, 64)
    colors = [c for c in form.components if not c.is_alpha]
    shift_x, shift_y = _shifts(form)
    return PlaneLayout(
        pix_fmt=form.name,
        bits=form.components[0].bits,
        shift_x=shift_x,
        shift_y=shift_y,
        planes=len(colors),
        full_range=full_range or form.name.startswith("yuvj") or form.is_rgb,
        rgb=form.is_rgb,
        matrix=matrix,
        transfer=transfer,
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
    """A view of one plane, ``(H, W)``, its padding left out."""
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
