"""A bundle small enough for every test, and what its graphs compute, written again in numpy.

The graphs do what a real bundle's do, at a toy size: patches, pooling, box embedding, attention
over the prompt's keys and values with additive padding, label rows, a heatmap. The reference
knows no padding, batches or engines, so that it shows errors in those.
"""

import hashlib
import json
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import safetensors.numpy
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from sfedge.bundle.manifest import LANDMARKS, FileEntry, Manifest, Shape, parse_manifest
from sfedge.core.boxes import FULL, Box
from sfedge.core.preprocess import InputSpec
from sfedge.core.structures import Image
from sfedge.core.tasks import TASKS
from sfedge.inference import selftest

Array = NDArray[Any]

SHAPE = Shape(
    grid=4, pool=2, feature_width=6, width=5, layers=3, kv_heads=1, head_width=3, prefix=7
)
INPUT = InputSpec(size=8, mean=(0.48, 0.45, 0.4), std=(0.26, 0.26, 0.27))
LENGTHS = dict(zip(TASKS, (3, 7, 1, 5, 2, 6), strict=True))
ROWS = tuple(sorted({answer for task in TASKS.values() for answer in task.answers}, reverse=True))

# Landmarks to tokens before the image's, of which the first is added to all of these, too.
_LANDMARKS: list[tuple[Any, ...]] = [
    ("MatMul", ["landmarks", "w_landmarks"], "known"),
    ("Reshape", ["known", "parts"], "known_tokens"),
    ("Gather", ["known_tokens", "first"], "known_first", {"axis": 1}),
    ("Add", ["image", "known_first"], "seen_with"),
    ("Concat", ["known_tokens", "seen_with"], "tokens", {"axis": 1}),
]


