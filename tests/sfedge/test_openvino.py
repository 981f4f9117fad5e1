"""OpenVINO itself, on small graphs and on the command."""

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import small_bundle
from onnx import TensorProto
from scenes import Finished, Scene
from test_engines import ADDER, run_python, save_adder
from test_model import QUERIES, assert_equals_reference

from sfedge import engines
from sfedge.bundle.bundle import Bundle, open_bundle
from sfedge.bundle.graph_io import graph_io
from sfedge.bundle.manifest import parse_manifest
from sfedge.core.errors import EngineError
from sfedge.core.structures import Frame, Prediction
from sfedge.core.tasks import TASKS
from sfedge.engines import ENGINES, choose_engine, choose_precision, openvino, ort
from sfedge.inference.model import Model
from sfedge.results.records import read_records
from sfedge_export.graph_file import GraphFile
from sfedge_export.half import write_half
from sfedge_export.qdq import write_qdq

DEVICE = f"cpu (openvino {importlib.metadata.version('openvino')})"
has_bf16 = pytest.mark.skipif(
    "BF16" not in openvino.capabilities(), reason="the processor does not compute in bf16"
)
OPSET = 18
pytestmark = pytest.mark.usefixtures("cache")


def add_precision(root: Path, name: str, write: Callable[[Path, Path], None]) -> None:
    """Write a bundle's graphs in another precision beside those in fp32."""
    (root / name).mkdir()
    for graph in sorted((root / "fp32").glob("*.onnx")):
        write(graph, root / name / graph.name)
    manifest = parse_manifest((root / "bundle.json").read_text(), where="bundle.json")
    small_bundle.describe(root, replace(manifest, precisions=(*manifest.precisions, name)))


def write_bf16(source: Path, target: Path) -> None:
    write_half(source, target, OPSET, ml_dtypes.bfloat16)


def write_int8(source: Path, target: Path) -> None:
    write_qdq(GraphFile(source), target, OPSET, {"patches": 3.0}, np.int8)


@pytest.fixture
def wide(tmp_path: Path) -> Iterator[Bundle]:
    """A bundle in fp32, int8-qdq and bf16."""
    root = small_bundle.make().write(tmp_path / "wide")
    add_precision(root, "int8-qdq", write_int8)
    add_precision(root, "bf16", write_bf16)
    with open_bundle(root) as opened:
        yield opened


def values(prediction: Prediction) -> np.ndarray:
    """Probabilities, or a heatmap."""
    if prediction.heatmap is not None:
        return prediction.heatmap
    assert prediction.probabilities is not None
    return np.array([*prediction.probabilities.values()])


def answers(bundle: Bundle, frame: Frame, engine: str, precision: str) -> list[Prediction]:
    """To one query after the other, as prompts of other lengths come."""
    with Model(bundle, engine=engine, precision=precision) as model:
        return [model.answer(frame, [query])[0] for query in (*QUERIES, *reversed(QUERIES))]


@pytest.mark.parametrize("kind", ["after", "before", "landmarks"])
@pytest.mark.parametrize("has_free_prompts", [True, False])
def test_in_fp32_every_task_is_answered_as_by_the_engine_cpu(
    tmp_path: Path, frame: Frame, kind: str, has_free_prompts: bool
) -> None:
    small = small_bundle.make(kind, has_free_prompts=has_free_prompts)
    with open_bundle(small.write(tmp_path / "small")) as bundle:
        found = answers(bundle, frame, "openvino", "fp32")
        wanted = answers(bundle, frame, "cpu", "fp32")
    for query, ours, theirs in zip((*QUERIES, *reversed(QUERIES)), found, wanted, strict=True):
        np.testing.assert_allclose(values(ours), values(theirs), rtol=1e-4)
        assert_equals_reference(small, frame, query, ours)


