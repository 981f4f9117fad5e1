"""What MediaPipe's library finds in pictures that tests can make, kept as numbers.

    python tests/sfedge/mediapipe_reference.py ~/mediapipe/bin/python

runs the library (docs/detectors.md says how to set up its environment) and writes
`mediapipe_reference.json` anew.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from sfedge.detect.conversion import networks
from sfedge.detect.mediapipe.detected_points import Networks
from sfedge.detect.mediapipe.mediapipe_library import MediaPipeLibrary

Picture = NDArray[np.uint8]
FILE = Path(__file__).with_suffix(".json")
GROUND = (70, 90, 120)
LOWEST = 0.6  # score of a face


def draw_hand(side: int) -> Picture:
    """An open left hand, palm to the camera, fingers up."""
    scale = side / 75
    mask = Image.new("L", (4 * side, 4 * side))
    draw = ImageDraw.Draw(mask)
    fingers = [
        ((120, 160, 100, 60), 26),
        ((145, 155, 140, 40), 27),
        ((170, 157, 180, 48), 26),
        ((193, 168, 218, 75), 22),
        ((112, 215, 60, 150), 28),
    ]
    for ends, thickness in fingers:
        x1, y1, x2, y2 = (value * scale for value in ends)
        draw.line((x1, y1, x2, y2), fill=255, width=round(thickness * scale))
        for x, y in ((x1, y1), (x2, y2)):
            draw.circle((x, y), thickness * scale / 2, fill=255)
    palm, wrist = (103, 150, 206, 260), (128, 240, 184, 300)
    draw.rounded_rectangle([value * scale for value in palm], radius=35 * scale, fill=255)
    draw.rectangle([value * scale for value in wrist], fill=255)
    depth = (
        np.asarray(mask.filter(ImageFilter.GaussianBlur(9 * scale)), np.float32)[..., None] / 255
    )
    skin = np.array((224, 172, 140)) * (0.72 + 0.28 * np.clip(2 * depth - 1, 0, 1))
    hand = Image.new("RGB", mask.size, GROUND)
    hand.paste(Image.fromarray(skin.astype(np.uint8)), (0, 0), mask)
    return np.array(hand.resize((side, side), Image.Resampling.LANCZOS))


def pictures(astronaut: Picture, admiral: Picture) -> Iterator[tuple[str, Picture]]:
    """The pictures by name: people alone and together, cut off, and hands that are turned."""
    yield "astronaut", astronaut
    yield "admiral", admiral
    both = np.full((720, 1280, 3), (90, 110, 90), np.uint8)
    both[180:692, 60:572] = astronaut
    both[100:700, 700:1212] = admiral
    yield "both", both
    yield "cut off", astronaut[60:, 210:]
    for degrees in (0, 50, 180, 300):
        hand = Image.fromarray(draw_hand(220)).rotate(degrees, fillcolor=GROUND)
        scene = np.full((480, 640, 3), GROUND, np.uint8)
        scene[100:320, 180:400] = np.array(hand)
        yield f"hand {degrees}", scene
    scene = np.full((480, 640, 3), GROUND, np.uint8)
    scene[40:240, 60:260] = draw_hand(200)
    scene[150:400, 350:600] = draw_hand(250)[:, ::-1]
    yield "two hands", scene


def results(found_by: Networks, picture: Picture) -> dict[str, Any]:
    """What the networks find, as JSON."""

    def rounded(values: NDArray[np.float64]) -> Any:
        return np.round(values, 3).tolist()

    faces = {
        f"faces {reach}": [
            {"score": round(one.score, 5), "box": list(one.box), "points": rounded(one.points)}
            for one in found_by.find_faces(picture, reach, LOWEST)
        ]
        for reach in ("short", "full")
    }
    hands = [
        {"side": one.side, "score": round(one.side_score, 5), "points": rounded(one.points)}
        for one in found_by.find_hands(picture)
    ]
    poses = [{"points": rounded(one.points)} for one in found_by.find_poses(picture)]
    return {**faces, "hands": hands, "poses": poses}


def main(python: Path) -> None:
    """Run the library and write what it finds."""
    from matplotlib.cbook import get_sample_data
    from skimage.data import astronaut

    with get_sample_data("grace_hopper.jpg") as file:
        admiral = np.array(Image.open(file).convert("RGB"))
    library = MediaPipeLibrary(networks.fetch_sources(networks.DETECTING), python)
    found = {
        name: results(library, picture)
        for name, picture in pictures(astronaut(), admiral)  # type: ignore[no-untyped-call]
    }
    content = {"mediapipe": library.version, "found": found}
    library.close()
    FILE.write_text(json.dumps(content, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
