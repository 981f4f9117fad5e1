import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnx
import pytest
import small_bundle
from onnx import TensorProto, helper
from scenes import Finished, Scene

from sfedge import engines
from sfedge.bundle.bundle import Bundle
from sfedge.bundle.graph_io import (
    FLOAT,
    PROMPT_AXES,
    GraphIO,
    Port,
    check_ports,
    graph_io,
    leaves_prompts_free,
)
from sfedge.bundle.manifest import parse_manifest
from sfedge.core.config import EngineName
from sfedge.core.errors import EngineError, UnknownNameError
from sfedge.diagnostics import doctor
from sfedge.engines import ENGINES, choose_engine, choose_precision, ort, trt
from sfedge.system.gpus import Gpu, driver_version, find_gpus

ADDER = GraphIO("adder", {"x": (2, 3)}, {"y": (2, 3)})


def save_adder(
    path: Path,
    *,
    name: str = "x",
    kind: int = TensorProto.FLOAT,
    dims: Sequence[int | str] = ("batch", 2, 3),
    extra: bool = False,
) -> Path:
    """A graph y = x + x."""
    inputs = [helper.make_tensor_value_info(name, kind, dims)]
    if extra:
        inputs.append(helper.make_tensor_value_info("extra", kind, dims))
    graph = helper.make_graph(
        [helper.make_node("Add", [name, "extra" if extra else name], ["y"])],
        "adder",
        inputs,
        [helper.make_tensor_value_info("y", kind, dims)],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path
    )
    return path


def refusal(call: Callable[[], object]) -> str:
    """The message of the EngineError that a call raises, or ""."""
    try:
        call()
    except EngineError as error:
        return str(error)
    return ""


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    return done.stdout.strip()


def test_every_engine_can_be_set_in_a_run() -> None:
    assert set(get_args(EngineName)) == {"auto", *ENGINES}


def test_an_unknown_engine_is_refused_with_the_nearest_name(bundle: Bundle) -> None:
    with pytest.raises(UnknownNameError, match=r"Did you mean 'trt-ep'\?") as caught:
        choose_engine(bundle, "trt")
    assert caught.value.exit_code == 2


def test_auto_takes_what_runs_and_says_why_faster_ones_do_not(bundle: Bundle) -> None:
    choice = choose_engine(bundle)
    ENGINES[choice.name].check()
    gpus, why = find_gpus()
    faster = ("tensorrt", "tensorrt-rtx", "cuda")
    if choice.name == "cpu":
        for name, reason in zip(faster, choice.passed, strict=True):
            assert reason.startswith(f"The engine {name} cannot run: ")
            assert gpus or why in reason
    else:
        assert gpus


@pytest.fixture
def orin(monkeypatch: pytest.MonkeyPatch) -> None:
    """An NVIDIA GPU that the installed runtime cannot use."""
    for module in (engines, ort, trt, doctor):
        monkeypatch.setattr(module, "find_gpus", lambda: ([Gpu("Orin", "8.7")], ""))


def test_a_gpu_that_auto_cannot_use_is_reported_with_what_mends_it(
    orin: None, bundle: Bundle
) -> None:
    choice = choose_engine(bundle)
    assert choice.name == "cpu"
    assert choice.note.startswith("the engine cpu is used on a machine with Orin. The engine ")
    assert 'pip install "onnxruntime-gpu[cuda,cudnn]" cuda-bindings' in choice.note
    assert "https://pypi.nvidia.com" in choice.note
    assert choose_engine(bundle, "cpu").note == ""  # it was asked for


def test_without_a_driver_none_is_named() -> None:
    assert bool(driver_version()) == bool(find_gpus()[0]) or "missing" not in find_gpus()[1]


def test_without_a_gpu_one_short_sentence_tells_what_was_taken_and_why(bundle: Bundle) -> None:
    gpus, why = find_gpus()
    if not gpus:
        assert choose_engine(bundle).note == f"the engine cpu is used: {why}."


