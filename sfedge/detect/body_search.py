"""Bodies and hands: searched for now and then, and looked at again where they were in between."""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from sfedge.core.boxes import Box, iou
from sfedge.core.structures import Detection, Frame, Kind
from sfedge.detect.body_hands import Arm, Torso, arms_without_hand, torso_of
from sfedge.detect.frame_crop import FrameCrop, around_hand, crop_of
from sfedge.detect.mediapipe.detected_points import FoundHand, FoundPose, Networks
from sfedge.detect.mediapipe.person_box import measure_pose
from sfedge.detect.mediapipe.regions import Region
from sfedge.detect.mediapipe.wrist_regions import region_of_hand
from sfedge.detect.tiling import (
    SAME,
    Candidate,
    beyond,
    body_squares,
    fuse,
    hand_squares,
    is_cut_off,
    is_due,
    is_of,
)

HAND_SIDE_SCORE = 0.6  # of left or right; what can be either is seldom a hand
PERSON_SCORE = 0.5

BODY_INTERVAL = 0.2  # seconds of the stream between two looks at persons and hands
SEARCH_INTERVAL = 0.6  # seconds of the stream between two searches for others

_GAP = 1.0  # seconds without a look after which nothing is where it was
_NEAR, _ALIKE = 0.25, 1.4  # sides of a hand's region that it moves; times that it grows or shrinks
_TRIES = 3  # looks in a row for a raised arm's hand; then searches alone
_MOST_BODIES = 2  # people with crops of their own at a time; they take turns


class BodySearch:
    """Finds persons and hands, every `BODY_INTERVAL`.

    Each that is known is looked at again where it was. Others are searched for in the whole frame
    and in crops around faces: every `SEARCH_INTERVAL`; when one is lost; a few times when a raised
    arm has no hand; and, when a face has come, until each face has had its turn. A search also
    looks for hands along raised arms.

    Args:
        networks: what detects in one picture.
    """

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self.reset()

    def reset(self) -> None:
        """Forget the frames so far."""
        self._looked_at: float | None = None  # stream times of the latest look and search
        self._searched_at: float | None = None
        self._bodies: list[Region] = []  # of the latest look, in pixels of the frame
        self._hands: list[Region] = []
        self._faces = 0
        self._lacking = 0  # looks in a row after which a raised arm had no hand
        self._turn = self._waiting = 0  # whose turn it is, and how many had none since one came

    def find(self, frame: Frame, whole: FrameCrop, faces: Sequence[Box]) -> list[Detection]:
        """The persons and hands in a frame; none where no look is due.

        Args:
            frame: the next one.
            whole: all of it.
            faces: in this frame.

        Raises:
            DetectorError: a network fails.
        """
        if not is_due(frame.time, self._looked_at, BODY_INTERVAL):
            return []
        if self._looked_at is not None and not 0 <= frame.time - self._looked_at <= _GAP:
            self.reset()
        self._looked_at = frame.time
        if len(faces) > self._faces:
            self._waiting = len(faces)
        self._faces = len(faces)
        known = [*self._again(whole)]
        seen = fuse(known)
        is_search = (
            is_due(frame.time, self._searched_at, SEARCH_INTERVAL)
            or self._waiting > 0
            or len(seen) < len(self._bodies) + len(self._hands)
            or (self._lacking < _TRIES and _lacks_a_hand(seen, whole))
        )
        if is_search:
            self._searched_at = frame.time
            known += beyond([*self._search(frame, whole, faces, known)], known)
        found = fuse(known)
        hands = self._hands_of_bodies(frame, found, is_search=is_search)
        self._lacking = self._lacking + 1 if _lacks_a_hand([*found, *hands], whole) else 0
        kept = [one for one in known if any(one.landmarks is other.landmarks for other in found)]
        self._bodies = _regions(kept, "person")
        size = np.array([whole.width, whole.height], np.float64)
        places = [one.landmarks[:, :2] * size for one in hands if one.landmarks is not None]
        self._hands = [region_of_hand(points) for points in places]
        return [one for one in found if one.kind == "person"] + hands

    def _again(self, whole: FrameCrop) -> Iterator[Candidate]:
        """What is seen where bodies and hands were in the latest look."""
        for region in self._bodies:
            body = self._networks.find_pose_again(whole.picture, region)
            if body is not None:
                yield from _person(body, whole)
        for region in self._hands:
            hand = self._networks.find_hand_again(whole.picture, region)
            if hand is not None and _is_same(region_of_hand(hand.points), region):
                yield from _hand(hand, whole)

    def _search(
        self, frame: Frame, whole: FrameCrop, faces: Sequence[Box], known: Sequence[Candidate]
    ) -> Iterator[Candidate]:
        """The persons and hands in the whole frame and around faces, without those known."""
        bodies, hands = _regions(known, "person"), _regions(known, "hand")
        persons = [*self._persons_in(whole, bodies)]
        yield from persons
        yield from hands_in(self._networks, whole, hands)
        heads = [one.key for one in [*known, *persons] if one.kind == "person"]
        for face in self._whose_turn(sorted(faces)):  # by place: their sizes change all the time
            for square in hand_squares(face, whole.width, whole.height):
                yield from hands_in(self._networks, crop_of(frame.image, square), hands)
            if any(is_of(face, head) for head in heads):
                continue
            for square in body_squares(face, whole.width, whole.height):
                yield from self._persons_in(crop_of(frame.image, square), bodies)

    def _hands_of_bodies(
        self, frame: Frame, found: Sequence[Detection], *, is_search: bool
    ) -> list[Detection]:
        """The hands that were found, without those that are faces, and with those of bodies."""
        height, width = frame.image.shape[:2]
        torsos = _torsos(found, width, height)
        hands = [
            one
            for one in found
            if one.kind == "hand" and not any(torso.is_on_face(one.box) for torso in torsos)
        ]
        for torso in torsos:
            known = [one.landmarks for one in hands if one.landmarks is not None]
            for arm in arms_without_hand(torso, known):
                hand = self._hand_of(arm, frame) if is_search else None
                place = arm.place(width, height)
                if hand is None and place is not None and torso.has_crossed_arms():
                    hand = Detection("hand", place, arm.seen, side=arm.side, from_body=True)
                if hand is not None and not any(iou(hand.box, one.box) > SAME for one in hands):
                    hands.append(hand)
        return hands

    def _hand_of(self, arm: Arm, frame: Frame) -> Detection | None:
        """The hand of an arm: a film shows it again soon, a photograph is looked at twice."""
        height, width = frame.image.shape[:2]
        squares = arm.squares(width, height)
        for square in squares if frame.starts_scene else islice(squares, 1):
            crop = crop_of(frame.image, square)
            hand = self._networks.find_hand_at(crop.picture, crop.region_in_part(arm.likely))
            if hand is None or not arm.may_have(hand.points[0, :2] + crop.corner_px):
                continue
            box = crop.box_in_frame(around_hand(hand.points))
            if box is not None:
                points = crop.points_in_frame(hand.points)
                return Detection("hand", box, hand.presence, side=arm.side, landmarks=points)
        return None

    def _whose_turn(self, faces: Sequence[Box]) -> list[Box]:
        count = min(len(faces), _MOST_BODIES)
        first, self._turn = self._turn, self._turn + count
        self._waiting = max(self._waiting - count, 0)
        return [faces[(first + i) % len(faces)] for i in range(count)]

    def _persons_in(self, crop: FrameCrop, known: Sequence[Region]) -> Iterator[Candidate]:
        places = [crop.region_in_part(region) for region in known]
        for found in self._networks.find_poses(crop.picture, places):
            yield from _person(found, crop)


