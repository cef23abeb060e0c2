"""Real films that other people subtitled: labels made by looking, and what is left of the lines.

There is no clean film. A labelled line is left in a frame if a text detector at full size still
finds text on it that can be read and is not the scene's, if a cell of it has kept a quarter of its
contrast, if an edge of its plate has, or if its place has not been changed at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from pathlib import Path

import dacite
import numpy as np
import yaml

from bench.boxes import Box, PixelBox, area, grow, intersection
from bench.media import I420, BenchError, Bgr, read_pictures, to_bgr
from bench.metrics import Gray, psnr_db
from bench.text import TextDetector, TextReader
from bench.wild.imprint import Imprint, ImprintSum, free_sides

LABELS = Path(__file__).resolve().parent.parent / "labels"
SHORT_FRAMES = 12  # a label of at most so many frames is examined in every one of them
SAMPLE_FRAMES = 3  # a longer one in every third, and in its first and last
MARGIN_PX = 32  # of the strip around a label that the detector sees, at the film's own size
COVERED = 0.3  # least share of the smaller box that a detected box must share with the label
READ = 0.6  # least confidence of the recogniser: smears 0.13 to 0.53, letters of captions from 0.79
TALL = 1.5  # height over width from which a found box is read as a turned line
SCENE = 0.7  # least share of a detected box in a label of scene text that makes it the scene's
SAME_LEVELS = 2.0  # mean luma difference up to which the place counts as not changed
LEFT_SHARE = 0.25  # of the contrast of any cell from which on a line is left; absent ones: to 0.2
FOREIGN = 1.5  # times a line's own share, from which another's is no likeness of both: to 1.1
HARMED_DB = 30.0  # PSNR of a scene-text box against the source below which it is harmed


@dataclass(frozen=True, slots=True)
class Label:
    """One line of text: frames ``[start, stop)``, half-open box in pixels."""

    text: str
    kind: str
    start: int
    stop: int
    box: PixelBox
    plate: bool = False  # a box is drawn behind the letters; ``box`` covers it


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels of one film."""

    film: str  # path below the folder of clips
    width: int
    height: int
    frames: int
    labellers: int
    settled: bool  # False: a second labelling, or the settling of differences, is outstanding
    captions: tuple[Label, ...]
    scene: tuple[Label, ...]  # text of the scene, which must stay

    @property
    def name(self) -> str:
        """Film's name without folder and suffix."""
        return Path(self.film).stem


def load_labels(path: Path) -> Labels:
    """Return the labels in a YAML file.

    Raises:
        BenchError: a label lies outside of the film.
    """
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    labels = dacite.from_dict(Labels, raw, dacite.Config(cast=[tuple], strict=True))
    for label in (*labels.captions, *labels.scene):
        left, top, right, bottom = label.box
        in_time = 0 <= label.start < label.stop <= labels.frames
        if not (in_time and 0 <= left < right <= labels.width):
            raise BenchError(f"{path}: {label.text!r}: frames or box outside of the film")
        if not 0 <= top < bottom <= labels.height:
            raise BenchError(f"{path}: {label.text!r}: box outside of the film")
    return labels


def all_labels() -> list[Labels]:
    """Return the labels of every film, by name."""
    return [load_labels(path) for path in sorted(LABELS.glob("*.yaml"))]


@dataclass(frozen=True, slots=True)
class RealScore:
    """Labelled lines and scene text of a real film, and what became of them."""

    lines: tuple[tuple[Label, int, int], ...]  # label, frames examined, frames in which it is gone
    letters_frames: int  # examined frames with letters of a caption that is not on screen
    scene_frames: int
    scene_harmed: int


def score_real(labels: Labels, source: Path, result: Path) -> RealScore:
    """Return the score of a result.

    Raises:
        BenchError: the result has another number of frames than the labels say.
    """
    eye = Eye(labels, imprints(labels, read_pictures(source)))
    wrong = BenchError(f"{result.name}: not the {labels.frames} frames of labels and source")
    frames = 0
    for frame, (before, after) in enumerate(
        zip_longest(read_pictures(source), read_pictures(result))
    ):
        if before is None or after is None:
            raise wrong
        eye.add(frame, before, after)
        frames = frame + 1
    if frames != labels.frames:
        raise wrong
    return eye.score()


def examined(label: Label) -> frozenset[int]:
    """Return the frames in which a label is examined."""
    step = 1 if label.stop - label.start <= SHORT_FRAMES else SAMPLE_FRAMES
    return frozenset({*range(label.start, label.stop, step), label.stop - 1})


def imprints(labels: Labels, source: Iterable[I420]) -> list[Imprint]:
    """Return the imprint of each caption, from the frames in which it is examined."""
    sums = [ImprintSum(label.box, _sides(label, labels.captions)) for label in labels.captions]
    for frame, picture in enumerate(source):
        for label, own in zip(labels.captions, sums, strict=True):
            if frame in examined(label):
                own.add(picture[: labels.height])
    return [own.mean() for own in sums]


