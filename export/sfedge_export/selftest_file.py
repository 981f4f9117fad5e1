"""The self-test of a bundle: what its fp32 graphs answer to a picture made by arithmetic."""

from pathlib import Path

import safetensors.numpy

from sfedge.bundle.manifest import SELFTEST_NAME, Manifest
from sfedge.core.preprocess import encoder_input
from sfedge.inference.model import landmarks_of
from sfedge.inference.selftest import picture, questions
from sfedge_export.precision_session import Chain


def write_self_test(chain: Chain, manifest: Manifest, folder: Path) -> Path:
    """Write what every engine's answers are compared with where it first starts.

    Args:
        chain: the graphs in fp32, already compared with PyTorch.
        manifest: of the bundle.
        folder: the bundle's.
    """
    image = encoder_input(picture(manifest.input.size), manifest.input)
    features = chain.features(image[None])
    answers = {
        query.task.name: chain.answer(features, landmarks_of(query), query.boxes, query.task)[0]
        for query in questions(manifest.tasks)
    }
    path = folder / SELFTEST_NAME
    path.write_bytes(safetensors.numpy.save(answers))
    return path
