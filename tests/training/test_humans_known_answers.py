"""The pictures with known answers: what is said of them is what is rendered."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from tiny_humans import write_tiny_humans

from sfedge.demo.demo_hand import PICTURE, WRIST
from sfedge.diagnostics.known_answers import FOLDER
from sfedge_training.humans import render_demo_hand
from sfedge_training.humans.known_answer_pictures import (
    POSES,
    pose_of,
    truth_of,
    write_known_answers,
)
from sfedge_training.humans.landmark_points import hand_joints


@pytest.fixture(scope="module")
def humans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_humans(tmp_path_factory.mktemp("humans"))


def test_every_picture_is_written_and_what_is_true_of_it(humans: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_known_answers(humans, tmp_path / name)
    names = {path.name for path in (tmp_path / "one").iterdir()}
    assert names == {"answers.json", *(f"{name}.jpg" for name in POSES)}
    for name in names:  # the same data, the same bytes
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    with Image.open(tmp_path / "one" / "straight-1.jpg") as picture:
        assert picture.size == (352, 352)


def test_the_table_that_is_shipped_is_the_one_of_the_poses() -> None:
    table = json.loads((FOLDER / "answers.json").read_text())
    assert table["pictures"] == {f"{name}.jpg": truth_of(pose) for name, pose in POSES.items()}


@pytest.mark.parametrize("name", [*POSES])
def test_truth_agrees_with_the_geometry(name: str, humans: Path) -> None:
    pose, truth = POSES[name], truth_of(POSES[name])
    person, camera = pose_of(humans, pose)
    bone, posed = person.figure.library.bone, person.pose
    head = posed.rotations[bone("head")] @ (0, 0, 1)
    turned = np.where(np.abs(head[:2]) > 0.2, np.sign(head[:2]), 0).astype(int)
    assert [turned[0], -turned[1]] == truth["head"]  # the camera's right is the person's left
    for eye in ("eye.L", "eye.R"):
        in_head = posed.rotations[bone("head")].T @ posed.rotations[bone(eye)] @ (0, 0, 1)
        assert (np.sign(in_head[0]) if abs(in_head[0]) > 0.2 else 0) == truth["eyes"]
        assert (np.sign(in_head[1]) if abs(in_head[1]) > 0.2 else 0) == -truth["head"][1]
        away = posed.heads[bone(eye)] - camera.place
        sight = posed.rotations[bone(eye)] @ (0, 0, 1)
        aside = np.degrees(np.arccos(min(-sight @ away / np.linalg.norm(away), 1.0)))
        assert (aside < 2) == (truth["labels"]["looking_at_me"] == "looking")
    if pose.hand is not None:
        raised = camera.project(hand_joints(person, pose.hand))
        assert (raised[:, 0] > 0.5).all() == (pose.hand == "left")
        assert ((raised[:, :2] > 0) & (raised[:, :2] < 1)).all()


def test_the_demo_gets_a_hand_on_nothing(humans: Path, tmp_path: Path) -> None:
    file = tmp_path / "hand.png"
    ended = CliRunner().invoke(
        render_demo_hand.main, [str(humans), str(file)], catch_exceptions=False
    )
    assert ended.exit_code == 0
    with Image.open(file) as picture, Image.open(PICTURE) as shipped:
        assert (picture.mode, picture.size) == (shipped.mode, shipped.size) == ("RGBA", (200, 250))
        opacity = np.array(picture)[..., 3]
    assert opacity[round(WRIST[1] * 250) - 10, round(WRIST[0] * 200)] == 255
    assert (opacity == 0).any()
