"""`bundle.json`: the description of a model bundle.

A bundle is a folder (or a zip of one) that holds all the runtime needs. `docs/bundle.md` describes
the format; `sfedge.bundle.bundle` opens one and verifies its files.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any, Literal, get_args

from sfedge.core.errors import BundleError, DataError
from sfedge.core.landmarks import INPUT_WIDTH, LAYOUT, PARTS
from sfedge.core.preprocess import InputSpec
from sfedge.core.tasks import Output, Task, task_from_json

SCHEMA = 1
MANIFEST_NAME = "bundle.json"
PREFIX_NAME = "prefix.safetensors"
SELFTEST_NAME = "selftest.safetensors"
GRAPHS = ("encoder", "connector", "trunk", "answer", "gaze")

# The last graph of a query, by its task's output.
HEADS: Mapping[Output, str] = {"label": "answer", "heatmap": "gaze"}

BoxEmbedding = Literal["after", "before"]  # the connector (paper, figure 3; text of section 3.4)


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of the bundle; the path is relative, with forward slashes."""

    path: str
    size: int  # bytes
    sha256: str


@dataclass(frozen=True, slots=True)
class Shape:
    """The network's sizes that the runtime must know."""

    grid: int  # patches per side of the encoder
    pool: int  # side of the block of patches that makes one image token
    feature_width: int  # d_v
    width: int  # d_l
    layers: int  # blocks of the language model, the last included
    kv_heads: int
    head_width: int
    prefix: int  # longest prompt in tokens; engines that take one length pad shorter ones to it

    @property
    def token_grid(self) -> int:
        """Image tokens per side."""
        return self.grid // self.pool

    @property
    def tokens(self) -> int:
        """Image tokens per view."""
        return self.token_grid**2


@dataclass(frozen=True, slots=True)
class LandmarkInput:
    """The landmarks that a model reads beside the image, see `sfedge.core.landmarks`."""

    layout: str  # of the vector
    tokens: int  # that the vector becomes, before the image tokens
    width: int  # of the vector


LANDMARKS = LandmarkInput(LAYOUT, len(PARTS), INPUT_WIDTH)  # the only ones there are today


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A bundle's description of itself; see `docs/bundle.md`."""

    name: str  # of the model, shown wherever its answers are
    preset: str
    created: str  # ISO 8601, UTC
    notice: str  # limits shown beside every answer; "" for none
    tasks: tuple[Task, ...]
    input: InputSpec
    shape: Shape
    box_embedding: BoxEmbedding
    answers: tuple[str, ...]  # the answer token of each row of the label head
    precisions: tuple[str, ...]  # folders of graphs present
    files: tuple[FileEntry, ...]
    card: Mapping[str, Any]  # training data, recipe, scores, parity: the model card
    landmarks: LandmarkInput | None = None  # None where the model reads the image alone
    mirrored: bool = False  # an answer is the mean of those about a view and its mirror image
    schema: int = SCHEMA

    @property
    def tokens(self) -> int:
        """Tokens behind a prompt: those of the landmarks, then those of the image."""
        return self.shape.tokens + (self.landmarks.tokens if self.landmarks else 0)

    def task(self, name: str) -> Task:
        """The task called `name`.

        Raises:
            BundleError: the bundle does not know it.
        """
        for task in self.tasks:
            if task.name == name:
                return task
        known = ", ".join(task.name for task in self.tasks)
        raise BundleError(f"bundle {self.name!r} has no task {name!r}", fix=f"It has: {known}.")

    def rows(self, task: Task) -> list[int]:
        """Rows of the label head that belong to the task's labels, in their order."""
        return [self.answers.index(answer) for answer in task.answers]

    def to_json(self) -> str:
        """The text of `bundle.json`."""
        data = {
            "schema": self.schema,
            "name": self.name,
            "preset": self.preset,
            "created": self.created,
            "notice": self.notice,
            "tasks": [task.to_json() for task in self.tasks],
            "input": asdict(self.input),
            "shape": asdict(self.shape),
            "box_embedding": self.box_embedding,
            **({"landmarks": asdict(self.landmarks)} if self.landmarks else {}),
            **({"mirrored": True} if self.mirrored else {}),
            "answers": list(self.answers),
            "precisions": list(self.precisions),
            "files": [asdict(entry) for entry in self.files],
            "card": dict(self.card),
        }
        return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def parse_manifest(text: str, *, where: str) -> Manifest:
    """Read the text of `bundle.json`, checked field by field.

    Raises:
        BundleError: it is not such a file, of a newer schema, or contradicts itself.
    """
    try:
        data = json.loads(text)
        schema = data["schema"]
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(
            "this is no bundle description", where=where, fix="Export or fetch the bundle again."
        ) from error
    if schema != SCHEMA:
        is_newer = isinstance(schema, int) and schema > SCHEMA
        fix = "Update sfedge." if is_newer else "Export the bundle again with this version."
        raise BundleError(
            f"bundle schema {schema!r}, this sfedge reads {SCHEMA}", where=where, fix=fix
        )
    try:
        manifest = Manifest(
            name=_text(data["name"]),
            preset=_text(data["preset"]),
            created=_text(data["created"]),
            notice=_text(data["notice"]),
            tasks=tuple(task_from_json(task, where=where) for task in data["tasks"]),
            input=InputSpec(
                size=_count(data["input"]["size"], 8192),
                mean=_triple(data["input"]["mean"]),
                std=_triple(data["input"]["std"]),
            ),
            shape=Shape(**{name: _count(data["shape"][name], 1 << 20) for name in Shape.__slots__}),
            box_embedding=data["box_embedding"],
            answers=tuple(_text(answer) for answer in data["answers"]),
            precisions=tuple(_text(name) for name in data["precisions"]),
            files=tuple(
                FileEntry(_text(f["path"]), _size(f["size"]), _text(f["sha256"]))
                for f in data["files"]
            ),
            card=dict(data["card"]),
            landmarks=_landmarks(data["landmarks"]) if "landmarks" in data else None,
            mirrored=_flag(data.get("mirrored", False)),
        )
    except (KeyError, TypeError, ValueError, DataError) as error:
        raise BundleError(
            f"the description is malformed ({error})",
            where=where,
            fix="Export or fetch the bundle again.",
        ) from error
    _check_landmarks(manifest, where)
    _check(manifest, where)
    return manifest


