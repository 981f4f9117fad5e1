"""One followed person: boxes over time, where to expect them, and what speaks for a sighting."""

import math
from dataclasses import dataclass
from itertools import product

from sfedge.core.landmarks import Points, moved
from sfedge.core.structures import Hand, Track
from sfedge.tracking.appearance import Appearance, blend, similarity
from sfedge.tracking.people import BODY_HEIGHT, BODY_WIDTH, Sighting, face_cost, person_around
from sfedge.tracking.place import Place, place_of

GATING_THRESHOLD = 1.1  # a sighting with a higher matching cost is somebody else

# Distances are in face widths (about 15 cm), times in seconds.
CARRY = (
    0.3  # a box not seen again is shown this long: bodies and hands are not sought in each frame
)
_STALE = 1.0  # a body rides this long on a face in sight; older parts are forgotten
# One clear sight proves a person, else sights in most updates over a while; things that look like
# faces come and go. On somebody's clothes (`Sighting.is_doubtful`) these must be clear, too.
_SURE, _PROOF, _OFTEN, _CLEAR_MEAN = 0.75, 0.25, 0.6, 0.8
_SURE_AT_ONCE = 0.65  # in a photograph, where there is no second sight
# How far from the expected place one may be found: more the longer unseen, up to a limit.
_NEAR, _SPEED, _FAR = 1.0, 5.0, 6.0
_HIDDEN_COST = 0.6  # after a second out of sight, so that those in sight come first
_VELOCITY_MEMORY = 0.25  # time constant of the running mean of the velocity
_COASTING = 1.0  # time constant with which a person out of sight comes to rest
_NEWEST = 0.1  # least share of the newest sight in the remembered appearance


@dataclass(frozen=True, slots=True, eq=False)
class SeenLandmarks:
    """Landmarks, and where the box was in which they were seen."""

    points: Points
    place: Place


@dataclass(slots=True, eq=False)
class Target:
    """The tracker's state of one person; without an id as long as unconfirmed."""

    first_seen: float
    last_seen: float
    name: str | None
    id: int | None = None
    face: Place | None = None
    face_seen: float = -math.inf
    face_score: float | None = None
    face_landmarks: SeenLandmarks | None = None
    body: Place | None = None  # as a detector saw it, never the estimate
    body_seen: float = -math.inf
    body_score: float | None = None
    body_landmarks: SeenLandmarks | None = None
    velocity: tuple[float, float] = (0.0, 0.0)  # fractions of the picture per second
    travelled: tuple[float, float] = (0.0, 0.0)  # the sum of all moves, by which the hands follow
    sightings: int = 0
    updates: int = 1  # since the first sight
    missed: int = 0  # updates since the last sight
    hidden: float = 0.0  # seconds out of sight, as far as frames have shown it
    total: float = 0.0  # of all scores
    is_proven: bool = False  # seen clearly or often enough to be somebody
    appearance: Appearance | None = None
    is_ended: bool = False  # out of sight for longer than the gap allows

    def advance(self, dt: float) -> None:
        """Move to where the person is expected after `dt`."""
        self.updates += 1
        self._shift(self.velocity[0] * dt, self.velocity[1] * dt)
        if self.missed:
            self.hidden += dt
            rest = math.exp(-dt / _COASTING)
            self.velocity = (self.velocity[0] * rest, self.velocity[1] * rest)

    def _shift(self, dx: float, dy: float) -> None:
        self.face = self.face.moved(dx, dy) if self.face else None
        self.body = self.body.moved(dx, dy) if self.body else None
        self.travelled = self.travelled[0] + dx, self.travelled[1] + dy

    def observe(
        self,
        sighting: Sighting,
        appearance: Appearance,
        time: float,
        *,
        is_photograph: bool = False,
    ) -> None:
        """Take over what was seen; what was not seen moves along.

        Args:
            sighting: of this person.
            appearance: likewise.
            time: of the frame.
            is_photograph: there will be no second sight.
        """
        step = None
        if sighting.face is not None and self.face is not None:
            new, old = sighting.face.centre, self.face.centre
            step = new[0] - old[0], new[1] - old[1]
        elif sighting.is_person_seen and self.body is not None:
            # The feet come and go at the picture's edge; the top edge stays on the head.
            step = (
                sighting.person.centre[0] - self.body.centre[0],
                sighting.person.y1 - self.body.y1,
            )
        elapsed = time - self.last_seen
        if step is not None and elapsed > 0:
            share = max(1 - math.exp(-elapsed / _VELOCITY_MEMORY), 1 / (self.sightings + 1))
            self._shift(*step)
            self.velocity = (
                self.velocity[0] + share * step[0] / elapsed,
                self.velocity[1] + share * step[1] / elapsed,
            )
        if sighting.face is not None:
            self.face, self.face_seen = place_of(sighting.face), time
            self.face_score = sighting.face_score
            self.face_landmarks = _seen(sighting.face_landmarks, self.face)
        if sighting.is_person_seen:
            self.body, self.body_seen = place_of(sighting.person), time
            self.body_score = sighting.person_score
            self.body_landmarks = _seen(sighting.body_landmarks, self.body)
        if self.appearance is None:
            self.appearance = appearance
        else:
            share = max(_NEWEST, 1 / (self.sightings + 1))  # the mean of the first sights
            self.appearance = blend(self.appearance, appearance, share)
        if time - self.face_seen > _STALE:
            self.face = None
        if time - self.body_seen > _STALE:
            self.body = None
        self.last_seen, self.missed, self.hidden, self.is_ended = time, 0, 0.0, False
        self.sightings += 1
        self.total += sighting.score
        self.is_proven |= self._is_proven_by(sighting, time, is_photograph)
        self.name = self.name or sighting.track

    def _is_proven_by(self, sighting: Sighting, time: float, is_photograph: bool) -> bool:
        """Whether a clear sight, or many unclear ones, show that this is a person."""
        if sighting.track is not None:
            return True
        if is_photograph:
            return sighting.score >= (_CLEAR_MEAN if sighting.is_doubtful else _SURE_AT_ONCE)
        if sighting.score >= _SURE and not sighting.is_doubtful:
            return True
        if time - self.first_seen < _PROOF or self.sightings < _OFTEN * self.updates:
            return False
        return not sighting.is_doubtful or self.total / self.sightings >= _CLEAR_MEAN

    def expected(self) -> Sighting | None:
        """The expected sighting of this person now; None outside the picture."""
        face = self.face.box() if self.face else None
        body = self.body.box() if self.body else None
        if face is None and body is None:
            return None
        person = body or (person_around(face) if face else None)
        if person is None:
            return None
        return Sighting(person, face, (), self.face_score, self.body_score if body else None)

    def resume(self, newcomer: "Target") -> None:
        """Go on as `newcomer`, who turned out to be this person."""
        for part, what in product(("face", "body"), ("", "_seen", "_score", "_landmarks")):
            setattr(self, part + what, getattr(newcomer, part + what))
        self.last_seen, self.velocity = newcomer.last_seen, newcomer.velocity
        self.missed, self.hidden, self.is_ended = 0, 0.0, False

    def track(self, hands: tuple[Hand, ...], time: float) -> Track | None:
        """The public view now, None where no box is recent or all have left the picture.

        Args:
            hands: this person's.
            time: of the frame.
        """
        if self.id is None or time - self.last_seen > CARRY:
            return None
        # A body seen without its face has turned away, or it is hidden.
        has_face = time - self.face_seen <= CARRY and self.face_seen >= self.body_seen
        face = self.face.box() if self.face and has_face else None
        body = None
        if self.body and time - self.body_seen <= (_STALE if face else CARRY):
            body = self.body.box()
        person = body or (person_around(face) if face else None)
        if person is None:
            return None
        return Track(
            id=self.id,
            person=person,
            face=face,
            hands=hands,
            first_seen=self.first_seen,
            last_seen=self.last_seen,
            name=self.name,
            person_score=self.body_score if body else None,
            face_score=self.face_score if face else None,
            body_landmarks=_now(self.body_landmarks, self.body) if body else None,
            face_landmarks=_now(self.face_landmarks, self.face) if face else None,
        )


