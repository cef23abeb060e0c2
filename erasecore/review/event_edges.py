"""Edges of events: a line that was erased well comes and goes without a trace.

Three checks without any network, on the frames just before and just after a line appears, and the
same where it disappears:

* *Steps.* From the one frame to the other the place of the letters must change no more than the
  picture around it. Half-erased letters, boxes and shadows that stay, letters painted in and
  smooth patches do: they are there as long as the line was.
* *Letters.* Their shape is known, as it is what erasing has changed. In their place the erased
  picture must not correlate with it, positively (ink is left) or negatively (too much was taken).
* *Outlasting letters.* The same shape is searched in the rows of the line a moment before it begins
  and after it ends, where it must not be: it is found there if the line slides, hangs over a cut or
  was given too short a span.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.model.boxes import clip_box
from erasecore.model.clips import Picture
from erasecore.model.events import BoxXyxy, Event
from erasecore.model.inpaint_input import Floats
from erasecore.model.residues import Residue
from erasecore.reports import ResidueReason
from erasecore.video.color import Box, PlaneLayout, Planes, plane_window

STEP_RATIO = 2.2
"""Change of a place in that of its surroundings from which it is residue.

Measured on the judge's kinds: at most 1.8 where a line is gone, at least 2.3 where it is half gone.
"""

STEP_AGAIN_RATIO = 1.4
"""The same for a line that is erased for the second time.

Its first pass was bad, so less is needed to doubt the second. Measured on the judge's kinds: 1.4 to
1.7 where specks of a box are left; lines that a second pass had mended were not among them.
"""

LETTERS_CORRELATION = 0.4
"""Absolute correlation with a line's letters from which they show in their place.

