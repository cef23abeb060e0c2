"""Tracking of one line of text from frame to frame: its first sighting, its life, its end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from erasecore.detection.appearance import Appearance
from erasecore.detection.entrances import comes_of, goes_of
from erasecore.detection.line_window import HeldPieces, LineWindow, Piece, TrackTiming, WorkBox
from erasecore.detection.patterns import Presence
from erasecore.detection.pops import Life, life_of
from erasecore.detection.scaling import Luma
from erasecore.detection.sightings import Sighting
from erasecore.detection.slides import Slide

_MAX_DETECTIONS = 15  # newest detections whose score and tilt are kept; guess
_RESUMED_COSINE = 0.4  # least likeness of a line in doubt that the detector has found again; guess
_REPLACED_CONTRAST = 0.35  # of the text's contrast; least median change by another text; guess
_AWAY_GAIN = 0.2  # opacity below which a line in doubt is away; guess
_AWAY_FRAMES = 2  # frames it must have been away to be another one when it comes back; guess


class Track:
    """A line of text that was seen at frame ``index``.

    Args:
        index: the frame.
        sighting: where and how it was seen there.
        held: the frames before and up to ``index``, oldest first, as ``(index, luma)``.
        timing: durations in frames.

    Attributes:
        birth: the frame of its first sighting.
        window: the rectangle that is kept of each frame.
        held: crops of the frames around its birth and of the newest ones.
        appearance: its samples and their template.
        comes: how it comes, once the frames before its birth were searched.
        life: of a brief line that grows or shrinks.
    """

    def __init__(
        self,
        index: int,
        sighting: Sighting,
        *,
        held: Iterable[tuple[int, Luma]],
        timing: TrackTiming,
    ) -> None:
        self.birth = index
        frames, box = list(held), sighting.box
        self.window = LineWindow.around(box, frames[-1][1].shape, sighting.thickness)
        self.held = HeldPieces(self.window, frames, timing, averaged=sighting.averaged)
        self.appearance = Appearance(self.window, box, self.held.first)
        self.comes: Slide | None = None
        self.life: Life | None = None
        self._scores = [sighting.score]
        self._tilts = [sighting.tilt]
        self._timing = timing
        self._doubtful = False
        self._last = self.held.first  # the newest crop that shows the line
        self._last_presence = Presence(gain=1.0, likeness=1.0, cells=1.0)

    @property
    def doubtful(self) -> bool:
        """True if the newest frame that was checked does not show it; it may still come back."""
        return self._doubtful

    @property
    def last_there(self) -> int:
        """Index of the newest frame that was seen to show the line."""
        return self._last.index

    @property
    def box(self) -> WorkBox:
        """Bounding box of the line, in working pixels."""
        return self.appearance.box

    @property
    def text_mask(self) -> NDArray[np.bool_]:
        """Pixels of the window that are the line's: bool ``(H, W)``."""
        return ~self.appearance.context_mask(())

    @property
    def score(self) -> float:
        """Median of the detector's scores, 0 to 1."""
        return float(np.median(self._scores))

    @property
    def tilt(self) -> float:
        """Median of the tilts, in degrees."""
        return float(np.median(self._tilts))

    @property
    def sample_count(self) -> int:
        """Number of samples that are kept of it."""
        return len(self.appearance.samples)

    def add(self, index: int, luma: Luma) -> None:
        """Keep the window of one more frame."""
        self.held.add(index, luma)

    def sighted(self, sighting: Sighting) -> None:
        """Note that the detector has found the line again."""
        self.appearance.detected(sighting.box)
        self._scores = [*self._scores[-(_MAX_DETECTIONS - 1) :], sighting.score]
        self._tilts = [*self._tilts[-(_MAX_DETECTIONS - 1) :], sighting.tilt]

    def check(self) -> bool:
        """Check the newest frame for the line; return False when the track is over."""
        piece = self.held.newest()
        pattern = self.appearance.pattern(piece)
        presence = self.appearance.presence_in(pattern)
        if self._replaced(piece):
            return False
        if self.appearance.gone(piece, presence, self._last, self._last_presence):
            self._doubtful = True
            return piece.index - self.last_there <= self._timing.gone_frames
        if self._doubtful and self._was_away(piece.index):
            return False
        self._doubtful = False
        self._last, self._last_presence = piece, presence
        self.appearance.add_sample(piece, pattern)
        return True

    def shown_in(self, index: int, luma: Luma) -> bool:
        """Return True if a whole frame's working luma shows the line at its place.

        A line found in the average of several frames may be made of several texts.
        """
        if self.held.first.averaged > 1:
            return False
        piece = Piece(index, self.window.crop(luma))
        return self._presence_in(piece).there

    def resume(self) -> bool:
        """Take the line for present again if it may be in the newest frame; return True then.

        For a line in doubt where the detector has found text again: a picture that moves behind
        faint letters may hide them from a template of few samples.
        """
        piece = self.held.newest()
        pattern = self.appearance.pattern(piece)
        presence = self.appearance.presence_in(pattern)
        if presence.likeness < _RESUMED_COSINE or self._replaced(piece):
            return False
        self._doubtful = False
        self._last, self._last_presence = piece, presence
        self.appearance.add_sample(piece, pattern)
        return True

    def settle(self, frames: Sequence[tuple[int, Luma]]) -> None:
        """Take a brief line that grows or shrinks as it stands at rest.

        Args:
            frames: index and working luma of its life and around it, oldest first.
        """
        life = life_of(self.appearance, frames, self.birth, max_frames=self._timing.pop_frames)
        if life is None or not life.changes_size:
            return
        self.comes, self.life = Slide(life.comes), life
        held = dict(frames)
        pieces = [Piece(index, self.window.crop(held[index])) for index in life.rest]
        self.appearance = self.appearance.resized(life.scale, pieces)
        self.birth = life.rest[0]
        self._last = pieces[-1]

    def follow_back(self, frames: Iterable[tuple[int, Luma]]) -> None:
        """Search the frames up to its birth, oldest first, for how it has come."""
        self.comes = comes_of(self.appearance, list(frames), self._seen_in, self._timing)

    def follow_on(self, frames: Iterable[tuple[int, Luma]]) -> Slide:
        """Return how it goes, in the frames since it was last there."""
        if self.life is not None:
            return Slide(self.life.goes)
        return goes_of(self.appearance, list(frames), self._seen_in, self._timing)

    @property
    def _seen_in(self) -> tuple[int, int]:
        """First and last frame that were seen to show it."""
        return self.birth, self.last_there

    def close(self) -> None:
        """End the track: no more frames are added, and its ends are measured next."""
        self.appearance.keep_patterns()

    def is_brief(self, frames: int) -> bool:
        """Return True if fewer than ``frames`` frames around the first sighting show the line."""
        around = {piece.index: piece for piece in (*self.held.head, *self.held.tail)}
        shown = 1
        for direction in (-1, 1):
            at = self.birth + direction
            while at in around and self._presence_in(around[at]).there:
                shown += 1
                at += direction
                if shown >= frames:
                    return False
        return True

    def _presence_in(self, piece: Piece) -> Presence:
        """Return how much of the line a crop shows."""
        return self.appearance.presence_in(self.appearance.pattern(piece))

    def _replaced(self, piece: Piece) -> bool:
        """Return True if another text has taken the line's place since it was last seen."""
        template = self.appearance.template
        changed = template.cell_changes(self._last.luma, piece.luma)
        if float(np.median(changed)) < _REPLACED_CONTRAST * template.contrast:
            return False
        since = [held for held in self.held.tail if held.index >= self._last.index - 1]
        return any(index > self._last.index for index in self.appearance.line_changes(since))

    def _was_away(self, index: int) -> bool:
        """Return True if the line truly vanished between its last sighting and frame ``index``."""
        between = [piece for piece in self.held.tail if self.last_there < piece.index < index]
        presences = [self._presence_in(piece) for piece in between]
        away = (
            presence.gain < _AWAY_GAIN
            or self.appearance.gone(piece, presence, self._last, self._last_presence)
            for piece, presence in zip(between, presences, strict=True)
        )
        return sum(away) >= _AWAY_FRAMES
