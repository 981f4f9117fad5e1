"""The store of encoder features: what it holds, what it takes for its own, what kills leave."""

import csv
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from launch import TWO_PROCESSES
from safetensors import safe_open
from torch import Tensor

from sfedge.core.boxes import Box
from sfedge.core.errors import ConfigError, DataError, OutputError
from sfedge.core.preprocess import InputSpec, crop, encoder_input
from sfedge_training.data import features
from sfedge_training.data.features import FeatureStore, Precision, filled_store
from sfedge_training.data.mixture import BatchDataset, ViewSpec, batch_loader, pictures_opener
from sfedge_training.data.sample import Sample
from sfedge_training.data.sample_picture import read_picture
from sfedge_training.drawings import write_drawings
from sfedge_training.loop.losses import loss
from sfedge_training.loop.recipe import Recipe
from sfedge_training.loop.reports import load_datasets
from sfedge_training.loop.train import train
from sfedge_training.model.encoder import Encoder
from sfedge_training.model.encoders import build_encoder
from sfedge_training.model.model_config import PRESETS
from sfedge_training.model.social_fusion import build_model
from sfedge_training.model.states import trained_state

ROOT = str(Path(__file__).parents[2])
CPU = torch.device("cpu")
LEFT = Box(0.0, 0.0, 0.5, 1.0)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    torch.manual_seed(0)
    return build_encoder("hybrid-tiny")


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    """Six views of four pictures of noise."""
    random = np.random.default_rng(0)
    paths = [tmp_path / f"{i}.png" for i in range(4)]
    for path in paths:
        PIL.Image.fromarray(random.integers(0, 255, (120, 130, 3), np.uint8)).save(path)
    whole = [Sample(image=path, task="gesture", label=0) for path in paths]
    return [*whole, *(replace(sample, view=LEFT) for sample in whole[:2])]


def filled(
    folder: Path,
    encoder: Encoder,
    samples: list[Sample],
    *,
    layer: int = -1,
    precision: Precision = "fp32",
    workers: int = 0,
) -> FeatureStore:
    return filled_store(
        folder,
        encoder,
        samples,
        encoder_name="hybrid-tiny",
        layer=layer,
        precision=precision,
        device=CPU,
        workers=workers,
    )


def seen(encoder: Encoder, sample: Sample) -> Tensor:
    view = crop(read_picture(sample), sample.view)
    with torch.no_grad():
        features: Tensor = encoder(torch.from_numpy(encoder_input(view, encoder.input))[None])
    return features[0]


@pytest.fixture
def computed(encoder: Encoder) -> Iterator[Callable[[], int]]:
    """How many views the encoder has seen."""
    counts: list[int] = []
    with encoder.register_forward_hook(lambda _, inputs, __: counts.append(len(inputs[0]))):
        yield lambda: sum(counts)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_store_holds_what_the_encoder_gives_and_computes_it_once(
    tmp_path: Path,
    encoder: Encoder,
    samples: list[Sample],
    computed: Callable[[], int],
    workers: int,
) -> None:
    store = filled(tmp_path / "store", encoder, [*samples, *samples[:3]], workers=workers)
    assert (len(store), computed()) == (6, 6)
    again = filled(tmp_path / "store", encoder, samples)
    assert (len(again), computed()) == (6, 6)
    for sample in samples:
        found, wanted = again.get(sample), seen(encoder, sample)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
        assert torch.equal(found, store.get(sample))
    assert not torch.allclose(store.get(samples[0]), store.get(samples[4]), atol=0.1)


def test_half_precision_is_that_of_the_encoders_pass(
    tmp_path: Path, encoder: Encoder, samples: list[Sample]
) -> None:
    store = filled(tmp_path, encoder, samples, precision="bf16")
    images = [read_picture(sample) for sample in samples[:1]]
    batch = torch.from_numpy(encoder_input(images[0], encoder.input))[None]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        wanted = encoder(batch)[0].bfloat16()
    found = store.get(samples[0])
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, wanted, rtol=0.02, atol=0.02)  # two roundings of bfloat16
    (shard,) = store.folder.glob("*.safetensors")
    assert shard.stat().st_size < 1.05 * 6 * found.numel() * 2


