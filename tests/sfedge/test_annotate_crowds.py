"""Where tags, words and lines may lie, whatever people and pictures come."""

from dataclasses import replace

import numpy as np
from annotated import (
    annotators,
    drawn,
    everything_about,
    gaze_at,
    grey,
    pixels,
    result,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from sfedge import annotate
from sfedge.annotate.lines import segments
from sfedge.annotate.theme import Theme
from sfedge.core.boxes import Box
from sfedge.core.structures import Hand, Track


def overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> bool:
    return min(a[2], b[2]) > max(a[0], b[0]) and min(a[3], b[3]) > max(a[1], b[1])


@st.composite
def crowds(draw: st.DrawFn) -> tuple[Track, ...]:
    """One to twelve people anywhere, some of whom show no face."""
    tracks = []
    for number in range(1, draw(st.integers(1, 12)) + 1):
        size = draw(st.floats(0.01, 0.3))
        x, y = draw(st.floats(0, 1 - size)), draw(st.floats(0, 1 - size))
        face = Box(x, y, x + size * 0.7, y + size)
        body = Box(max(x - size, 0), max(y - size / 2, 0), min(x + 2 * size, 1), 1.0)
        has_face = draw(st.integers(0, 4)) > 0
        score = draw(st.floats(0.3, 1))
        tracks.append(
            Track(
                number,
                body,
                face if has_face else None,
                (),
                0.0,
                0.0,
                name=draw(st.sampled_from([None, "Ada Lovelace"])),
                face_score=score,
            )
        )
    return tuple(tracks)


@settings(max_examples=60, deadline=None)
@given(
    tracks=crowds(),
    size=st.sampled_from([(360, 640), (640, 360), (720, 1280), (1080, 1920), (2160, 3840)]),
    is_fresh=st.booleans(),
    hand=st.booleans(),
)
def test_no_tag_or_word_lies_on_a_face_or_on_another_or_outside(
    tracks: tuple[Track, ...], size: tuple[int, int], is_fresh: bool, hand: bool
) -> None:
    height, width = size
    image = np.zeros((height, width, 3), np.uint8)
    answers = everything_about(*(track.id for track in tracks))
    hands = (Hand(1, Box(0.4, 0.4, 0.5, 0.5), "left", 0.5, 0.0),) if hand else ()
    fresh, carried = (answers, ()) if is_fresh else ((), answers)
    shown = result(image, tracks=tracks, fresh=fresh, carried=carried, now=2.0, hands=hands)
    parts = annotators()
    for part in parts:
        part.draw(image, shown)
    (tagged,) = (part for part in parts if isinstance(part, annotate.Tags))
    (linked,) = (part for part in parts if isinstance(part, annotate.PairLinks))
    (line,) = (part for part in parts if isinstance(part, annotate.StatusLine))
    faces = [
        (
            int(t.face.x1 * width),
            int(t.face.y1 * height),
            int(t.face.x2 * width),
            int(t.face.y2 * height),
        )
        for t in tracks
        if t.face
    ]
    boxes = [*tagged.areas, *linked.areas]
    for i, box in enumerate(boxes):
        assert 0 <= box[0] < box[2] <= width
        assert 0 <= box[1] < box[3] <= height
        assert not any(overlap(box, face) for face in faces)
        assert not any(overlap(box, other) for other in boxes[i + 1 :])
        assert not any(overlap(box, area) for area in line.areas(image))
    assert len(tagged.areas) + tagged.left_out == len(tracks) + len(hands)


@settings(max_examples=30, deadline=None)
@given(tracks=crowds())
def test_nothing_but_frames_is_drawn_on_a_face(tracks: tuple[Track, ...]) -> None:
    image = grey(540, 960)
    framed = image.copy()
    answers = everything_about(*(track.id for track in tracks))
    shown = result(image, tracks=tracks, fresh=answers)
    annotate.Outlines(Theme()).draw(framed, shown)
    after = drawn(shown)
    status_top = 500
    for track in tracks:
        if track.face is not None:
            rows, columns = pixels(image, track.face)
            rows = slice(rows.start, min(rows.stop, status_top))
            assert np.array_equal(after[rows, columns], framed[rows, columns])


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    corners=st.lists(st.floats(0, 0.98), min_size=4, max_size=4),
    point=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_any_size_of_picture_and_box_can_be_drawn(
    height: int, width: int, corners: list[float], point: tuple[float, float]
) -> None:
    image = np.zeros((height, width, 3), np.uint8)
    x, y, u, v = corners
    first = Track(1, Box(x, y, min(x + 0.02 + u, 1), min(y + 0.02 + v, 1)), None, (), 0, 0)
    second = replace(first, id=2, face=Box(u, v, u + 0.01, v + 0.01))
    answers = (gaze_at(*point), gaze_at(*point, 2), *everything_about(1, 2))
    hand = Hand(1, first.person, None, 0.5, 0.0, is_wearers=True)
    after = drawn(result(image, tracks=(first, second), fresh=answers, hands=(hand,)))
    assert after.shape == image.shape
    assert after.dtype == np.uint8


@settings(max_examples=200, deadline=None)
@given(
    ends=st.lists(st.integers(0, 60), min_size=4, max_size=4),
    areas=st.lists(
        st.tuples(*[st.integers(0, 50)] * 2, *[st.integers(1, 30)] * 2), max_size=3
    ),
)  # fmt: skip
def test_a_line_passes_behind_areas_and_is_whole_elsewhere(
    ends: list[int], areas: list[tuple[int, int, int, int]]
) -> None:
    start, end = (ends[0], ends[1]), (ends[2], ends[3])
    blocks = [(x, y, x + w, y + h) for x, y, w, h in areas]
    shown = segments(start, end, blocks)
    for step in np.linspace(0, 1, 41):
        x, y = (a + (b - a) * step for a, b in zip(start, end, strict=True))
        inside = any(b[0] + 2 < x < b[2] - 2 and b[1] + 2 < y < b[3] - 2 for b in blocks)
        outside = all(x < b[0] - 2 or x > b[2] + 2 or y < b[1] - 2 or y > b[3] + 2 for b in blocks)
        is_shown = any(
            min(p[0], q[0]) - 1 <= x <= max(p[0], q[0]) + 1
            and min(p[1], q[1]) - 1 <= y <= max(p[1], q[1]) + 1
            for p, q in shown
        )
        if inside:
            assert not is_shown
        if outside and start != end:
            assert is_shown
