import json
import threading
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from fake_parts import IMAGE, OnePerson, Slow
from scenes import CLIP_FRAMES, CLIP_RATE, DRAWN_BUNDLE, Scene

import sfedge
from sfedge import FrameResult, Pipeline, RunReport, UsageError
from sfedge.core.errors import UnknownNameError
from sfedge.core.tasks import TASKS


def run(scene: Scene, **settings: object) -> tuple[list[FrameResult], RunReport]:
    settings = {"detections": scene.detections, **settings}
    with sfedge.open(scene.video, **settings) as session:
        return list(session), session.report


def test_every_frame_of_a_file_comes_out_once_in_order_with_its_own_time(scene: Scene) -> None:
    results, report = run(scene, tasks=["expression"])
    assert [result.index for result in results] == list(range(CLIP_FRAMES))
    times = [result.time for result in results]
    assert np.allclose(np.diff(times), 1 / CLIP_RATE, atol=1e-4)
    assert (report.frames, report.shown, report.skipped) == (CLIP_FRAMES, CLIP_FRAMES, 0)
    assert (report.ended, report.is_complete, report.losses) == ("end of source", True, ())
    assert report.people == 2


def test_every_task_answers_about_the_people_it_is_for(scene: Scene) -> None:
    results, report = run(scene)
    answers = [answer for result in results for answer in result.fresh]
    ids = {track.id for result in results for track in result.tracks}
    assert len(ids) == 2
    for task in TASKS.values():
        asked = [answer.people for answer in answers if answer.task == task.name]
        expected = {tuple(sorted(ids))} if task.people == 2 else {(one,) for one in ids}
        assert set(asked) == expected, task.name
        assert report.answers[task.name] == len(asked)
    for answer in answers:
        if answer.task == "gaze":
            assert answer.heatmap is not None
            assert answer.heatmap.shape == (64, 64)
            assert answer.peak == pytest.approx(float(answer.heatmap.max()))
        else:
            assert answer.probabilities is not None
            assert sum(answer.probabilities.values()) == pytest.approx(1, abs=1e-5)
            assert answer.label == max(answer.probabilities, key=answer.probabilities.__getitem__)


def test_questions_keep_the_interval_and_older_answers_are_carried_with_their_age(
    scene: Scene,
) -> None:
    results, report = run(scene, tasks=["expression", "domain"], interval=0.5)
    asked = [result.index for result in results if result.fresh]
    assert asked[0] <= 1
    assert all(b - a == 5 for a, b in pairwise(asked[1:]))
    assert report.asked == len(asked)
    for result in results[asked[1] :]:
        assert len(result.predictions) == 3  # two faces, one pair
        assert len({answer.key for answer in result.predictions}) == 3
        for answer in result.carried:
            assert 0 < result.age(answer) <= 0.51
            assert answer.frame in asked
        for answer in result.fresh:
            assert (answer.frame, result.age(answer)) == (result.index, 0)


def test_two_runs_give_the_same_answers(scene: Scene) -> None:
    def facts(results: list[FrameResult]) -> list[object]:
        return [
            (
                result.tracks,
                [(a.key, a.frame, a.label, a.probabilities, a.point) for a in result.fresh],
            )
            for result in results
        ]

    assert facts(run(scene)[0]) == facts(run(scene)[0])


def test_an_answer_ends_when_its_person_has_left(scene: Scene) -> None:
    """The table of boxes ends after the first second; the clip goes on for another."""
    short = scene.detections.with_name("half.csv")
    rows = scene.detections.read_text().splitlines()
    short.write_text("\n".join([rows[0], *(row for row in rows[1:] if int(row.split(",")[0]) < 8)]))
    results, _ = run(scene, tasks=["expression"], detections=short)
    assert results[7].tracks
    assert results[7].predictions
    last = results[-1]
    assert not last.tracks
    assert not last.predictions


def test_who_was_given_up_and_comes_back_is_asked_again_at_once() -> None:
    """The answers of before are dropped: to wait for the next tick would leave them without."""
    frames = ((IMAGE, index / 10) for index in range(40))
    tasks = [TASKS["expression"], TASKS["gaze"]]
    detector = OnePerson(gone=(1.0, 3.0))
    with Pipeline(frames, detector=detector, model=Slow(tasks=tasks), interval=60.0) as session:
        results = list(session)
    assert {track.id for result in results for track in result.tracks} == {1}
    asked = {result.time: [answer.task for answer in result.fresh] for result in results}
    assert {time: names for time, names in asked.items() if names} == {
        0.0: ["expression", "gaze"],
        3.0: ["expression", "gaze"],
    }