@pytest.mark.parametrize("has_free_prompts", [True, False])
def test_prompts_come_padded_only_where_the_graph_fixes_their_length(
    tmp_path: Path, has_free_prompts: bool
) -> None:
    small = small_bundle.make(has_free_prompts=has_free_prompts)
    with open_bundle(small.write(tmp_path / "small")) as bundle:
        contract = graph_io(bundle.manifest)["answer"]
        engine = openvino.build(bundle.graph_path("fp32", "answer"), contract, tmp_path)
        twin = ort.build_cpu(bundle.graph_path("fp32", "answer"), contract, tmp_path)
    assert engine.pads == twin.pads == (not has_free_prompts)
    assert engine.batch == 1
    random = np.random.default_rng(0)
    for length in (3, 7, 1, 7) if has_free_prompts else (7, 7):
        feed = {
            name: random.standard_normal((1, *dims), np.float32)
            for name, dims in contract.inputs.items()
        }
        feed["past_last"] = feed["past_last"][:, :, :, -length:]
        feed["padding"] = feed["padding"][:, -length:]
        found, wanted = engine.run(feed)["logits"], twin.run(feed)["logits"]
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


@has_bf16
def test_in_bf16_answers_stay_within_the_limit_of_the_self_test(
    wide: Bundle, frame: Frame, cache: Path
) -> None:
    with Model(wide, engine="openvino") as model:
        assert model.device == f"{DEVICE}, bf16"
        assert model.tested > 0
        found = model.answer(frame, QUERIES)
    (record,) = cache.glob("selftests/*.json")
    distances = json.loads(record.read_text())["distances"].values()
    assert 1e-4 < max(distances) < 0.2  # rounded, and not by more than explains it
    with Model(wide, engine="openvino", precision="fp32") as model:
        for ours, exact in zip(found, model.answer(frame, QUERIES), strict=True):
            np.testing.assert_allclose(values(ours), values(exact), atol=0.05)


def test_graphs_in_8_bits_run_when_they_are_named(wide: Bundle, frame: Frame) -> None:
    exact = answers(wide, frame, "openvino", "fp32")
    rounded = answers(wide, frame, "openvino", "int8-qdq")
    distances = [
        np.abs(values(ours) - values(theirs)).max()
        for ours, theirs in zip(rounded, exact, strict=True)
    ]
    assert 1e-4 < max(distances) < 0.1


