import json
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from click.testing import CliRunner
from scenes import DRAWN_BUNDLE
from test_benchmarks import tables

from benchmarks import full_size, full_size_run
from benchmarks.full_size_run import Run
from sfedge.bundle.bundle import open_bundle
from sfedge.core.tasks import TASKS
from sfedge.diagnostics.bench import frame_queries
from sfedge.engines import ENGINES
from sfedge_export.graph_gemms import count_gemms
from sfedge_export.package import extend_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drawn model in both precisions that the benchmark compares."""
    out = tmp_path_factory.mktemp("bundles") / "both"
    extend_bundle(DRAWN_BUNDLE, out, precisions=("fp32", "int8-cpu"))
    return out


@pytest.mark.slow
def test_the_whole_comparison_runs_at_a_small_size(bundle: Path, tmp_path: Path) -> None:
    page, log = tmp_path / "results" / "page.md", tmp_path / "results" / "log.jsonl"
    words = [str(bundle), "--preset", "tiny", "--rounds", "1", "--people", "2", "--json", str(log)]
    result = CliRunner().invoke(
        full_size.main, [*words, "--out", str(page)], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    text = page.read_text(encoding="utf-8")
    assert "python -m benchmarks.full_size both --preset tiny --rounds 1 --people 2\n" in text
    (_, *ways), (_, *goals), (_, *people) = tables(text)
    named = [row[0] for row in ways]
    assert named[:3] == [full_size.PLAIN, full_size.FP32, full_size.INT8]
    assert named[-2:] == [full_size.HALF, full_size.GEMMS]
    assert all(float(cell) > 0 for row in ways for cell in row[1:] if cell != "–")
    for way in full_size.OPENVINO:
        assert (way in named) != (f"{way} was not measured: " in text)
    assert {row[-1] for row in goals} <= {"yes", "no"}
    assert {row[1] for row in goals} == {*named} - {full_size.PLAIN, full_size.GEMMS}
    assert [row[:2] for row in people] == [["1", "4"], ["2", "10"]]
    with PIL.Image.open(tmp_path / "results" / "full_size.png") as plot:
        assert np.asarray(plot.convert("L")).std() > 10
    kept = [json.loads(line) for line in log.read_text().splitlines()]
    assert {line["way"] for line in kept[:-1]} == {*named}
    assert [*kept[-1]["people"]] == ["1", "2"]


def test_the_frame_is_that_of_the_goal() -> None:
    count = Counter(query.task.name for query in full_size_run.three_people())
    assert count == {
        "expression": 3, "gesture": 3, "looking_at_me": 3, "gaze": 2, "domain": 3, "relation": 3,
    }  # fmt: skip


def test_gemms_of_a_gesture_query_leave_the_encoder_out(bundle: Path) -> None:
    with open_bundle(bundle) as opened:
        prompt = opened.prefix()["gesture"].shape[3]
        graphs = opened.graph_path("fp32", "encoder").parent
        for name, parts in (
            ("gesture", ("connector", "trunk", "answer")),
            ("encoder", ("encoder",)),
        ):
            rows = [row for part in parts for row in count_gemms(graphs / f"{part}.onnx", prompt)]
            found = full_size_run.gemms_of(bundle)[name]
            work = sum(int(np.prod(row)) for row in rows)
            assert sum(n * int(np.prod(gemm)) for gemm, n in found.items()) == work


def test_an_engine_that_is_missing_or_does_not_suit_is_reported(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(ENGINES, "openvino", raising=False)
    ways, reasons = full_size.runnable(bundle)
    assert ways == ["cpu/int8-cpu", "cpu/fp32"]
    assert set(reasons) == {*full_size.OPENVINO}
    assert set(reasons.values()) == {"openvino is not installed."}


def ran(
    gesture: float, frame: float | None = None, memory: float = 1.9e9, ready: float = 2.0
) -> Run:
    return Run(
        ready=ready,
        encoder=[gesture / 4],
        queries={"gesture": [gesture]},
        frame=frame,
        memory=int(memory),
        files=10**9,
    )


def rounds() -> list[full_size.Round]:
    """Three, in the last of which the machine had other work."""
    return [
        {
            "cpu/int8-cpu": ran(1.2 * slow, 12.0, 1.91e9, ready=3.1),
            "cpu/fp32": ran(4.1 * slow, 29.0),
            "openvino/fp32": ran(3.0 * slow, 31.0 if slow > 1 else None),
            "openvino/int8-qdq": ran(1.5 * slow, 10.0),
            full_size.PLAIN: ran(12.0 * slow, 60.0, 7e9),
            full_size.HALF: ran(2.0 * slow),
            full_size.GEMMS: Run(encoder=[0.7 * slow], queries={"gesture": [3.4 * slow]}),
        }
        for slow in (1.0, 1.0, 3.0)
    ]


def test_goals_are_met_or_missed_by_the_figures() -> None:
    queries = {n: len(frame_queries([*TASKS.values()], n)) for n in (1, 4)}
    times = {1: 1.0 * queries[1], 4: 1.2 * queries[4]}
    found = full_size.goals(rounds(), {"cpu/int8-cpu": 0.9995, "openvino/int8-qdq": 0.99}, times)
    by_goal = {(goal.what, goal.way): goal for goal in found}
    assert len(by_goal) == len(found)
    assert by_goal["gesture query, fp32", "cpu/fp32"].found == "2.93 ×"
    assert by_goal["frame of 17 queries, fp32", "openvino/fp32"].found == "1.94 ×"
    assert [(goal.what, goal.way) for goal in found if goal.is_met] == [
        ("gesture query, fp32", "openvino/fp32"),
        ("gesture query, bf16", full_size.HALF),
        ("gesture query, int8", "cpu/int8-cpu"),
        ("encoder, int8", "cpu/int8-cpu"),
        ("encoder, int8", "openvino/int8-qdq"),
        ("encoder, int8, cosine of features", "cpu/int8-cpu"),
        ("frame of 17 queries, fp32", "cpu/fp32"),
        ("frame of 17 queries, int8", "openvino/int8-qdq"),
        ("gesture query, fp32, of plain GEMMs", "cpu/fp32"),
        ("memory", "cpu/fp32"),
        ("from start to ready", "cpu/fp32"),
    ]
    assert found[-1].found == "1.20 ×"


def test_a_page_can_be_written_before_all_is_measured() -> None:
    (first, *_) = rounds()
    text = "\n\n".join(
        full_size.page_parts([first], full_size.goals([first], {}, {}), {}, {"a/b": "why"})
    )
    (_, *ways), (_, *goals) = tables(text + "\n")
    assert len(ways) == 7
    assert ways[3][3] == "–"  # the frame of this way comes in another round
    assert "a/b was not measured: why" in text
    assert len(goals) == 16


def test_the_drawn_bundle_lists_its_gemms() -> None:
    with zipfile.ZipFile(DRAWN_BUNDLE) as archive:
        assert '"products"' in archive.read("bundle.json").decode()
