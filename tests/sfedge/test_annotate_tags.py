"""What is written about people and pairs: answers, their age, who comes first."""

from dataclasses import replace

import pytest
from annotated import (
    WORDS,
    Written,
    answer,
    changed,
    crowd,
    drawn,
    everything_about,
    gaze_at,
    grey,
    person,
    pixels,
    result,
)

from sfedge import annotate
from sfedge.annotate.theme import Theme


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


def test_a_name_with_accents_is_written_beside_the_number(written: Written) -> None:
    drawn(result(grey(), tracks=(person(1, 0.1, "Zoë Łukasiewicz"),)))
    assert written[0] == "1 Zoë Łukasiewicz"
