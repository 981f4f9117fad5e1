"""A compact tag for each person, and each hand without a person: its id and its answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2

from sfedge.annotate.layout import Area, Key, Obstacles, Place, Placer, Wanted, grown
from sfedge.annotate.lines import Point, box_px, faces_px, segments, to_point
from sfedge.annotate.text import gap, ink_on, line_height, put_ground, put_text, text_width
from sfedge.annotate.theme import Colour, Theme
from sfedge.annotate.words import Words, age_text, informativeness, surest_by_task
from sfedge.core.frame_result import FrameResult
from sfedge.core.structures import Image, Prediction, Track

_FULL, _SHORT, _NUMBER = "every answer in a line", "the surest answers in one line", "who it is"
# Each rung is smaller than the one before: what a tag shows, and its share of the text size.
_RUNGS = ((_FULL, 1.0), (_FULL, 0.85), (_SHORT, 0.85), (_SHORT, 0.7), (_NUMBER, 0.7))
_FIRST_SHORT = 2
_WORDS = 2  # answers in a short tag
_FOREHEAD = 0.3  # of a face box's height
_FEW = 4  # up to this many tags show every answer, if there is room; more show the surest in a line


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    age: str  # "" for an answer about this very frame
    colour: Colour


@dataclass(frozen=True, slots=True)
class _Tag:
    """A tag's text, and where it belongs."""

    anchor: Area
    chip: str  # who it is
    colour: Colour  # behind the chip
    certainty: float
    answers: Sequence[Prediction]  # one for each task, in an order that does not change


