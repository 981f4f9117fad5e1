"""How a person is built: age, sex, origin, muscle, weight, and a face of their own."""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sfedge_training.humans.makehuman import Floats, Indices, read_target

_ORIGINS = ("african", "asian", "caucasian")
_AGES = ("child", "young", "old")
_FEATURES = ("cheek", "chin", "eyes", "head", "mouth", "nose")
# A face is moved along some of its shapes; these would look like an expression, or part from teeth
# and eyes, which do not follow.
_LEFT_OUT = ("trans", "corner", "push", "scale", "angle", "height", "ext-", "middle", "laugh",
             "head-age", "jaw", "prognathism")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Build:
    """Who a person is; all in [0, 1]."""

    male: float
    age: float  # 0 a child, 0.5 twenty-five years, 1 old
    origins: tuple[float, float, float]  # shares of african, asian, caucasian; their sum is 1
    muscle: float
    weight: float


def random_build(rng: np.random.Generator) -> Build:
    """Adults of all ages and, one time in twelve, an older child; mixed origins are rare."""
    origins = rng.dirichlet((0.25, 0.25, 0.25))
    return Build(
        male=float(np.clip(rng.choice([0.1, 0.9]) + rng.normal(0, 0.1), 0, 1)),
        age=float(rng.uniform(0.25, 0.42) if rng.random() < 1 / 12 else rng.uniform(0.45, 1)),
        origins=(float(origins[0]), float(origins[1]), float(origins[2])),
        muscle=float(np.clip(rng.normal(0.5, 0.2), 0, 1)),
        weight=float(np.clip(rng.normal(0.45, 0.22), 0, 1)),
    )


def shaped_body(folder: Path, neutral: Floats, build: Build, rng: np.random.Generator) -> Floats:
    """(V, 3) the vertices of a body of this build, with a face of its own.

    Args:
        folder: MakeHuman's data.
        neutral: (V, 3) of the base mesh.
        build: who it is.
        rng: decides the face.
    """
    body = neutral.copy()
    for name, share in _macro_shares(build).items():
        _move(body, folder / "targets" / "macrodetails" / f"{name}.target", share)
    for path, share in _random_features(folder, rng):
        _move(body, path, share)
    return body


def _macro_shares(build: Build) -> dict[str, float]:
    sexes = {"male": build.male, "female": 1 - build.male}
    ages = _between(_AGES, build.age)
    muscles = _between(("minmuscle", "averagemuscle", "maxmuscle"), build.muscle)
    weights = _between(("minweight", "averageweight", "maxweight"), build.weight)
    shares: dict[str, float] = {}
    for sex, of_sex in sexes.items():
        for age, of_age in ages.items():
            for origin, of_origin in zip(_ORIGINS, build.origins, strict=True):
                shares[f"{origin}-{sex}-{age}"] = of_sex * of_age * of_origin
            for muscle, of_muscle in muscles.items():
                for weight, of_weight in weights.items():
                    name = f"universal-{sex}-{age}-{muscle}-{weight}"
                    shares[name] = of_sex * of_age * of_muscle * of_weight
    return {name: share for name, share in shares.items() if share > 0.02}


def _between(names: tuple[str, str, str], value: float) -> dict[str, float]:
    """The shares of three steps that lie at 0, 0.5 and 1."""
    low = int(value >= 0.5)
    share = 2 * value - low
    return {names[low]: 1 - share, names[low + 1]: share}


def _random_features(folder: Path, rng: np.random.Generator) -> list[tuple[Path, float]]:
    """Shapes of the face, the same on both sides."""
    chosen: list[tuple[Path, float]] = []
    for names in _features(folder):
        if rng.random() < 0.2:
            share = float(rng.beta(1.2, 3)) * 0.8
            chosen += [(folder / "targets" / name, share) for name in names]
    return chosen


@functools.cache
def _features(folder: Path) -> list[tuple[str, ...]]:
    """Of each feature, the file or the files of both sides, one of which stands for opposites."""
    found = [
        f"{part}/{path.name}"
        for part in _FEATURES
        for path in sorted((folder / "targets" / part).glob("*.target"))
        if not any(word in path.name for word in _LEFT_OUT)
    ]
    found = [name for name in found if "/r-" not in name]
    return [(name, name.replace("/l-", "/r-")) if "/l-" in name else (name,) for name in found]


def _move(body: Floats, path: Path, share: float) -> None:
    indices, offsets = _target(path)
    body[indices] += np.float32(share) * offsets


@functools.cache
def _target(path: Path) -> tuple[Indices, Floats]:
    return read_target(path)
