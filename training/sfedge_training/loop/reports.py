"""Datasets as commands read them, and what they report of data and scores."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import click

from sfedge_training.data import ego4d_lam, loader
from sfedge_training.data.sample import Dataset, Report, Sample, Split
from sfedge_training.loop.recipe import Recipe


def load_datasets(
    data: Path, names: Iterable[str], split: Split, *, exact_faces: bool = False
) -> list[Dataset]:
    """One split of each dataset below `data`; what its loader dropped or repaired is reported.

    Args:
        data: holds a folder for each dataset.
        names: of the datasets.
        split: which part.
        exact_faces: see `Recipe.exact_faces`.
    """
    return [load_dataset(name, data / name, split, exact_faces=exact_faces) for name in names]


def recipe_datasets(data: Path, recipe: Recipe, split: Split) -> list[Dataset]:
    """One split of the recipe's datasets, as `load_datasets`."""
    return load_datasets(data, recipe.datasets, split, exact_faces=recipe.exact_faces)


def load_dataset(name: str, root: Path, split: Split, *, exact_faces: bool = False) -> Dataset:
    """One split of one dataset in `root`, as `load_datasets`."""
    if exact_faces and name == ego4d_lam.NAME:
        dataset = ego4d_lam.load(root, split, margin=0.0)
    else:
        dataset = loader(name)(root, split)
    log_report(f"{name} {split}", dataset.report)
    return dataset


def samples_of(datasets: Iterable[Dataset]) -> list[Sample]:
    """All samples, dataset after dataset."""
    return [sample for dataset in datasets for sample in dataset.samples]


def log_report(title: str, report: Report) -> None:
    """A line on stderr for each reason why rows were dropped or repaired, with an example."""
    if os.environ.get("RANK", "0") != "0":
        return  # the first of the processes that a launcher has started reports it
    for reason, count in (report.dropped + report.repaired).items():
        click.echo(f"{title}: {count} x {reason} (first: {report.examples[reason]})", err=True)


def print_figures(figures: Mapping[str, Mapping[str, float]], *, as_json: bool = False) -> None:
    """A line of scores for each task, or all of them as one JSON object."""
    if as_json:
        click.echo(json.dumps(figures, indent=1))
        return
    for task, values in figures.items():
        shown = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        click.echo(f"{task:14} {shown}")
