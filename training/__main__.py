"""`python -m training`: draw a dataset, train, evaluate."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import torch

from sfedge import __version__
from sfedge.errors import SfedgeError
from training.card import DRAWN_MARK, build_card
from training.checkpoint import load_model, load_pretrained, save_model
from training.config import PRESETS
from training.data import LOADERS
from training.data.sample import Dataset, Sample, Split
from training.evaluate import Figures, evaluate
from training.model import build_model
from training.recipe import DATASET_TASKS, Recipe
from training.train import train

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group()
def main() -> None:
    """Train SocialFusion, on the paper's datasets or on drawings."""


@main.command()
@click.argument("root", type=_FOLDER)
@click.option("--count", default=8000, show_default=True, help="Training samples a dataset.")
@click.option("--val", default=300, show_default=True, help="Validation samples a dataset.")
@click.option("--test", default=1000, show_default=True, help="Test samples a dataset.")
@click.option("--seed", default=0, show_default=True, help="Decides every stroke.")
def draw(root: Path, count: int, val: int, test: int, seed: int) -> None:
    """Write a drawn dataset to ROOT, in the native layouts of the five datasets.

    The people are made of simple shapes; face, hands, eyes and company show the label.
    """
    from training.drawings import write_drawings

    write_drawings(root, count=count, val=val, test=test, seed=seed)
    made = {"count": count, "val": val, "test": test, "seed": seed, "sfedge": __version__}
    (root / DRAWN_MARK).write_text(json.dumps(made) + "\n", encoding="utf-8")
    click.echo(f"Drawings are in {root}")


def _run_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(
        [
            click.argument("data", type=_FOLDER),
            click.option("--out", type=_FOLDER, required=True, help="Folder of this run."),
            click.option("--preset", type=click.Choice(sorted(PRESETS)), default="tiny"),
            click.option("--datasets", default=",".join(DATASET_TASKS), show_default=True),
            click.option("--epochs", default=Recipe().epochs, show_default=True),
            click.option("--batch", default=Recipe().batch, show_default=True),
            click.option("--learning-rate", default=Recipe().learning_rate, show_default=True),
            click.option("--warmup", default=Recipe().warmup, show_default=True),
            click.option("--gaze-weight", type=float, help="Lambda; default 1 / datasets."),
            click.option("--precision", type=click.Choice(["fp32", "bf16"]), default="fp32"),
            click.option("--seed", default=0, show_default=True),
            click.option("--workers", default=0, show_default=True, help="Processes for pictures."),
            click.option("--stop-after", type=int, help="Stop after this step, to resume later."),
        ]
    ):
        command = option(command)
    return command


@main.command()
@_run_options
def pretrain(data: Path, out: Path, preset: str, **settings: Any) -> None:
    """Train every part of a preset without published weights, on DATA.

    Its encoder and language model then stand in for CLIP and Llama in `train --pretrained`.
    """
    _train(data, out, preset, None, {**settings, "pretraining": True})


@main.command(name="train")
@_run_options
@click.option("--pretrained", type=_FOLDER, help="`model` folder of a pre-training.")
def train_command(
    data: Path, out: Path, preset: str, pretrained: Path | None, **settings: Any
) -> None:
    """Run the recipe on DATA: connector, box embedding, gaze head and LoRA are trained.

    DATA holds one folder for each dataset, in its native layout. A run that was stopped goes on
    where it was.
    """
    _train(data, out, preset, pretrained, settings)


def _train(
    data: Path, out: Path, preset: str, pretrained: Path | None, settings: dict[str, Any]
) -> None:
    workers, stop_after = settings.pop("workers"), settings.pop("stop_after")
    datasets = tuple(name.strip() for name in settings.pop("datasets").split(","))
    recipe = Recipe(datasets=datasets, **settings)
    config = PRESETS[preset]
    if config.is_self_trained and pretrained is None and not recipe.pretraining:
        raise SfedgeError(
            f"preset {preset!r} has no published encoder and language model",
            where="--pretrained",
            fix="Run `python -m training pretrain` first and name its `model` folder here.",
        )
    torch.manual_seed(recipe.seed)
    model = build_model(config, with_lora=not recipe.pretraining)
    if pretrained is not None:
        load_pretrained(model, pretrained)
    if recipe.pretraining:
        model.unfreeze_all()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    loaded = _load(data, recipe.datasets, "train")
    steps = train(
        model,
        {dataset.name: dataset.samples for dataset in loaded},
        recipe,
        out,
        device=device,
        workers=workers,
        stop_after=stop_after,
    )
    figures = evaluate(
        model, _samples(_load(data, recipe.datasets, "test")), device=device, workers=workers
    )
    card = build_card(config, recipe, loaded, steps=steps, scores=figures, data=data)
    save_model(out / "model", model, recipe, card)
    _print_figures(figures)
    click.echo(f"The model is in {out / 'model'}")


@main.command(name="evaluate")
@click.argument("model", type=_FOLDER)
@click.argument("data", type=_FOLDER)
@click.option("--split", type=click.Choice(["val", "test"]), default="test")
@click.option("--datasets", default=",".join(DATASET_TASKS), show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the scores as JSON.")
def evaluate_command(model: Path, data: Path, split: Split, datasets: str, as_json: bool) -> None:
    """Print the scores of MODEL on a split of DATA."""
    names = Recipe(datasets=tuple(name.strip() for name in datasets.split(","))).datasets
    network, _, _ = load_model(model)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    figures = evaluate(network, _samples(_load(data, names, split)), device=device)
    if as_json:
        click.echo(json.dumps(figures, indent=1))
    else:
        _print_figures(figures)


def _load(data: Path, names: tuple[str, ...], split: Split) -> list[Dataset]:
    loaded = [LOADERS[name](data / name, split) for name in names]
    for dataset in loaded:
        for reason, count in (dataset.report.dropped + dataset.report.mended).items():
            example = dataset.report.examples[reason]
            click.echo(f"{dataset.name} {split}: {count} x {reason} (first: {example})", err=True)
    return loaded


def _samples(datasets: list[Dataset]) -> list[Sample]:
    return [sample for dataset in datasets for sample in dataset.samples]


def _print_figures(figures: dict[str, Figures]) -> None:
    for task, values in figures.items():
        shown = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        click.echo(f"{task:14} {shown}")


if __name__ == "__main__":
    try:
        main(standalone_mode=False)
    except SfedgeError as error:
        click.echo(f"training: error: {error}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(130)
