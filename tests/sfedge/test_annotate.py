"""What is drawn on a frame: frames, tags, links, gaze, the status line."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sfedge import annotate
from sfedge.annotate import pair_links, status, tags
from sfedge.annotate.lines import segments
from sfedge.annotate.status import clock
from sfedge.annotate.text import ink_on, text_width, wrap
from sfedge.annotate.theme import Theme
from sfedge.annotate.words import Words
from sfedge.core.boxes import Box
from sfedge.core.frame_result import FrameResult
from sfedge.core.structures import Frame, Hand, Image, Prediction, Track
from sfedge.core.tasks import TASKS

NOTICE = "It was trained on drawings; its answers about real people mean little."
WORDS = Words(TASKS.values())
Written = list[str]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Written:
    """Every text that is put on a picture, in order."""
    texts: list[str] = []
    for module in (tags, pair_links, status):
        put = module.put_text

        def note(image: Image, text: str, *rest: object, put: Callable[..., None] = put) -> None:
            texts.append(text)
            put(image, text, *rest)

        monkeypatch.setattr(module, "put_text", note)
    return texts


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


def answer(
    task: str, *people: int, label: str = "", chance: float = 0.7, is_unsure: bool = False
) -> Prediction:
    """An answer; without a label the task's first."""
    label = label or TASKS[task].labels[0]
    chances = dict.fromkeys(TASKS[task].labels, 0.0) | {label: chance}
    return Prediction(task, people, 0, 0.0, label=label, probabilities=chances, is_unsure=is_unsure)


def person(number: int, x: float, name: str | None = None, score: float = 0.9) -> Track:
    face = Box(x + 0.08, 0.2, x + 0.18, 0.4)
    body = Box(x, 0.1, x + 0.3, 0.95)
    return Track(number, body, face, (), 0.0, 1.0, name, face_score=score)


def crowd(count: int) -> tuple[Track, ...]:
    """People side by side, with room above their heads."""
    step = 1 / count
    return tuple(
        Track(
            i + 1,
            Box(i * step, 0.3, (i + 1) * step, 1.0),
            Box((i + 0.3) * step, 0.4, (i + 0.7) * step, 0.5),
            (),
            0.0,
            1.0,
            face_score=0.9,
        )
        for i in range(count)
    )


def result(
    image: Image,
    *,
    tracks: tuple[Track, ...] = (),
    fresh: tuple[Prediction, ...] = (),
    carried: tuple[Prediction, ...] = (),
    now: float = 0.0,
    hands: tuple[Hand, ...] = (),
    left_out: int = 0,
) -> FrameResult:
    frame = Frame(image, 0, now)
    return FrameResult(frame, tracks, fresh, carried, hands=hands, left_out=left_out)


def everything_about(*people: int) -> tuple[Prediction, ...]:
    singles = ("expression", "gesture", "looking_at_me")
    answers = [answer(task, number) for task in singles for number in people]
    pairs = [*pairwise(people)]
    answers += [answer(task, *pair) for task in ("domain", "relation") for pair in pairs]
    return tuple(answers)


def changed(before: Image, after: Image) -> NDArray[np.bool_]:
    return np.asarray((before != after).any(axis=2), np.bool_)


def grey(height: int = 720, width: int = 1280, value: int = 90) -> Image:
    return np.full((height, width, 3), value, np.uint8)


def annotators() -> list[annotate.Annotator]:
    return annotate.build_annotators(tasks=TASKS.values(), model="test", notice=NOTICE)


def drawn(shown: FrameResult) -> Image:
    return annotate.draw(shown, annotators())


def pixels(image: Image, box: Box) -> tuple[slice, slice]:
    height, width = image.shape[:2]
    return (
        slice(round(box.y1 * height), round(box.y2 * height)),
        slice(round(box.x1 * width), round(box.x2 * width)),
    )


def test_the_frame_itself_stays_as_it_was() -> None:
    image = grey()
    image.setflags(write=False)
    tracks = (person(1, 0.05), person(2, 0.6))
    after = drawn(result(image, tracks=tracks, fresh=everything_about(1, 2)))
    assert changed(image, after).any()
    assert (image == 90).all()


