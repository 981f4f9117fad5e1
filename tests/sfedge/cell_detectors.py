"""ONNX detectors built here that find red squares as faces and green ones as hands."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from sfedge.core.boxes import Box
from sfedge.core.structures import Detection, Frame
from sfedge.detect.described_detector import open_described

Picture = NDArray[np.uint8]
SIZE, CELL = 160, 16  # pixels of the input and of a cell; a find is as large as a cell
GRID = SIZE // CELL
COUNT = GRID * GRID


def make_network(path: Path, form: str = "yolov8", *, layout: str = "NCHW") -> None:
    """A network that finds red cells as class 0 and green ones as class 1.

    Its forms are those of published detectors: "yolov8" gives (1, 6, N), centre and size in pixels
    and two scores; "yolov5" gives (1, N, 7) with an objectness; "ultraface" and "columns" boxes and
    two scores each as outputs of their own, "apart" one score and a label; "nms" rows of corners,
    score and class.
    """
    nodes, constants = [], []

    def constant(name: str, value: Any) -> str:
        constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    shape = [1, 3, SIZE, SIZE] if layout == "NCHW" else [1, SIZE, SIZE, 3]
    source = "picture"
    if layout == "NHWC":
        source = node("Transpose", [source], "nchw", perm=[0, 3, 1, 2])
    # Red less the other colours, and green less the other colours: -1 to 1.
    weights = np.array([[1, -1, -1], [-1, 1, -1]], np.float32).reshape(2, 3, 1, 1)
    shades = node("Conv", [source, constant("weights", weights)], "shades")
    cells = node("AveragePool", [shades], "cells", kernel_shape=[CELL, CELL], strides=[CELL, CELL])
    scores = node("Reshape", [cells, constant("flat", np.int64([1, 2, COUNT]))], "columns")
    scores = node("Relu", [scores], "scores_by_class")  # (1, 2, N)
    x, y = np.meshgrid(np.arange(GRID) * CELL, np.arange(GRID) * CELL)
    corners = np.stack([x, y, x + CELL, y + CELL], -1).reshape(1, COUNT, 4).astype(np.float32)
    centred = np.concatenate([corners[..., :2] + CELL / 2, np.full((1, COUNT, 2), CELL)], axis=2)
    outputs: dict[str, list[int]]
    by_row = node("Transpose", [scores], "rows_of_scores", perm=[0, 2, 1])
    if form == "yolov8":
        boxes = constant("boxes", centred.transpose(0, 2, 1).astype(np.float32))
        node("Concat", [boxes, scores], "output0", axis=1)
        outputs = {"output0": [1, 6, COUNT]}
    elif form == "yolov5":
        boxes = constant("boxes", centred.astype(np.float32))
        objectness = constant("objectness", np.full((1, COUNT, 1), 0.9, np.float32))
        node("Concat", [boxes, objectness, by_row], "output", axis=2)
        outputs = {"output": [1, COUNT, 7]}
    elif form == "ultraface":
        node("Identity", [constant("places", corners / SIZE)], "boxes")
        node("Identity", [by_row], "by_class")
        outputs = {"boxes": [1, COUNT, 4], "by_class": [1, COUNT, 2]}
    elif form == "columns":
        places = centred.transpose(0, 2, 1).astype(np.float32)
        node("Identity", [constant("places", places)], "boxes")
        node("Identity", [scores], "by_class")
        outputs = {"boxes": [1, 4, COUNT], "by_class": [1, 2, COUNT]}
    else:
        best = node("ReduceMax", [by_row], "best", axes=[2], keepdims=1)
        number = node("ArgMax", [by_row], "number", axis=2, keepdims=1)
        number = node("Cast", [number], "label_column", to=TensorProto.FLOAT)
        if form == "apart":
            node("Identity", [constant("places", corners / SIZE)], "boxes")
            flat = constant("row", np.int64([1, COUNT]))
            node("Reshape", [best, flat], "scores")
            node("Reshape", [number, flat], "labels")
            outputs = {"boxes": [1, COUNT, 4], "scores": [1, COUNT], "labels": [1, COUNT]}
        else:
            node("Concat", [constant("places", corners), best, number], "detections", axis=2)
            outputs = {"detections": [1, COUNT, 6]}
    graph = helper.make_graph(
        nodes,
        "cells",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, shape)],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes)
            for name, sizes in outputs.items()
        ],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def make_fixed(path: Path, rows: NDArray[np.float64]) -> None:
    """A network of 64 x 64 pixels that gives the same values, named "found", for every picture."""
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["picture"], ["mean"], keepdims=1, axes=[1, 2, 3]),
            helper.make_node("Reshape", ["mean", "one"], ["flat"]),
            helper.make_node("Mul", ["flat", "none"], ["zero"]),
            helper.make_node("Add", ["rows", "zero"], ["found"]),
        ],
        "fixed",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, 64, 64])],
        [helper.make_tensor_value_info("found", TensorProto.FLOAT, rows.shape)],
        [
            numpy_helper.from_array(rows.astype(np.float32), "rows"),
            numpy_helper.from_array(np.zeros(1, np.float32), "none"),
            numpy_helper.from_array(np.int64([1]), "one"),
        ],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), str(path))


FORMS: dict[str, dict[str, Any]] = {
    "yolov8": {"rows": "output0", "transposed": True, "box": "cxcywh"},
    "yolov5": {"rows": "output", "box": "cxcywh", "score": "objectness*class"},
    "ultraface": {"boxes": "boxes", "scores": "by_class", "unit": "fractions"},
    "columns": {"boxes": "boxes", "scores": "by_class", "box": "cxcywh", "transposed": True},
    "apart": {"boxes": "boxes", "scores": "scores", "labels": "labels", "unit": "fractions"},
    "nms": {"rows": "detections", "score": "score,class"},
}


def describe(folder: Path, form: str = "yolov8", **changes: Any) -> Path:
    """A network with its description; `changes` replace or add fields."""
    layout = changes.get("input", {}).get("layout", "NCHW")
    make_network(folder / "net.onnx", form, layout=layout)
    description = {
        "file": "net.onnx",
        "input": {"size": SIZE},
        "output": FORMS[form],
        "classes": {"0": "face", "1": "hand"},
        **({"nms": "inside"} if form == "nms" else {}),
        **changes,
    }
    path = folder / "net.json"
    path.write_text(json.dumps(description))
    return path


def squares(width: int, height: int, side: int) -> tuple[Picture, Box, Box]:
    """A grey picture with a red and a green square, and where they are."""
    picture = np.full((height, width, 3), 60, np.uint8)
    boxes = []
    for colour, (left, top) in (((255, 0, 0), (2, 1)), ((0, 255, 0), (4, 3))):
        x, y = left * side, top * side
        picture[y : y + side, x : x + side] = colour
        boxes.append(Box(x / width, y / height, (x + side) / width, (y + side) / height))
    return picture, boxes[0], boxes[1]


def found(path: Path, picture: Picture) -> list[Detection]:
    return open_described(path).detect(Frame(picture, 0, 0.0))
