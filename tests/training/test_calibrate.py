"""Temperature and threshold: what they must come to on answers whose truth is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax

from sfedge.core.decode import decode, values_of
from sfedge.core.errors import DataError
from sfedge.core.tasks import NO_GESTURE, TASKS
from sfedge_training.__main__ import main
from sfedge_training.data.sample import Sample
from sfedge_training.loop import calibrate as calibrating
from sfedge_training.loop.calibrate import as_calibrated, calibrated
from sfedge_training.loop.checkpoint import load_model, save_model
from sfedge_training.loop.recipe import Recipe
from sfedge_training.model.model_config import PRESETS
from sfedge_training.model.social_fusion import build_model

TASK = TASKS["domain"]


def answers(
    temperature: float, count: int = 4000, scale: float = 3.0
) -> tuple[NDArray[np.float64], list[int]]:
    """Probabilities that are too high by a temperature, and the truth."""
    random = np.random.default_rng(0)
    honest = random.normal(size=(count, 3)) * scale
    truth = [int(random.choice(3, p=row)) for row in softmax(honest, axis=1)]
    return softmax(honest * temperature, axis=1), truth


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_probabilities_become_those_with_which_answers_are_right(temperature: float) -> None:
    probabilities, truth = answers(temperature)
    found = calibrated(TASK, probabilities, truth)
    assert found.temperature == pytest.approx(temperature, rel=0.08)
    assert found.error < 0.02
    if temperature != 1.0:
        assert found.error_before > 2 * found.error
    assert found.answers == 4000


def test_of_what_is_sure_nine_of_ten_are_right_where_a_quarter_is_enough_for_that() -> None:
    probabilities, truth = answers(1.0, scale=4.0)
    found = calibrated(TASK, probabilities, truth)
    assert 0 < found.unsure <= 0.25
    assert found.right_if_sure == pytest.approx(0.9, abs=0.005)
    best = replace(TASK, temperature=found.temperature, threshold=found.threshold)
    answered = decode(best, values_of(best, np.log(probabilities)))
    is_right = answered.best == np.array(truth)
    assert is_right[~answered.is_unsure].mean() == pytest.approx(found.right_if_sure, abs=1e-4)
    assert answered.is_unsure.mean() == pytest.approx(found.unsure, abs=1e-4)


def test_nothing_is_sure_that_is_more_likely_wrong() -> None:
    """Nine of ten are right with all of them sure, but a few have a probability of 0.4."""
    truth = np.arange(1000) % 3
    sure = np.where(np.arange(1000) < 60, 0.4, 0.95)
    predicted = np.where((sure == 0.4) & (np.arange(1000) % 5 < 3), (truth + 1) % 3, truth)
    probabilities = np.tile((1 - sure[:, None]) / 2, (1, 3))
    probabilities[np.arange(1000), predicted] = sure
    found = calibrated(TASK, probabilities, truth.tolist())
    assert found.unsure == pytest.approx(0.06)
    assert found.right_if_sure == 1.0
    assert found.threshold >= 0.5


def test_few_idle_hands_are_surely_said_to_make_a_gesture() -> None:
    """Nine of ten answers are right, but the wrong ones are about hands without a gesture."""
    task = replace(TASK, labels=("palm", "fist", NO_GESTURE))
    random = np.random.default_rng(1)
    truth = np.repeat([0, 1, 2], 500)
    predicted = np.where((truth == 2) & (random.random(1500) < 0.3), 0, truth)
    sure = np.where(
        predicted == truth, random.uniform(0.76, 1.0, 1500), random.uniform(0.5, 0.8, 1500)
    )
    probabilities = np.tile((1 - sure[:, None]) / 2, (1, 3))
    probabilities[np.arange(1500), predicted] = sure
    found = calibrated(task, probabilities, truth.tolist())
    best = replace(task, temperature=found.temperature, threshold=found.threshold)
    answers = decode(best, values_of(best, np.log(probabilities)))
    is_false = (truth == 2) & (answers.best != 2) & ~answers.is_unsure
    assert found.unsure <= 0.25
    assert is_false.sum() <= 0.02 * 500 + 2  # the threshold is rounded down
    plain = calibrated(TASK, probabilities, truth.tolist())
    assert plain.threshold < found.threshold


def test_more_than_a_quarter_is_never_unsure_and_a_sure_model_always_says_so() -> None:
    hard = calibrated(TASK, *answers(1.0, scale=0.5))
    assert hard.unsure == pytest.approx(0.25, abs=0.01)
    assert hard.right_if_sure < 0.9
    easy = calibrated(TASK, np.eye(3)[[0, 1, 2] * 30] * 0.97 + 0.01, [0, 1, 2] * 30)
    assert (easy.unsure, easy.right_if_sure) == (0.0, 1.0)
    with pytest.raises(DataError, match="domain: 49 answers are too few"):
        calibrated(TASK, np.full((49, 3), 1 / 3), [0] * 49)


def test_the_command_writes_it_into_the_models_card(
    drawings: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "model"
    recipe = Recipe(datasets=("ego4d_lam", "hagrid"))
    card = {"model": {"encoder": "tiny"}, "splits": {"scores": "test"}}
    save_model(folder, build_model(PRESETS["tiny"]), recipe, card)
    asked: list[str] = []

    def predicted(_: object, samples: list[Sample], **__: object) -> NDArray[np.float64]:
        asked.append(samples[0].task)
        return np.tile(np.linspace(1, 2, 33) / 49.5, (len(samples), 1))

    monkeypatch.setattr(calibrating, "predict", predicted)
    words = ["calibrate", str(folder), str(drawings), "--datasets", "hagrid"]
    with pytest.raises(DataError, match="no task has the 50 samples"):
        main.main(words, standalone_mode=False)
    monkeypatch.setattr(calibrating, "_FEWEST", 1)
    main.main(words, standalone_mode=False)

    assert asked == ["gesture"]
    assert "gesture        temperature" in capsys.readouterr().out
    _, _, card = load_model(folder)
    assert card["model"] == {"encoder": "tiny"}
    assert card["splits"] == {"scores": "test", "calibration": "val"}
    found = card["calibration"]["gesture"]
    task = as_calibrated(TASKS["gesture"], card)
    assert (task.temperature, task.threshold) == (found["temperature"], found["threshold"])
    assert as_calibrated(TASKS["looking_at_me"], card) == TASKS["looking_at_me"]
