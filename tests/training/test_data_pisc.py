"""PISC's loader: the JSON release and the lists that GRM's code reads."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from sfedge.core.errors import DataError
from sfedge.core.tasks import TASKS
from sfedge_training.data import pisc

_INFO = [
    {"id": 8, "imgH": 100, "imgW": 200, "bbox": [[0, 0, 50, 100], [60.5, 10, 120, 90]], "x": 1},
    {
        "id": 13357,
        "imgH": 50,
        "imgW": 100,
        "bbox": [[-4, 5, 40, 70], [90, 40, 50, 10], [1, 1, 1, 9]],
    },
]


def _picture(path: Path, width: int, height: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(path)


def _release(root: Path, **changes: Any) -> Path:
    files: dict[str, Any] = {
        "annotation_image_info": _INFO,
        "domain": {"8": {"1 2": 2}},
        "relationship": {"13357": {"1 2": 4}, "8": {"2 1": 6}},
        "domain_split/trainidx": ["8"],
        "domain_split/validx": [],
        "domain_split/testidx": [],
        "relationship_split/relation_trainidx": ["13357", "8"],
        "relationship_split/relation_validx": [],
        "relationship_split/relation_testidx": [],
    } | {name.replace("__", "/"): value for name, value in changes.items()}
    for name, value in files.items():
        path = root / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))
    _picture(root / "image" / "00008.jpg", 200, 100)
    _picture(root / "image" / "13357.jpg", 100, 50)
    return root


def test_pairs_and_labels_are_counted_from_one(tmp_path: Path) -> None:
    samples = pisc.load(_release(tmp_path), "train").samples
    domain, professional, stranger = samples
    assert TASKS["domain"].labels[domain.label or 0] == "not_intimate"
    assert domain.image.name == "00008.jpg"
    assert [box.x1 for box in domain.boxes] == [0.0, 60.5 / 200]
    assert (domain.boxes[1].y1, domain.boxes[1].y2) == (0.1, 0.9)
    assert professional.label == 3
    assert TASKS["relation"].labels[3] == "professional"
    assert TASKS["relation"].labels[stranger.label or 0] == "no_relation"
    assert [box.x1 for box in stranger.boxes] == [60.5 / 200, 0.0]  # "2 1": the order is kept
    assert (stranger.key, stranger.group, stranger.size) == ("8 2 1", "8", (200, 100))


def test_boxes_are_clamped_and_turned_and_both_are_counted(tmp_path: Path) -> None:
    dataset = pisc.load(_release(tmp_path), "train")
    (sample,) = (s for s in dataset.samples if s.group == "13357")
    first, second = sample.boxes
    assert (first.x1, first.y1, first.x2, first.y2) == (0.0, 0.1, 0.4, 1.0)
    assert (second.x1, second.y1, second.x2, second.y2) == (0.5, 0.2, 0.9, 0.8)
    assert dataset.report.repaired == {"box left the picture": 1, "box was inverted": 1}


def test_pairs_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    pairs = {
        "1 2": 1,
        "1 3": 1,
        "1 4": 1,
        "0 1": 1,
        "1 1": 1,
        "1": 1,
        "2 1": 7,
        "a b": 2,
        "1  2": 0,
    }
    _release(
        tmp_path,
        relationship={"13357": pairs, "9": {"1 2": 1}},
        relationship_split__relation_trainidx=["13357", "9", "77"],
    )
    dataset = pisc.load(tmp_path, "train")
    assert [s.key for s in dataset.samples if s.task == "relation"] == ["13357 1 2"]
    assert dataset.report.dropped == {
        "pair or label is out of range": 7,
        "box is empty or outside the picture": 1,
        "picture is listed but not annotated": 2,
    }


def test_repetitions_in_lists_and_annotations_are_taken_once_and_counted(tmp_path: Path) -> None:
    _release(
        tmp_path,
        annotation_image_info=[*_INFO, _INFO[0], {"id": 9}],
        domain_split__trainidx=["8", "8", 8],
    )
    dataset = pisc.load(tmp_path, "train")
    assert [s.key for s in dataset.samples if s.task == "domain"] == ["8 1 2"]
    repaired = dataset.report.repaired
    assert repaired["picture is annotated twice, last taken"] == 1
    assert repaired["picture is listed twice, taken once"] == 1
    assert dataset.report.lost == {"picture's annotation is malformed": 1}


def test_what_the_lists_hold_is_counted_before_anything_is_left_out(tmp_path: Path) -> None:
    _release(tmp_path, relationship={"13357": {"1 2": 4, "1 3": 4, "1 9": 4}})
    report = pisc.load(tmp_path, "train").report
    assert report.listed["relation", "professional"] == report.listed["relation", ""] == 2
    assert report.kept["relation", "professional"] == 1


def test_a_missing_picture_is_counted(tmp_path: Path) -> None:
    _release(tmp_path)
    (tmp_path / "image" / "13357.jpg").unlink()
    report = pisc.load(tmp_path, "train").report
    assert report.dropped == {"picture is missing": 1}
    assert "13357.jpg" in report.examples["picture is missing"]


@pytest.mark.parametrize(
    "name", ["trainidx", "domain_trainidx", "image_train_idx", "domain_split/trainidx"]
)
def test_split_files_are_found_under_the_names_that_copies_use(tmp_path: Path, name: str) -> None:
    _release(tmp_path)
    split = tmp_path / "domain_split"
    (split / name).parent.mkdir(exist_ok=True)
    (split / "trainidx.json").rename(split / f"{name}.json")
    assert any(s.task == "domain" for s in pisc.load(tmp_path, "train").samples)


def test_each_task_has_its_own_lists_and_shared_pictures_are_counted(tmp_path: Path) -> None:
    _release(tmp_path, relationship_split__relation_testidx=["8"])
    train, test = pisc.load(tmp_path, "train"), pisc.load(tmp_path, "test")
    assert [s.task for s in test.samples] == ["relation"]
    assert train.report.repaired["kept, though a test picture of PISC's other task"] == 1


def test_an_annotation_without_four_numbers_loses_its_picture_alone(tmp_path: Path) -> None:
    broken = [{"id": 8, "imgH": 100, "imgW": 200, "bbox": [[1, 2, 3]]}, _INFO[1]]
    dataset = pisc.load(_release(tmp_path, annotation_image_info=broken), "train")
    assert {s.group for s in dataset.samples} == {"13357"}
    assert dataset.report.dropped["picture's annotation is malformed"] == 1


def test_a_missing_table_or_list_is_an_error_that_names_it(tmp_path: Path) -> None:
    _release(tmp_path)
    (tmp_path / "relationship.json").unlink()
    with pytest.raises(DataError, match=r"labels of task relation.*relationship\.json"):
        pisc.load(tmp_path, "train")
    with pytest.raises(DataError, match="domain"):
        pisc.load(tmp_path / "nowhere", "test")


def _lists(root: Path) -> Path:
    lines = {
        "fine": "00008.jpg 0 0 50 100 60 10 120 90 3\n"
        "13357.jpg -4 5 40 70 50 10 90 40 5\n"
        "\n"
        "00008.jpg 0 0 50 100 60 10 120 90\n"
        "00008.jpg 0 0 50 100 60 10 120 90 6\n"
        "00008.jpg 0 0 50 100 60 10 120 nan 1\n"
        "99999.jpg 0 0 50 100 60 10 120 90 3\n",
        "coarse": "00008.jpg 0 0 50 100 60 10 120 90 0\n",
    }
    for level, text in lines.items():
        path = root / "list" / f"PISC_{level}_level_train.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8-sig")
    _picture(root / "image" / "00008.jpg", 200, 100)
    _picture(root / "image" / "13357.jpg", 100, 50)
    return root


def test_lists_count_labels_from_zero(tmp_path: Path) -> None:
    dataset = pisc.load(_lists(tmp_path), "train")
    assert [(s.task, s.label) for s in dataset.samples] == [
        ("domain", 0),
        ("relation", 3),
        ("relation", 5),
    ]
    assert dataset.samples[1].boxes[1].x2 == 0.6
    assert dataset.report.dropped == {
        "line is malformed": 3,
        "picture is missing": 1,
    }
    assert dataset.report.lost == {"picture is missing": 1}
    assert dataset.report.repaired == {"box left the picture": 1}


def test_lists_and_json_give_the_same_boxes(tmp_path: Path) -> None:
    listed = pisc.load(_lists(tmp_path / "lists"), "train").samples[0]
    info = [{"id": 8, "imgH": 100, "imgW": 200, "bbox": [[0, 0, 50, 100], [60, 10, 120, 90]]}]
    root = _release(tmp_path / "json", annotation_image_info=info)
    printed = pisc.load(root, "train").samples[0]
    assert printed.boxes == listed.boxes
    assert printed.size == listed.size
