"""Pictures with known answers: a model that is right passes, each kind of mistake is reported."""

import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sfedge.core.boxes import Box
from sfedge.core.decode import answered
from sfedge.core.errors import DataError
from sfedge.core.face_points import LEFT_IRIS, RIGHT_IRIS
from sfedge.core.landmarks import Points
from sfedge.core.structures import Detection, Frame, Prediction, Query
from sfedge.core.tasks import HEATMAP_SIZE, NO_GESTURE, TASKS, Task
from sfedge.detect.registry import build_detector
from sfedge.detect.tiled_detector import TiledDetector
from sfedge.diagnostics import known_answers
from sfedge.diagnostics.known_answers import (
    FOLDER,
    Findings,
    Tally,
    Truth,
    check_known_answers,
    known_pictures,
)

Seen = tuple[list[Detection], Points]  # detections, and the points of the face
Found = dict[str, Seen]  # by name of the picture
Mistake = Callable[[list[Detection], Points], Seen]
Said = str | tuple[float, float]  # a label, or a point

ASKED = tuple(TASKS[name] for name in ("expression", "gesture", "looking_at_me", "gaze"))
NAMES = [known.name for known in known_pictures()[0]]
TRUTHS = {
    known.name: known.truth
    for picture in known_pictures()[0]
    for known in (picture, picture.mirrored)
}


def as_found(detections: list[Detection], points: Points | None) -> Seen:
    assert points is not None
    return detections, points


class Recorder:
    """The default detector, whose findings are kept."""

    def __init__(self, detector: TiledDetector) -> None:
        self._detector, self.reset = detector, detector.reset
        self._detections: dict[str, list[Detection]] = {}
        self.found: Found = {}

    def detect(self, frame: Frame) -> Sequence[Detection]:
        self._detections[frame.file] = self._detector.detect(frame)
        return self._detections[frame.file]

    def face_points(self, frame: Frame, face: Box, key_points: Points | None) -> Points | None:
        points = self._detector.face_points(frame, face, key_points)
        self.found[frame.file] = as_found(self._detections[frame.file], points)
        return points


class Recorded:
    """What the real networks found in each picture, with a mistake made in it.

    Args:
        found: by name of the picture, detections and the points of the face.
        mistaken: makes the mistake.
    """

    def __init__(
        self,
        found: Found,
        mistaken: Mistake = as_found,
    ) -> None:
        self._found, self._mistaken = found, mistaken

    def detect(self, frame: Frame) -> Sequence[Detection]:
        return self._mistaken(*self._found[frame.file])[0]

    def face_points(self, frame: Frame, face: Box, key_points: Points | None) -> Points | None:
        return self._mistaken(*self._found[frame.file])[1]


class Knowing:
    """A model that knows the answers, or says what `say` says of a picture's truth and task."""

    def __init__(
        self,
        say: Callable[[str, Truth, Task], Said] | None = None,
        tasks: Sequence[Task] = ASKED,
    ) -> None:
        self.tasks = tuple(tasks)
        self._say = say or right
        self.asked = 0

    def answer(self, frame: Frame, queries: Sequence[Query]) -> list[Prediction]:
        self.asked += len(queries)
        return [self._answer(frame, query) for query in queries]

    def _answer(self, frame: Frame, query: Query) -> Prediction:
        task = query.task
        said = self._say(frame.file, TRUTHS[frame.file], task)
        asked = Prediction(task.name, query.people, frame.index, frame.time, hands=query.hands)
        if isinstance(said, str):
            return answered(asked, task, np.array([float(x == said) for x in task.labels]))
        cells = np.zeros((HEATMAP_SIZE, HEATMAP_SIZE), np.float32)
        cells[int(said[1] * HEATMAP_SIZE), int(said[0] * HEATMAP_SIZE)] = 1.0
        return answered(asked, task, cells)


def right(name: str, truth: Truth, task: Task) -> Said:
    if task.output == "heatmap":
        return towards(*truth.gaze)
    return truth.labels.get(task.name, "neutral")