def _sides(label: Label, captions: Sequence[Label]) -> list[int]:
    """Return the sides of a label's plate that no caption shown with it touches."""
    if not label.plate:
        return []
    together = [
        other.box
        for other in captions
        if other is not label and other.start < label.stop and label.start < other.stop
    ]
    return free_sides(label.box, together)


class Eye:
    """Examines the labelled places of one film, a frame at a time."""

    def __init__(self, labels: Labels, imprints: Sequence[Imprint]) -> None:
        self._labels = labels
        self._imprints = imprints
        self._gone = [0] * len(labels.captions)
        self._letters: set[int] = set()
        self._scene_frames = self._scene_harmed = 0

    def add(self, frame: int, before: I420, after: I420) -> None:
        """Examine a frame of the source and the same of the result."""
        source, result = (picture[: self._labels.height] for picture in (before, after))
        for number, (label, own) in enumerate(
            zip(self._labels.captions, self._imprints, strict=True)
        ):
            if frame in examined(label):
                share = own.left(source, result)
                if self._borrows(label, frame, share, result):
                    self._letters.add(frame)
                is_left = share >= LEFT_SHARE or _is_unchanged(own.box, source, result)
                self._gone[number] += not (is_left or self._shows_text(label, frame, after))
        for label in self._labels.scene:
            if frame in examined(label):
                self._scene_frames += 1
                self._scene_harmed += box_db(before, after, label.box) < HARMED_DB

    def score(self) -> RealScore:
        """Return the counts."""
        lines = zip(self._labels.captions, self._gone, strict=True)
        rows = tuple((label, len(examined(label)), gone) for label, gone in lines)
        return RealScore(rows, len(self._letters), self._scene_frames, self._scene_harmed)

    def _borrows(self, label: Label, frame: int, share: float, result: Gray) -> bool:
        """Return True if a line's place has more of a line of another time than of its own."""
        return any(
            own.amount(result) >= max(LEFT_SHARE, FOREIGN * share)
            for other, own in zip(self._labels.captions, self._imprints, strict=True)
            if other.text != label.text
            and not is_shown(other, frame)
            and intersection(other.box, label.box)
        )

    def _shows_text(self, label: Label, frame: int, after: I420) -> bool:
        """Return True if the detector finds words on a line's place that are not the scene's."""
        strip = grow(label.box, MARGIN_PX, self._labels.width, self._labels.height)
        picture = np.ascontiguousarray(to_bgr(after)[strip[1] : strip[3], strip[0] : strip[2]])
        signs = [_within(sign.box, strip) for sign in self._labels.scene if is_shown(sign, frame)]
        own = _within(label.box, strip)
        return any(
            is_covered(own, [box])
            and not any(intersection(box, sign) > SCENE * area(box) for sign in signs)
            and can_read(picture, box)
            for box in _detector().find(picture)
        )


@cache
def _detector() -> TextDetector:
    return TextDetector(32, "min")


@cache
def _reader() -> TextReader:
    return TextReader()


def can_read(picture: Bgr, box: Box) -> bool:
    """Return True if the recogniser reads words in a found box: a smear has none."""
    left, top = (max(0, int(place)) for place in box[:2])
    line = picture[top : int(box[3]) + 1, left : int(box[2]) + 1]
    if line.shape[0] > TALL * line.shape[1]:
        line = np.rot90(line)
    words, confidence = _reader().read(np.ascontiguousarray(line))
    return bool(words.strip()) and confidence >= READ


def is_shown(label: Label, frame: int) -> bool:
    """Return True if a label is on screen in a frame."""
    return label.start <= frame < label.stop


def _within(box: PixelBox, strip: PixelBox) -> Box:
    left, top = strip[:2]
    return box[0] - left, box[1] - top, box[2] - left, box[3] - top


def _is_unchanged(box: PixelBox, before: Gray, after: Gray) -> bool:
    left, top, right, bottom = box
    levels = (luma[top:bottom, left:right].astype(np.float32) for luma in (before, after))
    return float(np.abs(np.subtract(*levels)).mean()) < SAME_LEVELS


def is_covered(own: Box, found: Sequence[Box]) -> bool:
    """Return True if one of the found boxes lies on the own one."""
    return any(intersection(own, box) > COVERED * min(area(own), area(box)) for box in found)


def box_db(before: I420, after: I420, box: PixelBox) -> float:
    """Return the PSNR of the luma in a box, in dB."""
    left, top, right, bottom = box
    change = after[top:bottom, left:right].astype(np.float32) - before[top:bottom, left:right]
    return psnr_db(float(np.square(change).sum()), change.size)


def line_states(score: RealScore) -> Iterator[tuple[Label, int, float]]:
    """Yield label, frames examined and the share of them in which it is gone."""
    for label, frames, gone in score.lines:
        yield label, frames, gone / max(1, frames)
