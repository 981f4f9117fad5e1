"""What shapes the network: one frozen value, and the presets."""

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, cast, get_args

from sfedge.bundle.manifest import BoxEmbedding
from sfedge.core.errors import ConfigError
from sfedge.core.landmarks import LAYOUT

Pool = Literal[1, 2]
OWN_LANGUAGES = (
    "tiny",
    "small",
)  # language models whose base is trained here: nobody publishes any
FrozenPart = Literal["encoder", "language"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """All that shapes the network; stored with its weights and enough to rebuild it.

    The defaults are the paper's model (section 3.4 and "Implementation details" of 4.1).

    Raises:
        ConfigError: settings are out of range or contradict each other; one message names all.
    """

    encoder: str = "clip-l14-336"  # a name in sfedge_training.model.encoders.ENCODERS
    # Published weights: a tag of the encoder's library, a file, a folder or "owner/name" of the
    # Hugging Face hub; None for random ones.
    encoder_weights: str | None = "openai"
    encoder_layer: int = -1  # block whose tokens are used, counted from the end: -1 is the last
    image_size: int | None = None  # pixels per side, where the encoder leaves it free
    hidden: int = 4096  # width of the inner layers of connector and landmark embedding
    pool: Pool = 1  # side of the block of patches that makes one image token
    box_embedding: BoxEmbedding = "after"  # the connector (figure 3), or "before" it (the text)
    landmarks: str | None = None  # layout of those that are read beside the image; None for none
    language: str = "meta-llama/Llama-3.2-1B"  # one of OWN_LANGUAGES, a local folder or a hub name
    language_weights: bool = True  # False: the same sizes with random weights
    lora_rank: int = 32
    # The paper gives neither; twice the rank is the usual scale, and no dropout repeats exactly.
    lora_alpha: int = 64
    lora_dropout: float = 0.0

    def __post_init__(self) -> None:
        weights = self.encoder_weights
        checks: dict[str, tuple[bool, str]] = {
            "encoder": (_is_text(self.encoder), "a name"),
            "encoder_weights": (
                weights is None or _is_text(weights),
                "a tag, file, folder or hub name, or null",
            ),
            "encoder_layer": (_is_whole(self.encoder_layer, -1000, -1), "below 0, as -1 is last"),
            "image_size": (
                self.image_size is None or _is_whole(self.image_size, 1, 8192),
                "a number of pixels in 1 to 8192, or null",
            ),
            "hidden": (_is_whole(self.hidden, 1, 1 << 20), "a width in 1 to 1048576"),
            "pool": (_is_whole(self.pool, 1, 2), "1 or 2"),
            "box_embedding": (self.box_embedding in get_args(BoxEmbedding), "after or before"),
            "landmarks": (self.landmarks in (None, LAYOUT), f"null or {LAYOUT}"),
            "language": (_is_text(self.language), "a name or folder"),
            "language_weights": (
                isinstance(self.language_weights, bool)
                and not (self.language_weights and self.language in OWN_LANGUAGES),
                f"true or false, and false for {' and '.join(OWN_LANGUAGES)}",
            ),
            "lora_rank": (_is_whole(self.lora_rank, 1, 4096), "a rank in 1 to 4096"),
            "lora_alpha": (_is_whole(self.lora_alpha, 1, 1 << 16), "in 1 to 65536"),
            "lora_dropout": (_is_share(self.lora_dropout), "a number from 0 to below 1"),
        }
        problems = [
            f"{name} is {getattr(self, name)!r}, it must be {wanted}"
            for name, (is_right, wanted) in checks.items()
            if not is_right
        ]
        if problems:
            raise ConfigError("; ".join(problems), where="model")

    @property
    def unpublished(self) -> tuple[FrozenPart, ...]:
        """Frozen parts that have no published weights to be loaded from."""
        parts: dict[FrozenPart, bool] = {
            "encoder": self.encoder_weights is not None,
            "language": self.language_weights,
        }
        return tuple(part for part, is_published in parts.items() if not is_published)

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
        problems = [f"unknown settings {', '.join(unknown)}"] if unknown else []
        config = None
        try:
            config = cls(**{name: value for name, value in data.items() if name not in unknown})
        except ConfigError as error:
            problems.append(error.what)
        if config is None or problems:
            raise ConfigError("; ".join(problems), where=where)
        return config


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_share(value: object) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and 0 <= cast(float, value) < 1


PRESETS: dict[str, ModelConfig] = {
    # To the letter of the paper.
    "paper": ModelConfig(),
    # Appendix A: the same with another encoder.
    "dinov2": ModelConfig(encoder="dinov2-l14", encoder_weights="lvd142m"),
    # Beyond the paper: a quarter of the image tokens, for small devices.
    "edge": ModelConfig(pool=2),
    # The same architecture at a size that a CPU trains, on an encoder with a convolutional stem.
    # It has no published parts: its encoder and language model are trained first, then frozen.
    "tiny": ModelConfig(
        encoder="hybrid-tiny",
        encoder_weights=None,
        hidden=256,
        language="tiny",
        language_weights=False,
    ),
    # For people on small devices: it sees little, and reads the detectors' landmarks beside it.
    # Its encoder begins as EfficientNet-Lite0 and learns faces and hands before it is frozen.
    "small": ModelConfig(
        encoder="efficientnet-lite0",
        encoder_weights=None,
        image_size=128,
        hidden=256,
        landmarks=LAYOUT,
        language="small",
        language_weights=False,
    ),
}

FOR_PEOPLE = ("small",)  # presets that are asked as `data.people_tasks` says
