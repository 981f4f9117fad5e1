"""The loop: schedule, exact resume, what it writes."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from sfedge.core.boxes import Box
from sfedge.core.errors import ConfigError, DataError, UnknownNameError
from sfedge_training.data.mixture import ViewSpec, pictures_opener
from sfedge_training.data.sample import Sample
from sfedge_training.loop.checkpoint import load_model, load_pretrained, save_model
from sfedge_training.loop.evaluate import evaluate
from sfedge_training.loop.losses import loss
from sfedge_training.loop.recipe import Recipe, recipe_from_json
from sfedge_training.loop.train import learning_rate, train
from sfedge_training.model.model_config import PRESETS
from sfedge_training.model.social_fusion import SocialFusion, build_model
from sfedge_training.model.states import frozen_state, trained_state

CPU = torch.device("cpu")
CONFIG = replace(PRESETS["tiny"], hidden=32, lora_rank=2, lora_dropout=0.2)
RECIPE = Recipe(datasets=("affectnet", "gazefollow"), epochs=2, batch=2, warmup=3)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Sample]]:
    """Five pictures of noise for two datasets."""
    folder = tmp_path_factory.mktemp("noise")
    random = np.random.default_rng(0)
    paths = [folder / f"{i}.png" for i in range(5)]
    for path in paths:
        PIL.Image.fromarray(random.integers(0, 255, (40, 50, 3), np.uint8)).save(path)
    return {
        "affectnet": [Sample(image=p, task="expression", label=i) for i, p in enumerate(paths)],
        "gazefollow": [
            Sample(
                image=p,
                task="gaze",
                boxes=(Box(0.2, 0.2, 0.4, 0.5),),
                points=((0.1 * i, 0.5), (0.1 * i, 0.6)),
                size=(50, 40),
            )
            for i, p in enumerate(paths)
        ],
    }


def fresh_model() -> SocialFusion:
    torch.manual_seed(0)
    return build_model(CONFIG)


def run_train(
    model: SocialFusion,
    samples: dict[str, list[Sample]],
    recipe: Recipe,
    run: Path,
    *,
    stop_after: int | None = None,
) -> int:
    opener = pictures_opener(ViewSpec(model.encoder.input, model.token_grid))
    done = train(model, samples, recipe, run, loss=loss, opener=opener, stop_after=stop_after)
    return done.steps


def rows_of(run: Path) -> list[dict[str, str]]:
    with (run / "log.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def losses(run: Path) -> list[str]:
    return [row["loss"] for row in rows_of(run)]


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(
    samples: dict[str, list[Sample]], tmp_path: Path
) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    unbroken = fresh_model()
    steps = run_train(unbroken, samples, RECIPE, whole)
    assert steps == 12
    assert run_train(fresh_model(), samples, RECIPE, stopped, stop_after=7) == 7
    # What a killed run logged after its last checkpoint must not stand twice.
    with (stopped / "log.csv").open("a", encoding="utf-8") as file:
        file.write("7,0,0,0,0,0\n")
    resumed = fresh_model()
    run_train(resumed, samples, RECIPE, stopped)
    assert losses(whole) == losses(stopped)
    for name, tensor in trained_state(unbroken).items():
        assert torch.equal(tensor, trained_state(resumed)[name]), name


def test_a_balanced_weight_makes_gaze_gradients_as_long_as_those_of_labels(
    samples: dict[str, list[Sample]], tmp_path: Path
) -> None:
    run_train(fresh_model(), samples, replace(RECIPE, gaze_weight="balanced"), tmp_path)
    means: dict[str, float] = {}
    weights = []
    for row in rows_of(tmp_path):
        kind = "label" if row["label_loss"] else "gaze"
        norm = float(row["gradient_norm"])
        if kind == "gaze":
            weight = float(row["gaze_weight"])
            wanted = means["label"] / means["gaze"] if len(means) == 2 else 1.0
            assert weight == pytest.approx(wanted, rel=1e-4)
            weights.append(weight)
            norm /= weight
        means[kind] = math.exp(0.9 * math.log(means.get(kind, norm)) + 0.1 * math.log(norm))
    assert weights[0] == 1
    assert len(set(weights)) > 5

    labels = {"affectnet": samples["affectnet"]}
    run_train(fresh_model(), labels, replace(RECIPE, datasets=("affectnet",)), tmp_path / "labels")
    assert not any(row["gaze_weight"] for row in rows_of(tmp_path / "labels"))


def test_only_the_recipes_parts_move(samples: dict[str, list[Sample]], tmp_path: Path) -> None:
    model, start = fresh_model(), fresh_model()
    run_train(model, samples, replace(RECIPE, epochs=1), tmp_path)
    assert all(torch.equal(t, frozen_state(start)[n]) for n, t in frozen_state(model).items())
    moved = [
        n for n, t in trained_state(model).items() if not torch.equal(t, trained_state(start)[n])
    ]
    assert len(moved) == len(trained_state(model))


def test_the_rate_warms_up_linearly_and_falls_as_a_cosine() -> None:
    recipe = Recipe(learning_rate=1e-3, warmup=10)
    rates = [learning_rate(step, 110, recipe) for step in range(110)]
    assert rates[:10] == pytest.approx([1e-4 * (i + 1) for i in range(10)])
    assert rates[60] == pytest.approx(5e-4)
    assert rates[85] == pytest.approx(0.5e-3 * (1 + math.cos(0.75 * math.pi)))
    assert rates[-1] < 1e-6


def test_a_saved_model_answers_as_before(samples: dict[str, list[Sample]], tmp_path: Path) -> None:
    model = fresh_model().eval()
    with torch.no_grad():
        for tensor in trained_state(model).values():
            tensor.add_(torch.randn_like(tensor) * 0.05)
    save_model(tmp_path / "model", model, RECIPE, {"scores": {"expression": 1}})
    loaded, recipe, card = load_model(tmp_path / "model")
    assert recipe == RECIPE
    assert card == {"scores": {"expression": 1}}
    images, masks = torch.randn(2, 3, 96, 96), torch.ones(2, 36)
    with torch.inference_mode():
        assert torch.equal(
            model.label_logits(images, masks, "gesture"),
            loaded.label_logits(images, masks, "gesture"),
        )
        assert torch.equal(
            model.gaze_logits(images, masks, ["gaze"] * 2),
            loaded.gaze_logits(images, masks, ["gaze"] * 2),
        )
    assert evaluate(loaded, samples["affectnet"] + samples["gazefollow"], device=CPU) == evaluate(
        model, samples["affectnet"] + samples["gazefollow"], device=CPU
    )


def pre_trained(samples: dict[str, list[Sample]], run: Path) -> SocialFusion:
    """A pre-training's model, which is in `run/model`, too."""
    parts = build_model(CONFIG, with_lora=False)
    parts.unfreeze_all()
    recipe = replace(RECIPE, epochs=1, pretraining=True)
    run_train(parts, samples, recipe, run)
    save_model(run / "model", parts, recipe, {})
    return parts


