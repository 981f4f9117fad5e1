"""HaGRID's loader on small releases with each defect of the real one."""

import json
from pathlib import Path
from typing import Any

import pytest

from sfedge.core.boxes import FULL
from sfedge.core.errors import DataError
from sfedge.core.tasks import TASKS
from sfedge_training.data import hagrid

_BOX = [0.0694, 0.2875, 0.2, 0.287]


def _row(labels: Any, united: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "bboxes": [_BOX for _ in labels or []],
        "labels": labels,
        "united_bbox": None if united is None else [label and _BOX for label in united],
        "united_label": united,
        "user_id": "u1",
        "hand_landmarks": [],
        "meta": {"age": [30.0], "gender": ["female"], "race": ["white"]},
    } | more


def _release(
    root: Path, tables: dict[str, dict[str, Any]], *, split: str = "train", absent: str = ""
) -> Path:
    for name, rows in tables.items():
        path = root / "annotations" / split / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(rows))
        folder = root / "images" / name
        folder.mkdir(parents=True, exist_ok=True)
        for key in rows:
            if key != absent:
                (folder / f"{key}.jpg").write_bytes(b"")
    return root


def _only_label(root: Path) -> str:
    (sample,) = hagrid.load(root, "train").samples
    assert sample.label is not None
    return TASKS["gesture"].labels[sample.label]


def test_a_row_becomes_the_whole_picture_with_its_label_and_person(tmp_path: Path) -> None:
    _release(tmp_path, {"ok": {"a-b": _row(["ok"])}})
    (sample,) = hagrid.load(tmp_path, "train").samples
    assert sample.image == tmp_path / "images" / "ok" / "a-b.jpg"
    assert (sample.task, sample.view, sample.boxes) == ("gesture", FULL, ())
    assert (sample.group, sample.key) == ("u1", "a-b")
    assert sample.label == TASKS["gesture"].labels.index("ok")


def test_an_idle_hand_that_stands_first_is_not_the_label(tmp_path: Path) -> None:
    assert _only_label(_release(tmp_path, {"like": {"a": _row(["no_gesture", "like"])}})) == "like"


def test_the_label_wins_over_the_folder(tmp_path: Path) -> None:
    assert _only_label(_release(tmp_path, {"peace": {"a": _row(["peace_inverted"])}})) == (
        "peace_inverted"
    )


@pytest.mark.parametrize(
    ("labels", "united"),
    [
        (["holy", "holy"], None),  # the whole value is null
        (["holy", "holy"], [None, None]),  # each element is null
        (["no_gesture", "no_gesture"], ["holy"]),  # shorter than the hands
        (["no_gesture", "holy"], ["no_gesture", None]),  # a null element stands for its hand
        ([], ["holy"]),  # no hand of its own
        (["no_gesture", "holy"], ["no_gesture"]),  # an idle united box does not hide a hand
        (["no_gesture", None, "holy"], []),  # empty, and a null among the hands
    ],
)
def test_a_united_label_may_be_null_hold_nulls_or_be_short(
    tmp_path: Path, labels: list[str], united: list[str | None] | None
) -> None:
    assert _only_label(_release(tmp_path, {"holy": {"a": _row(labels, united)}})) == "holy"


def test_a_missing_united_label_is_as_good_as_null(tmp_path: Path) -> None:
    row = _row(["timeout", "timeout"])
    del row["united_label"], row["united_bbox"]
    assert _only_label(_release(tmp_path, {"timeout": {"a": row}})) == "timeout"


def test_rows_that_cannot_be_used_are_counted_with_an_example(tmp_path: Path) -> None:
    tables: dict[str, dict[str, Any]] = {
        "fist": {
            "idle": _row(["no_gesture"]),
            "empty": _row([]),
            "foreign": _row(["wave"]),
            "list": [],
            "text": _row("fist"),
            "gone": _row(["fist"]),
            "kept": _row(["fist"]),
        },
        "no_gesture": {"none": _row(["no_gesture"]), "odd": _row(["fist"])},
    }
    dataset = hagrid.load(_release(tmp_path, tables, absent="gone"), "train")
    assert [sample.key for sample in dataset.samples] == ["kept"]
    assert dataset.report.dropped == {
        "only idle hands": 3,
        "row is malformed": 3,
        "label is none of the 33 gestures": 1,
        "picture is missing": 1,
    }
    assert dataset.report.lost == {"picture is missing": 1}
    assert dataset.report.listed == {("pictures", ""): 9}
    assert "gone.jpg" in dataset.report.examples["picture is missing"]
    assert dataset.report.kept == {("gesture", "fist"): 1}


def test_boxes_outside_the_picture_or_turned_do_no_harm(tmp_path: Path) -> None:
    """Whole pictures are shown: boxes are not looked at."""
    row = _row(["ok"], bboxes=[[-0.2, -0.1, 1.5, -0.3]], hand_landmarks=[[]], meta=None)
    (sample,) = hagrid.load(_release(tmp_path, {"ok": {"a": row}}), "train").samples
    assert sample.view == FULL


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    _release(tmp_path, {"ok": {"a": _row(["ok"])}})
    table = tmp_path / "annotations" / "train" / "ok.json"
    table.write_text(table.read_text(), encoding="utf-8-sig")
    assert len(hagrid.load(tmp_path, "train").samples) == 1


def test_only_the_table_of_a_split_tells_what_belongs_to_it(tmp_path: Path) -> None:
    for split, key in (("train", "a"), ("val", "b"), ("test", "c")):
        _release(tmp_path, {"one": {key: _row(["one"])}}, split=split)
    for split, key in (("train", "a"), ("val", "b"), ("test", "c")):
        dataset = hagrid.load(tmp_path, split)  # type: ignore[arg-type]
        assert [sample.key for sample in dataset.samples] == [key]


def test_a_missing_split_is_an_error_that_names_the_folder(tmp_path: Path) -> None:
    _release(tmp_path, {"one": {"a": _row(["one"])}})
    with pytest.raises(DataError, match=r"test annotations is missing.*annotations/test"):
        hagrid.load(tmp_path, "test")


def test_a_broken_table_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    _release(tmp_path, {"one": {"a": _row(["one"])}})
    (tmp_path / "annotations" / "train" / "rock.json").write_text('{"a": ')
    with pytest.raises(DataError, match=r"rock\.json"):
        hagrid.load(tmp_path, "train")
