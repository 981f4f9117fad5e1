"""ONNX detectors by a JSON file: YOLO-style networks, built here, that find red squares."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cell_detectors import CELL, FORMS, SIZE, Picture, describe, found, make_fixed, squares

from sfedge.core.boxes import Box, iou
from sfedge.core.errors import ConfigError, DetectorError, UnknownNameError
from sfedge.detect import build_detector
from sfedge.detect.described_detector import open_described


@pytest.mark.parametrize("form", [*FORMS])
def test_each_form_of_output_is_read(form: str, tmp_path: Path) -> None:
    picture, red, green = squares(SIZE, SIZE, CELL)
    face, hand = sorted(found(describe(tmp_path, form), picture), key=lambda d: d.kind)
    assert (face.kind, hand.kind) == ("face", "hand")
    assert iou(face.box, red) > 0.99
    assert iou(hand.box, green) > 0.99
    assert face.score == pytest.approx(0.9 if form == "yolov5" else 1.0, abs=1e-3)


@pytest.mark.parametrize("engine", ["cpu", "openvino"])
@pytest.mark.parametrize("fit", ["letterbox", "letterbox-corner", "stretch"])
@pytest.mark.parametrize(("width", "height"), [(640, 384), (384, 640), (160, 160)])
def test_boxes_come_back_to_the_frame_however_it_was_fitted(
    fit: str, width: int, height: int, engine: str, tmp_path: Path
) -> None:
    # A letterbox of the longer side 640 shows a quarter of it: cells of 64 pixels of the frame.
    scale = max(width, height) // SIZE
    cell = (
        (CELL * width // SIZE, CELL * height // SIZE)
        if fit == "stretch"
        else (CELL * scale, CELL * scale)
    )
    picture = np.full((height, width, 3), 60, np.uint8)
    left, top = cell[0], cell[1]
    picture[top : top + cell[1], left : left + cell[0]] = (255, 0, 0)
    box = Box(left / width, top / height, (left + cell[0]) / width, (top + cell[1]) / height)
    path = describe(tmp_path, engine=engine, input={"size": SIZE, "fit": fit})
    (face,) = found(path, picture)
    assert iou(face.box, box) > 0.95


@pytest.mark.parametrize(
    "changes",
    [
        {"layout": "NHWC"},
        {"order": "BGR"},
        {"mean": [30, 30, 30], "scale": 285},
    ],
)
def test_the_picture_goes_in_as_described(changes: dict[str, Any], tmp_path: Path) -> None:
    picture, red, _ = squares(SIZE, SIZE, CELL)
    shown = picture[:, :, ::-1] if changes.get("order") == "BGR" else picture
    found_here = found(describe(tmp_path, input={"size": SIZE, **changes}), shown)
    (face,) = [one for one in found_here if one.kind == "face"]
    assert iou(face.box, red) > 0.99


def test_neighbours_that_overlap_are_one_only_where_the_network_does_not_do_it(
    tmp_path: Path,
) -> None:
    rows = np.array(
        [[[10, 10, 50, 50, 0.9, 0], [12, 10, 52, 50, 0.8, 0], [12, 10, 52, 50, 0.7, 1]]]
    )
    make_fixed(tmp_path / "pair.onnx", rows)
    path = tmp_path / "pair.json"
    for nms, scores in ((0.5, [0.9, 0.7]), ("inside", [0.9, 0.8, 0.7])):
        path.write_text(
            json.dumps(
                {
                    "file": "pair.onnx",
                    "input": {"size": 64},
                    "output": {"rows": "found", "score": "score,class"},
                    "classes": {"0": "face", "1": "hand"},
                    "nms": nms,
                }
            )
        )
        detections = found(path, np.zeros((64, 64, 3), np.uint8))
        assert [one.score for one in detections] == pytest.approx(scores)


def test_only_the_listed_classes_from_the_threshold_on_count(tmp_path: Path) -> None:
    picture, *_ = squares(SIZE, SIZE, CELL)
    picture[picture[..., 1] == 255] = (0, 150, 0)  # a score of 0.59
    every = found(describe(tmp_path), picture)
    assert sorted(one.kind for one in every) == ["face", "hand"]
    sure = found(describe(tmp_path, threshold=0.6), picture)
    assert [one.kind for one in sure] == ["face"]
    people = found(describe(tmp_path, classes={"1": "person"}), picture)
    assert [one.kind for one in people] == ["person"]


def test_the_command_takes_a_description(tmp_path: Path, command: Any, astronaut: Picture) -> None:
    from PIL import Image

    picture = np.array(Image.fromarray(astronaut).resize((SIZE, SIZE)))
    picture[32:48, 48:64] = (255, 0, 0)
    Image.fromarray(picture).save(tmp_path / "picture.png")
    ended = command(
        "run", tmp_path / "picture.png", "--detector", describe(tmp_path), "--out", tmp_path / "out"
    )
    assert ended.code == 0, ended.err
    assert "1 person" in ended.out


def test_an_engine_that_cannot_run_here_is_never_replaced_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = describe(tmp_path, engine="openvino")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(DetectorError, match="OpenVINO"):
        open_described(path)


def test_a_detector_that_is_not_known_is_reported_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'mediapipe-onnx'"):
        build_detector("mediapipe-onx", width=1, height=1)


def test_a_bare_network_is_reported_to_need_a_description() -> None:
    with pytest.raises(ConfigError, match=r"face\.onnx is a network .*JSON file.*detectors\.md"):
        build_detector("face.onnx", width=1, height=1)


def test_detections_and_another_detector_contradict_each_other(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="detections= and detector='mediapipe' exclude"):
        build_detector("mediapipe", detections=tmp_path, width=1, height=1)
    with pytest.raises(ConfigError, match="Give it as detections="):
        build_detector("precomputed", width=1, height=1)
