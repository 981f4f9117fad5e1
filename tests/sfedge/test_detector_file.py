"""The JSON file that describes an ONNX detector: its errors, its examples, its network's file."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cell_detectors import FORMS, describe, found

from sfedge.core.errors import DetectorError
from sfedge.detect.described_detector import open_described
from sfedge.detect.detector_file import FIELDS, read_description


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
def test_a_wrong_description_is_reported_in_one_line(
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


def test_the_right_sha256_is_accepted(tmp_path: Path) -> None:
    path = describe(tmp_path)
    digest = hashlib.sha256((tmp_path / "net.onnx").read_bytes()).hexdigest()
    path.write_text(json.dumps({**json.loads(path.read_text()), "sha256": digest}))
    assert found(path, np.zeros((32, 32, 3), np.uint8)) == []
