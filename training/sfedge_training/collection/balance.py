"""How often an epoch draws each row, so that rare classes and good labels weigh enough."""

from collections import Counter
from collections.abc import Mapping, Sequence

from sfedge.core.tasks import NO_GESTURE
from sfedge_training.collection.item import LabelSource

_TRUST: Mapping[LabelSource, float] = {  # the weight of a label relative to one by people
    "people": 1.0,
    "network": 0.5,
    "blendshapes": 0.5,
    "landmarks": 0.5,
    "query": 0.5,
    "likeness": 0.2,
    "rendering": 0.5,
}
_DRAWN: Mapping[str, float] = {  # of each class of a task an epoch
    "gesture": 900.0,
    "expression": 1200.0,
    "looking_at_me": 3000.0,  # two classes alone, and the finest difference
}
_DRAWN_IDLE = 2400.0  # of hands without a gesture, which a camera sees most
_MOST = 4.0  # times that one row is drawn

Class = tuple[str, str]  # task and label


def weights(rows: Sequence[tuple[Class, LabelSource]]) -> list[float]:
    """Draws an epoch of each row; the rows are those for training."""
    sums: Counter[Class] = Counter()
    for of, by in rows:
        sums[of] += _TRUST[by]  # type: ignore[assignment]
    return [_TRUST[by] * min(_drawn(of) / sums[of], _MOST) for of, by in rows]


def _drawn(of: Class) -> float:
    task, label = of
    return _DRAWN_IDLE if label == NO_GESTURE else _DRAWN[task]
