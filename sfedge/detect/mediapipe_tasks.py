"""Faces, hands and persons by the networks of MediaPipe Tasks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sfedge.core.boxes import FULL, Box, from_pixels, to_pixels
from sfedge.core.errors import DataError, DetectorError
from sfedge.core.structures import Detection, Frame, Image
from sfedge.detect.looks import (
    Find,
    body_squares,
    face_square,
    hand_squares,
    is_cut,
    is_of,
    merge,
    small_faces,
    tiles,
)
from sfedge.detect.mediapipe_runtime import (
    call_apart,
    closing_at_end,
    import_mediapipe,
    load_error,
    quiet,
)
from sfedge.detect.pose import Corners, measure_pose
from sfedge.tracking.colours import skin_share

# Scores from which a find counts. Things that look like faces do pass: docs/detectors.md names a
# motorcycle's headlamp. `python -m benchmarks.detectors` counts what is found at these values. In
# tiles the full-range face network only makes proposals.
FACE_SCORE = 0.6
CANDIDATE_SCORE = 0.5  # of a face in a tile
HAND_SCORE = 0.5
HAND_SIDE_SCORE = 0.6  # of left or right; what can be either is seldom a hand
HAND_SKIN = 0.03  # least share of a hand that has the colour of some face in the frame
PERSON_SCORE = 0.5

BODY_INTERVAL = 0.2  # seconds of the stream between two looks for hands and persons
SEARCH_INTERVAL = 0.5  # seconds of the stream between two searches for small faces

_MOST_SMALL_FACES = 12  # followed from frame to frame
_MOST_BODIES = 2  # people who are looked at more closely at a time; they take turns
_MOST_HANDS, _MOST_PERSONS = 8, 6  # in one look
_HAND_FLESH = 0.12  # of the landmarks' extent: how far a hand reaches beyond its joints
_SMALLEST_SIDE = 16  # pixels; there is nothing to see in less
_START_SECONDS = 30.0  # a network that takes longer hangs

_FACE_SHORT, _FACE_FULL = "face-short-range", "face-full-range"
_HANDS, _POSES = "hand-landmarker", "pose-landmarker"


class MediaPipeDetector:
    """Finds faces in every frame, hands and persons every `BODY_INTERVAL`.

    A network sees a picture of at most 224 pixels a side, and so in a whole frame only what is
    large. Every `SEARCH_INTERVAL` tiles of the frame are therefore searched for small faces. Until
    the next search each is looked for in a square around it; and hands and bodies are looked for
    around the faces, too. All this depends on the frames and their times alone, so the
    same video gives the same boxes.

    Args:
        networks: the file of each network in `sfedge.detect.networks.NETWORKS`.
        egocentric: the camera is worn; a body without a head in the picture is its wearer's.

    Raises:
        DetectorError: MediaPipe or a network does not start.
    """

    def __init__(self, networks: Mapping[str, Path], *, egocentric: bool = False) -> None:
        self._mediapipe = import_mediapipe()
        self._egocentric = egocentric
        self._tasks: dict[str, Any] = {}
        self._release = closing_at_end(self, self._tasks)
        self._searched: float | None = None  # times of the latest search and look for bodies
        self._looked: float | None = None
        self._small: list[Box] = []
        self._turn = 0
        for name, make in _TASKS.items():
            self._start(name, make, networks[name])

    def detect(self, frame: Frame) -> list[Detection]:
        """What is seen in this very frame; between two looks at bodies only faces.

        Raises:
            DetectorError: a network fails.
        """
        height, width = frame.image.shape[:2]
        if min(width, height) < _SMALLEST_SIDE:
            return []
        whole = self._look_at(frame.image, FULL)
        faces = self._faces(frame, whole)
        return faces + self._bodies(frame, whole, [face.box for face in faces])

    def close(self) -> None:
        """Release the networks; returns within 2 s even where one of them hangs."""
        self._release()

    def _start(self, name: str, make: Callable[[Any, str], Any], path: Path) -> None:
        # A graph that cannot run fails at its first picture, and chatters until then.
        blank = self._look_at(np.zeros((64, 64, 3), np.uint8), FULL)

        def start() -> None:
            self._tasks[name] = make(self._mediapipe.tasks, str(path))
            self._tasks[name].detect(blank.picture)

        try:
            with quiet():
                call_apart(start, _START_SECONDS)
        except Exception as error:  # MediaPipe's failures share no base of their own
            self.close()
            if "cannot open shared object file" in str(error):
                raise load_error(error) from error
            raise DetectorError(
                f"the network {name} does not start ({_first_line(error)})",
                where=str(path),
                fix="Remove the file and run `sfedge models fetch`.",
            ) from error

    def _faces(self, frame: Frame, whole: "_Look") -> list[Detection]:
        height, width = frame.image.shape[:2]
        finds = [
            *self._find_faces(_FACE_SHORT, whole, FACE_SCORE),
            *self._find_faces(_FACE_FULL, whole, FACE_SCORE),
        ]
        if _is_due(frame.time, self._searched, SEARCH_INTERVAL):
            self._searched = frame.time
            self._small = self._search(frame.image, finds)
        for face in self._small:
            look = self._look_at(frame.image, face_square(face, width, height))
            finds += [
                find
                for find in self._find_faces(_FACE_SHORT, look, FACE_SCORE)
                if 0.5 < find.box.width / face.width < 2.0
            ]
        return merge(finds)

    def _search(self, image: Image, finds: Sequence[Find]) -> list[Box]:
        """Places where a small face may be."""
        height, width = image.shape[:2]
        candidates = list(finds)
        for tile in tiles(width, height):
            look = self._look_at(image, tile)
            candidates += self._find_faces(_FACE_FULL, look, CANDIDATE_SCORE)
        faces = [face.box for face in merge(candidates)]
        return small_faces(faces, width, height)[:_MOST_SMALL_FACES]

    def _bodies(self, frame: Frame, whole: "_Look", faces: Sequence[Box]) -> list[Detection]:
        if not _is_due(frame.time, self._looked, BODY_INTERVAL):
            return []
        self._looked = frame.time
        height, width = frame.image.shape[:2]
        finds = [*self._find_persons(whole), *self._find_hands(whole)]
        heads = [find.key for find in finds if find.kind == "person"]
        for face in self._whose_turn(sorted(faces)):  # by place: their sizes change all the time
            for square in hand_squares(face, width, height):
                finds += self._find_hands(self._look_at(frame.image, square))
            if any(is_of(face, head) for head in heads):
                continue
            for square in body_squares(face, width, height):
                finds += self._find_persons(self._look_at(frame.image, square))
        return [
            found
            for found in merge(finds)
            if found.kind != "hand" or _has_skin(frame.image, found.box, faces)
        ]

    def _whose_turn(self, faces: Sequence[Box]) -> list[Box]:
        count = min(len(faces), _MOST_BODIES)
        first, self._turn = self._turn, self._turn + count
        return [faces[(first + i) % len(faces)] for i in range(count)]

    def _find_faces(self, network: str, look: "_Look", lowest: float) -> Iterator[Find]:
        for face in self._run(network, look).detections:
            score, place = face.categories[0].score, face.bounding_box
            x, y = place.origin_x, place.origin_y
            box = look.box_in_frame((x, y, x + place.width, y + place.height))
            if score >= lowest and box is not None and not is_cut(box, look.box):
                yield Find("face", box, score, key=box)

    def _find_hands(self, look: "_Look") -> Iterator[Find]:
        result = self._run(_HANDS, look)
        for landmarks, sides in zip(result.hand_landmarks, result.handedness, strict=True):
            points = look.points(landmarks)[:, :2]
            low, high = points.min(axis=0), points.max(axis=0)
            flesh = _HAND_FLESH * (high - low)
            box = look.box_in_frame((*(low - flesh), *(high + flesh)))
            score = min(sides[0].score, 1.0)
            if score >= HAND_SIDE_SCORE and box is not None and not is_cut(box, look.box):
                yield Find("hand", box, score, key=box)

    def _find_persons(self, look: "_Look") -> Iterator[Find]:
        for landmarks in self._run(_POSES, look).pose_landmarks:
            pose = measure_pose(look.points(landmarks))
            box, head = look.box_in_frame(pose.person), look.box_in_frame(pose.head)
            is_wearer = self._egocentric and head is None
            if box is not None and pose.score >= PERSON_SCORE and not is_wearer:
                yield Find("person", box, pose.score, key=head or box)

    def _run(self, network: str, look: "_Look") -> Any:
        try:
            return self._tasks[network].detect(look.picture)
        except Exception as error:  # MediaPipe's failures share no base of their own
            raise DetectorError(
                f"the network {network} failed ({_first_line(error)})",
                fix="Run again with --debug and report what it prints.",
            ) from error

    def _look_at(self, image: Image, box: Box) -> "_Look":
        height, width = image.shape[:2]
        x1, y1, x2, y2 = to_pixels(box, width=width, height=height)
        part = np.ascontiguousarray(image[y1:y2, x1:x2])
        picture = self._mediapipe.Image(self._mediapipe.ImageFormat.SRGB, part)
        return _Look(box, picture, (x1, y1, x2, y2), width, height)


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """A part of a frame as MediaPipe sees it."""

    box: Box
    picture: Any  # mediapipe.Image
    corners_px: tuple[int, int, int, int]  # of the part, in the frame
    width: int  # pixels of the frame
    height: int

    def points(self, landmarks: Sequence[Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
        """(L, 3) x and y in pixels of the part, and visibility."""
        x1, y1, x2, y2 = self.corners_px
        rows = [(p.x * (x2 - x1), p.y * (y2 - y1), p.visibility or 0.0) for p in landmarks]
        return np.array(rows, np.float64)

    def box_in_frame(self, corners: Corners) -> Box | None:
        """A box in pixels of the part as a box of the frame; None if it lies outside."""
        left, top = self.corners_px[:2]
        x1, y1, x2, y2 = corners
        with suppress(DataError):
            return from_pixels(
                x1 + left, y1 + top, x2 + left, y2 + top, width=self.width, height=self.height
            )
        return None


def _face_detector(tasks: Any, path: str) -> Any:
    # Which score counts depends on the look, so that the network itself lets all through.
    return tasks.vision.FaceDetector.create_from_options(
        tasks.vision.FaceDetectorOptions(
            base_options=tasks.BaseOptions(model_asset_path=path),
            min_detection_confidence=min(FACE_SCORE, CANDIDATE_SCORE),
        )
    )


def _hand_landmarker(tasks: Any, path: str) -> Any:
    return tasks.vision.HandLandmarker.create_from_options(
        tasks.vision.HandLandmarkerOptions(
            base_options=tasks.BaseOptions(model_asset_path=path),
            num_hands=_MOST_HANDS,
            min_hand_detection_confidence=HAND_SCORE,
            min_hand_presence_confidence=HAND_SCORE,
        )
    )


def _pose_landmarker(tasks: Any, path: str) -> Any:
    return tasks.vision.PoseLandmarker.create_from_options(
        tasks.vision.PoseLandmarkerOptions(
            base_options=tasks.BaseOptions(model_asset_path=path),
            num_poses=_MOST_PERSONS,
            min_pose_detection_confidence=PERSON_SCORE,
            min_pose_presence_confidence=PERSON_SCORE,
        )
    )


# Image mode: what a video mode finds depends on the frames before, so on where one starts.
_TASKS: Mapping[str, Callable[[Any, str], Any]] = {
    _FACE_SHORT: _face_detector,
    _FACE_FULL: _face_detector,
    _HANDS: _hand_landmarker,
    _POSES: _pose_landmarker,
}


def _has_skin(image: Image, hand: Box, faces: Sequence[Box]) -> bool:
    """Whether some face has the colour of this hand; clothes are taken for hands at times."""
    return not faces or any(skin_share(image, face, hand) >= HAND_SKIN for face in faces)


def _is_due(now: float, last: float | None, interval: float) -> bool:
    """Whether `interval` has passed; also after a jump back in time."""
    return last is None or now < last or now - last >= interval - 1e-6


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".: ") if lines else type(error).__name__
