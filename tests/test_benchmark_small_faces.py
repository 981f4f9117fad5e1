"""Small faces: the size that a face is shrunk to, and the table of what was scored."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from test_benchmarks import tables

from benchmarks import small_faces
from sfedge_training.collection.item import Annotation, Item


@pytest.mark.parametrize("size", small_faces.SIZES)
def test_a_face_is_shrunk_to_its_size_in_the_middle(size: int) -> None:
    picture = np.full((224, 224, 3), 50, np.uint8)
    picture[62:162, 72:152] = 250  # a face of 100 pixels

    small = small_faces.smaller(picture, 100, size)

    rows, columns = np.nonzero(small[..., 0] > 150)
    assert small.shape == (480, 640, 3)
    assert np.ptp(rows) + 1 == pytest.approx(size, abs=2)
    assert np.ptp(columns) + 1 == pytest.approx(0.8 * size, abs=2)
    assert (rows.mean(), columns.mean()) == pytest.approx((240, 320), abs=2)
    assert (small[[0, -1]] == 50).all()


def test_faces_of_all_sizes_are_written_with_their_labels(
    tmp_path: Path, astronaut: NDArray[np.uint8]
) -> None:
    encoded = cv2.imencode(".png", astronaut[..., ::-1])[1].tobytes()
    empty = cv2.imencode(".png", np.zeros((64, 64, 3), np.uint8))[1].tobytes()
    labels = (Annotation("expression", "happiness"), Annotation("gesture", "one", "network"))
    items = [
        Item(name, picture, "face", labels, name, "val")
        for name, picture in (("nobody.png", empty), ("one.png", encoded))
    ]

    folder = tmp_path / "small"
    small_faces.lay_out(folder, items, (24, 48))

    rows = [*csv.DictReader((folder / "labels.csv").read_text().splitlines())]
    assert [(row["picture"], row["label"], row["size"]) for row in rows] == [
        ("one-24.png", "happiness", "24"),
        ("one-48.png", "happiness", "48"),
    ]
    assert len(list(folder.glob("*.png"))) == 2


def test_right_is_a_share_of_the_faces_that_are_found() -> None:
    def figure(value: float) -> dict[str, float]:
        return {"value": value, "low": value, "high": value}

    part = {
        "samples": 40,
        "not_found": figure(0.25),
        "accuracy": figure(0.6),
        "unsure": figure(0.1),
        "accuracy_when_sure": figure(0.9),
    }
    _, text = small_faces.page({"expression": {"by": {"size": {"values": {"24": part}}}}})

    assert tables(text + "\n")[0][1] == [
        *("expression", "24", "30", "80.0", "10.0 (10 – 10)", "90.0 (90 – 90)")
    ]
