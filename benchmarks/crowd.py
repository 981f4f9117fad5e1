"""Made crowds: coloured figures on known paths, with the errors that detectors make."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from sfedge.core.boxes import Box, clamped, intersection, iou
from sfedge.core.errors import DataError
from sfedge.core.structures import Detection, Frame, Image, Track

WIDTH, HEIGHT, RATE = 192, 108, 30.0
FACE = (0.05, 0.09)  # fractions of the frame: a person across a room
HIDDEN = 0.4  # share of a face; beyond, no detector finds it
COLOURS = [(200, 90, 30), (30, 60, 160), (40, 140, 60), (220, 220, 220), (120, 20, 110)]
GREY = (110, 110, 110)

Path = Callable[[float], tuple[float, float] | None]  # face centre at a time; None: not there


@dataclass(frozen=True, slots=True)
class Walker:
    """A figure; a larger `scale` is nearer and hides the others."""

    path: Path
    colour: tuple[int, int, int]
    scale: float = 1.0

    def boxes(self, time: float) -> tuple[Box, Box] | None:
        """Face and body as far as the picture shows them; None if the face is out of it."""
        centre = self.path(time)
        if centre is None:
            return None
        (x, y), w, h = centre, FACE[0] * self.scale, FACE[1] * self.scale
        if not (w / 2 < x < 1 - w / 2 and h / 2 < y < 1 - h / 2):
            return None
        face = clamped(x - w / 2, y - h / 2, x + w / 2, y + h / 2)
        return face, clamped(x - 1.4 * w, y - h, x + 1.4 * w, y + 8 * h)


@dataclass(frozen=True, slots=True)
class Errors:
    """How the made detectors fail, and how often those of bodies and hands run."""

    missed: float = 0.0
    noise: float = 0.0  # of a box's width and height
    every: int = 6  # frames


def _shaken(box: Box, noise: float, rng: np.random.Generator) -> Box:
    dx1, dy1, dx2, dy2 = rng.normal(0, noise, 4)
    w, h = box.width, box.height
    return clamped(box.x1 + dx1 * w, box.y1 + dy1 * h, box.x2 + dx2 * w, box.y2 + dy2 * h)


def draw(walkers: Sequence[Walker], time: float, *, has_colour: bool = True) -> Image:
    """The figures at a time, the nearer ones in front; without colour all wear the same grey."""
    image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    image[:, :, 0] += (np.arange(WIDTH) % 64).astype(np.uint8)
    for walker in sorted(walkers, key=lambda w: w.scale):
        found = walker.boxes(time)
        if found is None:
            continue
        face, body = found
        for box, colour in (
            (Box(body.x1, min(face.y2, 0.99), body.x2, 1.0), walker.colour if has_colour else GREY),
            (face, (210, 160, 130)),
        ):
            x1, y1 = int(box.x1 * WIDTH), int(box.y1 * HEIGHT)
            x2, y2 = int(box.x2 * WIDTH) + 1, int(box.y2 * HEIGHT) + 1
            image[y1:y2, x1:x2] = colour
    return image


def _hidden(walker: Walker, walkers: Sequence[Walker], time: float) -> float:
    """The share of a walker's face that one in front covers."""
    mine = walker.boxes(time)
    nearer = [b for w in walkers if w.scale > walker.scale and (b := w.boxes(time))]
    if mine is None:
        return 1.0
    return max((intersection(mine[0], face) / mine[0].area for face, _ in nearer), default=0.0)


def detect(
    walkers: Sequence[Walker], index: int, errors: Errors, rng: np.random.Generator
) -> list[Detection]:
    """What made detectors see in a frame, with their errors; nobody hidden is seen."""
    time = index / RATE
    found = {w: w.boxes(time) for w in walkers}
    result = []
    for walker, boxes in found.items():
        if boxes is None:
            continue
        face, body = boxes
        in_front = [b for w, b in found.items() if b and w.scale > walker.scale]
        hidden = _hidden(walker, walkers, time)
        body_hidden = max((intersection(body, b) / body.area for _, b in in_front), default=0.0)
        if hidden < HIDDEN and rng.random() >= errors.missed:
            result.append(Detection("face", _shaken(face, errors.noise, rng), 0.9))
        if index % errors.every == 0 and body_hidden < 0.6 and rng.random() >= errors.missed:
            result.append(Detection("person", _shaken(body, errors.noise / 2, rng), 0.8))
        if index % errors.every == 0 and hidden < HIDDEN and rng.random() >= errors.missed:
            x, y = face.centre[0] + face.width, face.y2 + face.height
            size = face.width / 2, face.height / 2
            with suppress(DataError):  # it may lie outside the picture
                hand = clamped(x - size[0], y - size[1], x + size[0], y + size[1])
                result.append(Detection("hand", hand, 0.8))
    return result


def frames(
    walkers: Sequence[Walker],
    seconds: float,
    errors: Errors,
    seed: int,
    *,
    has_colour: bool = True,
) -> Iterator[tuple[list[Detection], Frame]]:
    """Each frame with its detections; the same seed gives the same errors."""
    rng = np.random.default_rng(seed)
    for index in range(int(seconds * RATE)):
        image = draw(walkers, index / RATE, has_colour=has_colour)
        yield detect(walkers, index, errors, rng), Frame(image, index, index / RATE)


@dataclass
class Score:
    """Track ids against the truth."""

    ids: list[list[int]]  # of each walker, every id in order of appearance without repetition
    seen: int  # walker-frames with a face in the picture
    followed: int  # of these, with a track on them

    @property
    def switches(self) -> int:
        """How often a figure's id changed."""
        return sum(len(ids) - 1 for ids in self.ids if ids)


def compare(walkers: Sequence[Walker], history: Sequence[tuple[float, tuple[Track, ...]]]) -> Score:
    """Hold tracks against the figures.

    Args:
        walkers: the figures.
        history: time and tracks of each frame.
    """
    ids: list[list[int]] = [[] for _ in walkers]
    counts = Counter[str]()
    for time, tracks in history:
        faces = [boxes[0] if (boxes := w.boxes(time)) else None for w in walkers]
        for i, walker in enumerate(walkers):  # a hidden face can have no track of its own
            if _hidden(walker, walkers, time) >= HIDDEN:
                faces[i] = None
        counts["seen"] += sum(face is not None for face in faces)
        for track in tracks:
            if track.face is None or track.last_seen != time:
                continue
            # Where figures overlap, a track belongs to the nearest.
            near = [(iou(track.face, face), i) for i, face in enumerate(faces) if face]
            overlap, i = max(near, default=(0.0, 0))
            if overlap >= 0.4:
                counts["followed"] += 1
                if not ids[i] or ids[i][-1] != track.id:
                    ids[i].append(track.id)
    return Score(ids, counts["seen"], counts["followed"])
