"""Pixel formats: the planar format in which frames are processed, and numpy views of its planes.

Formats that are not planar are converted to the nearest planar one. ``nv12`` to ``yuv420p`` and the
like only de-interleave samples and lose nothing; packed RGB becomes ``gbrp`` (same samples, no
colour matrix), and so do palette formats. Alpha planes of planar formats stay in the frame
unchanged, without a view.
"""

from __future__ import annotations

from typing import cast

import av
import numpy as np

from erasecore.video.color import Plane, PlaneLayout, Planes

_DEPTHS = (8, 9, 10, 12, 14, 16)  # bits per sample of FFmpeg's planar formats
# (shift_x, shift_y) -> chroma subsampling in FFmpeg's format names.
_CHROMA_NAMES = {
    (0, 0): "444",
    (1, 0): "422",
    (1, 1): "420",
    (0, 1): "440",
    (2, 0): "411",
    (2, 2): "410",
}


def planar_format(pix_fmt: str) -> str:
    """Return the planar little-endian pixel format in which frames of ``pix_fmt`` are processed."""
    form = av.VideoFormat(pix_fmt, 64, 64)
    if _is_native_planar(form):
        return form.name
    bits = next((depth for depth in _DEPTHS if depth >= form.components[0].bits), 16)
    depth = "" if bits == 8 else f"{bits}le"
    alpha = "a" if any(c.is_alpha for c in form.components) and not form.has_palette else ""
    colors = [c for c in form.components if not c.is_alpha]
    if form.is_rgb or form.has_palette or form.is_bayer or form.name.startswith("xyz"):
        return f"gbr{alpha}p{depth}"
    if len(colors) == 1:
        return f"gray{depth}"
    return f"yuv{alpha}{_CHROMA_NAMES[_shifts(form)]}p{depth}"


def _is_native_planar(form: av.VideoFormat) -> bool:
    """Return True if each component has its own plane of 8 to 16 bits, value in the low bits."""
    planes = [c.plane for c in form.components]
    odd = form.is_big_endian or form.has_palette or form.is_bayer or form.is_bit_stream
    high = "msb" in form.name or form.name.endswith(("f16le", "f32le"))
    deep = all(8 <= c.bits <= 16 for c in form.components)
    return deep and not odd and not high and len(set(planes)) == len(planes)


def _shifts(form: av.VideoFormat) -> tuple[int, int]:
    """Return log2 of the chroma subsampling (x, y); ``form`` must be 64 x 64 pixels."""
    colors = [c for c in form.components if not c.is_alpha]
    chroma = colors[min(1, len(colors) - 1)]
    return (64 // chroma.width).bit_length() - 1, (64 // chroma.height).bit_length() - 1


def layout_of(pix_fmt: str, *, full_range: bool, matrix: int = 1, transfer: int = 1) -> PlaneLayout:
    """Return the plane layout of the planar format ``pix_fmt``.

    ``yuvj`` and RGB formats are full range in any case. ``matrix`` and ``transfer`` as in
    :class:`PlaneLayout`.
    """
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
    """Return numpy views of the frame's colour planes, without copying.

    Args:
        picture: in ``layout.pix_fmt``.
        layout: gives depth, subsampling and number of planes.
        writable: allow writing; only for frames to which nobody else holds a reference.

    Returns:
        One ``(H, W)`` array per colour plane, without padding; uint8, or uint16 above 8 bits, range
        ``[0, layout.peak]``. They keep the frame's memory alive.
    """
    return tuple(_view(picture, index, layout, writable=writable) for index in range(layout.planes))


def _view(picture: av.VideoFrame, index: int, layout: PlaneLayout, *, writable: bool) -> Plane:
    """Return a view of one plane, ``(H, W)``, uint8 or uint16, without row padding."""
    plane = picture.planes[index]
    kind: np.dtype[np.uint8] | np.dtype[np.uint16]
    kind = np.dtype(np.uint8) if layout.bits == 8 else np.dtype("<u2")
    rows, columns = layout.plane_size(index, picture.width, picture.height)
    stride = abs(plane.line_size) // kind.itemsize
    padded = np.frombuffer(memoryview(plane), dtype=kind).reshape(-1, stride)
    if plane.line_size < 0:  # bottom row first
        padded = padded[::-1]
    view = cast(Plane, padded[:rows, :columns])
    view.setflags(write=writable)
    return view
