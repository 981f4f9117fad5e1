from dataclasses import replace

import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sfedge.core.boxes import Box
from sfedge.core.decode import answered, cell_centre, decode, highest, log_probabilities, values_of
from sfedge.core.structures import Prediction
from sfedge.core.tasks import TASKS

DOMAIN = replace(TASKS["domain"], threshold=0.5)
GAZE = replace(TASKS["gaze"], threshold=0.4)
ASKED = Prediction("domain", (3, 7), 12, 0.5)
LOGITS = arrays.arrays(np.float32, (4, 3), elements=st.floats(-1000, 1000, width=32))


@given(LOGITS)
def test_probabilities_are_the_softmax_and_cells_the_sigmoid_of_the_logits(
    logits: np.ndarray,
) -> None:
    exact = logits.astype(np.float64)

    np.testing.assert_allclose(
        values_of(DOMAIN, logits),
        scipy.special.softmax(exact, axis=1),
        atol=1e-300,  # below 2e-308 numbers have fewer digits
    )
    np.testing.assert_allclose(
        log_probabilities(logits), scipy.special.log_softmax(exact, axis=1), atol=1e-12
    )
    np.testing.assert_allclose(
        values_of(GAZE, logits), scipy.special.expit(exact), rtol=1e-6, atol=1e-12
    )


@given(LOGITS)
def test_logits_and_their_values_have_the_same_highest_element(logits: np.ndarray) -> None:
    best = highest(logits)

    assert (logits[np.arange(4), best] == logits.max(axis=1)).all()
    values = values_of(DOMAIN, logits)
    assert (values[np.arange(4), best] == values.max(axis=1)).all()


def test_an_answer_is_the_most_probable_label_and_unsure_below_the_threshold() -> None:
    found = decode(DOMAIN, np.array([[0.2, 0.5, 0.3], [0.49, 0.2, 0.31]]))

    assert found.best.tolist() == [1, 0]
    assert found.certainty.tolist() == [0.5, 0.49]
    assert found.is_unsure.tolist() == [False, True]


def test_a_label_s_answer_keeps_who_was_asked_and_the_raw_probabilities() -> None:
    first = answered(ASKED, DOMAIN, np.array([0.2, 0.5, 0.3]))
    again = answered(first, DOMAIN, np.array([0.6, 0.3, 0.1]))

    assert (first.people, first.frame, first.time) == ((3, 7), 12, 0.5)
    assert (first.label, again.label) == (DOMAIN.labels[1], DOMAIN.labels[0])
    assert first.raw == first.probabilities == again.raw
    assert again.probabilities == dict(zip(DOMAIN.labels, (0.6, 0.3, 0.1), strict=True))


@pytest.mark.parametrize(
    ("view", "point"),
    [(Box(0, 0, 1, 1), (10.5 / 64, 20.5 / 64)), (Box(0.5, 0.2, 1, 0.6), None)],
)
def test_a_heatmap_s_answer_is_the_middle_of_its_highest_cell_in_the_whole_picture(
    view: Box, point: tuple[float, float] | None
) -> None:
    heatmap = np.zeros((64, 64), np.float32)
    heatmap[20, 10] = 0.39
    got = answered(replace(ASKED, task="gaze"), GAZE, heatmap, view)

    point = point or (0.5 + 0.5 * 10.5 / 64, 0.2 + 0.4 * 20.5 / 64)
    assert got.point == pytest.approx(point)
    assert cell_centre(20 * 64 + 10, view) == pytest.approx(point)
    assert got.peak == pytest.approx(0.39)
    assert got.is_unsure
    assert got.label is None
    assert got.heatmap is not None
    assert got.heatmap.dtype == np.float32


def test_an_unproven_label_is_among_the_probabilities_and_never_the_answer() -> None:
    task = replace(DOMAIN, unproven=(DOMAIN.labels[1],))
    logits = np.array([[0.0, 5.0, 1.0], [3.0, 0.0, 0.0]])
    values = values_of(task, logits)
    np.testing.assert_allclose(values, scipy.special.softmax(logits, axis=1))
    found = decode(task, values)
    assert found.best.tolist() == [2, 0]
    assert found.certainty.tolist() == pytest.approx([values[0, 2], values[1, 0]])
    assert found.is_unsure.tolist() == [True, False]


def test_a_temperature_brings_probabilities_together_and_keeps_their_order() -> None:
    logits = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32) * 4
    cooler = values_of(replace(DOMAIN, temperature=2.0), logits)
    exact = scipy.special.softmax(logits.astype(np.float64) / 2, axis=1)
    np.testing.assert_allclose(cooler, exact)
    assert (highest(cooler) == highest(values_of(DOMAIN, logits))).all()
