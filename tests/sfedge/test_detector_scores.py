"""What of a described network's output is a score: its columns, and values that cannot be one."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cell_detectors import CELL, SIZE, describe, found, make_fixed, squares
from numpy.typing import NDArray

from sfedge.core.boxes import Box, iou
from sfedge.core.errors import DetectorError
from sfedge.core.structures import Frame
from sfedge.detect.described_detector import open_described

# Two faces of 20 pixels, and 98 places without one; landmarks are in pixels around each centre.
CENTRES = np.random.default_rng(3).uniform(10, 54, (100, 2))
CENTRES[:2] = (16, 20), (44, 40)
BOXES = np.concatenate([CENTRES, np.full((100, 2), 20.0)], axis=1)
SCORES = np.zeros((100, 1))
SCORES[:2, 0] = 0.9, 0.6
POINTS = np.tile(CENTRES, 5)
YOLOV8_FACE = np.concatenate([BOXES, SCORES, np.insert(POINTS, [2, 4, 6, 8, 10], 0.99, 1)], 1).T
YOLOV5_FACE = np.concatenate([BOXES, np.full((100, 1), 0.8), POINTS, SCORES], axis=1)
OF_YOLOV8 = {"transposed": True, "columns": 20, "score_columns": [4, 1]}
OF_YOLOV5 = {"score": "objectness*class", "score_columns": [15, 1]}


def describe_fixed(folder: Path, rows: NDArray[np.float64], **output: Any) -> Path:
    make_fixed(folder / "fixed.onnx", rows[None])
    description = {
        "file": "fixed.onnx",
        "input": {"size": 64},
        "output": {"rows": "found", "box": "cxcywh", **output},
        "classes": {"0": "face"},
        "threshold": 0.3,
    }
    path = folder / "fixed.json"
    path.write_text(json.dumps(description))
    return path


@pytest.mark.parametrize(
    ("rows", "output", "scores"),
    [(YOLOV8_FACE, OF_YOLOV8, [0.9, 0.6]), (YOLOV5_FACE, OF_YOLOV5, [0.72, 0.48])],
)
def test_columns_of_landmarks_are_no_scores(
    rows: NDArray[np.float64], output: dict[str, Any], scores: list[float], tmp_path: Path
) -> None:
    detections = found(describe_fixed(tmp_path, rows, **output), np.zeros((64, 64, 3), np.uint8))
    assert [one.score for one in detections] == pytest.approx(scores)
    assert {one.kind for one in detections} == {"face"}
    for one, (x, y) in zip(detections, CENTRES, strict=False):
        box = Box((x - 10) / 64, (y - 10) / 64, (x + 10) / 64, (y + 10) / 64)
        assert iou(one.box, box) > 0.99


def test_other_columns_of_classes_need_no_name(tmp_path: Path) -> None:
    rows = np.concatenate([BOXES, np.zeros((100, 80))], axis=1)
    rows[0, 4], rows[1, 4], rows[1, 60] = 0.9, 0.6, 0.7  # the second is surer to be something else
    detections = found(describe_fixed(tmp_path, rows, columns=84), np.zeros((64, 64, 3), np.uint8))
    assert [one.score for one in detections] == pytest.approx([0.9])


@pytest.mark.parametrize(
    ("rows", "output", "message"),
    [
        (YOLOV8_FACE, {"transposed": True}, r"is \(1, 20, 100\), the description says \(1, 5, N\)"),
        (YOLOV8_FACE, {"transposed": True, "columns": 20}, "the score .* in column 5,"),
        (YOLOV8_FACE, {**OF_YOLOV8, "transposed": False}, r"the description says \(1, N, 20\)"),
        (YOLOV8_FACE / 64, {**OF_YOLOV8, "transposed": False}, r"description says \(1, N, 20\)"),
        (YOLOV5_FACE, {"score": "objectness*class"}, r"the description says \(1, N, 6\)"),
        (YOLOV5_FACE, {"score": "objectness*class", "columns": 16}, "the score 16 in column 5"),
        (YOLOV5_FACE, {**OF_YOLOV5, "transposed": True}, r"the description says \(1, 16, N\)"),
        (YOLOV8_FACE[:5], {"transposed": True, "box": "xyxy", "score": "score,class"}, "6, N"),
        (np.concatenate([BOXES, SCORES * 9 - 4], axis=1), {}, "score 4.1 in column 4.*logits"),
        (np.concatenate([BOXES, SCORES * np.nan], axis=1), {}, "the score nan in column 4"),
    ],
)
def test_what_is_no_score_is_refused_when_the_detector_is_opened(
    rows: NDArray[np.float64], output: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DetectorError, match=message) as caught:
        open_described(describe_fixed(tmp_path, rows, **output))
    assert "\n" not in str(caught.value)
    for cause in ("output.transposed", "landmarks", "output.score_columns"):
        assert cause in str(caught.value)


def test_what_is_no_score_is_refused_in_every_frame(tmp_path: Path) -> None:
    picture, *_ = squares(SIZE, SIZE, CELL)
    detector = open_described(describe(tmp_path, input={"size": SIZE, "scale": 100}))
    assert detector.detect(Frame(np.zeros_like(picture), 0, 0.0)) == []
    with pytest.raises(
        DetectorError, match=r"the score 2\.55 in column 4.*output\.logits.*output\.transposed"
    ):
        detector.detect(Frame(picture, 1, 0.1))
