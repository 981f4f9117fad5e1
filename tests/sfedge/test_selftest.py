import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import small_bundle

from sfedge.bundle.bundle import Bundle, open_bundle
from sfedge.bundle.graph_io import GraphIO
from sfedge.core.errors import BundleError, EngineError
from sfedge.core.structures import Prediction
from sfedge.core.tasks import TASKS
from sfedge.engines import ENGINES, Engine, EngineKind, ort
from sfedge.engines.engine import Arrays, Rows
from sfedge.inference import selftest
from sfedge.inference.model import Model

pytestmark = pytest.mark.usefixtures("cache")


class Noisy:
    """An engine on the CPU whose answers are off by a share of their size."""

    def __init__(self, engine: Engine, name: str, runs: list[str], noise: float) -> None:
        self._engine, self._name, self._runs, self._noise = engine, name, runs, noise
        self.device, self.batch, self.pads = engine.device, engine.batch, engine.pads
        self.keep = engine.keep
        self.close = engine.close

    def run(self, inputs: Arrays) -> dict[str, Rows]:
        self._runs.append(self._name)
        outputs = self._engine.run(inputs)
        if self._name != "answer":
            return dict(outputs)
        logits = np.asarray(outputs["logits"])
        random = np.random.default_rng(len(self._runs))
        noise = random.standard_normal(logits.shape, np.float32)
        return {"logits": logits + self._noise * logits.std() * noise}


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The graphs that the engines "exact" and "noisy" have run."""
    runs: list[str] = []

    def engine(noise: float) -> EngineKind:
        def build(graph: Path, contract: GraphIO, folder: Path) -> Engine:
            return Noisy(ort.build_cpu(graph, contract, folder), contract.name, runs, noise)

        return EngineKind(precisions=("fp32",), check=ort.check_cpu, build=build)

    monkeypatch.setitem(ENGINES, "exact", engine(0.0))
    monkeypatch.setitem(ENGINES, "noisy", engine(0.1))
    return runs


def test_a_temperature_changes_no_answer_of_the_self_test(tmp_path: Path, runs: list[str]) -> None:
    tasks = tuple(replace(task, temperature=3.0) for task in TASKS.values())
    plain = small_bundle.make().write(tmp_path / "plain")
    calibrated = small_bundle.make().write(tmp_path / "calibrated", tasks=tasks)
    for root in (plain, calibrated):
        with open_bundle(root) as bundle, Model(bundle, engine="exact") as model:
            assert model.tested > 0


def test_the_picture_is_the_one_whose_answers_bundles_hold() -> None:
    image = selftest.picture(336)
    assert image.shape == (336, 336, 3)
    # Other bytes make every bundle fail: write a new file name then, as of a new format.
    assert hashlib.sha256(image.tobytes()).hexdigest()[:16] == "87bb190c53364654"
    assert selftest.picture(1).shape == (1, 1, 3)


def test_an_engine_is_tested_at_its_first_start_only(bundle: Bundle, runs: list[str]) -> None:
    with Model(bundle, engine="exact"):
        assert runs.count("encoder") == 1
        assert runs.count("trunk") == len(TASKS)
    runs.clear()
    with Model(bundle, engine="exact"):
        assert runs == []
    with Model(bundle, engine="cpu"):  # another engine, that did not answer before
        pass
    assert len(list(selftest.cache.cache_folder().glob("selftests/*.json"))) == 2


def test_only_tasks_that_are_new_are_asked(bundle: Bundle, runs: list[str]) -> None:
    with Model(bundle, engine="exact", tasks=["gaze", "domain"]):
        assert runs.count("trunk") == 2
    runs.clear()
    with Model(bundle, engine="exact", tasks=["gaze", "relation"]):
        assert runs.count("trunk") == 1
    (record,) = selftest.cache.cache_folder().glob("selftests/*.json")
    record_read = json.loads(record.read_text())
    assert set(record_read["distances"]) == {"gaze", "domain", "relation"}
    assert max(record_read["distances"].values()) < 1e-4


def test_how_far_the_test_is_is_reported_where_it_runs(bundle: Bundle, runs: list[str]) -> None:
    reported: list[tuple[int, int, int]] = []

    def report(done: int, total: int) -> None:
        reported.append((done, total, runs.count("trunk")))

    with Model(bundle, engine="exact", tasks=["gaze", "domain", "relation"], testing=report):
        assert reported == [(0, 3, 0), (1, 3, 1), (2, 3, 2), (3, 3, 3)]
    reported.clear()
    with Model(bundle, engine="exact", tasks=["gaze", "domain"], testing=report):
        assert reported == []
    with Model(bundle, engine="exact", testing=report):
        assert reported[-1] == (3, 3, 6)  # the tasks that are new


def test_a_test_that_is_broken_off_counts_for_nothing(bundle: Bundle, runs: list[str]) -> None:
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Model(bundle, engine="exact", testing=stop)
    assert runs.count("trunk") == 2
    assert selftest.tested_models() == {}
    runs.clear()
    with Model(bundle, engine="exact"):
        assert runs.count("trunk") == len(TASKS)


def test_models_that_have_passed_are_known_by_name(bundle: Bundle, cache: Path) -> None:
    assert selftest.tested_models() == {}
    with Model(bundle, engine="cpu"):
        pass
    for number, content in enumerate([b"", b"\xff", b"[]", b'"text"', b'{"bundle": "a"}']):
        (cache / "selftests" / f"{number}.json").write_bytes(content)
    assert selftest.tested_models() == {bundle.sha256: "small"}


def test_another_driver_is_tested_again(
    bundle: Bundle, runs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Model(bundle, engine="exact"):
        runs.clear()
    monkeypatch.setattr(selftest, "driver_version", lambda: "another")
    with Model(bundle, engine="exact"):
        assert runs.count("trunk") == len(TASKS)


def test_an_engine_that_answers_wrongly_is_not_used(bundle: Bundle, runs: list[str]) -> None:
    for _ in range(2):  # the first failure is not remembered as a success
        with pytest.raises(
            EngineError, match=r"self-test of 'small' are wrong.*gesture by 0\."
        ) as e:
            Model(bundle, engine="noisy")
    assert "fp32 may differ by 0.001" in e.value.what
    assert "gaze" not in e.value.what
    assert "another engine" in e.value.fix
    assert "cpu (onnxruntime" in e.value.where


@pytest.mark.parametrize("damage", ["no file", "a task less", "a wrong shape", "not numbers"])
def test_a_bundle_without_a_whole_self_test_is_not_run(bundle_folder: Path, damage: str) -> None:
    path = bundle_folder / "selftest.safetensors"
    arrays = safetensors.numpy.load_file(path)
    if damage == "a task less":
        del arrays["gesture"]
    elif damage == "a wrong shape":
        arrays["gesture"] = arrays["gesture"][:-1]
    elif damage == "not numbers":
        arrays["gesture"][3] = np.nan
    safetensors.numpy.save_file(arrays, path)
    if damage == "no file":
        path.unlink()
    small_bundle.relist(bundle_folder)
    wanted = "no self-test" if damage == "no file" else "'gesture'"
    with open_bundle(bundle_folder) as bundle, pytest.raises(BundleError, match=wanted) as e:
        Model(bundle, engine="cpu")
    assert "Export it again" in e.value.fix


def test_a_cache_that_cannot_be_written_keeps_nobody_from_running(
    bundle: Bundle, cache: Path, runs: list[str]
) -> None:
    cache.write_text("a file in its place")
    with Model(bundle, engine="exact"):
        assert runs.count("encoder") == 1


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b'{"distances": {"gaze": "far"}}'])
def test_a_damaged_record_counts_for_nothing(
    bundle: Bundle, cache: Path, runs: list[str], content: bytes
) -> None:
    with Model(bundle, engine="exact"):
        pass
    (record,) = cache.glob("selftests/*.json")
    record.write_bytes(content)
    runs.clear()
    with Model(bundle, engine="exact"):
        assert runs.count("trunk") == len(TASKS)


def answer(task: str, logits: np.ndarray) -> Prediction:
    shares = np.exp(logits - logits.max())
    shares /= shares.sum()
    raw = dict(zip(TASKS[task].labels, shares.tolist(), strict=True))
    return Prediction(task, (0,), 0, 0.0, raw=raw)


def test_what_all_logits_have_in_common_does_not_count() -> None:
    logits = np.random.default_rng(0).standard_normal(33)
    near = answer("gesture", logits + 100 + 1e-5 * np.arange(33))
    swapped = answer("gesture", logits[::-1])
    wanted = {"gesture": logits}
    assert selftest.compare([near], wanted)["gesture"] < 2e-4
    assert selftest.compare([swapped], wanted)["gesture"] > 0.8


def test_an_answer_that_is_a_tie_may_fall_either_way() -> None:
    wanted = {name: np.zeros(len(TASKS[name].labels)) for name in ("domain", "looking_at_me")}
    wanted["domain"][:2] = -2, 2
    wanted["looking_at_me"][:] = 0.01, -0.01
    found = answer("looking_at_me", np.array([-0.01, 0.01]))
    assert selftest.compare([found], wanted)["looking_at_me"] < 0.03


def test_heatmaps_are_compared_where_they_rise() -> None:
    logits = np.full((64, 64), -8.0)
    logits[10:20, 30:40] = 2.0

    def distance(found: np.ndarray) -> float:
        heatmap = (1 / (1 + np.exp(-found))).astype(np.float32)
        gaze = replace(answer("domain", np.zeros(3)), task="gaze", raw=None, heatmap=heatmap)
        return selftest.compare([gaze], {"gaze": logits})["gaze"]

    assert distance(logits) < 1e-6
    assert distance(np.roll(logits, 2, 0)) > 0.5
    assert distance(logits.T) > 1
    assert distance(np.zeros((64, 64))) > 0.9
