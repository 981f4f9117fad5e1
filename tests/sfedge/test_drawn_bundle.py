"""The model that the tests run with, which has learned from drawings: small, and it says so."""

import pytest
from scenes import DRAWN_BUNDLE

from sfedge.bundle.bundle import open_bundle
from sfedge.bundle.manifest import Manifest
from sfedge.core.tasks import TASKS

MOST_BYTES = 12_000_000


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    with open_bundle(DRAWN_BUNDLE) as bundle:
        bundle.verify()
        return bundle.manifest


def test_it_is_small_enough_for_a_repository() -> None:
    assert DRAWN_BUNDLE.stat().st_size <= MOST_BYTES


def test_it_knows_every_task_as_the_program_does(manifest: Manifest) -> None:
    assert {task.name: task for task in manifest.tasks} == TASKS
    assert manifest.preset == "tiny"


def test_it_says_that_it_was_trained_on_drawings(manifest: Manifest) -> None:
    assert "drawings" in manifest.notice
    assert manifest.card["data"]["is_drawn"]
