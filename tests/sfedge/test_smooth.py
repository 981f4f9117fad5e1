import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfedge.core.structures import Prediction
from sfedge.core.tasks import TASKS
from sfedge.inference.smoother import Smoother

EXPRESSION = replace(TASKS["expression"], threshold=0.5)
GAZE = replace(TASKS["gaze"], threshold=0.5)
LABELS = EXPRESSION.labels


def answer(values: list[float], time: float, people: tuple[int, ...] = (1,)) -> Prediction:
    total = sum(values)
    probabilities = {label: v / total for label, v in zip(LABELS, values, strict=True)}
    label = max(probabilities, key=lambda name: probabilities[name])
    return Prediction("expression", people, int(time * 30), time, label, probabilities)


def sure(label: str, time: float, people: tuple[int, ...] = (1,)) -> Prediction:
    return answer([0.93 if name == label else 0.01 for name in LABELS], time, people)


def gaze(column: int, row: int, time: float, height: float = 0.9) -> Prediction:
    heatmap = np.zeros((64, 64), np.float32)
    heatmap[row, column] = height
    point = (column + 0.5) / 64, (row + 0.5) / 64
    return Prediction("gaze", (1,), int(time * 30), time, heatmap=heatmap, point=point, peak=height)


@st.composite
def streams(draw: st.DrawFn) -> list[Prediction]:
    time, result = 0.0, []
    for _ in range(draw(st.integers(1, 12))):
        time += draw(st.floats(0.0, 2.0))
        values = draw(st.lists(st.floats(0.001, 1.0), min_size=8, max_size=8))
        result.append(answer(values, time))
    return result


@given(streams(), st.sampled_from([0.0, 0.1, 0.5, 3.0]))
def test_smoothed_probabilities_sum_to_one_and_name_the_most_probable_label(
    stream: list[Prediction], constant: float
) -> None:
    smoother = Smoother([EXPRESSION], constant)
    for given_ in stream:
        (got,) = smoother.update([given_], given_.time)

        assert got.probabilities is not None
        assert got.label is not None
        assert list(got.probabilities) == list(LABELS)
        assert sum(got.probabilities.values()) == pytest.approx(1.0)
        assert got.probabilities[got.label] == max(got.probabilities.values())
        assert got.is_unsure == (got.probabilities[got.label] < 0.5)
        assert got.raw == given_.probabilities
        assert (got.time, got.frame, got.people) == (given_.time, given_.frame, given_.people)


@given(streams())
def test_a_time_constant_of_zero_changes_no_value(stream: list[Prediction]) -> None:
    smoother = Smoother([EXPRESSION], 0.0)
    for given_ in stream:
        (got,) = smoother.update([given_], given_.time)

        assert got.probabilities == given_.probabilities
        assert got.label == given_.label


def test_one_odd_answer_does_not_flip_the_label_and_a_lasting_change_does() -> None:
    smoother = Smoother([EXPRESSION], 0.5)
    labels = []
    faces = ["neutral"] * 5 + ["anger"] + ["neutral"] * 3 + ["happiness"] * 20
    for index, name in enumerate(faces):
        (got,) = smoother.update([sure(name, index / 10)], index / 10)
        labels.append(got.label)

    assert labels[:9] == ["neutral"] * 9
    assert labels[9] == "neutral"
    assert labels[14:] == ["happiness"] * 15
    assert got.probabilities is not None
    assert got.probabilities["happiness"] == pytest.approx(0.93, abs=0.02)


@pytest.mark.parametrize("step", [0.05, 0.1, 0.5])
def test_the_mean_follows_the_streams_time_not_the_number_of_answers(step: float) -> None:
    smoother = Smoother([EXPRESSION], 0.5)
    (got,) = smoother.update([sure("neutral", 0.0)], 0.0)
    for index in range(1, round(0.5 / step) + 1):
        (got,) = smoother.update([sure("anger", index * step)], index * step)

    assert got.probabilities is not None
    assert got.probabilities["anger"] == pytest.approx(0.93 - 0.92 * math.exp(-1))


