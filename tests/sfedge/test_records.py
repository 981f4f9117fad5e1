"""Records and tables as they are written, row by row."""

import csv
import errno
import json
import math
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from record_parts import (
    IMAGE,
    SEEN,
    SUMMARY,
    VALIDATOR,
    first_row,
    gaze,
    gesture,
    label,
    result,
    track,
)

from sfedge.core.answer_table import COLUMNS, Asked
from sfedge.core.boxes import Box
from sfedge.core.errors import OutputError
from sfedge.core.frame_result import FrameResult
from sfedge.core.structures import Frame, Gap, Hand
from sfedge.core.tasks import TASKS
from sfedge.results import rows
from sfedge.results.growing_file import output_error
from sfedge.results.record_writer import RecordWriter
from sfedge.results.records import read_records


@pytest.fixture
def paths(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "clip.jsonl", tmp_path / "clip.csv"


@pytest.fixture
def writer(paths: tuple[Path, Path]) -> Iterator[RecordWriter]:
    writer = RecordWriter(*paths, tasks=TASKS.values(), model="test", source="clip.mp4")
    yield writer
    writer.close()


def test_every_kind_of_row_is_written_as_the_schema_says_and_reads_back(
    writer: RecordWriter, paths: tuple[Path, Path]
) -> None:
    people = (track(1, name="José"), track(2, 0.5))
    stray = Hand(7, Box(0.8, 0.8, 0.9, 0.9), "right", 0.6, 0.0, is_wearers=True)
    answers = (
        label("relation", (1, 2), 1, SEEN),
        replace(gaze(2, 1, SEEN), in_frame=0.875),
        gesture(7, "stop", 0.9),
    )
    writer.start(first_row())
    writer.write(result(0, 0.0))
    writer.gap(Gap(0.0, None, "the camera does not answer"))
    writer.gap(Gap(0.0, SEEN, "the camera does not answer"))
    second = result(1, SEEN, people, answers, hands=(stray,), shot=1, is_cut=True, left_out=3)
    writer.write(second)
    writer.finish(SUMMARY)
    rows_read = list(read_records(paths[0]))
    kinds = ["run", "frame", "gap", "gap", "cut", "frame", *3 * ["prediction"], "summary"]
    assert [row["type"] for row in rows_read] == kinds
    for row in rows_read:
        VALIDATOR.validate(row)
        assert row["file"] == "clip.mp4"
    run, empty, begins, ends, cut, frame, pair, look, wave, summary = rows_read
    assert run["settings"]["bundle"] == "some.zip"
    assert (empty["people"], empty["hands"], empty["shot"]) == ([], [], 0)
    assert (begins["end"], ends["end"]) == (None, 0.333333)
    assert (cut["frame"], cut["shot"]) == (1, 1)
    assert frame["left_out"] == 3
    assert frame["people"][0]["name"] == "José"
    assert frame["people"][1] == {
        "id": 2,
        "is_seen": True,
        "person": [0.5, 0.05, 0.7, 0.9],
        "person_score": None,
        "face": [0.51, 0.1, 0.55, 0.2],
        "face_score": 0.75,
        "hands": [
            {
                "id": 2,
                "is_seen": True,
                "box": [0.5, 0.5, 0.55, 0.6],
                "side": "left",
                "score": 0.9,
                "is_wearers": False,
            }
        ],
        "gesture": None,
    }
    (hand,) = frame["hands"]
    assert (hand["id"], hand["side"], hand["is_seen"], hand["is_wearers"]) == (
        *(7, "right"),
        *(False, True),
    )
    assert pair["boxes"] == [[0.1, 0.05, 0.3, 0.9], [0.5, 0.05, 0.7, 0.9]]
    assert (pair["label"], pair["hands"], pair["side"]) == (TASKS["relation"].labels[0], [], None)
    assert (pair["time"], pair["shot"]) == (0.333333, 1)
    assert (look["point"], look["in_frame"]) == ([0.5, 0.25], 0.875)
    assert look["boxes"] == [[0.51, 0.1, 0.55, 0.2]]
    assert (wave["people"], wave["boxes"]) == ([], [])
    assert (wave["hands"], wave["hand_boxes"]) == ([7], [[0.8, 0.8, 0.9, 0.9]])
    assert (wave["side"], wave["label"]) == ("right", "stop")
    assert summary == {"type": "summary", "file": "clip.mp4", **SUMMARY}


def test_a_person_s_gesture_is_the_surest_that_is_one(
    writer: RecordWriter, paths: tuple[Path, Path]
) -> None:
    writer.start(first_row())
    first, second = gesture(1, "no_gesture", 0.99, (1,)), gesture(2, "fist", 0.6, (1,))
    writer.write(result(1, SEEN, (track(1),), (first, second, gesture(3, "stop", 0.5, (1,)))))
    writer.write(result(2, SEEN, (track(1),), (), (first,)))
    found_rows = [row for row in read_records(paths[0]) if row["type"] == "frame"]
    assert [row["people"][0]["gesture"] for row in found_rows] == ["fist", "no_gesture"]


def test_every_row_names_its_picture_whatever_bytes_are_in_the_name(
    paths: tuple[Path, Path],
) -> None:
    source = os.fsdecode(b"photos/caf\xe9")  # Latin-1
    writer = RecordWriter(*paths, tasks=TASKS.values(), model="test", source=source, wide=True)
    writer.start(first_row())
    for index, name in enumerate((b"a.jpg", b"\xffnew.jpg")):
        frame = Frame(IMAGE, index, float(index), file=os.fsdecode(name))
        answers = (gaze(1, index, float(index)),)
        writer.write(FrameResult(frame, (track(1),), answers, (), shot=index))
    late = (label("domain", (1, 2), 0, 0.0),)
    writer.write(FrameResult(Frame(IMAGE, 2, 2.0, file="c.jpg"), (), late, (), shot=2))
    writer.finish(SUMMARY)
    writer.close()
    found = [json.loads(line) for line in paths[0].read_text(encoding="utf-8").splitlines()]
    found_rows = [(row["type"][0], row["file"], row.get("shot")) for row in found]
    assert found_rows == [
        ("r", "clip.mp4", None),
        *(("f", "a.jpg", 0), ("p", "a.jpg", 0)),
        *(("f", "\\xffnew.jpg", 1), ("p", "\\xffnew.jpg", 1)),
        *(("f", "c.jpg", 2), ("p", "a.jpg", 0)),  # of the picture that was asked about
        ("s", "photos/caf\\xe9", None),
    ]
    with paths[1].open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert {line["source"] for line in lines} == {"photos/caf\\xe9"}
    assert [line["file"] for line in lines] == ["a.jpg", "\\xffnew.jpg", "a.jpg"]


@pytest.mark.parametrize(
    "change",
    [
        {"file": None},
        {"shot": -1},
        {"side": "both hands"},
        {"in_frame": 1.5},
        {"hands": ["left"]},
        {"age": -1.0},
        {"peak": 1.5},
        {"boxes": [[0.0, 0.0, 2.0, 1.0]]},
        {"people": []},
        {"colour": "red"},
        {"point": None},
    ],
)
def test_the_schema_refuses_a_wrong_row(change: dict[str, Any]) -> None:
    answer = gaze(1, 1, 0.0)
    asked = Asked("clip.mp4", 0, (track(1).face,))
    row = rows.prediction_row(answer, result(1, 0.0), asked, "test")
    VALIDATOR.validate(row)
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate({**row, **change})


def test_a_late_answer_has_the_boxes_of_the_frame_it_was_asked_about(
    writer: RecordWriter, paths: tuple[Path, Path]
) -> None:
    writer.start(first_row())
    writer.write(result(0, 0.0, (track(1, 0.1),)))
    writer.write(result(1, 0.1, (track(1, 0.2),)))
    writer.write(result(9, 0.9, (track(1, 0.6),), (gaze(1, 1, 0.1),)))
    row = next(row for row in read_records(paths[0]) if row["type"] == "prediction")
    assert row["boxes"] == [[0.21, 0.1, 0.25, 0.2]]
    assert (row["frame"], row["shown_frame"], row["age"]) == (1, 9, 0.8)


def test_an_answer_carries_the_names_of_its_people_where_one_is_known(
    writer: RecordWriter, paths: tuple[Path, Path]
) -> None:
    people = (track(1, name="José"), track(2, 0.5))
    writer.start(first_row())
    asked = (label("relation", (1, 2), 1, 0.1), gaze(1, 1, 0.1), gaze(2, 1, 0.1))
    writer.write(result(1, 0.1, people))
    writer.write(result(2, 0.2, (), asked))  # late, when both have left
    rows = [row for row in read_records(paths[0]) if row["type"] == "prediction"]
    for row in rows:
        VALIDATOR.validate(row)
    assert [row.get("names") for row in rows] == [["José", None], ["José"], None]


@pytest.mark.parametrize(("every_frame", "frames"), [(False, [0]), (True, [0, 1, 2])])
def test_carried_answers_are_written_where_every_frame_is_wanted(
    paths: tuple[Path, Path], every_frame: bool, frames: list[int]
) -> None:
    writer = RecordWriter(
        *paths, tasks=TASKS.values(), model="test", source="clip.mp4", every_frame=every_frame
    )
    answer, people = label("expression", (1,), 0, 0.0), (track(1),)
    writer.start(first_row())
    writer.write(result(0, 0.0, people, fresh=(answer,)))
    writer.write(result(1, 0.5, people, carried=(answer,)))
    writer.write(result(2, 1.0, people, carried=(answer,)))
    writer.close()
    rows = [row for row in read_records(paths[0]) if row["type"] == "prediction"]
    assert [row["shown_frame"] for row in rows] == frames
    assert [row["age"] for row in rows] == [0.5 * frame for frame in frames]
    assert {row["frame"] for row in rows} == {0}


def test_the_table_has_a_row_per_answer_with_what_the_records_say(
    writer: RecordWriter, paths: tuple[Path, Path]
) -> None:
    people = (track(1), track(2, 0.5))
    writer.start(first_row())
    writer.write(result(3, 1.5, people, (label("domain", (1, 2), 3, 1.5), gaze(2, 3, 1.5))))
    with paths[1].open(newline="", encoding="utf-8") as file:
        pair, look = csv.DictReader(file)
    assert tuple(pair) == COLUMNS
    assert (pair["task"], pair["person_1"], pair["person_2"]) == ("domain", "1", "2")
    assert (pair["label"], pair["gaze_x"], pair["unsure"]) == ("intimate", "", "false")
    assert (pair["source"], pair["file"], pair["shot"]) == ("clip.mp4", "clip.mp4", "0")
    assert [float(pair[f"box_2_{corner}"]) for corner in ("x1", "y1", "x2", "y2")] == [
        *(0.5, 0.05),
        *(0.7, 0.9),
    ]
    assert math.isclose(float(pair["probability"]), 1 / 3, abs_tol=1e-4)
    assert (look["person_1"], look["person_2"], look["label"]) == ("2", "", "")
    assert (look["gaze_x"], look["gaze_y"], look["peak"]) == ("0.5", "0.25", "0.25")
    assert (look["box_1_x1"], look["box_2_x1"]) == ("0.51", "")
    assert (look["unsure"], look["time"], look["frame"]) == ("true", "1.5", "3")


def test_the_wide_table_has_every_probability(paths: tuple[Path, Path]) -> None:
    tasks = [TASKS["domain"], TASKS["gesture"]]
    writer = RecordWriter(*paths, tasks=tasks, model="test", source="clip.mp4", wide=True)
    writer.start(first_row())
    writer.write(result(1, SEEN, (track(1), track(2)), (label("domain", (1, 2), 1, SEEN),)))
    hand = Hand(7, Box(0.8, 0.8, 0.9, 0.9), "right", 0.6, SEEN)
    writer.write(result(1, SEEN, (), (gesture(7, "fist", 0.7),), hands=(hand,)))
    writer.close()
    with paths[1].open(newline="", encoding="utf-8") as file:
        pair, wave = csv.DictReader(file)
    labels = [f"{task.name}.{name}" for task in tasks for name in task.labels]
    assert list(pair) == [*COLUMNS, *labels]
    assert [pair[name] for name in labels[:3]] == ["0.3333"] * 3
    assert {pair[name] for name in labels[3:]} == {""}
    assert (wave["gesture.fist"], wave["domain.intimate"]) == ("0.7", "")
    assert (wave["hands"], wave["side"], wave["person_1"]) == ("7", "right", "")
    assert (wave["box_1_x1"], wave["box_1_y2"]) == ("0.8", "0.9")


def test_what_was_written_is_on_disk_before_the_files_are_closed(
    writer: RecordWriter, paths: tuple[Path, Path]
) -> None:
    writer.start(first_row())
    writer.write(result(0, 0.0, (track(1),), (gaze(1, 0, 0.0),)))
    assert [row["type"] for row in read_records(paths[0])] == ["run", "frame", "prediction"]
    assert len(paths[1].read_text().splitlines()) == 2


def test_a_full_disk_is_an_error_that_says_so(paths: tuple[Path, Path]) -> None:
    writer = RecordWriter(
        Path("/dev/full"), paths[1], tasks=TASKS.values(), model="test", source="clip.mp4"
    )
    with pytest.raises(OutputError, match=r"/dev/full: cannot be written \(No space left"):
        writer.start(first_row())
    writer.close()


@pytest.mark.parametrize(
    ("code", "fix"),
    [
        (errno.ENOSPC, "Free some space"),
        (errno.EDQUOT, "Free some space"),
        (errno.EACCES, "may write there"),
        (errno.EROFS, "read-only"),
        (errno.ENOENT, "Keep the folder"),
        (errno.EIO, "Check the disk"),
    ],
)
def test_a_file_that_cannot_be_written_is_reported_with_the_fix_that_fits(
    code: int, fix: str
) -> None:
    error = output_error(OSError(code, os.strerror(code)), Path("out/clip.csv"))
    assert error.where == str(Path("out/clip.csv"))
    assert os.strerror(code) in error.what
    assert fix in error.fix
    assert ("space" in error.fix) == (code in (errno.ENOSPC, errno.EDQUOT))


@pytest.mark.parametrize("what", ["clip.jsonl", "clip.csv", "."])
def test_a_removed_file_is_noticed_at_the_next_row(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    paths = folder / "clip.jsonl", folder / "clip.csv"
    writer = RecordWriter(*paths, tasks=TASKS.values(), model="test", source="clip.mp4")
    writer.start(first_row())
    shutil.rmtree(folder) if what == "." else (folder / what).unlink()
    with pytest.raises(OutputError, match="removed or renamed during the run"):
        writer.write(result(0, 0.0, (track(1),), (gaze(1, 0, 0.0),)))
    writer.close()


def test_a_hand_that_only_the_body_shows_is_marked(
    writer: RecordWriter, paths: tuple[Path, Path]
) -> None:
    one = track(1)
    placed = replace(one.hands[0], id=8, from_body=True)
    writer.start(first_row())
    writer.write(result(0, 0.0, (replace(one, hands=(*one.hands, placed)),)))
    writer.finish(SUMMARY)
    rows_read = list(read_records(paths[0]))
    for row in rows_read:
        VALIDATOR.validate(row)
    hands = rows_read[1]["people"][0]["hands"]
    assert [hand.get("from_body") for hand in hands] == [None, True]