Measured on the judge's kinds: at most 0.27 where a line is gone.
"""

OUTLASTS_CORRELATION = 0.5
"""Correlation from which letters show elsewhere; measured as above: at most 0.35 without."""

_MIN_STEP_LEVELS = 10.0  # least change that anybody sees, 8-bit levels over all planes; a guess
_NOISE_LEVELS = 3.0  # change that encoding and grain make anyway, 8-bit levels; a guess
_ALONG_LINES = 4.0  # surroundings at both ends of a line, letter heights; a guess
_ACROSS_LINES = 3.0  # the same above and below; a guess
_APART_LINES = 1.2  # surroundings begin so far from the changed pixels, letter heights; a guess
_BLUR_LINES = 0.08  # sigma of the blur before changes are compared, letter heights; a guess
_LINE_PX = 24.0  # larger letters are reduced to this height before anything is measured; a guess
_MIN_CHANGED_PX = 40  # fewer changed pixels have no shape; a guess
_OUTSIDE_FRAMES = (
    2  # from a line's first or last frame to the one searched for its letters; a guess
)
_SEARCH_LINES = 1.5  # rows searched above and below a line, letter heights; a guess
_STROKE_LINES = 0.3  # sigma of the high-pass filter that keeps strokes, letter heights; a guess

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Step:
    """Change from a frame without a line to one with it, both erased; 8-bit levels, all planes."""

    inside: float  # mean over the pixels that erasing has changed
    around: float  # mean over the surroundings

    @property
    def ratio(self) -> float:
        """Change inside in that around."""
        return self.inside / (self.around + _NOISE_LEVELS)

    def is_residue(self, *, again: bool = False) -> bool:
        """Return True if the place changes visibly more than its surroundings.

        Args:
            again: the line was erased for the second time.
        """
        limit = STEP_AGAIN_RATIO if again else STEP_RATIO
        return self.ratio > limit and self.inside > _MIN_STEP_LEVELS


@dataclass(slots=True)
class _Edge:
    """One end of an event: the frames that are compared, and their windows as far as taken."""

    event: Event
    outside: int  # film frame without the line
    inside: int  # film frame that shows all of it
    beyond: int  # film frame in which its letters are searched
    bare: Floats | None = None  # window of ``outside``, erased
    shown: tuple[Floats, Flags] | None = None  # window of ``inside``, erased; what was changed
    letters: Floats | None = None  # strokes of the letters
    searched: Floats | None = None  # rows of ``beyond``, erased

    @property
    def frames(self) -> set[int]:
        """Film frames that are needed."""
        return {self.outside, self.inside, self.beyond}


@dataclass(slots=True)
class _Found:
    """Measures of the edges of one event, as far as taken."""

    again: bool  # it was erased for the second time
    steps: list[Step] = field(default_factory=list)
    in_place: list[float] = field(default_factory=list)  # correlations in the letters' own place
    outlasting: list[tuple[int, float, BoxXyxy]] = field(default_factory=list)


class EventEdgeChecker:
    """Compares the erased frames on both sides of the ends of events.

    Args:
        picture: frame size and plane layout.
        cuts: film frames at which a new shot begins.
        span: the segment's film frames, half-open.
    """

    def __init__(self, picture: Picture, cuts: tuple[int, ...], span: tuple[int, int]) -> None:
        self._picture, self._cuts, self._span = picture, cuts, span
        self._edges_at: dict[int, list[_Edge]] = defaultdict(list)
        self._found: dict[Event, _Found] = {}

    def plan(self, event: Event, *, again: bool = False) -> None:
        """Plan the check of an event that shows in the segment.

        Args:
            event: the event.
            again: it was erased for the second time.
        """
        self._found[event] = _Found(again)
        for edge in _edges(event):
            for frame in edge.frames:
                if self._span[0] <= frame < self._span[1]:
                    self._edges_at[frame].append(edge)

    def events_at(self, index: int) -> list[Event]:
        """Return the events of which film frame ``index`` is needed."""
        return list(dict.fromkeys(edge.event for edge in self._edges_at.get(index, ())))

    def check(self, event: Event, index: int, before: Planes, after: Planes) -> None:
        """Take what is needed of film frame ``index`` for ``event``; frames come in order."""
        for edge in self._edges_at.get(index, ()):
            if edge.event == event:
                self._take(edge, index, before, after)

    def release(self, index: int) -> None:
        """Forget the plan for film frame ``index``, which has been checked."""
        self._edges_at.pop(index, None)

    def residues(self) -> Iterator[tuple[Event, Residue]]:
        """Yield what was found, with its event: at most one residue of each reason for each."""
        for event, found in self._found.items():
            step = max(found.steps, key=lambda one: one.ratio, default=None)
            if step is not None and step.is_residue(again=found.again):
                span, evidence = (event.start, event.stop), round(step.ratio, 2)
                yield event, Residue(*span, event.box_xyxy, ResidueReason.STEP, evidence)
            letters = max(map(abs, found.in_place), default=0.0)
            if letters > LETTERS_CORRELATION:
                evidence = round(letters, 2)
                span = event.start, event.stop
                yield event, Residue(*span, event.box_xyxy, ResidueReason.LETTERS, evidence)
            shown = [one for one in found.outlasting if one[1] > OUTLASTS_CORRELATION]
            if shown:
                frame, fit, box = max(shown, key=lambda one: one[1])
                start, stop = min(frame, event.start), max(frame + 1, event.stop)
                yield event, Residue(start, stop, box, ResidueReason.OUTLASTS, round(fit, 2))

    def measured(self, event: Event) -> tuple[list[Step], list[float], list[float]]:
        """Return the steps of an event, and the correlations in its place and outside its span."""
        found = self._found[event]
        return found.steps, found.in_place, [fit for _, fit, _ in found.outlasting]

    def _take(self, edge: _Edge, index: int, before: Planes, after: Planes) -> None:
        event, layout = edge.event, self._picture.layout
        scale = min(1.0, _LINE_PX / event.text_height_px)
        window, rows = self._window(event), self._rows(event)
        if index == edge.inside:
            pair = _levels(before, window, layout, scale), _levels(after, window, layout, scale)
            near = _box_mask(event, window, pair[0].shape[:2])
            edge.shown = pair[1], near & (pair[0] != pair[1]).any(axis=-1)
            line_px = scale * event.text_height_px
            edge.letters = _strokes_erased(*pair, edge.shown[1], line_px)
            if edge.letters is not None:
                fit = _fit_in_place(edge.letters, pair[1][..., 0], edge.shown[1], line_px)
                self._found[event].in_place.append(fit)
        if index == edge.outside:
            edge.bare = _levels(after, window, layout, scale)
        if index == edge.beyond:
            edge.searched = _levels(after[:1], rows, layout, scale)[..., 0]
        self._conclude(edge, scale)

    def _conclude(self, edge: _Edge, scale: float) -> None:
        """Measure what can be measured, and release the windows it was measured on."""
        found, line_px = self._found[edge.event], scale * edge.event.text_height_px
        if edge.shown is not None and edge.bare is not None:
            if not self._cut_between(edge.inside, edge.outside):
                step = step_of(edge.bare, *edge.shown, line_px)
                found.steps += [step] if step else []
            edge.bare = None
        if edge.letters is not None and edge.searched is not None:
            fit, (x, y) = best_match(edge.letters, edge.searched, line_px)
            rows = self._rows(edge.event)
            left, top = rows[0] + x / scale, rows[1] + y / scale
            height, width = (side / scale for side in edge.letters.shape)
            found.outlasting.append((edge.beyond, fit, (left, top, left + width, top + height)))
            edge.letters = edge.searched = None

    def _cut_between(self, frame: int, other: int) -> bool:
        first, last = min(frame, other), max(frame, other)
        return any(first < cut <= last for cut in self._cuts)

    def _window(self, event: Event) -> Box:
        """Return the place of an event with its surroundings, in the picture."""
        along, across = _ALONG_LINES * event.text_height_px, _ACROSS_LINES * event.text_height_px
        return _grown(event, along, across, self._picture)

    def _rows(self, event: Event) -> Box:
        """Return the rows in which an event's letters are searched, as wide as the picture."""
        across = _SEARCH_LINES * event.text_height_px
        return _grown(event, float(self._picture.width), across, self._picture)


