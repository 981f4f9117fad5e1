"""What is drawn on a frame: frames around people and hands, the status line, texts."""

from dataclasses import replace

import numpy as np
import pytest
from annotated import (
    NOTICE,
    Written,
    answer,
    changed,
    drawn,
    everything_about,
    gaze_at,
    grey,
    person,
    pixels,
    result,
)
from hypothesis import given
from hypothesis import strategies as st

from sfedge import annotate
from sfedge.annotate.status import clock
from sfedge.annotate.text import ink_on, text_width, wrap
from sfedge.annotate.theme import Theme
from sfedge.core.boxes import Box
from sfedge.core.structures import Hand, Track


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


def test_answers_about_people_who_have_left_are_not_drawn(written: Written) -> None:
    gone = (gaze_at(0.5, 0.5), *everything_about(1, 2)[::2], answer("domain", 1, 2))
    image, tracks = grey(), (person(3, 0.5),)
    assert not changed(
        drawn(result(image, tracks=tracks, fresh=gone)), drawn(result(image, tracks=tracks))
    ).any()
    assert "3" in written


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
    [
        (0, "0:00.00"),
        (61.239, "1:01.24"),
        (59.999, "1:00.00"),
        (3600.5, "1:00:00.50"),
        (-61.5, "-1:01.50"),
    ],
)
def test_the_clock_counts_as_people_do(seconds: float, text: str) -> None:
    assert clock(seconds) == text
