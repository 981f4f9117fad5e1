"""Colours and sizes of all that is drawn."""

from dataclasses import dataclass

from sfedge.core.frame_result import FrameResult
from sfedge.core.structures import Hand, Image, Prediction

Colour = tuple[int, int, int]  # RGB

# Okabe and Ito's palette, distinguishable with any kind of colour vision; black is left out.
_PALETTE: tuple[Colour, ...] = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (240, 228, 66),
    (213, 94, 0),
    (0, 114, 178),
)


_SMALLEST_FONT = 10  # pixels
_ROOMY, _SHRINK, _LEAST = 2, 0.05, 0.7  # texts shrink by a share for each person beyond two


@dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """The style of drawings; sizes are pixels of a picture whose shorter side is 720."""

    palette: tuple[Colour, ...] = _PALETTE
    text: Colour = (255, 255, 255)  # of a fresh answer
    carried: Colour = (190, 190, 190)  # of an answer from an earlier frame
    ground: Colour = (16, 16, 16)  # behind texts
    ground_opacity: float = 0.72
    hand: Colour = (225, 225, 225)  # of a hand that belongs to nobody
    wearer: Colour = (255, 120, 90)  # of a hand of the person who wears the camera
    halo: Colour = (0, 0, 0)  # around lines, so that they show on bright ground
    font_size: float = 17.0
    line_width: float = 1.5
    dot_radius: float = 7.0
    heat_opacity: float = 0.55  # at the peak of the gaze heatmap

    def colour(self, person: int) -> Colour:
        """The colour of a person; ids follow the palette round."""
        return self.palette[person % len(self.palette)]

    def hand_colour(self, hand: Hand) -> Colour:
        """The colour of a hand that belongs to nobody in the frame."""
        return self.wearer if hand.is_wearers else self.hand

    def scale(self, image: Image) -> float:
        """Pixels of `image` per pixel of the theme."""
        height, width = image.shape[:2]
        return float(min(height, width)) / 720.0

    def font_px(self, image: Image, share: float = 1.0) -> int:
        """Height of texts; small pictures get texts that can still be read."""
        return max(round(self.font_size * self.scale(image) * share), _SMALLEST_FONT)

    def shrunk(self, result: FrameResult) -> float:
        """The share of their size that texts get in a crowd."""
        count = len(result.tracks) + len(result.hands)
        return max(1.0 - _SHRINK * max(count - _ROOMY, 0), _LEAST)

    def width_px(self, image: Image) -> int:
        """Width of lines."""
        return max(round(self.line_width * self.scale(image)), 1)

    def frame_px(self, image: Image) -> int:
        """Width of frames; video halves the resolution of colours, so that one pixel looks grey."""
        return max(self.width_px(image), 2)

    def dot_px(self, image: Image) -> int:
        """Radius of the points that are looked at."""
        return max(round(self.dot_radius * self.scale(image)), 3)

    def margin_px(self, image: Image) -> int:
        """The distance of tags and lines from a face, so that its frame stays whole."""
        return self.frame_px(image) + 2

    def faded(self, colour: Colour, result: FrameResult, prediction: Prediction) -> Colour:
        """The colour of a line for an answer: full when it is fresh, greyer with its age."""
        if prediction in result.fresh:
            return colour
        strength = max(0.75 - 0.2 * result.age(prediction), 0.35)
        red, green, blue = (round(c * strength + 96 * (1 - strength)) for c in colour)
        return red, green, blue
