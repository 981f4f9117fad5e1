import csv
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sfedge.core.boxes import Box
from sfedge.core.config import RunConfig
from sfedge.core.errors import DataError, OutputError
from sfedge.core.structures import Frame, FrameResult, Hand, Prediction, Track
from sfedge.core.tasks import TASKS
from sfedge.results import records
from sfedge.results.record_writer import RecordWriter
from sfedge.results.records import CutRecordsWarning, read_records
from sfedge.sources.source import SourceInfo

SEEN = 1 / 3
IMAGE = np.zeros((4, 4, 3), np.uint8)
MODEL = {
    "name": "test",
    "notice": "for tests",
    "preset": "tiny",
    "created": "2026-01-01T00:00:00Z",
    "sha256": "0" * 64,
    "device": "cpu",
}
SUMMARY = {
    "frames": 2,
    "shown": 2,
    "skipped": 0,
    "asked": 1,
    "people": 2,
    "answers": {"gaze": 1},
    "losses": ["frame 3 could not be decoded"],
    "is_complete": False,
    "ended": "end of source",
}
VALIDATOR = jsonschema.Draft202012Validator(records.record_schema())


def track(person: int, x: float = 0.1, name: str | None = None) -> Track:
    face = Box(x + 0.01, 0.1, x + 0.05, 0.2)
    hand = Hand(person, Box(x, 0.5, x + 0.05, 0.6), None, 0.9, SEEN)
    return Track(person, Box(x, 0.05, x + 0.2, 0.9), face, (hand,), 0, SEEN, name)


def label(task: str, people: tuple[int, ...], frame: int, time: float) -> Prediction:
    labels = TASKS[task].labels
    shares = {name: 1 / len(labels) for name in labels}
    return Prediction(task, people, frame, time, label=labels[0], probabilities=shares, raw=shares)


def gaze(person: int, frame: int, time: float) -> Prediction:
    heatmap = np.full((64, 64), 0.25, np.float32)
    return Prediction(
        "gaze",
        (person,),
        frame,
        time,
        heatmap=heatmap,
        point=(0.5, 0.25),
        peak=0.25,
        is_unsure=True,
    )


def result(
    index: int,
    time: float,
    tracks: tuple[Track, ...] = (),
    fresh: tuple[Prediction, ...] = (),
    carried: tuple[Prediction, ...] = (),
) -> FrameResult:
    return FrameResult(Frame(IMAGE, index, time), tracks, fresh, carried)


def first_row() -> dict[str, Any]:
    info = SourceInfo("clip.mp4", 1280, 720, 29.97, None, None, False, "clip.mp4")
    settings = records.settings_facts(RunConfig(bundle=Path("some.zip")))
    return records.run_row(records.source_facts(info), MODEL, settings, "2026-01-01T00:00:00+00:00")


