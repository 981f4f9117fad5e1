"""A pipeline of a program's own parts, and the page that documents them."""

import logging
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_parts import BODY, FACE, IMAGE, OnePerson, Slow
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scenes import Scene as Clip

import sfedge
from sfedge import (
    Box,
    Detection,
    DetectorError,
    Frame,
    FrameResult,
    Prediction,
    Query,
    Scene,
    Track,
    UsageError,
)
from sfedge.core.tasks import TASKS
from sfedge.runtime import arrays
from sfedge.runtime.own_parts import detections_of

PAGE = Path(__file__).parents[2] / "docs" / "library.md"


def pipeline(source: object, detector: object | None = None, **parts: object) -> sfedge.Pipeline:
    parts = {"model": Slow(), **parts}
    return sfedge.Pipeline(source, detector=detector or OnePerson(), **parts)  # type: ignore[arg-type]


def test_the_example_of_the_page_runs() -> None:
    (code,) = (
        block
        for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
        if "class Middle" in block
    )
    assert len([line for line in code.splitlines() if line]) <= 20
    out = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], check=True, capture_output=True, text=True
    ).stdout
    lines = out.splitlines()
    assert re.fullmatch(r"0\.0 s: expression of \(1,\): \w+", lines[0])
    assert lines[-1] == "20 frames, 1 person"
    assert len(lines) == 5  # an answer each half second of two seconds


@pytest.mark.parametrize(
    ("source", "times"),
    [
        ([IMAGE] * 3, [0, 1 / 30, 2 / 30]),
        (np.stack([IMAGE] * 2), [0, 1 / 30]),
        ([(IMAGE, 0.5), (IMAGE, 0.5), (IMAGE, np.float32(2))], [0.5, 0.5, 2]),
        (iter([Frame(IMAGE, 7, 1.5), Frame(IMAGE, 9, 1.6)]), [1.5, 1.6]),
        (IMAGE, [0]),
    ],
)
def test_frames_of_a_program_come_out_with_their_times(source: object, times: list[float]) -> None:
    with pipeline(source) as run:
        results = list(run)
    assert [result.time for result in results] == pytest.approx(times)
    assert (run.info.width, run.info.height) == (160, 90)
    assert run.report.is_complete
    assert all(result.tracks for result in results)


def test_times_may_lie_on_any_clock() -> None:
    for zero in (-3.0, 1.7e9):
        with pipeline([(IMAGE, zero + index / 10) for index in range(12)]) as run:
            results = list(run)
        assert len(results) == 12
        assert [r.index for r in results if "gaze" in {a.task for a in r.fresh}] == [0, 5, 10]


def test_a_run_that_is_stopped_before_it_begins_looks_at_nothing() -> None:
    with pipeline([IMAGE]) as run:
        run.stop()
        assert list(run) == []
        assert run.report.ended == "stopped"


def test_a_part_of_frames_is_taken_by_start_and_end() -> None:
    source = ((IMAGE, index / 10) for index in range(20))
    with pipeline(source, start=0.5, end=1.0) as run:
        assert [result.index for result in run] == [5, 6, 7, 8, 9]
    assert next(source)[1] == pytest.approx(1.1)  # nothing was read ahead


@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        (IMAGE[..., 0], r"frame 1: .* not \(90, 160\) of uint8. Give red, green and blue"),
        (IMAGE.astype(np.float32), r"not \(90, 160, 3\) of float32"),
        (np.zeros((90, 160, 4), np.uint8), r"not \(90, 160, 4\) of uint8"),
        (np.zeros((0, 160, 3), np.uint8), r"not \(0, 160, 3\) of uint8"),
        (np.broadcast_to(np.uint8(0), (10000, 20000, 3)), "20000x10000 pixels is too large"),
        ((IMAGE, "1"), "frame 1: a time is a number of seconds, not '1'"),
        ((IMAGE, float("nan")), "a time is a number of seconds, not nan"),
        ((IMAGE, -1.0), "frame 1: the time -1 s comes after 0 s. Give frames in order of time"),
        ("a.jpg", "frame 1: a frame is an array .* not 'a.jpg'"),
        (None, "frame 1: a frame is an array .* not None"),
    ],
)
def test_a_wrong_frame_is_an_error_with_its_number(frame: object, sentence: str) -> None:
    with pipeline([(IMAGE, 0.0), frame]) as run, pytest.raises(UsageError, match=sentence):
        list(run)
    with pipeline(None) as run:
        run.step(IMAGE, 0.0)
        if isinstance(frame, tuple):
            with pytest.raises(UsageError, match=sentence):
                run.step(*frame)


