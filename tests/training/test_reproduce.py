"""Every table of the paper end to end, small: from native layouts to a table beside the paper's."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import PIL.Image
import pytest
import torch
from small_systems import small_systems

from training.drawings import write_drawings
from training.reproduce.command import reproduce

SMALL = ("model.hidden=16", "recipe.epochs=1", "recipe.batch=4", "recipe.warmup=1")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    with small_systems(tmp_path_factory.mktemp("weights")) as places:
        yield places


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawings in the five native layouts, with two faces of the looking-at-me challenge."""
    root = tmp_path_factory.mktemp("data")
    write_drawings(root, count=3, val=2, test=2, seed=0)
    track = root / "ego4d_lam" / "videos_challenge" / "clip" / "3"
    track.mkdir(parents=True)
    for name in ("00007_face-a", "00009_face-b"):
        PIL.Image.new("RGB", (60, 80), "gray").save(track / f"{name}.jpg")
    return root


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared by all tables, as their runs are."""
    return tmp_path_factory.mktemp("out")


def run(table: str, data: Path, out: Path, weights: dict[str, Path], *words: str) -> None:
    options = [
        *("--data", str(data), "--out", str(out), "--allow-remote-code"),
        *(word for name, place in weights.items() for word in ("--weights", f"{name}={place}")),
        *(word for change in SMALL for word in ("--set", change)),
    ]
    reproduce([table, *options, *words], standalone_mode=False)


@pytest.mark.parametrize("table", [f"table{n}" for n in range(1, 10)])
def test_a_table_is_finished(
    table: str, data: Path, out: Path, weights: dict[str, Path]
) -> None:
    run(table, data, out, weights)
    print((out / f"{table}.md").read_text())
