"""The measures against scikit-learn, brute force and the official evaluations' own numbers."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, recall_score, roc_auc_score

from sfedge.core.tasks import TASKS
from sfedge.scoring.figures import gaze_distances
from sfedge_training.data.sample import Sample
from sfedge_training.loop.evaluate import PAPER_MEASURES, gaze_figures, label_figures
from sfedge_training.loop.metrics import (
    gaze_area_under_roc,
    interpolated_average_precision,
    looking_average_precisions,
    mean_average_precision,
    peak_point,
)

Case = tuple[np.ndarray, np.ndarray]
Points = list[tuple[float, float]]


@st.composite
def scored(draw: st.DrawFn) -> Case:
    """Scores with ties or all the same, and labels of some of 2 to 5 classes."""
    classes = draw(st.integers(2, 5))
    count = draw(st.integers(1, 40))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scores = random.integers(0, draw(st.sampled_from([1, 3, 1000])), (count, classes)) / 10
    occurring = random.permutation(classes)[: draw(st.integers(1, classes))]
    return scores, random.choice(occurring, count)


@given(scored())
def test_average_precision_is_that_of_scikit_learn(case: Case) -> None:
    scores, labels = case
    present = np.unique(labels)
    reference = np.mean([average_precision_score(labels == c, scores[:, c]) for c in present])
    assert mean_average_precision(scores, labels) == pytest.approx(reference, abs=1e-12)


def test_average_precision_is_not_interpolated() -> None:
    # Labels 0 1 1 0 in order of score: precision at the two hits is 1/2 and 2/3; the interpolated
    # form would give 2/3 for both. The other class, scored in reverse, has hits at ranks 1 and 4.
    scores = np.array([[0.6, 0.9], [0.7, 0.8], [0.8, 0.7], [0.9, 0.6]])
    second, first = 0.5 * 0.5 + 0.5 * 2 / 3, 0.5 * 1 + 0.5 * 2 / 4
    assert mean_average_precision(scores, np.array([0, 1, 1, 0])) == pytest.approx(
        (first + second) / 2
    )


def voc_average_precision(truth: list[bool]) -> float:
    """Ego4D's official average precision, row by row, of samples in order of their scores."""
    hits, points = 0, [(0.0, 0.0)]
    for rank, is_hit in enumerate(truth, start=1):
        hits += is_hit
        points.append((hits / sum(truth), hits / rank))
    points.append((1.0, 0.0))
    area, reached = 0.0, 0.0
    for place, (recall, _) in enumerate(points):
        best = max(precision for _, precision in points[place:])
        area += (recall - reached) * best
        reached = recall
    return area


@pytest.mark.parametrize(
    ("labels", "interpolated", "plain"),
    [([1, 0, 1, 0], 5 / 6, 5 / 6), ([0, 1, 1, 0], 2 / 3, 7 / 12)],
)
def test_the_two_kinds_of_average_precision_by_hand(
    labels: list[int], interpolated: float, plain: float
) -> None:
    scores, truth = np.array([0.9, 0.8, 0.7, 0.6]), np.array(labels, dtype=bool)
    assert interpolated_average_precision(scores, truth) == pytest.approx(interpolated)
    assert average_precision_score(truth, scores) == pytest.approx(plain)


@given(st.permutations(range(12)), st.lists(st.booleans(), min_size=12, max_size=12))
def test_ego4d_average_precisions_are_the_official_ones(
    ranks: list[int], looking: list[bool]
) -> None:
    scores, truth = np.array(ranks) / 12, np.array(looking)
    order = np.argsort(-scores)
    expected = [
        voc_average_precision(one.tolist()) if one.any() else math.nan
        for one in (truth[order], ~truth[order[::-1]])
    ]
    assert looking_average_precisions(scores, truth) == pytest.approx(expected, nan_ok=True)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=6))
def test_with_ties_it_is_the_least_that_any_order_of_equal_scores_gives(
    cases: list[tuple[int, bool]],
) -> None:
    scores = np.array([score for score, _ in cases]) / 2
    truth = np.array([is_hit for _, is_hit in cases])
    if not truth.any():
        assert math.isnan(interpolated_average_precision(scores, truth))
        return
    orders = [
        one
        for one in itertools.permutations(range(len(cases)))
        if (np.diff(scores[[*one]]) <= 0).all()
    ]
    least = min(voc_average_precision(truth[[*one]].tolist()) for one in orders)
    assert interpolated_average_precision(scores, truth) == pytest.approx(least)


def test_constant_scores_give_the_share_of_each_class() -> None:
    looking = np.array([True, False, False, False])
    scores = np.full(4, 0.3)
    assert looking_average_precisions(scores, looking) == pytest.approx((0.25, 0.75))
    both = np.stack([scores, 1 - scores], axis=1)
    assert mean_average_precision(both, np.where(looking, 0, 1)) == pytest.approx(0.5)


def gaze_lle_scores(heatmap: np.ndarray, points: Points, size: tuple[int, int]) -> list[float]:
    """AUC, average and minimum L2 of Gaze-LLE's evaluation, by scikit-learn and loops."""
    width, height = size
    target = np.zeros((height, width))
    for x, y in points:
        if x >= 0:
            target[min(int(y * height), height - 1), min(int(x * width), width - 1)] = 1
    resized = torch.nn.functional.interpolate(
        torch.tensor(heatmap)[None, None], (height, width), mode="bilinear"
    )
    area = roc_auc_score(target.reshape(-1), resized.reshape(-1).numpy())
    row, column = divmod(int(np.argmax(heatmap.reshape(-1))), 64)
    apart = [math.hypot(column / 64 - x, row / 64 - y) for x, y in points]
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    average = math.hypot(column / 64 - mean_x, row / 64 - mean_y)
    return [area, average, min(apart)]


