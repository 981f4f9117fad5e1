"""`agree`: how far a user's own labels and a model's answers agree."""

import csv
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import click
import numpy as np
from numpy.typing import NDArray

from sfedge.core.decode import decode
from sfedge.core.errors import DataError, OutputError
from sfedge.core.tasks import TASKS
from sfedge_training.analysis.confusion_picture import draw_confusion
from sfedge_training.data import LOADERS
from sfedge_training.data import labelled_folder as folder
from sfedge_training.data.sample import Sample, Split
from sfedge_training.loop.checkpoint import load_model, load_recipe
from sfedge_training.loop.evaluate import Answers, gaze_figures, predict, usual_device
from sfedge_training.loop.metrics import class_recalls, cohens_kappa, confusion, peak_point
from sfedge_training.loop.options import FOLDER, remote_code_option
from sfedge_training.loop.reports import load_dataset

Agreement = dict[str, Any]  # of one task, as agreement.json has it
_ANSWERS = ("task", "picture", "key", "label", "answer", "probability", "is_unsure")
_CLASSES = ("task", "label", "samples", "answered", "agreed", "recall", "unsure")


@click.command()
@click.argument("model", type=FOLDER)
@click.argument("data", type=FOLDER)
@click.option("--datasets", metavar="NAME,…", help="Folders in DATA to read. [all that are there]")
@click.option(
    "--split",
    type=click.Choice(get_args(Split)),
    default="test",
    show_default=True,
    help="Which samples to answer.",
)
@click.option("--out", type=FOLDER, required=True, help="Folder for tables and pictures.")
@remote_code_option
@click.option("--batch", default=64, show_default=True, help="Samples answered at once.")
@click.option(
    "--workers",
    default=0,
    show_default=True,
    help="Processes that read pictures; 0 reads them between the batches.",
)
def agree(
    model: Path,
    data: Path,
    datasets: str | None,
    split: Split,
    out: Path,
    allow_remote_code: bool,
    batch: int,
    workers: int,
) -> None:
    """Compare the labels in DATA with the answers of MODEL, task by task.

    DATA is a folder with labels.csv, or holds one folder for each dataset. OUT gets
    agreement.json, classes.csv, answers.csv with every single answer, and a picture of the
    confusions for each task.
    """
    recipe = load_recipe(model)
    by_task = _by_task(_read(data, datasets, split, exact_faces=recipe.exact_faces))
    network, _, _ = load_model(model, allow_remote_code=allow_remote_code)
    device = usual_device()
    found: dict[str, Agreement] = {}
    rows: list[tuple[object, ...]] = []
    for name, samples in by_task.items():
        answers = predict(network, samples, device=device, batch=batch, workers=workers)
        found[name] = compare(name, answers, samples)
        rows += _answer_rows(name, answers, samples)
    write_agreement(out, found, rows)
    for name, agreement in found.items():
        click.echo(f"{name:14} {_summary(agreement)}")
    click.echo(f"Tables and pictures are in {out}")


def compare(name: str, answers: Answers, samples: Sequence[Sample]) -> Agreement:
    """How far the labels of samples of one task and a model's answers agree.

    An answer is unsure where its probability, or a heatmap's peak, is below the task's threshold,
    as at run time.

    Args:
        name: of the task.
        answers: what `predict` gives for `samples`.
        samples: at least one.

    Returns:
        A JSON object, None for what is undefined. For a task with labels: accuracy, Cohen's kappa,
        the accuracy of the sure answers, each class, and the confusions, where rows are the user's
        labels and columns the model's. For gaze: the scores of `gaze_figures`.
    """
    task = TASKS[name]
    found = decode(task, answers)
    is_unsure = found.is_unsure
    shared = {
        "samples": len(samples),
        "unsure": int(is_unsure.sum()),
        "threshold": task.threshold,
    }
    if task.output == "heatmap":
        return shared | {k: v for k, v in gaze_figures(answers, samples).items() if k != "samples"}
    labels = np.array([sample.label for sample in samples])
    chosen = found.best
    table = confusion(labels, chosen, len(task.labels))
    agrees = labels == chosen
    return shared | {
        "accuracy": float(agrees.mean()),
        "kappa": _defined(cohens_kappa(table)),
        "accuracy_when_sure": _defined(agrees[~is_unsure].mean()) if not is_unsure.all() else None,
        "classes": [
            {
                "label": label,
                "samples": int(table[place].sum()),
                "answered": int(table[:, place].sum()),
                "agreed": int(table[place, place]),
                "recall": _defined(recall),
                "unsure": int((is_unsure & (labels == place)).sum()),
            }
            for place, (label, recall) in enumerate(
                zip(task.labels, class_recalls(table).tolist(), strict=True)
            )
        ],
        "confusion": table.tolist(),
    }


