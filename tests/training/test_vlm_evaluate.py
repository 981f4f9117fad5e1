"""Answers in text to figures, beside scikit-learn; what is no answer is wrong."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, recall_score

from sfedge.core.tasks import TASKS
from sfedge_training.baselines.vlm.vlm_evaluate import TextAnswers, answer_figures, point_figures
from sfedge_training.data.sample import Sample

RELATIONS = len(TASKS["relation"].labels)
NONE = RELATIONS  # here: an answer that cannot be read
ANSWERS = st.lists(
    st.tuples(st.integers(0, RELATIONS - 1), st.integers(0, NONE)), min_size=1, max_size=30
)


def printed(task: str, answers: list[int]) -> tuple[str, ...]:
    return tuple((*TASKS[task].answers, "none of them")[answer] for answer in answers)


@given(ANSWERS)
def test_counts_are_scikit_learns_with_unparsable_answers_as_a_wrong_class(
    pairs: list[tuple[int, int]],
) -> None:
    labels = np.array([label for label, _ in pairs])
    answers = [answer for _, answer in pairs]
    figures = answer_figures("relation", TextAnswers(printed("relation", answers), None), labels)

    present = sorted(set(labels.tolist()))
    met = sorted({*present, *answers} - {NONE})
    assert figures["unparsable"] == answers.count(NONE)
    assert figures["accuracy"] == pytest.approx(np.mean(labels == answers))
    recalls = recall_score(labels, answers, labels=present, average=None, zero_division=0)
    assert figures["balanced_accuracy"] == pytest.approx(recalls.mean())
    assert figures["macro_f1"] == pytest.approx(
        f1_score(labels, answers, labels=met, average="macro", zero_division=0)
    )
    for label, recall in zip(present, recalls, strict=True):
        assert figures[f"recall_{TASKS['relation'].labels[label]}"] == pytest.approx(recall)


@given(ANSWERS, st.data())
def test_an_answer_that_cannot_be_read_never_helps(
    pairs: list[tuple[int, int]], data: st.DataObject
) -> None:
    labels = np.array([label for label, _ in pairs])
    answers = [answer for _, answer in pairs]
    place = data.draw(st.integers(0, len(pairs) - 1))
    answers[place] = int(labels[place])
    right = answer_figures("relation", TextAnswers(printed("relation", answers), None), labels)
    answers[place] = NONE
    lost = answer_figures("relation", TextAnswers(printed("relation", answers), None), labels)
    for key in ("accuracy", "balanced_accuracy", "macro_f1"):
        assert lost[key] <= right[key] + 1e-12, key
    assert lost["unparsable"] == right["unparsable"] + 1


def test_samples_are_ranked_by_the_first_tokens_probabilities() -> None:
    random = np.random.default_rng(0)
    scores = random.dirichlet(np.ones(RELATIONS), 60)
    labels = random.integers(0, RELATIONS, 60)
    answers = scores.argmax(axis=1).tolist()
    figures = answer_figures("relation", TextAnswers(printed("relation", answers), scores), labels)
    truth = np.eye(RELATIONS)[labels]
    expected = average_precision_score(truth, scores, average="macro")
    assert figures["mean_average_precision"] == pytest.approx(expected)

    answers[7] = NONE
    without = scores.copy()
    without[7, labels[7]] = -1
    figures = answer_figures("relation", TextAnswers(printed("relation", answers), scores), labels)
    expected = average_precision_score(truth, without, average="macro")
    assert figures["mean_average_precision"] == pytest.approx(expected)
    assert expected < average_precision_score(truth, scores, average="macro")


def test_of_two_labels_an_unparsable_answer_means_the_wrong_one_in_full() -> None:
    labels = np.array([0, 0, 1, 1])  # looking twice, then not
    sure = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.2, 0.8]])
    good = TextAnswers(("Yes", "Yes", "No", "No"), sure)
    assert answer_figures("looking_at_me", good, labels)["mean_average_precision"] == 1
    for place in range(4):
        texts = tuple("Maybe" if i == place else text for i, text in enumerate(good.texts))
        figures = answer_figures("looking_at_me", TextAnswers(texts, sure), labels)
        assert figures["mean_average_precision"] < 0.85
        assert figures["accuracy"] == 0.75


def test_gaze_is_measured_at_the_point_that_was_answered() -> None:
    samples = [gaze((0.2, 0.2), (0.4, 0.2)), gaze((0.5, 0.5))]
    figures = point_figures(["(200,600)", "(500,500)"], samples)
    assert figures == pytest.approx(
        {
            "samples": 2,
            "average_l2": math.hypot(0.1, 0.4) / 2,
            "minimum_l2": 0.4 / 2,
            "centre_average_l2": math.hypot(0.2, 0.3) / 2,
            "unparsable": 0,
        }
    )
    lost = point_figures(["somewhere", "(500,500)"], samples)
    assert lost["unparsable"] == 1
    assert lost["average_l2"] == lost["minimum_l2"] == pytest.approx(math.sqrt(2) / 2)


def gaze(*points: tuple[float, float]) -> Sample:
    return Sample(image=Path("nowhere.png"), task="gaze", points=points)
