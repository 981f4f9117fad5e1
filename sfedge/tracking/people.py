"""Which faces, hands and bodies of one frame belong to one person."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from sfedge.core.boxes import Box, clamped, intersection, iou
from sfedge.core.landmarks import Points
from sfedge.core.structures import Detection, Image
from sfedge.tracking.assign import assign
from sfedge.tracking.colours import skin_share
from sfedge.tracking.place import Place, place_of

# Sizes are in faces: a detected face reaches from the brows to the chin, about 15 cm each way.
# Shoulders are then some 3 faces wide and, from half a face above the brows, an adult 7.5 faces
# tall down to below the hips, which is as far as most pictures of people reach.
BODY_WIDTH, BODY_HEIGHT, _CROWN = 3.0, 7.5, 0.5
_REACH = 5.5  # from below the chin to a stretched hand: half the shoulders and an arm
# A hand is at most as long as the face, but may be nearer to the camera. A camera wearer's own
# hands are nearer than anybody's face, and show it by their size.
_SMALLEST_HAND, _LARGEST_HAND, _LARGEST_HAND_EGOCENTRIC = 0.25, 2.5, 1.8
_BOTTOM = 0.98  # a box that ends below this is cut by the picture's lower edge
_SAME_THING = 0.7  # two boxes of one kind that overlap more are one thing found twice
_INSIDE = 0.75  # a face that is inside another one by this much is the same head at another scale
_ABOVE = 1.5  # faces from the top of a body, crown and hair included, down to its brows
_CLEAR_FACE = 0.9  # score of a face that is believed even on somebody else's clothes
# Where nobody is seen to compare it with, a hand as tall as this in the frame is the wearer's.
_NEAR_HAND = 0.25
_FACE_GATE, _HAND_GATE = 0.6, 1.4  # gating thresholds of the matching costs
# A hand without its owner's skin wears a glove, or is another's: it must be nearer. Of one's own
# hand at least this share has the colour of the face (see `sfedge.tracking.colours`).
_FOREIGN_SKIN, _SKIN = 0.8, 0.3


@dataclass(frozen=True, slots=True)
class Sighting:
    """One person in one frame."""

    person: Box  # seen, or estimated from the face
    face: Box | None
    hands: tuple[Detection, ...]  # two at most
    face_score: float | None = None  # None where no face is seen
    person_score: float | None = None  # None where the body is estimated
    track: str | None = None  # identity that the detections came with
    is_doubtful: bool = False  # an unclear face on somebody's clothes: a tie, a badge, two hands
    face_landmarks: Points | None = field(default=None, compare=False, repr=False)
    body_landmarks: Points | None = field(default=None, compare=False, repr=False)

    @property
    def score(self) -> float:
        """Of the surer of face and body."""
        return max(self.face_score or 0.0, self.person_score or 0.0)

    @property
    def is_person_seen(self) -> bool:
        """Whether a detector found the body."""
        return self.person_score is not None


@dataclass(frozen=True, slots=True)
class Group:
    """The people and hands of one frame, grouped."""

    people: tuple[Sighting, ...]
    hands: tuple[Detection, ...]  # without a person in the picture
    wearers: tuple[Detection, ...]  # hands of the person who wears the camera


def group(
    detections: Sequence[Detection], image: Image | None = None, *, egocentric: bool = False
) -> Group:
    """One sighting per person: a face, its hands and its body.

    Boxes found twice count once: a head has one face, and a body whose head is that of somebody
    else is no further person. The order of the detections does not matter.

    Args:
        detections: all of one frame.
        image: the frame's, for the colours of skin; None to use positions alone.
        egocentric: the camera is worn, so a hand that comes in over the lower edge, or is far
            larger than the faces, is its wearer's and nobody else's.

    Returns:
        People, and the hands that are none of theirs.
    """
    detections = _distinct(detections)
    faces = [d for d in detections if d.kind == "face"]
    persons = [d for d in detections if d.kind == "person"]
    hands = [d for d in detections if d.kind == "hand"]

    costs = np.array([[_face_cost(f, p) for p in persons] for f in faces])
    partner = assign(costs.reshape(len(faces), len(persons)), _FACE_GATE)
    sightings = [
        _sighting(face, None if i is None else persons[i])
        for face, i in zip(faces, partner, strict=True)
    ]
    for i, person in enumerate(persons):
        if i not in partner and not any(_has_head_of(person, s) for s in sightings):
            sightings.append(_sighting(None, person))

    wearers = [hand for hand in hands if egocentric and _is_wearers(hand, sightings)]
    hands = [hand for hand in hands if hand not in wearers]
    largest = _LARGEST_HAND_EGOCENTRIC if egocentric else _LARGEST_HAND
    costs = np.array([[_hand_cost(h, s, largest, image) for s in sightings] for h in hands])
    costs = costs.reshape(len(hands), len(sightings))
    owner = assign(np.hstack([costs, costs]), _HAND_GATE)  # each person has two places
    people = tuple(
        replace(
            sighting,
            hands=tuple(
                hand
                for hand, o in zip(hands, owner, strict=True)
                if o is not None and o % len(sightings) == i
            ),
            is_doubtful=any(_is_worn(sighting, other) for other in sightings),
        )
        for i, sighting in enumerate(sightings)
    )
    free = tuple(
        hand for hand, o in zip(hands, owner, strict=True) if o is None and not hand.from_body
    )
    return Group(people, free, tuple(wearers))


def person_around(face: Box) -> Box:
    """The likely box of a face's body, cut at the picture's edge."""
    x, top = face.centre[0], face.y1 - _CROWN * face.height
    half = BODY_WIDTH / 2 * face.width
    return clamped(x - half, top, x + half, top + BODY_HEIGHT * face.height)


def face_cost(face: Box, person: Box) -> float:
    """Matching cost of a face and a body: 0 is top and centre, infinity is not at all."""
    inside = intersection(face, person) / face.area
    depth = (face.centre[1] - person.y1) / person.height
    # An adult at full stretch is 14 faces tall; a close-up shows little more than the face.
    ratio = person.height / face.height
    is_close_up = person.y2 >= _BOTTOM and face.y1 - person.y1 <= _ABOVE * face.height
    if inside < 0.5 or (depth > 0.6 and not is_close_up) or not 0.9 <= ratio <= 16:
        return math.inf
    aside = abs(face.centre[0] - person.centre[0]) / person.width
    return aside + max(face.y1 - person.y1, 0.0) / person.height


def is_same_head(face: Box, other: Box) -> bool:
    """Whether one face is inside the other: one head, found at two scales."""
    return intersection(face, other) > _INSIDE * min(face.area, other.area)


def may_be_one(identity: str | None, other: str | None) -> bool:
    """Whether the identities that two detections came with, if any, allow them to be one."""
    return identity is None or other is None or identity == other


def is_raised(hand: Box, face: Box | None, person: Box) -> bool:
    """Whether a hand is held above the waist, as for a gesture, and does not hang down.

    The waist is about three faces below the chin. Where no face is seen it is taken at 45 % of
    the body, or at two thirds of what the picture shows if the lower edge cuts the body.
    """
    if face is not None:
        waist = face.y2 + 3.0 * face.height
    else:
        waist = person.y1 + (0.67 if person.y2 >= _BOTTOM else 0.45) * person.height
    return hand.centre[1] < waist


def _distinct(detections: Sequence[Detection]) -> list[Detection]:
    """The detections in a fixed order, the surest of each thing only."""
    kept: list[Detection] = []
    for new in sorted(detections, key=lambda d: (-d.score, d.kind, d.box, d.track or "")):
        is_known = any(
            old.kind == new.kind
            and (
                (new.kind != "hand" and new.track is not None and old.track == new.track)
                or (may_be_one(old.track, new.track) and _is_same_thing(old, new))
            )
            for old in kept
        )
        if not is_known:
            kept.append(new)
    return sorted(kept, key=lambda d: (d.kind, d.box, d.track or ""))


def _is_same_thing(a: Detection, b: Detection) -> bool:
    """Whether two boxes of one kind are duplicates."""
    is_one_head = a.kind == "face" and is_same_head(a.box, b.box)
    return is_one_head or iou(a.box, b.box) > _SAME_THING


def _has_head_of(person: Detection, sighting: Sighting) -> bool:
    """Whether the head of a body without a face is the face of somebody else."""
    face = sighting.face
    if face is None or not may_be_one(person.track, sighting.track) or person.track is not None:
        return False
    fits = face_cost(face, person.box) < math.inf
    return fits and face.y1 - person.box.y1 <= _ABOVE * face.height


def _is_worn(sighting: Sighting, other: Sighting) -> bool:
    """Whether a face is on the clothes of somebody whose own face is clearer."""
    face, head = sighting.face, other.face
    if face is None or head is None or sighting.is_person_seen or sighting.track is not None:
        return False
    if face is head or sighting.score >= min(other.score, _CLEAR_FACE):
        return False
    is_below = face.centre[1] > head.y2
    return is_below and intersection(face, other.person) > _INSIDE * face.area


def _is_wearers(hand: Detection, sightings: Sequence[Sighting]) -> bool:
    """Whether a hand comes in over the lower edge, or is nearer than anybody in the picture."""
    if hand.track is not None:
        return False
    if not sightings:
        return hand.box.y2 >= _BOTTOM or hand.box.height >= _NEAR_HAND
    sizes = [_size_in_faces(hand.box, _head(s)) for s in sightings]
    return hand.box.y2 >= _BOTTOM or min(sizes) > _LARGEST_HAND_EGOCENTRIC


def _face_cost(face: Detection, person: Detection) -> float:
    if face.track is not None and face.track == person.track:
        return -1.0  # the detections came as one person, wherever the boxes are
    if not may_be_one(face.track, person.track):
        return math.inf
    return face_cost(face.box, person.box)


def _sighting(face: Detection | None, person: Detection | None) -> Sighting:
    found = [d for d in (face, person) if d is not None]
    return Sighting(
        person=person.box if person else person_around(found[0].box),
        face=face.box if face else None,
        hands=(),
        face_score=face.score if face else None,
        person_score=person.score if person else None,
        track=next((d.track for d in found if d.track is not None), None),
        face_landmarks=face.landmarks if face else None,
        body_landmarks=person.landmarks if person else None,
    )


def _hand_cost(hand: Detection, sighting: Sighting, largest: float, image: Image | None) -> float:
    """Matching cost of a hand and a person, by place and skin."""
    cost = _hand_displacement(hand, sighting, largest)
    if image is None or sighting.face is None or not 0 <= cost <= _HAND_GATE:
        return cost
    share = skin_share(image, sighting.face, hand.box)
    return cost + _FOREIGN_SKIN * (1 - min(share / _SKIN, 1.0))


def _hand_displacement(hand: Detection, sighting: Sighting, largest: float) -> float:
    """A hand's distance in arm's lengths, higher outside the body; -1 where it is known to fit."""
    if hand.track is not None and hand.track == sighting.track:
        return -1.0
    if not may_be_one(hand.track, sighting.track):
        return math.inf
    person, box, head = sighting.person, hand.box, _head(sighting)
    if not _SMALLEST_HAND <= _size_in_faces(box, head) <= largest:
        return math.inf
    x, y = head.centre[0], head.y2 + 0.3 * head.height
    across, down = (box.centre[0] - x) / head.width, (box.centre[1] - y) / head.height
    distance = math.hypot(across, down) / _REACH
    if not sighting.is_person_seen:
        return distance + 0.15 if distance <= 1.0 else math.inf
    # A seen body holds its hands: how far the hand is outside, in widths and heights of it.
    outside = max(
        abs(box.centre[0] - person.centre[0]) / person.width,
        abs(box.centre[1] - person.centre[1]) / person.height,
    )
    if outside > 0.75:
        return math.inf
    return min(distance, 1.0) + (0.0 if outside <= 0.55 else 0.3)


def _head(sighting: Sighting) -> Place:
    """The face, or where and how large it should be by the body."""
    if sighting.face is not None:
        return place_of(sighting.face)
    person = sighting.person
    width, height = person.width / BODY_WIDTH, person.height / BODY_HEIGHT
    x, top = person.centre[0], person.y1 + _CROWN * height
    return Place(x - width / 2, top, x + width / 2, top + height)


def _size_in_faces(hand: Box, head: Place) -> float:
    return max(hand.width / head.width, hand.height / head.height)
