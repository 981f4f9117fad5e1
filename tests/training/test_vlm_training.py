"""A baseline from samples to answers: training, resuming, saving, the commands."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import PIL.Image
import pytest
import torch
from click.testing import CliRunner
from tiny_vlms import internvl3_parts, qwen2_vl_parts, tiny_vlm

from sfedge.core.boxes import Box
from sfedge.core.errors import ConfigError, DataError
from sfedge_training.baselines.vlm.batches import ChatDataset, chat_opener
from sfedge_training.baselines.vlm.load import build_baseline
from sfedge_training.baselines.vlm.store import load_baseline
from sfedge_training.baselines.vlm.vlm_command import vlm_evaluate, vlm_train
from sfedge_training.baselines.vlm.vlm_config import VlmConfig
from sfedge_training.baselines.vlm.vlm_evaluate import ask, evaluate_baseline
from sfedge_training.baselines.vlm.vlm_model import VisionLanguageModel, answer_loss
from sfedge_training.data.mixture import open_view
from sfedge_training.data.sample import Sample
from sfedge_training.loop.recipe import Recipe
from sfedge_training.loop.train import train

CPU = torch.device("cpu")
POINTS = ((0.12, 0.9), (0.5, 0.5), (0.999, 0.04), (0.3, 0.061))
LABELS = (0, 3, 5, 7)
RECIPE = Recipe(
    datasets=("affectnet", "gazefollow"),
    epochs=60,
    batch=8,
    learning_rate=2e-2,
    warmup=5,
    weight_decay=0.0,
    augment=False,
)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Sample]]:
    """Four pictures unlike each other, each with an expression and a gaze point."""
    folder = tmp_path_factory.mktemp("views")
    random = np.random.default_rng(0)
    paths = [folder / f"{i}.png" for i in range(4)]
    for path in paths:
        patches = random.integers(0, 255, (2, 2, 3), np.uint8)
        PIL.Image.fromarray(patches.repeat(28, 0).repeat(28, 1)).save(path)
    head = Box(0.2, 0.2, 0.4, 0.5)
    return {
        "affectnet": [
            Sample(image=path, task="expression", label=label)
            for path, label in zip(paths, LABELS, strict=True)
        ],
        "gazefollow": [
            Sample(image=path, task="gaze", boxes=(head,), points=(point,), size=(56, 56))
            for path, point in zip(paths, POINTS, strict=True)
        ],
    }


def train_vlm(
    model: VisionLanguageModel,
    samples: dict[str, list[Sample]],
    recipe: Recipe,
    run: Path,
    *,
    stop_after: int | None = None,
) -> int:
    opener = chat_opener(model.adapter)
    done = train(
        *(model, samples, recipe, run),
        loss=answer_loss,
        opener=opener,
        mixes_gaze=True,
        stop_after=stop_after,
    )
    return done.steps


@pytest.mark.parametrize("family", ["qwen2-vl", "internvl3"])
def test_four_samples_of_two_tasks_are_learned_and_answered_exactly(
    family: str, samples: dict[str, list[Sample]], tmp_path: Path
) -> None:
    model = tiny_vlm(family)
    train_vlm(model, samples, replace(RECIPE, epochs=2 * RECIPE.epochs), tmp_path)

    assert ask(model, samples["affectnet"], device=CPU).texts == ("a", "d", "f", "h")
    printed = ask(model, samples["gazefollow"], device=CPU, batch=3)
    assert printed.texts == ("(120,900)", "(500,500)", "(999,40)", "(300,61)")
    assert printed.scores is None
    figures = evaluate_baseline(model, samples["affectnet"] + samples["gazefollow"], device=CPU)
    assert list(figures) == ["expression", "gaze"]
    assert figures["expression"]["accuracy"] == 1
    assert figures["expression"]["mean_average_precision"] == 1
    assert figures["gaze"]["average_l2"] == pytest.approx(0, abs=1e-9)
    assert figures["expression"]["unparsable"] == figures["gaze"]["unparsable"] == 0


def test_before_training_answers_are_wrong_and_unparsable(
    samples: dict[str, list[Sample]],
) -> None:
    model = tiny_vlm("internvl3")
    figures = evaluate_baseline(model, samples["affectnet"] + samples["gazefollow"], device=CPU)
    assert figures["expression"]["unparsable"] == figures["gaze"]["unparsable"] == 4
    assert figures["expression"]["accuracy"] == 0
    assert figures["gaze"]["minimum_l2"] == pytest.approx(2**0.5)


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "log.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(
    samples: dict[str, list[Sample]], tmp_path: Path
) -> None:
    recipe = replace(RECIPE, epochs=2, batch=3, augment=True)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    unbroken = tiny_vlm("internvl3", lora_dropout=0.3)
    assert train_vlm(unbroken, samples, recipe, whole) == 6

    first = tiny_vlm("internvl3", lora_dropout=0.3)
    assert train_vlm(first, samples, recipe, stopped, stop_after=4) == 4
    with (stopped / "log.csv").open("a", encoding="utf-8") as file:
        file.write("4,0,0,0,0,0\n")  # what a killed run wrote after its last checkpoint
    resumed = tiny_vlm("internvl3", lora_dropout=0.3)
    train_vlm(resumed, samples, recipe, stopped)

    assert rows(stopped) == rows(whole)
    assert len(rows(whole)) == 6
    for name, tensor in unbroken.trained_state().items():
        assert torch.equal(tensor, resumed.trained_state()[name]), name


def test_tasks_are_mixed_within_a_batch_and_single_training_has_one(
    samples: dict[str, list[Sample]], tmp_path: Path
) -> None:
    recipe = replace(RECIPE, epochs=1)
    train_vlm(tiny_vlm("internvl3"), samples, recipe, tmp_path / "joint")
    (joint,) = rows(tmp_path / "joint")  # one batch of eight
    assert float(joint["loss"]) > 0
    gaze = {"gazefollow": samples["gazefollow"]}
    single = replace(recipe, datasets=("gazefollow",))
    train_vlm(tiny_vlm("internvl3"), gaze, single, tmp_path / "single")
    (row,) = rows(tmp_path / "single")
    assert row["loss"] != joint["loss"]


def test_boxes_and_points_are_in_fractions_of_the_view(
    samples: dict[str, list[Sample]],
) -> None:
    whole = samples["gazefollow"][1]
    sample = replace(
        whole, view=Box(0.0, 0.0, 0.5, 1.0), boxes=(Box(0.1, 0.2, 0.3, 0.4),), points=((0.25, 0.5),)
    )
    picture, boxes, points = open_view(sample, None)
    assert picture.shape == (56, 28, 3)
    assert boxes == (Box(0.2, 0.2, 0.6, 0.4),)
    assert points == ((0.5, 0.5),)
    batch = ChatDataset([[sample]], tiny_vlm("internvl3").adapter, answers=True)[0]
    tokenizer = tiny_vlm("internvl3").adapter.tokenizer  # type: ignore[attr-defined]
    said = tokenizer.decode(batch.inputs["input_ids"][0])
    assert "(200,200),(600,400)<|im_end|>" in said
    assert said.endswith("assistant\n(500,500)<|im_end|>")


def test_a_flipped_view_flips_its_boxes_and_points(
    samples: dict[str, list[Sample]],
) -> None:
    sample = samples["gazefollow"][0]
    plain, _, _ = open_view(sample, None)
    for seed in range(40):
        picture, _, points = open_view(sample, (seed,))
        if picture.shape == plain.shape and points[0][0] == pytest.approx(1 - POINTS[0][0]):
            break
    else:
        pytest.fail("no seed mirrors the whole view")
    shown, mirrored = picture.astype(float), plain.astype(float)[:, ::-1]
    assert np.corrcoef(shown.ravel(), mirrored.ravel())[0, 1] > 0.99


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Qwen2-VL and InternVL3 as transformers saves them."""
    folder = tmp_path_factory.mktemp("weights")
    for name, parts in (("qwen2-vl", qwen2_vl_parts), ("internvl3", internvl3_parts)):
        torch.manual_seed(3)
        network, processor = parts()
        network.save_pretrained(folder / name)  # type: ignore[operator]
        processor.save_pretrained(folder / name)
    return folder