def test_pre_trained_parts_come_from_a_run_without_lora(
    samples: dict[str, list[Sample]], tmp_path: Path
) -> None:
    parts = pre_trained(samples, tmp_path)
    model = fresh_model()
    load_pretrained(model, tmp_path / "model")
    assert all(torch.equal(t, frozen_state(parts)[n]) for n, t in frozen_state(model).items())
    assert any(p.requires_grad for p in model.parameters())
    assert not any(p.requires_grad for p in model.encoder.parameters())


def test_a_training_may_begin_with_the_connector_of_the_pre_training_and_a_lora_of_its_own(
    samples: dict[str, list[Sample]], tmp_path: Path
) -> None:
    parts = pre_trained(samples, tmp_path)
    model, anew = fresh_model(), fresh_model()
    lora = {n: t.clone() for n, t in trained_state(model).items() if ".lora_" in n}
    load_pretrained(model, tmp_path / "model", with_connector=True)
    load_pretrained(anew, tmp_path / "model")
    learned = trained_state(parts)
    assert learned.keys() == trained_state(model).keys() - lora.keys()
    assert all(torch.equal(t, trained_state(model)[n]) for n, t in learned.items())
    assert lora
    assert all(torch.equal(t, trained_state(model)[n]) for n, t in lora.items())
    assert not all(torch.equal(t, trained_state(anew)[n]) for n, t in learned.items())


def test_scores_of_random_answers_are_near_chance_and_complete(
    samples: dict[str, list[Sample]],
) -> None:
    figures = evaluate(fresh_model(), samples["gazefollow"], device=CPU)["gaze"]
    assert 0 <= figures["minimum_l2"] <= figures["average_l2"] + 0.05
    assert 0 <= figures["area_under_roc"] <= 1
    # Annotators' mean points are (0.1 i, 0.55): distance to the centre by hand.
    expected = np.mean([math.hypot(0.1 * i - 0.5, 0.05) for i in range(5)])
    assert figures["centre_average_l2"] == pytest.approx(expected)


def test_a_damaged_model_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"model\.json"):
        load_model(tmp_path)
    model = fresh_model()
    save_model(tmp_path / "model", model, RECIPE, {})
    weights = tmp_path / "model" / "trained.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(DataError, match=r"trained\.safetensors"):
        load_model(tmp_path / "model")


def test_a_recipe_reads_back_and_tells_all_faults() -> None:
    recipe = Recipe(datasets=("pisc", "hagrid"), gaze_weight=0.5)
    assert recipe_from_json(json.loads(json.dumps(recipe.to_json()))) == recipe
    assert recipe.tasks == ("domain", "relation", "gesture")
    assert Recipe(gaze_weight="paper").heatmap_weight() == pytest.approx(0.2)
    old = Recipe().to_json() | {"gaze_weight": None}  # as it was saved when "paper" had no name
    assert recipe_from_json(old).gaze_weight == "paper"
    for wrong in (0, -1.0, True, "even"):
        with pytest.raises(ConfigError, match="gaze weight"):
            Recipe(gaze_weight=wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"epochs 0 .*batch -1"):
        Recipe(epochs=0, batch=-1)
    with pytest.raises(UnknownNameError, match="Did you mean 'gazefollow'"):
        Recipe(datasets=("gazefolow",))
    with pytest.raises(ConfigError, match="epoch_count"):
        recipe_from_json({"epoch_count": 3})


def test_a_checkpoint_of_another_model_is_refused(
    samples: dict[str, list[Sample]], tmp_path: Path
) -> None:
    run_train(fresh_model(), samples, RECIPE, tmp_path, stop_after=1)
    other = build_model(replace(CONFIG, lora_rank=3))
    with pytest.raises(DataError, match="another model"):
        run_train(other, samples, RECIPE, tmp_path)
