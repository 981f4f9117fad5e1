import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from sfedge.core.errors import DataError, UnknownNameError
from sfedge.core.tasks import TASKS
from sfedge.scoring.labels_table import Layout, Problems, read_labels
from sfedge_training.__main__ import main
from sfedge_training.data import LOADERS, loader
from sfedge_training.data.task_folder import add_task_folder
from sfedge_training.loop.recipe import Recipe

ENTRY = {
    "dataset": "postures",
    "prompt": "(a) standing (b) sitting?",
    "view": "person",
    "labels": ["standing", "sitting"],
    "answers": ["a", "b"],
}
LOADER = "def load(root, split):\n    return root.name, split\n"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    tasks, loaders = dict(TASKS), dict(LOADERS)
    yield
    for known, before in ((TASKS, tasks), (LOADERS, loaders)):
        known.clear()
        known.update(before)  # type: ignore[arg-type]


def folder_of(path: Path, entry: object = ENTRY, code: str | None = LOADER) -> Path:
    (path / "tasks.json").write_text(json.dumps({"posture": entry}))
    if code is not None:
        (path / "loader.py").write_text(code)
    return path


def test_a_folder_adds_its_task_and_its_dataset(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError):
        loader("postures")
    with pytest.raises(UnknownNameError):
        Recipe(datasets=("postures",))
    before = Recipe()

    add_task_folder(folder_of(tmp_path))

    assert TASKS["posture"].labels == ("standing", "sitting")
    assert loader("postures")(Path("data/x"), "train") == ("x", "train")  # type: ignore[comparison-overlap]
    assert Recipe(datasets=("pisc", "postures")).tasks == ("domain", "relation", "posture")
    assert Recipe() == before  # the paper's five


def test_without_a_loader_the_task_is_taught_by_a_table_of_labels(tmp_path: Path) -> None:
    add_task_folder(folder_of(tmp_path, {**ENTRY, "dataset": ""}, code=None))
    table = tmp_path / "labels.csv"
    table.write_text("picture,task,label\na.jpg,posture,Sitting\n")

    problems = Problems(table)
    (row,) = read_labels(table, problems, Layout(TASKS))

    assert (row.task, row.label) == ("posture", "sitting")
    assert Recipe(datasets=("folder",), own_tasks=("posture",)).tasks == ("posture",)


@pytest.mark.parametrize(
    ("entry", "code", "message"),
    [
        (ENTRY, "import nothing_of_this_name", r"loader\.py: the loader cannot be imported"),
        (ENTRY, "load = 3", r"loader\.py: it has no function load"),
        ({**ENTRY, "dataset": "hagrid"}, LOADER, "dataset 'hagrid': there is already one"),
        ({**ENTRY, "dataset": ""}, LOADER, "dataset '': that is no name"),
        ({**ENTRY, "dataset": "../x"}, LOADER, "that is no name"),
        ({**ENTRY, "view": "foot"}, LOADER, r"tasks\.json: task 'posture' is malformed: view"),
        (3, LOADER, "no object of tasks"),
    ],
)
def test_what_is_wrong_with_a_folder_is_said_in_one_line(
    tmp_path: Path, entry: object, code: str, message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        add_task_folder(folder_of(tmp_path, entry, code))
    assert "\n" not in str(caught.value)


def test_the_command_refuses_a_folder_without_an_entry(tmp_path: Path) -> None:
    ended = CliRunner().invoke(main, ["--task", str(tmp_path), "check", "pisc", str(tmp_path)])

    assert isinstance(ended.exception, DataError)
    assert "tasks.json" in str(ended.exception)
