"""The default detector beside MediaPipe's library: the same finds, the same landmarks, the time.

python -m benchmarks.library_agreement PICTURES... --python ~/mediapipe/bin/python
"""

import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image as Pillow

from benchmarks import measured_on as machine
from sfedge.core.boxes import iou
from sfedge.core.structures import Detection, Frame, Image
from sfedge.detect.body_search import LOOK_INTERVAL
from sfedge.detect.conversion import networks
from sfedge.detect.face_search import FACE_SCORE
from sfedge.detect.mediapipe.detected_points import (
    FoundFace,
    FoundHand,
    FoundPose,
    Networks,
    Values,
)
from sfedge.detect.mediapipe.mediapipe_library import MediaPipeLibrary
from sfedge.detect.mediapipe.mediapipe_networks import MediaPipeNetworks
from sfedge.detect.mediapipe.single_shot import overlaps
from sfedge.detect.tiled_detector import TiledDetector

_SAME = 0.3  # intersection over union from which two finds are of one thing
_REPEATS = 3  # calls of each network on each picture, one of ours and one of theirs in turn
_SIZES = {"hands": 224, "poses": 256}  # pixels a side of what the landmark networks see
_MOMENTS = {"all looks": 0.0, "faces": 0.04, "faces, hands and bodies": LOOK_INTERVAL}


@dataclass(slots=True)
class Comparison:
    """What two detectors found in all pictures, thing by thing."""

    ours: int = 0
    theirs: int = 0
    overlaps: list[float] = field(default_factory=list)  # intersection over union of each pair
    scores: list[float] = field(default_factory=list)  # how far apart they are
    distances: list[float] = field(default_factory=list)  # of landmarks, at the network's size
    seconds: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))

    @property
    def share(self) -> float:
        """Share of all that was found by either that both found."""
        every = self.ours + self.theirs - len(self.overlaps)
        return len(self.overlaps) / every if every else 1.0


class _Library(MediaPipeLibrary):
    """Knows how long pictures were on their way, which is not the library's doing."""

    on_the_way = 0.0

    def _ask(self, network: str, image: Image) -> list[dict[str, Any]]:
        begun, spent = time.perf_counter(), self.seconds
        rows = super()._ask(network, image)
        self.on_the_way += time.perf_counter() - begun - (self.seconds - spent)
        return rows


def compare_networks(
    pictures: Sequence[Image], ours: Networks, theirs: _Library
) -> dict[str, Comparison]:
    """Each network on each whole picture."""
    found: dict[str, Comparison] = defaultdict(Comparison)
    for picture in pictures:
        for name, call in _calls(picture).items():
            for _ in range(_REPEATS):
                pair = _timed(call, ours, theirs, found[name].seconds)
            _add(found[name], *pair, size=_SIZES.get(name))
    return found


def compare_detectors(
    pictures: Sequence[Image], ours: Networks, theirs: _Library
) -> tuple[dict[str, Comparison], dict[str, Comparison]]:
    """The whole detector on each picture: finds by kind, and times by what is looked for."""
    detectors = TiledDetector(ours), TiledDetector(theirs)
    kinds: dict[str, Comparison] = defaultdict(Comparison)
    moments: dict[str, Comparison] = defaultdict(Comparison)
    later = itertools.count(10, 10)  # seconds; all looks are due at each
    for picture in pictures:
        start = next(later)
        for name, moment in _MOMENTS.items():
            frame = Frame(picture, 0, start + moment)
            finds: list[list[Detection]] = []
            for detector, spent in zip(detectors, moments[name].seconds, strict=True):
                begun, before = time.perf_counter(), theirs.on_the_way
                finds.append(detector.detect(frame))
                spent.append(time.perf_counter() - begun - (theirs.on_the_way - before))
            if moment == 0.0:
                for kind in ("face", "hand", "person"):
                    pair = ([one for one in side if one.kind == kind] for side in finds)
                    _add_detections(kinds[kind], *pair)
    return kinds, moments


def _calls(picture: Image) -> Mapping[str, Callable[[Networks], Sequence[Any]]]:
    return {
        "faces, short range": lambda n: n.find_faces(picture, "short", FACE_SCORE),
        "faces, full range": lambda n: n.find_faces(picture, "full", FACE_SCORE),
        "hands": lambda n: n.find_hands(picture),
        "poses": lambda n: n.find_poses(picture),
    }


def _timed(
    call: Callable[[Networks], Sequence[Any]],
    ours: Networks,
    theirs: _Library,
    spent: tuple[list[float], list[float]],
) -> tuple[Sequence[Any], Sequence[Any]]:
    begun = time.perf_counter()
    first = call(ours)
    spent[0].append(time.perf_counter() - begun)
    before = theirs.seconds
    second = call(theirs)
    spent[1].append(theirs.seconds - before)
    return first, second


def _add(into: Comparison, ours: Sequence[Any], theirs: Sequence[Any], *, size: int | None) -> None:
    into.ours += len(ours)
    into.theirs += len(theirs)
    boxes = [np.array([_box(one) for one in side], float).reshape(-1, 4) for side in (ours, theirs)]
    for i, j, share in _pairs(*boxes):
        into.overlaps.append(share)
        into.scores.append(abs(_score(ours[i]) - _score(theirs[j])))
        if size is not None:
            a, b = ours[i].points[:, :2], theirs[j].points[:, :2]
            extent = float(np.ptp(b, axis=0).max())
            into.distances += (np.linalg.norm(a - b, axis=1) * size / extent).tolist()


