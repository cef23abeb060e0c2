"""Filling a strip area by area: the picture by the engine, bars with what the bar is.

A strip that reaches over the edge of the picture is divided in time where the picture's rectangle
changes, and in space into the picture, the bars and the soft edge between them. The engine is given
the picture alone, so that motion, rings and sources end at its edge. A bar has one colour in each
frame: the median of what is seen of it. A row of a soft edge is a mix of the bar and the nearest
row of the picture, in proportions that are fitted where the row is seen (linear regression).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.engines.base import (
    Engine,
    Filled,
    FilledFrame,
    Origin,
    Tick,
    check_filled,
    tick_of_part,
)
from erasecore.model.boxes import area, clip_box
from erasecore.model.crop_stacks import CropStack
from erasecore.model.inpaint_input import (
    Bools,
    ContextCrop,
    Floats,
    InpaintInput,
    UnblendedPixels,
    reduce_mask,
)
from erasecore.model.picture_areas import PictureArea, area_at
from erasecore.video.color import Box, Plane, as_plane, plane_window

Window: TypeAlias = tuple[slice, slice]
"""Rows and columns of one plane."""
AnyPlane = TypeVar("AnyPlane", bound=NDArray[np.generic])

_RING_PX = 3  # pixels; around a hole, where letters may have left coding noise; guess
_SAMPLES = 12  # frames of a run that are examined; guess
_BAR_ERROR = 0.5  # 8-bit levels; expected error of a filled bar; guess
_EDGE_ERROR = 3.0  # 8-bit levels; of a filled soft edge; guess
_MOST_SAMPLES = 2000  # samples of a bar whose median is taken; guess
_MIN_THUMBNAIL_PX = 8  # pixels; smaller thumbnails are not cropped; guess
_MIN_VISIBLE = 24  # samples of a bar that must be seen in a frame, else other frames count; guess
_FLAT_LEVELS = 8.0  # 8-bit levels; a sample that differs by more from a bar's colour is not bar
_MIN_FLAT = 0.7  # of the visible samples that must have a bar's colour, else it is none; guess
_LEAST_ENERGY = 4.0  # squared 8-bit levels a sample; with less contrast a mix cannot be fitted


@dataclass(frozen=True, slots=True)
class AreaRun:
    """Frames ``[start, stop)`` of a strip with one picture rectangle.

    Boxes are in luma pixels of the strip, in whole chroma samples.

    Attributes:
        start: first frame of the strip.
        stop: first frame after the run.
        picture: what the engine fills; may be empty.
        edge: ``picture`` and its soft edge; all outside is bar.
        in_frame: the picture in pixels of the frame; ``None`` if it fills the frame.
    """

    start: int
    stop: int
    picture: Box
    edge: Box
    in_frame: Box | None = None

    def bars(self, size: tuple[int, int]) -> tuple[Box, Box, Box, Box]:
        """Return the bars on the left, top, right and bottom of a strip of ``size``; some empty."""
        height, width = size
        left, top, right, bottom = self.edge
        if not area(self.edge):
            return (0, 0, 0, 0), (0, 0, width, height), (0, 0, 0, 0), (0, 0, 0, 0)
        return (
            (0, top, left, bottom),
            (0, 0, width, top),
            (right, top, width, bottom),
            (0, bottom, width, height),
        )


def area_runs(crop: CropStack) -> tuple[AreaRun, ...]:
    """Return the runs that a crop's frames are divided into, in order; neighbours differ."""
    areas = [shown for shown in crop.picture_areas if shown.start < crop.stop]
    borders = {border for shown in areas for border in (shown.start, shown.stop)}
    inner = sorted(border for border in borders if crop.start < border < crop.stop)
    runs: list[AreaRun] = []
    for start, stop in itertools.pairwise([crop.start, *inner, crop.stop]):
        run = _run_of(area_at(areas, start), crop, start, stop)
        if runs and replace(run, start=runs[-1].start, stop=runs[-1].stop) == runs[-1]:
            run = replace(run, start=runs.pop().start)
        runs.append(run)
    return tuple(runs)


