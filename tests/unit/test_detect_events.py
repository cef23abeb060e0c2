"""The record of a detection survives being written down."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erasecore.model.events import Detection, Event, PathPoint

_PX = st.floats(0, 8192, allow_nan=False, width=32)
_EVENTS = st.builds(
    Event,
    start=st.integers(0, 10_000),
    stop=st.integers(0, 10_000),
    full_start=st.integers(0, 10_000),
    full_stop=st.integers(0, 10_000),
    box_xyxy=st.tuples(_PX, _PX, _PX, _PX),
    text_height_px=_PX,
    score=st.floats(0, 1),
    path=st.lists(
        st.builds(PathPoint, *[st.integers(-900, 900)] * 3, st.floats(0.25, 3)), max_size=3
    ).map(tuple),
)
_DETECTIONS = st.builds(
    Detection,
    events=st.lists(_EVENTS, max_size=4).map(tuple),
    rejected=st.lists(st.tuples(_EVENTS, st.text(max_size=20)), max_size=3).map(tuple),
    cuts=st.lists(st.integers(0, 10_000), max_size=5).map(tuple),
    frames=st.integers(0, 100_000),
    forbidden=st.lists(_EVENTS, max_size=3).map(tuple),
)


@given(_DETECTIONS)
def test_json_round_trip(detection: Detection) -> None:
    """Whatever was found is read back equal, and written the same way again."""
    text = detection.to_json()
    again = Detection.from_json(text)
    assert again == detection
    assert again.to_json() == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "null",
        '{"events": [{"start": 1}], "rejected": [], "cuts": [], "frames": 3}',
        '{"events": [], "rejected": [], "cuts": null, "frames": 3}',
        '{"events": [{"box_xyxy": [1, 2, 3, 4], "path": [[1]]}], "rejected": [], "frames": 3}',
        '{"events": [{"box_xyxy": 4}], "rejected": [], "cuts": [], "frames": 3}',
    ],
)
def test_foreign_text_is_refused(text: str) -> None:
    """Text that is no such record raises ValueError, so that detection is done again."""
    with pytest.raises(ValueError, match=r".*"):
        Detection.from_json(text)
