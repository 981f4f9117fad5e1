"""ONNX detectors by a JSON file: YOLO-style networks, built here, that find red squares."""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from sfedge.core.boxes import Box, iou
from sfedge.core.errors import ConfigError, DetectorError, UnknownNameError
from sfedge.core.structures import Detection, Frame
from sfedge.detect import build_detector
from sfedge.detect.described_detector import open_described
from sfedge.detect.detector_file import FIELDS, read_description

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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"file": "../net.onnx"}, r"file \.\./net\.onnx leads out of the folder"),
        ({"file": "/etc/passwd"}, "leads out of the folder"),
        ({"file": "other.onnx"}, r"file other\.onnx is not there"),
        ({"file": 3}, "file is 3, not a name"),
        ({"sha256": "ab" * 32}, "has sha256 .*the description says abababababab"),
        ({"sha256": "AB"}, 'sha256 is "AB", not 64 hex digits'),
        ({"classes": {"0": "dog"}}, r'classes is \{"0": "dog"\}, not an object from class numbers'),
        ({"classes": {}}, "classes is {}"),
        ({"nms": "outside"}, 'nms is "outside", not a number up to 1, or "inside"'),
        ({"threshold": 2}, "threshold is 2, not a number from 0 to 1"),
        ({"engine": "tpu"}, 'engine is "tpu", not one of auto, cpu, openvino, cuda'),
        ({"colour": 1}, "unknown field 'colour'"),
        ({"nmss": 1}, r"json: unknown field 'nmss'\. Did you mean 'nms'\? docs/"),
        ({"scale": 1}, "unknown field 'scale'. Did you mean 'input.scale'"),
        ({"input": {"size": 160, "layuot": 1}}, r"'input\.layuot'\. Did you mean 'input\.layout'"),
        ({"input": {}}, "input.size is missing"),
        ({"input": 5}, "input is 5, not an object"),
        ({"input": {"size": [1, 2]}}, r"input.size is \[1, 2\], not a number of pixels"),
        ({"input": {"size": 160, "scale": 0}}, "input.scale is 0, not a number above 0"),
        ({"input": {"size": 160, "layout": "CHW"}}, 'input.layout is "CHW", not one of NCHW'),
        ({"input": {"size": 128}}, r"its input is \(1, 3, 160, 160\), the description says"),
        ({"output": {"rows": "boxes"}}, "no output 'boxes', but output0"),
        ({"output": {"boxes": "output0"}}, "output.scores is missing"),
        ({"output": {"rows": "output0", "scores": "x"}}, "output.scores is not needed"),
        ({"output": {"rows": "output0", "score": "best"}}, "output.score is"),
        ({"output": {**FORMS["yolov8"], "columns": 0}}, "output.columns is 0, not a whole number"),
        ({"output": {**FORMS["yolov8"], "score_columns": 4}}, r"is 4, not \[first, count\]"),
        (
            {"output": {**FORMS["yolov8"], "score_columns": [3, 2]}},
            "3, within the box or objectness, columns 0 to 3",
        ),
        ({"output": {**FORMS["yolov8"], "score_columns": [4, 1]}}, "number 1, but .* 1 score col"),
        ({"output": {**FORMS["yolov8"], "columns": 5}}, "number 1, but .* 1 score column"),
        ({"output": {**FORMS["nms"], "score_columns": [4, 1]}}, "has 1 columns, not 2"),
        (
            {"output": {**FORMS["yolov8"], "columns": 6, "score_columns": [5, 2]}},
            "output.columns is 6, but output.score_columns reach to 7",
        ),
        ({"output": {**FORMS["yolov8"], "transposed": False}}, r"the description says \(1, N, 6\)"),
        (
            {"classes": {"0": "face"}},
            r"is \(1, 6, 100\), the description says \(1, 5, N\).*columns",
        ),
    ],
)
def test_a_wrong_description_is_told_in_one_line(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    path = describe(folder)
    (tmp_path / "net.onnx").write_bytes((folder / "net.onnx").read_bytes())
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(DetectorError, match=message) as caught:
        open_described(path)
    assert "\n" not in str(caught.value)


def test_all_problems_come_in_one_message(tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    path.write_text('{"input": {"fit": "crop"}, "threshold": "high"}')
    with pytest.raises(DetectorError) as caught:
        open_described(path)
    for part in ("file is missing", "classes is missing", "input.size", "input.fit", "threshold"):
        assert part in str(caught.value)


def test_the_examples_of_the_documents_are_right_descriptions(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "detectors.md").read_text(encoding="utf-8")
    section = page.split("## An ONNX detector of your own")[1].split("\n## ")[0]
    plain, *outputs = [part.split("```")[0] for part in section.split("```json")[1:]]
    (tmp_path / "yolov8n-face.onnx").touch()
    path = tmp_path / "face.json"
    path.write_text(plain)
    described = read_description(path)
    assert (described.classes, described.size, described.box) == ({0: "face"}, (640, 640), "cxcywh")
    assert (described.columns, described.score_columns) == (5, (4, 1))
    read = []
    for output in outputs:
        path.write_text(json.dumps({**json.loads(plain), **json.loads(f"{{{output}}}")}))
        described = read_description(path)
        read.append((described.columns, described.objectness, described.score_columns))
    assert read == [(20, None, (4, 1)), (16, 4, (15, 1))]


def test_the_documents_list_all_fields() -> None:
    page = (Path(__file__).parents[2] / "docs" / "detectors.md").read_text(encoding="utf-8")
    section = page.split("## An ONNX detector of your own")[1].split("\n## ")[0]
    for part, fields in FIELDS.items():
        for name in fields.keys() - {"input", "output", "scores", "labels"}:
            assert f"`{f'{part}.' if part else ''}{name}`" in section


@pytest.mark.parametrize("text", ["", "[]", "{", "\udc80"])
def test_a_file_that_is_no_description_is_an_error(text: str, tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DetectorError, match=r"net\.json"):
        open_described(path)
    with pytest.raises(DetectorError, match="cannot be read"):
        open_described(tmp_path / "absent.json")


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    path = describe(folder)
    (folder / "net.onnx").rename(tmp_path / "net.onnx")
    (folder / "net.onnx").symlink_to(tmp_path / "net.onnx")
    with pytest.raises(DetectorError, match="leads out of the folder"):
        open_described(path)


def test_an_engine_that_cannot_run_here_is_never_replaced_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = describe(tmp_path, engine="openvino")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(DetectorError, match="OpenVINO"):
        open_described(path)


def test_the_right_sha256_is_accepted(tmp_path: Path) -> None:
    path = describe(tmp_path)
    digest = hashlib.sha256((tmp_path / "net.onnx").read_bytes()).hexdigest()
    path.write_text(json.dumps({**json.loads(path.read_text()), "sha256": digest}))
    assert found(path, np.zeros((32, 32, 3), np.uint8)) == []


def test_a_detector_that_is_not_known_is_told_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'mediapipe-onnx'"):
        build_detector("mediapipe-onx", width=1, height=1)


def test_a_bare_network_is_told_to_need_a_description() -> None:
    with pytest.raises(ConfigError, match=r"face\.onnx is a network .*JSON file.*detectors\.md"):
        build_detector("face.onnx", width=1, height=1)


def test_detections_and_another_detector_contradict_each_other(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--detector names mediapipe"):
        build_detector("mediapipe", detections=tmp_path, width=1, height=1)
    with pytest.raises(ConfigError, match="--detections"):
        build_detector("precomputed", width=1, height=1)
