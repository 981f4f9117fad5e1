"""Two real people in a short clip, where they are in it, and how a command ended."""

import csv
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from clips import write_clip
from numpy.typing import NDArray
from PIL import Image

import sfedge

# The model that has learned from drawings: small, and it answers all six tasks.
DRAWN_BUNDLE = Path(__file__).parent / "drawn.zip"

CLIP_SIZE = (640, 360)
CLIP_FRAMES = 20
CLIP_RATE = 10


@dataclass(frozen=True)
class Scene:
    """A clip of two real people, and a table of where they are."""

    video: Path
    detections: Path


@dataclass(frozen=True)
class Finished:
    """How a command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Finished]  # the fixture `command`
# Where a process of its own finds the `sfedge` under test.
WITH_SFEDGE = {
    **os.environ,
    "PYTHONPATH": str(Path(sfedge.__file__).parents[1]),
    "SFEDGE_BUNDLE": str(DRAWN_BUNDLE),
}


def make_scene(
    folder: Path, left: NDArray[np.uint8], right: NDArray[np.uint8], frames: int = CLIP_FRAMES
) -> Scene:
    """Two people who sway, with sound; each is known by face, body and a hand held up.

    Args:
        folder: where the clip and the table go.
        left: photograph of the astronaut, square.
        right: photograph of the admiral, square.
        frames: how many, at `CLIP_RATE`.
    """
    people = [
        np.asarray(Image.fromarray(left).resize((300, 300))),
        np.asarray(Image.fromarray(right).resize((300, 300))),
    ]
    faces = [(0.34, 0.13, 0.55, 0.39), (0.36, 0.2, 0.66, 0.58)]  # in fractions of each photograph
    pictures, rows = [], []
    for index in range(frames):
        picture = np.full((*CLIP_SIZE[::-1], 3), 70, np.uint8)
        for number, (person, face) in enumerate(zip(people, faces, strict=True)):
            x, y = 10 + 320 * number + index * (1 - 2 * number), 50
            picture[y : y + 300, x : x + 300] = person
            for kind, (x1, y1, x2, y2) in (
                ("person", (0.1, 0.02, 0.95, 1.0)),
                ("face", face),
                ("hand", (0.15, 0.5, 0.3, 0.65)),
            ):
                corners = (x + 300 * x1, y + 300 * y1, x + 300 * x2, y + 300 * y2)
                rows.append((index, kind, *(round(c, 2) for c in corners), 0.9, number))
        pictures.append(picture)
    video = write_clip(
        folder / "sway.mp4",
        [index / CLIP_RATE for index in range(frames)],
        size=CLIP_SIZE,
        rate=CLIP_RATE,
        sound="aac",
        pictures=pictures,
    )
    detections = folder / "sway-boxes.csv"
    with detections.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("frame", "kind", "x1_px", "y1_px", "x2_px", "y2_px", "score", "track"))
        writer.writerows(rows)
    return Scene(video, detections)
