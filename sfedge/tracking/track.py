"""Ids for people over time, across short gaps, crossings and brief absences."""

import math
from collections.abc import Sequence

import numpy as np

from sfedge.core.boxes import iou
from sfedge.core.structures import Detection, Frame, Scene
from sfedge.tracking.appearance import Appearance, appearances, similarity
from sfedge.tracking.assign import assign
from sfedge.tracking.hand_tracks import HandTracker, SeenHand
from sfedge.tracking.people import Group, Sighting, group, is_same_head
from sfedge.tracking.target import GATING_THRESHOLD, Target, matching_cost

_TRIAL = 0.35  # an unconfirmed person out of sight is dropped after this
_DECISION = 0.5  # a newcomer who may be a returner is observed this long before getting an id
# The same person gives 0.99 under a shaking box and 0.97 at 15 % less light; two men in dark suits
# up to 0.94, others up to 0.91 (measured on photographs). Below, or with a rival this close, a
# newcomer gets a new id; at once where nobody absent comes near.
_RECOGNISED, _RIVAL_MARGIN, _RESEMBLES = 0.95, 0.04, 0.85
_MOST_REMEMBERED = 64  # people


class Tracker:
    """Follows people from frame to frame; ids count from 1 and are never given twice.

    A person is confirmed by a clear sight or by many unclear ones. One who is out of sight for up
    to `max_gap` goes on where constant velocity leads. One who stays away longer ends, and gets
    the old id back on returning within `remember` if head and clothes look the same and nobody
    else known looks nearly so; this memory of colours lives in this object only. Detections that
    come with an identity keep it: each identity is one id. Ids end at a cut.

    Args:
        max_gap: seconds (or two frames, if that is longer) that a track survives unseen.
        remember: seconds that the looks of an absent person are kept.
        egocentric: the camera is worn; see `sfedge.tracking.people.group`.
    """

    def __init__(
        self, *, max_gap: float = 1.0, remember: float = 60.0, egocentric: bool = False
    ) -> None:
        self._max_gap, self._remember, self._egocentric = max_gap, remember, egocentric
        self._people: list[Target] = []
        self._hands = HandTracker()
        self._by_name: dict[str, int] = {}
        self._time: float | None = None
        self._last_id = 0
        self._shot = 0

    def update(
        self, detections: Sequence[Detection], frame: Frame, *, is_cut: bool = False
    ) -> Scene:
        """The people of this frame, ordered by id, and the hands, ordered by theirs.

        A person who was missed in this frame is among them for 0.3 s, moved along, with a
        `last_seen` before the frame's time.

        Args:
            detections: of this frame, in any order. Bodies and hands may come in some frames only.
            frame: frames come in order of time.
            is_cut: this frame is the first after a cut. All ids end, and nobody is recognised
                across it; the same where `frame.starts_scene`.
        """
        time = frame.time
        ended: list[int] = []
        is_cut = is_cut and self._time is not None
        if is_cut or (frame.starts_scene and self._time is not None):
            self._shot += 1
            ended = [p.id for p in self._people if p.id is not None and not p.is_ended]
            self._people.clear()
            self._time = None
            self._hands.end_all()
        step = 0.0 if self._time is None else max(time - self._time, 0.0)
        self._time = time
        for person in self._people:
            person.advance(step)

        seen_now = group(detections, frame.image, egocentric=self._egocentric)
        sightings = seen_now.people
        expected = [person.expected() for person in self._people if not person.is_ended]
        looks = appearances(frame.image, sightings, [e for e in expected if e is not None])
        partners = self._match(sightings, looks, time)
        seen = [person for person in partners if person is not None]
        for person in self._people:
            person.missed += person not in seen
        for sighting, look, partner in zip(sightings, looks, partners, strict=True):
            if partner is not None:
                partner.observe(sighting, look, time)
        owners: list[Target] = []  # of each sighting
        for sighting, look, partner in zip(sightings, looks, partners, strict=True):
            owner = partner or _duplicate_of(sighting, seen)
            if owner is None:
                owner = Target(time, time, sighting.track)
                owner.observe(sighting, look, time, is_photograph=frame.starts_scene)
                self._people.append(owner)
            owners.append(owner if owner.id is not None else self._confirm(owner, time))
        self._follow_hands(seen_now, owners, frame)
        ended += self._forget(time)
        tracks = [person.track(self._hands.of(person, time), time) for person in self._people]
        people = sorted((t for t in tracks if t is not None), key=lambda t: t.id)
        return Scene(
            people=tuple(people),
            hands=self._hands.of(None, time),
            shot=self._shot,
            is_cut=is_cut,
            ended=tuple(sorted(ended)),
        )

    def _match(
        self, sightings: Sequence[Sighting], looks: Sequence[Appearance], time: float
    ) -> list[Target | None]:
        """Each sighting's person of earlier frames, or None."""
        costs = np.full((len(sightings), len(self._people)), math.inf)
        for row, (sighting, look) in enumerate(zip(sightings, looks, strict=True)):
            for column, person in enumerate(self._people):
                costs[row, column] = matching_cost(person, sighting, look, time)
        partners = assign(costs, GATING_THRESHOLD)
        return [None if column is None else self._people[column] for column in partners]

    def _follow_hands(self, seen: Group, owners: Sequence[Target], frame: Frame) -> None:
        hands = [
            SeenHand(hand, owner)
            for sighting, owner in zip(seen.people, owners, strict=True)
            for hand in sighting.hands
        ]
        hands += [SeenHand(hand, None) for hand in seen.hands]
        hands += [SeenHand(hand, None, is_wearers=True) for hand in seen.wearers]
        # Whoever looks for bodies looks for hands.
        looked_at = [p for p in self._people if p.body_seen == frame.time]
        self._hands.update(hands, looked_at, frame.time, is_photograph=frame.starts_scene)

    def _confirm(self, person: Target, time: float) -> Target:
        """Give an id, old or new, to a person who has earned one.

        Returns:
            The person, or the absent one who has come back in this person.
        """
        if person.name is not None:
            if person.name not in self._by_name:
                self._by_name[person.name] = self._new_id()
            person.id = self._by_name[person.name]
            return person
        if not person.is_proven:
            return person
        absent = [p for p in self._people if p.id and p.missed and not p.name and p.appearance]
        if absent:
            known, likeness = self._recognise(person, absent)
            is_settled = _is_settled(person)
            has_waited = time - person.first_seen >= _DECISION
            if known is not None and (is_settled or has_waited):
                known.resume(person)
                self._hands.hand_over(person, known)
                self._people.remove(person)
                return known
            if not has_waited and not (is_settled and likeness < _RESEMBLES):
                return person
        person.id = self._new_id()
        return person

    def _recognise(self, newcomer: Target, absent: Sequence[Target]) -> tuple[Target | None, float]:
        """The absent person who looks like the newcomer and no other known one does, if any.

        Also how much like the newcomer any absent person looks, in [0, 1].
        """
        if newcomer.appearance is None or not newcomer.appearance.is_clear:
            return None, 0.0
        alike: list[tuple[float, Target]] = []
        for person in self._people:
            if person is newcomer or person.id is None or person.appearance is None:
                continue
            degree, trust = similarity(newcomer.appearance, person.appearance)
            alike.append((degree if trust >= 0.5 else 0.0, person))
        alike.sort(key=lambda pair: -pair[0])
        degree, person = alike[0]
        rival = alike[1][0] if len(alike) > 1 else 0.0
        is_one = degree >= _RECOGNISED and degree - rival >= _RIVAL_MARGIN
        likeness = max(degree for degree, person in alike if person in absent)
        return (person if is_one and person in absent else None), likeness

    def _forget(self, time: float) -> list[int]:
        """End those out of sight for too long, drop those who can no longer return.

        Returns:
            The ids that end.
        """
        ended, kept = [], []
        for person in self._people:
            away = time - person.last_seen
            if person.id is None:
                if away <= _TRIAL or person.missed < 2:
                    kept.append(person)
                continue
            if not person.is_ended and away > self._max_gap and person.missed > 2:
                person.is_ended = True
                ended.append(person.id)
            if not person.is_ended or away <= self._remember:
                kept.append(person)
        absent = sorted((p for p in kept if p.is_ended), key=lambda p: p.last_seen)
        for person in absent[: max(len(absent) - _MOST_REMEMBERED, 0)]:
            kept.remove(person)
        self._people = kept
        return ended

    def _new_id(self) -> int:
        self._last_id += 1
        return self._last_id


def _is_settled(person: Target) -> bool:
    """Whether a newcomer has been seen well enough to be compared."""
    return person.sightings >= 4 and person.appearance is not None and person.appearance.is_clear


def _duplicate_of(sighting: Sighting, seen: Sequence[Target]) -> Target | None:
    """The matched person of whom an unmatched sighting is a duplicate, if any."""
    if sighting.track is not None:
        return None
    for person in seen:
        old = person.face if sighting.face else person.body
        box = old.box() if old else None
        if box is None:
            continue
        if sighting.face is not None and is_same_head(sighting.face, box):
            return person
        if iou(sighting.face or sighting.person, box) > 0.5:
            return person
    return None
