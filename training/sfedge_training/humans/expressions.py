"""The eight expressions as weights of the face's action units.

Each is a MakeHuman expression or a recipe of units (bones that turn; with a dash, shapes), after
the facial action coding system (Ekman and Friesen, 1978); nobody makes it twice in the same way.
"""

from collections.abc import Mapping

import numpy as np

Weights = Mapping[str, float]


def _both(**units: float) -> dict[str, float]:
    """Units of both sides; a name without a side stands for left and right."""
    found: dict[str, float] = {}
    for name, weight in units.items():
        if name.startswith("Mouth"):
            found |= {f"MouthLeft{name[5:]}": weight, f"MouthRight{name[5:]}": weight}
        else:
            found |= {f"Left{name}": weight, f"Right{name}": weight}
    return found


# Files of MakeHuman that show an expression, and recipes of our own, by label.
FILES: Mapping[str, tuple[str, ...]] = {
    "neutral": (),
    "happiness": ("laugh01", "laugh02", "smile02", "smile04", "smile05"),
    "sadness": ("sad01", "sad02", "cry01"),
    "surprise": ("surprise01", "surprise02"),
    "fear": ("fear01", "fear03", "fear04"),
    "disgust": ("disgust01",),
    "anger": ("anger01", "threaten02"),
    "contempt": (),
}
RECIPES: Mapping[str, tuple[Weights, ...]] = {
    "neutral": ({},),
    "happiness": (
        _both(CheekUp=0.5, LowerLidUp=0.35) | {"mouth-corner-puller": 0.9},
        _both(CheekUp=0.7, LowerLidUp=0.4)
        | {"mouth-corner-puller": 0.6, "mouth-upward-retraction": 0.6},
        _both(MouthPullUp=0.5, CheekUp=0.4) | {"mouth-corner-puller": 0.6},
    ),
    "sadness": (
        _both(InnerBrowUp=0.9, UpperLidClosed=0.25) | {"mouth-depression": 0.8},
        _both(MouthPullDown=0.5, UpperLidClosed=0.3)
        | {"eyebrows-left-inner-up": 1.0, "eyebrows-right-inner-up": 1.0, "mouth-depression": 0.5},
    ),
    "surprise": (
        _both(InnerBrowUp=0.9, OuterBrowUp=0.9, UpperLidOpen=0.8) | {"JawDrop": 0.7},
        _both(InnerBrowUp=0.7, OuterBrowUp=1.0, UpperLidOpen=0.6) | {"mouth-open": 0.6},
    ),
    "fear": (
        _both(InnerBrowUp=1.0, UpperLidOpen=1.0)
        | {"mouth-depression-retraction": 0.6, "eye-left-opened-up": 0.6,
           "eye-right-opened-up": 0.6},
        _both(InnerBrowUp=0.9, OuterBrowUp=0.3, UpperLidOpen=0.9, MouthPlatysma=0.8)
        | {"mouth-retraction": 0.6, "lowerLipDown": 0.3},
    ),
    "disgust": (
        _both(BrowDown=0.5, CheekUp=0.7, LowerLidUp=0.5)
        | {"NoseWrinkler": 1.0, "UpperLipUp": 0.7, "NasolabialDeepener": 0.8,
           "nose-left-elevation": 1.0, "nose-right-elevation": 1.0},
        _both(BrowDown=0.4, CheekUp=0.6, LowerLidUp=0.6, UpperLidClosed=0.2)
        | {"NoseWrinkler": 0.8, "mouth-elevation": 0.7, "nose-compression": 1.0},
    ),
    "anger": (
        _both(BrowDown=1.0, LowerLidUp=0.4, UpperLidOpen=0.2) | {"lowerLipBackward": 0.4},
        _both(LowerLidUp=0.5)
        | {"eyebrows-left-down": 1.0, "eyebrows-right-down": 1.0, "mouth-elevation": 0.6,
           "lowerLipDown": 0.3},
        _both(BrowDown=0.9, LowerLidUp=0.3, MouthPlatysma=0.4)
        | {"eyebrows-left-down": 0.6, "eyebrows-right-down": 0.6},
    ),
    "contempt": (
        {"MouthLeftPullUp": 0.9, "MouthLeftPullSide": 0.6, "LeftCheekUp": 0.5},
        {"MouthLeftPullUp": 0.8, "MouthLeftPullSide": 0.8, "LeftCheekUp": 0.3,
         "LeftUpperLidClosed": 0.15, "RightUpperLidClosed": 0.15, "RightOuterBrowUp": 0.4},
    ),
}  # fmt: skip
_WEAKEST = {"neutral": 0.0, "happiness": 0.7, "contempt": 0.8}  # the others' is 0.75
# What moves a little in every face.
_RESTLESS = ("LeftOuterBrowUp", "RightOuterBrowUp", "LeftLowerLidUp", "RightLowerLidUp",
             "LeftUpperLidClosed", "RightUpperLidClosed", "MouthMoveLeft")  # fmt: skip


def random_face(
    label: str, files: Mapping[str, Weights], rng: np.random.Generator
) -> dict[str, float]:
    """The weights of action units of somebody who shows `label`.

    Args:
        label: of the task expression.
        files: MakeHuman's expressions by name.
        rng: decides which recipe, how strong, and how even on both sides.
    """
    known = [files[name] for name in FILES[label] if name in files] + list(RECIPES[label])
    chosen = known[int(rng.integers(len(known)))]
    strength = float(rng.uniform(_WEAKEST.get(label, 0.75), 1.2))
    face = {
        name: strength * weight * float(rng.uniform(0.85, 1.15))
        for name, weight in chosen.items()
        if "Eye" not in name  # eyes have a target of their own
    }
    if rng.random() < 0.5:
        face = {_other_side(name): weight for name, weight in face.items()}
    for name in _RESTLESS:
        face[name] = face.get(name, 0.0) + float(rng.uniform(0, 0.08))
    return face


def _other_side(name: str) -> str:
    if "Left" in name:
        return name.replace("Left", "Right")
    return name.replace("Right", "Left")