def towards(x: int, y: int) -> tuple[float, float]:
    return 0.5 + 0.4 * x, 0.5 + 0.4 * y


@pytest.fixture(scope="module")
def looked() -> tuple[Findings, Found]:
    """What comes of the default detector, and what it finds in each picture."""
    with closing(build_detector(width=0, height=0, face_mesh=True)) as detector:
        assert isinstance(detector, TiledDetector)
        recorder = Recorder(detector)
        return check_known_answers(recorder), recorder.found


@pytest.fixture
def found(looked: tuple[Findings, Found]) -> Found:
    return looked[1]


def test_the_pictures_are_small_and_of_all_kinds() -> None:
    files = [*FOLDER.glob("*.jpg")]
    assert {path.name for path in files} == {*NAMES}
    assert max(path.stat().st_size for path in files) <= 12 * 1024
    assert sum(path.stat().st_size for path in files) <= 200 * 1024
    truths = [truth for name, truth in TRUTHS.items() if name in NAMES]
    assert {truth.head for truth in truths} == {(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)}
    assert {truth.eyes for truth in truths} == {-1, 0, 1}
    assert {truth.hand for truth in truths} == {None, "left", "right"}
    assert all(known.image.shape == (352, 352, 3) for known in known_pictures()[0])


@pytest.mark.parametrize("lost", ["answers.json", "head-up.jpg"])
def test_a_file_that_is_lost_or_damaged_is_reported(lost: str, tmp_path: Path) -> None:
    folder = shutil.copytree(FOLDER, tmp_path / "known")
    damaged = folder / lost
    damaged.write_bytes(b"{")
    for _ in range(2):
        with pytest.raises(DataError, match="cannot be read") as raised:
            known_pictures(folder)
        assert str(folder) in str(raised.value)
        damaged.unlink(missing_ok=True)


def test_in_the_mirror_sides_change_and_heights_and_labels_stay() -> None:
    truth = Truth((1, -1), -1, "left", {"gesture": "palm"})
    assert truth.mirrored == Truth((-1, -1), 1, "right", {"gesture": "palm"})
    assert truth.mirrored.mirrored == truth


def test_the_default_detector_takes_no_side_for_another(looked: tuple[Findings, Found]) -> None:
    findings, found = looked
    assert findings == Findings(pictures=len(NAMES))
    assert found.keys() == TRUTHS.keys()  # a face was seen in all


def test_a_model_that_knows_the_answers_has_them_all_right(found: Found) -> None:
    findings = check_known_answers(Recorded(found), Knowing())
    assert findings == Findings(
        pictures=14,
        answered=14,
        tallies=(Tally("gesture", 8, 8), Tally("looking_at_me", 28, 28), Tally("gaze", 16, 16)),
    )


def test_a_model_is_asked_those_tasks_alone_that_it_knows(found: Found) -> None:
    labels = (*TASKS["gesture"].labels[:-1], NO_GESTURE)
    sees_hands = replace(TASKS["gesture"], view="hand", labels=labels)
    few = (TASKS["expression"], sees_hands, TASKS["looking_at_me"])
    findings = check_known_answers(Recorded(found), Knowing(tasks=few))
    assert findings.problems == findings.wrong == ()
    assert findings.tallies == (Tally("gesture", 8, 8), Tally("looking_at_me", 28, 28))


def test_what_a_model_can_never_answer_is_not_held_against_it(found: Found) -> None:
    gesture = TASKS["gesture"]
    without = tuple(label if label != "palm" else "hand" for label in gesture.labels)
    for task in (replace(gesture, labels=without), replace(gesture, unproven=("palm",))):
        findings = check_known_answers(Recorded(found), Knowing(lambda *asked: "fist", [task]))
        assert findings.answered == 14
        assert findings.tallies == ()
        assert findings.model == ()


