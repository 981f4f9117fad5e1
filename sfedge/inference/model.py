"""Answers queries about a frame: one pass per view, then trunk and head per query.

A bundle's graphs are chained here: images -> features -> tokens -> hidden states -> label logits
or gaze heatmap. Landmarks, where the model reads any, become tokens with the features. The keys and
values of each task's prompt come ready from the bundle.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sfedge.bundle.bundle import Bundle
from sfedge.bundle.graph_io import graph_io
from sfedge.bundle.manifest import HEADS, Manifest
from sfedge.core.boxes import Box, patch_mask
from sfedge.core.decode import answered, values_of
from sfedge.core.landmarks import INPUT_WIDTH, Vector, mirrored
from sfedge.core.preprocess import crop, encoder_input
from sfedge.core.structures import Frame, Prediction, Query
from sfedge.core.tasks import Task, select_tasks
from sfedge.engines import ENGINES, Engine, choose_engine
from sfedge.engines.compiled import folder_of
from sfedge.engines.engine import Row, Rows
from sfedge.inference.selftest import Progress, check_once
from sfedge.system.closing import Closing

PADDING = -1e4  # added to the attention of padding; finite in fp16, unlike -inf

Array = NDArray[np.float32]
TokensKey = tuple[Box, tuple[Box, ...], bytes]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, eq=False)
class _Prompt:
    """A task's prompt as the graphs take it; it stays where the engines run."""

    past: Row  # [L-1, 2, KV, P, HD]
    past_last: Row  # [2, KV, P, HD]
    padding: Row  # [P]


