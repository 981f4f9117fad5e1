"""The bundle as a whole: its answers, its description, and that it is written whole or not."""

import copy
import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sfedge.bundle.bundle import open_bundle
from sfedge.bundle.manifest import GRAPHS, MANIFEST_NAME, parse_manifest
from sfedge.core.errors import BundleError, OutputError
from sfedge.core.tasks import TASKS
from sfedge_export.package import export_bundle
from sfedge_export.parity import TOLERANCE
from sfedge_export.put_in_place import pack
from sfedge_training.model.encoder import Encoder
from sfedge_training.model.social_fusion import SocialFusion

CREATED = "2026-01-02T03:04:05Z"


def test_the_runtime_answers_as_the_trained_model_on_a_photograph(
    small_bundle: Path,
    small_model: SocialFusion,
    assert_runtime_answers_as_pytorch: Callable[[Path, SocialFusion], None],
) -> None:
    assert_runtime_answers_as_pytorch(small_bundle, small_model)


def test_pooled_tokens_and_boxes_before_the_connector_replace_an_earlier_bundle(
    build_small: Callable[..., SocialFusion],
    tmp_path: Path,
    assert_runtime_answers_as_pytorch: Callable[[Path, SocialFusion], None],
) -> None:
    out = tmp_path / "bundle"
    out.mkdir()
    (out / MANIFEST_NAME).write_text("an earlier bundle")
    (out / "leftover.onnx").write_text("of the earlier bundle")
    model = build_small(pool=2, box_embedding="before")
    asked = [TASKS["gaze"], TASKS["domain"]]

    export_bundle(
        copy.deepcopy(model), out, name="newer", created=CREATED, tasks=asked, precisions=("fp32",)
    )

    assert not (out / "leftover.onnx").exists()
    assert list(tmp_path.iterdir()) == [out]
    with open_bundle(out) as bundle:
        bundle.verify()
        assert list(bundle.manifest.tasks) == asked
        assert set(bundle.prefix()) == {"gaze", "domain"}
        assert bundle.manifest.shape.prefix == len(model.prompts["gaze"])  # the longer of the two
    assert_runtime_answers_as_pytorch(out, model)


def test_the_box_changes_the_answer(small_model: SocialFusion) -> None:
    images = torch.rand(1, 3, 32, 32)
    marked, unmarked = torch.ones(1, 16), torch.zeros(1, 16)
    with torch.inference_mode():
        one, other = (
            small_model.gaze_logits(images, mask, ["gaze"]) for mask in (marked, unmarked)
        )
    assert (one - other).abs().max() > 1e-2  # or a lost mask would go unseen above


