"""A person's appearance, as colours of head and clothes; kept in memory during a run only."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sfedge.core.boxes import Box, clamped, intersection, union
from sfedge.core.errors import DataError
from sfedge.core.structures import Image
from sfedge.tracking.colours import sample_lab
from sfedge.tracking.people import Sighting

_LIGHT_BINS, _COLOUR_BINS = 8, 16
_LIGHT_SHARE = 0.4  # of the similarity; the rest is colour, which shade changes less
# Head, chest and waist; clothes distinguish people better than hair and skin. The waist is
# separate since a picture of somebody near often ends above it.
_SHARES = np.array([0.35, 0.4, 0.25])


@dataclass(frozen=True, slots=True, eq=False)
class Appearance:
    """Colour histograms of head, chest and waist, and how much of each is to be trusted."""

    histograms: NDArray[np.float64]  # (3, bins): lightness, then colour; each part sums to 1
    trust: NDArray[np.float64]  # (3,) in [0, 1]: the share in the picture that nobody covers

    @property
    def is_clear(self) -> bool:
        """Whether the chest is in the picture and hardly covered by another person."""
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
    """Similarity of two appearances, and the confidence in it; both in [0, 1].

    The measure is Bhattacharyya's coefficient of the histograms.
    """
    alike = np.sqrt(a.histograms * b.histograms)
    light, colour = alike[:, :_LIGHT_BINS].sum(1), alike[:, _LIGHT_BINS:].sum(1)
    parts = _LIGHT_SHARE * light + (1 - _LIGHT_SHARE) * colour
    weights = np.minimum(a.trust, b.trust) * _SHARES
    trust = float(weights.sum())
    return (float((parts * weights).sum()) / trust if trust > 0 else 0.0), trust


def blend(old: Appearance, new: Appearance, share: float) -> Appearance:
    """`old` with `new` mixed in, region by region.

    A view as good as the old ones gets `share`, a better one soon takes their place, and one that
    is cut or covered leaves hardly a trace.
    """
    quality = np.divide(new.trust, old.trust, out=np.ones(3), where=old.trust > 0)
    amount = np.where(old.trust > 0, np.minimum(share * quality**3, 1.0), np.sign(new.trust))
    histograms = old.histograms + amount[:, None] * (new.histograms - old.histograms)
    return Appearance(histograms, old.trust + amount * (new.trust - old.trust))


def _regions(sighting: Sighting) -> list[tuple[Box | None, float]]:
    """Head, chest and waist, and the fraction of each that is in the picture."""
    face, person = sighting.face, sighting.person
    if face is not None:
        x, w, h = face.centre[0], face.width, face.height
        return [
            _part(face.x1 - 0.15 * w, face.y1 - 0.4 * h, face.x2 + 0.15 * w, face.y2),
            _part(x - 0.9 * w, face.y2 + 0.4 * h, x + 0.9 * w, face.y2 + 1.2 * h),
            _part(x - 0.9 * w, face.y2 + 1.2 * h, x + 0.9 * w, face.y2 + 2.4 * h),
        ]
    x, w, top, h = person.centre[0], person.width, person.y1, person.height
    return [
        (None, 0.0),
        _part(x - 0.25 * w, top + 0.22 * h, x + 0.25 * w, top + 0.32 * h),
        _part(x - 0.25 * w, top + 0.32 * h, x + 0.25 * w, top + 0.48 * h),
    ]


def _outline(regions: Sequence[tuple[Box | None, float]]) -> Box | None:
    boxes = [box for box, _ in regions if box is not None]
    return union(boxes) if boxes else None


def _part(x1: float, y1: float, x2: float, y2: float) -> tuple[Box | None, float]:
    try:
        box = clamped(x1, y1, x2, y2)
    except DataError:  # nothing of it is in the picture
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
    lab = sample_lab(image, box).astype(np.intp)
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
