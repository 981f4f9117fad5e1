"""What was answered about each person and pair, written where it hides no face."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sfedge.annotate.layout import Area, Placer, grown
from sfedge.annotate.outlines import corners_px, head_px
from sfedge.annotate.text import ink_on, line_height, put_ground, put_text, text_width
from sfedge.annotate.theme import Colour, Theme
from sfedge.core.boxes import Box
from sfedge.core.structures import FrameResult, Image, Prediction, Track

# How an answer reads on the picture; a task that is not here shows its name.
_PHRASES: dict[str, str] = {
    "expression": "{label}",
    "gesture": "gesture {label}",
    "domain": "{label}",
    "relation": "{label}",
}
_LABELS = {"looking": "looking at me", "not_looking": "not looking at me"}
_GREY: Colour = (70, 70, 70)
_FOREHEAD = 0.3  # of a face box's height
_NOW = 0.05  # seconds; a younger answer would read 0.0 s


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    age: str  # "" for one of this very frame
    colour: Colour


@dataclass(frozen=True, slots=True)
class _Panel:
    """A titled block of lines."""

    title: str
    colour: Colour  # behind the title
    lines: tuple[_Line, ...]


class Labels:
    """A panel per person and pair: name or number, answers with probability, age of older ones.

    Args:
        theme: colours and sizes.
        reserved: areas of an image that texts must leave free.
    """

    def __init__(self, theme: Theme, reserved: Callable[[Image], Sequence[Area]]) -> None:
        self._theme = theme
        self._reserved = reserved
        self._placer = Placer()

    def draw(self, image: Image, result: FrameResult) -> None:
        """Draw on `image`, in place."""
        tracks = {track.id: track for track in result.tracks}
        faces = [_head(image, t.face) for t in result.tracks if t.face is not None]
        self._placer.begin(image.shape[1], image.shape[0], faces, self._reserved(image))
        answers: dict[tuple[int, ...], list[Prediction]] = {(person,): [] for person in tracks}
        for answer in result.predictions:
            if set(answer.people) <= tracks.keys():
                key = answer.people if len(answer.people) == 1 else tuple(sorted(answer.people))
                answers.setdefault(key, []).append(answer)
        for people, about in answers.items():
            shown = [tracks[person] for person in people]
            panel = self._panel(people, shown, about, result)
            self._put(image, people, shown, panel)

    def _panel(
        self,
        people: tuple[int, ...],
        tracks: Sequence[Track],
        answers: Iterable[Prediction],
        result: FrameResult,
    ) -> _Panel:
        if len(tracks) == 1:
            name = tracks[0].name
            title = f"{people[0]} {name}" if name else f"person {people[0]}"
            colour = self._theme.colour(people[0])
        else:
            title, colour = " + ".join(str(person) for person in people), _GREY
        ordered = sorted(answers, key=lambda answer: answer.task)  # lines keep their places
        return _Panel(title, colour, tuple(self._line(answer, result) for answer in ordered))

    def _line(self, answer: Prediction, result: FrameResult) -> _Line:
        is_fresh = answer in result.fresh
        seconds = result.age(answer)
        age = "" if is_fresh and seconds < _NOW else f"{seconds:.1f}s"  # live, fresh ones age, too
        return _Line(phrase(answer), age, self._theme.text if is_fresh else self._theme.carried)

    def _put(
        self, image: Image, people: tuple[int, ...], tracks: Sequence[Track], panel: _Panel
    ) -> None:
        size = self._theme.font_px(image)
        gap, row = max(size // 3, 2), line_height(size)
        age_width = text_width("00.0s", size) + gap
        widest = max(
            [text_width(panel.title, size)]
            + [text_width(line.text, size) + age_width for line in panel.lines]
        )
        step = 2 * size  # so that a panel keeps its size while a number in it changes
        width = -(-(widest + 2 * gap) // step) * step
        height = row * (1 + len(panel.lines)) + (gap if panel.lines else 0)
        x, y = self._placer.place(people, width, height, _anchor(image, tracks))
        body = y + row
        put_ground(image, x, y, x + width, body, panel.colour, 0.9)
        put_text(image, panel.title, x + gap, y, size, ink_on(panel.colour))
        put_ground(
            image, x, body, x + width, y + height, self._theme.ground, self._theme.ground_opacity
        )
        for number, line in enumerate(panel.lines):
            top = body + gap // 2 + number * row
            put_text(image, line.text, x + gap, top, size, line.colour)
            if line.age:
                right = x + width - gap - text_width(line.age, size)
                put_text(image, line.age, right, top, size, self._theme.carried)


def phrase(answer: Prediction) -> str:
    """An answer in words, with its probability; "?" where it is unsure."""
    mark = " ?" if answer.is_unsure else ""
    if answer.label is None or answer.probabilities is None:
        return f"{answer.task} {answer.peak or 0.0:.0%}{mark}"
    label = _LABELS.get(answer.label, answer.label.replace("_", " "))
    default = "{label}" if answer.label in _LABELS else answer.task.replace("_", " ") + " {label}"
    words = _PHRASES.get(answer.task, default).format(label=label)
    return f"{words} {answer.probabilities[answer.label]:.0%}{mark}"


def _head(image: Image, face: Box) -> Area:
    """A face and the forehead above it, which detectors leave out."""
    x1, y1, x2, y2 = corners_px(image, face)
    return x1, max(y1 - round(_FOREHEAD * (y2 - y1)), 0), x2, y2


def _anchor(image: Image, tracks: Sequence[Track]) -> Area:
    """What a panel belongs to: a person's head, or the middle between two heads."""
    if len(tracks) == 1 and tracks[0].face is not None:
        return grown(_head(image, tracks[0].face), 4)
    heads = [head_px(image, track) for track in tracks]
    x = sum(head[0] for head in heads) // len(heads)
    y = sum(head[1] for head in heads) // len(heads)
    return grown((x, y, x, y), 4)
