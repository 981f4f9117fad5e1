"""How a model is trained: every setting of a run, its default and where that comes from."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from sfedge.core.errors import ConfigError, unknown_name
from sfedge.core.tasks import TASKS

# The paper's five datasets; PISC carries two tasks (section 2).
PAPER_DATASETS = ("affectnet", "hagrid", "ego4d_lam", "gazefollow", "pisc")
OWN = "folder"  # a user's own pictures: its tasks are those that occur in it
# Settings under the names that earlier models were saved with.
_RENAMED = {"accumulation": "micro_batches", "recompute": "gradient_checkpointing"}


def dataset_tasks() -> dict[str, tuple[str, ...]]:
    """The tasks that each dataset teaches, as the tasks' entries say."""
    names = dict.fromkeys(task.dataset for task in TASKS.values() if task.dataset)
    return {
        name: tuple(task.name for task in TASKS.values() if task.dataset == name) for name in names
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One training run. Numbers without another source are the paper's (section 4.1).

    Raises:
        ConfigError: settings are out of range; all problems in one message.
    """

    datasets: tuple[str, ...] = PAPER_DATASETS  # joint training; one name for a single one
    seed: int = 0
    epochs: int = 10  # the paper gives none; an epoch is five times the smallest dataset
    batch: int = 32
    learning_rate: float = 2e-4
    warmup: int = 500  # steps of linear warm-up, then a cosine to zero
    weight_decay: float = 0.01  # not in the paper; AdamW's usual value
    gradient_norm: float = 1.0  # not in the paper; docs/recipe.md has the share that is clipped
    # Weight of the heatmap loss, which the paper scales "depending on the number of tasks" without
    # a formula: a number, "paper" for 1 / (number of datasets), the literal reading, or "balanced"
    # for gradients as long as those of label steps (docs/recipe.md has what each comes to).
    gaze_weight: float | Literal["paper", "balanced"] = "balanced"
    augment: bool = True  # flips and small shifts; the paper does not say
    precision: Literal["fp32", "bf16"] = "fp32"  # of the forward pass; weights stay fp32
    # The sizes without published weights (preset `tiny`) first train every part, without LoRA;
    # the encoder and language model that come out replace CLIP and Llama.
    pretraining: bool = False
    micro_batches: int = 1  # that a batch is divided into; the step is the same
    gradient_checkpointing: bool = False  # less memory, more time; the step is the same
    # Epochs without a lower validation loss after which to stop, with the best epoch's weights;
    # 0 trains to the end and keeps the last. The paper gives none.
    patience: int = 0
    # Faces of looking_at_me cropped to the exact box, as Ego4D's own evaluation does; else with
    # the margin that the runtime shows.
    exact_faces: bool = False
    own_tasks: tuple[str, ...] = ()  # those of the dataset `folder`, known when it has been read

    def __post_init__(self) -> None:
        for name in self.datasets:
            known = (*dataset_tasks(), OWN)
            if name not in known:
                unknown_name("dataset", name, known, where="--datasets")
        for name in self.own_tasks:
            if name not in TASKS:
                unknown_name("task", name, TASKS, where="own_tasks")
        whole = ("seed", "epochs", "batch", "warmup", "micro_batches", "patience")
        numbers = (*whole, "learning_rate", "weight_decay", "gradient_norm")
        for name in numbers:
            value, wanted = getattr(self, name), int if name in whole else (int, float)
            if isinstance(value, bool) or not isinstance(value, wanted):
                kind = "whole number" if name in whole else "number"
                raise ConfigError(f"{name} is {value!r}, not a {kind}", where="recipe")
        problems = [
            text
            for is_wrong, text in (
                (not self.datasets, "no dataset is chosen"),
                (len(set(self.datasets)) != len(self.datasets), "a dataset is listed twice"),
                (self.seed < 0, f"seed {self.seed} is negative"),
                (self.epochs < 1, f"epochs {self.epochs} is below 1"),
                (self.batch < 1, f"batch {self.batch} is below 1"),
                (not 0 < self.learning_rate < 1, f"learning rate {self.learning_rate}"),
                (self.warmup < 0, f"warm-up {self.warmup} is negative"),
                (not 0 <= self.weight_decay < 1, f"weight decay {self.weight_decay}"),
                (self.gradient_norm <= 0, f"gradient norm {self.gradient_norm}"),
                (
                    self.gaze_weight not in ("paper", "balanced")
                    and not _is_positive(self.gaze_weight),
                    f"gaze weight {self.gaze_weight!r}",
                ),
                (
                    not 1 <= self.micro_batches <= max(self.batch, 1),
                    f"micro-batches {self.micro_batches} is not from 1 to the batch",
                ),
                (self.patience < 0, f"patience {self.patience} is negative"),
                (self.precision not in ("fp32", "bf16"), f"precision {self.precision!r}"),
                (
                    self.exact_faces and OWN in self.datasets,
                    f"exact faces, which the dataset {OWN!r} does not have",
                ),
                (
                    bool(self.own_tasks) and OWN not in self.datasets,
                    f"own tasks without the dataset {OWN!r}",
                ),
            )
            if is_wrong
        ]
        if problems:
            raise ConfigError("; ".join(problems), where="recipe")

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks that the datasets teach, each once."""
        of = {**dataset_tasks(), OWN: self.own_tasks}
        return tuple(dict.fromkeys(task for name in self.datasets for task in of[name]))

    def heatmap_weight(self, balance: float = 1.0) -> float:
        """The paper's lambda in L = L_llm + lambda * L_heatmap; `balance` is the balanced one."""
        if self.gaze_weight == "paper":
            return 1.0 / len(self.datasets)
        return balance if self.gaze_weight == "balanced" else float(self.gaze_weight)

    def margin(self, task: str) -> float:
        """What the views of a task were grown by in training, see `Task.margin`."""
        is_exact = self.exact_faces and TASKS[task].dataset == "ego4d_lam"
        return 0.0 if is_exact else TASKS[task].margin

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `recipe_from_json` reads back."""
        return asdict(self) | {"datasets": list(self.datasets), "own_tasks": list(self.own_tasks)}


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def recipe_from_json(data: dict[str, Any], *, where: str = "recipe") -> Recipe:
    """A recipe from its JSON object.

    Raises:
        ConfigError: a setting is unknown or out of range.
    """
    data = {_RENAMED.get(name, name): value for name, value in data.items()}
    if data.get("gaze_weight", 0) is None:  # as it was saved when there was no other formula
        data["gaze_weight"] = "paper"
    known = {field.name for field in fields(Recipe)}
    unknown = sorted(set(data) - known)
    if unknown:
        raise ConfigError(f"unknown settings {', '.join(unknown)}", where=where)
    lists: dict[str, Iterable[str]] = {"datasets": PAPER_DATASETS, "own_tasks": ()}
    return Recipe(**(data | {name: tuple(data.get(name, usual)) for name, usual in lists.items()}))