def _add_detections(
    into: Comparison, ours: Sequence[Detection], theirs: Sequence[Detection]
) -> None:
    into.ours += len(ours)
    into.theirs += len(theirs)
    rest = [*theirs]
    for one in ours:
        other = max(rest, key=lambda candidate: iou(one.box, candidate.box), default=None)
        if other is not None and iou(one.box, other.box) > _SAME:
            rest.remove(other)
            into.overlaps.append(iou(one.box, other.box))
            into.scores.append(abs(one.score - other.score))


def _pairs(ours: Values, theirs: Values) -> Iterator[tuple[int, int, float]]:
    """Finds of one thing: places in both lists, and intersection over union."""
    free = set(range(len(theirs)))
    for i, box in enumerate(ours):
        shares = overlaps(box, theirs)
        best = max(free, key=lambda j: float(shares[j]), default=None)
        if best is not None and shares[best] > _SAME:
            free.remove(best)
            yield i, best, float(shares[best])


def _box(found: FoundFace | FoundHand | FoundPose) -> tuple[float, ...]:
    if isinstance(found, FoundFace):
        x1, y1, x2, y2 = found.box
        x, y = int(x1), int(y1)  # the library's are whole pixels
        return x, y, x + int(x2 - x1), y + int(y2 - y1)
    points = found.points[:, :2]
    return (*points.min(axis=0), *points.max(axis=0))


def _score(found: FoundFace | FoundHand | FoundPose) -> float:
    if isinstance(found, FoundFace):
        return found.score
    return found.side_score if isinstance(found, FoundHand) else float(found.points[:, 2].mean())


def show_finds(first: str, comparisons: Mapping[str, Comparison]) -> str:
    """A row for each: how much both found, and how near it is; `first` heads their names."""
    rows = []
    for name, one in comparisons.items():
        distances = one.distances
        rows.append(
            (
                name,
                f"{one.theirs}, {one.ours}",
                f"{100 * one.share:.1f} %",
                f"{np.median(one.overlaps):.4f}, {min(one.overlaps):.3f}" if one.overlaps else "–",
                f"{max(one.scores):.4f}" if one.scores else "–",
                f"{np.median(distances):.3f}, {np.quantile(distances, 0.99):.2f}"
                if distances
                else "–",
            )
        )
    header = (
        first,
        "found by the library, here",
        "by both",
        "overlap: median, least",
        "score: most apart",
        "landmarks, px: median, 99th percentile",
    )
    return machine.table(header, rows)


def show_times(first: str, comparisons: Mapping[str, Comparison]) -> str:
    """A row for each: median times of both; `first` heads their names."""
    rows = [
        (
            name,
            *(machine.middle_and_95th(one.seconds[1])),
            *(machine.middle_and_95th(one.seconds[0])),
        )
        for name, one in comparisons.items()
    ]
    header = (first, "library: median ms", "95th", "here: median ms", "95th")
    return machine.table(header, rows)


def read_pictures(folders: Sequence[Path], every: int) -> list[Image]:
    """Every N-th picture of the folders."""
    files = [
        file
        for folder in folders
        for file in sorted(folder.rglob("*"))
        if file.suffix.lower() in (".jpg", ".jpeg", ".png")
    ]
    return [np.array(Pillow.open(file).convert("RGB")) for file in files[::every]]


@click.command()
@click.argument("pictures", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--python", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--every", default=1, show_default=True, help="Take every N-th picture.")
@click.option("--out", type=click.Path(path_type=Path), default=machine.RESULTS / "agreement.md")
def main(pictures: Sequence[Path], python: Path, every: int, out: Path) -> None:
    """Compare the default detector with MediaPipe's library on folders of PICTURES."""
    facts = machine.describe()
    images = read_pictures(pictures, every)
    ours = MediaPipeNetworks(networks.fetch(networks.DETECTING))
    theirs = _Library(networks.fetch_sources(networks.DETECTING), python)
    try:
        compare_networks(images[:1], ours, theirs)  # warms up
        each = compare_networks(images, ours, theirs)
        kinds, moments = compare_detectors(images, ours, theirs)
        sizes = sorted({image.shape[1::-1] for image in images}, key=lambda size: size[0] * size[1])
        smallest, largest = (f"{width} × {height}" for width, height in (sizes[0], sizes[-1]))
        parts = [
            f"{len(images)} photographs, {smallest} to {largest} pixels; MediaPipe "
            f"{theirs.version}. Times of the library are taken inside its process.",
            "## The networks, on whole pictures",
            "Landmarks are compared in pixels of what the network sees, which is taken to be no "
            "larger than the landmarks' extent: the true distances are smaller.",
            show_finds("network", each),
            show_times("network", each),
            "## The whole detector, all looks",
            show_finds("detections of", kinds),
            show_times("a picture with", moments),
        ]
    finally:
        theirs.close()
    command = f"python -m benchmarks.library_agreement PICTURES --python PYTHON --every {every}"
    machine.write_page(out, "Agreement with MediaPipe's library", command, facts, parts)
    print(out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
