"""Live with a model of three seconds a query, 25 times as fast as it would be."""

import threading
from collections.abc import Iterator, Sequence

import pytest
from fake_parts import Camera, OnePerson, Slow

import sfedge
from sfedge import EngineError, Frame, FrameResult
from sfedge.core.structures import Prediction, Query
from sfedge.runtime import live

SPEED = 25.0
SECONDS_PER_QUERY = 3.0
FRAME_EVERY = 0.25  # seconds of the stream


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Time that is measured by the clock runs as fast as the stream's; no thread is left."""
    monkeypatch.setattr(live, "REFRESH", live.REFRESH / SPEED)
    yield
    assert not [one for one in threading.enumerate() if one.name.startswith("sfedge")]


def camera(seconds: float) -> Camera:
    return Camera(round(seconds / FRAME_EVERY), every=FRAME_EVERY, speed=SPEED)


def watch(seconds: float, detector: OnePerson) -> list[FrameResult]:
    model = Slow(SECONDS_PER_QUERY / SPEED)
    with sfedge.Pipeline(camera(seconds), detector=detector, model=model) as pipeline:
        return list(pipeline)


def test_each_answer_is_visible_in_nine_of_ten_frames_after_the_first_round() -> None:
    results = watch(60.0, OnePerson())
    names = ("expression", "gesture", "gaze", "looking_at_me")
    first = {
        name: next(r.index for r in results if name in {a.task for a in r.fresh}) for name in names
    }
    after = [result for result in results if result.index >= max(first.values())]
    assert len(after) > len(results) / 3
    for name in names:
        visible = [r for r in after if name in {answer.task for answer in r.predictions}]
        assert len(visible) >= 0.9 * len(after), name
    # They are old, and say so.
    ages = [result.age(answer) for result in after for answer in result.carried]
    assert max(ages) > 5


def test_answers_end_with_their_person_and_who_comes_back_is_asked_anew() -> None:
    results = watch(65.0, OnePerson(gone=(35.0, 45.0)))
    last = max(result.time for result in results if result.tracks and result.time < 45)
    away = [result for result in results if last < result.time < 45]
    assert len(away) > 10
    assert not [result for result in away if result.carried]
    # What was asked before still arrives, once; nobody who has come back is shown with it.
    back = [result for result in results if result.time >= 45]
    assert {answer.time >= 45 for result in back for answer in result.carried} == {True}
    asked = [answer.task for result in back for answer in result.fresh if answer.time >= 45]
    assert len(set(asked[:4])) == 4


class FailsAtLast(Slow):
    """Fails in the round that is under way when the stream ends."""

    def __init__(self, camera: Camera) -> None:
        super().__init__()
        self._camera = camera

    def answer(self, frame: Frame, queries: Sequence[Query]) -> list[Prediction]:
        self._camera.closed.wait(20)
        raise EngineError("the device is gone")


def test_an_error_in_the_last_round_is_raised_and_the_run_is_not_complete() -> None:
    source = camera(2.0)
    with sfedge.Pipeline(source, detector=OnePerson(), model=FailsAtLast(source)) as pipeline:
        with pytest.raises(EngineError, match="the device is gone"):
            list(pipeline)
        assert not pipeline.report.is_complete
