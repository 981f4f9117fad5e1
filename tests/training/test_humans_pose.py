"""Posed people: fingers, palms and eyes are where their definition says, and so are the pixels."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tiny_humans import GRID, NAMES, write_tiny_humans

from sfedge.core.tasks import TASKS
from sfedge_training.humans.body_pose import Person, Stance, eyes_of, pose_person
from sfedge_training.humans.figure import Figure, load_library, new_figure
from sfedge_training.humans.gestures import GESTURES
from sfedge_training.humans.hand_poses import SIDES, Side, hand_axes
from sfedge_training.humans.landmark_points import hand_joints, landmarks_of
from sfedge_training.humans.materials import TILES
from sfedge_training.humans.render_camera import Camera, Light, shoot
from sfedge_training.humans.sight import angles, head_towards, past
from sfedge_training.humans.skeleton import about, frames, rotations, shortest, twist

Floats = NDArray[np.float64]
THUMB, INDEX, MIDDLE, RING, LITTLE = range(5)
# Which fingers are stretched, as the words of each gesture tell it; the thumb where it matters.
STRETCHED: Mapping[str, tuple[int, ...]] = {
    "call": (LITTLE,), "like": (), "dislike": (), "fist": (), "one": (INDEX,),
    "three": (INDEX, MIDDLE, RING), "three2": (INDEX, MIDDLE), "three3": (INDEX, MIDDLE, LITTLE),
    "four": (INDEX, MIDDLE, RING, LITTLE), "mute": (INDEX,), "ok": (MIDDLE, RING, LITTLE),
    "palm": (INDEX, MIDDLE, RING, LITTLE), "peace": (INDEX, MIDDLE),
    "peace_inverted": (INDEX, MIDDLE), "rock": (INDEX, LITTLE),
    "stop": (INDEX, MIDDLE, RING, LITTLE), "stop_inverted": (INDEX, MIDDLE, RING, LITTLE),
    "two_up": (INDEX, MIDDLE), "two_up_inverted": (INDEX, MIDDLE), "grabbing": (), "grip": (),
    "point": (INDEX,), "little_finger": (LITTLE,), "middle_finger": (MIDDLE,),
    "three_gun": (INDEX, MIDDLE), "thumb_index": (INDEX,), "thumb_index2": (INDEX,),
    "holy": (INDEX, MIDDLE, RING, LITTLE), "timeout": (INDEX, MIDDLE, RING, LITTLE),
    "take_picture": (INDEX,), "xsign": (), "hand_heart": (), "hand_heart2": (MIDDLE, RING, LITTLE),
}  # fmt: skip
THUMB_OUT = ("call", "like", "dislike", "three2", "palm", "three_gun", "thumb_index",
             "thumb_index2", "take_picture")  # fmt: skip
PALM_SHOWN = ("one", "three", "three2", "three3", "four", "ok", "palm", "peace", "rock", "stop",
              "two_up", "little_finger", "fist", "grabbing")  # fmt: skip
BACK_SHOWN = ("peace_inverted", "stop_inverted", "two_up_inverted", "like")


@pytest.fixture(scope="module")
def figure(tmp_path_factory: pytest.TempPathFactory) -> Figure:
    folder = write_tiny_humans(tmp_path_factory.mktemp("humans"))
    return new_figure(load_library(folder), np.random.default_rng(0))


def made(figure: Figure, name: str, way: int, side: Side, seed: int = 0) -> Person:
    """Somebody who makes a gesture; `side` leads."""
    sides = (side, SIDES[1 - SIDES.index(side)])
    holds = dict(zip(sides, GESTURES[name].ways[way], strict=False))
    return pose_person(figure, Stance(holds=holds), np.random.default_rng(seed))


def every_way() -> list[tuple[str, int]]:
    return [(name, way) for name in GESTURES for way in range(len(GESTURES[name].ways))]


def test_every_gesture_of_the_task_has_a_way_and_a_truth() -> None:
    assert set(GESTURES) == set(TASKS["gesture"].labels) == set(STRETCHED)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("name", "way"), every_way())
def test_the_fingers_that_the_gesture_names_are_stretched(
    figure: Figure, name: str, way: int, side: Side
) -> None:
    for seed in range(3):
        person = made(figure, name, way, side, seed)
        for place in range(len(GESTURES[name].ways[way])):
            own: Side = side if place == 0 else SIDES[1 - SIDES.index(side)]
            joints = hand_joints(person, own)
            stretched = tuple(f for f in range(1, 5) if _bend(joints, f) < 65)
            assert stretched == STRETCHED[name]
            if name in THUMB_OUT:
                fingers = joints[9] - joints[0]
                thumb = joints[4] - joints[2]
                assert _angle(fingers, thumb) > 45
                # Away from the other fingers, not over the palm.
                assert (joints[4] - joints[2]) @ (joints[5] - joints[17]) > 0


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", [*PALM_SHOWN, *BACK_SHOWN])
def test_palm_or_back_is_turned_to_the_camera(figure: Figure, name: str, side: Side) -> None:
    for way in range(len(GESTURES[name].ways)):
        for seed in range(3):
            joints = hand_joints(made(figure, name, way, side, seed), side)
            # As seen by the camera: the sign of the turn from the index's knuckle to the little
            # finger's around the wrist, which mirrors between the hands.
            first, second = ((joints[i] - joints[0])[:2] for i in (5, 17))
            turn = first[0] * second[1] - first[1] * second[0]
            shows_palm = (turn > 0) == (side == "right")
            assert shows_palm == (name in PALM_SHOWN)


@pytest.mark.parametrize("side", SIDES)
def test_single_gestures_point_where_their_words_say(figure: Figure, side: Side) -> None:
    for seed in range(5):
        for way in range(2):
            like = hand_joints(made(figure, "like", way, side, seed), side)
            dislike = hand_joints(made(figure, "dislike", way, side, seed), side)
            assert _angle(like[4] - like[2], np.array([0, 1, 0])) < 45
            assert _angle(dislike[4] - dislike[2], np.array([0, -1, 0])) < 45
            point = hand_joints(made(figure, "point", way, side, seed), side)
            assert _angle(point[8] - point[5], np.array([0, 0, 1])) < 30
        mute = made(figure, "mute", 0, side, seed)
        lips = mute.pose.heads[figure.library.bone("oris05")]
        tip, knuckle = (hand_joints(mute, side)[i] for i in (8, 5))
        line = (tip - knuckle) / np.linalg.norm(tip - knuckle)
        beside = (lips - knuckle) - line * ((lips - knuckle) @ line)
        assert np.linalg.norm(beside) < 0.8
        assert tip[1] > lips[1] > knuckle[1] - 0.3
        for name in ("ok", "grip"):
            joints = hand_joints(made(figure, name, 0, side, seed), side)
            opened = hand_joints(made(figure, "palm", 0, side, seed), side)
            gap, wide = (np.linalg.norm(hand[4] - hand[8]) for hand in (joints, opened))
            assert gap < 0.65 * wide


@pytest.mark.parametrize("leading", SIDES)
def test_both_hands_stand_to_each_other_as_the_gesture_wants(figure: Figure, leading: Side) -> None:
    for seed in range(3):
        for name in ("hand_heart", "hand_heart2"):
            left, right = _hands(made(figure, name, 0, leading, seed))
            assert np.linalg.norm(left[8] - right[8]) < 0.5
            assert left[4, 1] < left[8, 1]
        left, right = _hands(made(figure, "holy", 0, leading, seed))
        assert np.linalg.norm(_palm(left) - _palm(right)) < 0.8
        assert _angle(left[12] - left[0], right[12] - right[0]) < 20
        hands = dict(zip(SIDES, _hands(made(figure, "timeout", 0, leading, seed)), strict=True))
        flat, upright = hands[leading], hands[SIDES[1 - SIDES.index(leading)]]
        assert _angle(flat[12] - flat[0], upright[12] - upright[0]) > 70
        assert abs((upright[12] - upright[0])[1]) > abs((flat[12] - flat[0])[1])
        for way in range(2):
            left, right = _hands(made(figure, "xsign", way, leading, seed))
            assert left[0, 0] < right[0, 0]  # each wrist is on the other's side
            elbows = made(figure, "xsign", way, leading, seed).pose.heads
            ends = [elbows[figure.library.bone(f"lowerarm01.{end}")] for end in "LR"]
            assert ends[0][0] > ends[1][0]  # and each elbow on its own: the forearms cross
        left, right = _hands(made(figure, "take_picture", 0, leading, seed))
        assert _angle(left[8] - left[5], right[5] - right[8]) < 25
        thumbs = [hand[4] - hand[2] for hand in (left, right)]
        assert _angle(thumbs[0], -thumbs[1]) < 40


@pytest.mark.parametrize("side", SIDES)
def test_a_landmark_has_the_pixel_of_the_bone_that_it_is_on(figure: Figure, side: Side) -> None:
    """Every bone's box has its own colour, and light makes no difference here."""
    coloured = replace(figure, sheet=_bone_colours(figure.sheet))
    person = made(coloured, "palm", 0, side)
    joints = hand_joints(person, side)
    middle = joints.mean(axis=0)
    camera = Camera(middle + np.array([0, 0, 12.0]), np.eye(3), 4.0, 480, 360)
    plain = Light(np.array([0, 0, 1.0]), np.ones(3), np.ones(3))
    shot = shoot([person.solid], camera, plain, np.zeros((360, 480, 3), np.uint8))
    end = "L" if side == "left" else "R"
    # Inside the last bone of each finger: half-way to the tip.
    for finger in range(1, 6):
        place = (joints[4 * finger - 1] + joints[4 * finger]) / 2
        x, y, _ = camera.project(place[None])[0]
        pixel = shot.image[int(y * 360), int(x * 480)].astype(int)
        wanted = _colour(NAMES.index(f"finger{finger}-3.{end}"))
        assert np.abs(pixel - wanted).max() < 16, finger
    points = landmarks_of(person, shot)
    shown = points.left_hand if side == "left" else points.right_hand
    np.testing.assert_allclose(shown[:, :2], camera.project(joints)[:, :2], atol=1e-5)
    assert points.seen[SIDES.index(side)] > 0.9
    assert points.seen[1 - SIDES.index(side)] < 0.1  # hangs below the picture
    # Depth in widths of the picture, nearer is less, 0 at the wrist.
    width = (camera.project(joints[:1])[0, 2]) / camera.focal * 480 / 360
    np.testing.assert_allclose(shown[:, 2], (joints[0, 2] - joints[:, 2]) / width, atol=1e-4)


