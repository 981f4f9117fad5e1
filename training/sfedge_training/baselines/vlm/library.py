"""Qwen2-VL and InternVL3, through the classes and processors of `transformers`."""

from collections.abc import Mapping, Sequence
from typing import Any

import PIL.Image
from torch import Tensor, nn
from transformers import InternVLProcessor, ProcessorMixin, Qwen2VLProcessor

from sfedge_training.baselines.vlm.adapters import (
    Turn,
    greedy,
    joined,
    padded,
    text_until,
    token_id,
)

_END = "<|im_end|>"  # of a message, in both
_ALONG_TOKENS = ("input_ids", "attention_mask", "mm_token_type_ids")


class LibraryAdapter:
    """Asks through the model's own processor and chat template.

    Args:
        processor: of the model, with its chat template.
        pictures: the processor's options for pictures.
    """

    blocks = "model.language_model.layers"

    def __init__(self, processor: ProcessorMixin, pictures: dict[str, Any]) -> None:
        self.processor, self.pictures = processor, pictures
        self.tokenizer = processor.tokenizer
        self.end = token_id(self.tokenizer, _END)
        filler = self.tokenizer.pad_token_id
        self.filler = self.end if filler is None else int(filler)

    def ask(self, picture: PIL.Image.Image, text: str) -> Turn:
        """A question up to where its answer begins."""
        content: Any = [{"type": "image"}, {"type": "text", "text": text}]
        chat = self.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        made = self.processor(
            images=[picture], text=[chat], images_kwargs=self.pictures, return_tensors="pt"
        )
        return Turn(
            tokens={name: made[name][0] for name in _ALONG_TOKENS if name in made},
            picture={name: value for name, value in made.items() if name not in _ALONG_TOKENS},
        )

    def answer(self, text: str) -> list[int]:
        """An answer's tokens, the one that ends it included."""
        return [*self.tokenizer.encode(text, add_special_tokens=False), self.end]

    def text(self, tokens: Sequence[int]) -> str:
        """Generated tokens as text, up to the one that ends the answer."""
        return text_until(self.tokenizer, tokens, self.end)

    def stack(self, turns: Sequence[Turn]) -> dict[str, Tensor]:
        """Turns of any lengths as one input."""
        return padded(turns, self.filler, left=True) | joined(turns)

    def logits(self, network: nn.Module, inputs: Mapping[str, Tensor], where: Tensor) -> Tensor:
        """Logits [n, V]; no others are computed."""
        logits: Tensor = network(**inputs, use_cache=False, logits_to_keep=where).logits
        return logits

    def generate(
        self, network: Any, inputs: Mapping[str, Tensor], limit: int
    ) -> tuple[Tensor, Tensor]:
        """The likeliest token again and again, at most `limit` times."""
        settings = greedy(limit, end=self.end, filler=self.filler)
        made = network.generate(**inputs, generation_config=settings)
        return made.sequences[:, inputs["input_ids"].shape[1] :], made.logits[0]


def qwen2_vl(processor: Qwen2VLProcessor, image_tokens: int) -> LibraryAdapter:
    """Pictures keep their shape and become at most `image_tokens` tokens."""
    images = processor.image_processor
    area = (images.patch_size * images.merge_size) ** 2  # pixels of a token
    size = {
        "shortest_edge": min(images.size["shortest_edge"], image_tokens * area),
        "longest_edge": image_tokens * area,
    }
    return LibraryAdapter(processor, {"size": size})


def internvl3(processor: InternVLProcessor, image_tokens: int) -> LibraryAdapter:
    """Pictures become tiles, and an overview beside them where there are several."""
    tiles = tiles_within(image_tokens, processor.image_seq_length)
    return LibraryAdapter(processor, {"crop_to_patches": True, "max_patches": tiles})


def tiles_within(image_tokens: int, of_each: int) -> int:
    """Most tiles that fit, with room for the overview."""
    return max(1, image_tokens // of_each - 1)
