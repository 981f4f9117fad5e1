"""What a source yields: pictures, their labels, and where each label is from."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from sfedge.core.boxes import Box
from sfedge.core.landmarks import Landmarks
from sfedge_training.data.reading import is_held_out
from sfedge_training.data.sample import Split

# What is to be found in a picture: the hand that fills it, its face, or a person and the hands.
Subject = Literal["hand", "face", "body"]
# Who gave a label. Only what people, or two readers who agree, gave to just this picture is truth
# ("people"); all others are pseudo-labels.
LabelSource = Literal[
    "people", "network", "blendshapes", "landmarks", "query", "likeness", "rendering"
]

Trait = Literal["age", "gender", "race", "lightness"]

_TEST, _VAL = 0.10, 0.10  # of the groups


@dataclass(frozen=True, slots=True)
class Annotation:
    """An answer to a task's question, and who gave it."""

    task: str
    label: str  # of the task, or of `settle.EITHER`
    by: LabelSource = "people"


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One picture of a source."""

    name: str  # of the file that it becomes, below the source's folder
    picture: bytes  # a JPEG, or a PNG where there is nothing to see
    subject: Subject
    annotations: tuple[Annotation, ...]
    group: str  # the person or picture that must not be spread over splits
    split: Split
    box: Box | None = None  # of the hand, where the source gives it
    landmarks: Landmarks | None = None  # where the source gives them; none are detected then
    # Attributes of the person, from the source: scores are reported by them, nothing learns them.
    # `lightness` of the skin is measured.
    traits: Mapping[Trait, str] = field(default_factory=dict)


Reader: TypeAlias = Callable[[Path], Iterable[Item]]  # of a source's file


def split_of(group: str) -> Split:
    """The part that a group belongs to: a hash of its name decides, and never changes its mind.

    10 % of the groups are for the test, 10 % for validation.
    """
    if is_held_out(group, _TEST):
        return "test"
    return "val" if is_held_out(group, _TEST + _VAL) else "train"
