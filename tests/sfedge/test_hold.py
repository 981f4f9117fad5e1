"""How long an answer in a recording is shown when nothing newer can be asked."""

import pytest
from fake_parts import BODY, FACE, IMAGE, Slow

import sfedge
from sfedge.core.structures import Detection, Frame
from sfedge.core.tasks import TASKS

TURNS = 1.0  # second at which the person turns the face away


class TurnsAway:
    """One person whose face is seen up to `TURNS`."""

    def detect(self, frame: Frame) -> list[Detection]:
        body = Detection("person", BODY, 0.9, "one")
        face = Detection("face", FACE, 0.9, "one")
        return [body, face] if frame.time <= TURNS else [body]


@pytest.mark.parametrize(("interval", "hold"), [(0.25, 2.0), (0.5, 2.0), (1.0, 3.0)])
def test_an_answer_is_shown_for_three_intervals_and_two_seconds_at_least(
    interval: float, hold: float
) -> None:
    frames = [(IMAGE, index / 10) for index in range(60)]
    run = sfedge.Pipeline(
        frames,
        detector=TurnsAway(),
        model=Slow(tasks=[TASKS["expression"]]),
        interval=interval,
        smoothing=0.0,
    )
    results = list(run)
    asked = max(answer.time for result in results for answer in result.fresh)
    assert TURNS - interval < asked < TURNS + 0.5  # the last question, while the face was known
    shown = [result.time for result in results if result.predictions]
    assert shown[-1] == pytest.approx(asked + hold, abs=0.11)