def test_a_run_and_the_doctor_tell_of_a_gpu_that_is_not_used(
    orin: None, scene: Scene, command: Callable[..., Finished], tmp_path: Path
) -> None:
    words = ("run", scene.video, "--detections", scene.detections, "--tasks", "domain")
    model, note, *_ = command(*words, "--out", tmp_path).err.splitlines()
    assert model.startswith("model ")
    assert note.startswith("sfedge: note: the engine cpu is used on a machine with Orin. ")
    assert "Orin" not in command(*words, "--out", tmp_path, "--engine", "cpu").err
    report = doctor.examine()
    (problem,) = [one for one in report.problems if "Orin is not used" in one.what]
    assert not problem.is_fatal
    assert "onnxruntime-gpu[cuda,cudnn]" in problem.fix


def test_a_named_engine_is_never_replaced_by_another(bundle: Bundle) -> None:
    assert choose_engine(bundle, "cpu").name == "cpu"
    for name in ("cuda", "trt-ep", "tensorrt", "tensorrt-rtx"):
        if reason := refusal(ENGINES[name].check):
            assert refusal(lambda name=name: choose_engine(bundle, name)) == reason
        elif name in ("cuda", "trt-ep"):
            assert choose_engine(bundle, name).name == name
        else:
            assert "no engine was built" in refusal(lambda name=name: choose_engine(bundle, name))


@pytest.mark.parametrize(
    ("engine", "line"),
    [
        (
            "cuda",
            "Run: pip uninstall -y onnxruntime && "
            'pip install "onnxruntime-gpu[cuda,cudnn]" cuda-bindings;',
        ),
        (
            "trt-ep",
            '&& pip install --extra-index-url https://pypi.nvidia.com "tensorrt-cu13==10.*"',
        ),
    ],
)
def test_where_a_gpu_waits_for_its_runtime_the_line_that_installs_it_is_reported(
    engine: str, line: str, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ort.installed_flavours().keys() == {"onnxruntime"}, "tests run with the extra `cpu`"
    monkeypatch.setattr(ort, "find_gpus", lambda: ([Gpu("Orin", "8.7")], ""))
    with pytest.raises(EngineError, match=r"it has no .*ExecutionProvider") as caught:
        choose_engine(bundle, engine)
    assert line in str(caught.value)
    assert "on a Jetson" in str(caught.value)


def test_a_provider_that_does_not_start_is_an_error_not_a_slow_run(tmp_path: Path) -> None:
    """ONNX Runtime itself would warn and go on with the CPU."""
    graph = save_adder(tmp_path / "adder.onnx")
    providers = [("CUDAExecutionProvider", {}), ("CPUExecutionProvider", {})]
    if not find_gpus()[0]:
        with (
            pytest.warns(UserWarning, match="CUDAExecutionProvider"),
            pytest.raises(EngineError, match="CUDAExecutionProvider did not start"),
        ):
            ort.OrtEngine(graph, ADDER, providers, "cuda")


def test_without_onnx_runtime_the_message_says_what_to_install() -> None:
    out = run_python(
        "import sys; sys.modules['onnxruntime'] = None\n"
        "from sfedge.engines import ENGINES\n"
        "from sfedge.core.errors import EngineError\n"
        "try: ENGINES['cpu'].check()\n"
        "except EngineError as error: print(error)\n"
    )
    assert "pip install onnxruntime," in out
    assert 'pip install "onnxruntime-gpu[cuda,cudnn]"' in out


def test_two_flavours_of_onnx_runtime_are_noticed(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ort.clash(ort.installed_flavours()) is None
    information = tmp_path / "onnxruntime_gpu-1.31.1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Name: onnxruntime-gpu\nVersion: 1.31.1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert ort.installed_flavours()["onnxruntime-gpu"] == "1.31.1"
    found = ort.clash(ort.installed_flavours())
    assert found is not None
    assert found[0] == "onnxruntime and onnxruntime-gpu are installed over each other"
    installed_again = f"onnxruntime onnxruntime-gpu && {ort.INSTALL_GPU}"
    assert f"Run: pip uninstall -y {installed_again}." in found[1]
    monkeypatch.setattr(ort, "find_gpus", lambda: ([Gpu("Orin", "8.7")], ""))
    with pytest.raises(EngineError, match="are installed over each other"):
        choose_engine(bundle, "cuda")
    assert choose_engine(bundle, "cpu").name == "cpu"


def test_importing_the_engines_does_not_load_onnx_runtime() -> None:
    assert run_python("import sys, sfedge.engines; print('onnxruntime' in sys.modules)") == "False"


def test_an_engine_runs_any_batch_and_gives_results_away(tmp_path: Path) -> None:
    engine = ort.build_cpu(save_adder(tmp_path / "adder.onnx"), ADDER, tmp_path)
    results = []
    for batch in (1, 3, 1):
        x = np.random.default_rng(batch).standard_normal((batch, 2, 3), dtype=np.float32)
        results.append((x, engine.run({"x": x})["y"]))
    for x, y in results:
        assert np.array_equal(y, x + x)
        y[:] = 0  # it is ours
    assert engine.device == f"cpu (onnxruntime {importlib.metadata.version('onnxruntime')})"
    engine.close()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "image"}, "input 'x' is missing; input 'image' is unknown"),
        ({"kind": TensorProto.FLOAT16}, r"input 'x' is tensor\(float16\), not float32"),
        ({"dims": ["batch", 2, 4]}, r"input 'x' is \[batch, 2, 4\], not \[batch, 2, 3\]"),
        ({"dims": ["batch", "n", 3]}, r"input 'x' is \[batch, n, 3\]"),
        ({"dims": [1, 2, 3]}, r"input 'x' is \[1, 2, 3\], not \[batch, 2, 3\]"),
        ({"dims": ["batch", 6]}, r"output 'y' is \[batch, 6\]"),
        ({"extra": True}, "input 'extra' is unknown"),
    ],
)
def test_a_graph_unlike_its_contract_is_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    graph = save_adder(tmp_path / "adder.onnx", **change)
    with pytest.raises(EngineError, match=message) as caught:
        ort.build_cpu(graph, ADDER, tmp_path)
    assert str(graph) in str(caught.value)
    assert "the adder graph does not fit" in str(caught.value)


