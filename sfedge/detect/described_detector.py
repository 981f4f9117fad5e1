"""Any ONNX detector, run as a JSON file describes it."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sfedge.core.boxes import from_pixels
from sfedge.core.errors import DataError, DetectorError, EngineError
from sfedge.core.structures import Detection, Frame, Image
from sfedge.detect.detector_file import Description, read_description
from sfedge.detect.mediapipe.single_shot import overlaps
from sfedge.detect.open_networks import open_networks
from sfedge.engines.ort import physical_cores
from sfedge.engines.small_network import AUTO, NetworkSet, OpenedSet, Place

Values = NDArray[np.float64]
_ROUNDING = 1e-3  # of scores as float16
_MOST = 300  # finds of one frame, the surest


_NETWORK = "network"  # its name in the set of one


def open_described(path: Path, place: Place = AUTO) -> "DescribedDetector":
    """The detector that a JSON file describes.

    Args:
        path: of the JSON file.
        place: where it runs; an engine of its own counts where "auto" is asked for.

    Raises:
        DetectorError: the description is wrong, or the network does not start or fit it.
    """
    description = read_description(path)
    if place.engine == "auto":
        place = replace(place, engine=description.engine)
    opened = open_networks(described_set(path, description), place, threads=physical_cores())
    return DescribedDetector(description, opened, str(path))


def described_set(path: Path, description: Description) -> NetworkSet:
    """The network of a description, as it is loaded and compiled."""
    return NetworkSet(str(path), {_NETWORK: description.file})


class DescribedDetector:
    """Looks at each frame as a whole (see `sfedge.detect.detector.Detector`).

    Args:
        description: what the network takes and gives.
        opened: the network itself.
        where: the description's file, for messages.

    Attributes:
        device: where the network really runs, as shown to the user.
        engine_note: why it does not run where the model does, a sentence; else "".

    Raises:
        DetectorError: the network does not fit its description.
    """

    def __init__(self, description: Description, opened: OpenedSet, where: str) -> None:
        self.device, self.engine_note = opened.device, opened.note
        self._network = network = opened.networks[_NETWORK]
        self._description, self._where = description, where
        if len(network.inputs) != 1:
            names = ", ".join(port.name for port in network.inputs)
            raise self._unfit(f"it has {len(network.inputs)} inputs ({names}), not one")
        self._input = network.inputs[0]
        width, height = description.size
        wanted = (1, *description.picture)
        shape = self._input.shape
        if len(shape) != 4 or any(
            isinstance(size, int) and size != want for size, want in zip(shape, wanted, strict=True)
        ):
            raise self._unfit(f"its input is {_sizes(shape)}, the description says {wanted}")
        outputs = {port.name: i for i, port in enumerate(network.outputs)}
        self._outputs = {}
        for name in (
            description.rows,
            description.boxes,
            description.scores,
            description.labels,
        ):
            if name is not None and name not in outputs:
                raise self._unfit(f"it has no output {name!r}, but {', '.join(outputs)}")
            if name is not None:
                self._outputs[name] = outputs[name]
        self._decode(*self._fitted(np.zeros((height, width, 3), np.uint8)))  # raises if unfit

    def detect(self, frame: Frame) -> list[Detection]:
        """The network's detections in the frame.

        Raises:
            DetectorError: the network fails, or gives what its description does not say.
        """
        height, width = frame.image.shape[:2]
        boxes, scores, classes = self._decode(*self._fitted(frame.image))
        detections = []
        for box, score, number in zip(boxes.tolist(), scores.tolist(), classes, strict=True):
            with suppress(DataError):  # wholly outside
                placed = from_pixels(*box, width=width, height=height)
                kind = self._description.classes[int(number)]
                detections.append(Detection(kind, placed, min(max(score, 0.0), 1.0)))
        return detections

    def close(self) -> None:
        """Nothing to wait for: the network goes with the last reference to it."""

    def _fitted(self, image: Image) -> tuple[Image, Values, Values]:
        """The picture at the network's size, and pixels of the frame: offset, and per pixel."""
        described = self._description
        height, width = image.shape[:2]
        target = np.array(described.size)
        if described.fit == "stretch":
            picture = cv2.resize(image, described.size, interpolation=cv2.INTER_LINEAR)
            return np.asarray(picture, np.uint8), np.zeros(2), np.array([width, height]) / target
        scale = min(target[0] / width, target[1] / height)
        inner = np.maximum(np.round(np.array([width, height]) * scale).astype(int), 1)
        small = cv2.resize(image, (int(inner[0]), int(inner[1])), interpolation=cv2.INTER_LINEAR)
        corner = (target - inner) // 2 if described.fit == "letterbox" else np.zeros(2, int)
        canvas = np.full((target[1], target[0], 3), described.pad, np.uint8)
        canvas[corner[1] : corner[1] + inner[1], corner[0] : corner[0] + inner[0]] = small
        return (
            canvas,
            -corner * np.array([width, height]) / inner,
            np.array([width, height]) / inner,
        )

    def _decode(
        self, picture: Image, offset: Values, scale: Values
    ) -> tuple[Values, Values, Values]:
        """Boxes (N, 4) x1 y1 x2 y2 in pixels of the frame, scores (N,) and class numbers (N,)."""
        described = self._description
        boxes, scores, classes = self._raw(self._run(picture))
        is_kept = (scores >= described.threshold) & np.isin(classes, [*described.classes])
        is_kept &= np.isfinite(boxes).all(axis=1)
        order = np.argsort(-scores[is_kept], kind="stable")
        boxes, scores, classes = (a[is_kept][order] for a in (boxes, scores, classes))
        if described.unit == "fractions":
            boxes = boxes * np.tile(described.size, 2)
        boxes = _as_corners(boxes, described.box)
        kept = range(len(boxes)) if described.nms is None else _kept(boxes, classes, described.nms)
        chosen = [*kept][:_MOST]
        return (
            boxes[chosen] * np.tile(scale, 2) + np.tile(offset, 2),
            scores[chosen],
            classes[chosen],
        )

    def _run(self, picture: Image) -> Mapping[str, Values]:
        described = self._description
        if described.order == "BGR":
            picture = picture[:, :, ::-1]
        mean = np.array(described.mean, np.float32)
        values = (picture - mean) / np.array(described.scale, np.float32)
        if self._input.type in ("tensor(uint8)", "u8"):
            values = np.rint(values).clip(0, 255).astype(np.uint8)
        elif self._input.type in ("tensor(float16)", "f16"):
            values = values.astype(np.float16)
        if described.layout == "NCHW":
            values = values.transpose(2, 0, 1)
        try:
            found = self._network.run({self._input.name: np.ascontiguousarray(values[None])})
        except EngineError as error:
            raise DetectorError(error.what, where=self._where) from error
        return {name: np.asarray(found[i], np.float64) for name, i in self._outputs.items()}

    def _raw(self, outputs: Mapping[str, Values]) -> tuple[Values, Values, Values]:
        """Boxes (N, 4) as they come, scores (N,) and class numbers (N,)."""
        described = self._description
        labels = None
        if described.rows is not None:
            table = self._matrix(outputs[described.rows], described.rows, described.columns)
            boxes = table[:, :4]
        else:
            assert described.boxes is not None
            assert described.scores is not None
            boxes = self._matrix(outputs[described.boxes], described.boxes, 4)
            table = outputs[described.scores]
            if described.columns == 1 and table.size == len(boxes):  # (1, N), (N,) or (1, N, 1)
                table = table.reshape(-1, 1)
            else:
                table = self._matrix(table, described.scores, described.columns)
            if len(table) != len(boxes):
                raise self._unfit(f"{len(boxes)} boxes have {len(table)} rows of scores")
            if described.labels is not None:
                labels = outputs[described.labels].reshape(-1)
                if labels.shape != (len(boxes),):
                    raise self._unfit(f"{len(boxes)} boxes have {len(labels)} labels")
        first, count = described.score_columns
        if described.score == "score,class":
            labels, count = table[:, first + 1], 1
        values = self._probabilities(table, first, count)
        if described.objectness is not None:
            values = values * self._probabilities(table, described.objectness, 1)
        if labels is not None:
            return boxes, values[:, 0], labels
        return boxes, values.max(axis=1), values.argmax(axis=1).astype(np.float64)

    def _probabilities(self, table: Values, first: int, count: int) -> Values:
        """Columns of scores, from 0 to 1."""
        values = table[:, first : first + count]
        if self._description.is_logit:
            values = 1 / (1 + np.exp(-np.clip(values, -100, 100)))
        is_wrong = ~((values >= -_ROUNDING) & (values <= 1 + _ROUNDING))  # also where not a number
        if is_wrong.any():
            name = self._description.rows or self._description.scores
            row, column = np.argwhere(is_wrong)[0].tolist()
            raise self._unfit(
                f"output {name!r} has the score {values[row, column]:.4g} in column "
                f"{first + column}, and scores are from 0 to 1",
                "Scores before the sigmoid need output.logits, (1, values, N) needs "
                "output.transposed, and beside columns of landmarks output.score_columns says "
                "which are scores.",
            )
        return values

    def _matrix(self, array: Values, name: str, columns: int) -> Values:
        """(N, columns) of an output."""
        shape = array.shape
        if array.ndim == 3 and shape[0] == 1:
            array = array[0]
        if array.ndim == 2 and self._description.is_transposed:
            array = array.T
        if array.ndim != 2 or array.shape[1] != columns:
            wanted = (
                f"(1, {columns}, N)" if self._description.is_transposed else f"(1, N, {columns})"
            )
            raise self._unfit(
                f"output {name!r} is {_sizes(shape)}, the description says {wanted}",
                "output.transposed swaps the last two; where there are further classes, or columns "
                "of landmarks, output.columns says how many columns there are and "
                "output.score_columns which are scores.",
            )
        return array

    def _unfit(self, why: str, fix: str = "") -> DetectorError:
        return DetectorError(
            f"the network does not fit its description: {why}", where=self._where, fix=fix
        )


def _as_corners(boxes: Values, form: str) -> Values:
    """Boxes as x1 y1 x2 y2."""
    first, second = boxes[:, :2], boxes[:, 2:]
    if form == "cxcywh":
        return np.concatenate([first - second / 2, first + second / 2], axis=1)
    return np.concatenate([first, first + second], axis=1) if form == "xywh" else boxes


def _kept(boxes: Values, classes: Values, overlap: float) -> list[int]:
    """Greedy suppression in each class; the boxes come with the surest first."""
    rest = np.arange(len(boxes))
    kept: list[int] = []
    while len(rest) and len(kept) < _MOST:
        best = int(rest[0])
        kept.append(best)
        is_same = (overlaps(boxes[best], boxes[rest]) > overlap) & (classes[rest] == classes[best])
        is_same[0] = True
        rest = rest[~is_same]
    return kept


def _sizes(shape: Sequence[Any]) -> str:
    return f"({', '.join(map(str, shape))})"
