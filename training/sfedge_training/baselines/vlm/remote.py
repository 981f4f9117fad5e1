"""MolmoE and SAIL-VL 1.5, whose classes are Python code on the hub: called here, not contained.

What they offer is taken from their makers' model cards and code: allenai/MolmoE-1B-0924
(`preprocessing_molmo.py`, `modeling_molmo.py`) and BytedanceDouyinContent/SAIL-VL-1d5-2B
(`modeling_sailvl.py`, which follows InternVL's `modeling_internvl_chat.py`).
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import PIL.Image
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import GotOcr2ImageProcessor, PreTrainedTokenizerBase
from transformers.utils.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from sfedge_training.baselines.vlm.adapters import (
    Turn,
    greedy,
    joined,
    padded,
    text_until,
    token_id,
)
from sfedge_training.baselines.vlm.library import tiles_within

_MOLMO_CROP_TOKENS = 144  # of each crop, and of the overview: 12 x 12
_UNUSED = -1  # MolmoE's mark for tokens, crops and places that are none


class SailAdapter:
    """SAIL-VL: tiles in a conversation of the model's own template.

    Args:
        network: the loaded model; it is given the token of its pictures.
        tokenizer: of the model.
        image_tokens: most tokens of a picture.
    """

    blocks = "language_model.model.layers"

    def __init__(self, network: Any, tokenizer: PreTrainedTokenizerBase, image_tokens: int) -> None:
        self.tokenizer, self.template = tokenizer, network.conv_template
        self.end = token_id(tokenizer, self.template.sep)
        self.tile_tokens = int(network.num_image_token)
        network.img_context_token_id = token_id(tokenizer, "<IMG_CONTEXT>")
        side = int(network.config.vision_config.image_size)
        self.pictures = GotOcr2ImageProcessor(
            size={"height": side, "width": side},
            image_mean=IMAGENET_DEFAULT_MEAN,
            image_std=IMAGENET_DEFAULT_STD,
            crop_to_patches=True,
            max_patches=tiles_within(image_tokens, self.tile_tokens),
        )

    def ask(self, picture: PIL.Image.Image, text: str) -> Turn:
        """A question up to where its answer begins."""
        pixels = self.pictures(images=[picture], return_tensors="pt")["pixel_values"]
        chat = deepcopy(self.template)
        chat.append_message(chat.roles[0], f"<image>\n{text}")
        chat.append_message(chat.roles[1], None)
        shown = f"<img>{'<IMG_CONTEXT>' * self.tile_tokens * len(pixels)}</img>"
        asked = chat.get_prompt().replace("<image>", shown, 1)
        ids = torch.tensor(self.tokenizer.encode(asked, add_special_tokens=False))
        return Turn(
            tokens={"input_ids": ids, "attention_mask": torch.ones_like(ids)},
            picture={"pixel_values": pixels, "image_flags": torch.ones(len(pixels), 1).long()},
        )

    def answer(self, text: str) -> list[int]:
        """An answer's tokens, the one that ends it included."""
        return [*self.tokenizer.encode(text, add_special_tokens=False), self.end]

    def text(self, tokens: Sequence[int]) -> str:
        """Generated tokens as text, up to the one that ends the answer."""
        return text_until(self.tokenizer, tokens, self.end)

    def stack(self, turns: Sequence[Turn]) -> dict[str, Tensor]:
        """Turns of any lengths as one input."""
        return padded(turns, self.end, left=True) | joined(turns)

    def logits(self, network: nn.Module, inputs: Mapping[str, Tensor], where: Tensor) -> Tensor:
        """Logits [n, V] out of all."""
        logits: Tensor = network(**inputs, use_cache=False, return_dict=True).logits
        return logits[where]

    def generate(
        self, network: Any, inputs: Mapping[str, Tensor], limit: int
    ) -> tuple[Tensor, Tensor]:
        """The likeliest token again and again; the model returns the new ones alone."""
        asked = {name: value for name, value in inputs.items() if name != "image_flags"}
        settings = greedy(limit, end=self.end, filler=self.end)
        made = network.generate(**asked, generation_config=settings)
        return made.sequences, made.logits[0]


class MolmoAdapter:
    """MolmoE: overlapping crops, and for each of their tokens its place in the text.

    Args:
        processor: of the model.
        image_tokens: most tokens of a picture.
    """

    blocks = "model.transformer.blocks"

    def __init__(self, processor: Any, image_tokens: int) -> None:
        self.processor, self.tokenizer = processor, processor.tokenizer
        self.end = int(self.tokenizer.eos_token_id)
        self.crops = tiles_within(image_tokens, _MOLMO_CROP_TOKENS)

    def ask(self, picture: PIL.Image.Image, text: str) -> Turn:
        """A question up to where its answer begins; the processor writes the roles."""
        made = dict(
            self.processor.process(
                images=[picture], text=text, images_kwargs={"max_crops": self.crops}
            )
        )
        return Turn(tokens={"input_ids": made.pop("input_ids").long()}, picture=made)

    def answer(self, text: str) -> list[int]:
        """An answer's tokens after a space, as the model learned to answer, and the end."""
        return [*self.tokenizer.encode(f" {text}", add_special_tokens=False), self.end]

    def text(self, tokens: Sequence[int]) -> str:
        """Generated tokens as text, up to the one that ends the answer."""
        return text_until(self.tokenizer, tokens, self.end)

    def stack(self, turns: Sequence[Turn]) -> dict[str, Tensor]:
        """Turns of any lengths as one input, filled up at the end: places are counted from 0."""
        crops = max(len(turn.picture["images"]) for turn in turns)
        return padded(turns, _UNUSED, left=False) | {
            name: torch.stack([_with_crops(turn.picture[name], crops) for turn in turns])
            for name in turns[0].picture
        }

    def logits(self, network: nn.Module, inputs: Mapping[str, Tensor], where: Tensor) -> Tensor:
        """Logits [n, V] out of all."""
        logits: Tensor = network(**inputs, use_cache=False, return_dict=True).logits
        return logits[where]

    def generate(
        self, network: Any, inputs: Mapping[str, Tensor], limit: int
    ) -> tuple[Tensor, Tensor]:
        """The likeliest token again and again, at most `limit` times."""
        settings = greedy(limit, end=self.end, filler=self.end)
        made = network.generate_from_batch(dict(inputs), settings)
        return made.sequences[:, inputs["input_ids"].shape[1] :], made.logits[0]


def _with_crops(values: Tensor, crops: int) -> Tensor:
    """[c, ...] to [crops, ...], the further ones marked as none."""
    return F.pad(values, (0, 0) * (values.dim() - 1) + (0, crops - len(values)), value=_UNUSED)
