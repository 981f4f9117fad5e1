"""Hands that make no gesture: at rest, in motion, with a thing in them, at the face."""

import numpy as np

from sfedge_training.humans.gestures import Hold


def idle_hold(rng: np.random.Generator) -> Hold:
    """A random pose of a hand without a gesture."""
    return _WAYS[int(rng.choice(len(_WAYS), p=_SHARES))](rng)


def idle_pair(rng: np.random.Generator) -> tuple[Hold, Hold]:
    """Both hands; one time in four they belong together."""
    if rng.random() < 0.25:
        height = float(rng.uniform(-3.5, -1.5))
        fold = Hold("relaxed", (-0.8, 0.2, 0.3), (0.1, -0.2, -1), (0.1, height, 2.2), "chest",
                    loose=15, spread=0.15, vary=1.5)  # fmt: skip
        return fold, fold
    return idle_hold(rng), idle_hold(rng)


def _moving(rng: np.random.Generator) -> Hold:
    """Anywhere before the body, turned anyhow, fingers loose."""
    place = (rng.uniform(-0.15, 0.45), rng.uniform(-0.55, 0.3), rng.uniform(0.25, 0.75))
    fingers = rng.normal((-0.3, 0.6, 0.4), 1)
    palm = rng.normal(0, 1, 3)
    return Hold("relaxed", _aim(fingers), _aim(palm), _aim(place), loose=5, vary=2.2)


def _holding(rng: np.random.Generator) -> Hold:
    """As around a cup or a telephone."""
    place = (rng.uniform(-0.2, 0.2), rng.uniform(-0.35, 0.15), rng.uniform(0.4, 0.6))
    return Hold("holding", (-0.6, 0.3, 0.7), (-0.75, 0.1, -0.4), _aim(place), vary=1.5)


def _at_face(rng: np.random.Generator) -> Hold:
    """At the chin, the cheek, the hair."""
    place = (rng.uniform(0.2, 0.9), rng.uniform(-0.6, 1.4), rng.uniform(-0.2, 0.4))
    return Hold("relaxed", (-0.4, 0.9, 0.1), (-0.6, 0.1, -0.6), _aim(place), "cheek", vary=1.8)


def _at_hip(rng: np.random.Generator) -> Hold:
    return Hold("relaxed", (-0.5, -0.7, 0.4), (-0.9, 0, -0.2), (0.2, -0.75, 0.15), vary=1.5)


def _hanging(rng: np.random.Generator) -> Hold:
    return Hold("relaxed", (0.05, -1, 0.15), (-1, 0, -0.2), (0.12, -1.02, 0.1), vary=1.5)


def _aim(values: object) -> tuple[float, float, float]:
    x, y, z = np.asarray(values, np.float64).tolist()
    return x, y, z


_WAYS = (_moving, _holding, _at_face, _at_hip, _hanging)
_SHARES = (0.45, 0.2, 0.15, 0.1, 0.1)
