"""The words of one line of text: the protocol, and RapidOCR's PP-OCR recogniser behind it."""

from __future__ import annotations

import math
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.detect.detector import Bgr, open_session
from erasecore.model.events import NO_READING, Reading

_MODEL = "PP-OCRv6_rec_small.onnx"
_HEIGHT_PX = 48  # the network takes lines of this height and of any width
_LEAST_WIDTH_PX, _MOST_WIDTH_PX = 32, 6400
_FAINT, _FAINT_WIDE = 0.01, 0.001  # chances; wide: beside a letter as wide as high
_LAST_NARROW = "\u2e80"  # Chinese and Japanese letters come after it
_CLINGING = "'\u2019\"([{-\u00bf\u00a1$#@"  # no space follows them
_REACH = 0.6  # of a line's height: how far a letter's own place reaches to both sides


class Recognizer(Protocol):
    """Reads lines of text."""

    def read(self, line: Bgr) -> Reading:
        """The words in ``line``, uint8 ``(H, W, 3)``: one line, left to right; not modified."""
        ...


class RapidOcrRecognizer:
    """PP-OCRv6 (small) from the rapidocr wheel, on the CPU; the model is inside the wheel.

    It knows Chinese, Japanese and the Latin script. Letters of other scripts it mostly leaves out,
    sometimes it takes them for similar Latin ones: ``covered`` and ``score`` are low then.

    Args:
        threads: how many the network may use.
    """

    def __init__(self, *, threads: int = 2) -> None:
        self._session = open_session(_MODEL, threads)
        self._input = self._session.get_inputs()[0].name
        known = self._session.get_modelmeta().custom_metadata_map["character"].split("\n")
        self._letters = ["", *known, " "]  # the first stands for no letter

    def read(self, line: Bgr) -> Reading:
        """The words in ``line``."""
        height, width = line.shape[:2]
        if min(height, width) < 2:
            return NO_READING
        fitted = cv2.resize(line, (_fit(width / height), _HEIGHT_PX), interpolation=_way(height))
        tensor = cv2.dnn.blobFromImage(fitted, 1 / 127.5, mean=(127.5, 127.5, 127.5))
        chances = self._session.run(None, {self._input: tensor})[0][0]
        return self._decode(chances, width / height)

    def _decode(self, chances: NDArray[np.float32], aspect: float) -> Reading:
        """The likeliest letter of each step; the same one twice in a row is one."""
        best = chances.argmax(axis=1)
        counts = best != 0
        counts[1:] &= best[1:] != best[:-1]
        steps = np.nonzero(counts)[0]
        text = [self._letters[k] for k in best[steps]]
        seen = np.array([bool(letter.strip()) for letter in text], bool)
        if not seen.any():
            return NO_READING
        scores = chances[steps, best[steps]][seen]
        places = (steps[seen] + 0.5) / len(chances) * aspect
        words = " ".join(spaced(text, steps, chances[:, -1]).split())
        return Reading(words, float(scores.mean()), float(scores.min()), _covered(places, aspect))


def spaced(letters: list[str], steps: NDArray[np.intp], spaces: NDArray[np.float32]) -> str:
    """The letters with faint spaces put in where one word may end and another begin.

    Of narrow spaces, and of those that stand for a comma in Chinese, the network is not sure enough
    to write them; but where there is none it is surer by orders of magnitude.
    """
    text = letters[0]
    for k, letter in enumerate(letters[1:], start=1):
        between = spaces[steps[k - 1] + 1 : steps[k]]
        if between.max(initial=0.0) > _least_chance(letters[k - 1], letter):
            text += " "
        text += letter
    return text


def _least_chance(before: str, after: str) -> float:
    """The chance from which on a space between two letters is one, though no letter's is less."""
    if max(before, after) > _LAST_NARROW:  # marks among them have air around them anyway
        return _FAINT_WIDE if before.isalnum() and after.isalnum() else 1.0
    if before.isspace() or before in _CLINGING or not after.isalnum():
        return 1.0
    return 1.0 if before.isdigit() and after.isdigit() else _FAINT


def _fit(aspect: float) -> int:
    return min(_MOST_WIDTH_PX, max(_LEAST_WIDTH_PX, math.ceil(_HEIGHT_PX * aspect)))


def _way(height: int) -> int:
    return cv2.INTER_AREA if height > _HEIGHT_PX else cv2.INTER_CUBIC


def _covered(places: NDArray[np.float64], aspect: float) -> float:
    """Share of a line ``aspect`` heights long that lies within reach of one of ``places``."""
    columns = np.linspace(0, aspect, 200)
    return float((np.abs(columns[:, None] - places).min(axis=1) < _REACH).mean())
