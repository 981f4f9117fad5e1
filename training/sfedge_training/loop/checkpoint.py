"""Models on disk: a folder of JSON and safetensors, written whole or not at all.

model.json             ModelConfig
recipe.json            Recipe
card.json              data, recipe, scores, versions: the model card
tasks.json, tokenizer  what was asked, and as which tokens; see `taught`
trained.safetensors    connector, box embedding, gaze head, LoRA
frozen.safetensors     encoder and language model, each only where it has no published weights
optimizer.safetensors  AdamW's moments, only in checkpoints of a running training
progress.json          steps done and how well, only there too
"""

import math
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from sfedge.core.errors import ConfigError, DataError
from sfedge_training.loop.json_files import read_json, write_json
from sfedge_training.loop.recipe import Recipe, recipe_from_json
from sfedge_training.loop.taught import (
    check_margins,
    check_tokens,
    know_tasks,
    load_tokenizer,
    save_tasks,
    save_taught,
)
from sfedge_training.model.model_config import ModelConfig
from sfedge_training.model.social_fusion import SocialFusion, build_model
from sfedge_training.model.states import frozen_state, load_state, part_of, trained_state

_MEMORY = 0.9  # of the running means of gradients: about the last ten steps of a kind
_KEPT = 2  # checkpoints of a running training that stay


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training is."""

    steps: int = 0
    best: float | None = None  # lowest validation loss so far
    stale: int = 0  # epochs since then
    label_norm: float | None = None  # running geometric mean length of label steps' gradients
    gaze_norm: float | None = None  # of gaze steps', at a weight of 1

    def judged(self, loss: float) -> "Progress":
        """After one more validation."""
        if self.best is None or math.isnan(self.best) or loss < self.best:
            return replace(self, best=loss, stale=0)
        return replace(self, stale=self.stale + 1)

    def stepped(self, norm: float, gaze_weight: float | None = None) -> "Progress":
        """After one more step, whose gradient had this length; `gaze_weight` is a gaze step's."""
        further = replace(self, steps=self.steps + 1)
        if not (math.isfinite(norm) and norm > 0):
            return further
        if gaze_weight is None:
            return replace(further, label_norm=_mean(self.label_norm, norm))
        return replace(further, gaze_norm=_mean(self.gaze_norm, norm / gaze_weight))

    @property
    def balance(self) -> float:
        """The heatmap loss's weight at which both kinds of steps are equally long; 1 till known."""
        return self.label_norm / self.gaze_norm if self.label_norm and self.gaze_norm else 1.0

    @property
    def is_best(self) -> bool:
        """Whether the last validation was the best."""
        return self.best is not None and self.stale == 0

    def is_over(self, patience: int) -> bool:
        """Whether `patience` epochs, if not 0, have brought nothing better."""
        return 0 < patience <= self.stale


def _mean(mean: float | None, value: float) -> float:
    # Geometric: a single long gradient, of which there are some, hardly counts.
    return value if mean is None else mean**_MEMORY * value ** (1 - _MEMORY)


def save_model(folder: Path, model: SocialFusion, recipe: Recipe, card: Mapping[str, Any]) -> None:
    """Write the model to `folder`; an earlier one there is replaced when the new one is whole."""
    with replacing(folder) as part:
        write_json(part / "model.json", model.config.to_json())
        write_json(part / "recipe.json", recipe.to_json())
        write_json(part / "card.json", dict(card))
        save_taught(part, model, recipe)
        save_file(on_cpu(trained_state(model)), part / "trained.safetensors")
        if own := model.config.unpublished:
            frozen = {n: t for n, t in frozen_state(model).items() if part_of(n) in own}
            save_file(on_cpu(frozen), part / "frozen.safetensors")


DEFAULT_MODEL = Path(__file__).parents[1] / "people"  # that of the default bundle, in fp16

# What changes how a step is computed, not what.
_FREE = ("micro_batches", "gradient_checkpointing", "patience")


