"""The drawn model answers about drawings that it was not trained on."""

import numpy as np
import pytest
from scenes import DRAWN_BUNDLE

from sfedge.bundle.bundle import open_bundle
from sfedge.core.structures import Frame, Query
from sfedge.core.tasks import TASKS
from sfedge.inference.model import Model
from sfedge_training.data import LOADERS
from sfedge_training.data.augment import in_view
from sfedge_training.data.sample import Sample
from sfedge_training.data.sample_picture import read_picture
from sfedge_training.drawings import write_drawings

SEED = 5_017  # the model's drawings have seed 1
EACH = 48  # samples asked of each task


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Sample]]:
    """Some of each task, spread over the test splits."""
    root = tmp_path_factory.mktemp("drawings")
    write_drawings(root, count=1, val=0, test=EACH, seed=SEED)
    found: dict[str, list[Sample]] = {task: [] for task in TASKS}
    for name in ("affectnet", "hagrid", "ego4d_lam", "gazefollow", "pisc"):
        for sample in LOADERS[name](root / name, "test").samples:
            found[sample.task].append(sample)
    return {task: _spread(own, EACH) for task, own in found.items()}


def _spread(samples: list[Sample], most: int) -> list[Sample]:
    step = max(len(samples) // most, 1)
    return samples[::step][:most]


def test_it_answers_right_about_unseen_drawings(samples: dict[str, list[Sample]]) -> None:
    right: dict[str, float] = {}
    distances: list[tuple[float, float]] = []  # to the truth, of the answer and of the centre
    with open_bundle(DRAWN_BUNDLE) as bundle, Model(bundle, engine="cpu") as model:
        for name, own in samples.items():
            assert len(own) >= EACH // 2, name
            hits = 0
            for sample in own:
                boxes, _ = in_view(sample)
                frame = Frame(read_picture(sample), 0, 0.0)
                query = Query(TASKS[name], tuple(range(len(boxes))), sample.view, boxes)
                (answer,) = model.answer(frame, [query])
                if sample.label is not None:
                    hits += answer.label == TASKS[name].labels[sample.label]
                    continue
                truth = np.mean(sample.points, axis=0)
                distances.append(
                    tuple(float(np.hypot(*(truth - p))) for p in (answer.point, (0.5, 0.5)))
                )
            right[name] = hits / len(own)
    for task in ("expression", "looking_at_me", "domain", "relation"):
        assert right[task] >= 0.8, right
    assert right["gesture"] >= 0.6, right
    own, centre = np.mean(distances, axis=0)
    assert own < centre / 2
