"""The labels of collected sources: where they are from, how often they are drawn."""

from collections import Counter

import numpy as np
import pytest
from small_sources import scores

from sfedge.core.landmarks import HandLandmarks
from sfedge_training.collection.balance import weights
from sfedge_training.collection.blendshapes import expression_of, look_of
from sfedge_training.collection.item import LabelSource, split_of
from sfedge_training.collection.settle import shows_palm


def test_the_palm_and_the_back_of_a_hand_are_distinguished() -> None:
    """A left hand that points up with its palm to the camera has its thumb on the left."""
    palm = np.zeros((21, 3), np.float32)
    palm[[0, 5, 17], :2] = ((0.5, 0.9), (0.35, 0.5), (0.65, 0.55))
    back = palm * (-1, 1, 1) + (1, 0, 0)
    assert shows_palm(HandLandmarks(palm, "left")) is True
    assert shows_palm(HandLandmarks(palm, "right")) is False
    assert shows_palm(HandLandmarks(back.astype(np.float32), "left")) is False
    upside_down = (1 - palm).astype(np.float32)
    assert shows_palm(HandLandmarks(upside_down, "left")) is True
    assert shows_palm(HandLandmarks(palm, None)) is None
    edge = palm * (0.1, 1, 1)
    assert shows_palm(HandLandmarks(edge.astype(np.float32), "left")) is None


def test_eyes_that_make_up_for_the_head_look_at_the_camera() -> None:
    assert look_of(scores()) == "looking"
    assert look_of(scores(yaw=25.0)) == "not_looking"
    # The head is turned by 16 degrees; eyes turned by as much against it meet the camera.
    back = {"eyeLookInLeft": 0.8, "eyeLookOutRight": 0.8}
    along = {"eyeLookOutLeft": 0.8, "eyeLookInRight": 0.8}
    assert look_of(scores(yaw=16.0, **back)) == "looking"
    assert look_of(scores(yaw=16.0, **along)) == "not_looking"
    assert look_of(scores(yaw=8.0)) is None
    assert look_of(scores(eyeLookDownLeft=1.0, eyeLookDownRight=1.0, pitch=-5.0)) is None
    assert look_of(scores(eyeLookDownLeft=1.0, eyeLookDownRight=1.0, pitch=10.0)) == "not_looking"
    assert look_of(scores(eyeBlinkLeft=0.9, eyeBlinkRight=0.9)) is None
    assert look_of(scores(yaw="")) is None


def test_only_a_clear_smile_and_a_still_face_are_labelled() -> None:
    assert expression_of(scores()) == "neutral"
    assert expression_of(scores(mouthSmileLeft=0.7, mouthSmileRight=0.6)) == "happiness"
    assert expression_of(scores(mouthSmileLeft=0.4, mouthSmileRight=0.4)) is None
    assert expression_of(scores(browDownLeft=0.6, browDownRight=0.6)) is None
    assert expression_of(scores(jawOpen=0.4)) is None


def test_every_class_is_drawn_as_often_up_to_four_times_a_row() -> None:
    many, few, idle = ("gesture", "palm"), ("gesture", "four"), ("gesture", "no_gesture")
    rows: list[tuple[tuple[str, str], LabelSource]] = [
        *([(many, "people")] * 2000 + [(many, "network")] * 1000),
        *([(few, "people")] * 50),
        *([(idle, "people")] * 1500),
    ]
    draws: Counter[tuple[str, str]] = Counter()
    for (of, _), weight in zip(rows, weights(rows), strict=True):
        draws[of] += weight  # type: ignore[assignment]
    assert draws[many] == pytest.approx(900)
    assert draws[few] == 50 * 4
    assert draws[idle] == pytest.approx(2400)
    own = weights(rows)
    assert own[2000] == own[0] / 2  # a teacher's label counts half


def test_splits_keep_their_shares_and_their_minds() -> None:
    splits = Counter(split_of(f"source/{n}") for n in range(5000))
    assert splits["test"] == pytest.approx(500, abs=75)
    assert splits["val"] == pytest.approx(500, abs=75)
    assert [split_of(f"source/{n}") for n in (3, 4)] == ["train", "val"]
