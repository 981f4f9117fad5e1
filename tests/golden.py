"""Golden records: what the drawn model says of a known clip. `make golden` writes them.

    make golden

The clip is that of `scenes.py`, its people come from a table, so that the records depend on the
bundle and on this code, but on no detector network. The file is named for the bundle that made it.
"""

import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.cbook import get_sample_data
from PIL import Image
from scenes import DRAWN_BUNDLE, make_scene
from skimage.data import astronaut

import sfedge
from sfedge.runtime.process import process

FOLDER = Path(__file__).parent / "sfedge" / "golden"


def make(folder: Path) -> tuple[str, str]:
    """Run the default model, in tests the drawn one, on the clip, in an empty folder.

    Returns:
        The name of the golden file, and the records without the folder's path.
    """
    with get_sample_data("grace_hopper.jpg") as file:
        admiral = np.array(Image.open(file).convert("RGB"))
    scene = make_scene(folder, astronaut(), admiral[:512])  # type: ignore[no-untyped-call]
    with sfedge.open(scene.video, detections=scene.detections, end=0.7) as session:
        manifest, sha256 = session.bundle.manifest, session.bundle.sha256
        outcome = process(session, folder / "out", annotated=False, progress=False)
    text = outcome.files.records.read_text(encoding="utf-8")
    return f"{manifest.preset}-{sha256[:8]}.jsonl", text.replace(f"{folder}/", "")


if __name__ == "__main__":
    os.environ["SFEDGE_BUNDLE"] = str(DRAWN_BUNDLE)  # as conftest.py does
    with tempfile.TemporaryDirectory() as scratch:
        name, text = make(Path(scratch))
    (FOLDER / name).write_text(text, encoding="utf-8")
    sys.stdout.write(f"{FOLDER / name}\n")
