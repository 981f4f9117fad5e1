"""Landmarks that are kept beside pictures, and how a labelled folder brings them to its samples."""

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from sfedge.core.errors import DataError
from sfedge.core.face_points import FACE_POINTS
from sfedge.core.landmarks import BODY_POINTS, HAND_POINTS, HandLandmarks, Landmarks, Points
from sfedge_training.data import labelled_folder as folder
from sfedge_training.data import landmark_store
from sfedge_training.data.landmark_store import (
    STORE,
    landmark_key,
    read_landmarks,
    write_landmarks,
)

RANDOM = np.random.default_rng(0)


def _points(count: int) -> Points:
    return RANDOM.random((count, 3), np.float32)


ENTRIES = {
    "a.jpg@0.1,0.2,0.3,0.4": Landmarks(
        (HandLandmarks(_points(HAND_POINTS), "right"), HandLandmarks(_points(HAND_POINTS), None)),
        face=_points(FACE_POINTS),
    ),
    "b.jpg@": Landmarks(),
    "c.jpg@": Landmarks((HandLandmarks(_points(HAND_POINTS), "left"),), body=_points(BODY_POINTS)),
}


def test_what_is_written_is_read_in_half_precision(tmp_path: Path) -> None:
    write_landmarks(tmp_path / STORE, ENTRIES)
    read = read_landmarks(tmp_path / STORE)
    assert [*read] == [*ENTRIES]
    for key, entry in ENTRIES.items():
        own = read[key]
        assert [hand.side for hand in own.hands] == [hand.side for hand in entry.hands]
        pairs = [*zip(own.hands, entry.hands, strict=True)]
        parts = [*((a.points, b.points) for a, b in pairs), (own.body, entry.body)]
        for one, other in (*parts, (own.face, entry.face)):
            assert (one is None) == (other is None)
            if one is not None and other is not None:
                assert one.dtype == np.float32
                np.testing.assert_allclose(one, other, atol=2**-12)
    assert [path.name for path in tmp_path.iterdir()] == [STORE]


def test_no_file_holds_nothing(tmp_path: Path) -> None:
    assert read_landmarks(tmp_path / STORE) == {}


def test_a_damaged_file_and_another_layout_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / STORE
    write_landmarks(file, ENTRIES)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"landmarks\.npz.*cannot be read"):
        read_landmarks(file)
    with monkeypatch.context() as older:
        older.setattr(landmark_store, "LAYOUT", "hands-0")
        write_landmarks(file, ENTRIES)
    with pytest.raises(DataError, match=r"'hands-0'.*find them again"):
        read_landmarks(file)


def test_a_row_gets_the_landmarks_of_its_own_box(tmp_path: Path) -> None:
    PIL.Image.new("RGB", (40, 20)).save(tmp_path / "a.png")
    (tmp_path / folder.TABLE).write_text(
        "picture,task,label,x1,y1,x2,y2,view,split\n"
        "a.png,looking_at_me,looking,0.1,0.2,0.30,0.4,,train\n"
        "a.png,looking_at_me,looking,0.6,0.2,0.8,0.4,,train\n"
        "a.png,expression,fear,,,,,picture,train\n"
        "a.png,gesture,ok,,,,,,train\n"  # of a person, who is not what was sought
        "a.png,looking_at_me,looking,,,,,,train\n"  # of a face that is not to be found
    )
    hand = Landmarks((HandLandmarks(_points(HAND_POINTS)),))
    entries = {
        landmark_key("a.png", (0.1, 0.2, 0.3, 0.4)): hand,
        landmark_key("a.png", ()): Landmarks(),
    }
    write_landmarks(tmp_path / STORE, entries)
    loaded = folder.load(tmp_path, "train")
    boxed, other, whole, person = loaded.samples
    assert boxed.landmarks is not None
    np.testing.assert_allclose(boxed.landmarks.hands[0].points, hand.hands[0].points, atol=2**-12)
    assert other.landmarks is None  # nobody has looked
    assert whole.landmarks is not None  # somebody has looked in vain
    assert not whole.landmarks.hands
    assert person.task == "gesture"
    assert loaded.report.dropped == {"picture in which no face or hand was located": 1}
