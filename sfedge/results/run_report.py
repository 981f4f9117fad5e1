"""The report of a run."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """The counts and warnings of a run, up to the moment of the call."""

    frames: int  # that the source gave
    shown: int  # that came out with a result
    skipped: int  # live only: dropped frames, as a newer one was there
    asked: int  # frames that the model was asked about
    people: int  # different people seen
    hands: int = 0  # different hands seen that belonged to none of them
    left_out: int = 0  # the most people who were left out of one frame, being too many
    shots: int = 1  # parts between cuts, or pictures that have nothing to do with each other
    gaps: int = 0  # live only: times in which no frames came
    answers: Mapping[str, int]  # by task
    losses: tuple[str, ...]  # sentences on what could not be read
    warnings: tuple[str, ...] = ()  # sentences on what was read in another way than it is stored
    ended: str  # why the run ended, as in docs/records.md; "" while it goes on
    is_complete: bool  # nothing is missing: read to its end (a camera: stopped), without loss
    seconds: Mapping[str, float]  # spent in each stage

    def to_json(self) -> dict[str, Any]:
        """The closing row of the records; times stay out, so that two runs write the same."""
        data = asdict(self)
        del data["seconds"]
        return {**data, "losses": list(self.losses), "warnings": list(self.warnings)}