def test_a_frame_may_have_as_many_pixels_as_a_picture_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(arrays, "MAX_PIXELS", 160 * 90)
    with pipeline([IMAGE]) as run:
        assert len(list(run)) == 1
    with pytest.raises(UsageError, match="161x90 pixels is too large"):
        pipeline([np.zeros((90, 161, 3), np.uint8)])


def test_steps_give_what_an_iteration_gives() -> None:
    frames = [(IMAGE, index / 10) for index in range(12)]

    def summary(results: list[FrameResult]) -> list[object]:
        return [(r.index, r.time, r.tracks, [(a.key, a.frame) for a in r.fresh]) for r in results]

    with pipeline(frames) as run:
        whole = summary(list(run))
    with pipeline(None) as run:
        assert summary([run.step(*frame) for frame in frames]) == whole
        assert run.report.shown == 12
        assert run.info.width == 160
        with pytest.raises(UsageError, match="iterated once"):
            iter(run)


def test_steps_have_the_size_of_the_first_frame_and_count_from_zero() -> None:
    with pipeline(None) as run:
        assert (run.info.width, run.info.height, run.report.frames) == (0, 0, 0)
        for number, image in enumerate((IMAGE, IMAGE[:45, :80])):
            assert run.step(image, number - 1.5).index == number  # on any clock
            assert (run.info.width, run.info.height) == (160, 90)
            assert run.report.frames == number + 1


@pytest.mark.parametrize("live", [False, True])
def test_a_hand_is_asked_about_in_a_square_of_the_frames_pixels(live: bool) -> None:
    views: list[Box] = []

    class Notes(Slow):
        def answer(self, frame: Frame, queries: Sequence[Query]) -> list[Prediction]:
            views.extend(query.view for query in queries)
            return super().answer(frame, queries)

    task = replace(TASKS["gesture"], view="hand", margin=0.5)
    frames = [(IMAGE, index / 10) for index in range(3)]
    with pipeline(frames, model=Notes(tasks=(task,)), live=live) as run:
        list(run)

    assert views
    for view in views:
        assert view.width * IMAGE.shape[1] == pytest.approx(view.height * IMAGE.shape[0])


def test_a_pipeline_is_stepped_or_iterated_but_not_both() -> None:
    with pipeline([IMAGE]) as run, pytest.raises(UsageError, match="Leave out the source"):
        run.step(IMAGE, 0.0)
    with pipeline(None) as run, pytest.raises(UsageError, match="Use its step"):
        list(run)


def test_two_parts_for_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="detections= and detector="):
        pipeline(IMAGE, detections=tmp_path / "boxes.csv")
    with pytest.raises(UsageError, match="bundle= and model="):
        pipeline(IMAGE, bundle=tmp_path)
    with pytest.raises(UsageError, match="boxes from a file need a source"):
        sfedge.Pipeline(detections=tmp_path / "boxes.csv")
    with pytest.raises(UsageError, match="object: a detector has a method 'detect'"):
        pipeline(IMAGE, object())
    with pytest.raises(UsageError, match="a model has a method 'answer'"):
        pipeline(IMAGE, model=object())
    with pytest.raises(UsageError, match="a tracker has a method 'update'"):
        pipeline(IMAGE, tracker=object())
    with pytest.raises(UsageError, match="a sink has a method 'write'"):
        pipeline(IMAGE, sinks=[print])
    with pytest.raises(UsageError, match="int: sinks are a list"):
        sfedge.Pipeline([], sinks=5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "setting", [{"every": 2}, {"live": True}, {"start": 1.0}, {"end": 9.0}, {"as_video": 25.0}]
)
def test_settings_of_a_source_are_refused_where_frames_come_by_step(
    setting: dict[str, object],
) -> None:
    (name,) = setting
    with pytest.raises(UsageError, match=f"{name}= needs a source. Leave it out with step"):
        pipeline(None, **setting)


