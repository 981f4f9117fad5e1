"""Pictures whose answers are known by construction: are sides and directions right?

The pictures lie in the folder of this module's name, with `answers.json`: rendered people who turn
head or eyes, look into the camera, or raise a hand. They are made by
`sfedge_training.humans.known_answer_pictures`. Each is shown as it is and in the mirror, where left
and right change places.
"""

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image as Pictures

from sfedge.core.config import RunConfig
from sfedge.core.errors import DataError
from sfedge.core.landmarks import Points
from sfedge.core.structures import Frame, Image, Prediction, Track
from sfedge.core.tasks import Task
from sfedge.diagnostics.face_direction import eyes_by_irises, head_by_key_points, head_by_mesh
from sfedge.inference.hand_answers import settled
from sfedge.inference.plan import IntervalPlanner
from sfedge.inference.query_landmarks import with_landmarks
from sfedge.runtime import own_parts
from sfedge.runtime.protocols import Detector, Model
from sfedge.tracking.track import Tracker

FOLDER = Path(__file__).parent / "known_answers"
TOLERANCE = 0.3  # of the frame: mean distance of gaze points from where the mirror puts them
MOST = 0.6  # share of the pictures in which a label may be another one in the mirror
_OPPOSITE = 0.75  # share of answers that may be the opposite; with more, a sign is wrong
_FEWEST = 4  # answers, or pairs of them, from which it is reported; fewer show nothing

_GAZE = "gaze"  # the task whose points lie where head and eyes turn
_SIDES: Mapping[str, Literal["left", "right"]] = {"left": "right", "right": "left"}
_ACROSS = {-1: "to the left", 0: "neither left nor right", 1: "to the right"}
_DOWN = {-1: "up", 0: "neither up nor down", 1: "down"}


@dataclass(frozen=True, slots=True)
class Truth:
    """What is true of a picture. Directions are signs in the picture: right and down positive."""

    head: tuple[int, int]  # x and y; 0 where it is not turned
    eyes: int  # x, in the head
    hand: Literal["left", "right"] | None  # that is raised: the person's own
    labels: Mapping[str, str]  # by task

    @property
    def gaze(self) -> tuple[int, int]:
        """Where the person looks, seen from the face."""
        return self.head[0] or self.eyes, self.head[1]

    @property
    def mirrored(self) -> "Truth":
        """What is true in the mirror."""
        head, hand = (-self.head[0], self.head[1]), self.hand and _SIDES[self.hand]
        return Truth(head, -self.eyes, hand, self.labels)


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """A picture, (H, W, 3) RGB and square, with what is true of it."""

    name: str
    image: Image
    truth: Truth

    @property
    def mirrored(self) -> "Known":
        """The same in the mirror."""
        image = np.ascontiguousarray(self.image[:, ::-1])
        return Known(f"the mirror image of {self.name}", image, self.truth.mirrored)


@dataclass(frozen=True, slots=True)
class Tally:
    """How many of a task's answers were right, of those whose truth is known."""

    task: str
    asked: int
    right: int


@dataclass(frozen=True, slots=True)
class Findings:
    """What came of the pictures; sentences without full stops."""

    pictures: int = 0  # each shown twice
    answered: int = 0  # those that the model was asked about
    tallies: tuple[Tally, ...] = ()  # of the model's tasks
    detector: tuple[str, ...] = ()  # wrong sides and directions
    model: tuple[str, ...] = ()  # what does not go with the mirror, or is the opposite
    wrong: tuple[str, ...] = ()  # answers of the model that are not the known ones

    @property
    def problems(self) -> tuple[str, ...]:
        """All mistakes of sides and directions; a wrong answer alone is none."""
        return self.detector + self.model


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """A picture with what was found and answered."""

    known: Known
    person: Track | None  # whose face is the largest
    sides: tuple[str, ...]  # of the hands that are seen
    face: Points | None  # (FACE_POINTS, 3) where the detector has a mesh
    answers: Mapping[str, Prediction] = field(default_factory=dict)  # by task, the first of each


_Pair = tuple[_Seen, _Seen]  # as it is, and in the mirror


class _Verdict(NamedTuple):
    """What an answer is, held against a known one."""

    what: str  # plural: what is compared
    wrong: str  # a sentence; "" where the answer is right
    is_opposite: bool = False


