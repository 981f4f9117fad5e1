"""Pictures of faces, with expression and whether they look at the camera.

`facts/fairface_by_eye.csv` holds what two readers saw in 728 faces of FairFace, 52 of each of its 7
groups and 2 genders, chosen by a hash of their names. Both are large vision-language models, which
looked at each face alone, at 224 pixels:

- `expression`: smile, neutral, other (another expression, speaking, singing), or unclear.
- `looking`: whether the eyes look into the camera; unclear behind sunglasses, in the dark, blurred.
- `expression_2`, `looking_2`: the same by the second reader, who saw none of the first one's.

Nothing learns from these faces: a quarter is to choose by, the others are for the test.
"""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from sfedge_training.collection.archive import pictures_in, table_in
from sfedge_training.collection.blendshapes import expression_of, look_of
from sfedge_training.collection.item import Annotation, Item, Trait, split_of
from sfedge_training.data.reading import is_held_out
from sfedge_training.data.sample import Split

_LOOKS = {"yes": "looking", "no": "not_looking"}
_SMILES = {
    "neutral": "neutral",
    **dict.fromkeys(("smile", "smiling", "happiness"), "happiness"),
}
_TRAITS: tuple[Trait, ...] = ("age", "gender", "race")  # in FairFace's labels
_CHOSEN_BY = 0.25  # of the faces seen by eye
_SEEN = Path(__file__).parent / "facts" / "fairface_by_eye.csv"
# What the words of a query mean; what is not here means nothing to us.
_QUERIES: Mapping[tuple[str, str], tuple[str, str]] = {
    **{
        (group, label): ("expression", label)
        for group in ("expr", "exprm")
        for label in ("anger", "happiness", "sadness", "surprise")
    },
    ("gaze", "camera"): ("looking_at_me", "looking"),
    **{
        key: ("looking_at_me", "not_looking")
        for key in (
            *(("gaze", way) for way in ("side", "up", "down", "eyes closed")),
            *(("pose", way) for way in ("sideways", "profile")),
        )
    },
}
# Generated faces that were looked at and show something else than was asked for.
_NOT_AS_ASKED = frozenset({"expr_0_5.jpg", "expr_0_7.jpg", "expr_3_2.jpg", "exprm_1_2.jpg"})


def fairface(file: Path) -> Iterator[Item]:
    """FairFace's adults: those labelled by eye are held out, most others are pseudo-labelled.

    Raises:
        DataError: the file cannot be read.
    """
    columns = ("file", "expression_checked", "yaw", *_TRAITS)
    rows = {row["file"]: row for row in table_in(file, columns)}
    with _SEEN.open(newline="", encoding="utf-8") as table:
        seen = {row["file"]: row for row in csv.DictReader(table)}
    annotations = {
        name: _seen_by_eye(seen[name]) if name in seen else _from_table(row)
        for name, row in rows.items()
    }
    for name, data in pictures_in(file, (name for name in rows if annotations[name])):
        group = f"fairface/{name}"
        if name in seen:
            split: Split = "val" if is_held_out(group, _CHOSEN_BY) else "test"
        else:
            split = split_of(group)
        traits = {trait: rows[name][trait] for trait in _TRAITS}
        yield Item(name, data, "face", annotations[name], group, split, traits=traits)


def studio(file: Path) -> Iterator[Item]:
    """Studio faces that look at the camera; the number in a file's name is the person.

    Raises:
        DataError: the file cannot be read.
    """
    rows = {row["file"]: row for row in table_in(file, ("file", "expression"))}
    for name, data in pictures_in(file, rows):
        path = PurePosixPath(name)
        # "smiling_front/001_08.jpg" and "neutral_front/001_03.jpg" are one person
        is_canadian = path.parts[0] == "canada"
        group = f"studio/{'canada-' if is_canadian else ''}{path.stem.partition('_')[0]}"
        annotations = (
            Annotation("expression", _SMILES[rows[name]["expression"]]),
            Annotation("looking_at_me", "looking"),
        )
        yield Item(name, data, "face", annotations, group, split_of(group))


def portraits(file: Path) -> Iterator[Item]:
    """Portraits that were judged by looking at them; what was unclear has no label.

    Raises:
        DataError: the file cannot be read.
    """
    rows = {row["file"]: row for row in table_in(file, ("file", "looking_at_camera", "expression"))}
    for name, data in pictures_in(file, rows):
        annotations = []
        if (expression := rows[name]["expression"]) in _SMILES:
            annotations.append(Annotation("expression", _SMILES[expression]))
        if (looks := rows[name]["looking_at_camera"]) in _LOOKS:
            annotations.append(Annotation("looking_at_me", _LOOKS[looks]))
        group = f"portraits/{name}"
        if annotations:
            yield Item(name, data, "face", tuple(annotations), group, split_of(group))


def generated(file: Path) -> Iterator[Item]:
    """Generated faces, found by the words they were asked for.

    Where the queries of one picture contradict each other, it gets no label.

    Raises:
        DataError: the file cannot be read.
    """
    found: dict[str, dict[str, set[str]]] = {}
    for row in table_in(file, ("file", "query_group", "query_label")):
        meant = _QUERIES.get((row["query_group"], row["query_label"]))
        if meant is not None and row["file"] not in _NOT_AS_ASKED:
            task, label = meant
            found.setdefault(row["file"], {}).setdefault(task, set()).add(label)
    for name, data in pictures_in(file, found):
        annotations = tuple(
            Annotation(task, next(iter(labels)), "query")
            for task, labels in found[name].items()
            if len(labels) == 1
        )
        group = f"generated/{name}"
        if annotations:
            yield Item(name, data, "face", annotations, group, split_of(group))


def _seen_by_eye(seen: Mapping[str, str]) -> tuple[Annotation, ...]:
    """The first reader's labels, where the second one agrees or gave none."""
    annotations = []
    for task, column, labels in (
        ("expression", "expression", _SMILES),
        ("looking_at_me", "looking", _LOOKS),
    ):
        first, second = seen[column], seen[f"{column}_2"]
        if first in labels and second in (first, ""):
            annotations.append(Annotation(task, labels[first]))
    return tuple(annotations)


def _from_table(row: Mapping[str, str]) -> tuple[Annotation, ...]:
    annotations = []
    if row["expression_checked"]:
        annotations.append(Annotation("expression", row["expression_checked"]))
    elif (expression := expression_of(row)) is not None:
        annotations.append(Annotation("expression", expression, "blendshapes"))
    if (look := look_of(row)) is not None:
        annotations.append(Annotation("looking_at_me", look, "blendshapes"))
    return tuple(annotations)
