import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import matplotlib.cbook
import numpy as np
import PIL.Image
import pytest
import small_bundle
from small_bundle import ROWS, Small

from sfedge.bundle.bundle import Bundle, open_bundle
from sfedge.bundle.graph_io import GraphIO
from sfedge.bundle.manifest import parse_manifest
from sfedge.core.boxes import FULL, Box
from sfedge.core.errors import EngineError, UnknownNameError
from sfedge.core.landmarks import INPUT_WIDTH
from sfedge.core.structures import Frame, Prediction, Query
from sfedge.core.tasks import TASKS
from sfedge.engines import ENGINES, Engine, EngineKind, ort
from sfedge.engines.engine import Arrays, Row, Rows
from sfedge.inference.model import Model

FACE = Box(0.25, 0.125, 0.5, 0.5)  # borders on whole pixels of a 512 x 512 picture
BODY = Box(0.125, 0.0625, 0.875, 1.0)
LEFT, RIGHT = Box(0.1, 0.2, 0.3, 0.6), Box(0.55, 0.1, 0.8, 0.45)

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture(params=["after", "before", "landmarks"])
def small(request: pytest.FixtureRequest) -> Small:
    return small_bundle.make(request.param)


class Watched:
    """A real engine on the CPU that notes the size of each batch it runs."""

    def __init__(self, engine: Engine, name: str, batch: int, runs: list[tuple[str, int]]) -> None:
        self._engine, self._name, self._runs = engine, name, runs
        self.batch = batch

    @property
    def device(self) -> str:
        return self._engine.device

    @property
    def pads(self) -> bool:
        return self.batch > 1  # prompts of several tasks go in one run

    def keep(self, row: np.ndarray) -> Row:
        return self._engine.keep(row)

    def run(self, inputs: Arrays) -> Mapping[str, Rows]:
        self._runs.append((self._name, len(next(iter(inputs.values())))))
        return self._engine.run(inputs)

    def close(self) -> None:
        self._engine.close()


def watch(monkeypatch: pytest.MonkeyPatch, batch: int) -> list[tuple[str, int]]:
    """An engine called "watched" that answers `batch` queries at once; its list of runs."""
    runs: list[tuple[str, int]] = []

    def build(graph: Path, contract: GraphIO, folder: Path) -> Engine:
        return Watched(ort.build_cpu(graph, contract, folder), contract.name, batch, runs)

    kind = EngineKind(precisions=("fp32",), check=ort.check_cpu, build=build)
    monkeypatch.setitem(ENGINES, "watched", kind)
    return runs


def ask(
    task: str, people: tuple[int, ...], view: Box, *boxes: Box, seed: int | None = None
) -> Query:
    known = None
    if seed is not None:
        known = np.random.default_rng(seed).standard_normal(INPUT_WIDTH, np.float32)
    return Query(TASKS[task], people, view, boxes, landmarks=known)


# Some with landmarks, which models that read none leave alone; two of the face with the same.
QUERIES = [
    ask("relation", (2, 1), FULL, RIGHT, LEFT),
    ask("looking_at_me", (1,), FACE, seed=1),
    ask("gaze", (1,), FULL, LEFT, seed=1),
    ask("gesture", (1,), BODY, seed=2),
    ask("expression", (1,), FACE, seed=1),
    ask("domain", (2, 1), FULL, RIGHT, LEFT),
    ask("gaze", (2,), FULL, RIGHT, seed=3),
    ask("expression", (2,), BODY),
]


