"""The figures of a task from single answers, against scikit-learn and numpy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    f1_score,
    recall_score,
    roc_auc_score,
    top_k_accuracy_score,
)

from sfedge.core.structures import Prediction
from sfedge.core.tasks import NO_GESTURE, TASKS, Task
from sfedge.scoring.asking import Answered, Question
from sfedge.scoring.labels_table import OUTSIDE, Row
from sfedge.scoring.matching import Matched, judge
from sfedge.scoring.task_score import Draws, TaskScore, score_task

DRAWS = Draws(rounds=30, seed=0)


def row(task: str, label: str, number: int, *, group: str = "", **other: str) -> Row:
    picture = f"{number}.jpg"
    return Row(number, picture, task, label, None, (), "", "", group or picture, other)


def answered(
    task: Task, label: str, values: np.ndarray | None, number: int, **other: str
) -> Answered:
    """A question with an answer of these probabilities; None for nobody found."""
    of = row(task.name, label, number, **other)
    question = Question(of, (of,))
    if values is None:
        return Answered(question, Matched("not found"))
    probabilities = dict(zip(task.labels, values.tolist(), strict=True))
    best = max(probabilities, key=lambda name: probabilities[name])
    unsure = probabilities[best] < task.threshold
    given = Prediction(task.name, (1,), 0, 0.0, best, probabilities, is_unsure=unsure)
    return Answered(question, Matched("answered", (given,)), judge([given], task, label))


def score(task: Task, of: list[Answered], *by: str) -> TaskScore:
    return score_task(task, of, by=by, draws=DRAWS)


@settings(max_examples=20)
@given(
    st.lists(st.tuples(st.integers(0, 7), st.booleans()), min_size=3, max_size=30),
    st.integers(0, 2**32 - 1),
)
def test_the_figures_are_those_of_scikit_learn(pairs: list[tuple[int, bool]], seed: int) -> None:
    task = TASKS["expression"]
    random = np.random.default_rng(seed)
    values = random.dirichlet([0.3] * 8, len(pairs))
    labels, is_found = np.array([label for label, _ in pairs]), np.array([f for _, f in pairs])
    of = [
        answered(task, task.labels[label], values[n] if found else None, n)
        for n, (label, found) in enumerate(pairs)
    ]
    found = score(task, of)
    value = {name: figure.value for name, figure in found.figures.items()}

    answers = np.where(is_found, values.argmax(axis=1), 8)
    sure = values.max(axis=1) >= task.threshold
    only_sure = np.where(is_found & sure, answers, 8)
    present = np.unique(labels)
    met = sorted({*present.tolist(), *answers.tolist()} - {8})
    assert value["accuracy"] == pytest.approx(np.mean(answers == labels))
    assert value["accuracy_unsure_wrong"] == pytest.approx(np.mean(only_sure == labels))
    for name, given_ in (("", answers), ("_unsure_wrong", only_sure)):
        recalls = recall_score(labels, given_, labels=present, average="macro", zero_division=0)
        assert value[f"balanced_accuracy{name}"] == pytest.approx(recalls)
    if met:
        f1 = f1_score(labels, answers, labels=met, average="macro", zero_division=0)
        assert value["macro_f1"] == pytest.approx(f1)
    if is_found.all():
        top = top_k_accuracy_score(labels, values, k=3, labels=range(8))
        assert value["top_3"] == pytest.approx(top)
    assert value["not_found"] == pytest.approx(1 - is_found.mean())
    if is_found.any():
        assert value["unsure"] == pytest.approx(1 - sure[is_found].mean())
    assert found.confusion.sum() == len(pairs)
    assert found.confusion[:, -1].sum() == (~is_found).sum()
    for one in found.classes:
        place = task.labels.index(one.label)
        assert (one.samples, one.answers) == ((labels == place).sum(), (answers == place).sum())
        if one.samples:
            right = np.mean(only_sure[labels == place] == place)
            assert one.figures["recall_unsure_wrong"].value == pytest.approx(right)
    for figure in found.figures.values():
        assert np.isnan(figure.low) or figure.low <= figure.high


def test_two_labels_have_an_area_under_the_curve_of_who_was_found() -> None:
    task = TASKS["looking_at_me"]
    random = np.random.default_rng(1)
    looking = random.random(40)
    truth = random.random(40) < looking
    of = [
        answered(task, task.labels[int(not t)], np.array([p, 1 - p]), n)
        for n, (p, t) in enumerate(zip(looking, truth, strict=True))
    ]
    found = score(task, [*of, answered(task, "looking", None, 99)])
    area = found.figures["area_under_roc"]
    assert area.value == pytest.approx(roc_auc_score(truth, looking))
    assert area.low < area.value < area.high
    assert "top_3" not in found.figures
    alone = score(task, [one for one, t in zip(of, truth, strict=True) if t])
    assert np.isnan(alone.figures["area_under_roc"].value)


def test_a_gesture_where_there_is_none_is_counted_by_hand() -> None:
    task = TASKS["gesture"]
    sure, unsure = np.full(33, 0.1 / 32), np.full(33, 0.7 / 32)
    sure[0], unsure[0] = 0.9, 0.3
    of = [answered(task, NO_GESTURE, values, n) for n, values in enumerate((sure, unsure, unsure))]
    of += [answered(task, "call", sure, 9), answered(task, NO_GESTURE, None, 10)]
    found = score(task, of)
    assert found.figures["gesture_where_none"].value == pytest.approx(1 / 3)
    assert found.labels == ["call", NO_GESTURE]
    assert found.confusion.tolist() == [[1, 0, 0], [3, 0, 1]]
    assert "gesture_where_none" not in score(task, of[3:4]).figures


def test_columns_are_scored_apart_and_their_spread_is_reported() -> None:
    task = TASKS["looking_at_me"]
    right, wrong = np.array([0.9, 0.1]), np.array([0.1, 0.9])
    of = [answered(task, "looking", right, n, age="young") for n in range(40)]
    of += [
        answered(task, "looking", wrong if n < 20 else right, 50 + n, age="old") for n in range(40)
    ]
    of += [answered(task, "looking", wrong, 200, age="")]
    (part,) = score(task, of, "age").parts
    assert part.samples == {"old": 40, "young": 40}
    assert [part.figures[name]["accuracy"].value for name in ("old", "young")] == [0.5, 1.0]
    assert part.spread.value == 0.5
    assert part.spread.low < 0.5 < part.spread.high
    assert part.beyond == pytest.approx(1.0 - part.figures["old"]["accuracy"].high)
    assert 0.2 < part.beyond < 0.45


def gaze(number: int, point: tuple[float, float] | None, truth: object, peak: float) -> Answered:
    of = row("gaze", OUTSIDE if truth is None else "", number)
    points = () if truth is None else tuple(truth)
    question = Question(of, (of,))
    if point is None:
        return Answered(question, Matched("not found"), points=points)
    given = Prediction("gaze", (1,), 0, 0.0, point=point, peak=peak, is_unsure=peak < 0.2)
    return Answered(question, Matched("answered", (given,)), points=points)


def test_gaze_has_distances_the_middle_s_beside_it_and_tells_inside_from_outside() -> None:
    of = [
        gaze(0, (0.2, 0.5), [(0.2, 0.5), (0.4, 0.5)], 0.9),
        gaze(1, (0.9, 0.9), [(0.9, 0.5)], 0.1),
        gaze(2, None, [(0.5, 0.9)], 0.0),
        gaze(3, (0.1, 0.1), None, 0.5),
        gaze(4, (0.1, 0.1), None, 0.05),
    ]
    found = score(TASKS["gaze"], of)
    value = {name: figure.value for name, figure in found.figures.items()}
    assert value["distance"] == pytest.approx((0.1 + 0.4 + 0.4) / 3)
    assert value["middle_distance"] == pytest.approx((0.2 + 0.4 + 0.4) / 3)
    assert value["distance_when_answered"] == pytest.approx(0.25)
    assert value["nearest_when_answered"] == pytest.approx(0.2)
    assert value["in_picture_area_under_roc"] == pytest.approx(
        roc_auc_score([1, 1, 0, 0], [0.9, 0.1, 0.5, 0.05])
    )
    assert (value["unsure"], value["not_found"]) == (0.5, 0.2)
    assert not found.labels
    assert not found.classes


def test_intervals_are_over_the_groups_of_the_table() -> None:
    task = TASKS["looking_at_me"]
    right, wrong = np.array([0.9, 0.1]), np.array([0.1, 0.9])
    of = [
        answered(task, "looking", right if n % 2 else wrong, n, group=f"person {n % 4}")
        for n in range(80)
    ]
    found = score(task, of)
    assert (found.samples, found.groups) == (80, 4)
    assert found.figures["accuracy"].low <= 0.25
