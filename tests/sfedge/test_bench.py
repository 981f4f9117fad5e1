import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import small_bundle
from scenes import Finished

from sfedge.bundle.bundle import open_bundle
from sfedge.bundle.manifest import parse_manifest
from sfedge.core.tasks import TASKS
from sfedge.diagnostics import bench, gemms
from sfedge.engines.ort import CPU
from sfedge.inference.model import Model

Run = Callable[..., Finished]


def test_what_is_printed_names_the_model_the_frame_and_the_figures(command: Run) -> None:
    done = command("bench", "--engine", "cpu", "--seconds", "0")
    assert done.code == 0
    lines = dict(line.split(maxsplit=1) for line in done.out.splitlines())
    assert list(lines) == ["model", "frame", "latency", "throughput", "ready", "memory", "work"]
    assert lines["model"].startswith("sfedge demo on cpu (onnxruntime ")
    assert lines["frame"].startswith("3 people: 3 expression, 3 gesture, 3 looking_at_me, 3 gaze")
    assert lines["latency"].endswith("; 3 frames")
    assert lines["work"].endswith("% of plain fp32 GEMMs of these sizes")


def test_figures_fit_each_other(command: Run) -> None:
    done = command("bench", "--tasks", "gaze,gesture", "--people", "2", "--seconds", "0", "--json")
    printed = json.loads(done.out)
    assert printed["queries"] == {"gesture": 2, "gaze": 2}
    assert printed["p50"] == pytest.approx(np.median(printed["frames"]))
    assert printed["p50"] <= printed["p95"] <= max(printed["frames"])
    assert printed["queries_per_second"] == pytest.approx(4 / printed["p50"])
    assert printed["share_of_plain_gemms"] == pytest.approx(printed["plain"] / printed["p50"])
    assert printed["memory"] > printed["files"] > 0
    assert printed["gpu_memory"] is None
    with open_bundle() as bundle:
        manifest = bundle.manifest
        with Model(bundle, engine="cpu") as model:
            prompts = model.prompts
    # Two people: a view of each and the whole frame.
    queries = bench.frame_queries([TASKS["gesture"], TASKS["gaze"]], 2)
    assert printed["work"] == gemms.work(bench.frame_gemms(manifest, queries, prompts))


def test_pairs_are_capped_and_the_cap_is_said(command: Run) -> None:
    done = command("bench", "--tasks", "domain", "--people", "5", "--seconds", "0")
    assert "\npairs        the 6 nearest of 10 are asked about\n" in done.out
    assert "5 people: 6 domain\n" in done.out


def test_of_pairs_nothing_is_said_where_no_task_is_about_them(command: Run) -> None:
    words = ("bench", "--tasks", "gesture", "--people", "5", "--seconds", "0")
    assert "\npairs " not in command(*words).out
    assert json.loads(command(*words, "--json").out)["pairs"] == 0