def assert_equals_reference(
    small: Small, frame: Frame, query: Query, prediction: Prediction
) -> None:
    square = small_bundle.square_of(frame.image, query.view)
    logits = small.values(query.task.name, square, query.boxes, query.landmarks)
    assert prediction.key == query.key
    assert (prediction.frame, prediction.time) == (frame.index, frame.time)
    if query.task.output == "heatmap":
        expected = 1 / (1 + np.exp(-logits))
        assert prediction.heatmap is not None
        assert prediction.heatmap.dtype == np.float32
        np.testing.assert_allclose(prediction.heatmap, expected, atol=2e-6)
        row, column = np.unravel_index(expected.argmax(), expected.shape)
        assert prediction.point == ((column + 0.5) / 64, (row + 0.5) / 64)
        assert prediction.peak == pytest.approx(expected.max(), abs=2e-6)
        return
    own = np.array([logits[ROWS.index(answer)] for answer in query.task.answers])
    shares = np.exp(own) / np.exp(own).sum()
    assert prediction.probabilities is not None
    assert list(prediction.probabilities) == list(query.task.labels)
    np.testing.assert_allclose(list(prediction.probabilities.values()), shares, atol=2e-6)
    assert math.isclose(sum(prediction.probabilities.values()), 1.0, abs_tol=1e-12)
    assert prediction.label == query.task.labels[int(shares.argmax())]
    assert prediction.raw == prediction.probabilities


