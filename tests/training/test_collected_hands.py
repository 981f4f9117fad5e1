"""Hands that are cut out and looked at before training: their rims, boxes and points."""

import io
import shutil
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray
from small_sources import GROUND, hand_finder, hand_picture, jpeg, small_sources, write_zip

from sfedge.core.boxes import FULL
from sfedge.core.errors import DataError
from sfedge_training.collection.hand_points import hand_in
from sfedge_training.collection.hand_sources import crops, in_square


@pytest.mark.parametrize("turns", range(4))
def test_a_known_hand_has_the_points_that_the_detector_gives_it(turns: int) -> None:
    """However it lies, and though nothing is around it."""
    scene = hand_picture()
    (hand,) = hand_finder().find(scene)
    low, high = hand.points[:, :2].min(axis=0) - 12, hand.points[:, :2].max(axis=0) + 12
    x1, y1, x2, y2 = (round(value) for value in (*low, *high))
    crop = np.ascontiguousarray(np.rot90(scene[y1:y2, x1:x2], turns))
    height, width = crop.shape[:2]
    found = hand_in(hand_finder(), crop, FULL)
    assert found is not None
    right = hand.points[:, :2] - (x1, y1)
    for turn in range(turns):  # a quarter each, against the clock
        side = (x2 - x1) if turn % 2 == 0 else (y2 - y1)
        right = np.column_stack([right[:, 1], side - right[:, 0]])
    own = found.points[:, :2] * (width, height)
    assert np.abs(own - right).max() < 0.08 * np.ptp(right, axis=0).max()
    assert found.side == hand.side


def test_no_hand_is_seen_on_empty_ground() -> None:
    assert hand_in(hand_finder(), np.full((100, 80, 3), GROUND, np.uint8), FULL) is None


def test_a_crop_lies_in_the_middle_of_its_square(tmp_path: Path) -> None:
    across, down = np.meshgrid(np.arange(48), np.arange(128))
    crop = np.stack([5 * across, 2 * down, 255 - across - down], axis=2).astype(np.uint8)
    data, box = in_square(jpeg(crop), "here")
    square = np.asarray(PIL.Image.open(io.BytesIO(data)))
    assert square.shape == (192, 192, 3)
    inner = square[32:160, 72:120].astype(int)
    assert np.abs(inner - crop).mean() < 3  # JPEG, twice
    assert (box.x1, box.y1, box.x2, box.y2) == pytest.approx((72 / 192, 1 / 6, 120 / 192, 5 / 6))
    with pytest.raises(DataError, match="here"):
        in_square(b"no picture", "here")


def test_a_rim_shows_what_is_given_for_it_and_the_crop_stays() -> None:
    crop = np.full((60, 40, 3), (200, 120, 60), np.uint8)
    around = np.full((90, 90, 3), (10, 220, 30), np.uint8)
    data, _ = in_square(jpeg(crop), "here", around[..., ::-1])
    square = np.asarray(PIL.Image.open(io.BytesIO(data))).astype(int)
    assert square.shape == (90, 90, 3)
    assert np.abs(square[19:71, 29:61] - crop[0, 0]).mean() < 3
    assert np.abs(square[:, :20] - around[0, 0]).mean() < 3


def test_two_of_three_rims_are_parts_of_faces_that_may_be_learnt_from(
    tmp_path: Path, astronaut: NDArray[np.uint8]
) -> None:
    small_sources(tmp_path / "data", astronaut)
    crop = jpeg(np.full((60, 40, 3), 128, np.uint8))
    names = [f"{number}.jpg" for number in range(60)]
    rows = [{"file": name, "label": "palm", "label_source": "folder"} for name in names]
    write_zip(tmp_path / "gesture-crops.zip", dict.fromkeys(names, crop), rows)
    plain = [item.picture for item in crops(tmp_path / "gesture-crops.zip")]
    assert len({*plain}) == 1
    shutil.copyfile(tmp_path / "data" / "faces-fairface.zip", tmp_path / "faces-fairface.zip")
    rimmed = [item.picture for item in crops(tmp_path / "gesture-crops.zip")]
    assert 30 <= sum(one != plain[0] for one in rimmed) <= 50
    assert rimmed == [item.picture for item in crops(tmp_path / "gesture-crops.zip")]


def test_a_crop_of_an_unknown_teller_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "gesture-crops.zip"
    write_zip(file, {}, [{"file": "a.jpg", "label": "palm", "label_source": "rumour"}])
    with pytest.raises(DataError, match="rumour"):
        next(iter(crops(file)))
    file.write_bytes(b"no zip")
    with pytest.raises(DataError, match="gesture-crops"):
        next(iter(crops(file)))
