"""Pictures with people and answers to draw on them, and what was drawn."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sfedge import annotate
from sfedge.annotate.words import Words
from sfedge.core.boxes import Box
from sfedge.core.frame_result import FrameResult
from sfedge.core.structures import Frame, Hand, Image, Prediction, Track
from sfedge.core.tasks import TASKS

NOTICE = "It was trained on drawings; its answers about real people mean little."
WORDS = Words(TASKS.values())
Written = list[str]


def gaze_at(x: float, y: float, person: int = 1, *, is_unsure: bool = False) -> Prediction:
    cells = (np.arange(64) + 0.5) / 64
    heatmap = 0.9 * np.exp(-((cells[None] - x) ** 2 + (cells[:, None] - y) ** 2) / 0.005)
    return Prediction(
        "gaze",
        (person,),
        0,
        0.0,
        heatmap=heatmap.astype(np.float32),
        point=(x, y),
        peak=0.9,
        is_unsure=is_unsure,
    )


def answer(
    task: str, *people: int, label: str = "", chance: float = 0.7, is_unsure: bool = False
) -> Prediction:
    """An answer; without a label the task's first."""
    label = label or TASKS[task].labels[0]
    chances = dict.fromkeys(TASKS[task].labels, 0.0) | {label: chance}
    return Prediction(task, people, 0, 0.0, label=label, probabilities=chances, is_unsure=is_unsure)


def person(number: int, x: float, name: str | None = None, score: float = 0.9) -> Track:
    face = Box(x + 0.08, 0.2, x + 0.18, 0.4)
    body = Box(x, 0.1, x + 0.3, 0.95)
    return Track(number, body, face, (), 0.0, 1.0, name, face_score=score)


def crowd(count: int) -> tuple[Track, ...]:
    """People side by side, with room above their heads."""
    step = 1 / count
    return tuple(
        Track(
            i + 1,
            Box(i * step, 0.3, (i + 1) * step, 1.0),
            Box((i + 0.3) * step, 0.4, (i + 0.7) * step, 0.5),
            (),
            0.0,
            1.0,
            face_score=0.9,
        )
        for i in range(count)
    )


def result(
    image: Image,
    *,
    tracks: tuple[Track, ...] = (),
    fresh: tuple[Prediction, ...] = (),
    carried: tuple[Prediction, ...] = (),
    now: float = 0.0,
    hands: tuple[Hand, ...] = (),
    left_out: int = 0,
) -> FrameResult:
    frame = Frame(image, 0, now)
    return FrameResult(frame, tracks, fresh, carried, hands=hands, left_out=left_out)


def everything_about(*people: int) -> tuple[Prediction, ...]:
    singles = ("expression", "gesture", "looking_at_me")
    answers = [answer(task, number) for task in singles for number in people]
    pairs = [*pairwise(people)]
    answers += [answer(task, *pair) for task in ("domain", "relation") for pair in pairs]
    return tuple(answers)


def changed(before: Image, after: Image) -> NDArray[np.bool_]:
    return np.asarray((before != after).any(axis=2), np.bool_)


def grey(height: int = 720, width: int = 1280, value: int = 90) -> Image:
    return np.full((height, width, 3), value, np.uint8)


def annotators() -> list[annotate.Annotator]:
    return annotate.build_annotators(tasks=TASKS.values(), model="test", notice=NOTICE)


def drawn(shown: FrameResult) -> Image:
    return annotate.draw(shown, annotators())


def pixels(image: Image, box: Box) -> tuple[slice, slice]:
    height, width = image.shape[:2]
    return (
        slice(round(box.y1 * height), round(box.y2 * height)),
        slice(round(box.x1 * width), round(box.x2 * width)),
    )
