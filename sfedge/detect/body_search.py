"""Bodies and hands: searched for now and then, and looked at again where they were in between."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

import numpy as np

from sfedge.core.boxes import Box, iou
from sfedge.core.landmarks import Points
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
    is_of,
)

HAND_SIDE_SCORE = 0.6  # of left or right; what can be either is seldom a hand
PERSON_SCORE = 0.5

LOOK_INTERVAL = 0.2  # seconds of the stream between two looks at a known body and its hands
SEARCH_INTERVAL = 0.6  # seconds of the stream between two searches for others

# Errands are looks and searches. There is time for one in a frame of a film, so that no frame takes
# long, also of a crowd; where frames are rare, for all that are due.
_ERRAND, _RARE = 0.032, 0.1  # seconds of the stream: for each, and for each further one in a frame
_GAP = 0.3  # seconds without a frame after which little is where it was
_NEAR, _ALIKE = 0.25, 1.4  # sides of a hand's region that it moves; times that it grows or shrinks
_TRIES = 3  # looks in a row that search along an arm for its hand, before they become rare
_MOST_BODIES = 2  # people with crops of their own in a scene's first frame


@dataclass(slots=True, eq=False)
class _Known:
    """A body and its hands, or a hand of nobody, and when they were looked at."""

    time: float
    body: Candidate | None = None
    hands: list[Candidate] = field(default_factory=list)
    lacking: int = 0  # looks in a row in which a raised arm had no hand


class BodySearch:
    """Finds persons and hands.

    A scene's first frame is searched: all of it, and crops around faces. Then known bodies and
    their hands are looked at again where they were, in turn, each every `LOOK_INTERVAL`; and others
    are searched for in the whole frame, and around one face after the other, each every
    `SEARCH_INTERVAL`, and at once where one is lost or a face has come. What a frame gives is
    what was looked at in it. Hands that a body raises are also looked for along its arms.

    Args:
        networks: what detects in one picture.
    """

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self._follows = networks.follows
        self._search_interval = SEARCH_INTERVAL if networks.follows else LOOK_INTERVAL
        self.reset()

    def reset(self) -> None:
        """Forget the frames so far."""
        self._last: float | None = None  # stream times: of the last frame, of the latest searches
        self._searched_at = self._closer_at = 0.0
        self._errands = 0.0  # that there has been time for
        self._known: list[_Known] = []
        self._faces = 0
        self._turn = self._waiting = 0  # whose turn it is, and how many had none since one came

    def find(self, frame: Frame, whole: FrameCrop, faces: Sequence[Box]) -> list[Detection]:
        """The persons and hands that are looked at in a frame.

        Args:
            frame: the next one.
            whole: all of it.
            faces: in this frame.

        Raises:
            DetectorError: a network fails.
        """
        now, last = frame.time, self._last
        if last is None or not 0 <= now - last <= _GAP:
            self.reset()
            self._last = self._searched_at = self._closer_at = now
            self._faces, self._waiting = len(faces), max(len(faces) - _MOST_BODIES, 0)
            return self._search(frame, whole, self._in_turn(faces, _MOST_BODIES), is_whole=True)
        if len(faces) > self._faces:
            self._waiting = len(faces)
        self._faces, self._last = len(faces), now
        most = 1 + int((now - last) / _RARE)
        self._errands = min(self._errands + (now - last) / _ERRAND, most)
        found: list[Detection] = []
        for errand in self._due(frame, whole, faces):
            if self._errands < 1 - 1e-6:
                break
            self._errands -= 1
            found += errand()
        return found

    def _due(
        self, frame: Frame, whole: FrameCrop, faces: Sequence[Box]
    ) -> list[Callable[[], list[Detection]]]:
        """The errands that are due, the longest overdue first."""
        now = frame.time
        errands: list[tuple[float, Callable[[], list[Detection]]]] = [
            ((now - one.time) / LOOK_INTERVAL, partial(self._look_again, frame, whole, one))
            for one in self._known
        ]
        search = partial(self._search, frame, whole, (), is_whole=True)
        errands.append(((now - self._searched_at) / self._search_interval, search))
        if faces:
            each = LOOK_INTERVAL if self._waiting else SEARCH_INTERVAL / len(faces)
            late = (now - self._closer_at) / max(each, LOOK_INTERVAL) + (self._waiting > 0)
            closer = partial(self._search_closer, frame, whole, faces)
            errands += [(late, closer)] * max(self._waiting, 1)
        due = sorted((one for one in errands if one[0] >= 1 - 1e-6), key=lambda one: -one[0])
        return [errand for _, errand in due]

    def _look_again(self, frame: Frame, whole: FrameCrop, one: _Known) -> list[Detection]:
        """A body and its hands where they were."""
        others = [each for other in self._known if other is not one for each in _parts(other)]
        one.time, had, seen = frame.time, len(_parts(one)), list[Candidate]()
        if one.body is not None and one.body.again is not None:
            pose = self._networks.find_pose_again(whole.picture, one.body.again)
            bodies = [] if pose is None else beyond(_person(pose, whole), others)
            one.body = bodies[0] if bodies else None
            seen += bodies
        before, one.hands = one.hands, []
        for hand in before:
            assert hand.again is not None
            found = self._networks.find_hand_again(whole.picture, hand.again)
            if found is None or not _is_same(region_of_hand(found.points), hand.again):
                continue
            one.hands += beyond(_hand(found, whole), [*others, *one.hands])
        if len(_parts(one)) < had:  # something is lost: the next search is due
            self._searched_at = min(self._searched_at, frame.time - SEARCH_INTERVAL)
        if not _parts(one):
            self._known.remove(one)
            return []
        detections = fuse([*seen, *one.hands])
        if one.body is None:
            return detections
        torso = _torso_of(one.body, whole)
        persons = [each for each in detections if each.kind == "person"]
        hands = [
            each for each in detections if each.kind == "hand" and not torso.is_on_face(each.box)
        ]
        one.hands = [c for c in one.hands if any(c.landmarks is each.landmarks for each in hands)]
        arms = [*arms_without_hand(torso, _landmarks(hands))]
        one.lacking = one.lacking + 1 if arms else one.lacking // 2
        # Less and less often, as a hand that was not found three times will hardly be soon.
        is_tried = one.lacking <= _TRIES or one.lacking.bit_count() == 1
        tried = [arms[one.lacking % len(arms)]] if arms and is_tried else []
        self._errands -= len(tried)  # that takes as long again
        one.hands += self._add_hands_of_arms(frame, torso, hands, tried)
        return persons + hands

    def _search_closer(
        self, frame: Frame, whole: FrameCrop, faces: Sequence[Box]
    ) -> list[Detection]:
        """Around the face whose turn it is."""
        self._waiting = max(self._waiting - 1, 0)
        return self._search(frame, whole, self._in_turn(faces, 1), is_whole=False)

    def _search(
        self, frame: Frame, whole: FrameCrop, faces: Sequence[Box], *, is_whole: bool
    ) -> list[Detection]:
        """Persons and hands that are not known, in the whole frame and in crops around faces."""
        known = [each for one in self._known for each in _parts(one)]
        candidates: list[Candidate] = []
        if is_whole:
            self._searched_at = frame.time
            candidates += [*self._persons_in(whole, known), *hands_in(self._networks, whole, known)]
        if faces:
            self._closer_at = frame.time
        for face in faces:
            for square in hand_squares(face, whole.width, whole.height):
                candidates += hands_in(self._networks, crop_of(frame.image, square), known)
            heads = [one.key for one in [*known, *candidates] if one.kind == "person"]
            if any(is_of(face, head) for head in heads):
                continue
            for square in body_squares(face, whole.width, whole.height):
                candidates += self._persons_in(crop_of(frame.image, square), known)
        return self._taken(frame, whole, beyond(candidates, known))

    def _taken(
        self, frame: Frame, whole: FrameCrop, candidates: Sequence[Candidate]
    ) -> list[Detection]:
        """What a search has found, with the hands of bodies; all of it is known from now on."""
        found = fuse(candidates)
        kept = [c for one in found for c in candidates if c.landmarks is one.landmarks]
        persons = [one for one in kept if one.kind == "person"]
        bodies = [one.body for one in self._known if one.body is not None]
        torsos = [_torso_of(body, whole) for body in [*persons, *bodies]]
        hands = [
            one
            for one in found
            if one.kind == "hand" and not any(torso.is_on_face(one.box) for torso in torsos)
        ]
        new = [_Known(frame.time, body=person) for person in persons]
        self._known += new
        for candidate in kept:
            if any(candidate.landmarks is one.landmarks for one in hands):
                self._owner(candidate, whole, frame.time).hands.append(candidate)
        for one in new:
            assert one.body is not None
            torso = _torso_of(one.body, whole)
            one.hands += self._add_hands_of_arms(frame, torso, hands)
        if not self._follows:
            self._known = []
        return [one for one in found if one.kind == "person"] + hands

    def _owner(self, hand: Candidate, whole: FrameCrop, now: float) -> _Known:
        """Whom a hand is looked at with: the body with a wrist at its own, else nobody."""
        assert hand.landmarks is not None
        wrist = hand.landmarks[0, :2].astype(np.float64) * (whole.width, whole.height)
        for one in self._known:
            if one.body is not None and _torso_of(one.body, whole).has_wrist_near(wrist):
                return one
        one = _Known(now)
        self._known.append(one)
        return one

    def _add_hands_of_arms(
        self,
        frame: Frame,
        torso: Torso,
        hands: list[Detection],
        tried: Sequence[Arm] | None = None,
    ) -> list[Candidate]:
        """Add the hands of raised arms to those that were found.

        Args:
            frame: to look at.
            torso: of a body in it.
            hands: that were found; others are added.
            tried: the arms along which they are looked for, None for all; crossed arms place
                the hands of the others.

        Returns:
            Those that were found along the arms.
        """
        height, width = frame.image.shape[:2]
        seen = list[Candidate]()
        for arm in arms_without_hand(torso, _landmarks(hands)):
            is_tried = tried is None or any(arm.side == one.side for one in tried)
            found = self._hand_of(arm, frame) if is_tried else None
            place = arm.place(width, height)
            hand: Detection | None = None
            if found is not None:
                landmarks = found.landmarks
                hand = Detection("hand", found.box, found.score, side=arm.side, landmarks=landmarks)
            elif place is not None and torso.has_crossed_arms():
                hand = Detection("hand", place, arm.seen, side=arm.side, from_body=True)
            if hand is None or any(iou(hand.box, one.box) > SAME for one in hands):
                continue
            hands.append(hand)
            seen += [] if found is None else [found]
        return seen

    def _hand_of(self, arm: Arm, frame: Frame) -> Candidate | None:
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
                again = crop.region_in_frame(region_of_hand(hand.points))
                return Candidate(
                    "hand",
                    box,
                    hand.presence,
                    key=box,
                    side=arm.side,
                    landmarks=points,
                    again=again,
                )
        return None

    def _in_turn(self, faces: Sequence[Box], most: int) -> list[Box]:
        """The next faces, by place: their sizes change all the time."""
        count, places = min(len(faces), most), sorted(faces)
        first, self._turn = self._turn, self._turn + count
        return [places[(first + i) % len(places)] for i in range(count)]

    def _persons_in(self, crop: FrameCrop, known: Sequence[Candidate]) -> Iterator[Candidate]:
        places = _regions(known, "person", crop)
        for found in self._networks.find_poses(crop.picture, places):
            yield from _person(found, crop)


def hands_in(
    networks: Networks, crop: FrameCrop, known: Sequence[Candidate] = ()
) -> Iterator[Candidate]:
    """The hands that a look at a part of a frame finds, without those that are known."""
    for found in networks.find_hands(crop.picture, _regions(known, "hand", crop)):
        yield from _hand(found, crop)


def _parts(one: _Known) -> list[Candidate]:
    return [*([] if one.body is None else [one.body]), *one.hands]


def _torso_of(body: Candidate, whole: FrameCrop) -> Torso:
    assert body.landmarks is not None
    return torso_of(body.landmarks, whole.width, whole.height)


def _landmarks(hands: Sequence[Detection]) -> list[Points]:
    return [one.landmarks for one in hands if one.landmarks is not None]


def _regions(known: Sequence[Candidate], kind: Kind, crop: FrameCrop) -> list[Region]:
    """Where in a part of a frame those of a kind are looked at again."""
    regions = [one.again for one in known if one.kind == kind and one.again is not None]
    return [crop.region_in_part(region) for region in regions]


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