@pytest.mark.parametrize(
    ("computes", "precisions", "taken"),
    [
        (("BF16", "FP32", "INT8"), ("fp32", "int8-qdq", "bf16"), "bf16"),
        (("FP32", "INT8"), ("fp32", "int8-qdq", "bf16"), "fp32"),
        (("FP32", "INT8"), ("fp32", "int8-qdq"), "fp32"),
        (("FP32", "INT8"), ("int8-qdq", "int8-cpu"), "int8-qdq"),
    ],
)
def test_bf16_is_preferred_where_the_processor_computes_in_it(
    bundle: Bundle,
    computes: tuple[str, ...],
    precisions: tuple[str, ...],
    taken: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(openvino, "capabilities", lambda: computes)
    object.__setattr__(bundle.manifest, "precisions", precisions)
    assert choose_precision("openvino", bundle) == taken
    assert choose_precision("openvino", bundle, precisions[0]) == precisions[0]


def test_bf16_never_runs_as_something_else(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino, "capabilities", lambda: ("FP32", "INT8"))
    object.__setattr__(bundle.manifest, "precisions", ("fp32", "bf16"))
    with pytest.raises(EngineError, match=r"it does not compute in bf16.*another precision"):
        choose_engine(bundle, "openvino", precision="bf16")
    object.__setattr__(bundle.manifest, "precisions", ("bf16",))
    with pytest.raises(EngineError, match="it does not compute in bf16"):
        choose_engine(bundle, "openvino")


def test_auto_never_takes_it(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    choice = choose_engine(bundle)
    assert choice.name != "openvino"
    assert "openvino" not in " ".join(choice.passed)

    def refuse() -> None:
        raise EngineError("nothing runs here")

    for name in ("tensorrt", "tensorrt-rtx", "cuda", "cpu"):
        monkeypatch.setitem(engines.ENGINES, name, replace(ENGINES[name], check=refuse))
    with pytest.raises(EngineError, match="nothing runs here"):
        choose_engine(bundle)
    assert choose_engine(bundle, "openvino").name == "openvino"


def test_without_openvino_the_message_says_what_to_install(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(EngineError) as caught:
        choose_engine(bundle, "openvino")
    assert str(caught.value) == "OpenVINO is not installed. Run: pip install openvino."


def test_an_openvino_that_does_not_load_is_reported(tmp_path: Path) -> None:
    (tmp_path / "openvino.py").write_text("raise OSError('libtbb.so.12: cannot open')")
    out = run_python(
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from sfedge.engines import ENGINES\n"
        "from sfedge.core.errors import EngineError\n"
        "try: ENGINES['openvino'].check()\n"
        "except EngineError as error: print(error)\n"
    )
    assert out == (
        "OpenVINO cannot be loaded (libtbb.so.12: cannot open). "
        "Run: pip install openvino --force-reinstall."
    )


def test_importing_the_engines_does_not_load_openvino() -> None:
    code = "import sys, sfedge.engines, sfedge.diagnostics.doctor; print('openvino' in sys.modules)"
    assert run_python(code) == "False"


def test_nothing_is_reported_of_its_use(tmp_path: Path) -> None:
    """By itself its import sends a message, and leaves a number for that in the user's folder."""
    assert importlib.metadata.version("openvino-telemetry")
    code = (
        "import sys; from sfedge.engines import ENGINES; ENGINES['openvino'].check()\n"
        "print([name for name in sys.modules if name.startswith('openvino_')])"
    )
    child = subprocess.run(
        [sys.executable, "-c", code],
        # In a CI it would send nothing; were it to send something here, it would get nowhere.
        env={
            **{name: value for name, value in os.environ.items() if name != "CI"},
            **{"HOME": str(tmp_path), "https_proxy": "http://127.0.0.1:9"},
        },
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert child.stdout == "[]\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="threads are listed on Linux")
def test_no_thread_is_bound_to_a_core(tmp_path: Path) -> None:
    engine = openvino.build(save_adder(tmp_path / "adder.onnx"), ADDER, tmp_path)
    engine.run({"x": np.zeros((1, 2, 3), np.float32)})
    threads = [int(path.name) for path in Path("/proc/self/task").iterdir()]
    assert len(threads) > 1
    assert {frozenset(os.sched_getaffinity(t)) for t in threads} == {
        frozenset(os.sched_getaffinity(0))
    }
    engine.close()


def test_results_are_the_callers_to_keep(tmp_path: Path) -> None:
    engine = openvino.build(save_adder(tmp_path / "adder.onnx"), ADDER, tmp_path)
    results = []
    for seed in range(3):
        x = np.random.default_rng(seed).standard_normal((1, 2, 3), dtype=np.float32)
        x.setflags(write=False)
        results.append((x, engine.run({"x": [x[0]] if seed else x})["y"]))
    engine.close()
    for x, y in results:
        assert np.array_equal(y, x + x)
        assert y.dtype == np.float32
        y[:] = 0  # it is ours
    assert engine.device == DEVICE


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "image"}, "input 'x' is missing; input 'image' is unknown"),
        ({"kind": TensorProto.FLOAT16}, "input 'x' is f16, not float32"),
        ({"kind": TensorProto.BFLOAT16}, "input 'x' is bf16, not float32"),
        ({"dims": ["batch", 2, 4]}, r"input 'x' is \[\?, 2, 4\], not \[batch, 2, 3\]"),
        ({"dims": ["batch", "n", 3]}, r"input 'x' is \[\?, \?, 3\]"),
        ({"dims": [1, 2, 3]}, r"input 'x' is \[1, 2, 3\], not \[batch, 2, 3\]"),
        ({"dims": ["batch", 6]}, r"output 'y' is \[\?, 6\]"),
        ({"extra": True}, "input 'extra' is unknown"),
    ],
)
def test_a_graph_unlike_its_contract_is_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    graph = save_adder(tmp_path / "adder.onnx", **change)
    with pytest.raises(EngineError, match=message) as caught:
        openvino.build(graph, ADDER, tmp_path)
    assert str(graph) in str(caught.value)
    assert "the adder graph does not fit" in str(caught.value)


