from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.crowd import COLOURS, FACE, RATE, Errors, Walker
from benchmarks.tracking import Scene, crossing, follow, meeting, milling, returning
from sfedge.core.boxes import Box, clamped
from sfedge.core.structures import Detection, Frame, Track
from sfedge.tracking.track import Tracker

CLEAN = Errors()
FACE_A, FACE_B = Box(0.20, 0.30, 0.25, 0.39), Box(0.70, 0.30, 0.75, 0.39)


def standing(x: float, y: float = 0.3):
    return lambda time: (x, y)


def picture(time: float, index: int = 0) -> Frame:
    return Frame(np.full((90, 160, 3), 90, np.uint8), index, time)


def face(box: Box, score: float = 0.9, track: str | None = None) -> Detection:
    return Detection("face", box, score, track)


def boxes(track: Track) -> tuple[Box, ...]:
    return tuple(hand.box for hand in track.hands)


def shifted(box: Box, dx: float) -> Box:
    return clamped(box.x1 + dx, box.y1, box.x2 + dx, box.y2)


@pytest.mark.parametrize("has_colour", [True, False], ids=["coloured", "grey"])
def test_ids_survive_a_crossing_with_missed_and_shaken_boxes(has_colour: bool) -> None:
    switches = 0
    for seed in range(8):
        scene = crossing(np.random.default_rng(seed))
        score = follow(scene, seed, has_colour=has_colour)
        switches += score.switches
        assert score.followed >= 0.8 * score.seen  # 15 % of the faces are never detected

    # Measured: none with colours; one swap (2 switches) in 8 crossings where all look the same.
    assert switches <= (0 if has_colour else 2)


def test_two_who_meet_and_turn_back_keep_their_ids() -> None:
    for seed in range(3):
        score = follow(meeting(np.random.default_rng(seed)), seed)
        assert score.ids == [[1], [2]] or score.ids == [[2], [1]]


def test_a_dense_crowd_loses_few_ids() -> None:
    switches = 0
    for seed in range(4):
        scene = replace(milling(np.random.default_rng(seed)), seconds=6.0)
        switches += follow(scene, seed).switches

    assert switches <= 5  # measured: 4, all in one of the four crowds of five


def test_a_gap_shorter_than_a_second_keeps_the_id_and_a_longer_one_ends_it() -> None:
    for away, expected in ((0.8, [1]), (1.5, [1, 2])):
        tracker = Tracker(max_gap=1.0)
        ids, ended = [], []
        for index in range(120):
            time = index / RATE
            hidden = 1.0 <= time < 1.0 + away
            found = [] if hidden else [face(shifted(FACE_A, 0.02 * time))]
            # Everything changes its look meanwhile, so that nothing can be recognised.
            shade = 40 if time < 1.0 else 220
            image = np.full((90, 160, 3), shade, np.uint8)
            scene = tracker.update(found, Frame(image, index, time))
            ids += [track.id for track in scene.people]
            ended += scene.ended
        assert sorted(set(ids)) == expected
        assert ended == expected[:-1]


def test_whoever_comes_back_looking_the_same_gets_the_old_id() -> None:
    for seed in range(3):
        score = follow(returning(np.random.default_rng(seed)), seed)
        assert [len(ids) for ids in score.ids] == [1, 1]


@pytest.mark.parametrize("has_colour", [True, False], ids=["other clothes", "alike in grey"])
def test_a_stranger_gets_a_new_id(has_colour: bool) -> None:
    walkers = [
        Walker(lambda time: (0.5, 0.3) if time < 1 else None, COLOURS[0]),
        Walker(lambda time: (0.7, 0.3) if time > 3 else None, COLOURS[2]),
        Walker(standing(0.2), COLOURS[1]),
    ]
    score = follow(Scene(walkers, 5.0), 0, CLEAN, has_colour=has_colour)

    assert [len(ids) for ids in score.ids] == [1, 1, 1]
    assert len({ids[0] for ids in score.ids}) == 3


