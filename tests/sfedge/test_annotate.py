from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sfedge import annotate
from sfedge.annotate.layout import Area, Placer
from sfedge.annotate.status import clock
from sfedge.annotate.text import ink_on, text_width, wrap
from sfedge.annotate.theme import Theme
from sfedge.core.boxes import Box
from sfedge.core.structures import Frame, FrameResult, Image, Prediction, Track
from sfedge.core.tasks import TASKS

NOTICE = "It has learnt from drawings; its answers about real people mean little."


def gaze_at(x: float, y: float, person: int = 1, *, is_unsure: bool = False) -> Prediction:
    cells = (np.arange(64) + 0.5) / 64
    heatmap = 0.9 * np.exp(-((cells[None] - x) ** 2 + (cells[:, None] - y) ** 2) / 0.005)
    return Prediction(
        "gaze",
        (person,),
        0,
        0.0,
        heatmap=heatmap.astype(np.float32),
        point=(x, y),
        peak=0.9,
        is_unsure=is_unsure,
    )


def told(task: str, *people: int, is_unsure: bool = False) -> Prediction:
    label = TASKS[task].labels[0]
    return Prediction(
        task, people, 0, 0.0, label=label, probabilities={label: 0.7}, is_unsure=is_unsure
    )


def person(number: int, x: float, name: str | None = None) -> Track:
    face = Box(x + 0.08, 0.2, x + 0.18, 0.4)
    return Track(number, Box(x, 0.1, x + 0.3, 0.95), face, (), 0.0, 1.0, name)


def result(
    image: Image,
    *,
    tracks: tuple[Track, ...] = (),
    fresh: tuple[Prediction, ...] = (),
    carried: tuple[Prediction, ...] = (),
    now: float = 0.0,
) -> FrameResult:
    return FrameResult(Frame(image, 0, now), tracks, fresh, carried)


def busy(image: Image, now: float = 0.0) -> FrameResult:
    """Two people about whom everything is told."""
    singles = ("expression", "gesture", "looking_at_me")
    answers = [told(task, number) for task in singles for number in (1, 2)]
    answers += [
        told("domain", 1, 2),
        told("relation", 1, 2),
        gaze_at(0.5, 0.7),
        gaze_at(0.4, 0.6, 2),
    ]
    return result(image, tracks=(person(1, 0.05), person(2, 0.6)), fresh=tuple(answers), now=now)


def changed(before: Image, after: Image) -> NDArray[np.bool_]:
    return np.asarray((before != after).any(axis=2), np.bool_)


def grey(height: int = 720, width: int = 1280, value: int = 90) -> Image:
    return np.full((height, width, 3), value, np.uint8)


def drawn(shown: FrameResult) -> Image:
    return annotate.draw(shown, annotate.build_annotators(model="test", notice=NOTICE))


def test_the_frame_itself_stays_as_it_was() -> None:
    image = grey()
    image.setflags(write=False)
    assert drawn(busy(image)) is not image
    assert (image == 90).all()