@pytest.mark.parametrize("name", ["relation", "own"])
def test_a_model_of_other_tasks_is_asked_nothing(found: Found, name: str) -> None:
    task = TASKS.get(name) or replace(TASKS["expression"], name=name)
    model = Knowing(tasks=[task])
    assert check_known_answers(Recorded(found), model) == Findings(pictures=14)
    assert model.asked == 0


def swapped_sides(detections: list[Detection], points: Points) -> Seen:
    other = {"left": "right", "right": "left"}
    turned = [
        replace(one, side=other[one.side])  # type: ignore[arg-type]
        if one.kind == "hand" and one.side in other
        else one
        for one in detections
    ]
    return turned, points


def no_hands(detections: list[Detection], points: Points) -> Seen:
    return [one for one in detections if one.kind != "hand"], points


def flipped_faces(detections: list[Detection], points: Points) -> Seen:
    """The points of faces turned over, their boxes as they are."""
    turned = []
    for one in detections:
        if one.kind == "face" and one.landmarks is not None:
            one = replace(one, landmarks=np.abs(one.landmarks - (1, 0)))
        turned.append(one)
    return turned, np.abs(points - np.array([1, 0, 0], np.float32))


def swapped_eyes(detections: list[Detection], points: Points) -> Seen:
    """Each iris on the other side of the middle of its eye."""
    turned = points.copy()
    middle = (points[:, 0].max() + points[:, 0].min()) / 2
    turned[[RIGHT_IRIS, LEFT_IRIS], 0] = 2 * middle - points[[LEFT_IRIS, RIGHT_IRIS], 0]
    return detections, turned


def nobody(detections: list[Detection], points: Points) -> Seen:
    return [], points


@pytest.mark.parametrize(
    ("mistaken", "count", "sentence"),
    [
        (
            swapped_sides,
            8,
            "palm-left-1.jpg: the raised hand is the person's left one, found is right",
        ),
        (no_hands, 8, "palm-right-2.jpg: the raised hand is the person's right one, "),
        (
            flipped_faces,
            20,  # heads by key points and mesh, eyes by irises
            "the mirror image of head-left-2.jpg: the head turns to the left, the mesh of the "
            "face: to the right",
        ),
        (swapped_eyes, 4, "eyes-left.jpg: the eyes turn to the right, the irises: "),
        (nobody, 28 + 8, "straight-1.jpg: no face is found"),
    ],
    ids=["sides", "no hands", "x", "eyes", "nobody"],
)
def test_a_detector_that_mistakes_a_side_is_reported(
    found: Found,
    mistaken: Mistake,
    count: int,
    sentence: str,
) -> None:
    findings = check_known_answers(Recorded(found, mistaken))
    assert len(findings.detector) == count, findings.detector
    assert any(one.startswith(sentence) for one in findings.detector)
    assert findings.problems == findings.detector


def test_heads_that_are_upside_down_are_reported(
    found: Found,
) -> None:
    def swapped_heights(detections: list[Detection], points: Points) -> Seen:
        """The nose of a head that looks down where one is that looks up, and the reverse."""
        name = next(name for name, (one, _) in found.items() if one is detections)
        other = name.replace("head-up", "*").replace("head-down", "head-up")
        return found[other.replace("*", "head-down")]

    findings = check_known_answers(Recorded(found, swapped_heights))
    assert len(findings.detector) == 8
    assert "head-up.jpg: the head turns up, the key points of the face: down" in findings.detector