def test_a_smoothed_answer_below_the_tasks_threshold_is_unsure() -> None:
    smoother = Smoother([EXPRESSION], 0.5)
    smoother.update([sure("neutral", 0.0)], 0.0)

    (between,) = smoother.update([sure("anger", 0.35)], 0.35)

    assert between.is_unsure
    assert between.raw is not None
    assert between.raw["anger"] == pytest.approx(0.93)


def test_a_heatmap_is_averaged_and_its_point_is_the_centre_of_the_highest_cell() -> None:
    smoother = Smoother([GAZE], 0.5)
    first, second = gaze(10, 20, 0.0), gaze(40, 50, 0.25)

    smoother.update([first], 0.0)
    (got,) = smoother.update([second], 0.25)

    share = 1 - math.exp(-0.5)
    assert got.heatmap is not None
    assert got.heatmap.dtype == np.float32
    assert got.heatmap[50, 40] == pytest.approx(0.9 * share)
    assert got.point == pytest.approx((10.5 / 64, 20.5 / 64))
    assert got.peak == pytest.approx(0.9 * (1 - share))
    assert not got.is_unsure
    (later,) = smoother.update([gaze(40, 50, 0.6)], 0.6)
    assert later.point == pytest.approx((40.5 / 64, 50.5 / 64))


def test_after_an_absence_or_when_forgotten_the_mean_starts_anew() -> None:
    for absence, forgotten in ((2.0, False), (1.4, False), (0.1, True), (0.1, False)):
        smoother = Smoother([EXPRESSION], 0.5)
        smoother.update([sure("neutral", 0.0)], 0.0)
        if forgotten:
            smoother.forget([1])
        (got,) = smoother.update([sure("anger", absence)], absence)

        is_anew = absence > 1.5 or forgotten
        assert (got.probabilities == got.raw) == is_anew


def test_people_and_pairs_are_kept_apart() -> None:
    pair = replace(EXPRESSION, name="relation", boxes=2)
    smoother = Smoother([EXPRESSION, pair], 0.5)
    smoother.update([sure("neutral", 0.0, (1,)), sure("anger", 0.0, (2,))], 0.0)
    smoother.update([replace(sure("fear", 0.0, (1, 2)), task="relation")], 0.0)

    one, two = smoother.update([sure("neutral", 0.1, (1,)), sure("anger", 0.1, (2,))], 0.1)
    smoother.forget([1])
    (both,) = smoother.update([replace(sure("anger", 0.1, (1, 2)), task="relation")], 0.1)

    assert one.probabilities == pytest.approx(one.raw)
    assert two.probabilities == pytest.approx(two.raw)
    assert both.probabilities == both.raw


def test_an_answer_that_comes_late_is_given_the_newer_mean() -> None:
    smoother = Smoother([EXPRESSION], 0.5)
    (newest,) = smoother.update([sure("neutral", 1.0)], 1.0)

    (late,) = smoother.update([sure("anger", 0.8)], 1.1)

    assert late.probabilities == newest.probabilities
    assert late.label == "neutral"
    assert late.raw == sure("anger", 0.8).probabilities


@pytest.mark.parametrize(("gap", "goes_on"), [(2.9, True), (3.1, False)])
def test_an_old_mean_counts_for_three_time_constants(gap: float, goes_on: bool) -> None:
    smoother = Smoother([EXPRESSION], 1.0)
    smoother.update([sure("neutral", 0.0)], 0.0)
    (after,) = smoother.update([sure("anger", gap)], gap)
    old = math.exp(-gap) if goes_on else 0.0
    assert after.probabilities is not None
    assert after.probabilities["neutral"] == pytest.approx(0.01 + 0.92 * old)


def test_hands_of_nobody_whose_ids_change_without_end_do_not_fill_the_memory() -> None:
    gesture = TASKS["gesture"]
    smoother = Smoother([gesture], 0.5)
    values = dict.fromkeys(gesture.labels, 1 / len(gesture.labels))
    for index in range(2000):
        time = index / 10
        asked = Prediction("gesture", (), index, time, gesture.labels[0], values, hands=(index,))
        smoother.update([asked], time)
        assert len(smoother._means) <= 1 + 3 * 0.5 * 10
