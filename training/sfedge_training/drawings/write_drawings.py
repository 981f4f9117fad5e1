"""Make datasets on disk, a unit at a time, on several processes: here the five drawn ones."""

import json
import multiprocessing
import shutil
from collections.abc import Iterator, Mapping
from itertools import starmap
from pathlib import Path
from typing import Any, TypeAlias

import cv2
from tqdm import tqdm

from sfedge.core.errors import ConfigError, OutputError
from sfedge.core.version import __version__
from sfedge_training.data.sample import DRAWN_MARK, Split
from sfedge_training.drawings import draw_affectnet as affectnet
from sfedge_training.drawings import draw_ego4d_lam as ego4d_lam
from sfedge_training.drawings import draw_gazefollow as gazefollow
from sfedge_training.drawings import draw_hagrid as hagrid
from sfedge_training.drawings import draw_pisc as pisc
from sfedge_training.drawings.body_parts import Draw, Layout, Record, unit_stream

LAYOUTS: dict[str, Layout] = {
    "affectnet": affectnet.LAYOUT,
    "hagrid": hagrid.LAYOUT,
    "ego4d_lam": ego4d_lam.LAYOUT,
    "gazefollow": gazefollow.LAYOUT,
    "pisc": pisc.LAYOUT,
}
# HaGRID and PISC have a validation split; in the others the loaders hold out a part of training.
_HAVE_VAL = ("hagrid", "pisc")
_MOST = 24_999  # pictures of a split: PISC's file names have five digits for all splits
# How it is drawn, folder, dataset, split, unit, seed.
_Job: TypeAlias = tuple[Draw, Path, str, Split, int, int]


def write_drawings(
    root: Path, *, count: int, val: int, test: int, seed: int, workers: int = 2
) -> None:
    """Write the five drawn datasets; see `write_layouts`."""
    write_layouts(root, LAYOUTS, count=count, val=val, test=test, seed=seed, workers=workers)


def write_layouts(
    root: Path,
    layouts: Mapping[str, Layout],
    *,
    count: int,
    val: int,
    test: int,
    seed: int,
    workers: int,
) -> None:
    """Write `root/<dataset>` for each layout, in its native form; the same seed, the same bytes.

    Args:
        root: folder, made where it is missing; the datasets appear in it when all are finished.
        layouts: by the dataset's name.
        count: training samples of each dataset, about.
        val: validation samples; where a dataset has no such split, they join the training part,
            of which the loader holds out its share.
        test: test samples of each dataset, about.
        seed: decides every stroke.
        workers: processes that draw; the result does not depend on it.

    Raises:
        ConfigError: a number is out of range.
        OutputError: a dataset stands there already, or the folder cannot be written.
    """
    if min(count, test, workers) < 1 or min(val, seed) < 0 or max(count, val, test) > _MOST:
        raise ConfigError(
            f"count {count}, val {val}, test {test}, seed {seed} or workers {workers} "
            "is out of range",
            fix=f"Count, test and workers are at least 1, no split has more than {_MOST} pictures.",
        )
    taken = [str(root / name) for name in layouts if (root / name).exists()]
    if taken:
        raise OutputError(
            f"{', '.join(taken)} is there already", fix="Name a new folder, or remove the old one."
        )
    unfinished = root / ".unfinished"
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        _write_all(unfinished, layouts, count, val, test, seed, workers)
        for name in layouts:
            (unfinished / name).rename(root / name)
        unfinished.rmdir()
    except OSError as error:
        raise OutputError(f"pictures cannot be written ({error})", where=str(root)) from error


def _write_all(
    root: Path,
    layouts: Mapping[str, Layout],
    count: int,
    val: int,
    test: int,
    seed: int,
    workers: int,
) -> None:
    jobs: list[_Job] = []
    for name, layout in layouts.items():
        wanted: dict[Split, int] = {"train": count, "val": val, "test": test}
        if name not in _HAVE_VAL:
            wanted = {"train": count + val, "test": test}
        for split, samples in wanted.items():
            units = -(-samples // layout.samples)
            jobs += [(layout.draw, root / name, name, split, i, seed) for i in range(units)]
    records: dict[str, dict[Split, list[Record]]] = {name: {} for name in layouts}
    for (_, _, name, split, _, _), record in zip(jobs, _drawn(jobs, workers), strict=True):
        records[name].setdefault(split, []).append(record)
    for name, of_splits in records.items():
        layouts[name].write(root / name, of_splits)


def _drawn(jobs: list[_Job], workers: int) -> Iterator[Record]:
    """The record of each job, in order."""
    if workers <= 1:
        yield from tqdm(starmap(_draw_unit, jobs), total=len(jobs), desc="drawing", unit="unit")
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        found = pool.imap(_draw_job, jobs, chunksize=32)
        yield from tqdm(found, total=len(jobs), desc="drawing", unit="unit")


def _draw_job(job: _Job) -> Record:
    return _draw_unit(*job)


def _draw_unit(draw: Draw, root: Path, name: str, split: Split, index: int, seed: int) -> Record:
    return draw(root, split, index, unit_stream(seed, name, split, index))


def mark_made(root: Path, settings: Mapping[str, Any]) -> None:
    """Say beside made datasets how they were made."""
    text = json.dumps({**settings, "sfedge": __version__})
    (root / DRAWN_MARK).write_text(text + "\n", encoding="utf-8")
