"""AffectNet's loader: whole pictures with CSV tables, and the cropped 8-class release."""

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from sfedge.core.boxes import FULL, Box, with_margin
from sfedge.core.errors import DataError
from sfedge.core.tasks import TASKS
from sfedge_training.data import affectnet

_HEADER = (
    "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,"
    "expression,valence,arousal"
)
_MARGIN = TASKS["expression"].margin


def _line(
    key: str = "1/a.jpg", label: object = 1, face: tuple[object, ...] = (20, 10, 40, 50)
) -> str:
    x, y, width, height = face
    return f"{key},{x},{y},{width},{height},1.5;2.5;3;4,{label},0.1,-0.2"


def _whole(
    root: Path,
    lines: list[str],
    *,
    name: str = "validation.csv",
    header: str | None = _HEADER,
    tables: str = "Manually_Annotated_file_lists",
    pictures: str = "Manually_Annotated/Manually_Annotated_Images",
) -> Path:
    (root / tables).mkdir(parents=True, exist_ok=True)
    rows = lines if header is None else [header, *lines]
    (root / tables / name).write_text("\n".join(rows) + "\n", encoding="utf-8-sig")
    for line in lines:
        path = root / pictures / line.split(",")[0]
        if path.suffix == ".jpg":
            path.parent.mkdir(parents=True, exist_ok=True)
            PIL.Image.fromarray(np.zeros((100, 200, 3), np.uint8)).save(path)
    return root


def test_a_row_becomes_its_face_with_the_tasks_margin(tmp_path: Path) -> None:
    (sample,) = affectnet.load(_whole(tmp_path, [_line(label=7)]), "test").samples
    face = Box(0.1, 0.1, 0.3, 0.6)
    assert sample.view == with_margin(face, _MARGIN)
    assert TASKS["expression"].labels[sample.label or 0] == "contempt"
    assert (sample.task, sample.boxes, sample.size) == ("expression", (), (200, 100))
    assert sample.image.name == "a.jpg"


def test_the_margin_can_be_named(tmp_path: Path) -> None:
    _whole(tmp_path, [_line()])
    (exact,) = affectnet.load(tmp_path, "test", margin=0.0).samples
    assert exact.view == Box(0.1, 0.1, 0.3, 0.6)


@pytest.mark.parametrize(
    ("tables", "pictures"),
    [
        ("Manually_Annotated_file_lists", "Manually_Annotated/Manually_Annotated_Images"),
        (".", "Manually_Annotated_Images"),
        ("Manually_Annotated_file_lists", "Manually_Annotated"),
        ("a/b", "Manually_Annotated_Images/Manually_Annotated_Images"),
    ],
)
def test_archives_may_be_unpacked_in_several_ways(
    tmp_path: Path, tables: str, pictures: str
) -> None:
    _whole(tmp_path, [_line()], tables=tables, pictures=pictures)
    assert len(affectnet.load(tmp_path, "test").samples) == 1


def test_a_table_without_header_is_read_by_position_and_said_so(tmp_path: Path) -> None:
    dataset = affectnet.load(_whole(tmp_path, [_line()], header=None), "test")
    assert [sample.label for sample in dataset.samples] == [1]
    assert dataset.report.repaired == {"table has no header, columns taken by position": 1}


def test_columns_may_stand_in_another_order(tmp_path: Path) -> None:
    header = (
        "expression,subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks"
    )
    _whole(tmp_path, [_line()])
    table = tmp_path / "Manually_Annotated_file_lists" / "validation.csv"
    table.write_text(f"{header}\n3,1/a.jpg,20,10,40,50,1;2\n")
    assert [sample.label for sample in affectnet.load(tmp_path, "test").samples] == [3]


def test_rows_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    lines = [
        _line(),
        _line("1/b.jpg", label=8),
        _line("1/c.jpg", label=10),
        _line("1/d.jpg", face=(20, 10, -1, -1)),
        _line("1/e.jpg", face=("NULL", "NULL", "NULL", "NULL")),
        "1/f.jpg,3,4",
        _line("1/g.jpg", label="happy"),
        _line("1/h.jpg", face=(500, 500, 20, 20)),
        _line("1/i.jpg"),
    ]
    _whole(tmp_path, lines)
    folder = tmp_path / "Manually_Annotated" / "Manually_Annotated_Images" / "1"
    (folder / "i.jpg").unlink()
    dataset = affectnet.load(tmp_path, "test")
    assert [sample.key for sample in dataset.samples] == ["1/a.jpg"]
    assert dataset.report.dropped == {
        "expression is none of the eight": 2,
        "face box is unknown": 2,
        "row is malformed": 2,
        "face box lies outside the picture": 1,
        "picture is missing": 1,
    }
    assert dataset.report.lost == {"picture is missing": 1}
    assert dataset.report.listed["rows", ""] == 8  # the malformed line is none
    assert dataset.report.examples["row is malformed"].endswith("validation.csv:7")


def test_a_face_that_leaves_the_picture_is_cut_and_counted(tmp_path: Path) -> None:
    _whole(tmp_path, [_line(face=(-10, 60, 60, 80))])
    dataset = affectnet.load(tmp_path, "test", margin=0.0)
    assert dataset.samples[0].view == Box(0.0, 0.6, 0.25, 1.0)
    assert dataset.report.repaired == {"face box left the picture": 1}


def test_a_broken_picture_is_lost_and_reported(tmp_path: Path) -> None:
    _whole(tmp_path, [_line()])
    (path,) = tmp_path.rglob("*.jpg")
    path.write_bytes(b"no picture")
    report = affectnet.load(tmp_path, "test").report
    assert report.lost == report.dropped == {"picture cannot be read": 1}