coordinates = st.floats(0, 1, width=32)
annotated = st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=10)


@settings(max_examples=30)
@given(annotated, st.integers(5, 90), st.integers(5, 90), st.integers(0, 99), st.integers(1, 9))
def test_gaze_scores_are_those_of_gaze_lle(
    points: Points, width: int, height: int, seed: int, levels: int
) -> None:
    random = np.random.default_rng(seed)
    heatmap = (random.integers(0, levels, (64, 64)) / 10).astype(np.float32)
    area, average, nearest = gaze_lle_scores(heatmap, points, (width, height))
    assert gaze_area_under_roc(heatmap, points, (width, height)) == pytest.approx(area, abs=1e-12)
    assert gaze_distances(peak_point(heatmap), points) == pytest.approx((average, nearest))


def test_an_annotators_point_with_negative_x_marks_no_pixel() -> None:
    heatmap = np.zeros((64, 64), dtype=np.float32)
    heatmap[32, 32] = 1
    there = [(0.51, 0.51)]
    assert gaze_area_under_roc(heatmap, there, (64, 64)) == 1.0
    assert gaze_area_under_roc(heatmap, [*there, (-1.0, -1.0)], (64, 64)) == 1.0


def test_the_gaze_point_is_the_corner_of_the_highest_cell() -> None:
    heatmap = np.zeros((64, 64))
    heatmap[16, 32] = 1
    assert peak_point(heatmap) == (0.5, 0.25)


def test_gaze_distances_are_to_the_mean_point_and_to_the_nearest() -> None:
    average, nearest = gaze_distances((0.5, 0.25), [(0.5, 0.25), (0.7, 0.25)])
    assert average == pytest.approx(0.1)
    assert nearest == 0


def random_answers(task: str, count: int = 50) -> Case:
    random = np.random.default_rng(7)
    classes = len(TASKS[task].labels)
    answers = random.random((count, classes))
    return answers / answers.sum(axis=1, keepdims=True), random.integers(0, classes, count)


def test_looking_at_me_is_scored_as_ego4d_does() -> None:
    answers, labels = random_answers("looking_at_me")
    figures = label_figures("looking_at_me", answers, labels)
    looking = TASKS["looking_at_me"].labels.index("looking")
    score, truth = answers[:, looking], labels == looking
    of_looking = voc_average_precision(truth[np.argsort(-score)].tolist())
    of_not = voc_average_precision((~truth)[np.argsort(score)].tolist())
    assert figures["average_precision_looking"] == pytest.approx(of_looking)
    assert figures["mean_average_precision"] == pytest.approx((of_looking + of_not) / 2)
    assert figures["mean_average_precision"] > mean_average_precision(answers, labels)
    assert figures["accuracy"] == pytest.approx(np.mean((score >= 0.5) == truth))


def test_faces_of_one_kind_alone_still_have_scores() -> None:
    looking, not_looking = (
        TASKS["looking_at_me"].labels.index(n) for n in ("looking", "not_looking")
    )
    answers = np.array([[0.7, 0.3], [0.2, 0.8]])
    none = label_figures("looking_at_me", answers, np.full(2, not_looking))
    assert none["mean_average_precision"] == 1.0
    assert "average_precision_looking" not in none
    everyone = label_figures("looking_at_me", answers, np.full(2, looking))
    assert everyone["average_precision_looking"] == everyone["mean_average_precision"] == 1.0


def test_relations_have_the_recall_of_each_class_that_occurs() -> None:
    answers, labels = random_answers("relation")
    labels[labels == 4] = 0
    figures = label_figures("relation", answers, labels)
    chosen = answers.argmax(axis=1)
    recalls = recall_score(labels, chosen, labels=range(6), average=None, zero_division=0)
    names = TASKS["relation"].labels
    expected = {f"recall_{name}": recalls[i] for i, name in enumerate(names) if i != 4}
    own = {key: value for key, value in figures.items() if key.startswith("recall_")}
    assert own == pytest.approx(expected)
    one_hot = np.eye(6)[labels][:, [0, 1, 2, 3, 5]]
    macro = average_precision_score(one_hot, answers[:, [0, 1, 2, 3, 5]], average="macro")
    assert figures["mean_average_precision"] == pytest.approx(macro)


def test_every_column_of_the_papers_tables_is_among_the_scores() -> None:
    tasks = {measure.task for measure in PAPER_MEASURES}
    assert tasks == set(TASKS)
    heatmaps = np.random.default_rng(1).random((2, 64, 64), dtype=np.float32)
    people = [Sample(Path("x.jpg"), "gaze", points=((0.2, 0.4), (0.3, 0.4)), size=(40, 30))] * 2
    figures = {
        task: gaze_figures(heatmaps, people)
        if task == "gaze"
        else label_figures(task, *random_answers(task))
        for task in tasks
    }
    for measure in PAPER_MEASURES:
        value = figures[measure.task][measure.key]
        assert 0 <= value <= 1 or measure.less_is_better, measure
    expected = np.mean(
        [gaze_lle_scores(heatmap, [*people[0].points], (40, 30)) for heatmap in heatmaps], axis=0
    )
    gaze = figures["gaze"]
    assert [gaze["area_under_roc"], gaze["average_l2"], gaze["minimum_l2"]] == pytest.approx(
        expected.tolist()
    )
