"""From the network's chances to words: no font with Chinese letters is needed for that."""

from __future__ import annotations

import numpy as np
import pytest

from erasecore.detection.recognizer import spaced


@pytest.mark.parametrize(
    ("letters", "chance", "words"),
    [
        ("你好我", 0.02, "你好 我"),  # a space that the network all but denies
        ("你好我", 0.0001, "你好我"),
        ("3月我", 0.02, "3月 我"),
        ("くけこ", 0.02, "くけ こ"),
        ("abc", 0.02, "ab c"),  # a narrow one
        ("abc", 0.005, "abc"),
        ("y,t", 0.02, "y, t"),
        ("n't", 0.02, "n't"),  # what clings to the next letter
        ("-(b", 0.02, "-(b"),
        ("b'?", 0.02, "b'?"),  # what clings to the letter before
        ("121", 0.02, "121"),  # digits are of one number
        ("好、我", 0.3, "好、我"),  # a mark has air around it anyway
    ],
)
def test_faint_spaces(letters: str, chance: float, words: str) -> None:
    """A faint space is one where a word may end and another begin."""
    steps = np.array([2, 7, 13])
    spaces = np.zeros(16, np.float32)
    spaces[10] = chance
    spaces[[0, 2, 7, 13, 15]] = 0.9  # before, after and in letters it means nothing
    assert spaced(list(letters), steps, spaces) == words


def test_neighbouring_steps() -> None:
    """Letters without a step between them have no space between them."""
    assert spaced(["你", "好"], np.array([4, 5]), np.full(9, 0.5, np.float32)) == "你好"
