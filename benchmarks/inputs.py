"""What the model for real people owes to the picture and to the landmarks: each alone, and both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor, nn

from benchmarks import measured_on as machine
from sfedge_training.data.batch import Batch
from sfedge_training.data.people_tasks import use_people_tasks
from sfedge_training.data.reading import read_json
from sfedge_training.data.sample import Sample
from sfedge_training.loop.checkpoint import load_pretrained, load_recipe
from sfedge_training.loop.evaluate import evaluate, usual_device
from sfedge_training.loop.losses import loss
from sfedge_training.loop.recipe import Recipe
from sfedge_training.loop.reports import recipe_datasets, samples_of
from sfedge_training.loop.taught import load_tokenizer
from sfedge_training.loop.training_run import learn, social_fusion
from sfedge_training.model.encoder import Encoder
from sfedge_training.model.model_config import ModelConfig
from sfedge_training.model.social_fusion import SocialFusion, build_model

BOTH, PICTURE, LANDMARKS = "picture and landmarks", "picture", "landmarks"
_FOLDERS = {BOTH: "both", PICTURE: "picture", LANDMARKS: "landmarks"}


def shown(images: Tensor, landmarks: Tensor | None, what: str) -> tuple[Tensor, Tensor | None]:
    """What a network is given: grey in place of each picture, or no landmark known."""
    if what == LANDMARKS:
        images = torch.zeros_like(images)
    return images, None if what == PICTURE else landmarks


def partial_loss(
    model: SocialFusion, batch: Batch, weight: float, *, what: str
) -> tuple[Tensor, dict[str, Tensor]]:
    """The recipe's loss on what is shown."""
    images, landmarks = shown(batch.images, batch.landmarks, what)
    return loss(model, replace(batch, images=images, landmarks=landmarks), weight)


@dataclass(frozen=True, slots=True)
class PartlySighted:
    """A network that answers from what is shown."""

    model: SocialFusion
    what: str

    @property
    def encoder(self) -> Encoder:
        """The network's."""
        return self.model.encoder

    @property
    def token_grid(self) -> int:
        """The network's."""
        return self.model.token_grid

    def logits(
        self, images: Tensor, masks: Tensor, task: str, landmarks: Tensor | None = None
    ) -> Tensor:
        """As `SocialFusion.logits`."""
        images, landmarks = shown(images, landmarks, self.what)
        return self.model.logits(images, masks, task, landmarks)

    def to(self, device: torch.device) -> nn.Module:
        """Move the network."""
        return self.model.to(device)

    def eval(self) -> nn.Module:
        """Set it to answer."""
        return self.model.eval()


def measure(
    data: Path,
    parts: Path,
    recipe: Recipe,
    out: Path,
    *,
    workers: int,
    kinds: Sequence[str] = tuple(_FOLDERS),
) -> dict[str, dict[str, dict[str, float]]]:
    """Train once with each kind of input, from the same parts; scores of the validation split.

    Returns:
        By kind and task, the figures of `evaluate`.
    """
    config = ModelConfig.from_json(read_json(parts / "model.json", dict))
    learned = {s.name: s.samples for s in recipe_datasets(data, recipe, "train")}
    held_out = samples_of(recipe_datasets(data, recipe, "val"))
    return {
        kind: _scores(config, parts, recipe, learned, held_out, out / _FOLDERS[kind], kind, workers)
        for kind in kinds
    }


def _scores(
    config: ModelConfig,
    parts: Path,
    recipe: Recipe,
    learned: Mapping[str, Sequence[Sample]],
    held_out: Sequence[Sample],
    run: Path,
    kind: str,
    workers: int,
) -> dict[str, dict[str, float]]:
    def build() -> SocialFusion:
        torch.manual_seed(recipe.seed)
        model = build_model(config, tokenizer=load_tokenizer(parts))
        load_pretrained(model, parts, with_connector=True)
        return model

    system = replace(social_fusion(config, build), loss=partial(partial_loss, what=kind))
    model, _ = learn(system, recipe, learned, run, workers=workers)
    seen = PartlySighted(model, kind)
    return evaluate(seen, held_out, device=usual_device(), workers=workers)


def page(found: Mapping[str, Mapping[str, Mapping[str, float]]], recipe: Recipe) -> list[str]:
    """The table, and how it came to be."""
    tasks = list(next(iter(found.values())))
    first = next(iter(found.values()))
    rows = [
        (kind, *(cell for task in tasks for cell in _cells(figures[task])))
        for kind, figures in found.items()
    ]
    header = ("shown", *(f"{task}, {what}" for task in tasks for what in ("right", "balanced")))
    asked = ", ".join(f"{first[task]['samples']:.0f} of {task}" for task in tasks)
    return [
        f"Each learned for {recipe.epochs} epochs in batches of {recipe.batch}, from the parts of "
        f"one pre-training with both, seed {recipe.seed}. Samples to choose by, none learned from: "
        f"{asked}. Right: in per cent; balanced: the mean over the classes that occur.",
        machine.table(header, rows),
    ]


def _cells(figures: Mapping[str, float]) -> tuple[str, str]:
    return f"{100 * figures['accuracy']:.1f}", f"{100 * figures['balanced_accuracy']:.1f}"


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True))
@click.argument("parts", type=click.Path(path_type=Path, exists=True))
@click.argument("runs", type=click.Path(path_type=Path))
@click.option("--epochs", default=1, show_default=True)
@click.option("--batch", default=32, show_default=True)
@click.option("--learning-rate", default=5e-4, show_default=True)
@click.option("--warmup", default=150, show_default=True)
@click.option("--workers", default=1, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=machine.RESULTS / "inputs.md")
def main(data: Path, parts: Path, runs: Path, out: Path, workers: int, **settings: Any) -> None:
    """Compare inputs on DATA, a collected folder, from PARTS, the `model` of a pre-training.

    RUNS holds the three runs; what is there is not trained again.
    """
    about = machine.describe()
    use_people_tasks()  # before the recipe, whose tasks they are
    recipe = replace(load_recipe(parts), pretraining=False, **settings)
    found = measure(data, parts, recipe, runs, workers=workers)
    command = "python -m benchmarks.inputs DATA PARTS RUNS"
    machine.write_page(out, "Pictures and landmarks", command, about, page(found, recipe))


if __name__ == "__main__":
    main()
