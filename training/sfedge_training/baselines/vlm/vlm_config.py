"""What shapes a baseline: which model, how much of a picture it sees, and its LoRA."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from sfedge.core.errors import ConfigError, unknown_name

# The models of the paper's tables 1 and 9, and where their makers publish them.
PUBLISHED: dict[str, str] = {
    "qwen2-vl": "Qwen/Qwen2-VL-2B-Instruct",
    "internvl3": "OpenGVLab/InternVL3-2B-hf",
    "molmoe": "allenai/MolmoE-1B-0924",
    "sail-vl": "BytedanceDouyinContent/SAIL-VL-1d5-2B",
}
# Their classes are no part of `transformers`: the hub delivers Python code with the weights.
REMOTE = ("molmoe", "sail-vl")

# The paper gives none; this is what the makers of Qwen2-VL advise, enough there for a photograph
# of a megapixel.
IMAGE_TOKENS = 1280


@dataclass(frozen=True, slots=True, kw_only=True)
class VlmConfig:
    """One baseline; stored with what it learned and enough to build it again.

    Raises:
        ConfigError: settings are out of range; all problems in one message.
        UnknownNameError: there is no such family.
    """

    family: str  # a name in PUBLISHED
    weights: str = ""  # a local folder or "owner/name" of the hub; "" for the published ones
    revision: str | None = None  # commit or tag of the hub's repository; None for its newest
    image_tokens: int = IMAGE_TOKENS  # most tokens that a picture may become
    lora_rank: int = 32  # paper, section 4.1
    # The paper gives neither; the same values as for SocialFusion.
    lora_alpha: int = 64
    lora_dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.family not in PUBLISHED:
            unknown_name("family", self.family, PUBLISHED, where="--family")
        problems = [
            text
            for is_wrong, text in (
                (self.image_tokens < 4, f"image tokens {self.image_tokens} is below 4"),
                (self.lora_rank < 1, f"LoRA rank {self.lora_rank} is below 1"),
                (self.lora_alpha < 1, f"LoRA alpha {self.lora_alpha} is below 1"),
                (not 0 <= self.lora_dropout < 1, f"LoRA dropout {self.lora_dropout}"),
            )
            if is_wrong
        ]
        if problems:
            raise ConfigError("; ".join(problems), where=self.family)

    @property
    def source(self) -> str:
        """The folder or hub name to load from."""
        return self.weights or PUBLISHED[self.family]

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any], *, where: str = "model") -> "VlmConfig":
        """The settings of a JSON object.

        Raises:
            ConfigError: a setting is unknown, missing or out of range.
        """
        unknown = sorted(set(data) - {field.name for field in fields(cls)})
        if unknown or "family" not in data:
            problem = f"unknown settings {', '.join(unknown)}" if unknown else "no family is named"
            raise ConfigError(problem, where=where)
        return cls(**data)