def test_a_file_that_is_no_graph_is_refused_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "adder.onnx").write_bytes(b"\x08\x09garbage")
    with pytest.raises(EngineError, match=r"adder\.onnx: ONNX Runtime cannot load it") as caught:
        ort.build_cpu(tmp_path / "adder.onnx", ADDER, tmp_path)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"x": np.full((1, 2, 3), np.nan, np.float32)}, "'y' contains values that are not numbers"),
        ({"x": np.full((1, 2, 3), 3e38, np.float32)}, "'y' contains values that are not numbers"),
        ({"x": np.zeros((1, 2, 4), np.float32)}, "the run failed"),
        ({"x": np.zeros((1, 2, 3), np.float64)}, "the run failed"),
        ({}, "the run failed"),
    ],
)
def test_a_run_that_goes_wrong_is_an_error(
    tmp_path: Path,
    inputs: dict[str, np.ndarray],
    message: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    engine = ort.build_cpu(save_adder(tmp_path / "adder.onnx"), ADDER, tmp_path)
    with pytest.raises(EngineError, match=message):
        engine.run(inputs)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("engine", "precisions", "taken"),
    [
        ("cpu", ("fp32", "fp16", "int8-cpu"), "int8-cpu"),
        ("cpu", ("fp32", "fp16"), "fp32"),
        ("cuda", ("fp32", "fp16", "int8-cpu"), "fp16"),
        ("trt-ep", ("int8-cpu", "fp32"), "fp32"),
    ],
)
def test_the_precision_that_suits_an_engine_is_taken(
    bundle: Bundle, engine: str, precisions: tuple[str, ...], taken: str
) -> None:
    object.__setattr__(bundle.manifest, "precisions", precisions)
    assert choose_precision(engine, bundle) == taken
    assert choose_precision(engine, bundle, taken) == taken


@pytest.mark.parametrize("precision", ["fp16", "int4"])
def test_a_precision_is_never_replaced_by_another(bundle: Bundle, precision: str) -> None:
    object.__setattr__(bundle.manifest, "precisions", ("fp32", "fp16"))
    with pytest.raises(EngineError, match=f"'cpu' runs int8-cpu or fp32.*asked for is {precision}"):
        choose_engine(bundle, "cpu", precision=precision)


def test_what_to_do_where_no_precision_suits_depends_on_what_the_bundle_has(
    bundle: Bundle,
) -> None:
    object.__setattr__(bundle.manifest, "precisions", ("int8-cpu", "fp16"))
    with pytest.raises(EngineError, match=r"Choose int8-cpu, or leave the precision out\.$"):
        choose_precision("cpu", bundle, "fp32")
    for precision in (None, "bf16"):
        with pytest.raises(EngineError, match=r"Choose another engine, or export the model with"):
            choose_precision("openvino", bundle, precision)