def test_bodies_and_hands_ride_along_between_their_detections_and_are_then_dropped() -> None:
    body, hand = Box(0.15, 0.24, 0.30, 0.95), Box(0.26, 0.42, 0.29, 0.48)
    tracker = Tracker()
    at: dict[float, Track] = {}
    for index in range(60):
        dx = 0.1 * index / RATE
        found = [face(shifted(FACE_A, dx))]
        if index == 10:
            found += [
                Detection("person", shifted(body, dx), 0.9),
                Detection("hand", shifted(hand, dx), 0.9),
            ]
        (at[index],) = tracker.update(found, picture(index / RATE, index)).people

    assert at[9].hands == ()
    for index in (10, 14, 18):
        (carried,) = at[index].hands
        expected = hand.x1 + 0.1 * index / RATE
        assert carried.box.x1 == pytest.approx(expected, abs=0.1 * FACE[0])
        assert at[index].person.height == pytest.approx(body.height)
    assert at[20].hands == ()  # 0.33 s later
    assert at[35].person.height == pytest.approx(body.height)  # carried by the face
    assert at[45].person.height < body.height  # the estimate again


def test_a_carried_hand_ends_where_a_look_at_its_body_does_not_find_it() -> None:
    body, hand = Box(0.15, 0.24, 0.30, 0.95), Box(0.26, 0.42, 0.29, 0.48)
    tracker = Tracker()

    def hands(time: float, *found: Detection) -> tuple[Box, ...]:
        (track,) = tracker.update([face(FACE_A), *found], picture(time)).people
        return boxes(track)

    seen, up = Detection("person", body, 0.9), Detection("hand", hand, 0.9)
    assert hands(0.0, seen, up) == (hand,)
    assert hands(0.1) == (hand,)
    assert hands(0.2, seen) == ()


def test_a_hand_seen_to_be_anothers_is_not_carried_on() -> None:
    near, body = Box(0.35, 0.30, 0.40, 0.39), Box(0.31, 0.24, 0.45, 0.95)
    between = Box(0.29, 0.42, 0.32, 0.48)
    tracker = Tracker()

    def hands(time: float, *found: Detection) -> list[tuple[Box, ...]]:
        faces = face(FACE_A), face(near)
        return [boxes(t) for t in tracker.update([*faces, *found], picture(time)).people]

    hand = Detection("hand", between, 0.9)
    first = Detection("person", Box(0.15, 0.24, 0.33, 0.95), 0.9)
    assert hands(0.0, first, hand) == [(between,), ()]
    assert hands(0.1, Detection("person", body, 0.9), hand) == [(), (between,)]


def test_a_missed_person_is_shown_a_little_longer_as_not_seen_now() -> None:
    tracker = Tracker()
    for index in range(10):
        tracker.update([face(FACE_A)], picture(index / RATE))
    (track,) = tracker.update([], picture(0.4)).people

    assert track.last_seen == pytest.approx(9 / RATE)
    assert track.last_seen < 0.4
    assert tracker.update([], picture(0.7)).people == ()
    (back,) = tracker.update([face(FACE_A)], picture(0.8)).people
    assert (back.id, back.last_seen, back.first_seen) == (1, 0.8, 0.0)


def ids_shown(scores: list[float | None], box: Box = FACE_B, *, rate: float = RATE) -> list[bool]:
    """In which frames a face that is found with these scores is a person, beside a clear one."""
    tracker, shown = Tracker(), []
    for index, score in enumerate(scores):
        found = [face(FACE_A, 0.95)] + ([] if score is None else [face(box, score)])
        seen = tracker.update(found, picture(index / rate, index)).people
        shown.append(any(t.face is not None and abs(t.face.x1 - box.x1) < 1e-6 for t in seen))
    return shown


def test_a_clear_face_is_a_person_at_once_and_an_unclear_one_once_it_has_stayed() -> None:
    assert ids_shown([0.8]) == [True]
    assert ids_shown([0.62] * 12) == [False] * 8 + [True] * 4  # after 0.25 s at 30 a second


def test_where_frames_are_slow_two_unclear_sights_are_enough() -> None:
    assert ids_shown([0.62] * 2, rate=3.0) == [False, True]


def test_what_looks_like_a_face_now_and_then_is_nobody() -> None:
    assert not any(ids_shown([0.7, None, None] * 20))
    assert not any(ids_shown(([0.7] * 5 + [None] * 15) * 4))


