"""Appearance of one line of text: the template of its strokes, and frames compared with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.detection.line_changes import line_changed, line_changes
from erasecore.detection.line_window import LineWindow, Piece, WorkBox
from erasecore.detection.patterns import Pattern, Presence, Template, strokes

_SAME_TEXT_FIT = 0.6  # correlation; least match of one text that has moved; guess
_MAX_SAMPLES = 8  # crops that show the line, of which the template is made; guess
_MAX_BOXES = 15  # newest detections whose median is the line's box; guess
_WEAKER_COSINE = 0.12  # by which a line that is suspected to be gone is less like itself; guess
_WEAKER_GAIN = 0.7  # of its earlier opacity: below it it is suspected, too; guess
_CHANGED_LEVELS = 8.0  # levels; least change of the strokes that is no noise; guess
_CHANGED_CONTRAST = 0.4  # of the text's contrast; least change of the strokes; guess
_CALM_SHARE = 0.2  # of the strokes' change: surroundings that change less have stayed; guess

PatternCache: TypeAlias = dict[tuple[int, int], Pattern]
"""Stroke patterns by frame index and number of averaged frames."""


class Appearance:
    """Samples of one line of text, the template made of them, and comparisons with it.

    Args:
        window: the rectangle that is kept of each frame.
        box: the line as first detected, in working pixels.
        first: the crop in which it was detected.
        cache: patterns that are known already; ``None`` keeps none.

    Attributes:
        window: the rectangle that is kept of each frame.
        samples: a few crops that show the line, spread over its life, oldest first.
    """

    def __init__(
        self, window: LineWindow, box: WorkBox, first: Piece, cache: PatternCache | None = None
    ) -> None:
        self.window = window
        self.samples = [first]
        self._first, self._first_box = first, box
        self._boxes = [box]
        self._cache = cache
        self._patterns = [self.pattern(first)]
        self._stride = 1  # sightings from one sample to the next
        self._skipped = 0  # sightings since the last sample
        self._template: Template | None = None

    @property
    def box(self) -> WorkBox:
        """Bounding box of the line: the median of its detections, in working pixels."""
        box: WorkBox = np.median(np.stack(self._boxes), axis=0)
        return box

    @property
    def inner(self) -> tuple[int, int, int, int]:
        """Place of the line in the window: left, top, right, bottom in pixels."""
        return self.window.place_of(self.box)

    @property
    def place(self) -> tuple[int, int, int, int]:
        """Place of the line in the picture: left, top, right, bottom in working pixels."""
        left, top = self.window.box[:2]
        x0, y0, x1, y1 = self.inner
        return left + x0, top + y0, left + x1, top + y1

    @property
    def template(self) -> Template:
        """Strokes of the line, from the samples so far."""
        if self._template is None:
            vertical = self.window.vertical
            self._template = Template(self._patterns, self.inner, vertical=vertical)
        return self._template

    def detected(self, box: WorkBox) -> None:
        """Note that the detector has found the line again, in ``box`` (working pixels)."""
        self._boxes = [*self._boxes[-(_MAX_BOXES - 1) :], box]
        self._template = None

    def add_sample(self, piece: Piece, pattern: Pattern) -> None:
        """Keep one sighting of several, fewer the longer the line lasts: memory is bounded."""
        self._skipped += 1
        if self._skipped < self._stride:
            return
        self._skipped = 0
        self.samples.append(piece)
        self._patterns.append(pattern)
        self._template = None
        if len(self.samples) > _MAX_SAMPLES:  # thin them out: half as many, twice as far apart
            self.samples, self._patterns = self.samples[::2], self._patterns[::2]
            self._stride *= 2

    def keep_patterns(self) -> None:
        """Cache all patterns from now on; for a finished line, each of whose is asked for often."""
        self._cache = {}

    def as_first_seen(self) -> Appearance:
        """Return the appearance that the first sighting alone gives."""
        return Appearance(self.window, self._first_box, self._first, self._cache)

    def resized(self, scale: float, samples: Sequence[Piece]) -> Appearance:
        """Return the appearance of the same line in another size, about its middle.

        Args:
            scale: of its size here.
            samples: crops that show it so; the last ones are kept.
        """
        middle, half = (self.box[:2] + self.box[2:]) / 2, (self.box[2:] - self.box[:2]) / 2
        box = np.concatenate([middle - scale * half, middle + scale * half])
        resized = Appearance(self.window, box, samples[0], self._cache)
        for piece in samples[1:][:_MAX_SAMPLES]:
            resized.add_sample(piece, resized.pattern(piece))
        return resized

    def pattern(self, piece: Piece) -> Pattern:
        """Stroke pattern of one crop: float32, of its shape, in levels."""
        if self._cache is None:
            return strokes(piece.luma, self.window.text_height)
        key = piece.index, piece.averaged
        if key not in self._cache:
            self._cache[key] = strokes(piece.luma, self.window.text_height)
        return self._cache[key]

    def presence_in(self, pattern: Pattern) -> Presence:
        """Return how much of the line a crop's stroke pattern shows."""
        return self.template.presence_in(pattern)

    def gone(self, piece: Piece, presence: Presence, shown: Piece, before: Presence) -> bool:
        """Return True if the line is no longer in ``piece``.

        Args:
            piece: the crop in doubt.
            presence: of the line in it.
            shown: a crop that shows the line.
            before: presence of the line in that one.
        """
        if not presence.there:
            return True
        weaker = presence.likeness < before.likeness - _WEAKER_COSINE
        weaker = weaker or presence.gain < _WEAKER_GAIN * before.gain
        return weaker and self.changed_alone(piece, shown)

    def changed_alone(self, one: Piece, other: Piece) -> bool:
        """Return True if the strokes differ between two crops and their surroundings do not."""
        strokes_levels = self.template.change(one.luma, other.luma)
        if strokes_levels < max(_CHANGED_LEVELS, _CHANGED_CONTRAST * self.template.contrast):
            return False
        around = self.context_mask(())
        if not around.any():
            return False
        calm_levels = _CALM_SHARE * strokes_levels
        return float(cv2.absdiff(one.luma, other.luma)[around].mean()) < calm_levels

    def changed_along(self, one: Piece, other: Piece) -> bool:
        """Return True if the strokes differ between two crops all along the line."""
        cells = self.template.cell_changes(one.luma, other.luma)
        return line_changed(cells, self.template.contrast)

    def line_changes(self, pieces: Sequence[Piece]) -> list[int]:
        """Frames at which another text takes this one's place, in a run of consecutive crops."""
        return line_changes(pieces, self.template, self.context_mask(()))

    def since_line_change(self, pieces: Sequence[Piece]) -> list[Piece]:
        """Return the crops, in order of time, from the last change of the text on."""
        found = self.line_changes(pieces)
        return [piece for piece in pieces if not found or piece.index >= found[-1]]

    def until_line_change(self, pieces: Sequence[Piece]) -> list[Piece]:
        """Return the crops, in order of time, up to the first change of the text."""
        found = self.line_changes(pieces)
        return [piece for piece in pieces if not found or piece.index < found[0]]

    def context_mask(self, others: Sequence[WorkBox]) -> NDArray[np.bool_]:
        """Pixels of the window away from the line and from ``others``: bool ``(H, W)``."""
        return self.window.context_mask((self.box, *others))

    def shows_text_of(self, other: Appearance) -> bool:
        """Return True if the first sighting of another line, near its place, shows this text."""
        text, around = self.template.whole, other.pattern(other.samples[0])
        if any(t > p for t, p in zip(text.shape, around.shape, strict=True)):
            return False
        fits = cv2.matchTemplate(around, text, cv2.TM_CCOEFF_NORMED)
        return bool(fits.max() > _SAME_TEXT_FIT)

    def ink_gain(self, full: Pattern, bare: Pattern) -> Callable[[Pattern], float]:
        """Return a measure of opacity: 1 for the pattern ``full`` (all ink), 0 for ``bare``."""
        left, top, right, bottom = self.inner
        part = np.s_[top:bottom, left:right]
        none = bare[part]
        ink = full[part] - none
        power = float((ink * ink).sum()) + 1e-6
        return lambda pattern: float(((pattern[part] - none) * ink).sum()) / power
