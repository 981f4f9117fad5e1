import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sfedge.core.boxes import (
    FULL,
    Box,
    clamped,
    from_pixels,
    intersection,
    iou,
    patch_mask,
    to_pixels,
    union,
    with_margin,
    within,
)
from sfedge.core.errors import DataError

unit = st.floats(0.0, 1.0, allow_subnormal=False)
anywhere = st.floats(-1e6, 1e6)
ALMOST = 1e-9


@st.composite
def boxes(draw: st.DrawFn, smallest: float = 0.0) -> Box:
    x1, x2 = sorted((draw(unit), draw(unit)))
    y1, y2 = sorted((draw(unit), draw(unit)))
    assume(x2 - x1 > smallest and y2 - y1 > smallest)
    return Box(x1, y1, x2, y2)


def contains(outer: Box, inner: Box, slack: float = 0.0) -> bool:
    return (
        outer.x1 <= inner.x1 + slack
        and outer.y1 <= inner.y1 + slack
        and outer.x2 >= inner.x2 - slack
        and outer.y2 >= inner.y2 - slack
    )


@given(anywhere, anywhere, anywhere, anywhere)
def test_clamping_keeps_what_lies_inside_and_refuses_what_does_not(
    x1: float, y1: float, x2: float, y2: float
) -> None:
    is_inside = max(x1, 0) < min(x2, 1) and max(y1, 0) < min(y2, 1)
    if not is_inside:
        with pytest.raises(DataError, match="empty or lies outside"):
            clamped(x1, y1, x2, y2)
        return
    box = clamped(x1, y1, x2, y2)
    assert box == Box(max(x1, 0.0), max(y1, 0.0), min(x2, 1.0), min(y2, 1.0))


@given(st.integers(0, 3), st.sampled_from([math.nan, math.inf, -math.inf]))
def test_coordinates_that_are_no_numbers_are_refused(position: int, value: float) -> None:
    values = [0.1, 0.1, 0.9, 0.9]
    values[position] = value
    for make in (Box, clamped):
        with pytest.raises(DataError, match="not a number"):
            make(*values)


@pytest.mark.parametrize(
    "values",
    [(0.5, 0.1, 0.5, 0.9), (0.6, 0.1, 0.5, 0.9), (-0.1, 0, 1, 1), (0, 0, 1, 1.001)],
    ids=["no width", "reversed", "left of the picture", "below the picture"],
)
def test_a_box_is_never_empty_and_never_leaves_the_picture(values: tuple[float, ...]) -> None:
    with pytest.raises(DataError, match="Boxes are x1 y1 x2 y2"):
        Box(*values)


@given(boxes(), st.integers(1, 32))
def test_the_mask_marks_exactly_the_patches_that_share_area_with_the_box(
    box: Box, grid: int
) -> None:
    mask = patch_mask([box], grid).reshape(grid, grid)

    # The same in whole-number arithmetic, where nothing is rounded: open intervals overlap.
    for row in range(grid):
        for column in range(grid):
            across = Fraction(column, grid) < Fraction(box.x2) and Fraction(box.x1) < Fraction(
                column + 1, grid
            )
            down = Fraction(row, grid) < Fraction(box.y2) and Fraction(box.y1) < Fraction(
                row + 1, grid
            )
            if mask[row, column] != (across and down):
                # Only where an edge lies on the grid to within the last digit of a product.
                edges = [Fraction(v) * grid for v in (box.x1, box.x2, box.y1, box.y2)]
                assert any(abs(edge - round(edge)) < 1e-12 for edge in edges)


@given(unit, unit, st.integers(1, 64), st.floats(1e-12, 1e-3))
def test_the_smallest_box_marks_a_patch(x: float, y: float, grid: int, size: float) -> None:
    assume(x + size <= 1 and y + size <= 1 and x < x + size and y < y + size)

    assert 1 <= patch_mask([Box(x, y, x + size, y + size)], grid).sum() <= 4


@given(st.lists(boxes(), max_size=4), boxes(), st.integers(1, 24))
def test_one_box_more_never_unmarks_a_patch(known: list[Box], more: Box, grid: int) -> None:
    before, after = patch_mask(known, grid), patch_mask([*known, more], grid)

    assert after.shape == (grid * grid,)
    assert np.array_equal(after, before | patch_mask([more], grid))


def test_no_box_marks_nothing_and_the_whole_picture_marks_all() -> None:
    assert not patch_mask([], 24).any()
    assert patch_mask([FULL], 24).all()


@given(boxes(), st.integers(1, 4000), st.integers(1, 4000))
def test_whole_pixels_cover_the_box_and_stay_in_the_picture(
    box: Box, width: int, height: int
) -> None:
    x1, y1, x2, y2 = to_pixels(box, width=width, height=height)

    assert 0 <= x1 < x2 <= width
    assert 0 <= y1 < y2 <= height
    assert x1 <= box.x1 * width + 1e-6
    assert x2 >= box.x2 * width - 1e-6
    assert y1 <= box.y1 * height + 1e-6
    assert y2 >= box.y2 * height - 1e-6
    assert x2 - x1 <= box.width * width + 2
    assert y2 - y1 <= box.height * height + 2


@given(st.integers(0, 99), st.integers(0, 99), st.integers(1, 100), st.integers(1, 100))
def test_pixels_come_back_as_they_were(x: int, y: int, width: int, height: int) -> None:
    box = from_pixels(x, y, x + width, y + height, width=200, height=200)

    assert to_pixels(box, width=200, height=200) == (x, y, x + width, y + height)


@given(boxes(), st.floats(0.0, 2.0))
def test_a_margin_grows_a_box_by_its_own_size_until_the_picture_ends(
    box: Box, margin: float
) -> None:
    grown = with_margin(box, margin)

    assert contains(grown, box)
    assert grown.x1 == pytest.approx(max(box.x1 - margin * box.width, 0))
    assert grown.y2 == pytest.approx(min(box.y2 + margin * box.height, 1))


@given(boxes(1e-3), boxes(1e-3))
def test_a_box_inside_a_view_is_in_the_views_fractions(box: Box, other: Box) -> None:
    view = union([box, other])
    inner = within(box, view)

    assert view.x1 + inner.x1 * view.width == pytest.approx(box.x1, abs=ALMOST)
    assert view.y2 - (1 - inner.y2) * view.height == pytest.approx(box.y2, abs=ALMOST)
    assert within(box, FULL) == box


def test_a_box_beside_the_view_is_refused() -> None:
    with pytest.raises(DataError, match="outside"):
        within(Box(0.0, 0.0, 0.2, 0.2), Box(0.5, 0.5, 1.0, 1.0))


@given(boxes(), boxes())
def test_overlap_is_symmetric_and_at_most_either_box(a: Box, b: Box) -> None:
    assert intersection(a, b) == intersection(b, a) <= min(a.area, b.area) + ALMOST
    assert iou(a, b) == iou(b, a)
    assert 0.0 <= iou(a, b) <= 1.0 + ALMOST
    assert contains(union([a, b]), a)
    assert contains(union([a, b]), b)


@given(boxes(1e-3))
def test_a_box_overlaps_itself_wholly(box: Box) -> None:
    assert iou(box, box) == pytest.approx(1.0)
