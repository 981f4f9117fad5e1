"""What a training run logs: a CSV file with a row a step, and the same for TensorBoard."""

import csv
from collections.abc import Mapping
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

FIELDS = (
    "step",
    "learning_rate",
    "loss",
    "label_loss",
    "gaze_loss",
    "gradient_norm",
    "gaze_weight",
    "validation_loss",
)


class RunLog:
    """`log.csv` and `tensorboard/` of a run's folder.

    Rows from the step on that a resumed run goes on from are dropped: it writes them again.
    """

    def __init__(self, run: Path, done: int) -> None:
        run.mkdir(parents=True, exist_ok=True)
        path, kept = run / "log.csv", []
        if path.exists():
            with path.open(newline="", encoding="utf-8") as old:
                kept = [row for row in csv.DictReader(old) if _is_before(row, done)]
        self._file = path.open("w", newline="", encoding="utf-8", buffering=1)
        self._rows = csv.DictWriter(self._file, FIELDS, restval="", extrasaction="ignore")
        self._rows.writeheader()
        self._rows.writerows(kept)
        self._board = SummaryWriter(str(run / "tensorboard"), purge_step=done)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """A row: the values of one step, by names in FIELDS."""
        shown: dict[str, object] = {name: f"{value:.9g}" for name, value in values.items()}
        self._rows.writerow(shown | {"step": step})
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._board.close()


def _is_before(row: Mapping[str, str], step: int) -> bool:
    # A killed process may leave half a row behind.
    return str(row["step"]).isdecimal() and int(row["step"]) < step
