"""The values that flow through the pipeline, from frame to result.

Times are seconds of the stream, boxes fractions of the frame, images RGB.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sfedge.core.boxes import Box
from sfedge.core.errors import unknown_name
from sfedge.core.tasks import Task

Kind = Literal["face", "hand", "person"]
Side = Literal["left", "right", "both"]  # of a person's own hands, as they would say it
AnswerKey = tuple[str, tuple[int, ...], tuple[int, ...]]  # task, people, hands
Image = NDArray[np.uint8]  # (H, W, 3) RGB


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of a source; upright, whatever the file's rotation."""

    image: Image
    index: int  # position in the source, from 0; counts frames that could not be decoded, too
    time: float  # presentation time, from the stream's own timestamps
    file: str = ""  # file name of the picture in a folder; else the source's name
    starts_scene: bool = False  # nothing before is connected: each photograph of a folder


@dataclass(frozen=True, slots=True)
class Detection:
    """A face, hand or person in one frame; score in [0, 1]."""

    kind: Kind
    box: Box
    score: float
    track: str | None = None  # identity that the detection came with (precomputed tracks only)
    side: Side | None = None  # of a hand, where the detector tells it


@dataclass(frozen=True, slots=True)
class Hand:
    """One hand over time, as last seen; ids count from 1, apart from those of people."""

    id: int
    box: Box
    side: Side | None  # "left" or "right"; None where the detector does not tell
    score: float  # of its detection, in [0, 1]
    last_seen: float
    is_wearers: bool = False  # of the person who wears the camera


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

    @property
    def age(self) -> float:
        """Seconds from the first to the last sight."""
        return self.last_seen - self.first_seen


@dataclass(frozen=True, slots=True)
class Scene:
    """Who and what a tracker sees in one frame."""

    people: tuple[Track, ...]  # ordered by id
    hands: tuple[Hand, ...] = ()  # those that belong to none of the people
    shot: int = 0  # counts from 0, up at every cut and at every new scene
    is_cut: bool = False  # this frame is the first after a cut
    ended: tuple[int, ...] = ()  # ids of people who were given up with this frame


@dataclass(frozen=True, slots=True)
class Query:
    """One question about one person, an ordered pair, or a hand of nobody, in one frame."""

    task: Task
    people: tuple[int, ...]  # track ids, as many as task.people; none for a hand of nobody
    view: Box  # the part of the frame that the encoder sees, margin included
    boxes: tuple[Box, ...]  # as many as task.boxes, in fractions of the view
    hands: tuple[int, ...] = ()  # ids of the hands that the question is about, if it is about any
    side: Side | None = None  # of these hands; "both" for two

    @property
    def key(self) -> AnswerKey:
        """What is asked of whom; the same as of its answer."""
        return self.task.name, self.people, self.hands


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """An answer to a query, and when it was asked."""

    task: str
    people: tuple[int, ...]
    frame: int  # index of the frame that was asked about
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
        """What was asked of whom; a newer answer with the same key replaces an older one."""
        return self.task, self.people, self.hands

    def renamed(self, people: tuple[int, ...]) -> "Prediction":
        """The same answer about other ids, for tracks that turned out to be one person."""
        return replace(self, people=people)


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What all results of a run have in common."""

    source: str = ""  # its name, as it may be shown
    model: str = ""  # name of what answers
    tasks: tuple[Task, ...] = ()  # that are asked


@dataclass(frozen=True, slots=True, eq=False)
class FrameResult:
    """All that is known at one frame."""

    frame: Frame
    tracks: tuple[Track, ...]
    fresh: tuple[Prediction, ...]  # arrived with this frame
    carried: tuple[Prediction, ...]  # from earlier frames, still the newest of their key
    shot: int = 0  # counts from 0, up at every cut and at every new scene
    is_cut: bool = False  # this frame is the first after a cut
    hands: tuple[Hand, ...] = ()  # those that belong to nobody in the frame
    left_out: int = 0  # people who were found, but are beyond the caps
    run: RunFacts = RunFacts()

    @property
    def index(self) -> int:
        return self.frame.index

    @property
    def time(self) -> float:
        return self.frame.time

    @property
    def predictions(self) -> tuple[Prediction, ...]:
        """Fresh and carried answers together."""
        return self.fresh + self.carried

    @property
    def all_hands(self) -> tuple[Hand, ...]:
        """Everybody's hands, and those of nobody."""
        return (*(hand for track in self.tracks for hand in track.hands), *self.hands)

    def boxes(self, kind: Kind) -> NDArray[np.float64]:
        """All boxes of a kind, ordered as `tracks` and `all_hands`.

        Args:
            kind: "person", "hand", or "face" of those whose face is known.

        Returns:
            (N, 4) x1 y1 x2 y2 in fractions of the frame.
        """
        found: Mapping[Kind, Iterable[Box | None]] = {
            "face": (track.face for track in self.tracks),
            "person": (track.person for track in self.tracks),
            "hand": (hand.box for hand in self.all_hands),
        }
        if kind not in found:
            unknown_name("kind", kind, found)
        rows = [(box.x1, box.y1, box.x2, box.y2) for box in found[kind] if box is not None]
        return np.array(rows, np.float64).reshape(-1, 4)

    def to_rows(self, *, wide: bool = False) -> list[dict[str, str | int | float | bool | None]]:
        """A row by column for each answer that arrived with this frame, as in the table.

        The boxes are None where an answer is about an earlier frame, as live ones are.

        Args:
            wide: with a column `task.label` for the probability of each label.
        """
        from sfedge.core.answer_table import rows_of  # it is made of results

        return rows_of(self, wide=wide)

    def gesture_of(self, person: int) -> Prediction | None:
        """The person's surest gesture that is not "no_gesture"; else the surest; else None."""
        own = [
            answer
            for answer in self.predictions
            if answer.task == "gesture" and answer.people == (person,) and answer.probabilities
        ]
        return max(own, key=_gesture_rank, default=None)

    def age(self, prediction: Prediction) -> float:
        """Seconds between the frame that was asked about and this one."""
        return max(self.time - prediction.time, 0.0)


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which a live source gave no frames."""

    start: float  # time of the last frame before it
    end: float | None  # time of the first frame after it; None while it lasts, or to the end
    reason: str  # a sentence


def _gesture_rank(answer: Prediction) -> tuple[bool, float]:
    probability = (answer.probabilities or {}).get(answer.label or "", 0.0)
    return answer.label != "no_gesture", probability
