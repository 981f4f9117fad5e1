"""What shapes the network: one frozen value, and the presets."""

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

from sfedge.errors import ConfigError
from sfedge.manifest import BoxEmbedding

Pool = Literal[1, 2]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """All that shapes the network; stored with its weights and enough to rebuild it.

    The defaults are the paper's model (section 3.4 and "Implementation details" of 4.1).

    Raises:
        ConfigError: settings are out of range or contradict each other; all faults in one message.
    """

    encoder: str = "clip-l14-336"  # a name in training.encoders.ENCODERS
    # Published weights: a tag of the encoder's library, a file, a folder or "owner/name" of the
    # Hugging Face hub; None for random ones.
    encoder_weights: str | None = "openai"
    encoder_layer: int = -1  # block whose tokens are used, counted from the end: -1 is the last
    hidden: int = 4096  # width of the connector's inner layers
    pool: Pool = 1  # side of the block of patches that makes one image token
    box_embedding: BoxEmbedding = "after"  # the connector (figure 3), or "before" it (the text)
    language: str = "meta-llama/Llama-3.2-1B"  # "tiny", a local folder or a hub name
    language_weights: bool = True  # False: the same sizes with random weights
    lora_rank: int = 32
    # The paper gives neither; twice the rank is the usual scale, and no dropout repeats exactly.
    lora_alpha: int = 64
    lora_dropout: float = 0.0

    def __post_init__(self) -> None:
        faults = [
            f"{name} {value!r} is not {wanted}"
            for is_wrong, name, value, wanted in (
                (not _is_text(self.encoder), "encoder", self.encoder, "a name"),
                (
                    not (self.encoder_weights is None or _is_text(self.encoder_weights)),
                    "encoder_weights",
                    self.encoder_weights,
                    "a tag, file, folder, hub name or None",
                ),
                (
                    not _is_whole(self.encoder_layer, -1000, -1),
                    "encoder_layer",
                    self.encoder_layer,
                    "a whole number below 0, such as -1 for the last block",
                ),
                (not _is_whole(self.hidden, 1, 1 << 20), "hidden", self.hidden, "a width"),
                (
                    not _is_whole(self.pool, *get_args(Pool)),
                    "pool",
                    self.pool,
                    "1 or 2",
                ),
                (
                    self.box_embedding not in get_args(BoxEmbedding),
                    "box_embedding",
                    self.box_embedding,
                    '"after" or "before"',
                ),
                (not _is_text(self.language), "language", self.language, "a name or folder"),
                (
                    not isinstance(self.language_weights, bool),
                    "language_weights",
                    self.language_weights,
                    "true or false",
                ),
                (
                    self.language == "tiny" and self.language_weights is True,
                    "language_weights",
                    self.language_weights,
                    'false, though "tiny" has no published weights',
                ),
                (not _is_whole(self.lora_rank, 1, 4096), "lora_rank", self.lora_rank, "a rank"),
                (
                    not _is_whole(self.lora_alpha, 1, 1 << 16),
                    "lora_alpha",
                    self.lora_alpha,
                    "a whole number above 0",
                ),
                (
                    not _is_fraction(self.lora_dropout),
                    "lora_dropout",
                    self.lora_dropout,
                    "in 0 to 1, 1 excluded",
                ),
            )
            if is_wrong
        ]
        if faults:
            raise ConfigError("; ".join(faults), where="model")

    @property
    def is_self_trained(self) -> bool:
        """Whether encoder or language model have no published weights to be loaded from."""
        return self.encoder_weights is None or not self.language_weights

    def without_weights(self) -> "ModelConfig":
        """The same network with random weights: nothing is downloaded, sizes and speed stay."""
        return replace(self, encoder_weights=None, language_weights=False)

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any], *, where: str = "model") -> "ModelConfig":
        """The settings of a JSON object; those it leaves out take their defaults.

        Raises:
            ConfigError: a setting is unknown or out of range.
        """
        unknown = sorted(set(data) - {field.name for field in fields(cls)})
        faults = [f"unknown settings {', '.join(unknown)}"] if unknown else []
        config = None
        try:
            config = cls(**{name: value for name, value in data.items() if name not in unknown})
        except ConfigError as error:
            faults.append(error.what)
        if config is None or faults:
            raise ConfigError("; ".join(faults), where=where)
        return config


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_fraction(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and 0 <= value < 1


PRESETS: dict[str, ModelConfig] = {
    # To the letter of the paper.
    "paper": ModelConfig(),
    # Appendix A: the same with another encoder.
    "dinov2": ModelConfig(encoder="dinov2-l14", encoder_weights="lvd142m"),
    # Beyond the paper: a quarter of the image tokens, for small devices.
    "edge": ModelConfig(pool=2),
    # The same architecture at a size that a CPU trains. It has no published parts: its encoder
    # and language model are trained first, then frozen.
    "tiny": ModelConfig(
        encoder="clip-tiny",
        encoder_weights=None,
        hidden=256,
        language="tiny",
        language_weights=False,
    ),
}