@pytest.mark.parametrize("name", ["1/a.png", "1/A.JPG", "1/b.bmp", "1/c.tif"])
def test_pictures_may_have_any_format_and_case(tmp_path: Path, name: str) -> None:
    _whole(tmp_path, [_line(name)])
    path = tmp_path / "Manually_Annotated" / "Manually_Annotated_Images" / name
    path.parent.mkdir(parents=True)
    PIL.Image.fromarray(np.zeros((100, 200, 3), np.uint8)).save(path)
    (sample,) = affectnet.load(tmp_path, "test").samples
    assert sample.size == (200, 100)


def test_a_stray_quotation_mark_spoils_its_own_row_alone(tmp_path: Path) -> None:
    _whole(tmp_path, ['"1/x,2,3', _line(), _line("1/b.jpg").replace("0.1", '"0.1')])
    dataset = affectnet.load(tmp_path, "test")
    assert [sample.key for sample in dataset.samples] == ["1/a.jpg", "1/b.jpg"]
    assert dataset.report.dropped == {"row is malformed": 1}


def test_bytes_that_are_no_text_spoil_their_own_row_alone(tmp_path: Path) -> None:
    _whole(tmp_path, [_line()])
    table = tmp_path / "Manually_Annotated_file_lists" / "validation.csv"
    table.write_bytes(table.read_bytes() + _line("1/\xe9.jpg").encode("latin-1") + b"\n")
    dataset = affectnet.load(tmp_path, "test")
    assert [sample.key for sample in dataset.samples] == ["1/a.jpg"]
    assert dataset.report.lost == {"picture is missing": 1}


def test_a_missing_column_is_an_error_that_names_table_and_column(tmp_path: Path) -> None:
    _whole(tmp_path, [_line()], header=_HEADER.replace("face_width", "w"))
    with pytest.raises(DataError, match=r"validation\.csv:1: columns face_width are missing"):
        affectnet.load(tmp_path, "test")


def test_a_missing_release_is_an_error_that_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"validation\.csv is missing"):
        affectnet.load(tmp_path, "test")


def test_validation_is_held_out_of_training_and_test_is_the_official_validation(
    tmp_path: Path,
) -> None:
    keys = [f"{n % 7}/{n}.jpg" for n in range(400)]
    _whole(tmp_path, [_line(key) for key in keys], name="training.csv")
    _whole(tmp_path, [_line("9/x.jpg")])
    train, val, test = (
        {s.key for s in affectnet.load(tmp_path, split).samples}
        for split in ("train", "val", "test")
    )
    assert not train & val
    assert train | val == set(keys)
    assert 1 <= len(val) <= 24  # about 2 in 100
    assert test == {"9/x.jpg"}


def _cropped(root: Path, marks: dict[str, np.ndarray], part: str = "val_set") -> Path:
    for folder in ("images", "annotations"):
        (root / part / folder).mkdir(parents=True, exist_ok=True)
    for key, value in marks.items():
        np.save(root / part / "annotations" / f"{key}_exp.npy", value)
        np.save(root / part / "annotations" / f"{key}_val.npy", np.array("0.1"))
        (root / part / "images" / f"{key}.jpg").write_bytes(b"")
    return root


def test_pictures_without_annotation_are_lost_and_reported(tmp_path: Path) -> None:
    _cropped(tmp_path, {"1": np.array("3")})
    (tmp_path / "val_set" / "images" / "2.jpg").write_bytes(b"")
    report = affectnet.load(tmp_path, "test").report
    assert report.lost == {"picture has no annotation": 1}
    assert report.examples["picture has no annotation"].endswith("2.jpg")


def test_one_number_in_both_parts_is_two_pictures(tmp_path: Path) -> None:
    """Both parts of the 8-class release count their pictures from 0."""
    keys = {str(n): np.array("0") for n in range(5)}
    for part in ("train_set", "val_set"):
        _cropped(tmp_path, keys, part)
    groups = [
        s.group for split in ("train", "test") for s in affectnet.load(tmp_path, split).samples
    ]
    assert len(set(groups)) == len(groups) > 5


def test_the_cropped_release_stores_its_labels_as_text(tmp_path: Path) -> None:
    marks: dict[str, np.ndarray] = {"10": np.array("6"), "9": np.array(["2"]), "123": np.array(0)}
    dataset = affectnet.load(_cropped(tmp_path, marks), "test")
    assert [(s.key, s.label) for s in dataset.samples] == [("9", 2), ("10", 6), ("123", 0)]
    assert {s.view for s in dataset.samples} == {FULL}


def test_unreadable_foreign_and_missing_crops_are_counted(tmp_path: Path) -> None:
    marks: dict[str, np.ndarray] = {"1": np.array("x"), "2": np.array("8"), "3": np.array("1")}
    _cropped(tmp_path, {**marks, "4": np.array("1"), "5": np.array(["1", "2"])})
    (tmp_path / "val_set" / "images" / "4.jpg").unlink()
    (tmp_path / "val_set" / "annotations" / "6_exp.npy").write_bytes(b"junk")
    np.save(tmp_path / "val_set" / "annotations" / "7_exp.npy", np.array([{}]), allow_pickle=True)
    dataset = affectnet.load(tmp_path, "test")
    assert [sample.key for sample in dataset.samples] == ["3"]
    assert dataset.report.dropped == {
        "annotation cannot be read": 4,
        "expression is none of the eight": 1,
        "picture is missing": 1,
    }