def test_nothing_is_taken_that_was_made_otherwise(
    tmp_path: Path, encoder: Encoder, samples: list[Sample], computed: Callable[[], int]
) -> None:
    first = filled(tmp_path, encoder, samples[:1])
    other = deepcopy(encoder)
    with torch.no_grad():
        next(other.parameters()).view(-1)[0] += 1e-3
    paler = deepcopy(encoder)
    paler.input = replace(encoder.input, std=(0.3, 0.3, 0.3))
    stores = [
        first,
        filled(tmp_path, other, samples[:1]),
        filled(tmp_path, paler, samples[:1]),
        filled(tmp_path, encoder, samples[:1], layer=-2),
        filled(tmp_path, encoder, samples[:1], precision="bf16"),
    ]
    assert computed() == 5
    assert len({store.name(samples[0]) for store in stores}) == 5
    assert len({store.folder for store in stores}) == 5
    assert [len(FeatureStore(tmp_path, store.origin)) for store in stores] == [1] * 5
    (shard,) = first.folder.glob("*.safetensors")
    with safe_open(shard, framework="pt") as opened:
        assert json.loads(opened.metadata()["origin"]) == json.loads(first.origin.text())


def test_every_part_of_a_view_has_its_share_in_the_name(
    tmp_path: Path, encoder: Encoder, samples: list[Sample]
) -> None:
    store, sample = filled(tmp_path, encoder, []), samples[0]
    views = [
        sample,
        samples[1],
        replace(sample, view=LEFT),
        replace(sample, frame=1),
        replace(sample, frame=2),
        replace(sample, upright=True),
    ]
    assert len({store.name(view) for view in views}) == 6
    printed = replace(sample, task="gaze", label=None, boxes=(LEFT,), group="a", key="b")
    assert store.name(printed) == store.name(sample)
    kept = sample.image.stat()
    os.utime(sample.image, ns=(kept.st_atime_ns, kept.st_mtime_ns + 1))
    assert store.name(sample) not in {store.name(view) for view in views[1:]}


def test_a_changed_picture_is_computed_anew(
    tmp_path: Path, encoder: Encoder, samples: list[Sample]
) -> None:
    store = filled(tmp_path / "store", encoder, samples)
    before = store.get(samples[0])
    PIL.Image.new("RGB", (50, 50), "red").save(samples[0].image)
    with pytest.raises(DataError, match=r"0\.png: no features of this view are stored"):
        store.get(samples[0])
    assert not torch.allclose(
        filled(tmp_path / "store", encoder, samples).get(samples[0]), before, atol=0.1
    )


