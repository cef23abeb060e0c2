"""Text recognition (OCR) of one line: the protocol, and RapidOCR's PP-OCR recogniser."""

from __future__ import annotations

import math
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.detection.detector import Bgr, open_session
from erasecore.model.events import NO_READING, Reading

_MODEL = "PP-OCRv6_rec_small.onnx"
_HEIGHT_PX = 48  # pixels; the network takes lines of this height and of any width
_MIN_WIDTH_PX = 32  # pixels; least width of a scaled line; guess
_MAX_WIDTH_PX = 6400  # pixels; largest width, which bounds memory; guess
_FAINT_SPACE = 0.01  # probability from which on a space is one, see docs/decisions.md 23
_FAINT_WIDE_SPACE = 0.001  # the same beside a letter as wide as high
_LAST_NARROW = "\u2e80"  # Chinese and Japanese letters come after it in Unicode
_CLINGING = "'\u2019\"([{-\u00bf\u00a1$#@"  # characters that no space follows
_REACH_LINES = 0.6  # line heights that a letter's place reaches to both sides; guess
_COLUMNS = 200  # columns of a line at which coverage is sampled; guess


class Recognizer(Protocol):
    """Reads lines of text."""

    def read(self, line: Bgr) -> Reading:
        """Return the words in ``line``, uint8 ``(H, W, 3)``, left to right; not modified."""
        ...


class RapidOcrRecognizer:
    """PP-OCRv6 (small) from the rapidocr wheel, on the CPU; the model is inside the wheel.

    It knows Chinese, Japanese and the Latin script. Letters of other scripts are mostly left out,
    or read as similar Latin ones: ``covered`` and ``score`` are low then.

    Args:
        threads: number that the network may use.
    """

    def __init__(self, *, threads: int = 2) -> None:
        self._session = open_session(_MODEL, threads)
        self._input = self._session.get_inputs()[0].name
        known = self._session.get_modelmeta().custom_metadata_map["character"].split("\n")
        self._letters = ["", *known, " "]  # the first stands for no letter

    def read(self, line: Bgr) -> Reading:
        """Return the words in ``line``, uint8 ``(H, W, 3)``."""
        height, width = line.shape[:2]
        if min(height, width) < 2:
            return NO_READING
        fitted = cv2.resize(
            line, (_fit(width / height), _HEIGHT_PX), interpolation=_interpolation(height)
        )
        tensor = cv2.dnn.blobFromImage(fitted, 1 / 127.5, mean=(127.5, 127.5, 127.5))
        probabilities = self._session.run(None, {self._input: tensor})[0][0]
        return self._decode(probabilities, width / height)

    def _decode(self, probabilities: NDArray[np.float32], aspect: float) -> Reading:
        """Return the likeliest text, repeats in adjacent steps merged (greedy CTC decoding).

        Args:
            probabilities: float32 ``(steps, letters)``; the first letter stands for none.
            aspect: width of the line in its height.
        """
        best = probabilities.argmax(axis=1)
        counts = best != 0
        counts[1:] &= best[1:] != best[:-1]
        steps = np.nonzero(counts)[0]
        text = [self._letters[k] for k in best[steps]]
        seen = np.array([bool(letter.strip()) for letter in text], bool)
        if not seen.any():
            return NO_READING
        scores = probabilities[steps, best[steps]][seen]
        places = (steps[seen] + 0.5) / len(probabilities) * aspect
        words = " ".join(spaced(text, steps, probabilities[:, -1]).split())
        return Reading(words, float(scores.mean()), float(scores.min()), _covered(places, aspect))


def spaced(letters: list[str], steps: NDArray[np.intp], spaces: NDArray[np.float32]) -> str:
    """Return the letters joined, with faint spaces inserted between words.

    The network is not sure enough of narrow spaces, and of those that stand for a comma in Chinese,
    to write them; but where there is none their probability is lower by orders of magnitude.

    Args:
        letters: in order; not empty.
        steps: int ``(N,)``; the network's step of each letter.
        spaces: float32 ``(steps,)``; probability of a space in each step, 0 to 1.
    """
    text = letters[0]
    for k, letter in enumerate(letters[1:], start=1):
        between = spaces[steps[k - 1] + 1 : steps[k]]
        if between.max(initial=0.0) > _min_space_probability(letters[k - 1], letter):
            text += " "
        text += letter
    return text


def _min_space_probability(before: str, after: str) -> float:
    """Probability above which a space between two letters is taken, likeliest or not."""
    if max(before, after) > _LAST_NARROW:  # marks among them have air around them anyway
        return _FAINT_WIDE_SPACE if before.isalnum() and after.isalnum() else 1.0
    if before.isspace() or before in _CLINGING or not after.isalnum():
        return 1.0
    return 1.0 if before.isdigit() and after.isdigit() else _FAINT_SPACE


def _fit(aspect: float) -> int:
    """Width in pixels of a line of that aspect, scaled to the network's height."""
    return min(_MAX_WIDTH_PX, max(_MIN_WIDTH_PX, math.ceil(_HEIGHT_PX * aspect)))


def _interpolation(height: int) -> int:
    """OpenCV's flag for scaling a line of ``height`` pixels to the network's height."""
    return cv2.INTER_AREA if height > _HEIGHT_PX else cv2.INTER_CUBIC


def _covered(places: NDArray[np.float64], aspect: float) -> float:
    """Share of a line's length, 0 to 1, that lies near a letter.

    Args:
        places: float64 ``(N,)``; middle of each letter, in line heights.
        aspect: length of the line, in its heights.
    """
    columns = np.linspace(0, aspect, _COLUMNS)
    return float((np.abs(columns[:, None] - places).min(axis=1) < _REACH_LINES).mean())