def test_a_file_that_is_no_graph_is_refused_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = save_adder(tmp_path / "adder.onnx").read_bytes()
    for damaged in (b"\x08\x09garbage", whole[: len(whole) // 2], b"<?xml version='1.0'?><net/>"):
        (tmp_path / "adder.onnx").write_bytes(damaged)
        with pytest.raises(EngineError, match=r"adder\.onnx: OpenVINO cannot load it") as caught:
            openvino.build(tmp_path / "adder.onnx", ADDER, tmp_path)
        assert "\n" not in str(caught.value)
    (tmp_path / "adder.onnx").unlink()
    with pytest.raises(EngineError, match=r"OpenVINO cannot load it .*open"):
        openvino.build(tmp_path / "adder.onnx", ADDER, tmp_path)
    assert capfd.readouterr().err == ""


def test_weights_that_are_missing_are_an_error(bundle: Bundle, tmp_path: Path) -> None:
    path = bundle.graph_path("fp32", "encoder")
    (path.parent / "encoder.onnx.data").unlink()
    with pytest.raises(EngineError, match=r"cannot load it .*encoder\.onnx\.data"):
        openvino.build(path, graph_io(bundle.manifest)["encoder"], tmp_path)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"x": np.full((1, 2, 3), np.nan, np.float32)}, "'y' contains values that are not numbers"),
        ({"x": np.full((1, 2, 3), 3e38, np.float32)}, "'y' contains values that are not numbers"),
        ({"x": np.zeros((1, 2, 4), np.float32)}, r"the run failed \(.*1\.2\.4.*incompatible"),
        ({"x": np.zeros((1, 2, 3), np.float64)}, r"the run failed \('x' is float64, not float32"),
        ({"x": np.zeros((2, 2, 3), np.float32)}, r"the run failed \(it takes 1 sample, not 2"),
        ({"x": []}, r"the run failed \(it takes 1 sample, not 0"),
        ({}, r"the run failed \(it takes x, not nothing"),
        ({"z": np.zeros((1, 2, 3), np.float32)}, r"the run failed \(it takes x, not z"),
    ],
)
def test_a_run_that_goes_wrong_is_an_error_and_the_next_is_not(
    tmp_path: Path,
    inputs: dict[str, np.ndarray],
    message: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    engine = openvino.build(save_adder(tmp_path / "adder.onnx"), ADDER, tmp_path)
    with pytest.raises(EngineError, match=message) as caught:
        engine.run(inputs)
    assert f"adder.onnx on {DEVICE}: " in str(caught.value)
    ones = np.ones((1, 2, 3), np.float32)
    assert np.array_equal(engine.run({"x": ones})["y"], ones + ones)
    assert capfd.readouterr().err == ""


def test_a_wrong_answer_to_the_self_test_is_refused(tmp_path: Path) -> None:
    other = small_bundle.make(seed=1)
    root = small_bundle.make().write(tmp_path / "small", claims=other)
    with (
        open_bundle(root) as bundle,
        pytest.raises(EngineError, match=r"self-test of 'small' are wrong") as caught,
    ):
        Model(bundle, engine="openvino")
    assert DEVICE in str(caught.value)


def test_the_command_answers_with_it_as_with_the_engine_cpu(
    scene: Scene, command: Callable[..., Finished], tmp_path: Path
) -> None:
    found = []
    for engine in ("openvino", "cpu"):
        out = tmp_path / engine
        words = ("run", scene.video, "--detections", scene.detections, "--out", out)
        finished = command(*words, "--engine", engine, "--precision", "fp32")
        assert finished.code == 0, finished.err
        rows = read_records(out / "sway.jsonl")
        found.append([row for row in rows if row["type"] == "prediction"])
        assert (f"on {DEVICE}, fp32" in finished.err) == (engine == "openvino")
    for ours, theirs in zip(*found, strict=True):
        assert [ours[k] for k in ("task", "people", "frame")] == [
            theirs[k] for k in ("task", "people", "frame")
        ]
        if "probabilities" in ours:
            assert ours["probabilities"] == pytest.approx(theirs["probabilities"], abs=1e-4)
    assert {row["task"] for row in found[0]} == set(TASKS)


def test_the_benchmark_names_it(command: Callable[..., Finished]) -> None:
    done = command("bench", "--engine", "openvino", "--tasks", "gaze,gesture", "--seconds", "0")
    assert done.code == 0, done.err
    assert f"on {DEVICE}, fp32" in done.out.splitlines()[0]
