"""Every table of the paper end to end, small: from native layouts to a table beside the paper's."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import PIL.Image
import pytest
import torch
from safetensors.torch import load_file
from small_systems import small_systems

from sfedge.core.errors import ConfigError, SfedgeError, UnknownNameError, UsageError
from sfedge_training.__main__ import main
from sfedge_training.analysis.challenge import check_answers, find_faces
from sfedge_training.baselines.vlm.store import load_baseline
from sfedge_training.baselines.vlm.vlm_config import REMOTE
from sfedge_training.baselines.vlm.vlm_evaluate import evaluate_baseline
from sfedge_training.data.sample import DRAWN_MARK, Report
from sfedge_training.drawings import write_drawings
from sfedge_training.loop.checkpoint import load_model
from sfedge_training.loop.evaluate import evaluate
from sfedge_training.loop.reports import load_datasets, samples_of
from sfedge_training.loop.training_run import learn
from sfedge_training.reproduce import systems
from sfedge_training.reproduce.recipe_rows import MEASURES, read_table
from sfedge_training.reproduce.table import Outcome, write_markdown

TABLES = [f"table{n}" for n in range(1, 10)]
SMALL = (
    *("recipe.epochs=1", "recipe.batch=4", "recipe.warmup=1"),
    *("model.hidden=16", "model.image_tokens=64"),
)
NEEDS_CODE = {*REMOTE, "molmoe-1b", "sailvit-huge", "sail-vl-2b"}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    with small_systems(tmp_path_factory.mktemp("weights")) as places:
        yield places


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawings in the five native layouts, with two faces of the looking-at-me challenge."""
    root = tmp_path_factory.mktemp("data")
    write_drawings(root, count=3, val=2, test=2, seed=0, workers=1)
    track = root / "ego4d_lam" / "videos_challenge" / "clip" / "3"
    track.mkdir(parents=True)
    for name in ("00007_face-a", "00009_face-b"):
        PIL.Image.new("RGB", (60, 80), "gray").save(track / f"{name}.jpg")
    return root


