"""Tables out: rows and boxes of a result, and a run's answers as a data frame."""

import csv
import sys
from pathlib import Path

import numpy as np
import pandas
import pytest
from fake_parts import BODY, FACE, HAND, IMAGE, Camera, OnePerson, Slow
from scenes import Scene as Clip

import sfedge
from sfedge import Box, Frame, FrameResult, Hand, MissingExtraError, Track, UnknownNameError
from sfedge.core.tasks import TASKS
from sfedge.runtime.process import process


def corners(box: Box) -> tuple[float, ...]:
    return box.x1, box.y1, box.x2, box.y2


def test_boxes_are_arrays_by_kind_in_the_order_of_the_people() -> None:
    hands = tuple(Hand(n, HAND, None, 0.9, 0.0) for n in (1, 2, 3))
    tracks = (
        Track(1, BODY, None, hands[:1], 0.0, 0.0),
        Track(2, FACE, FACE, (), 0.0, 0.0),
        Track(3, BODY, HAND, hands[1:2], 0.0, 0.0),
    )
    result = FrameResult(Frame(IMAGE, 0, 0.0), tracks, (), (), hands=hands[2:])
    assert result.boxes("person").tolist() == [[*corners(b)] for b in (BODY, FACE, BODY)]
    assert result.boxes("face").tolist() == [[*corners(b)] for b in (FACE, HAND)]
    assert result.boxes("hand").tolist() == [[*corners(HAND)]] * 3
    assert [hand.id for hand in result.all_hands] == [1, 2, 3]
    empty = FrameResult(Frame(IMAGE, 0, 0.0), (), (), ())
    for kind in ("face", "person", "hand"):
        assert empty.boxes(kind).shape == (0, 4)  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="Did you mean 'face'"):
        result.boxes("faces")  # type: ignore[arg-type]


@pytest.mark.parametrize("wide", [False, True])
def test_a_data_frame_is_the_table_that_a_run_writes(
    scene: Clip, tmp_path: Path, wide: bool
) -> None:
    settings = {"detections": scene.detections, "end": 0.8}
    with sfedge.open(scene.video, **settings) as session:
        table = session.to_dataframe(wide=wide)
        assert session.report.is_complete
    with sfedge.open(scene.video, **settings) as session:
        outcome = process(session, tmp_path, wide=wide, annotated=False)
        assert outcome.files.table is not None
        written = outcome.files.table
    with written.open(newline="") as file:
        columns, *rows = csv.reader(file)
    assert list(table.columns) == columns
    cells = [
        ["" if pandas.isna(c) else str(c).lower() if isinstance(c, bool) else str(c) for c in row]
        for row in table.astype(object).itertuples(index=False)
    ]
    assert cells == rows
    assert len(table) > 10
    assert table["time"].dtype == np.float64
    assert table["unsure"].dtype == bool
    assert str(table["person_2"].dtype) == "Int64"
    assert set(table.loc[table.task == "relation", "person_2"]) == {2}
    assert table.loc[table.task == "gaze", "person_2"].isna().all()


def test_rows_of_a_result_are_those_of_the_data_frame(scene: Clip) -> None:
    settings = {"detections": scene.detections, "end": 0.8}
    with sfedge.open(scene.video, **settings) as session:
        rows = [row for result in session for row in result.to_rows(wide=True)]
    with sfedge.open(scene.video, **settings) as session:
        table = session.to_dataframe(wide=True)
    plain = table.astype(object).where(table.notna(), None)
    assert rows == plain.to_dict("records")
    assert {row["model"] for row in rows} == {session.model_name}
    assert {row["source"] for row in rows} == {str(scene.video)}


def test_a_late_answer_has_the_boxes_of_the_frame_that_was_asked_about() -> None:
    class Drifts(OnePerson):
        def detect(self, frame: Frame) -> list[sfedge.Detection]:
            x = 0.1 + 0.01 * frame.index
            box = Box(x, 0.2, x + 0.2, 0.6)
            return [sfedge.Detection("face", box, 0.9, "one")]

    model = Slow(0.05, [TASKS["expression"]])
    with sfedge.Pipeline(Camera(40), detector=Drifts(), model=model) as run:
        table = run.to_dataframe()
    assert len(table) >= 3
    assert (table.age > 0).all()
    assert table.box_1_x1.tolist() == pytest.approx([0.1 + 0.01 * f for f in table.frame], abs=1e-5)
    with sfedge.Pipeline(Camera(40), detector=Drifts(), model=model) as run:
        rows = [row for result in run for row in result.to_rows()]
    assert {row["box_1_x1"] for row in rows} == {None}  # no longer known


def test_a_run_without_answers_is_an_empty_table_with_all_columns() -> None:
    class Nobody:
        def detect(self, frame: Frame) -> list[sfedge.Detection]:
            return []

    with sfedge.Pipeline([IMAGE], detector=Nobody(), model=Slow()) as run:
        table = run.to_dataframe(wide=True)
    assert len(table) == 0
    assert f"expression.{TASKS['expression'].labels[0]}" in table.columns
    assert str(table["frame"].dtype) == "Int64"


def test_without_pandas_the_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with sfedge.Pipeline([IMAGE], detector=OnePerson(), model=Slow()) as run:
        with pytest.raises(MissingExtraError, match=r"pip install 'sfedge\[pandas\]'"):
            run.to_dataframe()
        assert len(list(run)) == 1  # nothing was begun
