"""Answers in words: what, how sure, how old."""

from collections.abc import Iterable, Sequence

from sfedge.core.structures import FrameResult, Prediction

# How an answer reads on the picture; a task that is not here shows its name.
_PHRASES: dict[str, str] = {
    "expression": "{label}",
    "gesture": "{label}",
    "domain": "{label}",
    "relation": "{label}",
}
_LABELS = {"looking": "looking at me", "not_looking": "not looking at me"}
_NOW = 0.05  # seconds; a younger answer would read 0.0 s


def surest_by_task(answers: Iterable[Prediction]) -> tuple[Prediction, ...]:
    """Of each task the answer that says most, ordered by task so that lines keep their places."""
    best: dict[str, Prediction] = {}
    for answer in answers:
        if answer.task not in best or says(answer) > says(best[answer.task]):
            best[answer.task] = answer
    return tuple(best[task] for task in sorted(best))


def says(answer: Prediction) -> tuple[bool, bool, float]:
    """How much an answer says, to compare: more than "no …", more than "unsure", how sure."""
    is_negative = (answer.label or "no_").startswith(("no_", "not_"))
    return not is_negative, not answer.is_unsure, _probability(answer)


def phrase(answer: Prediction) -> str:
    """An answer in words, with its probability; "?" where it is unsure."""
    return f"{word(answer).removesuffix('?')} {_probability(answer):.0%}{_doubt(answer, ' ?')}"


def word(answer: Prediction) -> str:
    """An answer in as few words as can be; "?" where it is unsure."""
    if answer.label is None:
        return f"{answer.task}{_doubt(answer, '?')}"
    label = _LABELS.get(answer.label, answer.label.replace("_", " "))
    default = "{label}" if answer.label in _LABELS else answer.task.replace("_", " ") + " {label}"
    return _PHRASES.get(answer.task, default).format(label=label) + _doubt(answer, "?")


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


def _doubt(answer: Prediction, mark: str) -> str:
    return mark if answer.is_unsure else ""