def test_the_model_and_its_limits_stand_on_a_picture_without_people() -> None:
    image = grey()
    touched = changed(image, drawn(result(image)))
    assert touched[-30:].any()
    assert not touched[: 720 * 3 // 4].any()
    without = annotate.draw(result(image), annotate.build_annotators(model="test", notice=""))
    assert changed(without, drawn(result(image))).any()


def test_the_heatmap_tints_the_peak_in_the_colour_of_the_person() -> None:
    theme, image = Theme(), grey()
    annotate.GazeHeatmap(theme).draw(
        image, result(image, tracks=(person(2, 0.1),), fresh=(gaze_at(0.7, 0.5, 2),))
    )
    before = grey()
    expected = 90 + theme.heat_opacity * (np.array(theme.colour(2)) - 90)
    assert np.abs(image[360, 896] - expected).max() < 12
    touched = changed(before, image)
    rows, columns = np.nonzero(touched)
    assert abs(rows.mean() - 360) < 6
    assert abs(columns.mean() - 896) < 6
    assert touched.mean() < 0.1


def test_the_arrow_begins_at_the_edge_of_the_face_and_ends_at_the_point() -> None:
    image = grey()
    shown = result(image, tracks=(person(1, 0.1),), fresh=(gaze_at(0.8, 0.3),))
    annotate.GazeArrows(Theme()).draw(image, shown)
    touched = changed(grey(), image)
    assert touched[216, 1024]  # 0.3 of 720, 0.8 of 1280
    assert not touched[146:286, 232:355].any()  # the face, from 0.18 to 0.28 and 0.2 to 0.4
    assert touched[:, 380:384].any()


def test_a_flat_heatmap_tints_nothing() -> None:
    image, noise = grey(), np.random.default_rng(0).normal(0, 0.01, (64, 64))
    flat = replace(gaze_at(0.5, 0.5), heatmap=(0.6 + noise).astype(np.float32))
    annotate.GazeHeatmap(Theme()).draw(
        image, result(image, tracks=(person(1, 0.1),), fresh=(flat,))
    )
    assert (image == 90).all()


@pytest.mark.parametrize("kind", ["labels", "arrow", "heatmap"])
def test_an_older_answer_looks_different_from_a_fresh_one(kind: str) -> None:
    answers = (gaze_at(0.7, 0.7),) if kind != "labels" else (told("expression", 1),)
    tracks = (person(1, 0.1),)
    parts: dict[str, annotate.Annotator] = {
        "labels": annotate.Labels(Theme(), lambda image: ()),
        "arrow": annotate.GazeArrows(Theme()),
        "heatmap": annotate.GazeHeatmap(Theme()),
    }
    part = parts[kind]
    fresh, older = grey(), grey()
    part.draw(fresh, result(fresh, tracks=tracks, fresh=answers, now=1.0))
    part.draw(older, result(older, tracks=tracks, carried=answers, now=1.0))
    assert changed(fresh, older).any()
    if kind != "labels":  # fainter: nearer to the ground
        assert np.abs(older - 90.0).sum() < np.abs(fresh - 90.0).sum()


def test_an_answer_that_arrives_late_says_by_how_much() -> None:
    def labels(asked: float) -> Image:
        image, answer = grey(), replace(told("expression", 1), time=asked)
        shown = result(image, tracks=(person(1, 0.1),), fresh=(answer,), now=1.0)
        annotate.Labels(Theme(), lambda image: ()).draw(image, shown)
        return image

    assert changed(labels(1.0), labels(0.4)).any()


def test_an_unsure_answer_is_marked() -> None:
    tracks = (person(1, 0.1), person(2, 0.6))
    for sure in (told("expression", 1), told("relation", 1, 2), gaze_at(0.5, 0.5)):
        image = grey()
        unsure = replace(sure, is_unsure=True)
        pictures = [drawn(result(image, tracks=tracks, fresh=(one,))) for one in (sure, unsure)]
        assert changed(*pictures).any()


def test_texts_and_lines_leave_the_faces_free() -> None:
    image = grey()
    shown = busy(image)
    after = drawn(shown)
    for track in shown.tracks:
        assert track.face is not None
        x1, y1, x2, y2 = (
            round(v * s)
            for v, s in zip(
                (track.face.x1, track.face.y1, track.face.x2, track.face.y2),
                (1280, 720, 1280, 720),
                strict=True,
            )
        )
        inside = after[y1 + 4 : y2 - 4, x1 + 4 : x2 - 4]
        assert (inside == 90).all()


def test_panels_do_not_cover_each_other_where_there_is_room() -> None:
    placer = Placer()
    faces = [(300 * i + 100, 200, 300 * i + 180, 300) for i in range(4)]
    placer.begin(1280, 720, faces, [(0, 680, 1280, 720)])
    taken: list[Area] = [*faces, (0, 680, 1280, 720)]
    for i, face in enumerate(faces):
        x, y = placer.place((i,), 190, 120, face)
        area = (x, y, x + 190, y + 120)
        assert not any(overlap(area, other) for other in taken)
        taken.append(area)


def overlap(a: Area, b: Area) -> bool:
    return min(a[2], b[2]) > max(a[0], b[0]) and min(a[3], b[3]) > max(a[1], b[1])


def test_a_panel_keeps_its_side_while_its_person_moves() -> None:
    placer = Placer()
    offsets = set()
    for step in range(60):
        face = (200 + 8 * step, 200, 280 + 8 * step, 300)
        placer.begin(1280, 720, [face], [])
        x, y = placer.place((1,), 200, 120, face)
        offsets.add((x - face[0], y - face[1]))
    assert len(offsets) == 1


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
    answers = (gaze_at(*point), gaze_at(*point, 2), told("gesture", 2), told("domain", 1, 2))
    after = drawn(result(image, tracks=(first, second), fresh=answers))
    assert after.shape == image.shape
    assert after.dtype == np.uint8


def test_answers_about_people_who_have_left_are_not_drawn() -> None:
    image = grey()
    gone = (gaze_at(0.5, 0.5), told("expression", 1), told("domain", 1, 2))
    left = drawn(result(image, tracks=(person(2, 0.5),), fresh=gone))
    assert not changed(left, drawn(result(image, tracks=(person(2, 0.5),)))).any()


def test_a_name_with_accents_is_written_beside_the_number() -> None:
    image = grey()
    plain = drawn(result(image, tracks=(person(1, 0.1),)))
    named = drawn(result(image, tracks=(person(1, 0.1, "Zoë Łukasiewicz"),)))
    assert changed(plain, named).any()


def test_texts_read_on_every_colour_of_the_palette() -> None:
    def luminance(colour: tuple[int, int, int]) -> float:  # WCAG 2.1
        parts = [c / 255 for c in colour]
        red, green, blue = [
            p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
        ]
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    for colour in Theme().palette:
        light, dark = sorted((luminance(colour), luminance(ink_on(colour))), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5


@given(st.text("ab ", max_size=60), st.integers(40, 300))
def test_wrapped_lines_keep_all_words_and_fit(text: str, width: int) -> None:
    lines = wrap(text, 14, width)
    assert " ".join(lines).split() == text.split()
    assert all(text_width(line, 14) <= width or " " not in line for line in lines)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00.00"), (61.239, "1:01.24"), (59.999, "1:00.00"), (3600.5, "1:00:00.50")],
)
def test_the_clock_counts_as_people_do(seconds: float, text: str) -> None:
    assert clock(seconds) == text