def test_the_model_and_its_limits_stand_on_a_picture_without_people(written: Written) -> None:
    image = grey()
    touched = changed(image, drawn(result(image, now=61.5)))
    assert touched[-30:].mean() > 0.99
    assert not touched[: 720 * 3 // 4].any()
    assert written == ["1:01.50   model test", NOTICE]


def test_a_photograph_is_named_by_its_file(written: Written) -> None:
    shown = result(grey(), now=3.0)
    photograph = replace(shown.frame, file="beach.jpg", starts_scene=True)
    drawn(replace(shown, frame=photograph))
    assert written[0] == "beach.jpg   model test"


def test_who_is_not_shown_or_not_asked_about_is_counted_in_the_status_line(
    written: Written,
) -> None:
    drawn(result(grey(), left_out=3))
    assert written[0] == "0:00.00   model test   3 people not asked about"
    written.clear()
    one = Track(1, Box(0.0, 0.0, 1.0, 1.0), Box(0.0, 0.0, 1.0, 1.0), (), 0.0, 1.0)
    drawn(result(grey(), tracks=(one,), left_out=1))
    assert written[0] == "0:00.00   model test   1 person not asked about   1 tag without room"


def test_a_person_is_one_thin_frame_around_the_face_in_their_colour() -> None:
    image, theme, shown = grey(), Theme(), person(3, 0.3)
    annotate.Outlines(theme).draw(image, result(image, tracks=(shown,)))
    coloured = (image == theme.colour(3)).all(axis=2)
    assert shown.face is not None
    rows, columns = np.nonzero(coloured)
    area = pixels(image, shown.face)
    assert abs(rows.min() - area[0].start) <= 2
    assert abs(rows.max() - area[0].stop) <= 2
    assert abs(columns.min() - area[1].start) <= 2
    assert abs(columns.max() - area[1].stop) <= 2
    assert coloured.sum() < 3 * 2 * (np.ptp(rows) + np.ptp(columns))
    assert not changed(grey(), image)[rows.min() + 5 : rows.max() - 4, 500:515].any()


def test_a_person_without_a_face_is_framed_whole() -> None:
    image, theme = grey(), Theme()
    shown = replace(person(3, 0.3), face=None)
    annotate.Outlines(theme).draw(image, result(image, tracks=(shown,)))
    rows, columns = np.nonzero((image == theme.colour(3)).all(axis=2))
    assert (rows.min() // 10, rows.max() // 10) == (7, 68)  # 0.1 to 0.95 of 720
    assert (columns.min() // 10, columns.max() // 10) == (38, 76)  # 0.3 to 0.6 of 1280


@pytest.mark.parametrize(
    ("is_wearers", "chip"), [(False, "H4"), (True, "H4 wearer")], ids=["nobody's", "the wearer's"]
)
def test_a_hand_of_nobody_has_a_frame_and_a_tag_of_its_own(
    is_wearers: bool, chip: str, written: Written
) -> None:
    hand = Hand(4, Box(0.4, 0.5, 0.5, 0.7), "left", 0.8, 0.0, is_wearers=is_wearers)
    gesture = replace(answer("gesture", label="palm"), hands=(4,), side="left")
    after = drawn(result(grey(), hands=(hand,), fresh=(gesture,)))
    assert written[1:3] == [chip, "gesture palm 70%"] or written[:2] == [chip, "gesture palm 70%"]
    colour = Theme().wearer if is_wearers else Theme().hand
    found = (after == colour).all(axis=2)
    assert found[360:362, 520:630].any()  # the upper edge of the hand
    assert not changed(grey(), after)[365:500, 520:630].any()


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
    assert 0 < touched.mean() < 0.1


def test_the_arrow_begins_at_the_edge_of_the_face_and_ends_at_the_point() -> None:
    image = grey()
    shown = result(image, tracks=(person(1, 0.1),), fresh=(gaze_at(0.8, 0.3),))
    annotate.GazeArrows(Theme()).draw(image, shown)
    touched = changed(grey(), image)
    assert touched[216, 1024]  # 0.3 of 720, 0.8 of 1280
    assert not touched[146:286, 232:355].any()  # the face, from 0.18 to 0.28 and 0.2 to 0.4
    assert touched[:, 380:384].any()


def test_an_arrow_passes_behind_the_faces_between_and_ends_in_a_face_that_is_looked_at() -> None:
    image = grey()
    tracks = (person(1, 0.0), person(2, 0.3), person(3, 0.6))
    annotate.GazeArrows(Theme()).draw(
        image, result(image, tracks=tracks, fresh=(gaze_at(0.73, 0.3),))
    )
    touched = changed(grey(), image)
    between, looked_at = (pixels(image, track.face) for track in tracks[1:] if track.face)
    assert not touched[between].any()
    assert touched[216, between[1].start - 4]  # up to the face and on behind it
    assert touched[216, between[1].stop + 4]
    assert touched[looked_at].any()


def test_a_flat_heatmap_tints_nothing() -> None:
    image, noise = grey(), np.random.default_rng(0).normal(0, 0.01, (64, 64))
    flat = replace(gaze_at(0.5, 0.5), heatmap=(0.6 + noise).astype(np.float32))
    annotate.GazeHeatmap(Theme()).draw(
        image, result(image, tracks=(person(1, 0.1),), fresh=(flat,))
    )
    assert (image == 90).all()


@pytest.mark.parametrize("kind", [annotate.GazeArrows, annotate.GazeHeatmap])
def test_an_older_gaze_is_fainter_than_a_fresh_one(
    kind: type[annotate.GazeArrows] | type[annotate.GazeHeatmap],
) -> None:
    fresh, older, tracks = grey(), grey(), (person(1, 0.1),)
    gaze = (gaze_at(0.7, 0.7),)
    kind(Theme()).draw(fresh, result(fresh, tracks=tracks, fresh=gaze, now=1.0))
    kind(Theme()).draw(older, result(older, tracks=tracks, carried=gaze, now=1.0))
    assert 0 < np.abs(older - 90.0).sum() < np.abs(fresh - 90.0).sum()


def test_a_tag_says_who_it_is_and_every_answer_with_its_probability(written: Written) -> None:
    answers = (*everything_about(1), gaze_at(0.5, 0.9))
    drawn(result(grey(), tracks=(person(1, 0.1),), fresh=answers))
    assert written[:5] == [
        "1",
        "neutral 70%",
        "gaze",
        "gesture call 70%",
        "looking at me 70%",
    ]


@pytest.mark.parametrize(
    ("asked", "now", "age"),
    [(1.0, 1.0, None), (0.4, 1.0, "0.6s"), (1.0, 9.9, "8.9s"), (0.0, 61.2, "61s")],
)
@pytest.mark.parametrize("is_fresh", [True, False])
def test_an_answer_about_an_earlier_frame_says_how_old_it_is(
    asked: float, now: float, age: str | None, is_fresh: bool, written: Written
) -> None:
    shown = (replace(answer("expression", 1), time=asked),)
    fresh, carried = (shown, ()) if is_fresh else ((), shown)
    drawn(result(grey(), tracks=(person(1, 0.1),), fresh=fresh, carried=carried, now=now))
    assert written[:2] == ["1", "neutral 70%"]
    assert (age in written) if age else written[2].endswith("model test")


def test_the_age_of_a_relation_stands_beside_its_word(written: Written) -> None:
    old = replace(answer("relation", 1, 2), time=1.0)
    tracks = (person(1, 0.05), person(2, 0.6))
    drawn(result(grey(), tracks=tracks, carried=(old,), now=3.5))
    assert written[written.index("friends") + 1] == "2.5s"


def test_an_unsure_answer_carries_a_question_mark(written: Written) -> None:
    unsure = (answer("expression", 1, is_unsure=True), answer("relation", 1, 2, is_unsure=True))
    drawn(result(grey(), tracks=(person(1, 0.05), person(2, 0.6)), fresh=unsure))
    assert "neutral 70% ?" in written
    assert "friends?" in written


def test_an_arrow_of_an_unsure_gaze_is_dashed() -> None:
    sums = []
    for is_unsure in (False, True):
        image = grey()
        gaze = gaze_at(0.9, 0.3, is_unsure=is_unsure)
        annotate.GazeArrows(Theme()).draw(
            image, result(image, tracks=(person(1, 0.1),), fresh=(gaze,))
        )
        sums.append(changed(grey(), image)[:, 400:1100].any(axis=0).mean())
    assert sums[0] == 1
    assert 0.4 < sums[1] < 0.9


def test_of_several_gestures_the_one_that_says_most_is_shown(written: Written) -> None:
    hands = [
        replace(answer("gesture", 1, label=label, chance=chance), hands=(number,))
        for number, (label, chance) in enumerate((("palm", 0.5), ("like", 0.6), ("ok", 0.55)))
    ]
    drawn(result(grey(), tracks=(person(1, 0.1),), fresh=tuple(hands)))
    assert [text for text in written if "gesture" in text] == ["gesture like 60%"]


def test_in_a_crowd_a_tag_is_one_line_of_the_surest_answers(written: Written) -> None:
    answers = [
        *(answer("expression", i, chance=0.9) for i in range(1, 7)),
        *(answer("gesture", i, label="palm", chance=0.8) for i in range(1, 7)),
        *(answer("looking_at_me", i, label="not_looking", chance=0.99) for i in range(1, 7)),
    ]
    drawn(result(grey(), tracks=crowd(6), fresh=tuple(answers)))
    assert written[:12] == [text for i in range(1, 7) for text in (f"{i}", "neutral, o/ palm")]


def test_texts_shrink_with_the_crowd() -> None:
    def tallest(count: int) -> int:
        image = grey(1080, 1920)
        shown = annotate.Tags(Theme(), WORDS, lambda image: ())
        answers = everything_about(*range(1, count + 1))
        shown.draw(image, result(image, tracks=crowd(count), fresh=answers))
        assert len(shown.areas) == count
        return max(area[3] - area[1] for area in shown.areas)

    heights = [tallest(count) for count in (2, 4, 6, 10)]
    assert heights == sorted(heights, reverse=True)
    assert len(set(heights)) == 4


def test_a_pair_is_a_line_with_one_word(written: Written) -> None:
    image, theme = grey(), Theme()
    tracks = (person(1, 0.05), person(2, 0.6))
    answers = (answer("domain", 1, 2, chance=0.99), answer("relation", 2, 1, label="family"))
    links = annotate.PairLinks(theme, WORDS, lambda image: ())
    links.draw(image, result(image, tracks=tracks, fresh=answers))
    assert written == ["family"]
    touched = changed(grey(), image)
    ((x1, _, x2, _),) = links.areas
    first, second = (pixels(image, track.face) for track in tracks if track.face)
    assert touched[216, first[1].stop + 3 : x1].all()
    assert touched[216, x2 : second[1].start - 3].all()
    assert not touched[first].any()
    assert not touched[second].any()
    assert touched[210:222, first[1].stop + 3 : x1].sum(axis=0).max() <= 5  # thin


def test_related_pairs_come_before_unrelated_ones(written: Written) -> None:
    tracks = (person(1, 0.0), person(2, 0.35), person(3, 0.7))
    answers = (
        answer("relation", 1, 3, label="no_relation", chance=0.99),
        answer("relation", 1, 2, label="friends", chance=0.6),
        answer("relation", 2, 3, label="family", chance=0.7),
    )
    image = grey()
    annotate.PairLinks(Theme(), WORDS, lambda image: ()).draw(
        image, result(image, tracks=tracks, fresh=answers)
    )
    assert written == ["family", "friends", "no relation"]


def test_a_pair_whose_word_finds_no_place_is_left_out() -> None:
    image = grey()
    tracks = (person(1, 0.05), person(2, 0.6))
    links = annotate.PairLinks(Theme(), WORDS, lambda image: [(0, 0, 1280, 720)])
    links.draw(image, result(image, tracks=tracks, fresh=(answer("relation", 1, 2),)))
    assert links.areas == ()
    assert (image == 90).all()


def test_answers_about_people_who_have_left_are_not_drawn(written: Written) -> None:
    gone = (gaze_at(0.5, 0.5), *everything_about(1, 2)[::2], answer("domain", 1, 2))
    image, tracks = grey(), (person(3, 0.5),)
    assert not changed(
        drawn(result(image, tracks=tracks, fresh=gone)), drawn(result(image, tracks=tracks))
    ).any()
    assert "3" in written


def test_a_name_with_accents_is_written_beside_the_number(written: Written) -> None:
    drawn(result(grey(), tracks=(person(1, 0.1, "Zoë Łukasiewicz"),)))
    assert written[0] == "1 Zoë Łukasiewicz"


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


def test_texts_read_on_every_colour_of_the_palette() -> None:
    def luminance(colour: tuple[int, int, int]) -> float:  # WCAG 2.1
        parts = [c / 255 for c in colour]
        red, green, blue = [
            p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
        ]
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    theme = Theme()
    for colour in (*theme.palette, theme.hand, theme.wearer):
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