def step_of(bare: Floats, shown: Floats, changed: Flags, line_px: float) -> Step | None:
    """Return the change between two erased windows; ``None`` if there is nothing to compare.

    Args:
        bare: window of a frame without the line, float32 ``(H, W, planes)``, 8-bit levels.
        shown: the same of a frame with it.
        changed: pixels that erasing has changed there, bool ``(H, W)``.
        line_px: height of the letters in the windows.
    """
    far = ~_dilated(changed, _APART_LINES * line_px)
    if int(changed.sum()) < _MIN_CHANGED_PX or not far.any():
        return None
    change = cv2.GaussianBlur(shown - bare, (0, 0), max(1.0, _BLUR_LINES * line_px))
    change = change.reshape(*changed.shape, -1)  # OpenCV drops an axis of length 1
    length = np.sqrt(np.square(change).sum(axis=-1))
    return Step(float(length[_dilated(changed, 1)].mean()), float(length[far].mean()))


def best_match(letters: Floats, luma: Floats, line_px: float) -> tuple[float, tuple[int, int]]:
    """Return the largest correlation of letters with a picture, and where: column and row.

    Args:
        letters: strokes, float32 ``(h, w)``.
        luma: of the picture, float32 ``(H, W)``.
        line_px: height of the letters.

    Returns:
        Pearson correlation, -1 to 1; 0 if the picture is smaller than the letters.
    """
    if luma.shape[0] < letters.shape[0] or luma.shape[1] < letters.shape[1]:
        return 0.0, (0, 0)
    fits = cv2.matchTemplate(_high_pass(luma, line_px), letters, cv2.TM_CCOEFF_NORMED)
    _, fit, _, (x, y) = cv2.minMaxLoc(np.nan_to_num(fits, posinf=0.0, neginf=0.0))
    return (float(fit), (int(x), int(y))) if abs(fit) <= 1.001 else (0.0, (0, 0))


