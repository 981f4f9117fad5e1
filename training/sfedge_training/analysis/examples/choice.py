"""Which samples a picture shows: some drawn at random, or successes alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import torch
from numpy.typing import NDArray

from sfedge.core.decode import highest
from sfedge.core.errors import UsageError
from sfedge.core.tasks import TASKS
from sfedge.scoring.figures import gaze_distances
from sfedge_training.data.sample import Sample, Split
from sfedge_training.loop.evaluate import Predictor, predict
from sfedge_training.loop.metrics import peak_point

# A predicted gaze point is a success up to this distance from the nearest annotator's, in
# fractions of the picture. The paper does not say; its model's mean is 0.065 (table 1).
NEAR = 0.1
_AT_ONCE = 64  # samples answered between two looks at how many successes there are


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A sample with the model's answer."""

    sample: Sample
    answer: NDArray[np.floating]  # [labels] probabilities, or [64, 64] heatmap in [0, 1]

    @property
    def label(self) -> int:
        """Index of the most probable label."""
        return int(highest(self.answer[None])[0])

    @property
    def point(self) -> tuple[float, float]:
        """Where the heatmap is highest, in fractions, as the scores take it."""
        return peak_point(self.answer)

    @property
    def nearest(self) -> float:
        """Distance from `point` to the nearest of the annotators' points, in fractions."""
        return gaze_distances(self.point, self.sample.points)[1]

    @property
    def mean(self) -> float:
        """Distance from `point` to the mean of the annotators' points, in fractions."""
        return gaze_distances(self.point, self.sample.points)[0]

    @property
    def is_success(self) -> bool:
        """The label is the true one, or the point is near an annotator's."""
        if TASKS[self.sample.task].output == "heatmap":
            return self.nearest <= NEAR
        return self.label == self.sample.label


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The first samples of a random order, or the first of them that the model answers well."""

    count: int
    split: Split = "test"
    seed: int = 0
    successes: bool = False

    def __str__(self) -> str:
        if not self.successes:
            return f"Drawn at random from the {self.split} split (seed {self.seed})."
        return (
            f"Successes alone, not representative of the model: the first {self.count} met in a "
            f"random order of the {self.split} split (seed {self.seed})."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What a choice leads to, for one task."""

    task: str
    examples: tuple[Example, ...]
    answered: int  # samples that were answered until there were enough
    of: int  # samples of the task in the split

    def __str__(self) -> str:
        successes = sum(example.is_success for example in self.examples)
        is_map = TASKS[self.task].output == "heatmap"
        what = f"at most {NEAR:g} from an annotator's point" if is_map else "right"
        first = f"{successes} of the first {self.answered} answers {what}"
        return f"{first} (samples in the split: {self.of})"


def choose(
    model: Predictor, samples: Sequence[Sample], choice: Choice, *, device: torch.device
) -> Chosen:
    """Answers to a choice from samples of one task.

    Args:
        model: answers.
        samples: all of the split, at least one.
        choice: how many, and which.
        device: where the model runs.

    Raises:
        UsageError: there are fewer samples, or successes, than the choice asks for.
        DataError: a picture cannot be read, or an answer is no number.
    """
    task = samples[0].task
    if choice.count > len(samples):
        _too_many(choice, len(samples), f"samples of {task} in the {choice.split} split")
    order = [samples[i] for i in np.random.default_rng(choice.seed).permutation(len(samples))]
    found: list[Example] = []
    at_once = _AT_ONCE if choice.successes else choice.count
    for start in range(0, len(order), at_once):
        part = order[start : start + at_once]
        answers = predict(model, part, device=device)
        for place, pair in enumerate(zip(part, answers, strict=True), start=start + 1):
            example = Example(*pair)
            if example.is_success or not choice.successes:
                found.append(example)
            if len(found) == choice.count:
                return Chosen(task=task, examples=tuple(found), answered=place, of=len(order))
    _too_many(choice, len(found), f"successes among {len(order)} answers to {task}")


def _too_many(choice: Choice, found: int, what: str) -> NoReturn:
    raise UsageError(
        f"{choice.count} are asked for, there are {found} {what}",
        where="--count",
        fix="Ask for fewer." if found else "",
    )
