"""The landmarks that queries carry, from the detector to the model."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.special
import small_bundle
from fake_parts import BODY, FACE, HAND, IMAGE, Camera, Slow
from numpy.typing import NDArray

import sfedge
from sfedge.core.boxes import FULL, Box, from_pixels, to_pixels, within
from sfedge.core.face_points import FACE_POINTS, face_points
from sfedge.core.landmarks import (
    BODY_POINTS,
    HAND_POINTS,
    HandLandmarks,
    Landmarks,
    Points,
    landmark_vector,
    present,
)
from sfedge.core.structures import Detection, Frame, Hand, Prediction, Query, Scene, Side, Track
from sfedge.core.tasks import TASKS
from sfedge.detect.conversion import networks
from sfedge.detect.mediapipe.detected_points import FoundFace
from sfedge.detect.mediapipe.face_mesh import FaceMesh
from sfedge.inference.crop import view_of
from sfedge.inference.query_landmarks import with_landmarks

FRAME = Frame(IMAGE, 0, 0.0)
ASPECT = IMAGE.shape[1] / IMAGE.shape[0]


def points_in(box: Box, count: int, width: int = 3) -> Points:
    values = np.random.default_rng(count).uniform(0, 1, (count, width))
    values[:, :2] = (box.x1, box.y1) + values[:, :2] * (box.width, box.height)
    return values.astype(np.float32)


def hand(id_: int, x: float, side: Side | None, *, is_known: bool = True) -> Hand:
    box = Box(x, 0.3, x + 0.05, 0.4)
    return Hand(
        id_, box, side, 0.9, 0.0, landmarks=points_in(box, HAND_POINTS) if is_known else None
    )


BOTH = (hand(3, 0.33, "right"), hand(5, 0.6, "left"))
PERSON = Track(
    1, BODY, FACE, BOTH, 0.0, 0.0,
    body_landmarks=points_in(BODY, BODY_POINTS), face_landmarks=points_in(FACE, 6, 2),
)  # fmt: skip


def query(task: str, people: tuple[int, ...], hands: tuple[int, ...] = ()) -> Query:
    return Query(TASKS[task], people, FULL, (), hands)


def mesh(frame: Frame, face: Box, key_points: Points | None) -> Points | None:
    return points_in(face, FACE_POINTS)


@pytest.mark.parametrize(
    ("asked", "order"), [((3,), (0, 1)), ((5,), (1, 0)), ((3, 5), (0, 1)), ((), (0, 1))]
)
def test_the_hand_that_is_asked_about_comes_first(
    asked: tuple[int, ...], order: tuple[int, int]
) -> None:
    (found,) = with_landmarks([query("gesture", (1,), asked)], Scene((PERSON,)), FRAME, mesh)

    hands = [HandLandmarks(BOTH[i].landmarks, BOTH[i].side) for i in order]  # type: ignore[arg-type]
    wanted = Landmarks(tuple(hands), PERSON.body_landmarks, points_in(FACE, FACE_POINTS))
    assert found.landmarks == pytest.approx(landmark_vector(wanted, FULL, ASPECT))


def test_a_hand_without_landmarks_gets_those_of_no_other_hand() -> None:
    scene = Scene((replace(PERSON, hands=(hand(3, 0.33, "right", is_known=False), BOTH[1])),))

    first, second = with_landmarks(
        [query("gesture", (1,), (3,)), query("gesture", (1,), (5,))], scene, FRAME, None
    )

    assert first.landmarks is not None
    assert second.landmarks is not None
    assert present(first.landmarks) == ("body",)
    assert present(second.landmarks) == ("hand", "body")


def test_a_view_brings_the_landmarks_of_what_it_shows() -> None:
    of_hand = replace(TASKS["gesture"], view="hand")
    asked = [query("expression", (1,)), Query(of_hand, (1,), FULL, (), (3,))]

    face, both = with_landmarks(asked, Scene((PERSON,)), FRAME, mesh)

    assert face.landmarks is not None
    assert both.landmarks is not None
    assert present(face.landmarks) == ("face", "eyes")
    assert present(both.landmarks) == ("hand", "other_hand")


def test_a_hand_of_nobody_has_landmarks_and_a_pair_has_none() -> None:
    scene = Scene((PERSON, replace(PERSON, id=2)), (hand(9, 0.8, None),))

    free, pair = with_landmarks(
        [query("gesture", (), (9,)), query("relation", (1, 2))], scene, FRAME, mesh
    )

    assert free.landmarks is not None
    assert pair.landmarks is not None
    assert present(free.landmarks) == ("hand",)
    assert present(pair.landmarks) == ()


def test_a_face_is_looked_at_once_however_much_is_asked() -> None:
    seen: list[tuple[Box, NDArray[np.float32] | None]] = []

    def find(frame: Frame, face: Box, key_points: Points | None) -> Points | None:
        seen.append((face, key_points))
        return mesh(frame, face, key_points)

    faceless = replace(PERSON, id=2, face=None)
    tasks = [query("expression", (1,)), query("gaze", (1,)), query("gesture", (2,), (3,))]
    found = with_landmarks(tasks, Scene((PERSON, faceless)), FRAME, find)

    assert seen == [(FACE, PERSON.face_landmarks)]
    parts = [present(one.landmarks) for one in found if one.landmarks is not None]
    assert [("face" in part) for part in parts] == [True, True, False]


class Sees:
    """A detector of one person with landmarks; its faces have points where it is asked."""

    def __init__(self) -> None:
        self.faces: list[Box] = []

    def detect(self, frame: Frame) -> list[Detection]:
        return [
            Detection("person", BODY, 0.9, landmarks=points_in(BODY, BODY_POINTS)),
            Detection("face", FACE, 0.9, landmarks=points_in(FACE, 6, 2)),
            Detection("hand", HAND, 0.9, side="left", landmarks=points_in(HAND, HAND_POINTS)),
        ]

    def face_points(self, frame: Frame, face: Box, key_points: Points | None) -> Points | None:
        assert key_points is not None
        self.faces.append(face)
        return points_in(face, FACE_POINTS)


class Reads(Slow):
    """A model that keeps its queries."""

    def __init__(self, reads_landmarks: bool) -> None:
        super().__init__(tasks=[replace(TASKS["gesture"], view="hand"), TASKS["expression"]])
        self.reads_landmarks = reads_landmarks
        self.queries: list[Query] = []

    def answer(self, frame: Frame, queries: Sequence[Query]) -> list[Prediction]:
        self.queries += queries
        return super().answer(frame, queries)


@pytest.mark.parametrize("live", [False, True])
def test_a_model_that_reads_landmarks_gets_them_with_each_query(live: bool) -> None:
    model, detector = Reads(True), Sees()

    source = Camera(20) if live else [IMAGE] * 2

    with sfedge.Pipeline(source, model=model, detector=detector) as run:  # type: ignore[arg-type]
        run.run()

    assert model.queries
    for asked in model.queries:
        assert asked.landmarks is not None
        assert present(asked.landmarks)[0] == asked.task.view
        if asked.task.view == "hand":
            # The vector is that of the view: the hand is where it is in the hand's own square.
            middle = within(HAND, asked.view).centre
            assert asked.landmarks[1:3] == pytest.approx([2 * m - 1 for m in middle], abs=0.2)
    assert set(detector.faces) == {FACE}


def test_nothing_is_looked_for_where_no_model_reads_it() -> None:
    model, detector = Reads(False), Sees()

    with sfedge.Pipeline([IMAGE], model=model, detector=detector) as run:
        run.run()

    assert len(model.queries) == 2
    assert all(one.landmarks is None for one in model.queries)
    assert detector.faces == []


@pytest.mark.parametrize("shape", [(20, 3), (21, 2)])
def test_landmarks_of_another_shape_are_reported(shape: tuple[int, int]) -> None:
    class Wrong(Sees):
        def detect(self, frame: Frame) -> list[Detection]:
            return [Detection("hand", HAND, 0.9, landmarks=np.zeros(shape, np.float32))]

    run = sfedge.Pipeline([IMAGE], model=Reads(True), detector=Wrong())
    with run, pytest.raises(sfedge.DetectorError, match=r"landmarks of a hand.*\(21, 3\)"):
        run.run()


def test_what_is_no_face_is_reported() -> None:
    class Wrong(Sees):
        def face_points(self, frame: Frame, face: Box, key_points: Points | None) -> Points | None:
            return np.full((FACE_POINTS, 3), np.nan, np.float32)

    run = sfedge.Pipeline([IMAGE], model=Reads(True), detector=Wrong())
    with run, pytest.raises(sfedge.DetectorError, match="face_points"):
        run.run()


def test_a_run_on_a_picture_answers_from_the_face(
    tmp_path: Path, astronaut: NDArray[np.uint8]
) -> None:
    small = small_bundle.make("landmarks")
    bundle = small.write(tmp_path / "bundle", tasks=(TASKS["expression"],))

    with sfedge.open(astronaut, bundle=bundle) as session:
        (result,) = session

    (track,), (answer,) = result.tracks, result.fresh
    assert track.body_landmarks is not None
    assert track.face is not None
    assert track.face_landmarks is not None
    files = networks.fetch(networks.OF_A_FACE)
    x1, y1, x2, y2 = (512 * v for v in (track.face.x1, track.face.y1, track.face.x2, track.face.y2))
    mesh = FaceMesh(files["face-mesh"], files["iris"]).find(
        astronaut, FoundFace((x1, y1, x2, y2), 512.0 * track.face_landmarks, 1.0)
    )
    points = face_points(
        *(
            (part / 512).astype(np.float32)
            for part in (mesh.points, mesh.right_eye.iris, mesh.left_eye.iris)
        )
    )
    view = view_of(track, TASKS["expression"])
    assert view is not None
    wanted = Landmarks(face=points)
    whole = from_pixels(*to_pixels(view, width=512, height=512), width=512, height=512)
    square = small_bundle.square_of(astronaut, whole)
    logits = small.values("expression", square, (), landmark_vector(wanted, view, 1.0))
    rows = [small_bundle.ROWS.index(name) for name in TASKS["expression"].answers]
    found = list((answer.raw or {}).values())
    np.testing.assert_allclose(found, scipy.special.softmax(logits[rows]), atol=1e-4)
