"""Whole pictures of people who cross their forearms, or hold their arms in other ways.

Three men were recorded. `facts/xsign_people.csv` tells them apart by their clothing, seen by eye:
one is for training, one to choose by, one for the test.
"""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from sfedge.core.errors import DataError
from sfedge_training.collection.archive import pictures_in, table_in
from sfedge_training.collection.item import Annotation, Item
from sfedge_training.data.sample import Split

_PEOPLE = Path(__file__).parent / "facts" / "xsign_people.csv"
_SPLITS: Mapping[str, Split] = {"grey_pullover": "train", "glasses": "val", "black_jumper": "test"}


def crossed_arms(file: Path) -> Iterator[Item]:
    """One picture a time; where the hands are is for the pose network to find.

    Raises:
        DataError: the file cannot be read, or a picture is of nobody known.
    """
    rows = {row["file"]: row for row in table_in(file, ("file", "label"))}
    with _PEOPLE.open(newline="", encoding="utf-8") as table:
        people = {row["file"]: row["person"] for row in csv.DictReader(table)}
    for name, data in pictures_in(file, rows):
        if name not in people:
            raise DataError(f"nobody has seen who is in {name}", where=str(file))
        person = people[name]
        annotation = Annotation("gesture", rows[name]["label"])
        yield Item(name, data, "body", (annotation,), f"crossed/{person}", _SPLITS[person])
