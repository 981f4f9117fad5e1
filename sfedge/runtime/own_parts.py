"""What the components of a program return, checked before the pipeline takes it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from sfedge.core.boxes import Box, clamped
from sfedge.core.errors import DataError, DetectorError, UsageError
from sfedge.core.face_points import FACE_POINTS
from sfedge.core.landmarks import BODY_POINTS, HAND_POINTS, Points
from sfedge.core.structures import Detection, Frame, Kind, Prediction, Query, Scene
from sfedge.core.tasks import HEATMAP_SIZE
from sfedge.inference.query_landmarks import FindFacePoints
from sfedge.runtime.arrays import described
from sfedge.runtime.protocols import Boxes, Model

_KINDS = get_args(Kind)
_LANDMARKS: Mapping[Kind, tuple[int, int]] = {
    "face": (6, 2),
    "hand": (HAND_POINTS, 3),
    "person": (BODY_POINTS, 3),
}


def detections_of(found: Sequence[Detection] | Boxes) -> Sequence[Detection]:
    """Detections from what a detector has found, given as they are or as arrays by kind.

    Raises:
        DetectorError: it is neither; an array has another shape, or contains values that are no
            boxes.
    """
    if isinstance(found, Mapping):
        return [
            detection for kind, boxes in found.items() for detection in _detections(kind, boxes)
        ]
    if not isinstance(found, Iterable):
        raise _not_detections(described(found))
    detections = tuple(found)
    for item in detections:
        if not isinstance(item, Detection):
            raise _not_detections(f"{described(item)} among its detections")
        if item.landmarks is not None:
            _check_points(item.landmarks, _LANDMARKS[item.kind], f"the landmarks of a {item.kind}")
    return detections


def face_points_of(detector: object) -> FindFacePoints | None:
    """The method `face_points` of a detector, with what it returns checked; None if it has none.

    Raises:
        DetectorError: when called: the detector failed, or these are no points of a face.
    """
    find = getattr(detector, "face_points", None)
    if not callable(find):
        return None

    def checked(frame: Frame, face: Box, key_points: Points | None) -> Points | None:
        points: Points | None = find(frame, face, key_points)
        if points is not None:
            _check_points(points, (FACE_POINTS, 3), "face_points")
        return points

    return checked


def _check_points(points: object, shape: tuple[int, int], where: str) -> None:
    if np.shape(points) != shape or not np.isfinite(points).all():  # type: ignore[call-overload]
        raise DetectorError(
            f"the detector returned {described(points)}",
            where=where,
            fix=f"Expected is an array of shape {shape}, in fractions of the frame.",
        )


def _not_detections(what: str) -> DetectorError:
    return DetectorError(
        f"the detector returned {what}",
        fix="Expected is a sequence of Detection, empty where nothing is found, or a mapping from "
        "kinds to arrays of boxes.",
    )


def _detections(kind: Kind, boxes: object) -> Iterator[Detection]:
    where = f"boxes of kind {kind!r}"
    if kind not in _KINDS:
        raise DetectorError(
            "no such kind is known", where=where, fix=f"Known: {', '.join(_KINDS)}."
        )
    expected = "Expected is (N, 4): x1 y1 x2 y2; or (N, 5) with the score."
    try:
        rows: NDArray[np.float64] = np.asarray(boxes, np.float64)
    except (TypeError, ValueError) as error:
        raise DetectorError(
            f"{described(boxes)} is no array of numbers", where=where, fix=expected
        ) from error
    if rows.size == 0:
        return
    if rows.ndim != 2 or rows.shape[1] not in (4, 5):
        raise DetectorError(f"the shape is {rows.shape}", where=where, fix=expected)
    for *corners, score in rows if rows.shape[1] == 5 else np.insert(rows, 4, 1.0, axis=1):
        if not 0 <= score <= 1:
            raise DetectorError(f"the score {score:g} is not in 0 to 1", where=where)
        yield Detection(kind, _box(corners, where), float(score))


def _box(corners: Sequence[float], where: str) -> Box:
    if np.isfinite(corners).all() and max(corners) > 2:
        raise DetectorError(
            f"the box {[round(float(value), 1) for value in corners]} is given in pixels",
            where=where,
            fix="Divide x by the width of the frame and y by its height.",
        )
    try:
        return clamped(*map(float, corners))
    except DataError as error:
        raise DetectorError(error.what, where=where, fix="Expected is x1 y1 x2 y2.") from error


def scene_of(found: object) -> Scene:
    """What a tracker has returned.

    Raises:
        UsageError: it is no `Scene`.
    """
    if isinstance(found, Scene):
        return found
    raise UsageError(f"the tracker returned {described(found)}", fix="Expected is a Scene.")


def answers(model: Model, frame: Frame, queries: Sequence[Query]) -> list[Prediction]:
    """The model's answers to some queries, one for each, in their order.

    Raises:
        UsageError: they are not that, or an answer has not the values of its task.
        SfedgeError: the model failed.
    """
    found: object = model.answer(frame, queries)
    if not isinstance(found, Sequence) or len(found) != len(queries):
        count = f"{len(found)} answers" if isinstance(found, Sequence) else described(found)
        raise UsageError(
            f"the model returned {count} to {len(queries)} queries",
            fix="Expected is a list with one Prediction per query, in their order.",
        )
    for answer, query in zip(found, queries, strict=True):
        if problem := _problem(answer, query):
            raise UsageError(f"the model's answer to {query.task.name} {problem}")
    return list(found)


def _problem(answer: object, query: Query) -> str:
    """What is wrong with an answer, a clause; "" if nothing is."""
    if not isinstance(answer, Prediction):
        return f"is {described(answer)}, not a Prediction"
    if answer.key != query.key:
        return f"is about {answer.key}, not about {query.key} (task, people, hands)"
    task = query.task
    if task.output == "heatmap":
        shape, heatmap = (HEATMAP_SIZE, HEATMAP_SIZE), answer.heatmap
        if heatmap is None or np.shape(heatmap) != shape:
            return f"needs a heatmap of shape {shape}"
        is_whole = np.isfinite(heatmap).all()
    else:
        shares = answer.probabilities
        if shares is None or {*shares} != {*task.labels}:
            return f"needs probabilities of {', '.join(task.labels)}"
        is_whole = np.isfinite([*shares.values()]).all()
    return "" if is_whole else "has values that are not numbers"