def test_a_part_of_a_file_keeps_the_numbers_and_times_of_the_whole(scene: Scene) -> None:
    whole, _ = run(scene, tasks=["expression"])
    part, _ = run(scene, tasks=["expression"], start=0.5, end=1.0)
    wanted = [(r.index, r.time) for r in whole if 0.5 <= r.time < 1.0]
    assert [(r.index, r.time) for r in part] == wanted
    assert len(part) == 5


def test_stop_ends_after_the_frame_at_hand_and_is_reported(scene: Scene) -> None:
    with sfedge.open(scene.video, detections=scene.detections, tasks=["expression"]) as session:
        for result in session:
            if result.index == 3:
                stopper = threading.Thread(target=session.stop)
                stopper.start()
                stopper.join()
        report = session.report
    assert (report.shown, report.ended, report.is_complete) == (4, "stopped", False)


def test_pause_holds_a_file_until_it_is_resumed(scene: Scene) -> None:
    with sfedge.open(scene.video, detections=scene.detections, tasks=["expression"]) as session:
        results = iter(session)
        next(results)
        session.pause()
        is_held = True

        def resume() -> None:
            nonlocal is_held
            is_held = False
            session.resume()

        timer = threading.Timer(0.3, resume)
        timer.start()
        assert next(results).index == 1
        assert not is_held
        timer.join()


def test_a_session_is_iterated_once_and_a_broken_loop_releases_the_file(scene: Scene) -> None:
    session = sfedge.open(scene.video, detections=scene.detections, tasks=["expression"])
    for _ in session:
        break
    with pytest.raises(UsageError, match="iterated once"):
        iter(session)
    session.close()
    session.close()


def test_a_drawn_picture_is_a_new_one_and_shows_more_than_the_frame(scene: Scene) -> None:
    with sfedge.open(scene.video, detections=scene.detections, tasks=["gaze"]) as session:
        result = next(iter(session))
        before = result.frame.image.copy()
        picture = session.draw(result)
        assert (result.frame.image == before).all()
        assert picture.shape == before.shape
        assert 0.02 < (picture != before).any(axis=2).mean() < 0.6
        assert session.report.seconds["draw"] > 0
        session.close()


def test_the_model_and_its_limits_are_reported(scene: Scene) -> None:
    with sfedge.open(scene.video, detections=scene.detections) as session:
        assert session.model_name == session.bundle.manifest.name
        assert session.notice == session.bundle.manifest.notice
        assert "onnxruntime" in session.device
        assert [task.name for task in session.tasks] == list(TASKS)
        assert session.info.width == 640


def test_a_bundle_of_fewer_tasks_is_asked_those_and_no_other(scene: Scene, tmp_path: Path) -> None:
    with zipfile.ZipFile(DRAWN_BUNDLE) as drawn:
        drawn.extractall(tmp_path / "bundle")
    described = tmp_path / "bundle" / "bundle.json"
    manifest = json.loads(described.read_text())
    manifest["tasks"] = [t for t in manifest["tasks"] if t["name"] in ("expression", "domain")]
    described.write_text(json.dumps(manifest))

    with sfedge.open(scene.video, detections=scene.detections, bundle=described.parent) as session:
        asked = {answer.task for result in session for answer in result.fresh}
        assert [task.name for task in session.tasks] == ["expression", "domain"]
        assert session.config.tasks == ("expression", "domain")
    assert asked == {"expression", "domain"}

    with pytest.raises(UnknownNameError, match="gaze"):
        sfedge.open(scene.video, detections=scene.detections, bundle=described.parent, tasks="gaze")


def test_photographs_are_never_live_however_many_they_are(tmp_path: Path) -> None:
    """Each is shown with its answers, where live some would be passed over."""
    names = [tmp_path / f"{name}.png" for name in "abc"]
    for name in names:
        PIL.Image.fromarray(IMAGE).save(name)
    sources: list[Any] = [tmp_path, names[0], IMAGE, [IMAGE], [IMAGE, IMAGE]]
    are_live = []
    for source in sources:
        with Pipeline(source, detector=OnePerson(), model=Slow(), live=True) as session:
            are_live.append(session.is_live)
            assert session.is_live or all(result.fresh for result in session)
    assert are_live == [False, False, False, False, True]
