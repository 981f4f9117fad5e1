"""Which of a picture's answers a label is about, and what of them counts.

A label with a box is about the person, face or hand found there. A label without one is about the
whole picture: it is right if any answer is. Of the gaze, which has no right or wrong, the largest
face answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sfedge.core.boxes import Box, iou, union
from sfedge.core.frame_result import FrameResult
from sfedge.core.structures import Prediction, Track
from sfedge.core.tasks import NO_GESTURE, Task
from sfedge.inference.crop import head_box

Outcome = Literal["answered", "not found", "not asked"]

# Shared area over whole area from which what was found is what is labelled. Low, as boxes of faces
# reach to the chin or around the hair, and those of hands hold the wrist or not.
OVERLAP = 0.3
_CLOSE = 1e-9


@dataclass(frozen=True, slots=True)
class Matched:
    """The answers that a label may be compared with."""

    outcome: Outcome
    answers: tuple[Prediction, ...] = ()
    overlap: float | None = None  # of a labelled box with what was found
    box: Box | None = None  # what was found there


@dataclass(frozen=True, slots=True)
class _Thing:
    """A part of the picture that answers may be about."""

    box: Box
    people: tuple[int, ...] = ()
    hands: tuple[int, ...] = ()


def match(result: FrameResult, task: Task, boxes: Sequence[Box]) -> Matched:
    """The answers of a picture that a label of `task` is about.

    Args:
        result: what was found in the picture and answered.
        task: of the label.
        boxes: of the label, as many as the table gave.
    """
    things = _things(result, task)
    answers = tuple(answer for answer in result.fresh if answer.task == task.name)
    if task.people == 2:
        return _pair(things, answers, boxes)
    if not things:
        return Matched("not found")
    if not boxes:
        if task.output == "heatmap":
            largest = max(things, key=lambda thing: (thing.box.area, thing.box))
            return _answered(largest, answers, None)
        return Matched("answered" if answers else "not asked", answers)
    best, overlap = _nearest(things, boxes[0])
    if overlap < OVERLAP:
        return Matched("not found", overlap=overlap)
    return _answered(best, answers, overlap)


def _answered(thing: _Thing, answers: Sequence[Prediction], overlap: float | None) -> Matched:
    own = tuple(
        answer
        for answer in answers
        if (thing.hands and {*thing.hands} & {*answer.hands})
        or (not thing.hands and thing.people == answer.people)
    )
    return Matched("answered" if own else "not asked", own, overlap, thing.box)


def _pair(things: Sequence[_Thing], answers: Sequence[Prediction], boxes: Sequence[Box]) -> Matched:
    if not things:
        return Matched("not found")
    found = [_nearest(things, box) for box in boxes]
    overlap = min(each for _, each in found)
    people = {thing.people for thing, _ in found}
    if overlap < OVERLAP or len(people) < 2:
        return Matched("not found", overlap=overlap)
    own = tuple(a for a in answers if {*a.people} == {person for (person,) in people})
    return Matched("answered" if own else "not asked", own, overlap, found[0][0].box)


def _nearest(things: Sequence[_Thing], box: Box) -> tuple[_Thing, float]:
    """What overlaps most with a box, the first of equals; and how much."""
    shares = [iou(thing.box, box) for thing in things]
    best = max(shares)
    return next(
        (thing, share)
        for thing, share in zip(things, shares, strict=True)
        if share >= best - _CLOSE
    )


def _things(result: FrameResult, task: Task) -> list[_Thing]:
    """All that was found and that the task could be about.

    Of a task about hands: each hand, both hands of a person together, and the whole person. Of a
    face: its box as detected, and the whole head.
    """
    if task.is_about_hands:
        things = [_Thing(hand.box, hands=(hand.id,)) for hand in result.all_hands]
        with_hands = [track for track in result.tracks if track.hands]
        for track in with_hands:
            hands = tuple(hand.id for hand in track.hands)
            if len(hands) > 1:
                both = union([hand.box for hand in track.hands])
                things.append(_Thing(both, hands=hands))
            things.append(_Thing(track.person, people=(track.id,)))
        return things
    return [thing for track in result.tracks for thing in _of_person(track, task)]


def _of_person(track: Track, task: Task) -> list[_Thing]:
    people = (track.id,)
    if task.mark == "person":
        return [_Thing(track.person, people)]
    if track.face is None:
        return []
    return [_Thing(track.face, people), _Thing(head_box(track.face), people)]


@dataclass(frozen=True, slots=True)
class Judged:
    """The answers compared with a label."""

    answer: Prediction  # the one that counts
    is_right: bool
    rank: int  # of the label among the answer's, from 0; as many as there are labels if it is none
    first: float  # probability of the task's first label, of the picture or of who is labelled
    sure_gestures: int  # sure answers that are a gesture


def judge(answers: Sequence[Prediction], task: Task, label: str) -> Judged:
    """Compare a label with the answers that may be meant.

    The answer that counts is a right one, if any is; else the surest that is a gesture, as the
    product sums up a person's hands; else the surest. Hands without a gesture are right only if no
    answer is one.

    Args:
        answers: at least one, of one task with labels.
        task: of them.
        label: the true one; it need not be among the task's.
    """
    gestures = [answer for answer in answers if answer.label != NO_GESTURE]
    right = [answer for answer in answers if answer.label == label]
    if label == NO_GESTURE:
        is_right, meant = not gestures, gestures or answers
        ranked: Sequence[Prediction] = [max(meant, key=certainty_of)]
    else:
        is_right, meant = bool(right), right or gestures or answers
        ranked = answers
    return Judged(
        answer=max(meant, key=certainty_of),
        is_right=is_right,
        rank=min(_rank(answer, task, label) for answer in ranked),
        first=max(_probability(answer, task.labels[0]) for answer in answers),
        sure_gestures=sum(not answer.is_unsure for answer in gestures),
    )


def certainty_of(answer: Prediction) -> float:
    """The probability of its label."""
    return _probability(answer, answer.label or "")


def _probability(answer: Prediction, label: str) -> float:
    return (answer.probabilities or {}).get(label, 0.0)


def _rank(answer: Prediction, task: Task, label: str) -> int:
    """How many labels come before this one; the answer's own label comes first."""
    if answer.label == label:
        return 0
    if label not in task.labels:
        return len(task.labels)
    own = _probability(answer, label)
    ahead = sum(_probability(answer, other) >= own for other in task.labels if other != label)
    return max(ahead, 1)
