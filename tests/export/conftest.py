"""A model of a few thousand weights with every part of the real one, and its bundle."""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from open_clip.transformer import VisionTransformer
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from sfedge.bundle.bundle import open_bundle
from sfedge.bundle.manifest import BoxEmbedding
from sfedge.core.boxes import FULL, Box, patch_mask
from sfedge.core.landmarks import INPUT_WIDTH, Vector
from sfedge.core.preprocess import encoder_input
from sfedge.core.structures import Frame, Query
from sfedge.core.tasks import Task
from sfedge.inference.model import Model
from sfedge_export.package import export_bundle, extend_bundle
from sfedge_export.precisions import PRECISIONS
from sfedge_training.model.connector import unpool_mask
from sfedge_training.model.encoder import Encoder
from sfedge_training.model.image_encoders import ClipEncoder
from sfedge_training.model.model_config import ModelConfig
from sfedge_training.model.social_fusion import SocialFusion, add_lora
from sfedge_training.model.tokenizer import build_tiny_tokenizer

CREATED = "2026-01-02T03:04:05Z"


def small_llama(vocabulary: int) -> LlamaForCausalLM:
    """Three blocks, two query heads to a key head, and the real model's stretched positions."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=48,
            intermediate_size=64,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=16,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
            initializer_range=0.1,
            rope_parameters={
                "rope_type": "llama3",
                "rope_theta": 10000.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64,
            },
        )
    ).eval()


def small_encoder() -> Encoder:
    visual = VisionTransformer(
        image_size=32, patch_size=8, width=32, layers=2, heads=2, mlp_ratio=2.0, output_dim=32
    )
    return ClipEncoder(visual.eval(), layer=-1)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def build_small() -> Callable[..., SocialFusion]:
    def build(
        *,
        pool: int = 1,
        box_embedding: BoxEmbedding = "after",
        encoder: Callable[[], Encoder] = small_encoder,
        landmarks: str | None = None,
    ) -> SocialFusion:
        torch.manual_seed(0)
        config = ModelConfig(
            encoder="hybrid-tiny",
            encoder_weights=None,
            hidden=32,
            pool=pool,  # type: ignore[arg-type]
            box_embedding=box_embedding,
            landmarks=landmarks,
            language="tiny",
            language_weights=False,
            lora_rank=4,
        )
        tokenizer = build_tiny_tokenizer()
        model = SocialFusion(config, encoder(), small_llama(len(tokenizer)), tokenizer)
        add_lora(model)
        with torch.no_grad():
            for name, parameter in model.llm.named_parameters():
                if "lora_B" in name:  # as if trained: LoRA starts without any effect
                    parameter.normal_(0, 0.1)
            model.box_embedding.mul_(5)
        return model.eval()

    return build


@pytest.fixture(scope="session")
def small_model(build_small: Callable[..., SocialFusion]) -> SocialFusion:
    return build_small()


@pytest.fixture(scope="session")
def small_bundle(small_model: SocialFusion, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder written by `export_bundle`, in fp32 alone; not to be changed."""
    out = tmp_path_factory.mktemp("bundles") / "small"
    export_bundle(
        copy.deepcopy(small_model),
        out,
        name="small",
        created=CREATED,
        card={"steps": 7},
        precisions=("fp32",),
    )
    return out


@pytest.fixture(scope="session")
def small_precisions(small_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same bundle in every precision; not to be changed."""
    out = tmp_path_factory.mktemp("precisions") / "small"
    extend_bundle(small_bundle, out, precisions=("fp32", *PRECISIONS))
    return out


BOXES = (Box(0.34, 0.11, 0.54, 0.36), Box(0.1, 0.6, 0.4, 0.95))


def whole_sequence(
    model: SocialFusion, image: np.ndarray, task: Task, landmarks: Vector | None = None
) -> Tensor:
    """Logits by the adapter's Llama over the whole sequence at once: no cache, no prefix."""
    images = torch.from_numpy(encoder_input(image, model.encoder.input))[None]
    cells = torch.from_numpy(patch_mask(BOXES[: task.boxes], model.token_grid)).float()[None]
    with torch.inference_mode():
        features = model.encoder(images)
        if model.config.box_embedding == "before":
            marked = unpool_mask(cells, model.config.pool)[..., None] * model.box_embedding
            tokens = model.connector(features + marked)
        else:
            tokens = model.connector(features) + cells[..., None] * model.box_embedding
        before = model.lm.model.embed_tokens(torch.tensor([model.prompts[task.name]]))
        if model.landmark_embedding is not None:
            known = torch.zeros(INPUT_WIDTH) if landmarks is None else torch.from_numpy(landmarks)
            before = torch.cat((before, model.landmark_embedding(known[None])), dim=1)
        sequence = torch.cat((before, tokens), dim=1)
        states = model.lm.model(inputs_embeds=sequence, use_cache=False).last_hidden_state
        if task.output == "heatmap":
            return model.gaze_head(states[:, before.shape[1] :])[0]
        rows = [model.answer_ids[answer] for answer in task.answers]
        return model.lm.lm_head(states[:, -1])[0, rows]


@pytest.fixture(scope="session")
def assert_runtime_answers_as_pytorch() -> Callable[..., None]:
    """The runtime on a bundle, against the model it was made of, on a photograph."""

    def compare(
        bundle_path: Path,
        model: SocialFusion,
        *,
        landmarks: Vector | None = None,
        engine: str = "cpu",
    ) -> None:
        image = skimage.data.astronaut()
        with open_bundle(bundle_path) as bundle, Model(bundle, engine=engine) as runtime:
            queries = [
                Query(
                    task,
                    tuple(range(task.people)),
                    FULL,
                    BOXES[: task.boxes],
                    landmarks=landmarks,
                )
                for task in runtime.tasks
            ]
            answers = runtime.answer(Frame(image, 0, 0.0), queries)
        for query, answer in zip(queries, answers, strict=True):
            logits = whole_sequence(model, image, query.task, landmarks)
            if query.task.output == "heatmap":
                assert answer.heatmap is not None
                np.testing.assert_allclose(answer.heatmap, logits.sigmoid().numpy(), atol=1e-4)
            else:
                assert answer.probabilities is not None
                shares = [answer.probabilities[label] for label in query.task.labels]
                np.testing.assert_allclose(shares, logits.softmax(0).numpy(), atol=1e-4)

    return compare
