"""A bundle whose answers are the mean of those about a view and about its mirror image."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import small_bundle
from small_bundle import ROWS, Small

from sfedge.bundle.bundle import DEFAULT_BUNDLE, open_bundle
from sfedge.core.boxes import FULL, Box
from sfedge.core.landmarks import INPUT_WIDTH, mirrored
from sfedge.core.structures import Frame, Prediction, Query
from sfedge.core.tasks import TASKS
from sfedge.diagnostics.bench import frame_gemms, frame_queries
from sfedge.inference.model import Model

FACE = Box(0.25, 0.125, 0.5, 0.5)  # borders on whole pixels of a 512 x 512 picture
LEFT, RIGHT = Box(0.1, 0.2, 0.3, 0.6), Box(0.55, 0.1, 0.8, 0.45)

pytestmark = pytest.mark.usefixtures("cache")


def turned(box: Box) -> Box:
    return Box(1 - box.x2, box.y1, 1 - box.x1, box.y2)


def in_mirror(frame: Frame, queries: Sequence[Query]) -> tuple[Frame, list[Query]]:
    """The same questions about the mirror image of the whole frame."""
    image = np.ascontiguousarray(frame.image[:, ::-1])
    return replace(frame, image=image), [
        replace(
            query,
            view=turned(query.view),
            boxes=tuple(map(turned, query.boxes)),
            landmarks=None if query.landmarks is None else mirrored(query.landmarks),
        )
        for query in queries
    ]


def queries() -> list[Query]:
    known = np.random.default_rng(1).standard_normal(INPUT_WIDTH, np.float32)
    return [
        Query(TASKS["relation"], (2, 1), FULL, (RIGHT, LEFT)),
        Query(TASKS["expression"], (1,), FACE, (), landmarks=known),
        Query(TASKS["gaze"], (1,), FULL, (LEFT,), landmarks=known),
        Query(TASKS["looking_at_me"], (1,), FACE, (), landmarks=known),
    ]


def answers(root: Path, frame: Frame, asked: Sequence[Query]) -> list[Prediction]:
    with open_bundle(root) as bundle, Model(bundle, engine="cpu") as model:
        return model.answer(frame, asked)


@pytest.mark.parametrize("kind", ["after", "before", "landmarks"])
def test_answers_are_of_the_mean_of_both_logits(kind: str, tmp_path: Path, frame: Frame) -> None:
    small: Small = small_bundle.make(kind)
    root = small.write(tmp_path / "small")
    small_bundle.edit(root, mirrored=True)
    asked = queries()
    other_frame, others = in_mirror(frame, asked)

    found = answers(root, frame, asked)

    for query, other, prediction in zip(asked, others, found, strict=True):
        own, there = (
            small.values(q.task.name, small_bundle.square_of(f.image, q.view), q.boxes, q.landmarks)
            for f, q in ((frame, query), (other_frame, other))
        )
        if query.task.output == "heatmap":
            heatmap = 1 / (1 + np.exp(-(own + there[:, ::-1]) / 2))
            assert prediction.heatmap is not None
            np.testing.assert_allclose(prediction.heatmap, heatmap, atol=2e-6)
            continue
        rows = [ROWS.index(answer) for answer in query.task.answers]
        shares = np.exp((own + there)[rows] / 2)
        assert prediction.probabilities is not None
        np.testing.assert_allclose(
            list(prediction.probabilities.values()), shares / shares.sum(), atol=2e-6
        )


def test_a_mirror_image_gives_the_mirrored_answer(tmp_path: Path, frame: Frame) -> None:
    root = small_bundle.make("landmarks").write(tmp_path / "small")
    plain = answers(root, frame, queries())
    small_bundle.edit(root, mirrored=True)
    found = answers(root, frame, queries())
    there = answers(root, *in_mirror(frame, queries()))
    for own, other, before in zip(found, there, plain, strict=True):
        if own.heatmap is not None:
            assert other.heatmap is not None
            assert before.heatmap is not None
            np.testing.assert_allclose(own.heatmap, other.heatmap[:, ::-1], atol=2e-6)
            assert np.abs(own.heatmap - before.heatmap).max() > 1e-4
            continue
        assert own.probabilities is not None
        assert own.probabilities == pytest.approx(other.probabilities, abs=2e-6)


def test_the_default_model_answers_so_and_its_work_is_counted_twice() -> None:
    with open_bundle(DEFAULT_BUNDLE) as bundle:
        manifest = bundle.manifest
    assert manifest.mirrored
    asked = frame_queries(manifest.tasks, 2)
    prompts = dict.fromkeys((task.name for task in manifest.tasks), manifest.shape.prefix)
    once = frame_gemms(replace(manifest, mirrored=False), asked, prompts)
    twice = frame_gemms(manifest, asked, prompts)
    assert once
    assert twice == {size: 2 * count for size, count in once.items()}
