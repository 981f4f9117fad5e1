"""Many pictures looked at in several processes; what was found is saved now and then."""

import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

import cv2
from tqdm import tqdm

from sfedge_training.collection.looking import Looker

_CHUNK = 500  # pictures between two savings

_Job = TypeVar("_Job")
_Seen = TypeVar("_Seen")


def looked_at(
    jobs: Mapping[str, _Job],
    look: Callable[[Looker, _Job], _Seen],
    files: Mapping[str, Path],
    *,
    workers: int,
    save: Callable[[], None],
) -> Iterator[tuple[str, _Seen]]:
    """What is seen in each picture, in the order of the jobs.

    Args:
        jobs: by the pictures' names.
        look: does one; a function of a module, since other processes import it.
        files: the networks, see `looking.NETWORKS`.
        workers: processes that look.
        save: called whenever another 500 are taken.

    Raises:
        DetectorError: a network does not start.
    """
    if not jobs:
        return
    bar = tqdm(total=len(jobs), desc="landmarks", unit="picture")
    if workers == 1:
        _open_networks(files)
        seen = zip(jobs, map(partial(_look, look), jobs.values()), strict=True)
        yield from _saving(seen, bar, save)
        return
    with multiprocessing.get_context("spawn").Pool(workers, _open_networks, (files,)) as pool:
        found = pool.imap(partial(_look, look), jobs.values(), chunksize=16)
        yield from _saving(zip(jobs, found, strict=True), bar, save)


def _saving(
    seen: Iterator[tuple[str, _Seen]], bar: "tqdm[None]", save: Callable[[], None]
) -> Iterator[tuple[str, _Seen]]:
    with bar:
        for count, one in enumerate(seen, start=1):
            yield one
            bar.update()
            if count % _CHUNK == 0:
                save()


_looker: Looker  # of this process


def _open_networks(files: Mapping[str, Path]) -> None:
    global _looker
    cv2.setNumThreads(1)
    _looker = Looker(files)


def _look(look: Callable[[Looker, _Job], _Seen], job: _Job) -> _Seen:
    return look(_looker, job)
