"""The values that flow through the pipeline, from frame to result.

Times are seconds of the stream, boxes fractions of the frame, images RGB.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sfedge.core.boxes import Box
from sfedge.core.landmarks import Points, Vector
from sfedge.core.tasks import Task

Kind = Literal["face", "hand", "person"]
Side = Literal["left", "right", "both"]  # of a person's own hands, as they would say it
AnswerKey = tuple[str, tuple[int, ...], tuple[int, ...]]  # task, people, hands
Image = NDArray[np.uint8]  # (H, W, 3) RGB


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of a source; upright, with the file's rotation applied."""

    image: Image
    index: int  # position in the source, from 0; counts frames that could not be decoded, too
    time: float  # presentation time, from the stream's own timestamps
    file: str = ""  # file name of the picture in a folder; else the source's name
    starts_scene: bool = False  # nothing before is connected: each photograph of a folder

    @property
    def aspect(self) -> float:
        """Width divided by height, in pixels."""
        height, width = self.image.shape[:2]
        return float(width / height)


@dataclass(frozen=True, slots=True)
class Detection:
    """A face, hand or person in one frame; score in [0, 1].

    `landmarks`, where the detector gives them, are in fractions of the frame and as in
    `sfedge.core.landmarks`: of a hand (21, 3), of a person (33, 3); of a face (6, 2), the key
    points that its mesh starts from.
    """

    kind: Kind
    box: Box
    score: float
    track: str | None = None  # identity that the detection came with (precomputed tracks only)
    side: Side | None = None  # of a hand, where the detector gives it
    from_body: bool = False  # a hand that is not seen, only where the body holds it
    landmarks: Points | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Hand:
    """One hand over time, as last seen; ids count from 1, apart from those of people."""

    id: int
    box: Box
    side: Side | None  # "left" or "right"; None where the detector does not give it
    score: float  # of its detection, in [0, 1]
    last_seen: float
    is_wearers: bool = False  # of the person who wears the camera
    from_body: bool = False  # not seen itself, only where the person's body holds it
    landmarks: Points | None = field(default=None, compare=False, repr=False)  # (21, 3)


@dataclass(frozen=True, slots=True)
class Track:
    """One person over time, as last seen."""

    id: int
    person: Box  # seen, or estimated from the face where only that was seen
    face: Box | None
    hands: tuple[Hand, ...]
    first_seen: float
    last_seen: float
    name: str | None = None
    person_score: float | None = None  # of the body's last detection; None where none was seen
    face_score: float | None = None  # likewise of the face
    body_landmarks: Points | None = field(default=None, compare=False, repr=False)  # (33, 3)
    face_landmarks: Points | None = field(default=None, compare=False, repr=False)  # (6, 2)

    @property
    def age(self) -> float:
        """Seconds from the first to the last sight."""
        return self.last_seen - self.first_seen


@dataclass(frozen=True, slots=True)
class Scene:
    """The people and hands that a tracker sees in one frame."""

    people: tuple[Track, ...]  # ordered by id
    hands: tuple[Hand, ...] = ()  # those that belong to none of the people
    shot: int = 0  # counts from 0, up at every cut and at every new scene
    is_cut: bool = False  # this frame is the first after a cut
    ended: tuple[int, ...] = ()  # ids of people who were given up with this frame


@dataclass(frozen=True, slots=True)
class Query:
    """One query about one person, an ordered pair, or a hand without a person, in one frame."""

    task: Task
    people: tuple[int, ...]  # track ids, as many as task.people; none for a hand without a person
    view: Box  # the part of the frame that the encoder sees, margin included
    boxes: tuple[Box, ...]  # as many as task.boxes, in fractions of the view
    hands: tuple[int, ...] = ()  # ids of the hands that the query is about, if it is about any
    side: Side | None = None  # of these hands; "both" for two
    # What is known of body, hands and face in the view, as `sfedge.core.landmarks` has it.
    landmarks: Vector | None = field(default=None, compare=False, repr=False)

    @property
    def key(self) -> AnswerKey:
        """Task, people and hands; equal to the key of its answer."""
        return self.task.name, self.people, self.hands


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """An answer to a query, and the time of the query's frame."""

    task: str
    people: tuple[int, ...]
    frame: int  # index of the query's frame
    time: float  # that frame's time
    label: str | None = None  # most probable label; None for a heatmap
    probabilities: Mapping[str, float] | None = None  # over the task's labels, sums to 1
    raw: Mapping[str, float] | None = None  # the same before smoothing
    heatmap: NDArray[np.float32] | None = None  # (64, 64), each cell in [0, 1]
    point: tuple[float, float] | None = None  # the heatmap's peak, in fractions of the frame
    peak: float | None = None  # the heatmap's value there
    is_unsure: bool = False  # below the task's threshold
    hands: tuple[int, ...] = ()  # ids of the hands that the answer is about
    side: Side | None = None  # of these hands; "both" for two
    in_frame: float | None = None  # probability that the gaze's target is in the frame

    @property
    def key(self) -> AnswerKey:
        """Task, people and hands; a newer answer with the same key replaces an older one."""
        return self.task, self.people, self.hands

    def renamed(self, people: tuple[int, ...]) -> "Prediction":
        """The same answer about other ids, for tracks that turned out to be one person."""
        return replace(self, people=people)


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which a live source gave no frames."""

    start: float  # time of the last frame before it
    end: float | None  # time of the first frame after it; None while it lasts, or to the end
    reason: str  # a sentence
