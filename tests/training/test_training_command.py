"""The command: real weights where a user has them, what it writes, and what it refuses."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
import open_clip
import PIL.Image
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM

from sfedge.core.errors import ConfigError, UnknownNameError, UsageError
from sfedge_training.__main__ import main
from sfedge_training.loop.checkpoint import DEFAULT_MODEL, load_model, save_model
from sfedge_training.loop.recipe import Recipe
from sfedge_training.model.encoder import Encoder
from sfedge_training.model.encoders import ENCODERS
from sfedge_training.model.image_encoders import open_clip_encoder
from sfedge_training.model.language import tiny_llama
from sfedge_training.model.model_config import PRESETS
from sfedge_training.model.social_fusion import build_model
from sfedge_training.model.states import frozen_state, trained_state
from sfedge_training.model.tokenizer import build_word_tokenizer

SMALL_CLIP = "small-command-clip"
DATASETS = ("--datasets", "affectnet, gazefollow,")
ONE_STEP_EACH = (*DATASETS, "--epochs", "1", "--batch", "4", "--no-augment")


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of other sizes than the preset's, as transformers saves it."""
    folder = tmp_path_factory.mktemp("weights") / "llama"
    tokenizer = build_word_tokenizer()
    torch.manual_seed(1)
    config = tiny_llama(len(tokenizer))
    config.hidden_size, config.num_hidden_layers, config.head_dim = 64, 2, 16
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Weights of a small CLIP of open_clip's own, which here takes the paper's place."""
    sizes = {"image_size": 56, "layers": 2, "width": 64, "head_width": 16, "patch_size": 14}
    settings = {
        "embed_dim": 16,
        "quick_gelu": True,
        "vision_cfg": sizes,
        "text_cfg": {"context_length": 8, "vocab_size": 32, "width": 16, "heads": 2, "layers": 1},
    }
    description = tmp_path / f"{SMALL_CLIP}.json"
    description.write_text(json.dumps(settings))
    open_clip.add_model_config(description)

    def small(weights: str | None, layer: int) -> Encoder:
        return open_clip_encoder(SMALL_CLIP, weights, layer)

    monkeypatch.setitem(ENCODERS, "clip-l14-336", small)
    torch.manual_seed(2)
    file = tmp_path / "clip.safetensors"
    save_file(open_clip.create_model(SMALL_CLIP).state_dict(), file)
    yield file
    open_clip.factory._MODEL_CONFIGS.pop(SMALL_CLIP)


def run(*words: object) -> None:
    main([str(word) for word in words], standalone_mode=False)


def test_weights_of_a_file_and_a_folder_are_trained_on_and_found_again_from_elsewhere(
    drawings: Path, llama: Path, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "llama").symlink_to(llama)
    run(
        *("train", drawings, "--out", "run", "--preset", "paper", *ONE_STEP_EACH),
        *("--encoder-weights", "clip.safetensors", "--language", "llama"),
    )

    saved = tmp_path / "run" / "model"
    assert len((tmp_path / "run" / "log.csv").read_text().splitlines()) == 1 + 2
    assert not (saved / "frozen.safetensors").exists()  # published weights are named, not copied
    monkeypatch.chdir("/")
    model, recipe, card = load_model(saved)
    assert recipe.datasets == ("affectnet", "gazefollow")
    assert card["steps"] == 2
    assert card["model"]["language"] == str(llama)
    frozen = frozen_state(model)
    for name, tensor in load_file(llama / "model.safetensors").items():
        assert torch.equal(frozen[f"llm.{name}"], tensor), name
    published = load_file(clip)
    assert torch.equal(frozen["encoder.visual.conv1.weight"], published["visual.conv1.weight"])
    learned = load_file(saved / "trained.safetensors")
    assert any(tensor.any() for name, tensor in learned.items() if "lora_B" in name)


def test_a_pre_training_brings_only_what_has_no_published_weights(
    drawings: Path, llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(3)
    parts = build_model(PRESETS["tiny"], with_lora=False)
    save_model(tmp_path / "parts", parts, Recipe(pretraining=True), {})
    out = tmp_path / "run"
    run(
        *("train", drawings, "--out", out, *ONE_STEP_EACH),
        *("--language", llama, "--pretrained", tmp_path / "parts"),
    )
    printed = capsys.readouterr().out

    model, _, _ = load_model(out / "model")
    encoder = {n for n in frozen_state(model) if n.startswith("encoder.")}
    assert load_file(out / "model" / "frozen.safetensors").keys() == encoder
    pretrained = frozen_state(parts)
    assert all(torch.equal(frozen_state(model)[name], pretrained[name]) for name in encoder)
    assert model.lm.config.hidden_size == 64
    assert f"The model is in {out / 'model'}" in printed

    run("evaluate", out / "model", drawings, *DATASETS, "--json")
    again = json.loads(capsys.readouterr().out)
    assert again.keys() == {"expression", "gaze"}
    assert f"average_l2 {again['gaze']['average_l2']:.4g}" in printed


def test_a_trained_model_learns_on_with_its_own_settings(drawings: Path, tmp_path: Path) -> None:
    torch.manual_seed(3)
    tiny = replace(PRESETS["tiny"], lora_rank=3, lora_alpha=5, hidden=40)
    start = build_model(tiny)
    with torch.no_grad():
        start.box_embedding.fill_(0.25)
    save_model(tmp_path / "start", start, Recipe(), {})
    words = ("train", drawings, "--start-from", tmp_path / "start", "--out", tmp_path / "run")

    run(*words, *ONE_STEP_EACH, "--learning-rate", "1e-9", "--weight-decay", "0")

    model, recipe, card = load_model(tmp_path / "run" / "model")
    assert model.config == tiny
    assert recipe.datasets == ("affectnet", "gazefollow")
    torch.testing.assert_close(model.box_embedding, start.box_embedding)
    frozen, before = frozen_state(model), frozen_state(start)
    assert all(torch.equal(frozen[name], before[name]) for name in before)
    assert (card["software"]["commit"] or "")[:7] == _git_head()[:7]
    for more in (("--preset", "paper"), ("--lora-alpha", "2"), ("--pretrained", "/")):
        with pytest.raises(UsageError, match="decides about"):
            run(*words, *more)
    save_model(tmp_path / "start", start, Recipe(pretraining=True), {})
    with pytest.raises(UsageError, match=r"Name it with --pretrained\."):
        run(*words)


def test_the_default_model_learns_on_from_a_users_own_hands(tmp_path: Path) -> None:
    hands = tmp_path / "data" / "folder"
    hands.mkdir(parents=True)
    rows = ["picture,task,label,split"]
    for place, (label, split) in enumerate(
        [("ok", "train"), ("no_gesture", "train"), ("palm", "val"), ("fist", "test")]
    ):
        PIL.Image.new("RGB", (96, 96), (60 * place, 120, 90)).save(hands / f"{place}.png")
        rows.append(f"{place}.png,gesture,{label},{split}")
    (hands / "labels.csv").write_text("\n".join(rows), encoding="utf-8")
    out = tmp_path / "run"
    words = (
        *("train", tmp_path / "data", "--datasets", "folder", "--epochs", "1", "--batch", "2"),
        *("--workers", "0", "--learning-rate", "1e-9", "--weight-decay", "0"),
    )

    run(*words, "--start-from", "default", "--out", out)
    run(*words, "--start-from", "default", "--keep-tasks", "--out", tmp_path / "kept")
    with pytest.raises(UsageError, match=r"Name it with --start-from, beside --datasets folder"):
        run(*words, "--preset", "small", "--keep-tasks", "--out", tmp_path / "none")

    start, _, first_card = load_model(DEFAULT_MODEL)
    _, kept, kept_card = load_model(tmp_path / "kept" / "model")
    assert kept.tasks == ("expression", "gesture", "looking_at_me")
    assert kept_card["calibration"] == first_card["calibration"]
    model, recipe, card = load_model(out / "model")
    assert model.config == start.config
    assert (recipe.own_tasks, card["steps"]) == (("gesture",), 1)  # with the hand that makes none
    assert card["began_from"] == {part: first_card[part] for part in ("data", "recipe")}
    assert card["licence"] == first_card["licence"] == "CC BY-SA 4.0, see sfedge/bundles/LICENSE"
    assert not card["data"]["is_drawn"]
    for state in (frozen_state, trained_state):
        before, after = state(start), state(model)
        assert before.keys() == after.keys()
        for name, tensor in before.items():
            torch.testing.assert_close(after[name], tensor, msg=name)


def test_a_run_goes_on_with_its_own_recipe_alone(
    drawings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(3)
    card = {"data": {"is_drawn": True, "samples": {}}, "recipe": {"epochs": 7}}
    save_model(tmp_path / "start", build_model(PRESETS["tiny"]), Recipe(), card)
    start = ("--start-from", tmp_path / "start", "--out", tmp_path / "run")
    words = ("train", drawings, *start, *ONE_STEP_EACH)
    run(*words, "--stop-after", "1")
    assert "Stopped after 1 steps" in capsys.readouterr().out
    with pytest.raises(ConfigError, match=r"begun with learning_rate 0\.0002, not 0\.1"):
        run(*words, "--learning-rate", "0.1")

    run(*words, "--micro-batches", "2", "--stop-after", "2")  # in parts, and to its end

    assert "The model is in" in capsys.readouterr().out
    _, _, printed = load_model(tmp_path / "run" / "model")
    assert printed["steps"] == 2
    assert printed["data"]["is_drawn"]  # the drawings that it began from
    assert printed["began_from"] == card
    run(*words, "--stop-after", "1")  # all is done already
    assert "The model is in" in capsys.readouterr().out


def test_stored_features_lead_to_the_same_model(drawings: Path, tmp_path: Path) -> None:
    torch.manual_seed(3)
    save_model(tmp_path / "start", build_model(PRESETS["tiny"]), Recipe(), {})
    words = ("train", drawings, "--start-from", tmp_path / "start", *ONE_STEP_EACH)
    run(*words, "--out", tmp_path / "plain")
    for name in ("stored", "again"):  # computed once, then found
        run(*words, "--out", tmp_path / name, "--features", tmp_path / "features")

    learned = [
        load_file(tmp_path / name / "model" / "trained.safetensors")
        for name in ("plain", "stored", "again")
    ]
    for tensors in learned[1:]:
        for name, tensor in learned[0].items():
            torch.testing.assert_close(tensors[name], tensor, msg=name)
    with pytest.raises(UsageError, match="Add --no-augment"):
        run(*words, "--augment", "--out", tmp_path / "x", "--features", tmp_path / "features")


def test_half_precision_learns_and_leaves_a_whole_model(drawings: Path, tmp_path: Path) -> None:
    torch.manual_seed(3)
    start = build_model(PRESETS["tiny"])
    save_model(tmp_path / "start", start, Recipe(), {})
    words = ("train", drawings, "--start-from", tmp_path / "start", *ONE_STEP_EACH)
    run(*words, "--out", tmp_path / "half", "--precision", "bf16", "--gradient-checkpointing")
    run(*words, "--out", tmp_path / "full")

    model, recipe, _ = load_model(tmp_path / "half" / "model")
    assert (recipe.precision, recipe.gradient_checkpointing) == ("bf16", True)
    frozen, before = frozen_state(model), frozen_state(start)
    assert all(torch.equal(frozen[name], before[name]) for name in before)  # not rounded
    rows = [
        (tmp_path / name / "log.csv").read_text().splitlines()[1].split(",")
        for name in ("half", "full")
    ]
    half, full = (float(row[2]) for row in rows)
    assert half == pytest.approx(full, rel=0.02)
    assert half != full


def _git_head() -> str:
    """The commit of the checkout; "" where there is no git, or no repository."""
    root = Path(__file__).parents[2]
    words = ["git", "rev-parse", "HEAD"]
    if shutil.which("git") is None:
        return ""
    return subprocess.run(words, cwd=root, capture_output=True, text=True, check=False).stdout


def test_an_encoder_of_another_name_wants_weights_of_its_own(
    drawings: Path, llama: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="no published weights for: encoder"):
        run(
            "train",
            drawings,
            "--out",
            tmp_path / "x",
            "--preset",
            "paper",
            "--encoder",
            "dinov2-l14",
        )
    parts = build_model(PRESETS["tiny"], with_lora=False)
    save_model(tmp_path / "parts", parts, Recipe(pretraining=True), {})
    words = ("--encoder-weights", "openai", "--pretrained", tmp_path / "parts")
    with pytest.raises(ConfigError, match="hybrid-tiny has no published weights"):
        run("train", drawings, "--out", tmp_path / "x", *words)
    with pytest.raises(ConfigError, match="--allow-remote-code"):
        run(
            *("train", drawings, "--out", tmp_path / "y", "--preset", "paper"),
            *("--encoder", "molmoe-1b", "--encoder-weights", tmp_path, "--language", llama),
        )


def test_a_stopped_training_goes_on_with_the_same_command(
    drawings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("pretrain", drawings, "--out", tmp_path / "run", *ONE_STEP_EACH)
    run(*words, "--encoder-epochs", "1", "--stop-after", "1")
    assert "Stopped after 1 steps" in capsys.readouterr().out
    assert not (tmp_path / "run" / "model").exists()

    run(*words, "--encoder-epochs", "1")

    lines = (tmp_path / "run" / "log.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["step", "0", "1"]
    model, recipe, _ = load_model(tmp_path / "run" / "model")
    assert recipe.pretraining
    assert model.config == PRESETS["tiny"]


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (("--preset", "tiny"), UsageError, "no published weights for: encoder, language. Name"),
        (("--preset", "tiny", "--language", "."), UsageError, "no published weights for: encoder."),
        (("--preset", "edge", "--pretrained", "."), UsageError, "Leave it out."),
        (("--with-connector",), UsageError, "there is no pre-training to take it from"),
        (("--datasets", "gaze"), UnknownNameError, "Did you mean 'gazefollow'"),
        (("--datasets", ","), ConfigError, "no dataset is chosen"),
        (("--gaze-weight", "0"), ConfigError, "gaze weight 0"),
        (("--gaze-weight", "even"), click.UsageError, "neither a number nor paper or balanced"),
    ],
)
def test_what_does_not_fit_together_is_refused_before_anything_is_read(
    tmp_path: Path, words: tuple[str, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run("train", tmp_path / "no-data", "--out", tmp_path / "run", *words)
    assert not (tmp_path / "run").exists()


COMMANDS = {
    f"{name} {one.name}": one
    for name, command in main.commands.items()
    for one in (command.commands.values() if isinstance(command, click.Group) else [command])
}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_has_a_help_text(name: str) -> None:
    command = COMMANDS[name]
    assert command.help
    options = [one for one in command.params if isinstance(one, click.Option)]
    assert options
    assert [one.name for one in options if not one.help] == []


def test_an_error_is_one_line_and_a_code(tmp_path: Path) -> None:
    words = [
        "train",
        str(tmp_path),
        "--out",
        str(tmp_path / "run"),
        "--language",
        "nowhere/llama/x",
    ]
    ended = subprocess.run(
        [sys.executable, "-m", "sfedge_training", *words, "--preset", "tiny"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("sfedge-train: error: --pretrained: ")
    assert ended.stderr.count("\n") == 1