def check_same_recipe(run: Path, recipe: Recipe) -> None:
    """Write down what a run is begun with, or compare it with that.

    Raises:
        ConfigError: another recipe has begun the run.
        DataError: it was begun with other prompts or labels.
    """
    if os.environ.get("RANK", "0") != "0":
        return  # the first of the processes that a launcher has started does it for all
    path, own = run / "recipe.json", recipe.to_json()
    if not path.is_file():
        run.mkdir(parents=True, exist_ok=True)
        write_json(path, own)
        save_tasks(run, recipe)
        return
    held = recipe_from_json(read_json(path), where=str(path)).to_json()
    others = [name for name in own if name not in _FREE and own[name] != held.get(name)]
    if others:
        name = others[0]
        raise ConfigError(
            f"this run was begun with {name} {held.get(name)!r}, not {own[name]!r}",
            where=str(run),
            fix="Say it as before, or name another folder with --out.",
        )
    know_tasks(run)
    check_margins(run, recipe)


def save_progress(
    run: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    *,
    is_main: bool = True,
) -> None:
    """A checkpoint that `load_progress` goes on from: what learns, and how; the newest few stay.

    Where processes share the model out, all call this and one, `is_main`, writes.
    """
    learning, moments = on_cpu(_learning(model)), _moments(optimizer)
    if not is_main:
        return
    for half in (run / "checkpoints").glob(".step-*"):  # of a process that was killed
        shutil.rmtree(half)
    with replacing(run / "checkpoints" / f"step-{progress.steps:08d}") as part:
        save_file(learning, part / "parameters.safetensors")
        save_file(moments, part / "optimizer.safetensors")
        write_json(part / "progress.json", asdict(progress))
    for outdated in _checkpoints(run)[:-_KEPT]:
        shutil.rmtree(outdated)