def test_a_face_hides_the_hand_behind_it(figure: Figure) -> None:
    person = pose_person(figure, Stance(), np.random.default_rng(0))
    head = person.pose.heads[figure.library.bone("head")] + (0, 0.6, 0)
    camera = Camera(head + np.array([0, 0, 20.0]), np.eye(3), 2.0, 240, 240)
    light = Light(np.array([0, 0, 1.0]), np.ones(3), np.ones(3))
    shot = shoot([person.solid], camera, light, np.zeros((240, 240, 3), np.uint8))
    points = head + np.array([(0, 0, 0.7), (0, 0, -3.0)])
    assert shot.is_seen(points, 0.2).tolist() == [True, False]


@given(
    st.floats(-25, 25), st.floats(-18, 18), st.floats(-30, 30), st.integers(0, 2**31),
)  # fmt: skip
def test_eyes_point_at_their_target(left: float, up: float, turn: float, seed: int) -> None:
    figure = _shared()
    rng = np.random.default_rng(seed)
    stance = Stance(turn=turn)
    aim = np.array([math.sin(math.radians(left)), math.tan(math.radians(up)), 1.0])
    stance = replace(stance, head=head_towards(aim, turn, rng))
    target = eyes_of(figure, stance) + 30 * aim
    pose = pose_person(figure, replace(stance, eyes=target), rng).pose
    for end in "LR":
        eye = figure.library.bone(f"eye.{end}")
        looks = pose.tails[eye] - pose.heads[eye]
        assert _angle(looks, target - pose.heads[eye]) < 1.0
    head = pose.rotations[figure.library.bone("head")]
    assert _angle(head[:, 2], aim) < 50


