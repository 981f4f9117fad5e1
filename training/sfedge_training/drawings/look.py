"""How a drawn person looks: skin, hair and clothes, at random, so that they give no label away."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from sfedge_training.drawings.canvas import Colour, mix, shade

Hair = Literal["bald", "short", "curly", "long", "bun", "cap", "scarf"]

_SKINS: tuple[Colour, ...] = (
    (255, 224, 196), (244, 204, 170), (232, 184, 144), (214, 160, 116),
    (186, 130, 90), (150, 100, 66), (116, 76, 50), (88, 58, 40),
)  # fmt: skip
_HAIRS: tuple[Colour, ...] = (
    (24, 20, 18), (52, 36, 26), (92, 60, 36), (140, 94, 52),
    (206, 170, 104), (160, 72, 36), (150, 148, 146), (214, 212, 208),
)  # fmt: skip
_EYES: tuple[Colour, ...] = ((52, 32, 20), (84, 54, 28), (60, 92, 132), (70, 104, 74), (40, 40, 44))
_SUITS: tuple[Colour, ...] = ((36, 40, 52), (52, 54, 60), (30, 34, 40), (70, 72, 84), (62, 50, 44))


@dataclass(frozen=True, slots=True)
class Look:
    """One person's appearance, the same wherever they are drawn."""

    skin: Colour
    hair: Hair
    hair_colour: Colour
    hairline: float  # where the forehead ends: 0 high to 1 low
    parting: float  # -1 left to 1 right
    eye_colour: Colour
    has_glasses: bool
    has_beard: bool
    has_lipstick: bool
    shirt: Colour
    trousers: Colour
    has_skirt: bool
    has_stripes: bool
    face_width: float  # relative to the mean

    @property
    def edge(self) -> Colour:
        """Outline of skin."""
        return shade(self.skin, 0.55)

    @property
    def palm(self) -> Colour:
        """The inside of a hand, lighter and pinker than its back."""
        return mix(self.skin, (255, 214, 200), 0.6)

    @property
    def back(self) -> Colour:
        """The back of a hand."""
        return shade(self.skin, 0.86)


def random_look(rng: np.random.Generator, *, is_child: bool = False) -> Look:
    """A person at random."""
    skin = tint(rng, _SKINS[rng.integers(len(_SKINS))], 10)
    hairs: tuple[Hair, ...] = ("bald", "short", "curly", "long", "bun", "cap", "scarf")
    chances = (0.0, 0.4, 0.15, 0.3, 0.1, 0.05, 0.0) if is_child else (
        0.06, 0.36, 0.14, 0.24, 0.08, 0.07, 0.05
    )  # fmt: skip
    hair = hairs[int(rng.choice(len(hairs), p=chances))]
    has_long_hair = hair in ("long", "bun", "scarf")
    hair_colour = tint(rng, _HAIRS[rng.integers(6 if is_child else len(_HAIRS))], 12)
    if hair in ("cap", "scarf"):
        hair_colour = bright(rng)
    return Look(
        skin=skin,
        hair=hair,
        hair_colour=hair_colour,
        hairline=float(rng.uniform(0, 1)),
        parting=float(rng.uniform(-1, 1)),
        eye_colour=_EYES[rng.integers(len(_EYES))],
        has_glasses=bool(rng.random() < 0.2),
        has_beard=bool(not is_child and not has_long_hair and rng.random() < 0.25),
        has_lipstick=bool(not is_child and has_long_hair and rng.random() < 0.5),
        shirt=bright(rng),
        trousers=_SUITS[rng.integers(len(_SUITS))] if rng.random() < 0.4 else bright(rng, 0.7),
        has_skirt=bool(has_long_hair and rng.random() < 0.4),
        has_stripes=bool(rng.random() < 0.2),
        face_width=float(rng.uniform(0.92, 1.08)),
    )


def suit_colour(rng: np.random.Generator) -> Colour:
    """A colour that suits are made of."""
    return tint(rng, _SUITS[rng.integers(len(_SUITS))], 6)


def bright(rng: np.random.Generator, level: float = 1.0) -> Colour:
    """Any colour, of any saturation."""
    base = rng.integers(30, 245, 3)
    grey = int(base.mean())
    red, green, blue = base.tolist()
    return shade(mix((red, green, blue), (grey, grey, grey), float(rng.uniform(0, 0.6))), level)


def tint(rng: np.random.Generator, colour: Colour, spread: int) -> Colour:
    """A colour near the given one."""
    red, green, blue = np.clip(np.add(colour, rng.integers(-spread, spread + 1, 3)), 0, 255)
    return int(red), int(green), int(blue)
