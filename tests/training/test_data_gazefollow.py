"""GazeFollow's loader: the extended text tables and Gaze-LLE's preprocessed JSON."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from sfedge.core.boxes import FULL, Box
from sfedge.core.errors import DataError
from sfedge_training.data import gazefollow
from sfedge_training.data.reading import is_held_out

_WIDTH, _HEIGHT = 200, 100
# A training picture that is not held out for validation, whatever the share.
_PATH = next(
    path
    for path in (f"train/00000000/{n:08d}.jpg" for n in range(99))
    if not is_held_out(path, 0.5)
)


def _line(
    path: str = _PATH,
    *,
    eye: str = "0.25",
    gaze: tuple[float, float] = (0.5, 0.75),
    head: tuple[float, float, float, float] = (20, 10, 60, 50),
    inout: int | None = 1,
) -> str:
    middle = [] if inout is None else [inout]
    body = [0.1, 0.1, 0.3, 0.8]
    values = [path, 0, *body, eye, 0.3, *gaze, *head, *middle, "coco", "x/y.jpg"]
    return ",".join(str(value) for value in values)


def _release(root: Path, part: str, lines: list[str], *, bom: bool = False) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    text = "\n".join(lines) + "\n"
    encoding = "utf-8-sig" if bom else "utf-8"
    (root / f"{part}_annotations_release.txt").write_text(text, encoding=encoding)
    for line in lines:
        _picture(root / line.split(",")[0])
    return root


def _picture(path: Path) -> None:
    if path.suffix == ".jpg" and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(np.zeros((_HEIGHT, _WIDTH, 3), np.uint8)).save(path)


@pytest.mark.parametrize("bom", [False, True])
def test_a_training_row_is_read_by_position(tmp_path: Path, bom: bool) -> None:
    dataset = gazefollow.load(_release(tmp_path, "train", [_line()], bom=bom), "train")
    (sample,) = dataset.samples
    assert (sample.task, sample.view, sample.label) == ("gaze", FULL, None)
    assert sample.boxes == (Box(0.1, 0.1, 0.3, 0.5),)  # pixels of a picture of 200 x 100
    assert sample.points == ((0.5, 0.75),)
    assert sample.size == (_WIDTH, _HEIGHT)
    assert sample.group == _PATH
    assert not dataset.report.dropped


def test_invalid_and_outside_targets_are_dropped_and_counted_separately(tmp_path: Path) -> None:
    lines = [
        _line(),
        _line(inout=-1),
        _line(inout=0),
        _line(inout=0),
        _line(gaze=(-1, -1)),
    ]
    dataset = gazefollow.load(_release(tmp_path, "train", lines), "train")
    assert len(dataset.samples) == 1
    assert dataset.report.dropped == {
        "marked invalid (in/out or gaze is -1)": 2,
        "target lies outside the frame": 2,
    }


def test_head_boxes_are_turned_clamped_and_widened_and_each_is_counted(tmp_path: Path) -> None:
    lines = [
        _line(head=(60, 50, 20, 10)),
        _line(head=(-8, -2, 60, 130)),
        _line(head=(40, 20, 40, 20)),
        _line(head=(220, 10, 260, 40)),
    ]
    dataset = gazefollow.load(_release(tmp_path, "train", lines), "train")
    turned, clamped, widened = (sample.boxes[0] for sample in dataset.samples)
    assert turned == Box(0.1, 0.1, 0.3, 0.5)
    assert clamped == Box(0.0, 0.0, 0.3, 1.0)
    assert (widened.x1, widened.x2) == pytest.approx((39 / 200, 41 / 200))
    assert dataset.report.repaired == {
        "head box was inverted": 1,
        "head box left the picture": 2,
        "head box was empty, grown by a pixel": 1,
    }
    assert dataset.report.dropped == {"head box lies outside the picture": 1}


def test_a_slightly_negative_target_is_clamped(tmp_path: Path) -> None:
    dataset = gazefollow.load(_release(tmp_path, "train", [_line(gaze=(-0.02, 1.01))]), "train")
    assert dataset.samples[0].points == ((0.0, 1.0),)
    assert dataset.report.repaired == {"gaze point left the picture": 1}


def test_malformed_rows_are_counted_with_their_line(tmp_path: Path) -> None:
    lines = [_line(), "", _PATH, _line(gaze=(float("nan"), 0.5)), _line().replace("0.75", "x")]
    _release(tmp_path, "train", [_line()])
    (tmp_path / "train_annotations_release.txt").write_text("\n".join(lines))
    dataset = gazefollow.load(tmp_path, "train")
    assert len(dataset.samples) == 1
    assert dataset.report.dropped == {"row is malformed": 3}
    assert dataset.report.examples["row is malformed"].endswith("release.txt:3")
    assert dataset.report.listed == {("rows", ""): 1}


def test_the_archives_own_folder_may_stand_in_between(tmp_path: Path) -> None:
    _release(tmp_path / "data_new", "train", [_line()])
    (sample,) = gazefollow.load(tmp_path, "train").samples
    assert sample.image == tmp_path / "data_new" / _PATH


def test_a_stray_quotation_mark_spoils_its_own_row_alone(tmp_path: Path) -> None:
    _release(tmp_path, "train", [_line()])
    (tmp_path / "train_annotations_release.txt").write_text(f'"{_PATH}\n{_line()}\n')
    dataset = gazefollow.load(tmp_path, "train")
    assert len(dataset.samples) == 1
    assert dataset.report.dropped == {"row is malformed": 1}


def test_missing_and_broken_pictures_are_counted(tmp_path: Path) -> None:
    other, third = (f"{_PATH[:-4]}{letter}.jpg" for letter in "ab")
    _release(tmp_path, "train", [_line(), _line(other), _line(third)])
    (tmp_path / other).unlink()
    (tmp_path / third).write_bytes(b"no picture")
    kept = gazefollow.load(tmp_path, "train")
    held = gazefollow.load(tmp_path, "val")
    assert len(kept.samples) == 1
    assert kept.report.dropped + held.report.dropped == {
        "picture is missing": 1,
        "picture cannot be read": 1,
    }
    assert kept.report.lost + held.report.lost == kept.report.dropped + held.report.dropped


def test_test_rows_of_one_picture_and_eye_are_one_person(tmp_path: Path) -> None:
    """Test rows have no in/out column: all that follows stands one place further left."""
    path = "test2/00000000/00000001.jpg"
    lines = [_line(path, eye="0.25", gaze=(0.1 * n, 0.5), inout=None) for n in range(10)]
    lines += [
        _line(path, eye="0.75", gaze=(0.9, 0.2), head=(100, 10, 140, 50), inout=None),
        _line("test2/00000000/00000002.jpg", eye="0.25", inout=None),
        _line(path, eye="0.75", gaze=(0.8, 0.2), head=(101, 10, 140, 50), inout=None),
    ]
    dataset = gazefollow.load(_release(tmp_path, "test", lines), "test")
    assert [len(sample.points) for sample in dataset.samples] == [10, 2, 1]
    assert dataset.samples[0].points[3] == pytest.approx((0.3, 0.5))
    assert dataset.samples[1].boxes == (Box(0.5, 0.1, 0.7, 0.5),)
    assert len({sample.key for sample in dataset.samples}) == 3
    assert dataset.report.repaired == {"annotators differ in the head box, first taken": 1}


def test_training_rows_of_one_person_stay_apart(tmp_path: Path) -> None:
    dataset = gazefollow.load(_release(tmp_path, "train", [_line(), _line()]), "train")
    assert [len(sample.points) for sample in dataset.samples] == [1, 1]


def test_whole_training_pictures_are_held_out_for_validation(tmp_path: Path) -> None:
    paths = [f"train/00000000/{n:08d}.jpg" for n in range(300)]
    _release(tmp_path, "train", [_line(path) for path in paths for _ in range(2)])
    train, val = (
        [s.group for s in gazefollow.load(tmp_path, split).samples] for split in ("train", "val")
    )
    assert not set(train) & set(val)
    assert sorted(train + val) == sorted(paths * 2)
    assert 4 <= len(set(val)) <= 32  # about 5 in 100


def _head(**changes: Any) -> dict[str, Any]:
    return {
        "bbox": [20, 10, 60, 50],
        "bbox_norm": [0.1, 0.1, 0.3, 0.5],
        "inout": 1,
        "gazex": [100.0],
        "gazey": [75.0],
        "gazex_norm": [0.5],
        "gazey_norm": [0.75],
        "head_id": 0,
    } | changes


def _preprocessed(root: Path, part: str, path: str, heads: list[dict[str, Any]]) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    entry = {"path": path, "heads": heads, "num_heads": 1, "width": _WIDTH, "height": _HEIGHT}
    (root / f"{part}_preprocessed.json").write_text(json.dumps([entry]))
    _picture(root / path)
    return root


def test_table_and_preprocessed_json_give_the_same_sample(tmp_path: Path) -> None:
    (printed,) = gazefollow.load(
        _preprocessed(tmp_path / "a", "train", _PATH, [_head()]), "train"
    ).samples
    (read,) = gazefollow.load(_release(tmp_path / "b", "train", [_line()]), "train").samples
    assert (printed.boxes, printed.points, printed.size, printed.group) == (
        read.boxes, read.points, read.size, read.group,
    )  # fmt: skip


def test_the_wrong_y_max_of_old_preprocessed_files_does_no_harm(tmp_path: Path) -> None:
    head = _head(bbox_norm=[0.1, 0.1, 0.3, 0.3])
    (sample,) = gazefollow.load(_preprocessed(tmp_path, "train", _PATH, [head]), "train").samples
    assert sample.boxes == (Box(0.1, 0.1, 0.3, 0.5),)


def test_preprocessed_heads_outside_the_frame_are_dropped_and_annotators_kept(
    tmp_path: Path,
) -> None:
    heads = [
        _head(inout=0),
        _head(inout=-1),
        _head(gazex_norm=[0.1, 0.2, 0.3], gazey_norm=[0.4, 0.5, 0.6], num_annot=3, head_id=1),
    ]
    dataset = gazefollow.load(_preprocessed(tmp_path, "test", "test2/1.jpg", heads), "test")
    assert dataset.samples[0].points == ((0.1, 0.4), (0.2, 0.5), (0.3, 0.6))
    assert dataset.report.dropped == {
        "target lies outside the frame": 1,
        "marked invalid (in/out or gaze is -1)": 1,
    }


def test_preprocessed_boxes_have_the_same_defects_as_the_tables(tmp_path: Path) -> None:
    heads = [_head(bbox=[60, 50, 20, 10]), _head(bbox=[-8, -2, 60, 130])]
    dataset = gazefollow.load(_preprocessed(tmp_path, "train", _PATH, heads), "train")
    assert [s.boxes[0] for s in dataset.samples] == [Box(0.1, 0.1, 0.3, 0.5), Box(0, 0, 0.3, 1)]
    assert dataset.report.repaired == {"head box was inverted": 1, "head box left the picture": 1}


def test_missing_and_malformed_files_are_errors_that_name_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train_annotations_release\.txt is missing"):
        gazefollow.load(tmp_path, "train")
    _preprocessed(tmp_path, "train", _PATH, [{"bbox": [1, 2, 3, 4]}])
    with pytest.raises(DataError, match=r"train_preprocessed\.json: an entry is malformed"):
        gazefollow.load(tmp_path, "train")