@pytest.mark.parametrize("batch", [1, 2, 3, 8])
def test_answers_equal_the_reference_in_the_order_of_the_queries(
    small: Small, bundle: Bundle, frame: Frame, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch(monkeypatch, batch)
    with Model(bundle, engine="watched") as model:
        predictions = model.answer(frame, QUERIES)
    assert len(predictions) == len(QUERIES)
    for query, prediction in zip(QUERIES, predictions, strict=True):
        assert_equals_reference(small, frame, query, prediction)


@pytest.mark.parametrize("has_free_prompts", [True, False])
def test_one_query_at_a_time_takes_its_prompt_as_long_as_it_is_where_the_graphs_do(
    tmp_path: Path, frame: Frame, has_free_prompts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: list[int] = []
    run = ort.OrtEngine.run

    def noted(self: ort.OrtEngine, inputs: Arrays) -> dict[str, np.ndarray]:
        if "past" in inputs:
            lengths.append(np.asarray(inputs["past"][0]).shape[3])
        return run(self, inputs)

    small = small_bundle.make(has_free_prompts=has_free_prompts)
    with open_bundle(small.write(tmp_path / "small")) as bundle:
        model = Model(bundle, engine="cpu")
    monkeypatch.setattr(ort.OrtEngine, "run", noted)
    with model:
        for query in QUERIES:
            (prediction,) = model.answer(frame, [query])
            assert_equals_reference(small, frame, query, prediction)
    own = [small_bundle.LENGTHS[query.task.name] for query in QUERIES]
    assert lengths == (own if has_free_prompts else [max(small_bundle.LENGTHS.values())] * len(own))


def test_each_distinct_view_is_encoded_once(
    small: Small, bundle: Bundle, frame: Frame, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = watch(monkeypatch, batch=1)
    with Model(bundle, engine="watched") as model:
        runs.clear()  # those of the self-test
        model.answer(frame, QUERIES)
    count = Counter(name for name, _ in runs)
    assert count["encoder"] == 3  # frame, face, body
    # Before the connector the boxes are part of what it sees: frame with two pairs of marks and
    # two single ones; relation and domain mark the same pair. Landmarks likewise, where any are
    # read: none and two others in the frame, one of the face, one of the body and none.
    assert count["connector"] == (
        6 if small.reads_landmarks else 3 if small.box_embedding == "after" else 5
    )
    assert count["trunk"] == len(QUERIES)
    assert (count["answer"], count["gaze"]) == (6, 2)


def test_no_run_exceeds_the_engines_batch(
    bundle: Bundle, frame: Frame, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = watch(monkeypatch, batch=2)
    with Model(bundle, engine="watched") as model:
        runs.clear()
        model.answer(frame, QUERIES)
    assert max(size for _, size in runs) == 2
    assert sum(size for name, size in runs if name == "trunk") == len(QUERIES)


def test_two_runs_give_the_same_bits(bundle: Bundle, frame: Frame) -> None:
    with Model(bundle, engine="cpu") as model:
        first, second = model.answer(frame, QUERIES), model.answer(frame, QUERIES)
    for a, b in zip(first, second, strict=True):
        assert (a.label, a.probabilities, a.point, a.peak) == (
            b.label,
            b.probabilities,
            b.point,
            b.peak,
        )
        if a.heatmap is not None:
            assert b.heatmap is not None
            assert a.heatmap.tobytes() == b.heatmap.tobytes()


def test_what_a_prompt_is_padded_with_has_no_influence(
    small: Small, tmp_path: Path, frame: Frame
) -> None:
    shorter = replace(small, prefix=dict(small.prefix))  # both asked prompts now have one token
    shorter.prefix["gesture"] = small.prefix["gesture"][:, :, :, -1:].copy()
    with (
        open_bundle(shorter.write(tmp_path / "shorter")) as bundle,
        Model(bundle, tasks=["gesture", "looking_at_me"]) as model,
    ):
        for query in (QUERIES[1], QUERIES[3]):
            (prediction,) = model.answer(frame, [query])
            assert_equals_reference(shorter, frame, query, prediction)


def test_a_box_too_small_for_a_token_still_counts(
    small: Small, bundle: Bundle, frame: Frame
) -> None:
    speck = Box(0.5101, 0.2601, 0.5102, 0.2602)
    query = ask("gaze", (1,), FULL, speck)
    with Model(bundle, engine="cpu", tasks=["gaze"]) as model:
        (marked,) = model.answer(frame, [query])
        (elsewhere,) = model.answer(frame, [ask("gaze", (1,), FULL, Box(0, 0.9, 0.01, 0.91))])
    assert_equals_reference(small, frame, query, marked)
    assert marked.heatmap is not None
    assert elsewhere.heatmap is not None
    assert np.abs(marked.heatmap - elsewhere.heatmap).max() > 1e-3


def test_a_gaze_point_is_given_in_fractions_of_the_frame(bundle: Bundle, frame: Frame) -> None:
    view = Box(0.5, 0.25, 1.0, 0.75)
    with Model(bundle, engine="cpu", tasks=["gaze"]) as model:
        (prediction,) = model.answer(frame, [ask("gaze", (1,), view, LEFT)])
    assert prediction.heatmap is not None
    row, column = np.unravel_index(prediction.heatmap.argmax(), (64, 64))
    assert prediction.point == pytest.approx(
        (0.5 + (column + 0.5) / 64 * 0.5, 0.25 + (row + 0.5) / 64 * 0.5)
    )


@pytest.mark.parametrize("shift", [-1e-6, 1e-6])
@pytest.mark.parametrize("query", [QUERIES[4], QUERIES[2]], ids=["label", "heatmap"])
def test_an_answer_below_its_tasks_threshold_is_unsure(
    tmp_path: Path, frame: Frame, query: Query, shift: float
) -> None:
    small = small_bundle.make()
    with open_bundle(small.write(tmp_path / "a")) as bundle, Model(bundle) as model:
        (sure,) = model.answer(frame, [query])
    best = sure.peak if sure.probabilities is None else max(sure.probabilities.values())
    assert best is not None
    assert not sure.is_unsure
    tasks = [
        replace(task, threshold=best + shift) if task.name == query.task.name else task
        for task in TASKS.values()
    ]
    with (
        open_bundle(small.write(tmp_path / "b", tasks=tuple(tasks))) as bundle,
        Model(bundle) as model,
    ):
        # The query carries the paper's task; the bundle's threshold is the one that holds.
        (prediction,) = model.answer(frame, [query])
    assert prediction.is_unsure == (shift > 0)


def test_results_own_their_memory(bundle: Bundle, frame: Frame) -> None:
    with Model(bundle, engine="cpu", tasks=["gaze"]) as model:
        (first,) = model.answer(frame, [QUERIES[2]])
        assert first.heatmap is not None
        before = first.heatmap.copy()
        model.answer(frame, [QUERIES[6]])
    assert np.array_equal(first.heatmap, before)
    assert first.heatmap.base is None


def test_only_the_graphs_of_the_chosen_tasks_are_loaded(
    bundle: Bundle, frame: Frame, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []

    def build(graph: Path, contract: GraphIO, folder: Path) -> Engine:
        loaded.append(contract.name)
        return ort.build_cpu(graph, contract, folder)

    kind = EngineKind(precisions=("fp32",), check=ort.check_cpu, build=build)
    monkeypatch.setitem(ENGINES, "listed", kind)
    with Model(bundle, engine="listed", tasks=["relation", "expression"]) as model:
        assert [task.name for task in model.tasks] == ["expression", "relation"]
    assert loaded == ["encoder", "connector", "trunk", "answer"]


def test_a_model_outlives_the_zip_it_came_from(tmp_path: Path, frame: Frame) -> None:
    small = small_bundle.make()
    packed = small_bundle.pack(small.write(tmp_path / "small"), tmp_path / "small.zip")
    with open_bundle(packed) as bundle:
        model = Model(bundle)
    packed.unlink()
    with model:
        (prediction,) = model.answer(frame, [QUERIES[0]])
    assert_equals_reference(small, frame, QUERIES[0], prediction)


def test_a_model_tells_its_name_limits_and_device(small: Small, bundle: Bundle) -> None:
    with Model(bundle, engine="cpu") as model:
        assert (model.name, model.notice) == ("small", "Random weights.")
        assert model.reads_landmarks == small.reads_landmarks
        assert model.device.startswith("cpu (onnxruntime ")
        assert model.device.endswith(", fp32")


def test_no_queries_give_no_answers_and_run_nothing(
    bundle: Bundle, frame: Frame, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = watch(monkeypatch, batch=4)
    with Model(bundle, engine="watched") as model:
        runs.clear()
        assert model.answer(frame, []) == []
    assert runs == []


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (301, 7), (2160, 3840)])
def test_pictures_of_any_size_are_answered(bundle: Bundle, size: tuple[int, int]) -> None:
    with PIL.Image.open(
        matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    ) as picture:
        image = np.asarray(picture.convert("RGB").resize((size[1], size[0])))
    with Model(bundle, engine="cpu") as model:
        predictions = model.answer(Frame(image, 0, 0.0), QUERIES)
    for prediction in predictions:
        values = (
            [prediction.peak]
            if prediction.probabilities is None
            else [*prediction.probabilities.values()]
        )
        assert all(value is not None and 0 <= value <= 1 for value in values)


def test_an_unknown_task_or_engine_is_refused_with_the_near_name(bundle: Bundle) -> None:
    with pytest.raises(UnknownNameError, match="'gesture'"):
        Model(bundle, tasks=["gestures"])
    with pytest.raises(UnknownNameError, match="'cuda'"):
        Model(bundle, engine="cudda")


def test_weights_that_give_no_numbers_are_an_error_not_an_answer(tmp_path: Path) -> None:
    small = small_bundle.make()
    small.weights["rows"][2, 3] = np.inf
    with (
        open_bundle(small.write(tmp_path / "small", claims=small_bundle.make())) as bundle,
        pytest.raises(EngineError, match="'logits' contains values that are not numbers"),
    ):
        Model(bundle, engine="cpu")


def test_a_graph_that_contradicts_the_description_is_named(tmp_path: Path) -> None:
    wrong = replace(small_bundle.SHAPE, head_width=4)
    small = small_bundle.make()
    small.prefix.update({n: np.repeat(a, 2, -1)[..., :4].copy() for n, a in small.prefix.items()})
    with (
        open_bundle(small.write(tmp_path / "a", claims=small_bundle.make(), shape=wrong)) as bundle,
        pytest.raises(EngineError, match=r"the trunk graph does not fit.*input 'past' is"),
    ):
        Model(bundle, engine="cpu")


def test_a_bundle_without_a_precision_for_the_engine_is_refused(tmp_path: Path) -> None:
    root = small_bundle.make().write(tmp_path / "small")
    (root / "fp32").rename(root / "fp8")
    manifest = parse_manifest((root / "bundle.json").read_text(), where="bundle.json")
    small_bundle.describe(root, replace(manifest, precisions=("fp8",)))
    with (
        open_bundle(root) as bundle,
        pytest.raises(EngineError, match="'cpu' runs int8-cpu or fp32, bundle 'small' has fp8"),
    ):
        Model(bundle, engine="cpu")