def test_the_description_fits_the_files_and_the_model(
    small_bundle: Path, small_model: SocialFusion
) -> None:
    manifest = parse_manifest((small_bundle / MANIFEST_NAME).read_text(), where="small")
    assert (manifest.name, manifest.preset, manifest.created) == ("small", "custom", CREATED)
    assert manifest.tasks == tuple(TASKS.values())
    shape = manifest.shape
    assert (shape.grid, shape.pool, shape.tokens) == (4, 1, 16)
    assert (shape.feature_width, shape.width) == (32, 48)
    assert (shape.layers, shape.kv_heads, shape.head_width) == (3, 2, 16)
    assert shape.prefix == max(len(ids) for ids in small_model.prompts.values())
    assert manifest.input == small_model.encoder.input
    listed = {entry.path: entry for entry in manifest.files}
    found = {p.relative_to(small_bundle).as_posix() for p in small_bundle.rglob("*.*")}
    assert found == {*listed, MANIFEST_NAME}
    for path, entry in listed.items():
        content = (small_bundle / path).read_bytes()
        assert (entry.size, entry.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_prefixes_are_as_long_as_their_prompts(
    small_bundle: Path, small_model: SocialFusion
) -> None:
    with open_bundle(small_bundle) as bundle:
        prefix = bundle.prefix()
    for name, ids in small_model.prompts.items():
        assert prefix[name].shape == (3, 2, 2, len(ids), 16)


def test_the_card_tells_how_near_each_network_and_task_is(small_bundle: Path) -> None:
    card = json.loads((small_bundle / MANIFEST_NAME).read_text())["card"]
    assert card["steps"] == 7  # the training's own card is kept
    parity = card["parity"]
    assert parity["lora"]["error"] <= 1e-4 * parity["lora"]["scale"] < parity["lora"]["effect"]
    assert set(parity["fp32"]["networks"]) == set(GRAPHS)
    assert set(parity["fp32"]["tasks"]) == set(TASKS)
    for found in (*parity["fp32"]["networks"].values(), *parity["fp32"]["tasks"].values()):
        assert 0 <= found["error"] <= TOLERANCE * found["scale"]
        assert found["agreement"] == 1
    assert {"torch", "onnx", "onnxruntime"} <= set(card["export"])


def test_parameters_are_counted_once_each(small_bundle: Path, small_model: SocialFusion) -> None:
    counts = json.loads((small_bundle / MANIFEST_NAME).read_text())["card"]["parameters"]
    assert sum(counts.values()) == sum(p.numel() for p in small_model.parameters())
    one_block = 2 * (48 + 64) + 2 * (48 + 32) + 3 * (48 + 64)  # q and o, k and v, the MLP
    assert counts["lora"] == 3 * 4 * one_block  # three blocks, rank 4


def test_packing_twice_gives_the_same_bytes(small_bundle: Path, tmp_path: Path) -> None:
    one = pack(small_bundle, tmp_path / "one.zip")
    copied = tmp_path / "copied"
    shutil.copytree(small_bundle, copied, copy_function=shutil.copyfile)  # files get new times
    other = pack(copied, tmp_path / "other.zip")
    assert one.read_bytes() == other.read_bytes()
    with zipfile.ZipFile(one) as archive:
        names = archive.namelist()
        assert names == sorted(names)
        for name in names:
            assert archive.read(name) == (small_bundle / name).read_bytes()


class Drifting(Encoder):
    """Computes something else once it is exported."""

    def __init__(self, whole: Encoder) -> None:
        super().__init__(grid=whole.grid, width=whole.width, input=whole.input)
        self.whole = whole

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.whole(images)
        return features + 0.01 if torch.compiler.is_exporting() else features


class Stopping(Drifting):
    """The user presses Ctrl-C while it is exported."""

    def forward(self, images: Tensor) -> Tensor:
        if torch.compiler.is_exporting():
            raise KeyboardInterrupt
        features: Tensor = self.whole(images)
        return features


def changed(build: Callable[..., SocialFusion], kind: type[Drifting]) -> SocialFusion:
    model = build()
    model.encoder = kind(model.encoder)
    return model.eval()


def test_a_bundle_that_differs_from_pytorch_is_not_written(
    build_small: Callable[..., SocialFusion], tmp_path: Path
) -> None:
    model = changed(build_small, Drifting)
    with pytest.raises(BundleError, match=r"encoder\.onnx: ONNX is 0\.01 away from PyTorch"):
        export_bundle(model, tmp_path / "new" / "bundle", name="x", created=CREATED)
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize("name", ["bundle", "bundle.zip"])
def test_an_interrupted_export_leaves_what_was_there(
    build_small: Callable[..., SocialFusion], small_bundle: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / name
    if out.suffix == ".zip":
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr(MANIFEST_NAME, "an earlier bundle")
    else:
        out.mkdir()
        (out / MANIFEST_NAME).write_text("an earlier bundle")
    with pytest.raises(KeyboardInterrupt):
        export_bundle(changed(build_small, Stopping), out, name="x", created=CREATED)
    assert list(tmp_path.iterdir()) == [out]
    if out.suffix == ".zip":
        with zipfile.ZipFile(out) as archive:
            assert archive.read(MANIFEST_NAME) == b"an earlier bundle"
    else:
        assert (out / MANIFEST_NAME).read_text() == "an earlier bundle"


@pytest.mark.parametrize("name", ["notes", "notes.zip"])
def test_what_is_no_bundle_is_never_replaced(
    small_model: SocialFusion, tmp_path: Path, name: str
) -> None:
    out = tmp_path / name
    kept = out if out.suffix == ".zip" else out / "diary.txt"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("dear diary")
    with pytest.raises(OutputError, match="this is no bundle"):
        export_bundle(copy.deepcopy(small_model), out, name="x", created=CREATED)
    assert kept.read_text() == "dear diary"
