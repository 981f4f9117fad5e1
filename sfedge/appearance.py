"""What a person looks like, as colours of head and clothes; kept in memory during a run only."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sfedge.boxes import Box, clamped, intersection, union
from sfedge.errors import DataError
from sfedge.people import Sighting
from sfedge.structures import Image

_SAMPLES = 24  # pixels looked at per side of a region
_LIGHT_BINS, _COLOUR_BINS = 8, 16
_LIGHT_SHARE = 0.4  # of the similarity; the rest is colour, which shade changes less
_TORSO_SHARE = 0.65  # clothes tell people apart better than hair and skin


@dataclass(frozen=True, slots=True, eq=False)
class Appearance:
    """Colour histograms of the head and the torso, and how much of each is to be trusted."""

    histograms: NDArray[np.float64]  # (2, bins): lightness, then colour; each part sums to 1
    trust: NDArray[np.float64]  # (2,) in [0, 1]: the share in the picture that nobody covers

    @property
    def is_clear(self) -> bool:
        """Whether the clothes are in the picture and hardly covered by another person."""
        return bool(self.trust[1] >= 0.7)


def appearances(
    image: Image, sightings: Sequence[Sighting], expected: Sequence[Sighting]
) -> list[Appearance]:
    """The appearance of each person of one frame.

    Args:
        image: the frame's.
        sightings: the people seen in it.
        expected: where people known from earlier frames should be. Where two of them meet, one
            may hide the other, even if only one is seen.
    """
    regions = [_regions(sighting) for sighting in sightings]
    known = [_outline(_regions(sighting)) for sighting in expected]
    result = []
    for i, mine in enumerate(regions):
        others = [_outline(region) for j, region in enumerate(regions) if j != i]
        looks = [_look(image, box, shown, others, known) for box, shown in mine]
        histograms, trust = zip(*looks, strict=True)
        result.append(Appearance(np.stack(histograms), np.array(trust)))
    return result


def similarity(a: Appearance, b: Appearance) -> tuple[float, float]:
    """How alike two appearances are, and how far that is to be trusted; both in [0, 1].

    The measure is Bhattacharyya's coefficient of the histograms.
    """
    alike = np.sqrt(a.histograms * b.histograms)
    light, colour = alike[:, :_LIGHT_BINS].sum(1), alike[:, _LIGHT_BINS:].sum(1)
    parts = _LIGHT_SHARE * light + (1 - _LIGHT_SHARE) * colour
    weights = np.minimum(a.trust, b.trust) * (1 - _TORSO_SHARE, _TORSO_SHARE)
    trust = float(weights.sum())
    return (float((parts * weights).sum()) / trust if trust > 0 else 0.0), trust


def blend(old: Appearance, new: Appearance, share: float) -> Appearance:
    """`old` with `share` of `new` mixed in, region by region as far as `new` is trusted more."""
    amount = np.where(old.trust > 0, share * new.trust, np.sign(new.trust))[:, None]
    histograms = old.histograms * (1 - amount) + new.histograms * amount
    return Appearance(histograms, np.maximum(old.trust * (1 - share), new.trust))


def _regions(sighting: Sighting) -> tuple[tuple[Box | None, float], tuple[Box | None, float]]:
    """Head and torso, and the share of each that lies in the picture."""
    face, person = sighting.face, sighting.person
    if face is not None:
        x, w, h = face.centre[0], face.width, face.height
        head = _part(face.x1 - 0.15 * w, face.y1 - 0.4 * h, face.x2 + 0.15 * w, face.y2)
        torso = _part(x - 0.9 * w, face.y2 + 0.4 * h, x + 0.9 * w, face.y2 + 2.4 * h)
        return head, torso
    x, w, h = person.centre[0], person.width, person.height
    torso = _part(x - 0.25 * w, person.y1 + 0.22 * h, x + 0.25 * w, person.y1 + 0.48 * h)
    return (None, 0.0), torso


def _outline(regions: tuple[tuple[Box | None, float], ...]) -> Box | None:
    boxes = [box for box, _ in regions if box is not None]
    return union(boxes) if boxes else None


def _part(x1: float, y1: float, x2: float, y2: float) -> tuple[Box | None, float]:
    try:
        box = clamped(x1, y1, x2, y2)
    except DataError:  # nothing of it lies in the picture
        return None, 0.0
    return box, box.area / ((x2 - x1) * (y2 - y1))


def _look(
    image: Image,
    box: Box | None,
    shown: float,
    others: Sequence[Box | None],
    known: Sequence[Box | None],
) -> tuple[NDArray[np.float64], float]:
    """The histograms of one region, and the share of it that surely is this person."""
    if box is None:
        return np.zeros(_LIGHT_BINS + _COLOUR_BINS**2), 0.0
    overlaps = sorted((intersection(box, k) for k in known if k), reverse=True)
    overlaps = overlaps[1:2] + [intersection(box, other) for other in others if other]
    covered = max(overlaps, default=0.0) / box.area
    height, width = image.shape[:2]
    middle = (np.arange(_SAMPLES) + 0.5) / _SAMPLES
    rows = ((box.y1 + middle * box.height) * height).astype(np.intp)
    columns = ((box.x1 + middle * box.width) * width).astype(np.intp)
    pixels = np.ascontiguousarray(image[rows[:, None], columns])
    lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB).reshape(-1, 3).astype(np.intp)
    light = np.bincount(lab[:, 0] * _LIGHT_BINS >> 8, minlength=_LIGHT_BINS)
    # Nearly all colours have a and b within 64 of grey; the bins cover that, edges hold the rest.
    a, b = np.clip((lab[:, 1:] - 64) * _COLOUR_BINS >> 7, 0, _COLOUR_BINS - 1).T
    colour = np.bincount(a * _COLOUR_BINS + b, minlength=_COLOUR_BINS**2)
    soft = cv2.GaussianBlur(
        colour.reshape(_COLOUR_BINS, -1).astype(np.float64),
        (3, 3),
        0.8,
        borderType=cv2.BORDER_REFLECT,
    ).ravel()
    soft_light = np.convolve(light, (0.25, 0.5, 0.25), mode="same")
    return np.concatenate([soft_light / soft_light.sum(), soft / soft.sum()]), shown * (1 - covered)