def known_pictures(folder: Path = FOLDER) -> tuple[list[Known], tuple[str, ...]]:
    """The pictures, and the tasks whose labels are the same in the mirror.

    Args:
        folder: holds the pictures and `answers.json`.

    Raises:
        DataError: a file is missing or damaged.
    """
    found = []
    try:
        table = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
        for name, row in table["pictures"].items():
            with Pictures.open(folder / name) as picture:
                image = np.array(picture.convert("RGB"))
            found.append(Known(name, image, Truth(**{**row, "head": tuple(row["head"])})))
        return found, tuple(table["same_in_mirror"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"the pictures with known answers cannot be read ({error})",
            where=str(folder),
            fix="Install sfedge again: they are a part of it.",
        ) from error


def check_known_answers(
    detector: Detector, model: Model | None = None, *, patience: float = math.inf
) -> Findings:
    """Run a detector and a model on all pictures and their mirror images.

    Args:
        detector: gives landmarks of faces and sides of hands; its method `face_points`, where it
            has one, is checked, too.
        model: is asked those of its tasks that the pictures are for, whichever it has; None for
            the detector alone.
        patience: seconds after which the model is asked no more, so that a slow one is asked about
            the first pictures only, which are of all kinds.

    Raises:
        DataError: a picture is missing or damaged.
        SfedgeError: the detector or the model failed.
    """
    pictures, same = known_pictures()
    tasks = [] if model is None else [t for t in model.tasks if _is_asked(t, same)]
    begun, answered = time.monotonic(), 0
    pairs: list[_Pair] = []
    for known in pictures:
        if time.monotonic() - begun > patience:
            model = None
        first = _look(known, detector, model, tasks)
        pairs.append((first, _look(known.mirrored, detector, model, tasks)))
        answered += model is not None
    found = [sentence for pair in pairs for seen in pair for sentence in _detector_problems(seen)]
    pairs = pairs[:answered]
    problems: list[str] = []
    wrong: list[str] = []
    tallies = []
    for task in tasks if pairs else ():
        in_mirror = _point_problems if task.output == "heatmap" else _label_problems
        verdicts = _verdicts(task, pairs)
        problems += [*in_mirror(task, pairs), *_opposites(task, verdicts)]
        mistaken = [verdict.wrong for verdict in verdicts if verdict.wrong]
        wrong += mistaken
        if verdicts:
            tallies.append(Tally(task.name, len(verdicts), len(verdicts) - len(mistaken)))
    return Findings(
        len(pictures),
        len(pairs) if tasks else 0,
        tuple(tallies),
        tuple(found),
        tuple(problems),
        tuple(wrong),
    )


def _is_asked(task: Task, same: Sequence[str]) -> bool:
    return task.people == 1 and (task.name in same or task.output == "heatmap")


def _look(known: Known, detector: Detector, model: Model | None, tasks: Sequence[Task]) -> _Seen:
    """Look at a picture as a run looks at a photograph."""
    frame = Frame(known.image, 0, 0.0, known.name, starts_scene=True)
    reset = getattr(detector, "reset", None)
    if callable(reset):
        reset()
    detections = own_parts.detections_of(detector.detect(frame))
    scene = Tracker().update(detections, frame)
    faces = [track for track in scene.people if track.face is not None]
    person = max(faces, key=lambda track: track.face.area if track.face else 0.0, default=None)
    hands = (*(hand for track in scene.people for hand in track.hands), *scene.hands)
    sides = tuple(hand.side or "of no side" for hand in hands if not hand.from_body)
    find = own_parts.face_points_of(detector)
    points = None
    if find is not None and person is not None and person.face is not None:
        points = find(frame, person.face, person.face_landmarks)
    answers: dict[str, Prediction] = {}
    if model is not None and tasks:
        most = RunConfig().max_people
        planner = IntervalPlanner(tasks, interval=0.0, max_people=most, max_pairs=0)
        queries = planner.plan(scene, frame.time)
        if getattr(model, "reads_landmarks", False):
            queries = with_landmarks(queries, scene, frame, find)
        found = settled(own_parts.answers(model, frame, queries)) if queries else []
        # What is answered of others counts where nothing is of that person.
        found.sort(key=lambda answer: person is None or person.id not in answer.people)
        for answer in found:
            answers.setdefault(answer.task, answer)
    return _Seen(known, person, sides, points, answers)


def _detector_problems(seen: _Seen) -> Iterator[str]:
    name, truth = seen.known.name, seen.known.truth
    if truth.hand is not None and set(seen.sides) != {truth.hand}:
        found = " and ".join(seen.sides) if seen.sides else "no hand"
        yield f"{name}: the raised hand is the person's {truth.hand} one, found is {found}"
    if seen.person is None:
        yield f"{name}: no face is found"
        return
    heads = []
    if seen.person.face_landmarks is not None:
        heads.append(("the key points of the face", head_by_key_points(seen.person.face_landmarks)))
    if seen.face is not None:
        heads.append(("the mesh of the face", head_by_mesh(seen.face)))
    for what, (x, y) in heads:
        if truth.head[0] and x != truth.head[0]:
            yield f"{name}: the head turns {_ACROSS[truth.head[0]]}, {what}: {_ACROSS[x]}"
        if truth.head[1] and y != truth.head[1]:
            yield f"{name}: the head turns {_DOWN[truth.head[1]]}, {what}: {_DOWN[y]}"
    if seen.face is not None and truth.eyes:
        x = eyes_by_irises(seen.face)
        if x != truth.eyes:
            yield f"{name}: the eyes turn {_ACROSS[truth.eyes]}, the irises: {_ACROSS[x]}"


def _in_mirror(task: Task, pairs: Sequence[_Pair]) -> list[tuple[Truth, Prediction, Prediction]]:
    """What is true of a picture, and the task's answers, as it is and in the mirror."""
    return [
        (one.known.truth, one.answers[task.name], other.answers[task.name])
        for one, other in pairs
        if task.name in one.answers and task.name in other.answers
    ]


def _label_problems(task: Task, pairs: Sequence[_Pair]) -> Iterator[str]:
    """A sentence where a task's labels do not go with the mirror.

    Where the truth is known, one of the two has to be right: two wrong answers show no side.
    """
    both = _in_mirror(task, pairs)
    differ = 0
    for truth, one, other in both:
        known = _known_label(task, truth)
        differ += one.label != other.label and known in (None, one.label, other.label)
    if len(both) >= _FEWEST and differ > MOST * len(both):
        yield f"{task.name}: {differ} of {len(both)} pictures get another answer in the mirror"


def _point_problems(task: Task, pairs: Sequence[_Pair]) -> Iterator[str]:
    """Sentences where the points looked at do not go with the mirror."""
    answers = [(one.point, other.point) for _, one, other in _in_mirror(task, pairs)]
    both = [points for points in answers if None not in points]
    if len(both) < _FEWEST:
        return
    points = np.array(both, np.float64)
    first, mirrored = points[:, 0], points[:, 1]
    for what, away in (
        ("the mirror's side", np.abs(mirrored[:, 0] - (1 - first[:, 0])).mean()),
        ("their height", np.abs(mirrored[:, 1] - first[:, 1]).mean()),
    ):
        if away > TOLERANCE:
            yield (
                f"{task.name}: in the mirror, points are off {what} by {away:.2f} of the picture "
                f"on average; {TOLERANCE:g} is allowed"
            )


def _opposites(task: Task, verdicts: Sequence[_Verdict]) -> Iterator[str]:
    """Sentences where a task's answers are the opposite of the known ones."""
    for what in dict.fromkeys(verdict.what for verdict in verdicts):
        same = [verdict for verdict in verdicts if verdict.what == what]
        opposite = sum(verdict.is_opposite for verdict in same)
        if len(same) >= _FEWEST and opposite > _OPPOSITE * len(same):
            yield f"{task.name}: {opposite} of {len(same)} {what} are the opposite of the known"


def _known_label(task: Task, truth: Truth) -> str | None:
    """The known label of a task; None where nobody knows it, or the model never gives it."""
    label = truth.labels.get(task.name)
    return label if label in task.labels and label not in task.unproven else None


def _verdicts(task: Task, pairs: Sequence[_Pair]) -> list[_Verdict]:
    """What each answer is whose truth is known; one that is missing is wrong."""
    judge = _point_verdict if task.output == "heatmap" else _label_verdict
    judged = [judge(task, seen) for pair in pairs for seen in pair]
    return [verdict for verdict in judged if verdict is not None]


def _label_verdict(task: Task, seen: _Seen) -> _Verdict | None:
    known, answer = seen.known, seen.answers.get(task.name)
    truth = _known_label(task, known.truth)
    if truth is None:
        return None
    if answer is None:
        return _Verdict("answers", f"{known.name}: {task.name} is {truth}, there is no answer")
    if answer.label == truth:
        return _Verdict("answers", "")
    wrong = f"{known.name}: {task.name} is {truth}, the answer is {answer.label}"
    return _Verdict("answers", wrong, is_opposite=len(task.labels) == 2)


def _point_verdict(task: Task, seen: _Seen) -> _Verdict | None:
    """Whether a point looked at lies on the side of the face that head and eyes turn to.

    It is the opposite only beyond the face: who points to the middle of each picture is wrong, but
    takes no side for another.
    """
    known, answer = seen.known, seen.answers.get(task.name)
    if task.name != _GAZE or not any(known.truth.gaze):
        return None
    axis = 0 if known.truth.gaze[0] else 1
    side, what = known.truth.gaze[axis], ("sides", "heights")[axis]
    way = (_ACROSS, _DOWN)[axis]
    if answer is None or answer.point is None or seen.person is None or seen.person.face is None:
        return _Verdict(what, f"{known.name}: {task.name} goes {way[side]}, there is no answer")
    face, place = seen.person.face, answer.point[axis]
    found = int(np.sign(place - face.centre[axis]))
    if found == side:
        return _Verdict(what, "")
    wrong = f"{known.name}: {task.name} goes {way[side]}, the answer {way[found]}"
    low, high = ((face.x1, face.x2), (face.y1, face.y2))[axis]
    return _Verdict(what, wrong, is_opposite=found == -side and not low <= place <= high)
