"""What an export stores for engines to be compared with is what PyTorch answers."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import safetensors.numpy
import torch

from sfedge.bundle.bundle import open_bundle
from sfedge.bundle.manifest import MANIFEST_NAME, SELFTEST_NAME, parse_manifest
from sfedge.core.boxes import patch_mask
from sfedge.core.preprocess import encoder_input
from sfedge.core.tasks import TASKS
from sfedge.inference import selftest
from sfedge_export.package import extend_bundle
from sfedge_training.model.social_fusion import SocialFusion


def test_the_self_test_holds_pytorchs_answers(
    small_bundle: Path, small_model: SocialFusion
) -> None:
    stored = safetensors.numpy.load_file(small_bundle / SELFTEST_NAME)
    assert set(stored) == set(TASKS)
    spec = small_model.encoder.input
    images = torch.from_numpy(encoder_input(selftest.picture(spec.size), spec))[None]
    for task in TASKS.values():
        mask = patch_mask(selftest.BOXES[: task.boxes], small_model.token_grid)
        with torch.inference_mode():
            wanted = small_model.logits(images, torch.from_numpy(mask).float()[None], task.name)
        scale = float(wanted.abs().max())
        np.testing.assert_allclose(stored[task.name], wanted[0].numpy(), atol=1e-4 * scale)


def test_a_bundle_without_one_gets_it_when_it_is_written_anew(
    small_bundle: Path, tmp_path: Path
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    shutil.copytree(small_bundle, old)
    (old / SELFTEST_NAME).unlink()
    text = (old / MANIFEST_NAME).read_text()
    manifest = parse_manifest(text, where="old")
    kept = tuple(entry for entry in manifest.files if entry.path != SELFTEST_NAME)
    (old / MANIFEST_NAME).write_text(replace(manifest, files=kept).to_json())
    extend_bundle(old, new, precisions=("fp32",))
    assert (new / SELFTEST_NAME).read_bytes() == (small_bundle / SELFTEST_NAME).read_bytes()
    with open_bundle(new) as bundle:
        bundle.verify()
        assert [e.path for e in bundle.manifest.files] == [e.path for e in manifest.files]
