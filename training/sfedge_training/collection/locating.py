"""Whom or which hand a label of a picture is about, where the picture alone decides it.

A face: the only one, or the one that is at least twice as tall as any other. A hand, or two close
together: the only one that a run asks about. Of several of one person the one that is clearly held
higher; where none is held up, any hand of the person counts. Of hands without a gesture the
highest stands for all, since the label is true of each. Else several could be meant, and nothing
is chosen.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from sfedge.core.boxes import Box, iou, union
from sfedge.core.landmarks import NO_LANDMARKS, Landmarks
from sfedge.core.structures import Hand, Image, Scene, Track
from sfedge.inference.conditions import raised_hands
from sfedge.inference.crop import hands_together, head_box
from sfedge.scoring.matching import OVERLAP
from sfedge_training.collection.looking import Looker, known_hands

_CLEARLY_LARGER = 2.0  # times as tall, a face is the one that is meant
_CLEARLY_HIGHER = 0.5  # of its height, a hand is

Outcome = Literal["given", "given, not seen", "filled", "several", "nothing"]
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a label is about."""

    part: Literal["face", "hand"]
    box: Box | None  # that the table gives it
    is_idle: bool = False  # the label is that no hand makes a gesture


@dataclass(frozen=True, slots=True)
class Located:
    """Where that is, and its landmarks; no box where nothing was chosen."""

    outcome: Outcome
    box: Box | None = None
    landmarks: Landmarks = NO_LANDMARKS


@dataclass(frozen=True, slots=True)
class _Held:
    """A hand, or two close together."""

    hands: tuple[Hand, ...]
    owner: Track | None

    @property
    def box(self) -> Box:
        return union([hand.box for hand in self.hands])

    @property
    def landmarks(self) -> Landmarks:
        """In the order of a run: of these hands, then of the person's other one, and the body."""
        if self.owner is None:
            return Landmarks(known_hands(self.hands))
        others = [hand for hand in self.owner.hands if hand not in self.hands]
        return Landmarks(known_hands([*self.hands, *others]), self.owner.body_landmarks)


def locate(looker: Looker, image: Image, wanted: Sequence[Wanted]) -> list[Located]:
    """Where in a picture each label's face or hand is.

    Args:
        looker: whose networks look.
        image: (H, W, 3).
        wanted: of the labels of this picture.

    Returns:
        One for each. A box that was given comes back as it was.

    Raises:
        DetectorError: a network fails.
    """
    scene = looker.scene(image)
    return [
        _face(looker, image, scene, one) if one.part == "face" else _hand(looker, image, scene, one)
        for one in wanted
    ]


def _face(looker: Looker, image: Image, scene: Scene, wanted: Wanted) -> Located:
    faces = [(t.face, t.face_landmarks) for t in scene.people if t.face is not None]
    if wanted.box is None:
        if not faces:  # one that fills the picture
            found = looker.find(image, "face", None)
            return Located("filled", *found[0]) if found else Located("nothing")
        faces.sort(key=lambda face: -face[0].height)
        face, key_points = faces[0]
        if any(face.height < _CLEARLY_LARGER * other.height for other, _ in faces[1:]):
            return Located("several")
        points = looker.face_points(image, face, key_points)
        return Located("filled", face, Landmarks(face=points))

    def share(face: tuple[Box, object], box: Box = wanted.box) -> float:
        return max(iou(face[0], box), iou(head_box(face[0]), box))

    best = _best(faces, share)
    if best is None:
        near = looker.faces_near(image, wanted.box)
        best = _best([(one.box, one.landmarks) for one in near], share)
    points = None if best is None else looker.face_points(image, *best)
    outcome: Outcome = "given" if points is not None else "given, not seen"
    return Located(outcome, wanted.box, Landmarks(face=points))


def _hand(looker: Looker, image: Image, scene: Scene, wanted: Wanted) -> Located:
    height, width = image.shape[:2]
    if wanted.box is None:
        held = _meant(scene, width / height, is_idle=wanted.is_idle)
        if held is None:
            return Located("several" if _all_hands(scene) else "nothing")
        return Located("filled", held.box, held.landmarks)
    box = wanted.box
    groups = _held(scene, width / height, lambda track: track.hands)
    single = [_Held((hand,), held.owner) for held in groups for hand in held.hands]
    best = _best([*groups, *single], lambda held: iou(held.box, box))
    if best is not None:
        return Located("given", box, best.landmarks)
    found = looker.find(image, "hand", box)
    if found:
        return Located("given", box, found[0][1])
    return Located("given, not seen", box)


def _meant(scene: Scene, aspect: float, *, is_idle: bool) -> _Held | None:
    """The hand, or the two, that a label without a box is about."""
    asked = _held(scene, aspect, raised_hands) or _held(scene, aspect, lambda track: track.hands)
    asked.sort(key=lambda held: held.box.centre[1])
    if len(asked) < 2 or is_idle:
        return asked[0] if asked else None
    first, second = asked[:2]
    if len({held.owner.id if held.owner else -held.hands[0].id for held in asked}) > 1:
        return None
    lead = second.box.centre[1] - first.box.centre[1]
    return first if lead >= _CLEARLY_HIGHER * first.box.height else None


def _held(scene: Scene, aspect: float, of: Callable[[Track], tuple[Hand, ...]]) -> list[_Held]:
    """The hands of people, and those of nobody in sight, as a run groups them."""
    owned = [(track, of(track)) for track in scene.people]
    return [
        _Held(group, owner)
        for owner, hands in [*owned, (None, scene.hands)]
        for group in hands_together(hands, aspect)
    ]


def _all_hands(scene: Scene) -> list[Hand]:
    return [*(hand for track in scene.people for hand in track.hands), *scene.hands]


def _best(items: Sequence[_Item], share: Callable[[_Item], float]) -> _Item | None:
    """What overlaps most with a box, if that is enough."""
    best = max(items, key=share, default=None)
    return best if best is not None and share(best) >= OVERLAP else None