@pytest.mark.parametrize(
    ("task", "said", "problem"),
    [
        ("gaze", [(0.85, 0.5)] * 2, "gaze: in the mirror, points are off the mirror's side by 0.7"),
        ("gaze", [(0.5, 0.2), (0.5, 0.9)], "gaze: in the mirror, points are off their height by"),
        ("gesture", ["fist", "palm"], "gesture: 4 of 4 pictures get another answer in the mirror"),
        ("expression", ["anger", "fear"], "expression: 14 of 14 pictures get another answer in"),
        ("looking_at_me", ["looking", "not_looking"], "looking_at_me: 14 of 14 pictures get anoth"),
    ],
)
def test_a_model_whose_answers_do_not_go_with_the_mirror_is_reported(
    found: Found,
    task: str,
    said: list[Said],
    problem: str,
) -> None:
    def say(name: str, truth: Truth, asked: Task) -> Said:
        return said[name in NAMES] if asked.name == task else right(name, truth, asked)

    findings = check_known_answers(Recorded(found), Knowing(say))
    assert findings.detector == ()
    (problem_found,) = findings.model
    assert problem_found.startswith(problem)


@pytest.mark.parametrize(
    ("signs", "opposite"),
    [((-1, 1), "12 of 12 sides"), ((1, -1), "4 of 4 heights")],
)
def test_a_model_that_points_to_the_other_side_is_reported(
    found: Found, signs: tuple[int, int], opposite: str
) -> None:
    def say(name: str, truth: Truth, asked: Task) -> Said:
        if asked.name != "gaze":
            return right(name, truth, asked)
        return towards(signs[0] * truth.gaze[0], signs[1] * truth.gaze[1])

    findings = check_known_answers(Recorded(found), Knowing(say))
    assert findings.model == (f"gaze: {opposite} are the opposite of the known",)
    assert len(findings.wrong) == int(opposite.split()[0])


def test_a_model_that_takes_one_of_two_labels_for_the_other_is_reported(found: Found) -> None:
    def say(name: str, truth: Truth, asked: Task) -> Said:
        said = right(name, truth, asked)
        return {"looking": "not_looking", "not_looking": "looking"}.get(str(said), said)

    findings = check_known_answers(Recorded(found), Knowing(say))
    (problem_found,) = findings.model
    assert problem_found == "looking_at_me: 28 of 28 answers are the opposite of the known"


def test_wrong_answers_that_change_in_the_mirror_show_no_side(found: Found) -> None:
    def say(name: str, truth: Truth, asked: Task) -> Said:
        if asked.name != "gesture":
            return right(name, truth, asked)
        return "fist" if name in NAMES else "call"

    findings = check_known_answers(Recorded(found), Knowing(say))
    assert findings.problems == ()
    assert len(findings.wrong) == 8


def test_wrong_answers_that_go_with_the_mirror_are_no_mistakes_of_sides(
    found: Found,
) -> None:
    def say(name: str, truth: Truth, asked: Task) -> Said:
        return "fist" if asked.name == "gesture" else right(name, truth, asked)

    findings = check_known_answers(Recorded(found), Knowing(say))
    assert findings.problems == ()
    assert len(findings.wrong) == 8
    assert "palm-left-1.jpg: gesture is palm, the answer is fist" in findings.wrong


def test_a_hand_that_is_not_found_leaves_its_gesture_unanswered(
    found: Found,
) -> None:
    findings = check_known_answers(Recorded(found, no_hands), Knowing())
    assert findings.model == ()
    assert len(findings.wrong) == 8
    assert "palm-left-1.jpg: gesture is palm, there is no answer" in findings.wrong


@pytest.mark.parametrize("seconds", [0.0, 1.5, 3.5])
def test_a_slow_model_is_asked_about_the_first_pictures_alone(
    found: Found, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(monotonic=iter(range(15)).__next__)  # a second for each picture
    monkeypatch.setattr(known_answers, "time", clock)

    def opposite(name: str, truth: Truth, asked: Task) -> Said:
        return "not_looking" if right(name, truth, asked) == "looking" else "looking"

    model = Knowing(opposite, [TASKS["looking_at_me"]])
    findings = check_known_answers(Recorded(found, swapped_sides), model, patience=seconds)
    assert findings.answered == int(seconds)
    assert model.asked == len(findings.wrong) == 2 * int(seconds)
    assert bool(findings.model) == (seconds > 2)  # a pair of answers shows nothing
    assert len(findings.detector) == 8  # the detector is checked to the end
