"""The demo model in the package: small, and honest about itself."""

import pytest

from sfedge.bundle.bundle import DEMO_BUNDLE, open_bundle
from sfedge.bundle.manifest import Manifest
from sfedge.core.tasks import TASKS

MOST_BYTES = 12_000_000


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    with open_bundle(None) as bundle:
        bundle.verify()
        return bundle.manifest


def test_it_is_small_enough_for_the_wheel() -> None:
    assert DEMO_BUNDLE.stat().st_size <= MOST_BYTES


def test_it_knows_every_task_as_the_program_does(manifest: Manifest) -> None:
    assert {task.name: task for task in manifest.tasks} == TASKS
    assert manifest.preset == "tiny"


def test_it_says_that_it_has_learnt_from_drawings(manifest: Manifest) -> None:
    assert "drawings" in manifest.notice
    assert manifest.card["data"]["is_drawn"]


def test_it_has_learnt_its_tasks_on_unseen_drawings(manifest: Manifest) -> None:
    scores = manifest.card["scores"]
    for task in ("expression", "looking_at_me", "domain", "relation"):
        assert scores[task]["balanced_accuracy"] >= 0.8, task
    assert scores["gesture"]["accuracy"] >= 0.6
    assert scores["gaze"]["average_l2"] < scores["gaze"]["centre_average_l2"] / 2
    # The drawings were unseen: as many as the test split holds, none of them trained on.
    assert manifest.card["data"]["drawings"]["test"] == 1000
    assert all(scores[task]["samples"] >= 900 for task in TASKS)


def test_its_graphs_were_compared_with_pytorch(manifest: Manifest) -> None:
    tasks = manifest.card["parity"]["fp32"]["tasks"]
    assert set(tasks) == set(TASKS)
    assert all(figures["agreement"] == 1.0 for figures in tasks.values())