def run(command: click.Command, *words: object) -> str:
    ended = CliRunner().invoke(command, [str(word) for word in words], catch_exceptions=False)
    assert ended.exit_code == 0, ended.output
    return ended.stdout


@pytest.mark.parametrize("family", ["qwen2-vl", "internvl3"])
def test_the_commands_train_save_and_score_the_same_model(
    family: str, weights: Path, drawings: Path, tmp_path: Path
) -> None:
    datasets = ("--datasets", "pisc,gazefollow")
    words = (
        *(drawings, "--out", tmp_path / "run", "--family", family, "--weights", weights / family),
        *(
            *datasets,
            "--epochs",
            "1",
            "--batch",
            "2",
            "--image-tokens",
            "8",
            "--gradient-checkpointing",
        ),
        *("--precision", "bf16"),
    )
    assert "Stopped after 1 steps" in run(vlm_train, *words, "--stop-after", "1")
    printed = run(vlm_train, *words)
    saved = tmp_path / "run" / "model"
    assert f"The model is in {saved}" in printed

    model, recipe, card = load_baseline(saved)
    assert recipe.datasets == ("pisc", "gazefollow")
    assert model.config.weights == str(weights / family)
    assert card["model"] == model.config.to_json()
    assert card["scores"].keys() == {"domain", "relation", "gaze"}
    figures = json.loads(run(vlm_evaluate, saved, drawings, *datasets, "--json"))
    assert figures == card["scores"]
    assert "unparsable" in printed


def test_lora_of_another_model_and_weights_of_another_family_are_refused(
    weights: Path, drawings: Path, tmp_path: Path
) -> None:
    run(
        vlm_train,
        *(drawings, "--out", tmp_path, "--family", "internvl3", "--weights", weights / "internvl3"),
        *("--datasets", "gazefollow", "--epochs", "1", "--image-tokens", "4"),
    )
    settings = tmp_path / "model" / "model.json"
    changed = json.loads(settings.read_text()) | {"lora_rank": 3}
    settings.write_text(json.dumps(changed))
    with pytest.raises(DataError, match="the LoRA does not fit"):
        load_baseline(tmp_path / "model")
    with pytest.raises(ConfigError, match=r"internvl3 .*nowhere"):
        build_baseline(VlmConfig(family="internvl3", weights=str(tmp_path / "nowhere")))


@pytest.mark.parametrize("command", [vlm_train, vlm_evaluate])
def test_every_option_has_a_help_text(command: click.Command) -> None:
    options = [one for one in command.params if isinstance(one, click.Option)]
    assert [one.name for one in options if not one.help] == []