def write_agreement(
    out: Path, found: dict[str, Agreement], rows: Sequence[tuple[object, ...]]
) -> None:
    """Write the tables and pictures of `agree` to the folder `out`.

    Args:
        out: is made if it is not there.
        found: what `compare` gives, by task.
        rows: of answers.csv.

    Raises:
        OutputError: they cannot be written.
    """
    labelled = {name: of for name, of in found.items() if "classes" in of}
    classes = [
        (name, *(row[key] for key in _CLASSES[1:]))
        for name, of in labelled.items()
        for row in of["classes"]
    ]
    try:
        out.mkdir(parents=True, exist_ok=True)
        text = json.dumps(found, indent=1, ensure_ascii=False)
        (out / "agreement.json").write_text(text + "\n", encoding="utf-8")
        _write_table(out / "classes.csv", _CLASSES, classes)
        _write_table(out / "answers.csv", _ANSWERS, rows)
        for name, of in labelled.items():
            picture = draw_confusion(
                np.array(of["confusion"]), TASKS[name].labels, f"{name}: {_summary(of)}"
            )
            picture.save(out / f"confusion-{name}.png")
    except OSError as error:
        raise OutputError(f"this folder cannot be written ({error})", where=str(out)) from error


def _read(data: Path, datasets: str | None, split: Split, *, exact_faces: bool) -> Iterator[Sample]:
    """The samples of the datasets in a folder; what their loaders drop or repair is reported."""
    roots = {name: data / name for name in LOADERS if (data / name).is_dir()}
    if (data / folder.TABLE).is_file():
        roots[folder.NAME] = data
    wanted = [*roots] if datasets is None else [n.strip() for n in datasets.split(",") if n.strip()]
    if not wanted:
        raise DataError(
            "neither labels.csv nor the folder of a dataset is here",
            where=str(data),
            fix=f"Folders are named after their dataset: {', '.join(LOADERS)}.",
        )
    for name in wanted:
        root = roots.get(name, data / name)
        yield from load_dataset(name, root, split, exact_faces=exact_faces).samples


def _by_task(samples: Iterator[Sample]) -> dict[str, list[Sample]]:
    by_task: dict[str, list[Sample]] = {}
    for sample in samples:
        by_task.setdefault(sample.task, []).append(sample)
    if not by_task:
        raise DataError("there is no sample in this split", fix="Name another with --split.")
    return {name: by_task[name] for name in TASKS if name in by_task}


def _answer_rows(
    name: str, answers: Answers, samples: Sequence[Sample]
) -> Iterator[tuple[object, ...]]:
    """Rows of answers.csv; a place that somebody looks at is written "x y", in fractions."""
    task = TASKS[name]
    found = decode(task, answers)
    for place, (answer, sample) in enumerate(zip(answers, samples, strict=True)):
        if task.output == "heatmap":
            label = _place(np.mean(sample.points, axis=0))
            given = _place(np.array(peak_point(answer)))
        else:
            assert sample.label is not None
            label, given = task.labels[sample.label], task.labels[found.best[place]]
        is_unsure = str(bool(found.is_unsure[place])).lower()
        picture = sample.image if sample.frame is None else f"{sample.image}#{sample.frame}"
        yield name, picture, sample.key, label, given, f"{found.certainty[place]:.4f}", is_unsure


def _place(point: NDArray[np.floating]) -> str:
    return " ".join(f"{value:.4f}" for value in point)


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _summary(agreement: Agreement) -> str:
    """The main numbers in a line."""
    if "kappa" in agreement:
        kappa = agreement["kappa"]
        shown = [
            f"agreement {100 * agreement['accuracy']:.1f} %",
            "kappa undefined" if kappa is None else f"kappa {kappa:.2f}",
        ]
    else:
        shown = [f"average L2 {agreement['average_l2']:.3f}"]
    counts = [f"{agreement['samples']} samples", f"{agreement['unsure']} unsure"]
    return ", ".join(shown + counts)


def _write_table(path: Path, header: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