def test_a_broken_run_leaves_whole_shards_and_the_next_goes_on(
    tmp_path: Path,
    encoder: Encoder,
    samples: list[Sample],
    computed: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(features, "_BATCH", 1)
    monkeypatch.setattr(features, "_SHARD", 2 * 36 * 128 * 4)  # two views
    whole = samples[3].image.read_bytes()
    samples[3].image.write_bytes(whole[:100])
    with pytest.raises(DataError, match=r"3\.png"):
        filled(tmp_path / "store", encoder, samples)
    (folder,) = (tmp_path / "store").iterdir()
    assert len(list(folder.iterdir())) == 1
    (folder / "0123456789abcdef.77.part").write_bytes(b"of a run that was killed")
    samples[3].image.write_bytes(whole)
    before = computed()
    store = filled(tmp_path / "store", encoder, samples)
    assert (len(store), computed() - before) == (6, 4)
    assert len(list(folder.glob("*.safetensors"))) == 3


def test_a_damaged_shard_is_named_and_its_loss_made_good(
    tmp_path: Path, encoder: Encoder, samples: list[Sample]
) -> None:
    store = filled(tmp_path / "store", encoder, samples)
    (shard,) = store.folder.glob("*.safetensors")
    shard.write_bytes(shard.read_bytes()[:-10])
    with pytest.raises(DataError, match=rf"{shard.name}.*Remove this file"):
        filled(tmp_path / "store", encoder, samples)
    shard.unlink()
    assert len(filled(tmp_path / "store", encoder, samples)) == 6


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_of_stored_features_open_no_picture(
    tmp_path: Path, encoder: Encoder, samples: list[Sample], workers: int
) -> None:
    seen = replace(samples[4], task="gaze", label=None, points=((0.3, 0.6),), boxes=(LEFT,))
    plan = [[samples[0], seen]]
    pictures = BatchDataset(plan, ViewSpec(encoder.input, 6), augment=False)[0]
    store = filled(tmp_path / "store", encoder, samples)
    for sample in samples:
        kept = sample.image.stat()
        sample.image.write_bytes(bytes(kept.st_size))
        os.utime(sample.image, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    stored = BatchDataset(plan, ViewSpec(encoder.input, 6, store), augment=False)
    (batch,) = batch_loader(stored, workers=workers)
    assert torch.equal(batch.images, torch.stack([store.get(samples[0]), store.get(samples[4])]))
    assert torch.equal(batch.masks, pictures.masks)
    assert torch.equal(batch.labels, pictures.labels)
    assert batch.heatmaps is not None
    assert pictures.heatmaps is not None
    assert torch.equal(batch.heatmaps, pictures.heatmaps)
    with pytest.raises(ConfigError, match="stored features are of pictures as they are"):
        BatchDataset(plan, ViewSpec(encoder.input, 6, store), augment=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="memory is pinned for a GPU")
def test_batches_come_pinned(encoder: Encoder, samples: list[Sample]) -> None:
    gaze = replace(samples[0], task="gaze", label=None, points=((0.3, 0.6),))
    dataset = BatchDataset([[gaze]], ViewSpec(encoder.input, 6), augment=False)
    (batch,) = batch_loader(dataset, workers=1)
    assert batch.heatmaps is not None
    for tensor in (batch.images, batch.masks, batch.labels, batch.heatmaps):
        assert tensor.is_pinned()


def test_processes_that_were_started_anew_read_the_store(
    tmp_path: Path, encoder: Encoder, samples: list[Sample]
) -> None:
    store = filled(tmp_path / "store", encoder, samples)
    features = store.get(samples[0])
    assert torch.equal(pickle.loads(pickle.dumps(store)).get(samples[0]), features)


_TWO_PROCESSES = """
import sys
from pathlib import Path
import torch
from accelerate import PartialState
from sfedge_training.data.sample import Sample
from sfedge_training.model.encoders import build_encoder
from sfedge_training.data.features import filled_store

torch.manual_seed(0)
encoder, seen = build_encoder("hybrid-tiny"), []
encoder.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
samples = [Sample(image=Path(path), task="gesture", label=0) for path in sys.argv[2:]]
store = filled_store(
    Path(sys.argv[1]), encoder, samples, encoder_name="hybrid-tiny", layer=-1, precision="fp32",
    device=torch.device("cpu"),
)
print(f"seen {sum(seen)} of {len(store)}")
PartialState().destroy_process_group()
"""


def test_processes_share_the_work(
    tmp_path: Path, encoder: Encoder, samples: list[Sample], computed: Callable[[], int]
) -> None:
    script = tmp_path / "fill.py"
    script.write_text(_TWO_PROCESSES)
    pictures = [sample.image for sample in samples[:4]]
    ended = subprocess.run(
        [sys.executable, *TWO_PROCESSES, script, tmp_path / "store", *pictures],
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": ROOT},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("seen 2 of 4") == 2
    store = filled(tmp_path / "store", encoder, samples[:4])
    assert (len(store), computed()) == (4, 0)
    assert len(list(store.folder.glob("*.safetensors"))) == 2


class _Vast(Encoder):
    """Its features fit on no disk."""

    def __init__(self) -> None:
        super().__init__(grid=10**4, width=10**9, input=InputSpec(8, (0.5,) * 3, (0.5,) * 3))


def test_what_does_not_fit_on_the_disk_is_not_begun(tmp_path: Path, samples: list[Sample]) -> None:
    with pytest.raises(OutputError, match=r"2,400,000,000\.0 GB of features do not fit, .* free"):
        filled(tmp_path / "store", _Vast(), samples)


def test_a_folder_that_cannot_be_made_is_named(
    tmp_path: Path, encoder: Encoder, samples: list[Sample]
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file.*cannot be written"):
        filled(tmp_path / "file", encoder, samples)


def test_an_encoder_that_learns_is_refused(
    tmp_path: Path, encoder: Encoder, samples: list[Sample]
) -> None:
    learning = deepcopy(encoder).requires_grad_(True)
    with pytest.raises(ConfigError, match="the encoder learns"):
        filled(tmp_path, learning, samples)


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Sample]]:
    """Four drawn samples of each dataset."""
    folder = tmp_path_factory.mktemp("drawings")
    write_drawings(folder, count=4, val=1, test=1, seed=0)
    loaded = load_datasets(folder, Recipe().datasets, "train")
    return {dataset.name: list(dataset.samples)[:4] for dataset in loaded}


def trained(
    samples: dict[str, list[Sample]],
    recipe: Recipe,
    run: Path,
    store: Path | None = None,
    *,
    stops: tuple[int | None, ...] = (None,),
    workers: int = 0,
) -> tuple[list[float], dict[str, Tensor]]:
    """Losses and weights of a run, begun anew after every stop."""
    for stop in stops:
        torch.manual_seed(0)
        model = build_model(replace(PRESETS["tiny"], hidden=32, lora_rank=2, lora_dropout=0.1))
        view = ViewSpec(model.encoder.input, model.token_grid)
        if store is not None:
            every = [sample for of in samples.values() for sample in of]
            of = filled(store, model.encoder, every, precision=recipe.precision)
            view = replace(view, features=of)
        opener = pictures_opener(view)
        train(
            model, samples, recipe, run, loss=loss, opener=opener, workers=workers, stop_after=stop
        )
    with (run / "log.csv").open(newline="", encoding="utf-8") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)], trained_state(model)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_from_the_store_descends_as_from_pictures(
    tmp_path: Path, drawings: dict[str, list[Sample]], precision: Precision
) -> None:
    """But for the last digit, as other views stand beside one when the encoder sees it."""
    recipe = Recipe(epochs=3, batch=6, warmup=2, augment=False, precision=precision)
    losses, weights = trained(drawings, recipe, tmp_path / "pictures")
    found, stored = trained(drawings, recipe, tmp_path / "stored", tmp_path / "store", workers=1)
    rounding = {"fp32": 2e-6, "bf16": 5e-3}[precision]
    assert len(losses) == 12
    assert found == pytest.approx(losses, abs=rounding)
    for name, tensor in weights.items():
        torch.testing.assert_close(stored[name], tensor, atol=10 * rounding, rtol=0, msg=name)


def test_a_stopped_run_from_the_store_goes_on_as_if_it_had_not_stopped(
    tmp_path: Path, drawings: dict[str, list[Sample]]
) -> None:
    recipe = Recipe(epochs=2, batch=6, warmup=2, augment=False)
    store = tmp_path / "store"
    losses, weights = trained(drawings, recipe, tmp_path / "whole", store)
    found, resumed = trained(drawings, recipe, tmp_path / "stopped", store, stops=(5, None))
    assert found == losses
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in weights.items())
