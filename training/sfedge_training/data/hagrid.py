"""HaGRIDv2: whole pictures of one gesturing person (datasets' repository: dataset/dataset.py)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sfedge.core.tasks import NO_GESTURE, TASKS
from sfedge_training.data.reading import MISSING, existing, missing_pictures, read_json
from sfedge_training.data.sample import Dataset, Report, Sample, Split

NAME = "hagrid"


def load(root: Path, split: Split) -> Dataset:
    """Read one split: `annotations/<split>/<class>.json` and `images/<class>/<id>.jpg`.

    The split is known only by which file lists a picture. The label is that of the first hand (of
    the united box of both hands, where there is one) that is not idle; it wins over the folder,
    except in the folder `no_gesture`.

    Raises:
        DataError: the annotations are missing or malformed.
    """
    marks = existing(
        root,
        f"annotations/{split}",
        f"*/annotations/{split}",
        f"ann_{split}",
        what=f"the folder of {split} annotations",
    )
    images = existing(root, "images", "hagridv2_512", "*/images", what="the folder of pictures")
    labels = TASKS["gesture"].labels  # the paper's 33 have none for idle hands
    report = Report()
    found: list[tuple[Path, int, str, str]] = []
    for table in sorted(marks.glob("*.json")):
        for key, row in read_json(table, dict).items():
            where = f"{table}: {key}"
            report.meet("pictures")
            label = _label(row) if isinstance(row, Mapping) else None
            if label is not None and table.stem == NO_GESTURE:
                label = NO_GESTURE  # the one folder that wins over the labels
            if label is None:
                report.drop("row is malformed", where)
            elif label == NO_GESTURE and label not in labels:
                report.drop("only idle hands", where)
            elif label not in labels:
                report.drop("label is none of the 33 gestures", f"{where}: {label}")
            else:
                user = str(row.get("user_id", "")) or key
                picture = images / table.stem / f"{key}.jpg"
                found.append((picture, labels.index(label), user, key))
    absent = missing_pictures(picture for picture, *_ in found)
    samples = []
    for picture, index, user, key in found:
        if picture in absent:
            report.lose(MISSING, str(picture))
            continue
        report.kept["gesture", labels[index]] += 1
        samples.append(Sample(image=picture, task="gesture", label=index, group=user, key=key))
    return Dataset(NAME, split, tuple(samples), report)


def _label(row: Mapping[str, Any]) -> str | None:
    """The gesture of a row; `no_gesture` where all hands are idle, None where it names no hand.

    The labels of united boxes go before those of single hands. They may be missing, null, fewer
    than the hands, or null in places.
    """
    united, hands = row.get("united_label"), row.get("labels")
    if isinstance(united, str | Mapping) or isinstance(hands, str | Mapping):
        return None
    names = [str(name) for name in [*(united or []), *(hands or [])] if name is not None]
    gestures = [name for name in names if name != NO_GESTURE]
    return next(iter(gestures or names), None)