def _run_of(shown: PictureArea | None, crop: CropStack, start: int, stop: int) -> AreaRun:
    """Return the run of the film frames ``[start, stop)``, in which ``shown`` is the picture."""
    height, width = crop.size
    span, whole = (start - crop.start, stop - crop.start), (0, 0, width, height)
    local = None if shown is None else shown.within(crop.box)
    if shown is None or local is None or local.box == whole:
        return AreaRun(*span, whole, whole)
    step_x, step_y = 1 << crop.layout.shift_x, 1 << crop.layout.shift_y
    left, top, right, bottom = local.box
    picture = clip_box(
        (
            -(-left // step_x) * step_x,
            -(-top // step_y) * step_y,
            right if right == width else right // step_x * step_x,
            bottom if bottom == height else bottom // step_y * step_y,
        ),
        crop.size,
    )
    if not area(picture):
        return AreaRun(*span, (0, 0, 0, 0), (0, 0, 0, 0), shown.box)
    left, top, right, bottom = local.edge_box
    edge = (
        left // step_x * step_x,
        top // step_y * step_y,
        min(width, -(-right // step_x) * step_x),
        min(height, -(-bottom // step_y) * step_y),
    )
    return AreaRun(*span, picture, edge, shown.box)


def fill_strip(engine: Engine, strip: InpaintInput, runs: Sequence[AreaRun], tick: Tick) -> Filled:
    """Return new samples for the holes of a strip, each area filled from its own pixels.

    Args:
        engine: fills the picture.
        strip: frames and holes.
        runs: of its frames, from ``area_runs``.
        tick: progress callback.

    Raises:
        EngineMisbehaved: the engine's result does not fit its input.
    """
    frames: list[FilledFrame] = []
    for run in runs:
        first, last = max(run.start, strip.fill_start), min(run.stop, strip.fill_stop)
        if first >= last:
            continue
        part = tick_of_part(tick, run.start / strip.frames, run.stop / strip.frames)
        own = _cut_out(strip, run)
        height, width = own.masks.shape[1:]
        whole = (0, 0, width, height)
        areas = None if run.picture == whole else _AreaFill(own, run)
        if areas is None or not areas.has_bars:
            frames += _engine_fill(engine, own, part)
        else:
            frames += areas.fill(engine, part)
    return Filled(tuple(frames))


def _engine_fill(engine: Engine, strip: InpaintInput, tick: Tick) -> tuple[FilledFrame, ...]:
    filled = engine.fill(strip, None, tick)
    check_filled(engine.traits.name, strip, filled)
    return filled.frames


def _cut_out(strip: InpaintInput, run: AreaRun) -> InpaintInput:
    """Return the frames of ``run``; the strip itself if these are all."""
    if run.start == 0 and run.stop == strip.frames:
        return strip
    span = slice(run.start, run.stop)
    context = strip.context
    return replace(
        strip,
        planes=tuple(stack[span] for stack in strip.planes),
        mask_of=strip.mask_of[span],
        fill_start=max(0, strip.fill_start - run.start),
        fill_stop=min(run.stop, strip.fill_stop) - run.start,
        cuts=tuple(cut - run.start for cut in strip.cuts if run.start < cut < run.stop),
        thumbnails=strip.thumbnails[span],
        seen_through={
            frame - run.start: seen
            for frame, seen in strip.seen_through.items()
            if run.start <= frame < run.stop
        },
        context=None if context is None else _context_of(context, span),
    )


def _context_of(context: ContextCrop, span: slice) -> ContextCrop:
    texts = tuple(
        replace(text, start=text.start - span.start, stop=text.stop - span.start)
        for text in context.texts
    )
    planes = tuple(stack[span] for stack in context.planes)
    return replace(context, planes=planes, texts=texts)


def _cropped(strip: InpaintInput, run: AreaRun) -> InpaintInput:
    """Return the picture of a strip whose frames are those of ``run``."""
    left, top, right, bottom = run.picture
    windows = [plane_window(run.picture, index, strip.layout) for index in range(len(strip.planes))]
    seen_through = {
        frame: UnblendedPixels(
            tuple(plane[window] for plane, window in zip(seen.planes, windows, strict=True)),
            seen.mask[windows[0]],
            seen.error,
        )
        for frame, seen in strip.seen_through.items()
    }
    context = strip.context
    if context is not None:
        context = replace(context, left=context.left + left, top=context.top + top)
    return replace(
        strip,
        planes=tuple(
            stack[:, window[0], window[1]]
            for stack, window in zip(strip.planes, windows, strict=True)
        ),
        masks=strip.masks[:, top:bottom, left:right],
        thumbnails=_cropped_thumbnails(strip, run.in_frame),
        seen_through=seen_through,
        context=context,
    )


def _cropped_thumbnails(strip: InpaintInput, box: Box | None) -> Floats:
    """Return the thumbnails without bars, which would hold the camera's motion still."""
    if box is None:
        return strip.thumbnails
    scale = strip.thumbnail_scale
    left, top = (int(np.ceil(side / scale)) for side in box[:2])
    right, bottom = (int(side / scale) for side in box[2:])
    if right - left < _MIN_THUMBNAIL_PX or bottom - top < _MIN_THUMBNAIL_PX:
        return strip.thumbnails
    return np.ascontiguousarray(strip.thumbnails[:, top:bottom, left:right])


@dataclass(frozen=True, slots=True)
class _SoftEdge:
    """Lines between the picture and one bar in one plane; columns of it are lines if ``upright``.

    Attributes:
        side: number of the bar: left, top, right, bottom.
        upright: True at the left and the right side.
        inner: nearest line of the picture.
        lines: from there outwards.
        along: extent of the lines.
        shares: float64 ``(lines,)``; share of the picture's line in each of them, 0 to 1.
    """

    side: int
    upright: bool
    inner: int
    lines: range
    along: slice
    shares: NDArray[np.float64]


class _AreaFill:
    """Fills the frames of one run, in which there are bars.

    Args:
        strip: the run's frames.
        run: its rectangles.
    """

    def __init__(self, strip: InpaintInput, run: AreaRun) -> None:
        self._strip, self._run = strip, run
        layout, planes = strip.layout, range(len(strip.planes))
        self._holes = [_per_plane(mask, strip) for mask in strip.masks]
        hidden = [_per_plane(_with_ring(mask), strip) for mask in strip.masks]
        self._visible = [tuple(~plane for plane in each) for each in hidden]
        bars = run.bars((strip.masks.shape[1], strip.masks.shape[2]))
        self._bars = [[plane_window(bar, index, layout) for index in planes] for bar in bars]
        self._colours = [self._bar_colours(windows) for windows in self._bars]
        self._edges = [list(self._soft_edges(plane)) for plane in planes] if self.has_bars else []

    @property
    def has_bars(self) -> bool:
        """False if what was taken for bars is not flat in this strip, or is never seen."""
        return all(colours is not None for colours in self._colours)

    def fill(self, engine: Engine, tick: Tick) -> Iterator[FilledFrame]:
        """Yield the new samples of each frame of the fill span."""
        strip = self._strip
        first, last = strip.fill_start, strip.fill_stop
        inner: Sequence[FilledFrame | None] = [None] * (last - first)
        if area(self._run.picture):
            picture = _cropped(strip, self._run)
            if picture.masks[strip.mask_of[first:last]].any():
                inner = _engine_fill(engine, picture, tick)
        for frame, filled in zip(range(first, last), inner, strict=True):
            yield self._merged(frame, filled)

    def _merged(self, frame: int, inner: FilledFrame | None) -> FilledFrame:
        """Return the samples of one frame's hole, given those of the picture."""
        strip = self._strip
        holes = self._holes[strip.mask_of[frame]]
        samples = []
        for plane, hole in enumerate(holes):
            values = strip.planes[plane][frame].astype(np.float32)
            picture = plane_window(self._run.picture, plane, strip.layout)
            if inner is not None:
                values[picture][hole[picture]] = inner.planes[plane]
            for windows, colours in zip(self._bars, self._colours, strict=True):
                if colours is not None:
                    values[windows[plane]][hole[windows[plane]]] = colours[frame, plane]
            for edge in self._edges[plane]:
                self._fill_edge(edge, frame, plane, values)
            samples.append(as_plane(values[hole], strip.layout))
        return self._with_origin(tuple(samples), holes[0], inner)

    def _with_origin(
        self, samples: tuple[Plane, ...], hole: Bools, inner: FilledFrame | None
    ) -> FilledFrame:
        """Return the samples with their origin and expected error."""
        origin = np.full(hole.shape, Origin.INVENTED, np.uint8)
        error = np.full(hole.shape, _EDGE_ERROR, np.float16)
        for windows in self._bars:
            error[windows[0]] = _BAR_ERROR
        picture = plane_window(self._run.picture, 0, self._strip.layout)
        if inner is not None:
            origin[picture][hole[picture]] = inner.origin
            error[picture][hole[picture]] = inner.error
        return FilledFrame(samples, origin[hole], error[hole])

    # -- bars --------------------------------------------------------------------------------

    def _bar_colours(self, windows: Sequence[Window]) -> Floats | None:
        """Return a bar's colour in each frame and plane, float32 ``(T, P)``, in the native depth.

        ``None`` if the bar is not flat, or not seen in any frame; zeros for an empty bar.
        """
        strip = self._strip
        if not strip.planes[0][0][windows[0]].size:
            return np.zeros((strip.frames, len(strip.planes)), np.float32)
        colours, flat = self._medians(windows, whole=False)
        if not flat:  # a mask may hide all of a bar; most of it is bar all the same
            colours, flat = self._medians(windows, whole=True)
        if not flat or np.median(flat) < _MIN_FLAT:
            return None
        known = np.flatnonzero(~np.isnan(colours[:, 0]))
        nearest = np.abs(np.arange(strip.frames)[:, None] - known).argmin(axis=1)
        return np.asarray(colours[known[nearest]], np.float32)

    def _medians(self, windows: Sequence[Window], *, whole: bool) -> tuple[Floats, list[float]]:
        """Return a bar's median in each frame and plane, and the shares that are near it.

        Args:
            windows: of the bar, for each plane.
            whole: count what holes hide, too.

        Returns:
            float32 ``(T, P)``, NaN in frames in which too little is seen; and a share of the luma
            samples for each of the others.
        """
        strip = self._strip
        colours = np.full((strip.frames, len(strip.planes)), np.nan, np.float32)
        flat = []
        for frame in range(strip.frames):
            seen = [
                self._seen(frame, plane, window, whole=whole)
                for plane, window in enumerate(windows)
            ]
            if min(samples.size for samples in seen) < _MIN_VISIBLE:
                continue
            colours[frame] = [np.median(samples) for samples in seen]
            apart = np.abs(seen[0] - colours[frame, 0]) / np.float32(strip.layout.scale)
            flat.append(float((apart <= _FLAT_LEVELS).mean()))
        return colours, flat

    def _seen(self, frame: int, plane: int, window: Window, *, whole: bool) -> Floats:
        """Return visible samples of a window, at most some thousands, as float32 ``(n,)``.

        Args:
            frame: of the strip.
            plane: number of the plane.
            window: in the plane.
            whole: return hidden samples, too.
        """
        samples = self._strip.planes[plane][frame][window]
        if not whole:
            samples = samples[self._visible[self._strip.mask_of[frame]][plane][window]]
        samples = samples.ravel()
        return np.asarray(samples[:: 1 + samples.size // _MOST_SAMPLES], np.float32)

    # -- soft edges --------------------------------------------------------------------------

    def _soft_edges(self, plane: int) -> Iterator[_SoftEdge]:
        """Yield the edges that have any lines, in the order in which they are filled."""
        layout = self._strip.layout
        (top, bottom), (left, right) = map(_ends, plane_window(self._run.picture, plane, layout))
        (y0, y1), (x0, x1) = map(_ends, plane_window(self._run.edge, plane, layout))
        for side, upright, inner, lines, along in (
            (1, False, top, range(top - 1, y0 - 1, -1), slice(left, right)),
            (3, False, bottom - 1, range(bottom, y1), slice(left, right)),
            (0, True, left, range(left - 1, x0 - 1, -1), slice(y0, y1)),
            (2, True, right - 1, range(right, x1), slice(y0, y1)),
        ):
            if lines and bottom > top and right > left:
                ramp = 1 - (1 + np.arange(len(lines))) / (1 + len(lines))
                edge = _SoftEdge(side, upright, inner, lines, along, ramp)
                yield replace(edge, shares=self._fitted_shares(edge, plane))

    def _fitted_shares(self, edge: _SoftEdge, plane: int) -> NDArray[np.float64]:
        """Return the picture's share in each line, by least squares over what is visible."""
        strip, along = self._strip, edge.along
        products, squares = np.zeros(len(edge.lines)), np.zeros(len(edge.lines))
        counts = np.ones(len(edge.lines))
        for frame in np.unique(np.linspace(0, strip.frames - 1, _SAMPLES).astype(int)):
            visible = _turned(self._visible[strip.mask_of[frame]][plane], edge)
            values = _turned(strip.planes[plane][frame], edge).astype(np.float64)
            bar = self._colour(edge.side, int(frame), plane)
            inner = values[edge.inner, along] - bar
            for number, line in enumerate(edge.lines):
                both = visible[line, along] & visible[edge.inner, along]
                products[number] += float(((values[line, along] - bar) * inner)[both].sum())
                squares[number] += float(np.square(inner[both]).sum())
                counts[number] += np.count_nonzero(both)
        fitted = np.clip(products / np.maximum(squares, 1e-6), 0, 1)
        enough = squares / counts > _LEAST_ENERGY * strip.layout.scale**2
        return np.where(enough, fitted, edge.shares)

    def _fill_edge(self, edge: _SoftEdge, frame: int, plane: int, values: Floats) -> None:
        """Write the hole's samples of an edge into one plane of a frame, in place."""
        hole = _turned(self._holes[self._strip.mask_of[frame]][plane], edge)
        view, bar = _turned(values, edge), self._colour(edge.side, frame, plane)
        inner = view[edge.inner, edge.along]
        for line, share in zip(edge.lines, edge.shares, strict=True):
            hidden = hole[line, edge.along]
            view[line, edge.along][hidden] = (bar + share * (inner - bar))[hidden]

    def _colour(self, side: int, frame: int, plane: int) -> float:
        colours = self._colours[side]
        return 0.0 if colours is None else float(colours[frame, plane])


def _turned(picture: AnyPlane, edge: _SoftEdge) -> AnyPlane:
    """Return a view in which the lines of an edge are rows."""
    return picture.T if edge.upright else picture


def _ends(window: slice) -> tuple[int, int]:
    return window.start, window.stop


def _per_plane(mask: Bools, strip: InpaintInput) -> tuple[Bools, ...]:
    """Return a luma mask for each plane; a chroma sample counts if any of its pixels does."""
    if len(strip.planes) == 1:
        return (mask,)
    return (mask, *[reduce_mask(mask, strip.layout)] * (len(strip.planes) - 1))


def _with_ring(mask: Bools) -> Bools:
    """Return a hole with the pixels around it that may show its coding noise."""
    side = 2 * _RING_PX + 1
    return np.asarray(
        cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8)) > 0, np.bool_
    )
