"""Agreement of two labellings of the same films that were made independently.

usage: python -m bench.wild.agreement FIRST SECOND

Both are folders of YAML files as ``bench.wild.real`` reads them. Printed is a line for each film
and every difference, so that it can be settled by looking at the frames again.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.boxes import area, intersection
from bench.wild.real import Label, Labels, load_labels

Pair = tuple[Label, Label]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Labels of one film that both labellings have, and those that only one has."""

    pairs: tuple[Pair, ...]
    first_only: tuple[Label, ...]
    second_only: tuple[Label, ...]

    @property
    def border_frames(self) -> float:
        """Median distance between the first frames, and between the last, of a pair."""
        borders = (
            (abs(one.start - other.start), abs(one.stop - other.stop)) for one, other in self.pairs
        )
        return median(distance for both in borders for distance in both)

    @property
    def overlap(self) -> float:
        """Median intersection over union of a pair's boxes, 0 to 1."""
        return median(iou(one, other) for one, other in self.pairs)

    @property
    def same_words(self) -> int:
        """Number of pairs with the same words."""
        return sum(one.text == other.text for one, other in self.pairs)

    @property
    def same_kinds(self) -> int:
        """Number of pairs of the same kind."""
        return sum(one.kind == other.kind for one, other in self.pairs)


def iou(one: Label, other: Label) -> float:
    """Return intersection over union of the boxes, 0 to 1."""
    shared = intersection(one.box, other.box)
    return shared / (area(one.box) + area(other.box) - shared)


def agreement(first: Sequence[Label], second: Sequence[Label]) -> Agreement:
    """Pair labels that share frames and pixels, best overlap in both first (greedy)."""
    found = sorted(
        (
            (-_shared(one, other), i, k)
            for i, one in enumerate(first)
            for k, other in enumerate(second)
            if _shared(one, other) > 0
        ),
    )
    mates: dict[int, int] = {}
    for _, i, k in found:
        if i not in mates and k not in mates.values():
            mates[i] = k
    return Agreement(
        pairs=tuple((first[i], second[k]) for i, k in sorted(mates.items())),
        first_only=tuple(label for i, label in enumerate(first) if i not in mates),
        second_only=tuple(label for k, label in enumerate(second) if k not in mates.values()),
    )


def _shared(one: Label, other: Label) -> float:
    """Return the overlap in time and place: IoU of the frames times IoU of the boxes."""
    frames = min(one.stop, other.stop) - max(one.start, other.start)
    union = max(one.stop, other.stop) - min(one.start, other.start)
    return max(0, frames) / union * iou(one, other)


def report(first: Labels, second: Labels) -> Iterator[str]:
    """Yield a line for captions and one for scene text, each with its differences below it."""
    groups = (
        ("captions", first.captions, second.captions),
        ("scene text", first.scene, second.scene),
    )
    for name, one, other in groups:
        found = agreement(one, other)
        alone = f"{len(found.first_only)} and {len(found.second_only)} found by one only"
        yield f"{first.name}: {name}: {len(found.pairs)} found by both, {alone}"
        if found.pairs:
            yield (
                f"  borders: median {found.border_frames:g} frames; "
                f"boxes: median IoU {found.overlap:.2f}; "
                f"same words: {found.same_words}, same kinds: {found.same_kinds}"
            )
        yield from _differences(found)


def _differences(found: Agreement) -> Iterator[str]:
    for one, other in found.pairs:
        if one != other:
            yield f"  {_words(one)} - {_words(other)}: IoU {iou(one, other):.2f}"
    for side, alone in (("first", found.first_only), ("second", found.second_only)):
        for label in alone:
            yield f"  only the {side}: {_words(label)}"


def _words(label: Label) -> str:
    return f"{label.text!r} {label.kind} {label.start}:{label.stop} {list(label.box)}"


def main(words: list[str]) -> int:
    """Print the agreement of every film that both folders have."""
    first, second = map(Path, words)
    for path in sorted(first.glob("*.yaml")):
        if (other := second / path.name).is_file():
            print("\n".join(report(load_labels(path), load_labels(other))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
