"""Text as bitmaps: rendered once, blended as often as it is shown."""

import unicodedata
from functools import cache, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from sfedge.annotate.theme import Colour
from sfedge.core.structures import Image

# Pillow's own font has ASCII alone; other names are written with one of these where it is there.
_SYSTEM_FONTS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "LiberationSans-Regular.ttf",
    "Arial.ttf",
    "segoeui.ttf",
)

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@lru_cache(maxsize=2048)
def text_mask(text: str, size: int) -> NDArray[np.float32]:
    """(H, W, 1) opacity in [0, 1] of a line of text; H is the same for all texts of a size."""
    shown, font = _font(text, size)
    left, _, right, _ = font.getbbox(shown)
    width, height = max(int(np.ceil(right - min(left, 0))), 1), line_height(size)
    canvas = PillowImage.new("L", (width, height))
    ImageDraw.Draw(canvas).text(
        (-min(left, 0), height * 0.76), shown, fill=255, font=font, anchor="ls"
    )
    return (np.asarray(canvas, np.float32) / 255.0)[..., None]


def line_height(size: int) -> int:
    """Pixels from one line of text to the next."""
    return round(size * 1.3)


def text_width(text: str, size: int) -> int:
    """Pixels that a text takes."""
    return int(text_mask(text, size).shape[1])


def gap(size: int) -> int:
    """Pixels between texts, and between a text and the edge of its ground."""
    return max(size // 3, 2)


def wrap(text: str, size: int, width: int) -> list[str]:
    """The text in lines that fit into `width` pixels, cut between words."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def put_text(image: Image, text: str, x: int, y: int, size: int, colour: Colour) -> None:
    """Write a line of text with its upper left corner at (x, y); what leaves the picture is cut."""
    mask = text_mask(text, size)
    left, top = max(x, 0), max(y, 0)
    mask = mask[top - y : max(image.shape[0] - y, 0), left - x : max(image.shape[1] - x, 0)]
    if mask.size == 0:
        return
    area = image[top : top + mask.shape[0], left : left + mask.shape[1]]
    ink = np.asarray(colour, np.float32)
    area[...] = (area + mask * (ink - area) + 0.5).astype(np.uint8)


def put_ground(
    image: Image, x1: int, y1: int, x2: int, y2: int, colour: Colour, opacity: float
) -> None:
    """Lay a see-through rectangle on the picture."""
    area = image[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)]
    if area.size:
        ground = np.empty_like(area)
        ground[...] = colour
        cv2.addWeighted(area, 1.0 - opacity, ground, opacity, 0.0, dst=ground)
        area[...] = ground


def ink_on(colour: Colour) -> Colour:
    """Black or white, whichever has more contrast to `colour` (WCAG 2.1, with a gamma of 2.2)."""
    red, green, blue = ((c / 255) ** 2.2 for c in colour)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return (0, 0, 0) if luminance > 0.179 else (255, 255, 255)


def _font(text: str, size: int) -> tuple[str, _Font]:
    """The text as it can be shown, and the font for it."""
    if text.isascii():
        return text, _default_font(size)
    font = _system_font(size)
    if font is not None:
        return text, font
    plain = unicodedata.normalize("NFKD", text)
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    return plain.encode("ascii", "replace").decode("ascii"), _default_font(size)


@cache
def _default_font(size: int) -> _Font:
    return ImageFont.load_default(size)


@cache
def _system_font(size: int) -> _Font | None:
    for name in _SYSTEM_FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return None