def load_progress(run: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
    """Bring model and optimizer to the newest checkpoint of `run`, if there is any.

    Raises:
        DataError: the checkpoint is damaged, or another model's.
    """
    found = _checkpoints(run)
    if not found:
        return Progress()
    folder = found[-1]
    _load_learning(folder, model)
    _restore_moments(optimizer, read_tensors(folder / "optimizer.safetensors"))
    data, where = read_json(folder / "progress.json"), str(folder)
    try:
        return Progress(**data)
    except TypeError as error:
        raise DataError(f"this checkpoint is not ours ({error})", where=where) from error


def save_best(run: Path, model: nn.Module, *, is_main: bool = True) -> None:
    """Keep what the model has learned so far as the run's best; see `save_progress`."""
    learning = on_cpu(_learning(model))
    if is_main:
        with replacing(run / "best") as part:
            save_file(learning, part / "parameters.safetensors")


def load_learned(run: Path, model: nn.Module, recipe: Recipe) -> None:
    """Bring the model to what a finished run has learned: its best where it has stopped by that.

    Raises:
        DataError: there is no checkpoint, or it is damaged or another model's.
    """
    is_best = recipe.patience and (run / "best").is_dir()
    _load_learning(run / "best" if is_best else _newest(run), model)


def _newest(run: Path) -> Path:
    found = _checkpoints(run)
    if not found:
        raise DataError("this run has no checkpoint", where=str(run))
    return found[-1]


def _load_learning(folder: Path, model: nn.Module) -> None:
    parameters, own = read_tensors(folder / "parameters.safetensors"), _learning(model)
    if {n: t.shape for n, t in parameters.items()} != {n: t.shape for n, t in own.items()}:
        raise DataError(
            "this checkpoint is of another model",
            where=str(folder),
            fix="Name another folder with --out, or remove this run.",
        )
    with torch.no_grad():
        for name, value in parameters.items():
            own[name].copy_(_shared_as(own[name], value))


def load_model(
    folder: Path, *, allow_remote_code: bool = False
) -> tuple[SocialFusion, Recipe, dict[str, Any]]:
    """A model with its recipe and card, on the CPU in evaluation mode.

    Args:
        folder: as `save_model` wrote it.
        allow_remote_code: Python code that comes with the encoder's weights may run.

    Raises:
        DataError: the folder holds no whole model, or one that was taught other prompts, labels
            or tokens than are asked today.
    """
    if not (folder / "model.json").is_file():
        raise DataError(
            "no model.json is here",
            where=str(folder),
            fix="Name the `model` folder of a finished run.",
        )
    recipe = load_recipe(folder)
    config = ModelConfig.from_json(read_json(folder / "model.json"))
    model = build_model(
        config,
        with_lora=not recipe.pretraining,
        allow_remote_code=allow_remote_code,
        tokenizer=load_tokenizer(folder),
    )
    check_tokens(folder, model)
    load_state(model, read_tensors(folder / "trained.safetensors"))
    load_pretrained(model, folder)
    return model.eval(), recipe, read_json(folder / "card.json")


def load_recipe(folder: Path) -> Recipe:
    """The recipe in a `model` folder.

    Raises:
        DataError: it is missing or damaged, or the model was taught other tasks than are asked.
    """
    know_tasks(folder)
    recipe = recipe_from_json(read_json(folder / "recipe.json"), where=str(folder))
    check_margins(folder, recipe)
    return recipe


def load_pretrained(model: SocialFusion, folder: Path, *, with_connector: bool = False) -> None:
    """Take the frozen parts that have no published weights from a `model` folder.

    Args:
        model: takes them.
        folder: of a pre-training, or of the model itself.
        with_connector: connector, embeddings and gaze head, too, to learn on.

    Raises:
        DataError: the folder has no such part, or one that does not fit the model or its tokens.
    """
    own = model.config.unpublished
    if "language" in own:
        check_tokens(folder, model)
    tensors = read_tensors(folder / "frozen.safetensors") if own else {}
    for part in own:
        load_state(model, {name: t for name, t in tensors.items() if part_of(name) == part})
    if with_connector:
        load_state(model, read_tensors(folder / "trained.safetensors"), without_lora=True)


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A folder to write in, that takes the place of `folder` at the end."""
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    yield part
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    part.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _learning(model: nn.Module) -> dict[str, Tensor]:
    """Free parameters, and buffers such as batch normalisation's running means."""
    stored = model.state_dict()
    free = {name: value for name, value in model.named_parameters() if value.requires_grad}
    return free | {name: value for name, value in model.named_buffers() if name in stored}


def _checkpoints(run: Path) -> list[Path]:
    return sorted((run / "checkpoints").glob("step-*"))


def _moments(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{name}": _whole(value).detach().cpu().contiguous()
        for index, of in state.items()
        for name, value in of.items()
    }


def _restore_moments(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    free = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for place, moments in state.items():
        state[place] = {name: _shared_as(free[place], value) for name, value in moments.items()}
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def _whole(tensor: Tensor) -> Tensor:
    """A tensor that processes share out, put together; all of them must call this."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _shared_as(own: Tensor, whole: Tensor) -> Tensor:
    """`whole`, shared out as the parameter `own` is; a count of steps stays as it is."""
    if not isinstance(own, DTensor) or whole.shape != own.shape:
        return whole
    return distribute_tensor(whole.to(own.device), own.device_mesh, own.placements)


def on_cpu(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies that a safetensors file can hold, also where tensors share memory."""
    return {
        name: _whole(value).detach().cpu().contiguous().clone() for name, value in state.items()
    }


def read_tensors(path: Path) -> dict[str, Tensor]:
    """A safetensors file, whole.

    Raises:
        DataError: it is missing or damaged.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        fix = ""
        if path.parent.parent.name == "checkpoints":
            fix = f"Remove {path.parent}: the run goes on from the checkpoint before."
        raise DataError(
            f"these weights cannot be read ({error})", where=str(path), fix=fix
        ) from error