class Model(Closing):
    """A bundle's network, loaded and ready to answer; belongs to one thread.

    Args:
        bundle: open while the model is made; not needed afterwards, and not closed here.
        engine: a name in `sfedge.engines.ENGINES`, or "auto".
        precision: of the bundle; None for the one that suits the engine best.
        tasks: names to answer; None for all that the bundle knows. Only their graphs are loaded.
        testing: called with the self-test's tasks done and to do; only where it runs.

    Raises:
        UnknownNameError: the bundle has no such task, or there is no such engine.
        BundleError: a file is damaged, or does not fit the bundle's description.
        EngineError: the engine cannot run here, or fails the bundle's self-test.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        engine: str = "auto",
        precision: str | None = None,
        tasks: Sequence[str] | None = None,
        testing: Progress | None = None,
    ) -> None:
        manifest = bundle.manifest
        known = [task.name for task in manifest.tasks]
        names = select_tasks(known if tasks is None else tasks, known)
        self.tasks: tuple[Task, ...] = tuple(manifest.task(name) for name in names)
        self.name = manifest.name
        self.notice = manifest.notice
        self.choice = choose_engine(bundle, engine, precision=precision)
        self.precision = self.choice.precision
        self._manifest = manifest
        self._rows = {task.name: manifest.rows(task) for task in self.tasks}
        self._engines: dict[str, Engine] = {}
        used = {HEADS[task.output] for task in self.tasks}
        graphs = ["encoder", "connector", "trunk", *sorted(used)]
        folder = folder_of(bundle.sha256, self.choice.name, self.precision)
        with ExitStack() as undo:
            undo.callback(self.close)
            prefix = self._load(bundle, graphs, folder)
            self._batch = min(engine.batch for engine in self._engines.values())
            pads = any(engine.pads for engine in self._engines.values())
            keep = self._engines["trunk"].keep
            self._prompts = {
                name: _prompt(prefix[name], manifest.shape.prefix if pads else 0, keep)
                for name in names
            }
            # Seconds that the bundle's self-test took; 0 where it had passed here before.
            self.tested = check_once(
                bundle,
                self.tasks,
                self.choice,
                self.device,
                folder,
                self._answers_of_views,
                testing,
            )
            undo.pop_all()

    @property
    def reads_landmarks(self) -> bool:
        """Whether queries are to carry landmarks."""
        return self._manifest.landmarks is not None

    @property
    def device(self) -> str:
        """Device and precision that it runs on, as shown to the user."""
        return f"{self._engines['encoder'].device}, {self.precision}"

    @property
    def engine_note(self) -> str:
        """What "auto" chose and why no faster engine, for the user to read; else ""."""
        return self.choice.note

    @property
    def prompts(self) -> dict[str, int]:
        """By task, the tokens of its prompt as the engines get it, with padding."""
        return {name: prompt.padding.shape[0] for name, prompt in self._prompts.items()}

    def answer(self, frame: Frame, queries: Sequence[Query]) -> list[Prediction]:
        """One prediction per query, in their order; each distinct view is encoded once.

        Args:
            frame: what all queries are about.
            queries: of the model's tasks.

        Raises:
            EngineError: a graph fails, or gives values that are not numbers.
        """
        values = dict(self._values(frame, queries))
        if self._manifest.mirrored:
            for i, value in self._values(frame, queries, is_mirrored=True):
                own = value[:, ::-1] if value.ndim == 2 else value  # a heatmap is turned back
                values[i] = np.asarray((values[i] + own) / 2, np.float32)
        return [self._prediction(frame, query, values[i]) for i, query in enumerate(queries)]

    def close(self) -> None:
        """Release the graphs."""
        for engine in self._engines.values():
            engine.close()
        self._engines.clear()
        self._prompts = {}

    def _answers_of_views(self, frame: Frame, queries: Sequence[Query]) -> Iterator[Prediction]:
        """The predictions by the views as they are, as they come: what the self-test compares."""
        for i, value in self._values(frame, queries):
            yield self._prediction(frame, queries[i], value)

    def _values(
        self, frame: Frame, queries: Sequence[Query], *, is_mirrored: bool = False
    ) -> Iterator[tuple[int, Array]]:
        """The place of each query and its logits, as they come.

        Args:
            frame: what all queries are about.
            queries: of the model's tasks.
            is_mirrored: each view is seen in a mirror, with what is marked and known in it.
        """
        features = self._encode(frame, queries, is_mirrored=is_mirrored)
        if is_mirrored:
            queries = [_in_mirror(query) for query in queries]
        tokens = self._connect(features, queries)
        for head in HEADS.values():
            asked = [i for i, query in enumerate(queries) if HEADS[query.task.output] == head]
            for part in _batches(asked, self._batch):
                chosen = [queries[i] for i in part]
                values = self._ask(
                    head, chosen, [tokens[tokens_key(self._manifest, q)] for q in chosen]
                )
                yield from zip(part, values, strict=True)

    def _load(self, bundle: Bundle, graphs: Sequence[str], folder: Path) -> dict[str, Array]:
        """Verify and load graphs, several at once where that is quicker; prompts by task."""
        kind, contracts = ENGINES[self.choice.name], graph_io(self._manifest)

        def load(name: str) -> None:
            source = (
                bundle.loading(self.precision, name) if kind.reads_graphs else nullcontext(Path())
            )
            with source as path:
                self._engines[name] = kind.build(path, contracts[name], folder)

        with ThreadPoolExecutor(kind.loaders) as pool:
            loading = pool.map(load, graphs)
            prefix = bundle.prefix()
            for _ in loading:
                pass
        return prefix

    def _encode(
        self, frame: Frame, queries: Sequence[Query], *, is_mirrored: bool = False
    ) -> dict[Box, Row]:
        """Features [G*G, d_v] of each distinct view."""
        views = list(dict.fromkeys(query.view for query in queries))
        features: dict[Box, Row] = {}
        for part in _batches(views, self._batch):
            pictures = [crop(frame.image, view) for view in part]
            if is_mirrored:
                pictures = [np.ascontiguousarray(picture[:, ::-1]) for picture in pictures]
            images: Rows = [encoder_input(each, self._manifest.input) for each in pictures]
            found = self._engines["encoder"].run({"images": images})["features"]
            features.update(zip(part, found, strict=True))
        return features

    def _connect(
        self, features: Mapping[Box, Row], queries: Sequence[Query]
    ) -> dict[TokensKey, Row]:
        """Tokens [K + T, d_l] of all that queries differ in before the trunk, each once."""
        manifest = self._manifest
        distinct = {tokens_key(manifest, query): query for query in queries}
        tokens: dict[TokensKey, Row] = {}
        for part in _batches(list(distinct), self._batch):
            inputs: dict[str, Rows] = {"features": [features[view] for view, _, _ in part]}
            if manifest.landmarks is not None:
                inputs["landmarks"] = [landmarks_of(distinct[key]) for key in part]
            if manifest.box_embedding == "before":
                inputs["box_mask"] = _masks([boxes for _, boxes, _ in part], manifest.shape.grid)
            found = self._engines["connector"].run(inputs)["tokens"]
            tokens.update(zip(part, found, strict=True))
        return tokens

    def _ask(self, head: str, queries: Sequence[Query], tokens: Sequence[Row]) -> list[Array]:
        """Label logits [R] or heatmap logits [64, 64] of each of as many queries as a run takes."""
        prompts = [self._prompts[query.task.name] for query in queries]
        padding = [prompt.padding for prompt in prompts]
        inputs: dict[str, Rows] = {
            "tokens": tokens,
            "past": [prompt.past for prompt in prompts],
            "padding": padding,
        }
        if self._manifest.box_embedding == "after":
            boxes = [query.boxes for query in queries]
            inputs["box_mask"] = _masks(boxes, self._manifest.shape.token_grid)
        hidden = self._engines["trunk"].run(inputs)["hidden"]
        past_last = [prompt.past_last for prompt in prompts]
        outputs = self._engines[head].run(
            {"hidden": hidden, "past_last": past_last, "padding": padding}
        )
        (values,) = outputs.values()
        return [np.asarray(value) for value in values]

    def _prediction(self, frame: Frame, query: Query, values: Array) -> Prediction:
        task = self._manifest.task(query.task.name)
        logits = values if task.output == "heatmap" else values[self._rows[task.name]]
        asked = Prediction(
            task.name,
            query.people,
            frame.index,
            frame.time,
            hands=query.hands,
            side=query.side,
        )
        return answered(asked, task, values_of(task, logits[None])[0], query.view)


def tokens_key(manifest: Manifest, query: Query) -> TokensKey:
    """What the tokens behind a query's prompt depend on: equal for queries that share them."""
    boxes = query.boxes if manifest.box_embedding == "before" else ()
    return query.view, boxes, b"" if manifest.landmarks is None else landmarks_of(query).tobytes()


