"""The status strip: time or file name, which model answers, and what its limits are."""

from collections.abc import Callable, Iterator, Sequence

from sfedge.annotate.layout import Area
from sfedge.annotate.text import line_height, put_ground, put_text, wrap
from sfedge.annotate.theme import Theme
from sfedge.core.frame_result import FrameResult
from sfedge.core.structures import Image

_SMALLER = 0.85  # than other texts
_TALLEST = 0.34  # of the picture's height


class StatusLine:
    """A strip at the foot of every picture: time or file and model, then the model's limits.

    Args:
        theme: colours and sizes.
        model: name of the model.
        notice: its limits; "" for none.
        facts: what to add at each frame, such as "12 frames dropped".
        tags_left_out: how many people's tags found no place in the frame.
    """

    def __init__(
        self,
        theme: Theme,
        *,
        model: str,
        notice: str,
        facts: Callable[[], str],
        tags_left_out: Callable[[], int],
    ) -> None:
        self._theme = theme
        self._model, self._notice, self._facts = model, notice, facts
        self._tags_left_out = tags_left_out

    def areas(self, image: Image) -> Sequence[Area]:
        """The part of `image` that the strip takes."""
        height, width = image.shape[:2]
        row = line_height(self._size(image))
        rows = min(1 + len(self._limits(image)), int(height * _TALLEST) // row)
        return ((0, height - rows * row, width, height),)

    def draw(self, image: Image, result: FrameResult) -> None:
        """Draw on `image`, in place."""
        size = self._size(image)
        ((left, top, right, bottom),) = self.areas(image)
        put_ground(image, left, top, right, bottom, self._theme.ground, self._theme.ground_opacity)
        frame = result.frame
        where = frame.file if frame.starts_scene and frame.file else clock(frame.time)
        parts = [where, f"model {self._model}", *self._missing(result), self._facts()]
        state = "   ".join(filter(None, parts))
        for number, line in enumerate([state, *self._limits(image)]):
            y = top + number * line_height(size)
            if y < bottom:
                put_text(image, line, size // 2, y, size, self._theme.text)

    def _missing(self, result: FrameResult) -> Iterator[str]:
        """The facts that the picture does not show."""
        if count := result.left_out:
            yield f"{count} {'person' if count == 1 else 'people'} not asked about"
        if count := self._tags_left_out():
            yield f"{count} {'tag' if count == 1 else 'tags'} without room"

    def _size(self, image: Image) -> int:
        return max(round(self._theme.font_px(image) * _SMALLER), 9)

    def _limits(self, image: Image) -> list[str]:
        size = self._size(image)
        return wrap(self._notice, size, image.shape[1] - size)


def clock(seconds: float) -> str:
    """Seconds as m:ss.hh, with hours where there are some; those below 0 with a minus."""
    minutes, hundredths = divmod(round(abs(seconds) * 100), 6000)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{'-' * (seconds < 0)}{head}:{hundredths / 100:05.2f}"
