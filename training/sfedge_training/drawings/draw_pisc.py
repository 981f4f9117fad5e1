"""Drawn PISC: pictures of two to four people and the relation of each pair, as the JSON release."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np

from sfedge.core.tasks import TASKS
from sfedge_training.data.sample import Split
from sfedge_training.drawings.background import new_canvas, photographed
from sfedge_training.drawings.body_parts import Layout, Record, inside, save_json, save_picture
from sfedge_training.drawings.company import Relation, draw_company

_RELATIONS = cast(tuple[Relation, ...], TASKS["relation"].labels)
_DOMAINS = {  # the coarse label of each relation, counted from 1 as the release does
    "friends": 1, "family": 1, "couple": 1, "professional": 2, "commercial": 2, "no_relation": 3,
}  # fmt: skip
# Pictures by relation: three friends make three pairs, and every stranger makes pairs without a
# relation, so that pictures of friends and of strangers alone are fewer.
_SHARES = np.array([0.13, 0.16, 0.20, 0.22, 0.22, 0.07])
_FIRST_ID: dict[Split, int] = {"train": 1, "val": 50001, "test": 75001}  # five digits name a file
_SIZES = ((288, 216), (264, 232), (304, 208))


def _draw(root: Path, split: Split, index: int, rng: np.random.Generator) -> Record:
    relation = _RELATIONS[rng.choice(len(_RELATIONS), p=_SHARES)]
    width, height = _SIZES[rng.integers(len(_SIZES))]
    canvas = new_canvas(rng, width, height)
    extents, groups = draw_company(canvas, relation, rng)
    key = _FIRST_ID[split] + index
    save_picture(root / "image" / f"{key:05d}.jpg", photographed(canvas, rng))
    order = rng.permutation(len(extents))
    pairs = {}
    for first in range(len(order)):
        for second in range(first + 1, len(order)):
            is_group = groups[order[first]] == groups[order[second]]
            pairs[f"{first + 1} {second + 1}"] = relation if is_group else "no_relation"
    boxes = [np.round(inside(extents[i], width, height), 1).tolist() for i in order]
    info = {"id": key, "imgH": height, "imgW": width, "bbox": boxes}
    return [info, pairs]


def _write(root: Path, records: Mapping[Split, Sequence[Record]]) -> None:
    """Both tasks list the same pictures here; in the real release the lists differ."""
    everything = [record for rows in records.values() for record in rows]
    save_json(root / "annotation_image_info.json", [info for info, _ in everything])
    domain, fine = {}, {}
    for info, pairs in everything:
        key = str(info["id"])
        domain[key] = {pair: _DOMAINS[name] for pair, name in pairs.items()}
        fine[key] = {pair: _RELATIONS.index(name) + 1 for pair, name in pairs.items()}
    save_json(root / "domain.json", domain)
    save_json(root / "relationship.json", fine)
    for split, rows in records.items():
        keys = [str(info["id"]) for info, _ in rows]
        part = {"train": "train", "val": "valid", "test": "test"}[split]
        save_json(root / "domain_split" / f"domain_{part}idx.json", keys)
        save_json(root / "relationship_split" / f"relation_{part}idx.json", keys)


LAYOUT = Layout(_draw, _write)
