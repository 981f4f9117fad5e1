"""The figures of right and wrong answers, and their intervals, against scikit-learn and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from sfedge.scoring.bootstrap import intervals
from sfedge.scoring.figures import (
    accuracy,
    area_under_roc,
    balanced_accuracy,
    calibration_error,
    class_f1s,
    class_precisions,
    class_recalls,
    confusion,
    macro_f1,
)

CLASSES = 4  # and no answer, which is one more


@given(
    st.lists(
        st.tuples(st.integers(0, CLASSES - 1), st.integers(0, CLASSES)), min_size=1, max_size=60
    )
)
def test_counts_are_those_of_scikit_learn_with_no_answer_as_a_class_of_its_own(
    pairs: list[tuple[int, int]],
) -> None:
    labels, answers = np.array(pairs).T
    table = confusion(labels, answers, CLASSES)
    whole = confusion_matrix(labels, answers, labels=range(CLASSES + 1))
    assert (table == whole[:CLASSES]).all()
    assert accuracy(table) == pytest.approx(np.mean(labels == answers))

    names = range(CLASSES)
    occurs, is_answered = table.sum(axis=1) > 0, table[:, :CLASSES].sum(axis=0) > 0
    settings = {"labels": names, "average": None, "zero_division": 0}
    for own, reference, is_defined in (
        (class_recalls(table), recall_score(labels, answers, **settings), occurs),
        (class_precisions(table), precision_score(labels, answers, **settings), is_answered),
        (class_f1s(table), f1_score(labels, answers, **settings), occurs | is_answered),
    ):
        assert (np.isnan(own) == ~is_defined).all()
        assert own[is_defined] == pytest.approx(reference[is_defined])

    present = np.flatnonzero(occurs)
    recalls = recall_score(labels, answers, labels=present, average="macro", zero_division=0)
    assert balanced_accuracy(table) == pytest.approx(recalls)
    met = np.flatnonzero(occurs | is_answered)
    f1 = f1_score(labels, answers, labels=met, average="macro", zero_division=0)
    assert macro_f1(table) == pytest.approx(f1)


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 62))
def test_area_under_roc_is_that_of_scikit_learn(seed: int, levels: int, positive: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.integers(0, levels, (9, 7)) / levels
    truth = np.zeros((9, 7), dtype=bool)
    truth.reshape(-1)[random.choice(63, positive, replace=False)] = True
    assert area_under_roc(scores, truth) == pytest.approx(
        roc_auc_score(truth.reshape(-1), scores.reshape(-1)), abs=1e-12
    )


@pytest.mark.parametrize("value", [False, True])
def test_area_under_roc_refuses_a_single_class(value: bool) -> None:
    with pytest.raises(ValueError, match="both classes"):
        area_under_roc(np.zeros((2, 2)), np.full((2, 2), value))


def test_area_under_roc_is_exact_on_a_whole_picture() -> None:
    random = np.random.default_rng(0)
    scores = random.random((480, 640), dtype=np.float32)
    truth = np.zeros(scores.shape, dtype=bool)
    truth[random.integers(0, 480, 10), random.integers(0, 640, 10)] = True
    reference = roc_auc_score(truth.reshape(-1), scores.reshape(-1))
    assert area_under_roc(scores, truth) == pytest.approx(reference, abs=1e-12)


@given(st.integers(0, 2**32 - 1), st.integers(10, 30))
def test_calibration_error_is_the_gap_of_scikit_learns_curve(seed: int, in_a_bin: int) -> None:
    random = np.random.default_rng(seed)
    certainty = random.permutation(np.linspace(0.3, 1.0, 15 * in_a_bin))
    right = random.random(len(certainty)) < certainty**2
    shares, means = calibration_curve(right, certainty, n_bins=15, strategy="quantile")
    # Its bins may differ by one sample at each border.
    assert calibration_error(certainty, right) == pytest.approx(
        float(np.abs(shares - means).mean()), abs=2 / in_a_bin
    )


def test_calibration_error_by_hand() -> None:
    certainty = np.array([0.9] * 10 + [0.6] * 10)
    right = np.array([True] * 7 + [False] * 3 + [True] * 8 + [False] * 2)
    assert calibration_error(certainty, right) == pytest.approx((0.2 + 0.2) / 2)
    # Fewer than twenty are one bin, in which the two gaps of different sign nearly cancel.
    assert calibration_error(certainty[1:], right[1:]) == pytest.approx(
        abs(certainty[1:].mean() - right[1:].mean())
    )
    assert np.isnan(calibration_error(certainty[:0], right[:0]))


def test_of_hundred_intervals_about_95_hold_the_truth() -> None:
    random = np.random.default_rng(5)
    truth, held = 0.8, 0
    for seed in range(200):
        right = random.random(120) < truth
        found = intervals(
            np.arange(120), lambda of, right=right: {"a": right[of].mean()}, rounds=300, seed=seed
        )
        held += found["a"][0] <= truth <= found["a"][1]
    assert 0.90 <= held / 200 <= 0.99


def test_samples_of_one_group_are_one_observation() -> None:
    random = np.random.default_rng(5)
    of_people = random.random(30) < 0.6
    once = intervals(np.arange(30), lambda of: {"a": of_people[of].mean()})
    ten_times = np.repeat(of_people, 10)
    groups = np.repeat(np.arange(30), 10)
    assert intervals(groups, lambda of: {"a": ten_times[of].mean()}) == once
    low, high = intervals(np.arange(300), lambda of: {"a": ten_times[of].mean()})["a"]
    assert high - low < (once["a"][1] - once["a"][0]) / 2


def test_an_interval_is_the_same_for_the_same_seed_and_nan_where_nothing_is_defined() -> None:
    def figures(of: np.ndarray) -> dict[str, float]:
        return {"mean": float(of.mean()), "none": float("nan")}

    first, again = (intervals(np.arange(50), figures, rounds=50, seed=3) for _ in range(2))
    assert first["mean"] == again["mean"]
    assert np.isnan(first["none"]).all()
    assert intervals(np.arange(50), figures, rounds=50, seed=4)["mean"] != first["mean"]
