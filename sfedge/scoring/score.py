"""How right a bundle is on a folder of labelled pictures."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sfedge.bundle.bundle import open_bundle
from sfedge.bundle.manifest import Manifest
from sfedge.core.config import RunConfig
from sfedge.core.errors import DataError, UsageError, unknown_name
from sfedge.core.tasks import TASKS, Task
from sfedge.inference import selftest
from sfedge.results.records import Row as Facts
from sfedge.results.rows import settings_facts
from sfedge.runtime.pipeline import Pipeline
from sfedge.runtime.run_metadata import model_facts, now, package_versions
from sfedge.scoring.asking import Asked, LabelledPictures, ask, questions_of
from sfedge.scoring.bootstrap import ROUNDS
from sfedge.scoring.labels_table import (
    LABEL_SOURCE,
    TABLE,
    UNCLEAR,
    Layout,
    Problems,
    Row,
    read_labels,
    split_of_groups,
)
from sfedge.scoring.task_score import Draws, TaskScore, score_task
from sfedge.sources.source import shown
from sfedge.system.cache import Progress, file_sha256

ALL = "all"  # of the splits
_HELD_OUT = ("final", "test")  # the split that is scored where none is named: the first there is


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which labels of a folder are scored, and how.

    Args:
        tasks: names; None for all that the table and the bundle have.
        column: holds the labels of the only task, in place of `label`.
        renamed: labels of the task by what the table calls them; "" for none.
        split: of the table, or `ALL`; None for "final" or "test" where the table has it, else all.
        limit: most pictures, chosen by a hash of their names; None for all.
        by: columns of the user's own whose values are scored apart, too.
        rounds: of the bootstrap.
        seed: of the bootstrap.
    """

    tasks: tuple[str, ...] | None = None
    column: str | None = None
    renamed: Mapping[str, str] = field(default_factory=dict)
    split: str | None = None
    limit: int | None = None
    by: tuple[str, ...] = ()
    rounds: int = ROUNDS
    seed: int = 0


@dataclass(slots=True)
class Counts:
    """What became of the labels of a table before they were asked about."""

    in_table: int = 0
    in_other_splits: int = 0
    unclear: int = 0
    pseudo_labels: int = 0  # than people: no truth to score by
    beyond_limit: int = 0
    without_task: Counter[str] = field(default_factory=Counter)  # by a task that the bundle lacks


@dataclass(frozen=True, slots=True)
class Score:
    """The scores of a bundle on a folder, and how they came about."""

    tasks: Mapping[str, TaskScore]
    asked: Asked
    counts: Counts
    split: str  # that was scored; "" where the table has none and all was taken
    pictures: int  # that were scored
    facts: Facts  # bundle, folder, settings, versions, seconds
    remarks: Sequence[str]  # sentences on what a reader must know


def score_folder(
    bundle: Path | None,
    folder: Path,
    choice: Choice,
    config: RunConfig,
    *,
    progress: Progress | None = None,
    testing: selftest.Progress | None = None,
) -> Score:
    """Ask a bundle about labelled pictures as a run does, and compare.

    Args:
        bundle: a folder or zip; None for the default model.
        folder: with `labels.csv`, or a table beside its pictures.
        choice: what is scored.
        config: engine, precision, detector and caps.
        progress: as of `Pipeline`.
        testing: as of `Pipeline`.

    Raises:
        DataError: the table is missing or wrong, or none of its pictures can be scored.
        UsageError: the bundle lacks a task, or the table a split or column that was named.
        SfedgeError: as of `Pipeline`.
    """
    started = now()
    table = folder if folder.suffix == ".csv" else folder / TABLE
    with open_bundle(bundle) as opened:
        manifest = opened.manifest
    own = {task.name: task for task in manifest.tasks}
    _check_tasks(choice, manifest)
    rows = _read(table, own, choice)
    rows, counts, split = _chosen(rows, own, choice, table)
    rows, missing = _present(rows, table.parent, choice, counts)
    source = LabelledPictures(table.parent, list(dict.fromkeys(row.picture for row in rows)))
    tasks = [name for name in own if any(row.task == name for row in rows)]
    run = replace(config, bundle=bundle, tasks=tuple(tasks), interval=0.0, smoothing=0.0)
    with Pipeline(source, run, progress=progress, testing=testing) as session:
        asked = ask(session, source, questions_of(rows, own), missing)
        facts = _facts(table, started, choice, model_facts(session), settings_facts(session.config))
        facts["seconds"] = {name: round(s, 3) for name, s in session.report.seconds.items()}
    draws = Draws(choice.rounds, choice.seed)
    scores = {}
    for name in tasks:
        answered = [one for one in asked.answered if one.question.row.task == name]
        if answered:
            scores[name] = score_task(own[name], answered, by=choice.by, draws=draws)
    pictures = len({one.question.row.picture for one in asked.answered})
    remarks = [*_remarks(manifest, split), *_never_answered(rows, own)]
    return Score(scores, asked, counts, split, pictures, facts, remarks)


