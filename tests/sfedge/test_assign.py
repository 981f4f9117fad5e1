import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment

from sfedge.tracking.assign import assign

LIMIT = 1.0


def total(cost: np.ndarray, chosen: list[int | None]) -> float:
    return sum(LIMIT if c is None else float(cost[r, c]) for r, c in enumerate(chosen))


@given(
    arrays(
        np.float64,
        st.tuples(st.integers(0, 7), st.integers(0, 7)),
        elements=st.one_of(st.floats(-1.0, 2.0, width=16), st.just(np.inf)),
    )
)
def test_the_sum_is_as_small_as_scipys(cost: np.ndarray) -> None:
    chosen = assign(cost, LIMIT)

    taken = [c for c in chosen if c is not None]
    assert len(set(taken)) == len(taken)
    assert all(c is None or cost[r, c] <= LIMIT for r, c in enumerate(chosen))
    rows = cost.shape[0]
    padded = np.hstack([np.minimum(cost, 1e6), np.full((rows, rows), LIMIT)])
    r, c = linear_sum_assignment(padded)
    assert np.isclose(total(cost, chosen), padded[r, c].sum())


def test_a_row_gives_way_where_the_whole_gains() -> None:
    cost = np.array([[0.1, 0.2], [0.1, 0.9]])  # the greedy choice would cost 1.0

    assert assign(cost, LIMIT) == [1, 0]


def test_a_pair_dearer_than_staying_alone_is_not_made() -> None:
    assert assign(np.array([[1.5], [np.inf]]), LIMIT) == [None, None]