def _in_mirror(query: Query) -> Query:
    """The same question about the mirror image of its view."""
    known = query.landmarks
    return replace(
        query,
        boxes=tuple(Box(1 - box.x2, box.y1, 1 - box.x1, box.y2) for box in query.boxes),
        landmarks=None if known is None else mirrored(known),
    )


def landmarks_of(query: Query) -> Vector:
    """What is known in a query's view, [INPUT_WIDTH]; zeros where nothing is."""
    return np.zeros(INPUT_WIDTH, np.float32) if query.landmarks is None else query.landmarks


def _prompt(prefix: Array, least: int, keep: Callable[[Array], Row]) -> _Prompt:
    """Keys and values [L, 2, KV, P, HD], padded on the left to at least `least` tokens."""
    missing = max(least - prefix.shape[3], 0)
    sides = ((0, 0), (0, 0), (0, 0), (missing, 0), (0, 0))
    whole = np.pad(prefix, sides) if missing else prefix
    padding = np.zeros(whole.shape[3], np.float32)
    padding[:missing] = PADDING
    return _Prompt(keep(whole[:-1]), keep(whole[-1]), keep(padding))


def _masks(boxes: Sequence[tuple[Box, ...]], grid: int) -> Array:
    """[B, grid * grid], 1 where a box touches the cell."""
    return np.stack([patch_mask(marked, grid) for marked in boxes]).astype(np.float32)


def _batches(items: Sequence[_T], most: int) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), most):
        yield items[start : start + most]
