"""Self-attention written out, against torch's own."""

import pytest
import torch
from torch import nn

from sfedge.core.errors import BundleError
from sfedge_export.attention import PlainAttention, with_plain_attention


@pytest.mark.parametrize(("width", "heads"), [(32, 1), (32, 4), (48, 3)])
def test_it_computes_what_torch_computes(width: int, heads: int) -> None:
    torch.manual_seed(0)
    original = nn.MultiheadAttention(width, heads, batch_first=True).eval()
    nn.init.normal_(original.in_proj_bias)
    x = torch.randn(3, 7, width)
    wanted, _ = original(x, x, x, need_weights=False)
    found, _ = PlainAttention(original)(x, x, x)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


def test_attention_to_something_else_is_refused() -> None:
    attention = PlainAttention(nn.MultiheadAttention(8, 2, batch_first=True))
    x, other = torch.randn(1, 3, 8), torch.randn(1, 3, 8)
    with pytest.raises(BundleError, match="no plain self-attention"):
        attention(x, other, other)
    with pytest.raises(BundleError, match="no plain self-attention"):
        attention(x, x, x, attn_mask=torch.zeros(3, 3))


def test_the_encoder_itself_is_left_as_it_was() -> None:
    encoder = nn.Sequential(nn.MultiheadAttention(8, 2, batch_first=True))
    plain = with_plain_attention(encoder)
    assert isinstance(encoder[0], nn.MultiheadAttention)
    assert isinstance(plain.get_submodule("0"), PlainAttention)


@pytest.mark.parametrize(
    "settings",
    [{}, {"batch_first": True, "kdim": 4}, {"batch_first": True, "add_bias_kv": True}],
    ids=["sequence-first", "other-keys", "added-keys"],
)
def test_other_kinds_of_attention_stay_as_they_are(settings: dict[str, object]) -> None:
    encoder = nn.Sequential(nn.MultiheadAttention(8, 2, **settings))  # type: ignore[arg-type]
    plain = with_plain_attention(encoder)
    assert isinstance(plain.get_submodule("0"), nn.MultiheadAttention)