def _seen(points: Points | None, place: Place) -> SeenLandmarks | None:
    return None if points is None else SeenLandmarks(points, place)


def _now(seen: SeenLandmarks | None, place: Place | None) -> Points | None:
    """The landmarks, moved along with their box."""
    return None if seen is None or place is None else moved(seen.points, seen.place, place)


def matching_cost(person: Target, sighting: Sighting, look: Appearance, time: float) -> float:
    """Matching cost of a sighting and a person; infinity where they cannot match.

    The sum of how far it is from where the person is expected, how long the person was hidden,
    and how different it looks.
    """
    if sighting.track is not None or (person.name is not None and person.is_ended):
        return -1.0 if sighting.track == person.name else math.inf
    if person.is_ended:
        return math.inf
    reach = min(_NEAR + _SPEED * (time - person.last_seen), _FAR)
    cost = _distance(person, sighting) / reach + _HIDDEN_COST * min(person.hidden, 1.0)
    if cost > GATING_THRESHOLD or person.appearance is None:
        return cost
    alike, trust = similarity(person.appearance, look)
    return cost + trust * (1 - alike)


def _distance(person: Target, sighting: Sighting) -> float:
    """Face widths between where a person is expected and a sighting."""
    face, body = person.face, person.body
    if sighting.face is not None and face is not None:
        return _apart(face, place_of(sighting.face))
    if sighting.is_person_seen and body is not None:
        seen = sighting.person
        # From the middle of the top edge, in faces as wide and tall as the body suggests.
        width, height = (seen.width + body.width) / 2, (seen.height + body.height) / 2
        across = BODY_WIDTH * (seen.centre[0] - body.centre[0]) / width
        down = BODY_HEIGHT * (seen.y1 - body.y1) / height
        return math.hypot(across, down)
    # One was known by the face alone and the other by the body alone.
    known = face or body
    box = known.box() if known else None
    if box is None:
        return math.inf
    if sighting.face is None:
        return BODY_WIDTH * face_cost(box, sighting.person)
    return BODY_WIDTH * face_cost(sighting.face, box)


def _apart(a: Place, b: Place) -> float:
    """Distance of two faces in faces, higher where their sizes differ."""
    width, height = (a.width + b.width) / 2, (a.height + b.height) / 2
    size = abs(math.log((a.width * a.height) / (b.width * b.height))) / 2
    across, down = a.centre[0] - b.centre[0], a.centre[1] - b.centre[1]
    return math.hypot(across / width, down / height) + size
