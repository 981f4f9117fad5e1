"""The plain decoder, its prefix and its cuts against Hugging Face on the whole sequence."""

import pytest
import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

from sfedge.core.errors import BundleError
from sfedge_export.exported_decoder import (
    HIDDEN,
    RMSNorm,
    Rotation,
    causal_mask,
    decoder_blocks,
    tile_count,
)
from sfedge_export.exported_graphs import Answer, Gaze, Trunk
from sfedge_export.prefix import prompt_prefix

COUNT = 9  # image tokens
LONGEST = 23
ROWS = [3, 50, 98]


def llama(rope: dict[str, object], heads: int = 4, kv_heads: int = 2) -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=99,
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=3,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=16,
        initializer_range=0.2,
        rope_parameters=rope,
    )
    return LlamaForCausalLM(config).eval().requires_grad_(False)


PLAIN = {"rope_type": "default", "rope_theta": 10000.0}
STRETCHED = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}


def run_cuts(
    llm: LlamaForCausalLM,
    ids: list[int],
    tokens: Tensor,
    longest: int,
    filler: float = 0.0,
    tiles: int = 1,
) -> tuple[Tensor, Tensor]:
    """Logits and final states by prefix, trunk, answer and gaze."""
    blocks, norm = decoder_blocks(llm), RMSNorm(llm.model.norm)
    rotation = Rotation(llm, longest, tokens.shape[1])
    mask = causal_mask(blocks[0].groups, tokens.shape[1] // tiles)
    missing = longest - len(ids)
    past = torch.nn.functional.pad(
        prompt_prefix(llm, ids, longest), (0, 0, missing, 0), value=filler
    )
    past = past[None].expand(len(tokens), *past.shape)
    padding = torch.zeros(len(tokens), longest)
    padding[:, :missing] = HIDDEN
    hidden = Trunk(blocks[:-1], rotation, mask, None)(tokens, past[:, :-1], padding)
    answer = Answer(blocks[-1], rotation, norm, llm.lm_head.weight[ROWS])
    gaze = Gaze(blocks[-1], rotation, mask, norm, nn.Identity())
    return answer(hidden, past[:, -1], padding), gaze(hidden, past[:, -1], padding)


def run_whole(llm: LlamaForCausalLM, ids: list[int], tokens: Tensor) -> tuple[Tensor, Tensor]:
    """The same by Hugging Face: no cache, no padding, positions from 0."""
    prompt = llm.model.embed_tokens(torch.tensor(ids)).expand(len(tokens), -1, -1)
    states = llm.model(inputs_embeds=torch.cat((prompt, tokens), 1)).last_hidden_state
    return llm.lm_head(states[:, -1])[:, ROWS], states[:, -COUNT:]


def assert_near(found: Tensor, wanted: Tensor) -> None:
    assert (found - wanted).abs().max() <= 1e-5 * wanted.abs().max()


@pytest.mark.parametrize("tiles", [1, 3])
@pytest.mark.parametrize("length", [1, 2, 7, LONGEST - 1, LONGEST])
@pytest.mark.parametrize(
    ("rope", "heads", "kv_heads"),
    [(PLAIN, 4, 2), (STRETCHED, 4, 2), (PLAIN, 6, 1), (PLAIN, 3, 3)],
    ids=["plain", "stretched", "one-key-head", "all-key-heads"],
)
def test_prefix_and_image_tokens_give_what_the_whole_sequence_gives(
    length: int, rope: dict[str, object], heads: int, kv_heads: int, tiles: int
) -> None:
    llm = llama(rope, heads, kv_heads)
    generator = torch.Generator().manual_seed(length)
    ids = torch.randint(99, (length,), generator=generator).tolist()
    tokens = torch.randn(2, COUNT, 48, generator=generator)

    logits, states = run_cuts(llm, ids, tokens, LONGEST, tiles=tiles)

    wanted_logits, wanted_states = run_whole(llm, ids, tokens)
    assert_near(logits, wanted_logits)
    assert_near(states, wanted_states)


def test_what_stands_in_the_padding_has_no_influence() -> None:
    llm, tokens = llama(PLAIN), torch.randn(1, COUNT, 48)
    zeros, other = (run_cuts(llm, [4, 5], tokens, LONGEST, filler)[0] for filler in (0.0, 3.0))
    assert torch.equal(zeros, other)


@pytest.mark.parametrize("tiles", [1, 3])
def test_a_prompt_that_is_not_padded_gives_the_same(tiles: int) -> None:
    llm, tokens = llama(STRETCHED), torch.randn(2, COUNT, 48)
    padded, exact = (run_cuts(llm, [4, 5, 6], tokens, n, tiles=tiles) for n in (LONGEST, 3))
    for one, other in zip(padded, exact, strict=True):
        assert_near(one, other)


@pytest.mark.parametrize(
    ("count", "tiles"), [(1, 1), (9, 1), (36, 1), (127, 1), (144, 2), (256, 4), (576, 9)]
)
def test_tiles_are_equal_and_no_smaller_than_pays(count: int, tiles: int) -> None:
    assert tile_count(count) == tiles
    assert count % tiles == 0


def test_the_prompt_has_an_influence() -> None:
    llm, tokens = llama(PLAIN), torch.randn(1, COUNT, 48)
    one, other = (run_cuts(llm, ids, tokens, LONGEST)[0] for ids in ([4, 5], [5, 4]))
    assert (one - other).abs().max() > 1e-2


def test_values_of_a_prompt_do_not_depend_on_where_it_ends() -> None:
    llm = llama(STRETCHED)
    near, far = prompt_prefix(llm, [1, 2, 3], 3), prompt_prefix(llm, [1, 2, 3], 300)
    assert near.shape == (3, 2, 2, 3, 16)
    torch.testing.assert_close(near[:, 1], far[:, 1], rtol=1e-4, atol=1e-5)
    assert (near[:, 0] - far[:, 0]).abs().max() > 0.1  # keys are rotated to their positions


def test_another_architecture_is_refused_by_name() -> None:
    config = MistralConfig(
        vocab_size=9, hidden_size=8, intermediate_size=8, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1,
    )  # fmt: skip
    with pytest.raises(BundleError, match="it is a 'mistral'"):
        decoder_blocks(MistralForCausalLM(config))


def test_a_single_block_is_refused() -> None:
    config = LlamaConfig(
        vocab_size=9, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1,
    )  # fmt: skip
    with pytest.raises(BundleError, match="fewer than two blocks"):
        decoder_blocks(LlamaForCausalLM(config))