def test_a_detector_is_named_or_given(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no detector is called 'blaze'"):
        sfedge.open(IMAGE, detector="blaze")
    with pytest.raises(sfedge.SfedgeError, match=r"nowhere\.json"):
        sfedge.Pipeline(IMAGE, detector=tmp_path / "nowhere.json", model=Slow())
    with sfedge.open(IMAGE, detector=sfedge.RunConfig().detector, offline=True) as run:
        assert [result.tracks for result in run] == [()]


def test_a_run_of_own_parts_is_written_into_a_folder_like_any_other(tmp_path: Path) -> None:
    from sfedge.runtime.process import process

    frames = [(IMAGE, index / 10) for index in range(12)]
    with pipeline(frames) as run:
        outcome = process(run, tmp_path, progress=False)
    assert outcome.report.is_complete
    rows = list(sfedge.read_records(outcome.files.records))
    assert rows[0]["model"]["name"] == "Slow"
    assert rows[0]["source"]["name"] == "frames"
    assert len([row for row in rows if row["type"] == "frame"]) == 12
    assert {row["task"] for row in rows if row["type"] == "prediction"} >= {"gaze", "expression"}
    assert all(path.is_file() for path in outcome.files.all)


def test_analyze_takes_one_picture(scene: Clip, astronaut: NDArray[np.uint8]) -> None:
    result = sfedge.analyze(astronaut, tasks="expression", offline=True)
    (track,) = result.tracks
    assert track.face is not None
    assert {answer.task for answer in result.fresh} == {"expression"}
    with pytest.raises(UsageError, match="analyze takes one picture"):
        sfedge.analyze(scene.video, detections=scene.detections)


boxes = st.lists(
    st.tuples(st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0.01, 0.5), st.floats(0.01, 0.5)).map(
        lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
    ),
    max_size=5,
)


@given(boxes, st.sampled_from(["face", "hand", "person"]), st.floats(0, 1))
def test_arrays_of_boxes_are_detections(
    rows: list[tuple[float, float, float, float]], kind: str, score: float
) -> None:
    plain = detections_of({kind: np.array(rows)})  # type: ignore[dict-item]
    assert plain == [Detection(kind, Box(*row), 1.0) for row in rows]  # type: ignore[arg-type]
    scored = detections_of({kind: np.array([(*row, score) for row in rows])})  # type: ignore[dict-item]
    assert scored == [Detection(kind, Box(*row), score) for row in rows]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (
            {"face": np.array([[10.04, 20, 60, 80]])},
            r"the box \[10.0, 20.0, 60.0, 80.0\] is given in pixels. Divide x by the width",
        ),
        ({"face": np.array([0.1, 0.2, 0.3, 0.4])}, r"the shape is \(4,\)"),
        ({"face": np.array([[0.4, 0.2, 0.3, 0.4]])}, "is empty or lies outside"),
        ({"face": np.array([[np.nan, 0.2, 0.3, 0.4]])}, "not a number"),
        ({"face": np.array([[0.1, 0.2, 0.3, 0.4, 7]])}, "the score 7 is not in 0 to 1"),
        ({"face": np.array([[0.1, 0.2, 0.3, 0.4, -0.5]])}, "the score -0.5 is not in 0 to 1"),
        ({"dog": np.zeros((0, 4))}, "no such kind is known. Known: face, hand, person"),
        ({"face": "left"}, "boxes of kind 'face': 'left' is no array of numbers"),
        ({"face": None}, r"the shape is \(\)"),
        (None, "the detector returned None. Expected is a sequence of Detection"),
        (7, "the detector returned 7"),
        ([None], "the detector returned None among its detections"),
        ("face", "the detector returned 'f' among its detections"),
        (np.zeros((1, 4)), "among its detections. Expected is a sequence of Detection"),
    ],
)
def test_what_is_no_detection_is_an_error(found: object, sentence: str) -> None:
    class Wrong:
        def detect(self, frame: Frame) -> object:
            return found

    with pipeline(IMAGE, Wrong()) as run, pytest.raises(DetectorError, match=sentence):
        list(run)


CHANCES = dict.fromkeys(sfedge.TASKS["expression"].labels, 0.125)