class Tags:
    """Tags near the heads and hands they belong to, on no face, on no other tag.

    Args:
        theme: colours and sizes.
        words: how answers read.
        reserved: areas of an image that tags leave free.
    """

    def __init__(
        self, theme: Theme, words: Words, reserved: Callable[[Image], Sequence[Area]]
    ) -> None:
        self._theme, self._words = theme, words
        self._reserved = reserved
        self._placer = Placer()
        self._shot = 0
        self._has_aged = False  # from the first age on, lines keep room for one
        self.areas: tuple[Area, ...] = ()  # where the tags of the last frame are
        self.left_out = 0  # tags of the last frame that found no place

    def draw(self, image: Image, result: FrameResult) -> None:
        """Draw on `image`, in place."""
        if result.shot != self._shot or result.frame.starts_scene:
            self._placer.forget()
            self._shot = result.shot
        tags = self._tags(image, result)
        shrunk = self._theme.shrunk(result)
        sizes = [self._theme.font_px(image, shrunk * share) for _, share in _RUNGS]
        lines: dict[tuple[Key, int], list[_Line]] = {}

        def measure(key: Key, rung: int) -> tuple[int, int]:
            lines[key, rung] = self._lines(tags[key], _RUNGS[rung][0], result)
            return self._measure(tags[key].chip, lines[key, rung], sizes[rung])

        places = self._placer.arrange(
            [Wanted(key, tag.anchor, tag.certainty) for key, tag in tags.items()],
            measure,
            range(0 if len(tags) <= _FEW else _FIRST_SHORT, len(_RUNGS)),
            sizes[0],
            self._obstacles(image, result),
            result.time,
        )
        self.areas = tuple(place.area for place in places.values())
        self.left_out = len(tags) - len(places)
        faces = faces_px(image, result, self._theme)
        for key, place in places.items():
            self._leader(image, tags[key], place, faces)
        for key, place in places.items():
            self._put(image, place, tags[key], lines[key, place.rung], sizes[place.rung])

    def _tags(self, image: Image, result: FrameResult) -> dict[Key, _Tag]:
        about: dict[Key, list[Prediction]] = {}
        for answer in result.predictions:
            if len(answer.people) == 1:
                about.setdefault(("person", answer.people[0]), []).append(answer)
            elif not answer.people and len(answer.hands) == 1:
                about.setdefault(("hand", answer.hands[0]), []).append(answer)
        tags: dict[Key, _Tag] = {}
        for track in result.tracks:
            key = ("person", track.id)
            chip = f"{track.id} {track.name}" if track.name else str(track.id)
            seen = track.face_score if track.face is not None else track.person_score
            certainty = 0.0 if seen is None else seen
            colour = self._theme.colour(track.id)
            answers = surest_by_task(about.get(key, ()))
            tags[key] = _Tag(_head(image, track), chip, colour, certainty, answers)
        for hand in result.hands:
            key = ("hand", hand.id)
            chip = f"H{hand.id} wearer" if hand.is_wearers else f"H{hand.id}"
            colour, anchor = self._theme.hand_colour(hand), box_px(image, hand.box)
            tags[key] = _Tag(anchor, chip, colour, hand.score, surest_by_task(about.get(key, ())))
        return tags

    def _obstacles(self, image: Image, result: FrameResult) -> Obstacles:
        height, width = image.shape[:2]
        margin = self._theme.margin_px(image)
        never = faces_px(image, result, self._theme)
        never += [grown(box_px(image, hand.box), margin) for hand in result.hands]
        hair = [_head(image, track) for track in result.tracks if track.face is not None]
        hands = [box_px(image, hand.box) for track in result.tracks for hand in track.hands]
        looked_at = [
            grown(
                (*(point := to_point(image, answer.point)), *point), self._theme.dot_px(image) + 1
            )
            for answer in result.predictions
            if answer.point is not None
        ]
        return Obstacles(
            width, height, [*never, *self._reserved(image)], [*hair, *hands, *looked_at]
        )

    def _lines(self, tag: _Tag, detail: str, result: FrameResult) -> list[_Line]:
        if detail == _NUMBER or not tag.answers:
            return []
        if detail == _FULL:
            return [
                self._line(self._words.whole(answer), [answer], result) for answer in tag.answers
            ]
        labels = [answer for answer in tag.answers if answer.label is not None]
        surest = sorted(labels, key=informativeness, reverse=True)[:_WORDS]
        shown = [answer for answer in labels if answer in surest]
        return (
            [self._line(", ".join(map(self._words.short, shown)), shown, result)] if shown else []
        )

    def _line(self, text: str, answers: Sequence[Prediction], result: FrameResult) -> _Line:
        is_plain = all(answer in result.fresh and not answer.is_unsure for answer in answers)
        age = age_text(answers, result)
        self._has_aged |= bool(age)
        return _Line(text, age, self._theme.text if is_plain else self._theme.carried)

    def _measure(self, chip: str, lines: Sequence[_Line], size: int) -> tuple[int, int]:
        space = gap(size)
        first = text_width(chip, size) + 2 * space
        if not lines:
            return first, line_height(size)
        room = text_width("00.0s", size) + space if self._has_aged else 0
        widths = [text_width(line.text, size) + space + room for line in lines]
        widest = max(first + space + widths[0], *(space + width for width in widths))
        height = line_height(size) * len(lines) + (space // 2 if len(lines) > 1 else 0)
        return -(-widest // size) * size, height  # steps, so that it rests while numbers change

    def _put(
        self, image: Image, place: Place, tag: _Tag, lines: Sequence[_Line], size: int
    ) -> None:
        x1, y1, x2, y2 = place.area
        space, row = gap(size), line_height(size)
        put_ground(image, x1, y1, x2, y2, self._theme.ground, self._theme.ground_opacity)
        chip = text_width(tag.chip, size) + 2 * space
        put_ground(image, x1, y1, x1 + chip, y1 + row, tag.colour, 1.0)
        put_text(image, tag.chip, x1 + space, y1, size, ink_on(tag.colour))
        for number, line in enumerate(lines):
            left, top = x1 + space + (chip if number == 0 else 0), y1 + number * row
            put_text(image, line.text, left, top, size, line.colour)
            if line.age:
                right = x2 - space - text_width(line.age, size)
                put_text(image, line.age, right, top, size, self._theme.carried)

    def _leader(self, image: Image, tag: _Tag, place: Place, faces: Sequence[Area]) -> None:
        """A line from a tag to what it belongs to, where they do not touch."""
        start, end = _nearest(place.area, tag.anchor)
        width = self._theme.width_px(image)
        if max(abs(start[0] - end[0]), abs(start[1] - end[1])) <= 3 * width:
            return
        for first, last in segments(start, end, faces):
            cv2.line(image, first, last, tag.colour, width, cv2.LINE_AA)


def _head(image: Image, track: Track) -> Area:
    """A face with the forehead, which detectors leave out; else the top edge of the person."""
    if track.face is None:
        x1, y1, x2, _ = box_px(image, track.person)
        return x1, y1, x2, y1 + 1
    x1, y1, x2, y2 = box_px(image, track.face)
    return x1, max(y1 - round(_FOREHEAD * (y2 - y1)), 0), x2, y2


def _nearest(area: Area, anchor: Area) -> tuple[Point, Point]:
    """The point of an area and that of an anchor which are nearest to each other."""
    start, end = [], []
    for axis in (0, 1):
        low, high = max(area[axis], anchor[axis]), min(area[axis + 2], anchor[axis + 2]) - 1
        middle = (low + high) // 2
        if low <= high:
            start.append(middle)
            end.append(middle)
        else:
            is_before = area[axis] < anchor[axis]
            start.append(area[axis + 2] - 1 if is_before else area[axis])
            end.append(anchor[axis] if is_before else anchor[axis + 2] - 1)
    return (start[0], start[1]), (end[0], end[1])