@dataclass(frozen=True)
class Small:
    """The weights, and how the boxes enter."""

    weights: dict[str, Array]
    prefix: dict[str, Array]
    box_embedding: str = "after"
    has_free_prompts: bool = True  # graphs of older bundles take the longest prompt's length alone
    reads_landmarks: bool = False

    @property
    def before(self) -> int:
        """Tokens before those of the image."""
        return LANDMARKS.tokens if self.reads_landmarks else 0

    def write(self, root: Path, *, claims: "Small | None" = None, **changes: Any) -> Path:
        """Write the bundle to a folder; `changes` replace fields of the manifest.

        Its self-test holds its own answers, or those of `claims`.
        """
        folder = root / "fp32"
        folder.mkdir(parents=True)
        for name, model in self.graphs().items():
            onnx.save(
                model,
                folder / f"{name}.onnx",
                save_as_external_data=name in ("encoder", "gaze"),
                location=f"{name}.onnx.data",
                size_threshold=200,
            )
        safetensors.numpy.save_file(self.prefix, root / "prefix.safetensors")
        manifest = Manifest(
            name="small",
            preset="test",
            created="2026-01-01T00:00:00Z",
            notice="Random weights.",
            tasks=tuple(TASKS.values()),
            input=INPUT,
            shape=SHAPE,
            box_embedding=self.box_embedding,  # type: ignore[arg-type]
            answers=ROWS,
            precisions=("fp32",),
            files=(),
            card={"data": {"is_drawn": True}, "scores": [0.5, 0.25]},
            landmarks=LANDMARKS if self.reads_landmarks else None,
        )
        manifest = replace(manifest, **changes)
        answers = (claims or self).self_test(manifest)
        safetensors.numpy.save_file(answers, root / "selftest.safetensors")
        describe(root, manifest)
        return root

    def self_test(self, manifest: Manifest) -> dict[str, Array]:
        """Logits by task of the questions of the self-test, by the reference."""
        square = square_of(selftest.picture(INPUT.size), FULL)
        answers = {}
        for task in manifest.tasks:
            boxes, known = selftest.BOXES[: task.boxes], selftest.landmarks()
            values = self.values(task.name, square, boxes, known)
            rows = values if task.output == "heatmap" else values[manifest.rows(task)]
            answers[task.name] = rows.astype(np.float32)
        return answers

    def graphs(self) -> dict[str, onnx.ModelProto]:
        """The five graphs, batch first."""
        w, s = self.weights, SHAPE
        side, patch = s.grid, INPUT.size // s.grid
        t, half = s.token_grid, s.grid // s.token_grid
        prompt = "prompt" if self.has_free_prompts else s.prefix
        heads = ["batch", 2, s.kv_heads, prompt, s.head_width]
        is_before = self.box_embedding == "before"
        k, count = self.before, self.before + s.tokens
        hidden = ["batch", count, s.width]
        marked = [
            ("Unsqueeze", ["box_mask", "last_axis"], "mask"),
            ("Mul", ["mask", "w_box"], "mark"),
        ]
        return {
            "encoder": graph(
                {"images": ["batch", 3, INPUT.size, INPUT.size]},
                {"features": ["batch", side * side, s.feature_width]},
                [
                    ("Reshape", ["images", "cut"], "cells"),
                    ("Transpose", ["cells"], "ordered", {"perm": [0, 2, 4, 1, 3, 5]}),
                    ("Reshape", ["ordered", "flat"], "patches"),
                    ("MatMul", ["patches", "w_encoder"], "features"),
                ],
                {
                    "cut": ints(0, 3, side, patch, side, patch),
                    "flat": ints(0, side * side, 3 * patch * patch),
                    "w_encoder": w["encoder"],
                },
            ),
            "connector": graph(
                {
                    "features": ["batch", side * side, s.feature_width],
                    **({"landmarks": ["batch", LANDMARKS.width]} if k else {}),
                    **({"box_mask": ["batch", side * side]} if is_before else {}),
                },
                {"tokens": hidden},
                [
                    *(
                        [*marked, ("Add", ["features", "mark"], "seen")]
                        if is_before
                        else [("Identity", ["features"], "seen")]
                    ),
                    ("Reshape", ["seen", "cut"], "blocks"),
                    ("ReduceMean", ["blocks", "axes"], "pooled", {"keepdims": 0}),
                    ("Reshape", ["pooled", "flat"], "flattened"),
                    ("MatMul", ["flattened", "w_connector"], "image" if k else "tokens"),
                    *(_LANDMARKS if k else []),
                ],
                {
                    "cut": ints(0, t, half, t, half, s.feature_width),
                    "axes": ints(2, 4),
                    "flat": ints(0, s.tokens, s.feature_width),
                    "last_axis": ints(-1),
                    "w_box": w["box_before"],
                    "w_connector": w["connector"],
                    "first": ints(0),
                    "parts": ints(0, k, s.width),
                    "w_landmarks": w.get("landmarks", ints(0)),
                },
            ),
            "trunk": graph(
                {
                    "tokens": hidden,
                    **({} if is_before else {"box_mask": ["batch", s.tokens]}),
                    "past": ["batch", s.layers - 1, *heads[1:]],
                    "padding": ["batch", prompt],
                },
                {"hidden": hidden},
                [
                    *(
                        [("Identity", ["tokens"], "x0")]
                        if is_before
                        else [
                            *marked,
                            ("Pad", ["mark", "unmarked"], "marks"),
                            ("Add", ["tokens", "marks"], "x0"),
                        ]
                    ),
                    ("Split", ["past"], ["past_a", "past_b"], {"axis": 1, "num_outputs": 2}),
                    ("Squeeze", ["past_a", "one"], "kv_a"),
                    ("Squeeze", ["past_b", "one"], "kv_b"),
                    *attention("kv_a", "x0", "x1"),
                    *attention("kv_b", "x1", "hidden"),
                ],
                {
                    "last_axis": ints(-1),
                    "unmarked": ints(0, k, 0, 0, 0, 0),
                    "one": ints(1),
                    "middle": ints(1),
                    "head_axes": ints(1, 2),
                    "w_box": w["box_after"],
                    "w_query": w["query"],
                    "w_out": w["out"],
                },
            ),
            "answer": graph(
                {
                    "hidden": hidden,
                    "past_last": heads,
                    "padding": ["batch", prompt],
                },
                {"logits": ["batch", len(ROWS)]},
                [
                    *attention("past_last", "hidden", "x"),
                    ("Gather", ["x", "end"], "last", {"axis": 1}),
                    ("MatMul", ["last", "w_rows"], "logits"),
                ],
                {
                    "middle": ints(1),
                    "head_axes": ints(1, 2),
                    "end": numpy_scalar(count - 1),
                    "w_query": w["query"],
                    "w_out": w["out"],
                    "w_rows": w["rows"],
                },
            ),
            "gaze": graph(
                {
                    "hidden": hidden,
                    "past_last": heads,
                    "padding": ["batch", prompt],
                },
                {"heatmap": ["batch", 64, 64]},
                [
                    *attention("past_last", "hidden", "x"),
                    ("Slice", ["x", "from", "to", "middle"], "image"),
                    ("MatMul", ["image", "w_gaze"], "cells"),
                    ("Reshape", ["cells", "cut"], "blocks"),
                    ("Transpose", ["blocks"], "ordered", {"perm": [0, 1, 3, 2, 4]}),
                    ("Reshape", ["ordered", "flat"], "heatmap"),
                ],
                {
                    "middle": ints(1),
                    "from": ints(k),
                    "to": ints(count),
                    "head_axes": ints(1, 2),
                    "cut": ints(0, t, t, 64 // t, 64 // t),
                    "flat": ints(0, 64, 64),
                    "w_query": w["query"],
                    "w_out": w["out"],
                    "w_gaze": w["gaze"],
                },
            ),
        }

    def features(self, square: Array) -> Array:
        """[G*G, d_v] of a normalised image (3, S, S), patch by patch."""
        patch = INPUT.size // SHAPE.grid
        rows = [
            square[:, y : y + patch, x : x + patch].reshape(-1)
            for y in range(0, INPUT.size, patch)
            for x in range(0, INPUT.size, patch)
        ]
        return np.array(rows, np.float64) @ self.weights["encoder"]

    def values(
        self, task: str, square: Array, boxes: tuple[Box, ...], landmarks: Array | None = None
    ) -> Array:
        """Logits of all rows, or of the heatmap, of one query alone with its unpadded prompt."""
        w, s = self.weights, SHAPE
        features = self.features(square)
        if self.box_embedding == "before":
            features = features + touched(boxes, s.grid)[:, None] * w["box_before"]
        grid = features.reshape(s.grid, s.grid, -1)
        half = s.pool
        tokens = np.array(
            [
                grid[y : y + half, x : x + half].mean(axis=(0, 1))
                for y in range(0, s.grid, half)
                for x in range(0, s.grid, half)
            ]
        )
        x = tokens @ w["connector"]
        if self.box_embedding == "after":
            x = x + touched(boxes, s.token_grid)[:, None] * w["box_after"]
        if self.reads_landmarks and landmarks is not None:
            x = x + landmarks @ w["landmarks"][:, : s.width]  # the first of their tokens
        for keys, values in self.prefix[task][:, :, 0].astype(np.float64):
            scores = np.exp(x @ w["query"] @ keys.T)
            x = x + scores / scores.sum(axis=1, keepdims=True) @ values @ w["out"]
        if TASKS[task].output == "label":
            return x[-1] @ w["rows"]
        heatmap = np.zeros((64, 64))
        cell = 64 // s.token_grid
        for token, part in enumerate(x @ w["gaze"]):
            row, column = divmod(token, s.token_grid)
            place = slice(row * cell, (row + 1) * cell), slice(column * cell, (column + 1) * cell)
            heatmap[place] = part.reshape(cell, cell)
        return heatmap


def make(kind: str = "after", seed: int = 0, *, has_free_prompts: bool = True) -> Small:
    """A small bundle with random weights.

    Args:
        kind: where boxes enter, "after" or "before"; or "landmarks", which are read, then, and
            boxes enter after.
        seed: of the weights.
        has_free_prompts: see `Small`.
    """
    reads_landmarks = kind == "landmarks"
    random = np.random.default_rng(seed)
    s = SHAPE
    sizes = {
        "encoder": (3 * (INPUT.size // s.grid) ** 2, s.feature_width),
        "connector": (s.feature_width, s.width),
        "box_before": (s.feature_width,),
        "box_after": (s.width,),
        "query": (s.width, s.head_width),
        "out": (s.head_width, s.width),
        "rows": (s.width, len(ROWS)),
        "gaze": (s.width, (64 // s.token_grid) ** 2),
    }
    weights = {name: 0.5 * random.standard_normal(size) for name, size in sizes.items()}
    weights = {name: weight.astype(np.float32) for name, weight in weights.items()}
    prefix = {
        task: random.standard_normal(
            (s.layers, 2, s.kv_heads, LENGTHS[task], s.head_width), dtype=np.float32
        )
        for task in TASKS
    }
    if reads_landmarks:
        size = (LANDMARKS.width, LANDMARKS.tokens * s.width)
        weights["landmarks"] = 0.05 * random.standard_normal(size, np.float32)
    box_embedding = "after" if reads_landmarks else kind
    return Small(weights, prefix, box_embedding, has_free_prompts, reads_landmarks)


def touched(boxes: tuple[Box, ...], grid: int) -> Array:
    """1 for each cell that shares area with a box, by comparing every cell with every box."""
    mask = np.zeros(grid * grid)
    for cell in range(grid * grid):
        top, left = cell // grid / grid, cell % grid / grid
        for box in boxes:
            across = min(box.x2, left + 1 / grid) - max(box.x1, left)
            down = min(box.y2, top + 1 / grid) - max(box.y1, top)
            mask[cell] = max(mask[cell], float(across > 1e-9 and down > 1e-9))
    return mask


def square_of(image: Image, view: Box) -> Array:
    """The normalised input of a view whose borders lie on whole pixels, by Pillow alone."""
    import PIL.Image

    height, width = image.shape[:2]
    corners = (view.x1 * width, view.y1 * height, view.x2 * width, view.y2 * height)
    part = PIL.Image.fromarray(image).crop(tuple(round(corner) for corner in corners))
    small = part.resize((INPUT.size, INPUT.size), PIL.Image.Resampling.BICUBIC)
    scaled = np.asarray(small).transpose(2, 0, 1) / 255.0
    return (scaled - np.reshape(INPUT.mean, (3, 1, 1))) / np.reshape(INPUT.std, (3, 1, 1))


def describe(root: Path, manifest: Manifest) -> None:
    """Write `bundle.json` with the files that stand in the folder."""
    files = [p for p in sorted(root.rglob("*")) if p.is_file() and p.name != "bundle.json"]
    entries = tuple(
        FileEntry(
            p.relative_to(root).as_posix(),
            p.stat().st_size,
            hashlib.sha256(p.read_bytes()).hexdigest(),
        )
        for p in files
    )
    (root / "bundle.json").write_text(replace(manifest, files=entries).to_json())


def relist(root: Path) -> None:
    """Make the description fit the files again, as whoever forges a bundle would."""
    text = (root / "bundle.json").read_text()
    describe(root, parse_manifest(text, where="bundle.json"))


def edit(root: Path, **changes: Any) -> None:
    """Overwrite top-level fields of `bundle.json`, as a careless or hostile hand would."""
    path = root / "bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def pack(root: Path, target: Path, *, folder: str = "", method: int = zipfile.ZIP_DEFLATED) -> Path:
    """Zip a bundle's folder."""
    with zipfile.ZipFile(target, "w", method) as archive:
        for path in sorted(root.rglob("*")):
            if path.is_file():
                archive.write(path, folder + path.relative_to(root).as_posix())
    return target


def graph(
    inputs: dict[str, list[Any]],
    outputs: dict[str, list[Any]],
    nodes: list[tuple[Any, ...]],
    weights: dict[str, Array],
) -> onnx.ModelProto:
    """An ONNX model from tuples (operator, inputs, output or outputs, attributes)."""
    made = [
        helper.make_node(
            op, ins, [outs] if isinstance(outs, str) else outs, **(rest[0] if rest else {})
        )
        for op, ins, outs, *rest in nodes
    ]
    used = {name for node in made for name in node.input}
    body = helper.make_graph(
        made,
        "small",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, dims) for n, dims in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, dims) for n, dims in outputs.items()],
        [numpy_helper.from_array(array, n) for n, array in weights.items() if n in used],
    )
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model


def attention(kv: str, x: str, result: str) -> list[tuple[Any, ...]]:
    """x + softmax(x Wq K^T + padding) V Wo for one head; kv is [B, 2, 1, P, HD]."""
    n = f"{kv}_{x}"
    return [
        ("Split", [kv], [f"{n}_k", f"{n}_v"], {"axis": 1, "num_outputs": 2}),
        ("Squeeze", [f"{n}_k", "head_axes"], f"{n}_keys"),
        ("Squeeze", [f"{n}_v", "head_axes"], f"{n}_values"),
        ("Transpose", [f"{n}_keys"], f"{n}_turned", {"perm": [0, 2, 1]}),
        ("MatMul", [x, "w_query"], f"{n}_q"),
        ("MatMul", [f"{n}_q", f"{n}_turned"], f"{n}_raw"),
        ("Unsqueeze", ["padding", "middle"], f"{n}_padding"),
        ("Add", [f"{n}_raw", f"{n}_padding"], f"{n}_scores"),
        ("Softmax", [f"{n}_scores"], f"{n}_shares", {"axis": -1}),
        ("MatMul", [f"{n}_shares", f"{n}_values"], f"{n}_mixed"),
        ("MatMul", [f"{n}_mixed", "w_out"], f"{n}_added"),
        ("Add", [x, f"{n}_added"], result),
    ]


def ints(*values: int) -> Array:
    return np.array(values, np.int64)


def numpy_scalar(value: int) -> Array:
    return np.array(value, np.int64)