def test_threads_are_the_cores_that_the_process_may_use() -> None:
    assert 1 <= ort.physical_cores() <= (os.cpu_count() or 1)
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from sfedge.engines.ort import physical_cores; print(physical_cores())"
    )
    assert run_python(code) == "1"


@pytest.mark.parametrize("adds_exactly", [True, False])
def test_eight_bit_products_are_asked_to_be_exact_where_the_processor_overflows(
    bundle: Bundle, adds_exactly: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Emulated Haswells and first EPYCs (QEMU) overflow; the processor of this test may not."""
    monkeypatch.setattr(ort, "_adds_exactly", lambda: adds_exactly)
    contract = graph_io(bundle.manifest)["encoder"]
    session = ort.open_session(bundle.graph_path("fp32", "encoder"), contract, [(ort.CPU, {})])
    options = session.get_session_options()
    if adds_exactly:
        with pytest.raises(RuntimeError, match="x64quantprecision"):
            options.get_session_config_entry("session.x64quantprecision")
    else:
        assert options.get_session_config_entry("session.x64quantprecision") == "1"


def test_whether_a_processor_overflows_is_found_by_a_product() -> None:
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    if "vnni" in flags:
        assert ort._adds_exactly()
    elif "avx2" in flags:
        assert not ort._adds_exactly()


def test_the_contract_covers_what_a_bundles_graphs_take_and_give(tmp_path: Path) -> None:
    for kind in ("after", "before", "landmarks"):
        small = small_bundle.make(kind, has_free_prompts=False)
        root = small.write(tmp_path / kind)
        manifest = parse_manifest((root / "bundle.json").read_text(), where="")
        for name, contract in graph_io(manifest).items():
            body = small.graphs()[name].graph
            assert list(contract.inputs) == [i.name for i in body.input]
            assert list(contract.outputs) == [o.name for o in body.output]
            for port in (*body.input, *body.output):
                sizes = tuple(d.dim_value for d in port.type.tensor_type.shape.dim[1:])
                assert sizes == {**contract.inputs, **contract.outputs}[port.name]


@pytest.mark.parametrize(
    ("dims", "words"),
    [
        (["batch", 2, "prompt", 3], ""),
        (["batch", 2, 7, 3], ""),
        (["batch", "heads", "prompt", 3], r"\[batch, heads, prompt, 3\]"),
        (["batch", 2, 6, 3], r"\[batch, 2, 6, 3\]"),
        (["batch", 2, "prompt", 3, 1], r"\[batch, 2, prompt, 3, 1\]"),
        ([1, 2, "prompt", 3], r"\[1, 2, prompt, 3\]"),
    ],
)
def test_of_a_prompt_nothing_but_its_length_may_be_free(
    dims: list[int | str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PROMPT_AXES, "past", 2)
    contract = GraphIO("trunk", {"past": (2, 7, 3)}, {})
    found = [Port("past", FLOAT, dims)]
    if words:
        with pytest.raises(EngineError, match=rf"'past' is {words}, not \[batch, 2, 7, 3\]"):
            check_ports(contract, found, [], where="trunk.onnx")
    else:
        check_ports(contract, found, [], where="trunk.onnx")
    assert leaves_prompts_free(found) == (dims[2] == "prompt")


def test_graphs_on_the_cpu_work_in_the_same_memory(tmp_path: Path) -> None:
    """Each of its own would add up: here 16 graphs need 40 MB each while they run."""
    graph = save_adder(tmp_path / "adder.onnx", dims=["batch", 5_000_000])
    code = (
        "import resource, sys; from pathlib import Path; import numpy as np\n"
        "from sfedge.engines import ort; from sfedge.bundle.graph_io import GraphIO\n"
        "io = GraphIO('adder', {'x': (5_000_000,)}, {'y': (5_000_000,)})\n"
        f"path = Path({str(graph)!r}); x = np.zeros((1, 5_000_000), np.float32)\n"
        "engines = [ort.build_cpu(path, io, path) for _ in range(16)]\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\n"
        "engines[0].run({'x': x}); first = peak()\n"
        "for engine in engines: engine.run({'x': x})\n"
        "print(peak() - first)\n"
    )
    assert int(run_python(code)) < 100