def _check_tasks(choice: Choice, manifest: Manifest) -> None:
    """Refuse a task that the bundle lacks, in a sentence."""
    own = [task.name for task in manifest.tasks]
    if choice.column is not None and len(choice.tasks or ()) != 1:
        raise UsageError(
            "a column holds the labels of one task", where="column", fix="Name that task."
        )
    for name in choice.tasks or ():
        if name in own:
            continue
        if name not in TASKS:
            unknown_name("task", name, own)
        raise UsageError(
            f"the model {manifest.name!r} was not trained for the task {name!r}",
            fix=f"It answers {', '.join(own)}.",
        )


def _read(table: Path, own: Mapping[str, Task], choice: Choice) -> list[Row]:
    if not table.is_file():
        raise DataError(
            "there is no such table of labels",
            where=str(table),
            fix="docs/own-data.md describes a labelled folder.",
        )
    problems = Problems(table)
    layout = Layout(
        TASKS | dict(own),
        given=choice.tasks or (),
        column=choice.column,
        is_for_training=False,
        renamed=choice.renamed,
    )
    rows = read_labels(table, problems, layout)
    problems.raise_if_any()
    if not rows:
        raise DataError("the table has no label", where=str(table), fix="Fill its columns.")
    for name in choice.by:
        if name not in rows[0].other:
            unknown_name("column", name, rows[0].other, where="by")
    return rows


def _chosen(
    rows: Sequence[Row], own: Mapping[str, Task], choice: Choice, table: Path
) -> tuple[list[Row], Counts, str]:
    """The rows of the split and of the bundle's tasks that people gave a clear label."""
    counts = Counts(in_table=len(rows))
    splits = sorted({row.split for row in rows} - {""})
    split = choice.split
    if split is None:
        split = next((name for name in _HELD_OUT if name in splits), "")
    if not splits and split not in ("", ALL):
        by_group = split_of_groups(rows)
        splits = sorted({*by_group.values()})
        rows = [replace(row, split=by_group[row.group]) for row in rows]
    if split not in ("", ALL, *splits):
        unknown_name("split", split, [*splits, ALL], where="split")
    taken = [row for row in rows if split in ("", ALL, row.split)]
    counts.in_other_splits = len(rows) - len(taken)
    if choice.tasks is not None:
        taken = [row for row in taken if row.task in choice.tasks]
    counts.without_task.update(row.task for row in taken if row.task not in own)
    known = [row for row in taken if row.task in own]
    given = [row for row in known if not row.other.get(LABEL_SOURCE)]
    counts.pseudo_labels = len(known) - len(given)
    clear = [row for row in given if row.label != UNCLEAR]
    counts.unclear = len(given) - len(clear)
    if not clear:
        lacking = ", ".join(counts.without_task)
        what = f"the model has none of its tasks ({lacking})" if lacking else "no label is left"
        if known and not given:
            what = f"all its labels are pseudo-labels (column {LABEL_SOURCE}): no truth to score by"
        raise DataError(
            what,
            where=str(table),
            fix=f"The model answers {', '.join(own)}; choose another split or other tasks.",
        )
    return clear, counts, split


def _present(
    rows: Sequence[Row], folder: Path, choice: Choice, counts: Counts
) -> tuple[list[Row], list[str]]:
    """The rows of pictures that are there and within the limit; and the pictures that are not."""
    names = list(dict.fromkeys(row.picture for row in rows))
    missing = [name for name in names if not (folder / name).is_file()]
    there = set(names).difference(missing)
    if not there:
        raise DataError(
            f"none of its {len(names)} pictures is there",
            where=str(folder),
            fix="Pictures are named relative to the table.",
        )
    if choice.limit is not None:
        there = set(sorted(there, key=_digest)[: choice.limit])
    kept = [row for row in rows if row.picture in there]
    counts.beyond_limit = sum(row.picture not in missing for row in rows) - len(kept)
    return kept, missing


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def _facts(table: Path, started: str, choice: Choice, model: Facts, settings: Facts) -> Facts:
    return {
        "started": started,
        "ended": now(),
        "model": model,
        "table": shown(table),
        "table_sha256": file_sha256(table),
        "column": choice.column,
        "renamed": dict(choice.renamed),
        "limit": choice.limit,
        "by": list(choice.by),
        "bootstrap": {"rounds": choice.rounds, "seed": choice.seed},
        "settings": settings,
        "packages": package_versions(),
    }


def _never_answered(rows: Sequence[Row], own: Mapping[str, Task]) -> Iterable[str]:
    """A sentence on each task of which the table has labels that are never the answer."""
    for task in own.values():
        labels = [row.label for row in rows if row.task == task.name]
        if named := [label for label in task.unproven if label in labels]:
            count = sum(labels.count(label) for label in named)
            yield (
                f"The model never answers {', '.join(named)} ({task.name}), which nobody has shown "
                f"it to know: {count} of {len(labels)} labels count as wrong."
            )


def _remarks(manifest: Manifest, split: str) -> Iterable[str]:
    if manifest.notice:
        yield f"The model says of itself: {manifest.notice.rstrip('.')}."
    data: Any = manifest.card.get("data")
    samples = data.get("samples") if isinstance(data, Mapping) else None
    if isinstance(samples, Mapping) and "folder" in samples and split in ("", ALL, "train"):
        yield (
            "The model learned from a labelled folder. If it was this one, these figures are of "
            "pictures that it has seen: score its test split."
        )
