import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfedge.core.boxes import Box, iou
from sfedge.detect.mediapipe.regions import Region
from sfedge.detect.mediapipe.single_shot import RawDetection, decode, make_anchors, overlaps


@pytest.mark.parametrize(
    ("size", "strides", "count"),
    [
        (128, [(8, 2), (16, 6)], 896),  # the networks' own sizes
        (192, [(4, 1)], 2304),
        (192, [(8, 2), (16, 6)], 2016),
        (224, [(8, 2), (16, 2), (32, 6)], 2254),
    ],
)
def test_there_is_an_anchor_for_each_output(
    size: int, strides: list[tuple[int, int]], count: int
) -> None:
    anchors = make_anchors(size, strides)
    assert anchors.shape == (count, 2)
    stride, times = strides[0]
    first = stride / size / 2
    assert np.allclose(anchors[:times], first)  # all at the first place
    assert np.allclose(anchors[times], (3 * first, first))  # then along the line
    assert np.allclose(anchors.mean(axis=0), 0.5)


def _rows(
    *boxes: tuple[float, float, float, float],
) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Centre, width and height, and one point a pixel right of the anchor."""
    return np.array([[*box, 1.0, 0.0] for box in boxes], np.float32)


def test_boxes_that_overlap_become_their_mean_by_score() -> None:
    anchors = np.full((3, 2), 0.5)
    values = _rows((0, 0, 40, 40), (4, 0, 40, 40), (-40, -40, 10, 10))
    logits = np.log(np.array([0.9 / 0.1, 0.6 / 0.4, 0.7 / 0.3], np.float32))
    first, second = decode(values, logits, anchors, size=100, lowest=0.5, overlap=0.3)
    assert first.score == pytest.approx(0.9)
    assert second.score == pytest.approx(0.7)
    middle = 0.5 + 0.04 * 0.6 / 1.5
    assert first.box == pytest.approx([middle - 0.2, 0.3, middle + 0.2, 0.7])
    assert first.points == pytest.approx(np.array([[0.51, 0.5]]))
    assert second.box == pytest.approx([0.05, 0.05, 0.15, 0.15])


def test_what_is_unsure_or_turned_inside_out_is_nothing() -> None:
    anchors = np.full((3, 2), 0.5)
    values = _rows((0, 0, 40, 40), (0, 0, -40, 40), (0, 0, 40, 40))
    logits = np.array([-0.01, 5, -1000], np.float32)
    assert decode(values, logits, anchors, size=100, lowest=0.5, overlap=0.3) == []
    (found,) = decode(values, logits, anchors, size=100, lowest=0.49, overlap=0.3)
    assert found.score == pytest.approx(0.4975, abs=1e-4)


def test_a_find_is_placed_in_the_picture() -> None:
    detection = RawDetection(np.array([0.25, 0.5, 0.75, 1.0]), np.array([[0.5, 0.5]]), 0.9)
    placed = detection.in_picture(Region(100, 50, 200))
    assert placed.box == pytest.approx([50, 50, 150, 150])
    assert placed.points == pytest.approx(np.array([[100, 50]]))


_corner = st.floats(0, 0.9)
_side = st.floats(0.01, 0.1)


@given(st.lists(st.tuples(_corner, _corner, _side, _side), min_size=2, max_size=6))
def test_overlaps_are_those_of_boxes(parts: list[tuple[float, float, float, float]]) -> None:
    boxes = np.array([(x, y, x + w, y + h) for x, y, w, h in parts])
    found = overlaps(boxes[0], boxes)
    expected = [iou(Box(*boxes[0].tolist()), Box(*box.tolist())) for box in boxes]
    assert found == pytest.approx(expected)
