"""Rectangles cut out of frames, and the larger ones around them that some engines ask for."""

from __future__ import annotations

import numpy as np
import pytest

from erasecore.model.crop_stacks import CropCollector, CropStack
from erasecore.video.color import Box, PlaneLayout, Planes, as_plane

LAYOUTS = [
    PlaneLayout("yuv420p", 8, 1, 1, 3, full_range=False),
    PlaneLayout("yuv422p10le", 10, 1, 0, 3, full_range=False),
    PlaneLayout("gray", 8, 0, 0, 1, full_range=True),
]
BOX, WIDER = (20, 10, 60, 30), (8, 4, 91, 47)


def frame(layout: PlaneLayout) -> Planes:
    """A frame whose samples are all different from their neighbours."""
    sizes = [layout.plane_size(index, 91, 47) for index in range(layout.planes)]
    return tuple(
        as_plane(np.arange(rows * columns).reshape(rows, columns) % 251 + index, layout)
        for index, (rows, columns) in enumerate(sizes)
    )


def collected(layout: PlaneLayout, wider: Box | None) -> CropStack:
    """Frames 3 and 4 of a film."""
    collector = CropCollector(3, 5, BOX, layout, context_box=wider)
    for index in range(10):
        collector.add(index, frame(layout))
    return collector.finish()


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.pix_fmt)
def test_the_picture_around_changes_nothing_of_the_cutout(layout: PlaneLayout) -> None:
    """The same samples, whether or not more of the picture is kept."""
    plain, with_more = collected(layout, None), collected(layout, WIDER)
    assert plain.context is None
    assert with_more.context is not None
    assert all(map(np.array_equal, plain.planes, with_more.planes))
    assert np.array_equal(with_more.context.planes[0][0], frame(layout)[0][4:47, 8:91])


def test_what_is_undone_in_the_cutout_is_undone_around_it() -> None:
    """They share their memory: plates that are taken away are gone for both."""
    crop = collected(LAYOUTS[0], WIDER)
    assert crop.context is not None
    crop.planes[1][0][:] = 77
    rows, columns = slice(5 - 2, 15 - 2), slice(10 - 4, 30 - 4)
    assert (crop.context.planes[1][0][rows, columns] == 77).all()
    assert (crop.context.planes[1][1] != 77).any()
