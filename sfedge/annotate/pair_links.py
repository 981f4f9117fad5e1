"""A thin line between two people whose relation was answered, with one word on it."""

from collections.abc import Callable, Iterable, Sequence

from sfedge.annotate.layout import Area, is_free
from sfedge.annotate.lines import Point, between, faces_px, head_px, leaving_px, put_line
from sfedge.annotate.text import gap, line_height, put_ground, put_text, text_width
from sfedge.annotate.theme import Theme
from sfedge.annotate.words import Words, age_text, informativeness
from sfedge.core.frame_result import FrameResult
from sfedge.core.structures import Image, Prediction

_SMALLER = 0.85  # than the tags of few people
_SPOTS = (0.5, 0.4, 0.6, 0.3, 0.7)  # of the line's length, where a word may be drawn
_ROWS = (0.0, 1.0, -1.0, 2.0, -2.0)  # beside the line, in words' heights


class PairLinks:
    """Links between heads, the surest first; one whose word finds no free place is left out.

    Args:
        theme: colours and sizes.
        words: how answers read.
        taken: areas of an image that neither lines nor words may touch: tags, the status line.
    """

    def __init__(
        self, theme: Theme, words: Words, taken: Callable[[Image], Sequence[Area]]
    ) -> None:
        self._theme, self._words = theme, words
        self._taken = taken
        self.areas: tuple[Area, ...] = ()  # where the words of the last frame are

    def draw(self, image: Image, result: FrameResult) -> None:
        """Draw on `image`, in place."""
        tracks = {track.id: track for track in result.tracks}
        size = self._theme.font_px(image, _SMALLER * self._theme.shrunk(result))
        blocked = [*faces_px(image, result, self._theme), *self._taken(image)]
        words: list[tuple[Prediction, Area]] = []
        lines: list[tuple[Prediction, Point, Point]] = []
        for answer in _surest_by_pair(result.predictions):
            if not tracks.keys() >= set(answer.people) or len(words) == len(tracks):
                continue
            first, second = (tracks[person] for person in answer.people)
            start = leaving_px(image, first, head_px(image, second))
            end = leaving_px(image, second, head_px(image, first))
            width, height = self._measure(answer, result, size)
            area = _free_area(image, start, end, width, height, blocked)
            if area is None:
                continue
            blocked.append(area)
            words.append((answer, area))
            lines.append((answer, start, end))
        self.areas = tuple(area for _, area in words)
        for answer, start, end in lines:
            colour = self._theme.faded(self._theme.text, result, answer)
            put_line(
                image,
                start,
                end,
                colour,
                self._theme,
                width=max(self._theme.width_px(image) - 1, 1),
                is_dashed=answer.is_unsure,
                behind=blocked,
            )
        for answer, area in words:
            self._put(image, answer, area, result, size)

    def _measure(self, answer: Prediction, result: FrameResult, size: int) -> tuple[int, int]:
        age = age_text([answer], result)
        gaps = 3 if age else 2
        width = text_width(self._words.short(answer), size) + (text_width(age, size) if age else 0)
        return width + gaps * gap(size), line_height(size)

    def _put(
        self, image: Image, answer: Prediction, area: Area, result: FrameResult, size: int
    ) -> None:
        put_ground(image, *area, self._theme.ground, self._theme.ground_opacity)
        ink = self._theme.text if answer in result.fresh else self._theme.carried
        left = area[0] + gap(size)
        put_text(image, self._words.short(answer), left, area[1], size, ink)
        if age := age_text([answer], result):
            left += text_width(self._words.short(answer), size) + gap(size)
            put_text(image, age, left, area[1], size, self._theme.carried)


def _surest_by_pair(answers: Iterable[Prediction]) -> list[Prediction]:
    """One answer a pair, of the task with the most labels; the most informative come first."""
    best: dict[frozenset[int], Prediction] = {}
    for answer in answers:
        pair = frozenset(answer.people)
        if len(pair) == 2 and (pair not in best or _detail(answer) > _detail(best[pair])):
            best[pair] = answer
    return sorted(
        best.values(), key=lambda answer: (informativeness(answer), answer.people), reverse=True
    )


def _detail(answer: Prediction) -> tuple[bool, int, float]:
    probabilities = answer.probabilities or {}
    return not answer.is_unsure, len(probabilities), probabilities.get(answer.label or "", 0.0)


def _free_area(
    image: Image, start: Point, end: Point, width: int, height: int, blocked: Sequence[Area]
) -> Area | None:
    """The place where a word on a line covers nothing and is whole; None if there is none."""
    for row in _ROWS:
        for spot in _SPOTS:
            x, y = between(start, end, spot)
            left, top = x - width // 2, y - height // 2 + round(row * height)
            area = left, top, left + width, top + height
            is_inside = left >= 0 and top >= 0 and area[2] <= image.shape[1]
            if is_inside and area[3] <= image.shape[0] and is_free(area, blocked):
                return area
    return None
