"""Eight expressions as what the muscles of a drawn face do."""

from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """What the muscles do; all zero is a resting face. Lengths in half heads, up is negative."""

    brow_inner: float = 0.0  # displacement of the brow's ends and middle
    brow_middle: float = 0.0
    brow_outer: float = 0.0
    one_brow: float = 0.0  # of one brow alone
    lids: float = 0.0  # opening of the eye: -1 shut, 0 resting, 1 torn open
    eye_tilt: float = 0.0  # the upper lid's slope: positive slants down to the outer corner
    lower_lid: float = 0.0  # how far it is pushed up
    corners: float = 0.0  # displacement of the mouth's corners
    one_corner: float = 0.0  # of one corner alone
    width: float = 0.0  # of the mouth, relative
    jaw: float = 0.0  # how far the mouth stands open
    upper_lip: float = 0.0  # displacement of the upper lip's middle
    teeth: float = 0.0  # share of the open mouth that teeth fill
    press: float = 0.0  # lips pressed to a thin line
    wrinkle: float = 0.0  # of the nose
    frown: float = 0.0  # upright lines between the brows
    forehead: float = 0.0  # level lines on it
    cheeks: float = 0.0  # folds from the nose to the mouth's corners

    def scaled(self, strength: float) -> "Expression":
        """The same, stronger or weaker."""
        return Expression(**{f.name: getattr(self, f.name) * strength for f in fields(self)})


# After the facial action units that AffectNet's annotators were shown the emotions by.
EXPRESSIONS: dict[str, Expression] = {
    "neutral": Expression(),
    "happiness": Expression(
        corners=-0.17, width=0.42, jaw=0.20, upper_lip=0.04, teeth=0.75, lids=-0.35,
        lower_lid=0.05, cheeks=1.0, brow_middle=-0.03,
    ),
    "sadness": Expression(
        brow_inner=-0.17, brow_middle=-0.01, brow_outer=0.10, lids=-0.35, eye_tilt=0.07,
        corners=0.15, width=-0.08, upper_lip=-0.04,
    ),
    "surprise": Expression(
        brow_inner=-0.15, brow_middle=-0.24, brow_outer=-0.15, lids=0.95, width=-0.34, jaw=0.42,
        upper_lip=-0.05, forehead=1.0,
    ),
    "fear": Expression(
        brow_inner=-0.22, brow_middle=-0.10, brow_outer=0.00, lids=0.95, eye_tilt=0.03, width=0.34,
        jaw=0.17, corners=0.08, upper_lip=-0.02, teeth=0.85, forehead=0.7,
    ),
    "disgust": Expression(
        brow_inner=0.09, brow_middle=0.07, brow_outer=0.02, lids=-0.62, lower_lid=0.06, wrinkle=1.0,
        upper_lip=-0.16, corners=0.09, jaw=0.16, teeth=0.4, width=-0.02, cheeks=1.0,
    ),
    "anger": Expression(
        brow_inner=0.17, brow_middle=0.03, brow_outer=-0.10, lids=-0.05, eye_tilt=-0.11, frown=1.0,
        corners=0.09, press=1.0, width=0.10,
    ),
    "contempt": Expression(
        one_corner=-0.19, width=0.04, press=0.5, lids=-0.30, one_brow=-0.15, cheeks=0.0,
    ),
}  # fmt: skip


def random_expression(rng: np.random.Generator, name: str) -> Expression:
    """One person's rendering of the named expression, of varying strength."""
    ideal = EXPRESSIONS[name].scaled(float(rng.uniform(0.8, 1.2)))
    changes = {f.name: getattr(ideal, f.name) + rng.normal(0, 0.008) for f in fields(ideal)}
    changes |= {name: getattr(ideal, name) for name in ("wrinkle", "frown", "forehead", "cheeks")}
    if name == "anger" and rng.random() < 0.4:  # shouting: as common in photographs as pressed lips
        changes |= {"jaw": 0.26, "press": 0.0, "teeth": 0.8, "upper_lip": -0.06}
    if name == "happiness" and rng.random() < 0.3:  # a smile with closed lips
        changes |= {"jaw": 0.0, "teeth": 0.0, "corners": -0.21}
    return Expression(**{key: float(value) for key, value in changes.items()})