def _check_landmarks(manifest: Manifest, where: str) -> None:
    found = manifest.landmarks
    if found is None or found == LANDMARKS:
        return
    raise BundleError(
        f"{manifest.name!r} reads landmarks of the layout {found.layout!r} ({found.width} numbers, "
        f"{found.tokens} tokens), this sfedge has {LAYOUT!r} ({INPUT_WIDTH} and {len(PARTS)})",
        where=where,
        fix="Use the version of sfedge that the bundle was made for, or export the model again.",
    )


def _check(manifest: Manifest, where: str) -> None:
    shape = manifest.shape
    paths = [entry.path for entry in manifest.files]
    unsafe = [path for path in paths if not is_safe_path(path)]
    missing_rows = sorted(
        {a for task in manifest.tasks for a in task.answers} - set(manifest.answers)
    )
    cropped = [t.name for t in manifest.tasks if t.output == "heatmap" and t.view != "frame"]
    wanted = [PREFIX_NAME] + [f"{p}/{g}.onnx" for p in manifest.precisions for g in GRAPHS]
    absent = [path for path in wanted if path not in paths]
    problems = [
        text
        for is_wrong, text in (
            (bool(unsafe), f"file names that leave the bundle: {unsafe}"),
            (len(set(paths)) != len(paths), "a file is listed twice"),
            (bool(absent), f"files are not listed: {absent}"),
            (not manifest.precisions, "no precision is listed"),
            (not manifest.tasks, "no task is listed"),
            (len({t.name for t in manifest.tasks}) != len(manifest.tasks), "duplicate task"),
            (bool(missing_rows), f"answers without a row: {missing_rows}"),
            # A heatmap's cells are places in the frame, smoothed as such while the person moves.
            (bool(cropped), f"a heatmap of less than the whole frame: {cropped}"),
            (manifest.box_embedding not in get_args(BoxEmbedding), "unknown box embedding"),
            (shape.grid % shape.pool != 0, "the grid is not a multiple of the pooling"),
            (min(manifest.input.std) <= 0, "a standard deviation is not positive"),
        )
        if is_wrong
    ]
    if problems:
        raise BundleError(
            f"the description contradicts itself: {'; '.join(problems)}",
            where=where,
            fix="Export or fetch the bundle again.",
        )


def is_safe_path(path: str) -> bool:
    """Whether a relative path stays inside its folder on every system."""
    parts = PurePosixPath(path).parts
    return (
        bool(parts)
        and not path.startswith("/")
        and ".." not in parts
        and "\\" not in path
        and ":" not in path
        and "\0" not in path
    )


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is neither true nor false")
    return value


def _landmarks(value: Any) -> LandmarkInput:
    tokens, width = _count(value["tokens"], 1 << 10), _count(value["width"], 1 << 20)
    return LandmarkInput(_text(value["layout"]), tokens, width)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def _count(value: Any, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise ValueError(f"{value!r} is not a whole number from 1 to {most}")
    return value


def _size(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is not a file size")
    return value


def _triple(value: Any) -> tuple[float, float, float]:
    first, second, third = (float(v) for v in value)
    return first, second, third
