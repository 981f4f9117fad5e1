"""What the tests of training share: one thread, and the smallest drawn datasets."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from sfedge.core.tasks import TASKS
from sfedge_training.drawings import write_drawings


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _same_tasks() -> Iterator[None]:
    """A model or command may ask tasks in another form; the next test asks the paper's again."""
    before = dict(TASKS)
    yield
    TASKS.clear()
    TASKS.update(before)


@pytest.fixture(scope="session")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All drawn datasets, with two training samples of each kind; not to be changed."""
    folder = tmp_path_factory.mktemp("drawings")
    write_drawings(folder, count=2, val=1, test=1, seed=0)
    return folder
