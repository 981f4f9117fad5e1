"""Changes to a training picture that keep its label: flips, small shifts of the view, light, blur.

Boxes, gaze points and landmarks move along. Every draw comes from the generator that is handed in,
so that a resumed run sees the same pictures as an unbroken one.
"""

from dataclasses import replace

import cv2
import numpy as np

from sfedge.core.boxes import FULL, Box, clamped, union, within
from sfedge.core.landmarks import PARTS, Vector, landmark_vector, shown_in, without
from sfedge.core.structures import Image
from sfedge.core.tasks import TASKS
from sfedge_training.data.sample import Sample
from sfedge_training.data.sample_picture import picture_size

_SHIFT = 0.08  # largest move of a view's edge, as a fraction of its side
_LIGHT = 0.2  # largest change of brightness and contrast
_TINT = 0.08  # largest change of one colour's gain, as of a camera's white balance
_COARSE, _LEAST = 0.3, 0.35  # share of the pictures that lose resolution; least that is kept
_HEAD_JITTER = 0.2  # largest move of a marked box's edge, as Gaze-LLE does
_HIDDEN = 0.1  # share of the parts with landmarks that are hidden, as a detector may miss them


def augmented(sample: Sample, random: np.random.Generator) -> Sample:
    """The sample with its view cut a little differently; nothing that it points at is lost."""
    if sample.points:
        sample = replace(sample, boxes=tuple(_jittered(box, random) for box in sample.boxes))
    if random.random() < 0.5:
        return sample
    keep = [*sample.boxes, *(_around(point) for point in sample.points)]
    view = sample.view
    edges = random.uniform(-_SHIFT, _SHIFT, 4) * np.array(
        [view.width, view.height, view.width, view.height]
    )
    moved = clamped(view.x1 + edges[0], view.y1 + edges[1], view.x2 + edges[2], view.y2 + edges[3])
    return replace(sample, view=union([moved, *keep]) if keep else moved)


def flipped(sample: Sample, image: Image) -> tuple[Sample, Image]:
    """Sample and picture mirrored left to right; no task's labels distinguish left from right.

    Landmarks stay as they are: what is mirrored is the vector that a model reads.
    """
    mirrored = replace(
        sample,
        view=_mirror(sample.view),
        boxes=tuple(_mirror(box) for box in sample.boxes),
        points=tuple((1.0 - x, y) for x, y in sample.points),
    )
    return mirrored, image[:, ::-1]


def lit(image: Image, random: np.random.Generator) -> Image:
    """The picture a little brighter or darker, with more or less contrast, in another tint."""
    gain, shift = 1 + random.uniform(-_LIGHT, _LIGHT), random.uniform(-_LIGHT, _LIGHT) * 128
    gains = (gain * (1 + random.uniform(-_TINT, _TINT, 3))).astype(np.float32)
    changed = (image.astype(np.float32) - 128) * gains + 128 + shift
    return np.asarray(np.clip(changed, 0, 255), dtype=np.uint8)


def coarse(image: Image, random: np.random.Generator) -> Image:
    """The picture with fewer pixels now and then, as of someone far away."""
    if random.random() >= _COARSE:
        return image
    scale = random.uniform(_LEAST, 1.0)
    height, width = (max(round(side * scale), 1) for side in image.shape[:2])
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def in_view(sample: Sample) -> tuple[tuple[Box, ...], tuple[tuple[float, float], ...]]:
    """The sample's boxes and points in fractions of its view."""
    view = sample.view
    if view == FULL:
        return sample.boxes, sample.points
    points = tuple(
        ((x - view.x1) / view.width, (y - view.y1) / view.height) for x, y in sample.points
    )
    return tuple(within(box, view) for box in sample.boxes), points


def known_landmarks(sample: Sample) -> Vector | None:
    """The sample's landmarks as a model reads them beside its view; None where none were sought.

    Raises:
        DataError: the picture cannot be read.
    """
    if sample.landmarks is None:
        return None
    width, height = picture_size(sample)
    shown = shown_in(sample.landmarks, TASKS[sample.task].view)
    return landmark_vector(shown, sample.view, width / height)


def thinned(vector: Vector, random: np.random.Generator) -> Vector:
    """The landmarks with a part missing now and then, so that a model answers without it, too."""
    is_hidden = random.random(len(PARTS)) < _HIDDEN
    return without(vector, *(part for part, gone in zip(PARTS, is_hidden, strict=True) if gone))


def _mirror(box: Box) -> Box:
    return Box(1.0 - box.x2, box.y1, 1.0 - box.x1, box.y2)


def _around(point: tuple[float, float]) -> Box:
    x, y = (min(max(value, 0.0), 1.0) for value in point)
    return clamped(x - 0.02, y - 0.02, x + 0.02, y + 0.02)


def _jittered(box: Box, random: np.random.Generator) -> Box:
    dx1, dy1, dx2, dy2 = random.uniform(-_HEAD_JITTER, _HEAD_JITTER, 4)
    width, height = box.width, box.height
    return clamped(
        box.x1 + dx1 * width, box.y1 + dy1 * height, box.x2 + dx2 * width, box.y2 + dy2 * height
    )