@dataclass(frozen=True)
class Bench:
    """Runs the command on small systems, and reads what it leaves."""

    data: Path
    weights: dict[str, Path]
    out: Path

    def run(self, table: str, *words: str, allowed: bool = True) -> None:
        given = ["reproduce", table, "--data", str(self.data), "--out", str(self.out), *words]
        for name, place in self.weights.items():
            given += ["--weights", f"{name}={place}"]
        for change in SMALL:
            given += ["--set", change]
        main([*given, *(["--allow-remote-code"] if allowed else [])], standalone_mode=False)

    def cells(self, table: str) -> list[dict[str, str]]:
        with (self.out / f"{table}.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def page(self, table: str) -> str:
        return (self.out / f"{table}.md").read_text(encoding="utf-8")

    def folder(self, start: str) -> Path:
        (found,) = (self.out / "runs").glob(f"{start}-*")
        return found


@pytest.fixture(scope="module")
def bench(data: Path, weights: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """One folder for all tables: they share their runs."""
    return Bench(data, weights, tmp_path_factory.mktemp("out"))


@pytest.fixture
def alone(data: Path, weights: dict[str, Path], tmp_path: Path) -> Bench:
    """A folder of its own."""
    return Bench(data, weights, tmp_path / "out")


def refuse_training(*_: object, **__: object) -> None:
    raise AssertionError("something is trained again")


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_finished_beside_the_papers_figures(name: str, bench: Bench) -> None:
    bench.run(name)
    table = read_table(name)
    found = {
        (cell["row"], f"{cell['dataset']} {cell['measure']}"): cell for cell in bench.cells(name)
    }
    for row in table.rows:
        for heading in table.columns:
            paper, is_lam = row.paper.get(heading), "LAM" in heading and name == "table7"
            cell = found.pop((row.name, heading), None)
            if paper is None and name != "table4":
                assert cell is None, (row.name, heading)  # a dash in the paper is one here
                continue
            assert cell is not None, (row.name, heading)
            if row.system == "published" or is_lam:
                assert cell["ours"] == cell["difference"] == cell["samples"] == ""
                continue
            ours, measure = float(cell["ours"]), MEASURES[heading]
            most = {100.0: 100.0, 1.0: 2.0}[measure.unit]
            assert 0 <= ours <= most
            assert int(cell["samples"]) > 0
            assert (bench.out / "runs" / cell["run"] / "settings.json").is_file()
            if paper is not None:
                assert float(cell["paper"]) == paper
                assert float(cell["difference"]) == pytest.approx(ours - paper, abs=1e-3)
    assert not found
    page = bench.page(name).splitlines()
    assert page[0].startswith(f"# Table {name[-1]}: ")
    published = sum(row.system == "published" for row in table.rows)
    lines = [line for line in page if line.startswith("| ")]
    assert len(lines) == 2 + 3 * len(table.rows) - 2 * published
    assert len({line.count("|") for line in lines}) == 1
    with PIL.Image.open(bench.out / f"{name}.png") as picture:
        assert picture.width > 600
        assert len(picture.convert("RGB").getcolors(1 << 20) or ()) > 20


def test_what_is_done_is_skipped_and_shared(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in TABLES:
        if not (bench.out / f"{name}.md").exists():
            bench.run(name)
    monkeypatch.setattr(systems, "learn", refuse_training)
    capsys.readouterr()
    runs = {path.name for path in (bench.out / "runs").iterdir()}
    assert len(runs) == 102  # as tests of the recipes count them
    for name in ("table1", "table5", "table7"):
        before = bench.page(name)
        bench.run(name)
        assert bench.page(name) == before
    assert {path.name for path in (bench.out / "runs").iterdir()} == runs
    assert not list(bench.out.glob("runs/*/checkpoints"))
    assert "socialfusion-clip" not in capsys.readouterr().err  # nothing was begun

    bench.run("table1", "--list")
    printed = capsys.readouterr().out
    assert "MolmoE (1B/7B), ×: 5 of 5 runs are done" in printed
    bench.run("table7", "--list")
    assert "SOTA: published figures" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("table", "start", "score"),
    [
        ("table8", "socialfusion-dinov2-l14-joint", "pisc-val"),
        ("table2", "gaze-lle-molmoe-1b-gazefollow", "gazefollow-test"),
        ("table5", "probes-clip-l14-336-pisc", "pisc-val"),
        ("table9", "baseline-internvl3-joint", "hagrid-val"),
    ],
)
def test_a_saved_model_comes_back_as_it_was(
    bench: Bench, table: str, start: str, score: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.run(table)
    monkeypatch.setattr(systems, "learn", refuse_training)
    file = bench.folder(start) / "scores" / f"{score}.json"
    held = json.loads(file.read_text())
    file.unlink()
    bench.run(table)
    again = json.loads(file.read_text())
    assert again.keys() == held.keys()
    for task, figures in held.items():
        assert again[task] == pytest.approx(figures), task


def test_figures_are_those_of_the_saved_models_on_the_papers_splits(bench: Bench) -> None:
    bench.run("table9")
    cells = {(c["row"], c["dataset"], c["measure"]): c for c in bench.cells("table9")}
    cpu = torch.device("cpu")
    model, recipe, card = load_model(bench.folder("socialfusion-clip-l14-336-joint") / "model")
    assert recipe.exact_faces
    val = samples_of(load_datasets(bench.data, ("hagrid", "pisc"), "val"))
    test = ("affectnet", "gazefollow", "ego4d_lam")
    val += samples_of(load_datasets(bench.data, test, "test", exact_faces=True))
    figures = evaluate(model, val, device=cpu)
    assert figures == {task: pytest.approx(of) for task, of in card["scores"].items()}
    assert set(card["splits"]["scores"].split(", ")) == {
        *(f"{name} test" for name in test),
        *("hagrid val", "pisc val"),
    }
    baseline, _, _ = load_baseline(bench.folder("baseline-internvl3-joint") / "model")
    for name, scores in (
        ("socialfusion-joint", figures),
        ("internvl3-joint", evaluate_baseline(baseline, val, device=cpu)),
    ):
        for measure in MEASURES.values():
            cell = cells.get((name, measure.dataset, measure.name))
            if cell is not None:
                printed = scores[measure.task]
                assert float(cell["ours"]) == pytest.approx(
                    printed[measure.key] * measure.unit, 1e-4
                )
                assert int(cell["samples"]) == printed["samples"]
    lost = sum(of["unparsable"] for of in scores.values())
    assert lost > 0  # of a model that has learned nothing; the page tells
    assert "InternVL3 (2B), ✓: answers that cannot be read count as wrong, " in bench.page("table9")


def test_table_7_brings_the_file_for_the_challenge(bench: Bench) -> None:
    bench.run("table7")
    folder = bench.folder("socialfusion-clip-l14-336-joint")
    check_answers(folder / "pred.json", find_faces(bench.data, Report()))
    assert {path.name for path in (folder / "scores").iterdir()} >= {"hagrid-test.json"}
    assert "`pred.json`" in bench.page("table7")


def test_conflict_is_reported_for_each_pair_of_tasks(bench: Bench) -> None:
    bench.run("table4")
    cell = next(c for c in bench.cells("table4") if c["row"] == "molmoe-before")
    scores = bench.out / "runs" / cell["run"] / "scores" / "conflict.json"
    printed = json.loads(scores.read_text())["all"]
    pairs = {name: degree for name, degree in printed.items() if " and " in name}
    assert len(pairs) == 15
    assert sum(pairs.values()) / 15 == pytest.approx(printed["gradient_conflict"])
    assert float(cell["ours"]) == pytest.approx(printed["gradient_conflict"], rel=1e-4)
    train_samples = load_datasets(bench.data, ("affectnet", "hagrid", "pisc"), "train")
    assert printed["samples"] > sum(len(dataset.samples) for dataset in train_samples)


def test_probes_learn_the_same_from_stored_features(
    bench: Bench, alone: Bench, tmp_path: Path
) -> None:
    row, start = ("--row", "molmoe-before"), "probes-clip-l14-336-pisc"
    bench.run("table5", *row)
    alone.run("table5", *row, "--features", str(tmp_path / "features"))
    assert list((tmp_path / "features").glob("clip-l14-336-*/*.safetensors"))
    learned, again = (
        load_file(one.folder(start) / "model" / "trained.safetensors") for one in (bench, alone)
    )
    for name, tensor in learned.items():
        torch.testing.assert_close(again[name], tensor, atol=1e-5, rtol=1e-4)


def test_a_killed_run_goes_on_to_the_same_model(
    alone: Bench, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.run("table2", "--row", "qwen2-vl-before")
    whole = bench.folder("gaze-lle-dfn-h14-378") / "model" / "trained.safetensors"

    def killed(*words: Any, **named: Any) -> int:
        learn(*words, **named, stop_after=1)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(systems, "learn", killed)
        with pytest.raises(click.Abort):
            alone.run("table2", "--row", "qwen2-vl-before")
    folder = alone.folder("gaze-lle-dfn-h14-378")
    assert list((folder / "checkpoints").iterdir())
    assert not (folder / "model").exists()

    alone.run("table2", "--row", "qwen2-vl-before")
    assert not (folder / "checkpoints").exists()
    resumed = load_file(folder / "model" / "trained.safetensors")
    for name, tensor in load_file(whole).items():
        assert torch.equal(tensor, resumed[name]), name
    assert "Qwen2-VL, ✓: Not run yet." in alone.page("table2")


def test_without_leave_no_code_of_the_hub_runs_and_the_page_says_so(alone: Bench) -> None:
    alone.run("table2", allowed=False)
    assert "pass --allow-remote-code" in alone.page("table2")
    with_figures = {cell["row"] for cell in alone.cells("table2") if cell["ours"]}
    assert with_figures == {"qwen2-vl-before", "qwen2-vl-after", "molmoe-before"}
    begun = {path.name for path in (alone.out / "runs").iterdir()}
    assert not any(name in folder for name in NEEDS_CODE for folder in begun)


def test_a_row_that_fails_is_reported_and_the_others_go_on(
    alone: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = {**alone.weights, "clip-l14-336": alone.out / "nowhere.safetensors"}
    bench = Bench(alone.data, broken, alone.out)
    with pytest.raises(SfedgeError, match=r"table2: 1 of its runs failed\. They are listed in"):
        bench.run("table2", "--row", "molmoe-before", "--row", "qwen2-vl-before")
    assert "the encoder's weights cannot be loaded" in capsys.readouterr().err
    (note,) = [line for line in bench.page("table2").splitlines() if line.startswith("- MolmoE, ×")]
    assert "nowhere.safetensors: the encoder's weights cannot be loaded" in note
    assert {cell["row"] for cell in bench.cells("table2") if cell["ours"]} == {"qwen2-vl-before"}


def test_single_training_goes_on_without_a_dataset_that_is_not_there(
    alone: Bench, tmp_path: Path
) -> None:
    some = tmp_path / "some"
    some.mkdir()
    for name in ("affectnet", "pisc"):
        (some / name).symlink_to(alone.data / name)
    (some / DRAWN_MARK).write_text("{}\n")
    bench = Bench(some, alone.weights, alone.out)
    with pytest.raises(SfedgeError, match="2 of its runs failed"):
        bench.run("table5", "--row", "molmoe-before")
    cells = [cell for cell in bench.cells("table5") if cell["row"] == "molmoe-before"]
    assert {cell["dataset"] for cell in cells if cell["ours"]} == {"AffectNet", "PISC"}
    page = bench.page("table5")
    assert "probes-clip-l14-336-hagrid" in page
    assert "**The data are drawings: nothing here can be compared with the paper.**" in page
    assert "**Settings were changed for all rows: recipe.epochs=1, " in page


def test_runs_on_other_data_are_not_mixed(alone: Bench, tmp_path: Path) -> None:
    alone.run("table2", "--row", "molmoe-before")
    other = tmp_path / "other"
    other.mkdir()
    (other / "gazefollow").symlink_to(alone.data / "gazefollow")
    with pytest.raises(SfedgeError, match="1 of its runs failed"):
        Bench(other, alone.weights, alone.out).run("table2", "--row", "molmoe-before")
    page = alone.page("table2")
    assert f"this run is of the data in {alone.data}, not of {other}" in page
    assert all(cell["ours"] == "" for cell in alone.cells("table2"))


def test_a_page_reads_as_the_paper_does(tmp_path: Path) -> None:
    table = read_table("table7")
    sota, ours = table.rows
    figures = {
        "gesture": {"mean_average_precision": 0.99841, "samples": 9.0},
        "gaze": {"minimum_l2": 0.06449, "average_l2": 0.2, "area_under_roc": 0.5, "samples": 4.0},
        "expression": {"accuracy": 0.5283, "samples": 5.0, "unparsable": 2.0},
    }
    outcome = Outcome(row=ours, figures=figures, runs=dict.fromkeys(figures, "run"))
    write_markdown(tmp_path / "page.md", table, [Outcome(row=sota), outcome], ["Know this."])
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "\n**Know this.**\n" in page
    printed = [line for line in page.splitlines() if line.startswith("|")]
    assert printed[0].endswith(
        "| LAM Acc ↑ | GazeFollow Min L2 ↓ | GazeFollow Avg L2 ↓ | "
        "GazeFollow AUC ↑ | AffectNet Acc ↑ |"
    )
    assert printed[2:] == [
        "| SOTA | paper | 89.4 | 87.0 | 79.5 | 81.0 | 93.0 | 0.041 | 0.099 | 95.8 | 66.32 |",
        "| SocialFusion (Ours) | ours | 99.8 | — | — | — | — | 0.064 | 0.200 | 50.0 | 52.8 |",
        "|  | paper | 99.8 | 94.2 | 88.5 | 76.0 | 92.0 | 0.065 | 0.128 | 94.0 | 52.8 |",
        "|  | difference | 0.0 | — | — | — | — | −0.001 | +0.072 | −44.0 | 0.0 |",
    ]
    assert "cannot be read count as wrong, 2 of 5 to expression." in page


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (("--row", "moose-before"), UnknownNameError, "Did you mean 'molmoe-before'"),
        (("--set", "recipe.epoch=1"), UnknownNameError, "Did you mean 'epochs'"),
        (("--set", "model.datasets=[]"), UnknownNameError, "no setting of model"),
        (("--set", "recipe.datasets=[]"), UnknownNameError, "no setting of recipe"),
        (("--set", "epochs=1"), UsageError, "'epochs=1' is no setting. As recipe.epochs=1"),
        (("--set", "recipe.epochs"), UsageError, "'recipe.epochs' is no setting"),
        (("--set", "recipe.epochs=0"), ConfigError, "epochs 0 is below 1"),
        (("--set", "recipe.precision=fp8"), ConfigError, "precision 'fp8'"),
        (("--weights", "clip=x"), UnknownNameError, "no part with weights is called 'clip'"),
        (("--weights", "language="), UsageError, "'language=' names no place"),
    ],
)
def test_wrong_words_are_refused_before_anything_runs(
    alone: Bench, words: tuple[str, ...], error: type[Exception], message: str
) -> None:
    given = ["reproduce", "table2", "--data", str(alone.data), "--out", str(alone.out), *words]
    with pytest.raises(error, match=message):
        main(given, standalone_mode=False)
    assert not alone.out.exists()
