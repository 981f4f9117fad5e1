"""How often a picture or clip of a known number of people shows somebody who is not there."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np

from benchmarks import measured_on as machine
from sfedge.core.boxes import Box
from sfedge.core.structures import Detection, Frame, Image, Scene
from sfedge.detect import build_detector
from sfedge.runtime.finder import Finder
from sfedge.runtime.frame_choice import FrameChoice
from sfedge.runtime.protocols import Detector
from sfedge.sources import open_source
from sfedge.tracking.track import Tracker

# Left, above, right and below the face, in faces: from a head and shoulders to a face alone.
_CLOSE_UPS = ((1.0, 0.8, 1.0, 0.1), (0.5, 0.8, 0.5, 0.15), (0.3, 0.2, 0.3, 0.15))


@dataclass(slots=True)
class Count:
    """What is seen in the pictures or frames of a source."""

    name: str
    frames: int = 0
    too_many: int = 0  # frames with more people than there are
    too_few: int = 0
    faceless: int = 0  # frames with a person whose face is not seen
    ids: int = 0  # highest id of a person

    def add(self, scene: Scene, people: int) -> None:
        """Count a frame with that many people."""
        self.frames += 1
        self.too_many += len(scene.people) > people
        self.too_few += len(scene.people) < people
        self.faceless += any(track.face is None for track in scene.people)
        self.ids = max([self.ids, *(track.id for track in scene.people)])


def count(path: Path, people: int, *, is_close_up: bool = False) -> Count:
    """Follow the people of a clip, or look at each picture of a folder by itself.

    Args:
        path: a video or a folder of pictures.
        people: how many each frame shows.
        is_close_up: look at three close-ups of each picture's largest face in its place.
    """
    with open_source(str(path)) as source:
        size = source.info.width, source.info.height
        with closing(build_detector(width=size[0], height=size[1])) as detector:
            counted = Count(f"{path.name}, close-ups" if is_close_up else path.name)
            tracker = Tracker()
            finder = Finder(detector, FrameChoice(1), lambda stage: nullcontext())
            frames = _close_ups(source, detector) if is_close_up else iter(source)
            for found in finder.find_all(frames):
                scene = tracker.update(found.detections, found.frame, is_cut=found.is_cut)
                counted.add(scene, people)
            return counted


def _close_ups(frames: Iterable[Frame], detector: Detector) -> Iterator[Frame]:
    number = 0
    for frame in frames:
        found: Sequence[Detection] = detector.detect(replace(frame, starts_scene=True))  # type: ignore[assignment]
        faces = [d.box for d in found if d.kind == "face"]
        if not faces:
            continue
        face = max(faces, key=lambda box: box.area)
        for margins in _CLOSE_UPS:
            part = _cut_out(frame.image, face, margins)
            yield Frame(part, number, float(number), frame.file, starts_scene=True)
            number += 1


def _cut_out(image: Image, face: Box, margins: tuple[float, float, float, float]) -> Image:
    height, width = image.shape[:2]
    left, above, right, below = margins
    x1, x2 = face.x1 - left * face.width, face.x2 + right * face.width
    y1, y2 = face.y1 - above * face.height, face.y2 + below * face.height
    rows = slice(int(max(y1, 0) * height), int(min(y2, 1) * height))
    columns = slice(int(max(x1, 0) * width), int(min(x2, 1) * width))
    return np.ascontiguousarray(image[rows, columns])


def page_parts(counts: Sequence[Count], people: int) -> list[str]:
    """The counts as a table."""
    whole = Count("all")
    for one in counts:
        for name in ("frames", "too_many", "too_few", "faceless"):
            setattr(whole, name, getattr(whole, name) + getattr(one, name))
        whole.ids = max(whole.ids, one.ids)
    header = ("source", "frames", "too many", "too few", "somebody without a face", "ids")
    rows = [
        (one.name, *map(str, (one.frames, one.too_many, one.too_few, one.faceless, one.ids)))
        for one in (*counts, whole)
    ]
    return [
        f"Every frame shows {people}. Too many are frames with more people than that. Each picture "
        "of a folder is looked at by itself; close-ups are cut out around the largest face found.",
        machine.table(header, rows),
    ]


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--people", default=1, show_default=True, help="How many each frame shows.")
@click.option("--close-ups", is_flag=True, help="Of folders: close-ups of each face, too.")
@click.option("--out", type=click.Path(path_type=Path), default=machine.RESULTS / "phantoms.md")
def main(paths: tuple[Path, ...], people: int, close_ups: bool, out: Path) -> None:
    """Count the people who are not there in clips and folders of pictures at PATHS."""
    facts = machine.describe()
    counts = []
    for path in paths:
        counts.append(count(path, people))
        if close_ups and path.is_dir():
            counts.append(count(path, people, is_close_up=True))
    options = f"--people {people}" + (" --close-ups" if close_ups else "")
    command = f"python -m benchmarks.phantoms {options} PATHS"
    machine.write_page(out, "People who are not there", command, facts, page_parts(counts, people))
    print(out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
