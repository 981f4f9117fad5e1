"""The cheapest one-to-one assignment, in which a row may also stay alone."""

import numpy as np
from numpy.typing import NDArray


def assign(cost: NDArray[np.float64], limit: float) -> list[int | None]:
    """Give each row at most one column so that the sum of all costs is least.

    Shortest augmenting paths (the Hungarian method as Jonker and Volgenant, Computing 38, 1987,
    run it). The people of a frame are few, which makes these lines cheaper than a dependency.

    Args:
        cost: (rows, columns), finite or infinity where a pair is impossible; may be empty.
        limit: what a row costs that stays alone; no pair of a higher cost is ever made.

    Returns:
        Each row's column, or None.
    """
    rows, columns = cost.shape
    if rows == 0 or columns == 0:
        return [None] * rows
    # A column of its own for each row to stay alone in; no pair above `limit` can then be cheapest.
    table = np.full((rows, columns + rows), limit, dtype=np.float64)
    table[:, :columns] = np.minimum(cost, 2 * abs(limit) + 1)

    owner = np.full(columns + rows, -1)  # row that holds each column
    row_price, column_price = np.zeros(rows), np.zeros(columns + rows)
    for start in range(rows):
        reach = np.full(columns + rows, np.inf)  # cost of the cheapest path to each column
        came_from = np.full(columns + rows, -1)  # column before it on that path
        is_done = np.zeros(columns + rows, dtype=bool)
        row, column, travelled = start, -1, 0.0
        while True:
            onward = travelled + table[row] - row_price[row] - column_price
            is_better = ~is_done & (onward < reach)
            reach[is_better], came_from[is_better] = onward[is_better], column
            column = int(np.argmin(np.where(is_done, np.inf, reach)))
            travelled = float(reach[column])
            if owner[column] < 0:
                break
            is_done[column] = True
            row = int(owner[column])
        row_price[start] += travelled
        row_price[owner[is_done]] += travelled - reach[is_done]
        column_price[is_done] -= travelled - reach[is_done]
        while column >= 0:
            before = int(came_from[column])
            owner[column] = owner[before] if before >= 0 else start
            column = before

    result: list[int | None] = [None] * rows
    for column in range(columns):
        if owner[column] >= 0:
            result[owner[column]] = column
    return result
