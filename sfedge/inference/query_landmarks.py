"""The landmarks that a model reads beside the views of queries."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from sfedge.core.boxes import Box
from sfedge.core.landmarks import (
    NO_LANDMARKS,
    HandLandmarks,
    Landmarks,
    Points,
    landmark_vector,
    shown_in,
)
from sfedge.core.structures import Frame, Hand, Query, Scene, Track

# Finds the points of a face by its box and its key points, ordered as by `face_points`.
FindFacePoints = Callable[[Frame, Box, Points | None], Points | None]


def with_landmarks(
    queries: Sequence[Query], scene: Scene, frame: Frame, find: FindFacePoints | None
) -> list[Query]:
    """The queries, each with the landmarks of the one whom it is about.

    That is one person, or a hand without a person; queries about pairs have none.

    Args:
        queries: about people and hands of the scene.
        scene: of that frame.
        frame: what they are about.
        find: finds the points of a face, called once for each; None where nothing does.
    """
    height, width = frame.image.shape[:2]
    people = {track.id: track for track in scene.people}
    faces: dict[int, Points | None] = {}
    found = []
    for query in queries:
        landmarks = NO_LANDMARKS
        if len(query.people) == 1:
            track = people[query.people[0]]
            if track.id not in faces and query.task.view != "hand":
                faces[track.id] = _face(track, frame, find)
            face = faces.get(track.id)
            landmarks = Landmarks(_hands(query, track.hands), track.body_landmarks, face)
        elif not query.people:
            landmarks = Landmarks(_hands(query, scene.hands))
        shown = shown_in(landmarks, query.task.view)
        vector = landmark_vector(shown, query.view, width / height)
        found.append(replace(query, landmarks=vector))
    return found


def _face(track: Track, frame: Frame, find: FindFacePoints | None) -> Points | None:
    if find is None or track.face is None:
        return None
    return find(frame, track.face, track.face_landmarks)


def _hands(query: Query, hands: Sequence[Hand]) -> tuple[HandLandmarks, ...]:
    """Those that the query is about, then a person's other one.

    A model knows by the order which hand it is asked about: where that one's landmarks are not
    known, it gets no others.
    """
    asked = [hand for hand in hands if hand.id in query.hands]
    others = [hand for hand in hands if hand.id not in query.hands] if query.people else []
    ordered = [*asked, *others]
    if not ordered or ordered[0].landmarks is None:
        return ()
    return tuple(
        HandLandmarks(hand.landmarks, hand.side if hand.side != "both" else None)
        for hand in ordered[:2]
        if hand.landmarks is not None
    )
