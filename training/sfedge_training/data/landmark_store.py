"""Landmarks that were found once, in a file beside the pictures: `landmarks.npz`.

| array             | shape, type         | what                                                 |
|-------------------|---------------------|------------------------------------------------------|
| keys              | [N] text            | what was looked at, see `landmark_key`               |
| hands             | [H, 21, 3] float16  | points of all hands                                  |
| hands_of, sides   | [H] int32, int8     | the entry each belongs to; 1 a right hand, -1 a left |
| bodies, bodies_of | [B, 33, 3], [B]     | likewise                                             |
| faces, faces_of   | [F, FACE_POINTS, 3] | likewise                                             |

Points are those of `sfedge.core.landmarks`. Half precision is a fifth of a pixel in a picture of
400. An entry without any of them was looked at in vain.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sfedge.core.errors import DataError
from sfedge.core.face_points import FACE_POINTS
from sfedge.core.landmarks import BODY_POINTS, HAND_POINTS, LAYOUT, HandLandmarks, Landmarks, Points
from sfedge.system.zips import DAMAGED_ZIP

STORE = "landmarks.npz"
_SHAPES = {"hands": HAND_POINTS, "bodies": BODY_POINTS, "faces": FACE_POINTS}
_SIDES: Mapping[Literal["left", "right"] | None, int] = {"left": -1, None: 0, "right": 1}


def landmark_key(picture: str, numbers: Iterable[float]) -> str:
    """The name of what was looked at.

    Args:
        picture: as the table names it.
        numbers: of the box of the one whom a row is about, as the table has them; none for the
            whole picture.
    """
    return f"{picture}@{','.join(f'{number:g}' for number in numbers)}"


def write_landmarks(file: Path, entries: Mapping[str, Landmarks]) -> None:
    """Write entries in place of what the file held; it is never seen half written."""
    points: dict[str, list[Points]] = {name: [] for name in _SHAPES}
    places: dict[str, list[int]] = {name: [] for name in _SHAPES}
    sides: list[int] = []
    for place, found in enumerate(entries.values()):
        for hand in found.hands:
            points["hands"].append(hand.points)
            places["hands"].append(place)
            sides.append(_SIDES[hand.side])
        for name, part in (("bodies", found.body), ("faces", found.face)):
            if part is not None:
                points[name].append(part)
                places[name].append(place)
    arrays: dict[str, NDArray[np.generic]] = {
        "layout": np.array(LAYOUT),
        "keys": np.array(list(entries), dtype=np.str_),
        "sides": np.array(sides, np.int8),
    }
    for name, count in _SHAPES.items():
        arrays[name] = np.array(points[name], np.float16).reshape(-1, count, 3)
        arrays[f"{name}_of"] = np.array(places[name], np.int32)
    growing = file.with_name(f".{file.name}")
    with growing.open("wb") as out:
        np.savez_compressed(out, **arrays)  # type: ignore[arg-type]
    growing.replace(file)


def read_landmarks(file: Path) -> dict[str, Landmarks]:
    """The entries of a file by their keys; none where there is no file.

    Raises:
        DataError: it is damaged, or of another layout of landmarks.
    """
    if not file.is_file():
        return {}
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
            layout = str(arrays["layout"])
            if layout == LAYOUT:
                return _entries(arrays)
    except (OSError, KeyError, IndexError, *DAMAGED_ZIP) as error:
        raise DataError(
            f"these landmarks cannot be read ({error})",
            where=str(file),
            fix="Remove the file and find them again.",
        ) from error
    raise DataError(
        f"these landmarks have the layout {layout!r}, this version reads {LAYOUT!r}",
        where=str(file),
        fix="Remove the file and find them again.",
    )


def _entries(arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, Landmarks]:
    keys = [str(key) for key in arrays["keys"]]
    hands: dict[int, list[HandLandmarks]] = {}
    names = {value: side for side, value in _SIDES.items()}
    for place, points, side in zip(
        arrays["hands_of"], _full(arrays["hands"]), arrays["sides"], strict=True
    ):
        hands.setdefault(int(place), []).append(HandLandmarks(points, names[int(side)]))
    bodies = _by_place(arrays, "bodies")
    faces = _by_place(arrays, "faces")
    return {
        key: Landmarks(tuple(hands.get(place, ())), bodies.get(place), faces.get(place))
        for place, key in enumerate(keys)
    }


def _by_place(arrays: Mapping[str, NDArray[np.generic]], name: str) -> dict[int, Points]:
    points = _full(arrays[name])
    return {int(place): own for place, own in zip(arrays[f"{name}_of"], points, strict=True)}


def _full(points: NDArray[np.generic]) -> Points:
    return points.astype(np.float32)
