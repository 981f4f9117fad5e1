"""Render the datasets that synthetic people can stand for."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sfedge.core.errors import ConfigError, unknown_name
from sfedge_training.drawings.body_parts import Layout
from sfedge_training.drawings.write_drawings import write_layouts
from sfedge_training.humans import (
    render_affectnet,
    render_ego4d_lam,
    render_gazefollow,
    render_hagrid,
)
from sfedge_training.humans.figure import load_library
from sfedge_training.humans.rendered_people import Crowd

_SIDES = (64, 1024)
_LAYOUTS: Mapping[str, Callable[[Crowd], Layout]] = {
    "affectnet": render_affectnet.layout,
    "hagrid": render_hagrid.layout,
    "ego4d_lam": render_ego4d_lam.layout,
    "gazefollow": render_gazefollow.layout,
}
RENDERED = tuple(_LAYOUTS)  # relations cannot be seen in renderings: PISC is none of them


def layouts(crowd: Crowd, datasets: Sequence[str] = RENDERED) -> Mapping[str, Layout]:
    """How each of some datasets is made."""
    return {name: make(crowd) for name, make in _LAYOUTS.items() if name in datasets}


def write_renderings(
    humans: Path,
    root: Path,
    *,
    count: int,
    val: int,
    test: int,
    seed: int,
    datasets: Sequence[str] = RENDERED,
    people: int = 48,
    side: int = 256,
    workers: int = 2,
) -> None:
    """Render datasets, each with a `landmarks.npz`.

    Args:
        humans: MakeHuman's data.
        root: as the other numbers, see `write_layouts`.
        count: training samples of each dataset, about.
        val: validation samples.
        test: test samples.
        seed: decides everything; the same seed, the same bytes.
        datasets: which of RENDERED to make.
        people: different people of the training split; the others have a quarter of that.
        side: pixels of a picture's shorter side.
        workers: processes.

    Raises:
        ConfigError: a number is out of range, or no dataset is chosen.
        DataError: MakeHuman's data are not there.
        OutputError: a dataset stands there already, or the folder cannot be written.
        UnknownNameError: a dataset is not rendered.
    """
    if not datasets:
        raise ConfigError(
            "no dataset is chosen", where="--datasets", fix="Name one, or leave it out."
        )
    for name in datasets:
        if name not in _LAYOUTS:
            unknown_name("dataset", name, RENDERED, where="--datasets")
    if people < 2 or not _SIDES[0] <= side <= _SIDES[1]:
        raise ConfigError(
            f"people {people} or side {side} is out of range",
            fix=f"There are 2 people or more; a side has {_SIDES[0]} to {_SIDES[1]} pixels.",
        )
    load_library(humans)  # reports missing files before anything is written
    crowd = Crowd(humans, seed, people, side)
    made = layouts(crowd, datasets)
    write_layouts(root, made, count=count, val=val, test=test, seed=seed, workers=workers)
