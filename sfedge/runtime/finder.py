"""From frames to the detections of those that are processed."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager

from sfedge.core.structures import Frame
from sfedge.runtime.frame_choice import FrameChoice
from sfedge.runtime.own_parts import detections_of
from sfedge.runtime.protocols import Detector
from sfedge.tracking.cuts import CutFinder
from sfedge.tracking.look_back import Found, LookBack


class Finder:
    """Notices cuts, chooses frames and runs the detector on them.

    Args:
        detector: finds faces, hands and people.
        choice: of the frames to process.
        timed: counts the time of a stage.
    """

    def __init__(
        self,
        detector: Detector,
        choice: FrameChoice,
        timed: Callable[[str], AbstractContextManager[None]],
    ) -> None:
        self._detector, self._choice, self._timed = detector, choice, timed
        self._cuts = CutFinder()
        self._has_cut = False  # since the last processed frame

    def find(self, frame: Frame) -> Found | None:
        """The detections in a frame; None for a frame that is not to be processed."""
        with self._timed("detect"):
            self._has_cut |= self._cuts.update(frame)
            chosen = self._choice.take(frame)
            if chosen is None:
                return None
            is_cut, self._has_cut = self._has_cut, False
            reset = getattr(self._detector, "reset", None)
            if (is_cut or chosen.starts_scene) and callable(reset):
                reset()
            return Found(chosen, tuple(detections_of(self._detector.detect(chosen))), is_cut)

    def find_all(self, frames: Iterable[Frame]) -> Iterator[Found]:
        """The detections in each frame of a recording, some of them found by looking back."""
        find_face = getattr(self._detector, "find_face", None)
        look_back = LookBack(find_face) if callable(find_face) else None
        for frame in frames:
            found = self.find(frame)
            if found is None:
                continue
            if look_back is None:
                yield found
                continue
            with self._timed("detect"):
                complete = look_back.add(found)
            yield from complete
        if look_back is not None:
            yield from look_back.flush()
