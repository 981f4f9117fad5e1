"""How much each dataset holds, as its owners or code that ran on it say, each with its source.

Only numbers that somebody read in the source named; what is merely handed down is left out. So
GazeFollow and the CSV release of AffectNet have none here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sfedge_training.data.sample import Split

_README = "README of hukenovs/hagrid"
_COUNTED = "counted in data/split of EGO4D/social-interactions, branch lam"
_LISTED = "tools/utils_dataset.py of verlab/Structural_Reasoning_SRR"
_WEIGHTED = "from the class weights of verlab/Structural_Reasoning_SRR, which are inverse counts"
_EXPLORED = "notebook data_exploration_raw_AffectNet of armand-07/emotion_recognition"
_TWICE = "two unofficial loaders of the 8-class release agree"
_REST = "what the other seven leave of 287,651"


@dataclass(frozen=True, slots=True)
class Fact:
    """How many of something a dataset's lists hold."""

    dataset: str
    splits: tuple[Split, ...]  # ours, that together make the published one
    unit: str  # with `label` a key of Report.listed
    label: str
    count: int
    source: str
    marker: str = ""  # a file or folder of the release that the number is of; "" for any


def facts_for(dataset: str, root: Path) -> tuple[Fact, ...]:
    """What is published on the release that `root` holds."""
    return tuple(
        fact
        for fact in _FACTS
        if fact.dataset == dataset and (not fact.marker or (root / fact.marker).exists())
    )


def _pisc(splits: tuple[Split, ...], task: str, count: int) -> Fact:
    return Fact("pisc", splits, task, "", count, _LISTED, "annotation_image_info.json")


def _pisc_labels(task: str, counts: Mapping[str, int]) -> tuple[Fact, ...]:
    return tuple(
        Fact("pisc", ("train",), task, label, count, _WEIGHTED, "annotation_image_info.json")
        for label, count in counts.items()
    )


def _affectnet(
    splits: tuple[Split, ...], label: str, count: int, source: str, marker: str = "train_set"
) -> Fact:
    return Fact("affectnet", splits, "expression", label, count, source, marker)


_FACTS: tuple[Fact, ...] = (
    Fact("hagrid", ("train",), "pictures", "", 821_458, _README),
    Fact("hagrid", ("val",), "pictures", "", 99_200, _README),
    Fact("hagrid", ("test",), "pictures", "", 165_500, _README),
    Fact("ego4d_lam", ("train", "val"), "clips", "", 385, _COUNTED),
    Fact("ego4d_lam", ("test",), "clips", "", 50, _COUNTED),
    _pisc(("train",), "domain", 49_017),
    _pisc(("val",), "domain", 14_536),
    _pisc(("test",), "domain", 15_497),
    _pisc(("train",), "relation", 55_400),
    _pisc(("val",), "relation", 1_505),
    _pisc(("test",), "relation", 3_961),
    *_pisc_labels("domain", {"intimate": 19_131, "not_intimate": 15_334, "no_relation": 14_552}),
    *_pisc_labels(
        "relation",
        {
            "friends": 12_686,
            "family": 7_818,
            "couple": 1_552,
            "professional": 20_842,
            "commercial": 523,
            "no_relation": 11_979,
        },
    ),
    _affectnet(("train", "val"), "", 287_651, _EXPLORED),
    _affectnet(("test",), "", 3_999, _EXPLORED, "val_set"),
    _affectnet(("train", "val"), "neutral", 74_874, _TWICE),
    _affectnet(("train", "val"), "happiness", 134_415, _TWICE),
    _affectnet(("train", "val"), "sadness", 25_459, _TWICE),
    _affectnet(("train", "val"), "surprise", 14_090, _TWICE),
    _affectnet(("train", "val"), "fear", 6_378, _TWICE),
    _affectnet(("train", "val"), "disgust", 3_803, _TWICE),
    _affectnet(("train", "val"), "anger", 24_882, _TWICE),
    _affectnet(("train", "val"), "contempt", 3_750, _REST),
)
