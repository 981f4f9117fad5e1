"""The results at one frame, as a session yields them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sfedge.core.answer_table import AskedFrames, TableRow, table_columns, table_row
from sfedge.core.boxes import Box
from sfedge.core.errors import unknown_name
from sfedge.core.structures import Frame, Hand, Kind, Prediction, Track
from sfedge.core.tasks import NO_GESTURE, Task


@dataclass(frozen=True, slots=True)
class RunFacts:
    """Facts that all results of a run have in common."""

    source: str = ""  # its name, as it may be shown
    model: str = ""  # name of what answers
    tasks: tuple[Task, ...] = ()  # that are asked


@dataclass(frozen=True, slots=True, eq=False)
class FrameResult:
    """The results at one frame."""

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
        """Everybody's hands, and those without a person."""
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

    def to_rows(self, *, wide: bool = False) -> list[TableRow]:
        """A row by column for each answer that arrived with this frame, as in the table.

        The boxes are None where an answer is about an earlier frame, as live ones are.

        Args:
            wide: with a column `task.label` for the probability of each label.
        """
        run, frames = self.run, AskedFrames(self.run.tasks, self.run.source)
        frames.remember(self.frame, self.shot, self.tracks, self.all_hands)
        columns = table_columns(run.tasks if wide else ())
        return [
            table_row(
                answer,
                frames.about(answer, self.frame, self.shot),
                age=self.age(answer),
                source=run.source,
                model=run.model,
                columns=columns,
            )
            for answer in self.fresh
        ]

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


def _gesture_rank(answer: Prediction) -> tuple[bool, float]:
    probability = (answer.probabilities or {}).get(answer.label or "", 0.0)
    return answer.label != NO_GESTURE, probability