def _edges(event: Event) -> tuple[_Edge, _Edge]:
    """Return the edges of an event; frames may lie outside of the film."""
    first = min(event.full_start + 1, event.stop - 1)
    last = max(event.full_stop - 2, event.start)
    return (
        _Edge(event, event.start - 1, first, event.start - _OUTSIDE_FRAMES),
        _Edge(event, event.stop, last, event.stop - 1 + _OUTSIDE_FRAMES),
    )


def _grown(event: Event, along: float, across: float, picture: Picture) -> Box:
    left, top, right, bottom = event.box_xyxy
    x, y = 1 << picture.layout.shift_x, 1 << picture.layout.shift_y
    box = (
        int(left - along) // x * x,
        int(top - across) // y * y,
        -(-int(right + along) // x) * x,
        -(-int(bottom + across) // y) * y,
    )
    return clip_box(box, (picture.height, picture.width))


def _levels(planes: Planes, box: Box, layout: PlaneLayout, scale: float) -> Floats:
    """Return a window of all planes at one size, float32 ``(H, W, planes)``, 8-bit levels."""
    size = (max(1, round((box[2] - box[0]) * scale)), max(1, round((box[3] - box[1]) * scale)))
    windows = []
    for index, plane in enumerate(planes):
        part = plane[plane_window(box, index, layout)]
        if not part.size:
            return np.zeros((size[1], size[0], len(planes)), np.float32)
        levels = part.astype(np.float32) / layout.scale
        shrinks = size[0] < levels.shape[1]
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        same = levels.shape == (size[1], size[0])
        windows.append(levels if same else cv2.resize(levels, size, interpolation=how))
    return np.stack(windows, axis=-1)


def _box_mask(event: Event, window: Box, shape: tuple[int, ...]) -> Flags:
    """Return the pixels of a reduced window that an event's ink may reach: bool ``(H, W)``."""
    mask = np.zeros(shape, np.bool_)
    scale = shape[1] / max(1, window[2] - window[0])
    pad = event.reach_px
    left, top, right, bottom = event.box_xyxy
    box = (
        int((left - pad - window[0]) * scale),
        int((top - pad - window[1]) * scale),
        int((right + pad - window[0]) * scale) + 1,
        int((bottom + pad - window[1]) * scale) + 1,
    )
    x0, y0, x1, y1 = clip_box(box, (shape[0], shape[1]))
    mask[y0:y1, x0:x1] = True
    return mask


def _strokes_erased(before: Floats, after: Floats, changed: Flags, line_px: float) -> Floats | None:
    """Return the strokes of the letters that were erased; ``None`` for too few pixels.

    Opaque ink is the same whatever is behind it: the strokes are made of the source inside the
    changed pixels, with nothing of the picture around in them.
    """
    if int(changed.sum()) < _MIN_CHANGED_PX:
        return None
    even = cv2.GaussianBlur(after[..., 0], (0, 0), max(1.0, 2 * _STROKE_LINES * line_px))
    ink = np.where(changed, before[..., 0] - even, 0).astype(np.float32)
    strokes = _high_pass(ink, line_px)[_around(changed)]
    return np.ascontiguousarray(strokes) if float(np.ptp(strokes)) > 1.0 else None


def _fit_in_place(letters: Floats, luma: Floats, changed: Flags, line_px: float) -> float:
    """Return the correlation of the letters with the erased picture in their place, -1 to 1."""
    there = _high_pass(luma, line_px)[_around(changed)]
    norm = float(np.sqrt(np.square(letters).sum() * np.square(there).sum()))
    return float((letters * there).sum()) / norm if norm > 0 else 0.0


def _around(changed: Flags) -> tuple[slice, slice]:
    """Return the slices of the changed pixels, with a margin of 2 px."""
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    return np.s_[max(0, rows[0] - 2) : rows[-1] + 3, max(0, columns[0] - 2) : columns[-1] + 3]


def _high_pass(picture: Floats, line_px: float) -> Floats:
    sigma = max(1.0, _STROKE_LINES * line_px)
    return np.asarray(picture - cv2.GaussianBlur(picture, (0, 0), sigma), np.float32)


def _dilated(mask: Flags, radius: float) -> Flags:
    side = 2 * max(1, round(radius)) + 1
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8)) > 0)