@pytest.mark.parametrize(
    ("task", "wrong", "sentence"),
    [
        ("gaze", lambda right: None, "the model returned None to 1 queries. Expected is a list"),
        ("gaze", lambda right: [], "the model returned 0 answers to 1 queries"),
        ("gaze", lambda right: ["left"], "answer to gaze is 'left', not a Prediction"),
        ("gaze", lambda right: [replace(right, heatmap=None)], r"needs a heatmap of shape \(64, "),
        ("gaze", lambda right: [replace(right, heatmap=np.zeros((3, 3)))], "needs a heatmap of sh"),
        ("gaze", lambda right: [replace(right, people=(9,))], r"is about \('gaze', \(9,\), \(\)\)"),
        ("gaze", lambda right: [replace(right, people=(0,))], r"is about \('gaze', \(0,\), \(\)\)"),
        ("expression", lambda right: [replace(right, task="mood")], r"is about \('mood', \(1,\)"),
        (
            "expression",
            lambda right: [replace(right, probabilities={"happy": 1.0})],
            "needs probabilities of neutral, ",
        ),
        (
            "expression",
            lambda right: [replace(right, probabilities=CHANCES | {"neutral": np.nan})],
            "answer to expression has values that are not numbers",
        ),
    ],
)
@pytest.mark.parametrize("live", [False, True])
def test_what_is_no_answer_is_an_error(
    task: str, wrong: Callable[[Prediction], object], sentence: str, live: bool
) -> None:
    class Wrong(Slow):
        def answer(self, frame: Frame, queries: Sequence[Query]) -> Any:
            (right,) = super().answer(frame, queries)
            return wrong(right)

    frames = ((IMAGE, index / 10) for index in range(40))
    with (
        pipeline(frames, model=Wrong(), tasks=task, live=live) as run,
        pytest.raises(UsageError, match=sentence),
    ):
        list(run)


def test_what_is_no_scene_is_an_error() -> None:
    class Wrong:
        def update(self, detections: object, frame: Frame, *, is_cut: bool = False) -> object:
            return []

    with (
        pipeline(IMAGE, tracker=Wrong()) as run,
        pytest.raises(UsageError, match=r"the tracker returned \[\]. Expected is a Scene"),
    ):
        list(run)


def test_a_tracker_of_the_programs_own_says_who_is_who_and_who_has_left() -> None:
    class Fixed:
        def update(self, detections: object, frame: Frame, *, is_cut: bool = False) -> Scene:
            if frame.index == 5:
                return Scene((), ended=(4,))
            return Scene((Track(4, BODY, FACE, (), 0.0, frame.time),))

    frames = [(IMAGE, index / 100) for index in range(8)]
    with pipeline(frames, tracker=Fixed()) as run:
        results = list(run)
    assert {answer.people for answer in results[0].fresh} == {(4,)}
    assert results[4].carried
    assert not results[5].predictions
    # Back again: the same id, but nothing of what was said before.
    assert {answer.frame for answer in results[6].predictions} == {6}


def test_sinks_get_each_result_first_and_in_order() -> None:
    class Notes:
        def __init__(self) -> None:
            self.seen: list[FrameResult] = []

        def write(self, result: FrameResult) -> None:
            self.seen.append(result)

    one, two = Notes(), Notes()
    with pipeline([IMAGE] * 3, sinks=[one]) as run:
        run.add_sink(two)
        for number, result in enumerate(run, 1):
            assert one.seen[-1] is two.seen[-1] is result
            assert len(one.seen) == number
    with pipeline([IMAGE] * 3, sinks=[one]) as run:
        assert run.run().shown == 3
    assert len(one.seen) == 6


def test_what_a_program_gives_is_the_programs_to_close() -> None:
    class Held(OnePerson):
        is_closed = False

        def close(self) -> None:
            self.is_closed = True

    detector = Held()
    with pipeline([IMAGE], detector) as run:
        list(run)
    assert not detector.is_closed


def test_a_run_says_in_the_log_when_it_begins_and_ends(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "sfedge")
    with pipeline([IMAGE] * 3) as run:
        run.run()
    lines = [(r.name, r.levelname, r.getMessage()) for r in caplog.records]
    assert lines == [
        ("sfedge.runtime", "INFO", "frames: 160x90, model Slow"),
        ("sfedge.runtime", "INFO", "frames: end of source after 3 frames"),
    ]


def test_the_log_is_silent_unless_it_is_asked_for() -> None:
    code = (
        "import logging, sfedge; "
        "[logging.getLogger(f'sfedge{name}').error('loud') for name in ('', '.runtime')]"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert out.stdout + out.stderr == ""
