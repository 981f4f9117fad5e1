"""Pseudo-labels of a face, from MediaPipe's blendshapes and head angles.

Scores between two answers give no label. Only a smile and a neutral face are labelled: of the faces
that people have judged the rules label 81 of 85 so, and one sad one neutral. Rules for surprise
found those and a false one; noseSneer and cheekSquint stay near 0 for everybody.
"""

from collections.abc import Mapping

# Smiles of the studio faces have a mean score of .55, neutral ones of .04.
_SMILES, _SERIOUS = 0.6, 0.05
_STILL: Mapping[str, float] = {  # a face at rest has less of each
    "jawOpen": 0.1,
    "browInnerUp": 0.15,
    "browDown": 0.25,
    "mouthFrown": 0.1,
    "mouthPucker": 0.6,
    "eyeWide": 0.05,
}
# Chosen on 121 faces seen by eye: of what the rule names, 92.6 % look and 98.0 % do not.
_EYES = 25.0  # degrees of the head that eyes make up for, at a score of 1
_USUAL_PITCH = 4.0  # degrees; median of faces whose eyes and head agree sideways
_AT_CAMERA = (6.0, 10.0)  # degrees sideways, up and down, below which a face looks at the camera
_ELSEWHERE = (10.0, 18.0)  # above one of which it does not
_CLOSED = 0.5  # score of a blink above which the eyes are no guide


def expression_of(scores: Mapping[str, str]) -> str | None:
    """Neutral or happiness, where the scores are clear.

    Args:
        scores: by the blendshapes' names, each in [0, 1].
    """
    smile = _mean(scores, "mouthSmile")
    if smile >= _SMILES:
        return "happiness"
    if smile > _SERIOUS:
        return None
    is_still = all(_mean(scores, name) < most for name, most in _STILL.items())
    return "neutral" if is_still else None


def look_of(scores: Mapping[str, str]) -> str | None:
    """Whether a face looks at the camera, where head and eyes are clear: the eyes make up for it.

    Args:
        scores: the blendshapes, and `yaw` and `pitch` in degrees.
    """
    if not scores["yaw"] or _mean(scores, "eyeBlink") > _CLOSED:
        return None
    value = {name: float(text) for name, text in scores.items() if name.startswith("eyeLook")}
    aside = (value["eyeLookInLeft"] + value["eyeLookOutRight"]) / 2
    aside -= (value["eyeLookOutLeft"] + value["eyeLookInRight"]) / 2
    up = (value["eyeLookUpLeft"] + value["eyeLookUpRight"]) / 2
    up -= (value["eyeLookDownLeft"] + value["eyeLookDownRight"]) / 2
    across = abs(float(scores["yaw"]) - _EYES * aside)
    along = abs(float(scores["pitch"]) - _USUAL_PITCH - _EYES * up)
    if across < _AT_CAMERA[0] and along < _AT_CAMERA[1]:
        return "looking"
    return "not_looking" if across > _ELSEWHERE[0] or along > _ELSEWHERE[1] else None


def _mean(scores: Mapping[str, str], name: str) -> float:
    """Of both sides, where a blendshape has two."""
    if name in scores:
        return float(scores[name])
    return (float(scores[f"{name}Left"]) + float(scores[f"{name}Right"])) / 2
