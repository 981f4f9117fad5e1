"""A model that sees hands by themselves: from a picture to answers, beside a reference in numpy."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.special
import small_bundle
from PIL import Image

import sfedge
from sfedge.core.boxes import from_pixels
from sfedge.core.tasks import TASKS

WIDTH, HEIGHT = 320, 160
# A person who holds up both hands, and a hand alone at the other side; in pixels.
BOXES = (
    ("person", 20, 10, 120, 158, "1"),
    ("face", 60, 20, 80, 44, "1"),
    ("hand", 30, 40, 46, 56, "1"),
    ("hand", 94, 40, 110, 64, "1"),
    ("hand", 260, 60, 284, 92, ""),
)
# Squares around the hands, half the longer side more on each side, moved into the picture.
VIEWS = ((22, 32, 54, 64), (78, 28, 126, 76), (240, 44, 304, 108))


def test_each_hand_is_asked_by_itself_in_a_square_of_its_own(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "hands.png")
    with (tmp_path / "boxes.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("frame", "kind", "x1_px", "y1_px", "x2_px", "y2_px", "score", "track"))
        writer.writerows((0, *box[:5], 0.9, box[5]) for box in BOXES)
    small = small_bundle.make()
    task = replace(TASKS["gesture"], view="hand", margin=0.5)
    bundle = small.write(tmp_path / "bundle", tasks=(task,))

    with sfedge.open(
        tmp_path / "hands.png", detections=tmp_path / "boxes.csv", bundle=bundle
    ) as session:
        (result,) = session

    assert len(result.tracks) == 1
    assert len(result.hands) == 1
    people = [len(answer.people) for answer in result.fresh]
    assert people == [1, 1, 0]
    assert sorted(hand for answer in result.fresh for hand in answer.hands) == [1, 2, 3]
    found = [list((answer.raw or {}).values()) for answer in result.fresh]
    rows = [small_bundle.ROWS.index(answer) for answer in task.answers]
    wanted = []
    for view in VIEWS:
        square = small_bundle.square_of(image, from_pixels(*view, width=WIDTH, height=HEIGHT))
        wanted.append(scipy.special.softmax(small.values("gesture", square, ())[rows]))
    order = np.argsort([row[0] for row in wanted[:2]])  # ids follow no order of places
    assert np.sort([row[0] for row in found[:2]]) == pytest.approx(np.array(wanted)[order, 0])
    assert found[2] == pytest.approx(wanted[2], rel=1e-4)