def test_an_unconfirmed_face_that_is_gone_for_long_begins_anew() -> None:
    """A third of a second: what it then was seen for before neither helps nor hinders it."""
    assert ids_shown([0.62] * 3 + [None] * 12 + [0.62] * 12) == [False] * 23 + [True] * 4


def test_on_somebodys_clothes_only_a_clear_face_is_a_person() -> None:
    tie = Box(0.21, 0.45, 0.24, 0.50)
    assert not any(ids_shown([0.7] * 30, tie))
    assert ids_shown([0.85] * 12, tie)[-1]
    assert ids_shown([0.95], tie) == [True]


def test_a_photograph_has_no_second_sight() -> None:
    def shown(score: float, box: Box) -> int:
        frame = replace(picture(0.0), starts_scene=True)
        return len(Tracker().update([face(FACE_A, 0.95), face(box, score)], frame).people)

    tie = Box(0.21, 0.45, 0.24, 0.50)
    assert [shown(score, FACE_B) for score in (0.62, 0.68)] == [1, 2]
    assert [shown(score, tie) for score in (0.7, 0.85)] == [1, 2]


@pytest.mark.parametrize(
    ("dt", "faces", "is_same"),
    [
        (0.1, 1.4, True),
        (0.1, 2.0, False),
        (0.9, 5.8, True),
        (0.9, 6.4, False),
        (2.0, 6.3, True),
        (2.0, 7.0, False),
    ],
)
def test_a_face_may_be_farther_off_the_longer_it_was_unseen(
    dt: float, faces: float, is_same: bool
) -> None:
    tracker = Tracker()
    tracker.update([face(FACE_A)], picture(0.0))
    moved = shifted(FACE_A, faces * FACE_A.width)
    tracks = tracker.update([face(moved)], picture(dt)).people

    # A newcomer gets no id before a look at who it is; the other is shown for a little longer.
    expected = [(1, moved)] if is_same else [(1, FACE_A)] if dt < 0.3 else []
    assert [(track.id, track.face) for track in tracks] == expected


def test_a_face_that_turns_away_is_no_longer_shown() -> None:
    tracker = Tracker()
    body = Detection("person", Box(0.15, 0.24, 0.30, 0.95), 0.9)

    def shown(time: float, *found: Detection) -> Box | None:
        (track,) = tracker.update(found, picture(time)).people
        return track.face

    assert shown(0.0, face(FACE_A), body) == FACE_A
    assert shown(0.1) == FACE_A
    assert shown(0.2, body) is None  # looked at, and no face
    assert shown(0.3, face(FACE_A)) == FACE_A


@pytest.mark.parametrize("is_photograph", [False, True])
def test_nothing_crosses_a_cut(is_photograph: bool) -> None:
    tracker = Tracker()
    hand = Detection("hand", Box(0.26, 0.42, 0.29, 0.48), 0.9)
    found = [face(FACE_A), hand]
    shots, ids, cuts, ended = [], [], [], []
    for index in range(9):
        is_new = index in (3, 6)
        frame = replace(picture(index / RATE, index), starts_scene=is_photograph and is_new)
        scene = tracker.update(found, frame, is_cut=is_new and not is_photograph)
        (track,) = scene.people
        ids.append((track.id, track.hands[0].id))
        shots.append(scene.shot)
        cuts.append(scene.is_cut)
        ended.append(scene.ended)

    assert ids == [(1, 1)] * 3 + [(2, 2)] * 3 + [(3, 3)] * 3
    assert shots == [0] * 3 + [1] * 3 + [2] * 3
    assert cuts == [index in (3, 6) and not is_photograph for index in range(9)]
    assert ended == [()] * 3 + [(1,)] + [()] * 2 + [(2,)] + [()] * 2


def test_a_given_identity_crosses_a_cut() -> None:
    tracker = Tracker()
    tracker.update([face(FACE_A, track="anna")], picture(0.0))
    (track,) = tracker.update([face(FACE_B, track="anna")], picture(0.1), is_cut=True).people

    assert (track.id, track.first_seen) == (1, 0.1)