@pytest.fixture
def paths(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "clip.jsonl", tmp_path / "clip.csv"


@pytest.fixture
def writer(paths: tuple[Path, Path]) -> Iterator[RecordWriter]:
    writer = RecordWriter(*paths, tasks=TASKS.values(), model="test")
    yield writer
    writer.close()


def test_every_kind_of_row_is_written_as_the_schema_tells_and_reads_back(
    writer: RecordWriter, paths: tuple[Path, Path]
) -> None:
    people = (track(1, name="José"), track(2, 0.5))
    writer.start(first_row())
    writer.write(result(0, 0.0))
    writer.write(result(1, 1 / 3, people, (label("relation", (1, 2), 1, 1 / 3), gaze(2, 1, 1 / 3))))
    writer.finish(records.summary_row(SUMMARY))
    rows = list(read_records(paths[0]))
    assert [row["type"] for row in rows] == ["run", "frame", "prediction", "prediction", "summary"]
    for row in rows:
        VALIDATOR.validate(row)
    assert rows[0]["settings"]["bundle"] == "some.zip"
    assert rows[1]["people"][0]["name"] == "José"
    assert rows[1]["people"][1] == {
        "id": 2,
        "is_seen": True,
        "person": [0.5, 0.05, 0.7, 0.9],
        "face": [0.51, 0.1, 0.55, 0.2],
        "hands": [[0.5, 0.5, 0.55, 0.6]],
    }
    assert rows[2]["boxes"] == [[0.1, 0.05, 0.3, 0.9], [0.5, 0.05, 0.7, 0.9]]
    assert rows[2]["label"] == TASKS["relation"].labels[0]
    assert rows[2]["time"] == 0.333333
    assert rows[3]["point"] == [0.5, 0.25]
    assert rows[3]["boxes"] == [[0.51, 0.1, 0.55, 0.2]]
    assert rows[4] == {"type": "summary", **SUMMARY}


@pytest.mark.parametrize(
    "change",
    [
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
    row = records.prediction_row(answer, result(1, 0.0), [track(1).face], "test")
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
    writer = RecordWriter(*paths, tasks=TASKS.values(), model="test", every_frame=every_frame)
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
    assert tuple(pair) == records.COLUMNS
    assert (pair["task"], pair["person_1"], pair["person_2"]) == ("domain", "1", "2")
    assert (pair["label"], pair["gaze_x"], pair["unsure"]) == ("intimate", "", "false")
    assert math.isclose(float(pair["probability"]), 1 / 3, abs_tol=1e-4)
    assert (look["person_1"], look["person_2"], look["label"]) == ("2", "", "")
    assert (look["gaze_x"], look["gaze_y"], look["peak"]) == ("0.5", "0.25", "0.25")
    assert (look["unsure"], look["time"], look["frame"]) == ("true", "1.5", "3")


def test_what_was_written_is_on_disk_before_the_files_are_closed(
    writer: RecordWriter, paths: tuple[Path, Path]
) -> None:
    writer.start(first_row())
    writer.write(result(0, 0.0, (track(1),), (gaze(1, 0, 0.0),)))
    assert [row["type"] for row in read_records(paths[0])] == ["run", "frame", "prediction"]
    assert len(paths[1].read_text().splitlines()) == 2


@example(cut=936)  # within a letter of two bytes
@given(cut=st.integers(min_value=0, max_value=10_000))
def test_a_file_that_was_cut_anywhere_reads_up_to_its_last_whole_row(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    path = folder / "clip.jsonl"
    writer = RecordWriter(path, folder / "clip.csv", tasks=TASKS.values(), model="test")
    writer.start(first_row())
    for index in range(4):
        writer.write(result(index, index / 2, (track(1, name="Łukasz"),), (gaze(1, index, 0.0),)))
    writer.close()
    whole = path.read_bytes()
    cut = cut % len(whole)
    path.write_bytes(whole[:cut])
    lines = whole[:cut].count(b"\n")
    if cut and not whole[:cut].endswith(b"\n"):
        with pytest.warns(CutRecordsWarning, match=f"clip.jsonl:{lines + 1}: the row is cut off"):
            rows = list(read_records(path))
    else:
        rows = list(read_records(path))
    assert rows == [json.loads(line) for line in whole.splitlines()[:lines]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hello\n", "clip.jsonl:1: this is no row"),
        ("[]\n", "clip.jsonl:1: this is no row"),
        ('{"type": "frame"}\n', "first row is not of type 'run'"),
        ('{"type": "run", "schema": 2}\n', "record schema 2, this sfedge reads 1. Update sfedge."),
        ('{"type": "run", "schema": 1}\n', "the run row lacks sfedge, started"),
        ("RUN\nnot json\n", "clip.jsonl:2: this is no row"),
        ('RUN\n{"type": "dream"}\n', "clip.jsonl:2: unknown row type 'dream'"),
        ('RUN\n{"type": "frame", "frame": 1}\n', "clip.jsonl:2: the frame row lacks time, people"),
    ],
)
def test_a_wrong_file_is_refused_with_the_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "clip.jsonl"
    path.write_text(text.replace("RUN", json.dumps(first_row())))
    with pytest.raises(DataError, match=re.escape(message)):
        list(read_records(path))


def test_a_missing_or_binary_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        list(read_records(tmp_path / "none.jsonl"))
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe\x00\n")
    with pytest.raises(DataError, match=r"binary.jsonl:1: this is no row"):
        list(read_records(tmp_path / "binary.jsonl"))


def test_a_full_disk_is_an_error_that_says_so(paths: tuple[Path, Path]) -> None:
    writer = RecordWriter(Path("/dev/full"), paths[1], tasks=TASKS.values(), model="test")
    with pytest.raises(OutputError, match=r"/dev/full: cannot be written \(No space left"):
        writer.start(first_row())
    with pytest.raises(OutputError, match="No space left"):
        writer.close()


def test_each_field_is_told_in_the_documentation() -> None:
    def fields(rule: Any) -> Iterator[str]:
        if isinstance(rule, dict):
            for name, inner in rule.get("properties", {}).items():
                yield name
                yield from fields(inner)
            for inner in rule.get("$defs", {}).values():
                yield from fields(inner)

    text = (Path(__file__).parents[2] / "docs" / "records.md").read_text(encoding="utf-8")
    names = {*fields(records.record_schema()), *records.COLUMNS}
    assert len(names) > 40
    missing = sorted(name for name in names if f"`{name}`" not in text)
    assert not missing