def test_a_head_turns_to_its_own_left_and_up(figure: Figure) -> None:
    rng = np.random.default_rng(0)
    head = figure.library.bone("head")
    left = pose_person(figure, Stance(head=(30, 0, 0)), rng).pose.rotations[head] @ (0, 0, 1)
    up = pose_person(figure, Stance(head=(0, 20, 0)), rng).pose.rotations[head] @ (0, 0, 1)
    tilted = pose_person(figure, Stance(head=(0, 0, 10)), rng).pose.rotations[head] @ (0, 1, 0)
    assert angles(left) == pytest.approx((30, 0), abs=0.5)
    assert angles(up) == pytest.approx((0, 20), abs=0.5)
    assert tilted[0] == pytest.approx(math.sin(math.radians(10)), abs=0.01)
    # On the picture, a person's left is on the viewer's right: +x is both.
    assert left[0] > 0


@given(st.floats(1, 80), st.integers(0, 2**31))
def test_a_look_passes_a_point_by_the_angle_asked_for(degrees: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    eyes, point = rng.normal(0, 5, 3), rng.normal((0, 0, 40), 5)
    missed = past(eyes, point, degrees, rng)
    assert _angle(missed - eyes, point - eyes) == pytest.approx(degrees, abs=1e-3)


def test_a_unit_of_the_face_opens_the_jaw(figure: Figure) -> None:
    rng, jaw = np.random.default_rng(0), figure.library.bone("jaw")
    shut = pose_person(figure, Stance(), rng).pose.tails[jaw]
    wide = pose_person(figure, Stance(face={"JawDrop": 1.0}), rng).pose.tails[jaw]
    assert wide[1] < shut[1] - 0.05


def test_a_unit_that_is_a_shape_moves_its_vertices_with_the_head(figure: Figure) -> None:
    stances = [Stance(head=(0, 0, 90), face=face) for face in ({}, {"mouth-corner-puller": 0.5})]
    plain, smiling = (
        pose_person(figure, stance, np.random.default_rng(0)).solid.points for stance in stances
    )
    moved = (smiling - plain)[np.abs(smiling - plain).max(axis=1) > 1e-4]
    # Up in the head is to the left where the head lies on its left side.
    assert len(moved) > 0
    np.testing.assert_allclose(moved, [[0.15, 0, 0]] * len(moved), atol=1e-3)


@given(st.integers(0, 2**31))
def test_rotations_agree_with_each_other(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.normal(0, 1, 3), rng.normal(0, 1, 3)
    turned = shortest(first, second) @ first
    assert _angle(turned, second) < 1e-3
    degrees = float(rng.uniform(-170, 170))
    assert twist(about(first, degrees), first) == pytest.approx(degrees, abs=1e-6)
    vector = first / np.linalg.norm(first) * math.radians(degrees)
    np.testing.assert_allclose(rotations(vector[None])[0], about(first, degrees), atol=1e-9)
    axes = frames(first[None], second[None])[0]
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-9)


def test_hands_mirror_each_other(figure: Figure) -> None:
    left, right = (hand_axes(figure, side) for side in SIDES)
    np.testing.assert_allclose(left * [[-1], [1], [1]], right, atol=1e-5)


def _bend(joints: Floats, finger: int) -> float:
    """How far a finger is bent at its two outer joints, degrees."""
    start = 1 + 4 * finger
    return sum(
        _angle(joints[i + 1] - joints[i], joints[i + 2] - joints[i + 1])
        for i in range(start, start + 2)
    )


def _angle(first: Floats, second: Floats) -> float:
    cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    return math.degrees(math.acos(min(max(float(cosine), -1.0), 1.0)))


def _hands(person: Person) -> tuple[Floats, Floats]:
    return hand_joints(person, "left"), hand_joints(person, "right")


def _palm(joints: Floats) -> Floats:
    return np.asarray((joints[0] + joints[9]) / 2)


def _colour(bone: int) -> NDArray[np.int64]:
    return np.array([30 + 50 * (bone % 5), 30 + 50 * (bone // 5 % 5), 30 + 40 * (bone // 25)])


def _bone_colours(sheet: NDArray[np.uint8]) -> NDArray[np.uint8]:
    coloured = sheet.copy()
    x, y, side = TILES["skin"]
    cell = side // GRID
    for bone in range(len(NAMES)):
        left, top = x + bone % GRID * cell, y + bone // GRID * cell
        coloured[top : top + cell, left : left + cell] = _colour(bone)
    return coloured


_KEPT: dict[str, Figure] = {}


def _shared() -> Figure:
    """A figure for tests that Hypothesis calls, which takes no fixtures of a module."""
    if not _KEPT:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            library = load_library(write_tiny_humans(Path(folder)))
            _KEPT["figure"] = new_figure(library, np.random.default_rng(1))
    return _KEPT["figure"]