@pytest.mark.parametrize("people", [1, 3, 16, 64])
def test_everything_is_asked_of_everybody(people: int) -> None:
    queries = bench.frame_queries([*TASKS.values()], people)
    count = Counter(query.task.name for query in queries)
    pairs = min(people * (people - 1) // 2, bench.MAX_PAIRS)
    assert all(count[name] == (people if TASKS[name].people == 1 else pairs) for name in TASKS)
    assert len(bench.frame_queries([*TASKS.values()], 3, max_pairs=1)) == 3 * 4 + 2


LENGTHS = small_bundle.LENGTHS


def test_each_prompt_counts_as_long_as_it_goes_in(tmp_path: Path) -> None:
    each = {str(length): [[1, length, 1, 1]] for length in LENGTHS.values()}
    rows = {
        "encoder": [[1, 100, 1, 1]],
        "connector": [[1, 200, 1, 1]],
        "trunk": each,
        "answer": [[1, 300, 1, 1]],
        "gaze": [[1, 400, 1, 1]],
    }
    root = small_bundle.make().write(tmp_path / "small", card={"products": rows})
    queries = bench.frame_queries([TASKS["expression"], TASKS["gaze"]], 2)
    with open_bundle(root) as bundle, Model(bundle, engine="cpu") as model:
        manifest, prompts = bundle.manifest, model.prompts
    assert prompts == LENGTHS
    assert bench.frame_gemms(manifest, queries, prompts) == {
        (100, 1, 1): 3,
        (200, 1, 1): 3,
        (LENGTHS["expression"], 1, 1): 2,
        (LENGTHS["gaze"], 1, 1): 2,
        (300, 1, 1): 2,
        (400, 1, 1): 2,
    }
    padded = dict.fromkeys(LENGTHS, 7)
    assert bench.frame_gemms(manifest, queries, padded)[7, 1, 1] == 4


def test_prompts_of_a_graph_that_pads_are_all_as_long_as_the_longest(tmp_path: Path) -> None:
    root = small_bundle.make(has_free_prompts=False).write(tmp_path / "small")
    with open_bundle(root) as bundle, Model(bundle, engine="cpu") as model:
        assert set(model.prompts.values()) == {small_bundle.SHAPE.prefix}


def test_boxes_that_enter_before_the_connector_make_more_work(tmp_path: Path) -> None:
    rows = {name: [[1, 2, 3, 4]] for name in ("encoder", "connector", "trunk", "answer", "gaze")}
    small = small_bundle.make()
    with open_bundle(small.write(tmp_path / "small", card={"products": rows})) as bundle:
        after = bundle.manifest
    queries = bench.frame_queries([TASKS["gaze"], TASKS["relation"]], 3)
    assert bench.frame_gemms(after, queries, LENGTHS) == {(2, 3, 4): 1 + 1 + 6 + 3 + 3}
    before = replace(after, box_embedding="before")
    assert bench.frame_gemms(before, queries, LENGTHS) == {(2, 3, 4): 1 + 6 + 6 + 3 + 3}


def test_a_bundle_that_lists_no_gemms_is_timed_all_the_same(command: Run, tmp_path: Path) -> None:
    root = small_bundle.make().write(tmp_path / "small")
    assert "products" not in parse_manifest((root / "bundle.json").read_text(), where="").card
    done = command("bench", root, "--seconds", "0")
    assert done.code == 0
    assert "not listed in this bundle" in done.out
    assert json.loads(command("bench", root, "--seconds", "0", "--json").out)["work"] is None


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("nowhere.zip",), 1, "there is no such bundle"),
        (("--tasks", "gaz"), 2, "Did you mean 'gaze'"),
        (("--people", "0"), 2, "--people"),
        (("--precision", "int3"), 1, "asked for is int3"),
        (("--engine", "tpu"), 2, "'tpu'"),
    ],
)
def test_what_cannot_be_timed_is_said_in_one_line(
    command: Run, words: tuple[str, ...], code: int, said: str
) -> None:
    done = command("bench", *words)
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert done.err.count("\n") == 1


def test_a_plain_gemm_is_a_sound_graph_that_multiplies() -> None:
    random = np.random.default_rng(0)
    x, w = (
        random.standard_normal((5, 300), np.float32),
        random.standard_normal((300, 7), np.float32),
    )
    graph = gemms.matmul_graph(5, w)
    onnx.checker.check_model(onnx.load_from_string(graph), full_check=True)
    (y,) = onnxruntime.InferenceSession(graph, providers=[CPU]).run(None, {"x": x})
    np.testing.assert_allclose(y, x @ w, atol=1e-4)


def test_plain_gemms_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    times = {(100, 100, 100): 2.0, (10, 10, 100): 0.5}
    monkeypatch.setattr(gemms, "gemm_seconds", times.__getitem__)
    counts = {(100, 100, 100): 3, (10, 10, 100): 4}
    assert gemms.work(counts) == 2 * (3 * 10**6 + 4 * 10**4)
    assert gemms.plain_seconds(counts) == pytest.approx(3 * 2.0 + 4 * 0.5)
    # One GEMM in a thousand is not measured; it counts as fast as the rest.
    counts |= {(10, 10, 10): 1}
    assert gemms.plain_seconds(counts) == pytest.approx(8.0, rel=0.01)


def test_products_with_one_column_count_as_fast_as_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gemms, "gemm_seconds", {(100, 100, 100): 2.0}.__getitem__)
    assert gemms.plain_seconds({(100, 100, 100): 3, (100, 100, 1): 150}) == pytest.approx(9.0)
    monkeypatch.setattr(gemms, "gemm_seconds", {(100, 100, 1): 0.5}.__getitem__)
    assert gemms.plain_seconds({(100, 100, 1): 4}) == pytest.approx(2.0)


def test_a_plain_gemm_takes_time() -> None:
    assert gemms.gemm_seconds((8, 16, 4)) > 0
