"""Intervals of figures, by drawing whole groups of samples anew."""

import warnings
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Figures = Mapping[str, float]  # by name; nan where undefined
Interval = tuple[float, float]

ROUNDS = 1000
_TAIL = 2.5  # per cent on each side


def intervals(
    groups: NDArray[np.integer],
    figures_of: Callable[[NDArray[np.int64]], Figures],
    *,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> dict[str, Interval]:
    """95 % intervals by the percentiles of a bootstrap over groups.

    As many groups as there are are drawn with replacement, with all their samples: what one person
    or picture has in common is not counted as many observations.

    Args:
        groups: (N,) index of each sample's group.
        figures_of: gives the figures of some samples, which may repeat.
        rounds: how often is drawn.
        seed: of the draws.

    Returns:
        By figure; nan where no draw defines it.
    """
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order])) + 1
    members = np.split(order, starts)
    random = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {}
    for _ in range(rounds):
        chosen = random.integers(0, len(members), len(members))
        for name, value in figures_of(np.concatenate([members[i] for i in chosen])).items():
            drawn.setdefault(name, []).append(value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of figures that no draw defines
        return {name: _interval(values) for name, values in drawn.items()}


def _interval(values: list[float]) -> Interval:
    low, high = np.nanpercentile(values, (_TAIL, 100 - _TAIL))
    return float(low), float(high)