def test_a_second_box_on_somebody_is_nobody_new() -> None:
    tracker = Tracker()
    body, misplaced = Box(0.15, 0.24, 0.30, 0.95), Box(0.13, 0.38, 0.31, 0.97)
    for index in range(30):
        # The second body sits too low for the face, so that it cannot be put together with it.
        bodies = [Detection("person", body, 0.9)] if index < 10 else []
        low = [Detection("person", misplaced, 0.9)] if index >= 10 else []
        tracks = tracker.update([face(FACE_A), *bodies, *low], picture(index / RATE)).people

    assert [t.id for t in tracks] == [1]


def test_a_given_identity_is_one_id_however_long_the_gap_and_wherever_it_is() -> None:
    tracker = Tracker()
    (first,) = tracker.update([face(FACE_A, track="anna")], picture(0.0)).people
    both = tracker.update(
        [face(FACE_A, track="ben"), face(FACE_B, track="anna")], picture(0.1)
    ).people
    (later,) = tracker.update([face(FACE_A, 0.1, track="anna")], picture(500.0)).people

    assert (first.id, first.name) == (1, "anna")
    assert {t.name: t.id for t in both} == {"anna": 1, "ben": 2}
    assert (later.id, later.name) == (1, "anna")


def test_a_given_identity_ends_again_after_each_return() -> None:
    tracker = Tracker()
    ended = []
    for index in range(240):
        time = index / RATE
        found = [face(FACE_A, track="anna")] if index // 60 % 2 == 0 else []
        ended += tracker.update(found, picture(time, index)).ended

    assert ended == [1, 1]


def test_pictures_two_seconds_apart_keep_the_ids_of_those_who_stay() -> None:
    tracker = Tracker()
    ids = []
    for index in range(8):
        found = [face(FACE_B)] if index == 4 else [face(FACE_A), face(FACE_B)]
        ids.append([t.id for t in tracker.update(found, picture(2.0 * index)).people])

    assert ids == [[1, 2]] * 4 + [[2]] + [[1, 2]] * 3


def test_who_misses_two_pictures_stays_and_ends_with_the_third_however_slow_they_come() -> None:
    def ended(missed: int) -> list[tuple[int, ...]]:
        tracker = Tracker()
        tracker.update([face(FACE_A)], picture(0.0))
        return [tracker.update([], picture(2.0 * index)).ended for index in range(1, missed + 1)]

    assert ended(4) == [(), (), (1,), ()]


@st.composite
def scenes(draw: st.DrawFn) -> list[list[Detection]]:
    """Frames of arbitrary boxes, some of them moving on from the frame before."""
    result: list[list[Detection]] = []
    unit = st.floats(0.0, 1.0)
    for _ in range(draw(st.integers(1, 6))):
        found = [] if not result else [d for d in result[-1] if draw(st.booleans())]
        for kind in draw(st.lists(st.sampled_from(["face", "hand", "person"]), max_size=4)):
            w, h = 0.02 + 0.3 * draw(unit), 0.02 + 0.6 * draw(unit)
            x, y = draw(unit) * (1 - w), draw(unit) * (1 - h)
            name = draw(st.sampled_from([None, None, None, "a", "b"]))
            found.append(Detection(kind, clamped(x, y, x + w, y + h), draw(unit), name))
        result.append(found)
    return result


@settings(deadline=None)
@given(scenes(), st.randoms(), st.sampled_from([0.0, 0.03, 0.4, 3.0]))
def test_ids_are_unique_and_do_not_depend_on_the_detections_order(
    scene: list[list[Detection]], random, step: float
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (36, 64, 3)).astype(np.uint8)
    one, other = Tracker(), Tracker()
    known: set[int] = set()
    names: dict[str, int] = {}
    for index, found in enumerate(scene):
        frame = Frame(noise, index, index * step)
        seen = one.update(found, frame)
        tracks = seen.people
        shuffled = list(found)
        random.shuffle(shuffled)
        assert other.update(shuffled, frame) == seen

        ids = [t.id for t in tracks]
        assert ids == sorted(set(ids))
        assert not set(seen.ended) & set(ids)
        assert [h.id for h in seen.hands] == sorted({h.id for h in seen.hands})
        known |= set(ids)
        for track in tracks:
            assert track.first_seen <= track.last_seen <= frame.time
            if track.name is not None:
                assert names.setdefault(track.name, track.id) == track.id
    assert len(set(names.values())) == len(names)
    assert known <= set(range(1, 1 + sum(map(len, scene))))
