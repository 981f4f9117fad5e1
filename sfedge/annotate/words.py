"""Answers in words: what, how sure, how old."""

from collections.abc import Iterable, Sequence

from sfedge.core.frame_result import FrameResult
from sfedge.core.structures import Prediction
from sfedge.core.tasks import Task

_NOW = 0.05  # seconds; a younger answer would read 0.0 s


class Words:
    """The words of answers to some tasks.

    Args:
        tasks: those of the model that answers.
    """

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._tasks = {task.name: task for task in tasks}

    def whole(self, answer: Prediction) -> str:
        """An answer in words, a label with its probability; "?" where it is unsure."""
        words = self._tasks[answer.task].words(answer.label)
        sure = "" if answer.label is None else f" {_probability(answer):.0%}"
        return f"{words}{sure}{' ?' if answer.is_unsure else ''}"

    def short(self, answer: Prediction) -> str:
        """The label, after the task's glyph where it does not speak for itself."""
        task = self._tasks[answer.task]
        label = (answer.label or "").replace("_", " ")
        words = label if task.words(answer.label) == label else f"{task.glyph} {label}"
        return f"{words.strip()}{'?' if answer.is_unsure else ''}"


def surest_by_task(answers: Iterable[Prediction]) -> tuple[Prediction, ...]:
    """Each task's most informative answer, ordered by task so that lines keep their places."""
    best: dict[str, Prediction] = {}
    for answer in answers:
        if answer.task not in best or informativeness(answer) > informativeness(best[answer.task]):
            best[answer.task] = answer
    return tuple(best[task] for task in sorted(best))


def informativeness(answer: Prediction) -> tuple[bool, bool, float]:
    """A key to compare: positive answers above "no …", sure above unsure, then by probability."""
    is_negative = (answer.label or "no_").startswith(("no_", "not_"))
    return not is_negative, not answer.is_unsure, _probability(answer)


def age_text(answers: Sequence[Prediction], result: FrameResult) -> str:
    """The age of the oldest of some answers; "" where all are about this very frame."""
    seconds = max((result.age(answer) for answer in answers), default=0.0)
    if seconds < _NOW:
        return ""
    return f"{seconds:.1f}s" if seconds < 9.95 else f"{seconds:.0f}s"


def _probability(answer: Prediction) -> float:
    if answer.label is None or answer.probabilities is None:
        return answer.peak or 0.0
    return answer.probabilities[answer.label]
