"""What views and queries cost, learned from the rounds of a live run."""

from collections import Counter
from collections.abc import Sequence

from sfedge.core.structures import Query

_RATE = 0.5  # of the newest round's error, how much is learned

_Part = tuple[str, str]  # "view" and its kind, or "task" and its name


class Costs:
    """Predicts what a round of queries takes: its views' encoding and its tasks' answers.

    Each kind of view and each task has a cost. After each round the costs of its parts are moved
    so that they explain it better, each by its share (normalised least mean squares).
    """

    def __init__(self) -> None:
        self._seconds: dict[_Part, float] = {}

    def of(self, queries: Sequence[Query]) -> float | None:
        """Seconds that these queries are likely to take together; None before the first round.

        A part that was never measured counts as much as the dearest of its kind.
        """
        if not self._seconds:
            return None
        return sum(count * self._known(part) for part, count in _parts(queries).items())

    def learn(self, queries: Sequence[Query], seconds: float) -> None:
        """Take in what a round has taken."""
        parts = _parts(queries)
        each = seconds / sum(parts.values())
        is_first = not self._seconds
        self._seconds |= {part: each if is_first else self._known(part) for part in parts}
        error = seconds - sum(count * self._seconds[part] for part, count in parts.items())
        step = _RATE * error / sum(count**2 for count in parts.values())
        for part, count in parts.items():
            self._seconds[part] = max(self._seconds[part] + step * count, 0.0)

    def _known(self, part: _Part) -> float:
        if part in self._seconds:
            return self._seconds[part]
        alike = [cost for (kind, _), cost in self._seconds.items() if kind == part[0]]
        return max(alike, default=0.0)


def _parts(queries: Sequence[Query]) -> Counter[_Part]:
    views = {query.view: query.task.view for query in queries}
    return Counter(
        [
            *(("view", kind) for kind in views.values()),
            *(("task", query.task.name) for query in queries),
        ]
    )
