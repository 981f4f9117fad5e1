"""In how many pictures that show a hand the product asks about one.

python -m benchmarks.hands FOLDER
"""

import csv
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw

from benchmarks import measured_on as machine
from sfedge.core.boxes import to_pixels
from sfedge.core.structures import Frame, Image, Query, Scene
from sfedge.core.tasks import TASKS
from sfedge.detect import build_detector
from sfedge.detect.tiled_detector import TiledDetector
from sfedge.inference.plan import IntervalPlanner
from sfedge.tracking.track import Tracker

LABELS = "labels.csv"  # columns file and label
_TASK = replace(TASKS["gesture"], view="hand", margin=0.5)
_SHEET, _CELL, _COLUMNS = 80, 200, 10  # pictures on a sheet, pixels of each


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What was asked about one picture."""

    file: str
    label: str
    image: Image
    scene: Scene
    queries: Sequence[Query]
    seconds: float  # of detection

    @property
    def from_body(self) -> int:
        """How many of the hands asked about only the body shows."""
        hands = [*self.scene.hands, *(hand for track in self.scene.people for hand in track.hands)]
        asked = {number for query in self.queries for number in query.hands}
        return sum(hand.from_body for hand in hands if hand.id in asked)


def look_at_all(folder: Path, every: int = 1) -> Iterator[Look]:
    """Each picture of the table by itself, through detector, tracker and planner.

    Args:
        folder: holds the pictures and their table.
        every: looks at one picture in this many.
    """
    with (folder / LABELS).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[::every]
    detector = build_detector(width=1, height=1)  # sizes matter to boxes from a file alone
    assert isinstance(detector, TiledDetector)
    with closing(detector):
        for number, row in enumerate(rows):
            with Pillow.open(folder / row["file"]) as picture:
                image = np.array(picture.convert("RGB"))
            frame = Frame(image, number, float(number), row["file"], starts_scene=True)
            detector.reset()
            begun = time.perf_counter()
            detections = detector.detect(frame)
            seconds = time.perf_counter() - begun
            scene = Tracker().update(detections, frame)
            planner = IntervalPlanner((_TASK,), interval=0, max_people=8, max_pairs=1)
            aspect = image.shape[1] / image.shape[0]
            queries = planner.plan(scene, frame.time, aspect=aspect)
            yield Look(row["file"], row["label"], image, scene, queries, seconds)


def page_parts(looks: Sequence[Look]) -> list[str]:
    """What was asked, by label."""
    labels = sorted({look.label for look in looks})
    rows = [_row(label, [look for look in looks if look.label == label]) for label in labels]
    header = ("label", "pictures", "asked", "share", "queries", "about both hands", "from the body")
    spent = machine.middle_and_95th([look.seconds for look in looks])
    missed = [look for look in looks if not look.queries]
    alone = sum(not look.scene.people for look in missed)
    return [
        "Each picture is looked at by itself. Asked are those in which the gesture of at least one "
        "hand is asked about; from the body are hands that are not seen themselves.",
        machine.table(header, [*rows, _row("all", looks)]),
        f"In {alone} of the {len(missed)} that are missed nobody is found, either. Detection took "
        f"{spent[0]} ms a picture (median; 95th percentile {spent[1]} ms).",
    ]


def _row(label: str, looks: Sequence[Look]) -> tuple[str, ...]:
    asked = sum(bool(look.queries) for look in looks)
    both = sum(query.side == "both" for look in looks for query in look.queries)
    return (
        label,
        str(len(looks)),
        str(asked),
        f"{100 * asked / max(len(looks), 1):.1f} %",
        str(sum(len(look.queries) for look in looks)),
        str(both),
        str(sum(look.from_body for look in looks)),
    )


def write_sheets(looks: Sequence[Look], folder: Path, name: str) -> None:
    """Contact sheets with the views drawn in, to be looked at."""
    folder.mkdir(parents=True, exist_ok=True)
    for first in range(0, len(looks), _SHEET):
        part = looks[first : first + _SHEET]
        lines = -(-len(part) // _COLUMNS)
        sheet = Pillow.new("RGB", (_COLUMNS * _CELL, lines * _CELL), "white")
        for place, look in enumerate(part):
            line, column = divmod(place, _COLUMNS)
            sheet.paste(_small(look), (column * _CELL, line * _CELL))
        sheet.save(folder / f"{name}-{first // _SHEET + 1}.png")


def _small(look: Look) -> Pillow.Image:
    picture = Pillow.fromarray(look.image)
    pen = ImageDraw.Draw(picture)
    for query in look.queries:
        corners = to_pixels(query.view, width=picture.width, height=picture.height)
        pen.rectangle(corners, outline="yellow", width=3)
    picture.thumbnail((_CELL, _CELL))
    ImageDraw.Draw(picture).text((2, 2), look.label, fill="yellow")
    return picture


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--every", default=1, show_default=True, help="Look at one picture in N.")
@click.option("--sheets", type=click.Path(path_type=Path), help="A folder for contact sheets.")
@click.option("--out", type=click.Path(path_type=Path), default=machine.RESULTS / "hands.md")
def main(folder: Path, every: int, sheets: Path | None, out: Path) -> None:
    """Count the pictures of FOLDER whose hands are asked about; labels.csv names them."""
    facts = machine.describe()
    looks = list(look_at_all(folder, every))
    if sheets is not None:
        write_sheets([look for look in looks if not look.queries], sheets, "missed")
        write_sheets([look for look in looks if look.queries], sheets, "asked")
    command = f"python -m benchmarks.hands{f' --every {every}' if every > 1 else ''} FOLDER"
    machine.write_page(out, "Hands that are asked about", command, facts, page_parts(looks))
    print(out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
