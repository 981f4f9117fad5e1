"""What a run did."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What a run did, up to the moment it was asked for."""

    frames: int  # that the source gave
    shown: int  # that came out with a result
    skipped: int  # live only: passed over, as a newer one was there
    asked: int  # frames that the model was asked about
    people: int  # different people seen
    answers: Mapping[str, int]  # by task
    losses: tuple[str, ...]  # sentences on what could not be read
    ended: str  # why the run ended; "" while it goes on
    is_complete: bool  # nothing is missing: read to its end (a camera: stopped), without loss
    seconds: Mapping[str, float]  # spent in each stage

    def to_json(self) -> dict[str, Any]:
        """The closing row of the records; times stay out, so that two runs write the same."""
        data = asdict(self)
        del data["seconds"]
        return {**data, "losses": list(self.losses)}
