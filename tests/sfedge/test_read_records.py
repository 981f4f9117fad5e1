"""Records read: cut, wrong and golden files, those of version 1, and their documentation."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import golden
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from record_parts import VALIDATOR, first_row, gaze, result, track

from sfedge.core.answer_table import COLUMNS
from sfedge.core.errors import DataError
from sfedge.core.tasks import TASKS
from sfedge.results import records
from sfedge.results.record_writer import RecordWriter
from sfedge.results.records import CutRecordsWarning, read_records

GOLDEN = golden.FOLDER


@example(cut=936)  # within a letter of two bytes
@given(cut=st.integers(min_value=0, max_value=10_000))
def test_a_file_that_was_cut_anywhere_reads_up_to_its_last_whole_row(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    path = folder / "clip.jsonl"
    writer = RecordWriter(
        path, folder / "clip.csv", tasks=TASKS.values(), model="test", source="clip.mp4"
    )
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
        (
            '{"type": "run", "schema": 3}\n',
            "record schema 3, this sfedge reads 1 and 2. Update sfedge.",
        ),
        ('{"type": "run", "schema": 1}\n', "the run row lacks sfedge, started"),
        ('{"type": "run", "schema": 2}\n', "the run row lacks sfedge, started"),
        ("RUN\nnot json\n", "clip.jsonl:2: this is no row"),
        ('RUN\n{"type": "dream"}\n', "clip.jsonl:2: unknown row type 'dream'"),
        (
            'RUN\n{"type": "frame", "frame": 1}\n',
            "clip.jsonl:2: the frame row lacks file, time, shot, people",
        ),
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


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.jsonl")), ids=lambda path: path.stem)
def test_golden_records_are_read_in_the_shape_of_the_newest_schema(path: Path) -> None:
    found = list(read_records(path))
    for row in found:
        VALIDATOR.validate(row)
    assert {"run", "frame", "prediction", "summary"} <= {row["type"] for row in found}
    assert {row["file"] for row in found} == {"sway.mp4"}
    assert found[0]["schema"] == records.SCHEMA
    assert {row["task"] for row in found if row["type"] == "prediction"} == set(TASKS)


def test_the_golden_records_are_what_this_code_writes(tmp_path: Path) -> None:
    """Written by `make golden`; numbers may differ as processors and decoders do."""
    name, text = golden.make(tmp_path)
    expected = [json.loads(line) for line in (GOLDEN / name).read_text("utf-8").splitlines()]
    found = [json.loads(line) for line in text.splitlines()]
    for rows_of_one in (expected, found):
        for changing in ("started", "sfedge", "model", "settings"):
            rows_of_one[0].pop(changing)
        rows_of_one[0]["source"].pop("identity")
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert_alike(one, other)


def assert_alike(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    if isinstance(one, dict):
        if "probability" in one and abs(one["probability"] - other["probability"]) < 0.02:
            shares = sorted(other["probabilities"].values())
            if shares[-1] - shares[-2] < 0.04:  # which of two is ahead may differ, too
                one = {**one, "label": other["label"], "is_unsure": other["is_unsure"]}
        assert one.keys() == other.keys()
        for key, value in one.items():
            assert_alike(value, other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for first, second in zip(one, other, strict=True):
            assert_alike(first, second)
    elif isinstance(one, float):
        assert one == pytest.approx(other, abs=0.02)
    else:
        assert one == other


def test_rows_of_version_1_keep_all_that_they_say() -> None:
    (path,) = GOLDEN.glob("*-version-1.jsonl")
    before = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for old, new in zip(before, read_records(path), strict=True):
        for key, value in old.items():
            if key == "schema":
                assert (value, new[key]) == (1, 2)
            elif key == "source":
                assert new[key] == {"identity": None, "is_pictures": False, **value}
            elif (old["type"], key) == ("frame", "people"):
                for person, again in zip(value, new[key], strict=True):
                    assert person["hands"] == [hand["box"] for hand in again["hands"]]
                    assert {**person, "hands": 0}.items() <= {**again, "hands": 0}.items()
            else:
                assert new[key] == value


def test_each_field_is_documented() -> None:
    def fields(rule: Any) -> Iterator[str]:
        if isinstance(rule, dict):
            for name, inner in rule.get("properties", {}).items():
                yield name
                yield from fields(inner)
            for inner in rule.get("$defs", {}).values():
                yield from fields(inner)

    text = (Path(__file__).parents[2] / "docs" / "records.md").read_text(encoding="utf-8")
    names = {*fields(records.record_schema()), *COLUMNS}
    assert len(names) > 40
    missing = sorted(name for name in names if f"`{name}`" not in text)
    assert not missing
