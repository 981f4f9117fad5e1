"""The protocols of a pipeline's parts: detector, tracker, model, sinks; one or two methods each.

The package's own parts follow these protocols; so may any object of a program.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sfedge.core.frame_result import FrameResult
from sfedge.core.structures import Detection, Frame, Gap, Kind, Prediction, Query, Scene
from sfedge.core.tasks import Task

Boxes = Mapping[Kind, NDArray[np.floating]]  # (N, 4) or, with scores, (N, 5), by what they show


class Detector(Protocol):
    """Finds faces, hands and people; called from one thread, with frames in order of time.

    If it has a method `reset()`, that is called before the first frame after a cut, and before
    each frame that starts a scene. If it has `find_face(frame, box)`, which returns the faces
    around a box of a frame, files are searched backwards, too: a clear face that is new in a frame
    is looked for in the frames of the half second before, which are held back. If it has
    `face_points(frame, box, landmarks)`, which returns the points of a face as
    `sfedge.core.face_points.face_points` orders them, or None, a model that reads landmarks gets
    them; it is called for the faces that are asked about alone.
    """

    def detect(self, frame: Frame) -> Sequence[Detection] | Boxes:
        """All detections in the frame.

        Returns:
            Detections in any order; or arrays of boxes by kind ("face", "hand", "person"), each
            row x1 y1 x2 y2 in fractions of the frame, with a score in [0, 1] as a fifth column
            where there is one.
        """
        ...


class Tracker(Protocol):
    """Follows people from frame to frame; called from one thread."""

    def update(
        self, detections: Sequence[Detection], frame: Frame, *, is_cut: bool = False
    ) -> Scene:
        """The people and hands in the frame, each with the id it had before.

        Args:
            detections: of this frame.
            frame: the next one of the source.
            is_cut: it is the first frame after a cut. Neither across a cut nor where
                `frame.starts_scene` is what was there before connected.
        """
        ...


class Model(Protocol):
    """Answers queries; called from one thread, which is not the iterating one in a live run.

    If it has an attribute `reads_landmarks` that is true, its queries carry landmarks.
    """

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks that it can answer."""
        ...

    def answer(self, frame: Frame, queries: Sequence[Query]) -> list[Prediction]:
        """One prediction per query, in their order."""
        ...


class Sink(Protocol):
    """Takes results as they come, in the thread that iterates; whoever made it closes it."""

    def write(self, result: FrameResult) -> object:
        """Take the result of a frame; the image is shared, so draw on a copy."""
        ...


@runtime_checkable
class GapSink(Protocol):
    """A sink that wants to know of gaps in a live source, too."""

    def gap(self, gap: Gap) -> object:
        """Take a gap, once when it begins (its `end` is None) and again when it is over."""
        ...