def hands_in(
    networks: Networks, crop: FrameCrop, known: Sequence[Region] = ()
) -> Iterator[Candidate]:
    """The hands that a look at a part of a frame finds.

    Args:
        networks: what looks.
        crop: the part.
        known: where hands were found already, in pixels of the frame.
    """
    places = [crop.region_in_part(region) for region in known]
    for found in networks.find_hands(crop.picture, places):
        yield from _hand(found, crop)


def _torsos(found: Sequence[Detection], width: int, height: int) -> list[Torso]:
    bodies = [one.landmarks for one in found if one.kind == "person"]
    return [torso_of(points, width, height) for points in bodies if points is not None]


def _lacks_a_hand(found: Sequence[Detection], whole: FrameCrop) -> bool:
    """Whether somebody raises an arm whose hand is not among what was found."""
    hands = [one.landmarks for one in found if one.kind == "hand" and one.landmarks is not None]
    torsos = _torsos(found, whole.width, whole.height)
    return any(any(True for _ in arms_without_hand(torso, hands)) for torso in torsos)


def _regions(known: Sequence[Candidate], kind: Kind) -> list[Region]:
    return [one.again for one in known if one.kind == kind and one.again is not None]


def _is_same(new: Region, old: Region) -> bool:
    """Whether a hand has moved and changed so little that it is surely the same."""
    return old.away(new) < _NEAR and 1 / _ALIKE < new.side / old.side < _ALIKE


def _hand(found: FoundHand, crop: FrameCrop) -> Iterator[Candidate]:
    """The hand as of the frame, if it counts."""
    box = crop.box_in_frame(around_hand(found.points))
    score = min(found.side_score, 1.0)
    if score >= HAND_SIDE_SCORE and box is not None and not is_cut_off(box, crop.box):
        points = crop.points_in_frame(found.points)
        again = crop.region_in_frame(region_of_hand(found.points))
        side = found.side
        yield Candidate("hand", box, score, key=box, side=side, landmarks=points, again=again)


def _person(found: FoundPose, crop: FrameCrop) -> Iterator[Candidate]:
    """The person as of the frame, if it counts."""
    pose = measure_pose(found.points)
    box, head = crop.box_in_frame(pose.person), crop.box_in_frame(pose.head)
    # Without a head in the picture it is nobody to ask about, or the camera's wearer.
    if box is not None and head is not None and pose.score >= PERSON_SCORE:
        points = crop.points_in_frame(found.points, is_depth=False)
        again = None if found.again is None else crop.region_in_frame(found.again)
        yield Candidate("person", box, pose.score, key=head, landmarks=points, again=again)
