"""Where text is and what it says: PP-OCR's networks from the RapidOCR wheel."""

from __future__ import annotations

from typing import Literal

import numpy as np
from rapidocr import RapidOCR

from bench.boxes import Box
from bench.media import Bgr


class TextDetector:
    """Finds text boxes in a picture; loaded once, used for many.

    Args:
        side_px: the length that one side of the picture is scaled to.
        side: which side: the shorter one at least, or the longer one at most.
        threads: how many threads the network may use.
    """

    def __init__(self, side_px: int, side: Literal["min", "max"], threads: int = 2) -> None:
        reader = RapidOCR(
            params={
                "Global.use_cls": False,
                "Global.use_rec": False,
                "Global.log_level": "error",
                "Det.limit_side_len": side_px,
                "Det.limit_type": side,
                "EngineConfig.onnxruntime.intra_op_num_threads": threads,
            }
        )
        # The reader scales small pictures up before it detects; its detector alone does not.
        self._detect = reader._load_det_model()  # type: ignore[no-untyped-call]

    def find(self, picture: Bgr) -> list[Box]:
        """The boxes of all text in the picture, in its own pixels."""
        found = self._detect(picture)
        if found is None or found.boxes is None:
            return []
        return [_bounds(np.asarray(corners).reshape(-1, 2)) for corners in found.boxes]


class TextReader:
    """Reads cut-out lines of text; loaded once, used for many.

    Args:
        threads: how many threads the network may use.
    """

    def __init__(self, threads: int = 2) -> None:
        self._reader = RapidOCR(
            params={
                "Global.use_cls": False,
                "Global.log_level": "error",
                "EngineConfig.onnxruntime.intra_op_num_threads": threads,
            }
        )

    def read(self, line: Bgr) -> tuple[str, float]:
        """Return the words of an upright line and their mean confidence, 0 to 1."""
        found = self._reader(line, use_det=False, use_cls=False, use_rec=True)
        texts, scores = getattr(found, "txts", None), getattr(found, "scores", None)
        return (str(texts[0]), float(scores[0])) if texts and scores else ("", 0.0)


def _bounds(corners: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> Box:
    left, top = corners.min(0)
    right, bottom = corners.max(0)
    return float(left), float(top), float(right), float(bottom)
