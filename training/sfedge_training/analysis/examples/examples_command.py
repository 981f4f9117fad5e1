"""`figure`: the paper's figures of single examples, one command each."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from matplotlib.figure import Figure

from sfedge.core.errors import DataError, UsageError
from sfedge.core.tasks import TASKS, Output
from sfedge_training.analysis.examples.choice import Choice, Chosen, choose
from sfedge_training.analysis.examples.example_answers import describe_answers, draw_answers
from sfedge_training.analysis.examples.example_gaze import describe_gaze, draw_gaze
from sfedge_training.analysis.examples.sheet import companion, write_sheet
from sfedge_training.data.sample import DRAWN_MARK, Sample
from sfedge_training.loop.checkpoint import load_model
from sfedge_training.loop.evaluate import usual_device
from sfedge_training.loop.recipe import OWN, Recipe, dataset_tasks
from sfedge_training.loop.reports import load_datasets, samples_of
from sfedge_training.loop.training_options import FOLDER, Command, dataset_names, remote_code_option
from sfedge_training.model.social_fusion import SocialFusion


def tasks_with(output: Output) -> tuple[str, ...]:
    """The tasks with such an output, those of `--task FOLDER` included."""
    return tuple(name for name, task in TASKS.items() if task.output == output)


@click.group()
def figure() -> None:
    """Pictures of a model's answers to single samples, as the paper's figures 4 and 5.

    Beside a picture its companion text is written, with the prompts in full: gaze.png comes with
    gaze.md.
    """


def _example_options(name: str) -> Callable[[Command], Command]:
    """`MODEL`, `DATA`, `--out`, and which samples are shown."""
    options = (
        click.argument("model", type=FOLDER),
        click.argument("data", type=FOLDER),
        click.option(
            "--out",
            type=click.Path(path_type=Path, dir_okay=False),
            default=name,
            show_default=True,
            help="The picture: .png, .pdf or .svg.",
        ),
        click.option(
            "--count",
            type=click.IntRange(min=1),
            default=4,
            show_default=True,
            help="Examples of each task.",
        ),
        click.option(
            "--successes",
            is_flag=True,
            help="Show successes alone, which do not represent the model; the picture says so.",
        ),
        click.option(
            "--split",
            type=click.Choice(["val", "test"]),
            default="test",
            show_default=True,
            help="Which samples to draw from.",
        ),
        click.option(
            "--seed",
            type=click.IntRange(min=0),
            default=0,
            show_default=True,
            help="Decides the random order.",
        ),
        click.option(
            "--datasets",
            metavar="NAME,…",
            help="Which of the folders in DATA to read. [those that the model was trained on]",
        ),
        remote_code_option,
    )

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


@figure.command()
@_example_options("gaze.png")
def gaze(
    model: Path,
    data: Path,
    out: Path,
    datasets: str | None,
    allow_remote_code: bool,
    **choice: Any,
) -> None:
    """Where people look: annotators' points, and MODEL's heatmaps (figure 4).

    A success is a predicted point near an annotator's. Of several tasks with heatmaps the first
    is shown.
    """
    companion(out)  # before the work, whether the name will do
    network, recipe, _ = load_model(model, allow_remote_code=allow_remote_code)
    head, chosen = _choose(network, recipe, data, datasets, tasks_with("heatmap"), Choice(**choice))
    sheet = draw_gaze(chosen[0], head)
    _write(out, sheet, head, describe_gaze(chosen[0], data))


@figure.command()
@_example_options("answers.png")
def answers(
    model: Path,
    data: Path,
    out: Path,
    datasets: str | None,
    allow_remote_code: bool,
    **choice: Any,
) -> None:
    """Each classification task: views, MODEL's answers and the truth (figure 5)."""
    companion(out)
    network, recipe, _ = load_model(model, allow_remote_code=allow_remote_code)
    head, chosen = _choose(network, recipe, data, datasets, tasks_with("label"), Choice(**choice))
    sheet = draw_answers(chosen, head)
    _write(out, sheet, head, describe_answers(chosen, data))


def _choose(
    model: SocialFusion,
    recipe: Recipe,
    data: Path,
    datasets: str | None,
    wanted: Sequence[str],
    choice: Choice,
) -> tuple[str, list[Chosen]]:
    """What the picture says above all, and the examples of each task.

    Raises:
        UsageError: the model was trained on none of the wanted tasks, or `choice` asks for too
            much.
        DataError: model or data are damaged or missing.
    """
    tasks = [task for task in wanted if task in recipe.tasks]
    if not tasks:
        raise UsageError(
            f"this model was not trained on {' or '.join(wanted)}",
            fix=f"It answers {', '.join(recipe.tasks)}.",
        )
    read = _teaching(recipe, tasks)
    if datasets is not None:
        read = Recipe(datasets=dataset_names(datasets)).datasets
    loaded = load_datasets(data, read, choice.split, exact_faces=recipe.exact_faces)
    by_task: dict[str, list[Sample]] = {}
    for sample in samples_of(loaded):
        by_task.setdefault(sample.task, []).append(sample)
    found = [by_task[task] for task in tasks if task in by_task]
    if not found:
        raise DataError(
            f"the {choice.split} split has no sample of {' or '.join(tasks)}",
            where=str(data),
            fix="Name another with --split, or other datasets with --datasets.",
        )
    device = usual_device()
    chosen = [choose(model, samples, choice, device=device) for samples in found]
    drawn = " (drawings)" if (data / DRAWN_MARK).is_file() else ""
    # A language model may be named by a path of this machine, of which the last part will do.
    parts = f"encoder {model.config.encoder}, language model {Path(model.config.language).name}"
    return f"{choice}\nSocialFusion ({parts}) on {', '.join(read)}{drawn}.", chosen


def _teaching(recipe: Recipe, tasks: Sequence[str]) -> tuple[str, ...]:
    """The recipe's datasets that teach some of the tasks."""
    taught = {**dataset_tasks(), OWN: recipe.own_tasks}
    return tuple(name for name in recipe.datasets if set(taught[name]) & set(tasks))


def _write(out: Path, sheet: Figure, head: str, text: str) -> None:
    lines = head.replace("\n", "\n\n")
    write_sheet(out, sheet, f"# Examples\n\n![the picture]({out.name})\n\n{lines}\n\n{text}")
    click.echo(f"The picture is {out}; {companion(out)} has its prompts in full")
