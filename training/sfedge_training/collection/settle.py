"""Ambiguous labels, resolved by the landmarks that were found."""

import numpy as np

from sfedge.core.landmarks import HandLandmarks, Landmarks
from sfedge_training.collection.item import Annotation

# A pseudo-label that means one of two: seen from the palm, and from the back of the hand.
EITHER = {"two_up_or_inverted": ("two_up", "two_up_inverted")}

_WRIST, _INDEX, _LITTLE = 0, 5, 17
_FLAT = 0.25  # least ratio of the palm's sides; below, it is seen from its edge


def settled(annotation: Annotation, landmarks: Landmarks) -> Annotation | None:
    """The label, resolved by the landmarks if it is ambiguous; None where they do not decide it."""
    if annotation.label not in EITHER:
        return annotation
    shown = shows_palm(landmarks.hands[0]) if landmarks.hands else None
    if shown is None:
        return None
    palm, back = EITHER[annotation.label]
    return Annotation(annotation.task, palm if shown else back, "landmarks")


def shows_palm(hand: HandLandmarks) -> bool | None:
    """Whether a hand shows its palm; None where its side is not known or it is seen from the edge.

    Seen from the palm, a right hand that points up has its little finger on the left.
    """
    wrist, index, little = (hand.points[i, :2] for i in (_WRIST, _INDEX, _LITTLE))
    to_index, to_little = index - wrist, little - wrist
    area = float(to_index[0] * to_little[1] - to_index[1] * to_little[0])
    longest = max(float(np.dot(to_index, to_index)), float(np.dot(to_little, to_little)))
    if hand.side is None or abs(area) < _FLAT * longest:
        return None
    return (area < 0) == (hand.side == "right")
