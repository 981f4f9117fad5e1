"""The interface of every detector."""

from typing import Protocol

from sfedge.core.structures import Detection, Frame


class Detector(Protocol):
    """Finds faces, hands and persons; one detector belongs to one thread."""

    def detect(self, frame: Frame) -> list[Detection]:
        """The detections in the frame, in no particular order; frames come in order of time."""
        ...

    def close(self) -> None:
        """Release the networks; returns at once even where one of them hangs."""
        ...
