"""What a run writes without further settings, and without pictures."""

import csv
from pathlib import Path
from typing import Any

from fake_parts import IMAGE, OnePerson, Slow

import sfedge
from sfedge.core.tasks import TASKS
from sfedge.results.records import Row, read_records
from sfedge.runtime.process import Outcome, process

FRAMES = [(IMAGE, index / 10) for index in range(8)]  # two rounds, half a second apart


def run(out: Path, **settings: Any) -> tuple[Outcome, list[Row], list[str]]:
    """How a run ended, its answers, and the columns of its table."""
    model = Slow(tasks=(TASKS["expression"],))
    with sfedge.Pipeline(FRAMES, detector=OnePerson(), model=model) as session:
        outcome = process(session, out, progress=False, **settings)
    rows = [row for row in read_records(outcome.files.records) if row["type"] == "prediction"]
    with outcome.files.table.open(newline="", encoding="utf-8") as file:
        return outcome, rows, next(csv.reader(file))


def test_each_answer_is_written_once_and_the_table_is_narrow(tmp_path: Path) -> None:
    outcome, rows, columns = run(tmp_path)
    assert [(row["frame"], row["shown_frame"]) for row in rows] == [(0, 0), (5, 5)]
    assert not [column for column in columns if column.startswith("expression.")]
    assert outcome.files.annotated is not None
    assert sorted(tmp_path.iterdir()) == sorted(outcome.files.all)
    assert outcome.report.seconds["draw"] > 0


def test_answers_are_written_again_or_in_a_wide_table_where_that_is_asked_for(
    tmp_path: Path,
) -> None:
    _, rows, columns = run(tmp_path, every_frame=True, wide=True)
    assert [row["shown_frame"] for row in rows] == list(range(8))
    labels = [column for column in columns if column.startswith("expression.")]
    assert labels == [f"expression.{label}" for label in TASKS["expression"].labels]


def test_without_pictures_nothing_is_drawn(tmp_path: Path) -> None:
    outcome, rows, _ = run(tmp_path, annotated=False)
    assert outcome.files.annotated is None
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".csv", ".json", ".jsonl"]
    assert "draw" not in outcome.report.seconds
    assert len(rows) == 2
