"""Clear faces that a detector finds late, looked for in the frames before."""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sfedge.core.boxes import Box
from sfedge.core.structures import Detection, Frame

FindFace = Callable[[Frame, Box], Sequence[Detection]]

_SECONDS = 1.0  # how far back: the detector's longest pause between two searches
_MOST_BYTES = 256 << 20  # of frames held back; very large frames are held back for less long
_CLEAR = 0.75  # score of a face that is worth it
_NEAR = 1.0  # faces from one frame to the next; farther off is another face


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """The detections of a frame."""

    frame: Frame
    detections: tuple[Detection, ...]
    is_cut: bool = False  # the frame is the first after a cut


class LookBack:
    """Holds frames back for a second and adds faces that were found later only.

    Small faces are searched for now and then. One that turns up is followed backwards through the
    frames held back, to where it came into the picture, but never across a cut. What comes out
    depends on the frames alone.

    Args:
        find_face: looks for a face in a frame around where it is in the next one.
    """

    def __init__(self, find_face: FindFace) -> None:
        self._find_face = find_face
        self._held: deque[Found] = deque()

    def add(self, found: Found) -> list[Found]:
        """Take a frame in; return those that are now complete, in order."""
        complete = self.flush() if found.is_cut or found.frame.starts_scene else []
        for face in found.detections:
            if face.kind == "face" and face.score >= _CLEAR:
                self._follow_back(face.box)
        self._held.append(found)
        while self._held and self._is_full():
            complete.append(self._held.popleft())
        return complete

    def flush(self) -> list[Found]:
        """The frames still held back, in order; the recording or the scene has ended."""
        complete = list(self._held)
        self._held.clear()
        return complete

    def _is_full(self) -> bool:
        first, last = self._held[0].frame, self._held[-1].frame
        size = sum(found.frame.image.nbytes for found in self._held)
        # 1 µs: times are rounded by their container.
        return last.time - first.time >= _SECONDS - 1e-6 or size > _MOST_BYTES

    def _follow_back(self, box: Box) -> None:
        """Add a face to the frames before, up to one where it is known or not to be found."""
        for number in range(len(self._held) - 1, -1, -1):
            found = self._held[number]
            faces = [d for d in found.detections if d.kind == "face"]
            if any(_is_near(box, face.box) for face in faces):
                return
            seen = [d for d in self._find_face(found.frame, box) if _is_near(box, d.box)]
            if not seen:
                return
            best = max(seen, key=lambda face: (face.score, face.box))
            self._held[number] = Found(found.frame, (*found.detections, best), found.is_cut)
            box = best.box


def _is_near(face: Box, other: Box) -> bool:
    """Whether two faces of frames that follow each other may be one."""
    width, height = (face.width + other.width) / 2, (face.height + other.height) / 2
    across = (face.centre[0] - other.centre[0]) / width
    down = (face.centre[1] - other.centre[1]) / height
    return math.hypot(across, down) <= _NEAR
