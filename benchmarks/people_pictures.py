"""Pictures for detectors: photographs of people, pasted on others of nobody; all from packages."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from matplotlib import cbook
from PIL import Image as Pillow
from skimage import data

from benchmarks.drawn_hand import draw_hand
from sfedge.core.boxes import Box, from_pixels, to_pixels
from sfedge.core.structures import Image

WIDTH, HEIGHT = 1280, 720
BACKGROUNDS = ("coffee", "gravel", "motorcycle")
# Pictures that come with scikit-image and show nobody.
EMPTY = (
    "brick", "cell", "chelsea", "coffee", "grass", "gravel", "hubble_deep_field",
    "immunohistochemistry", "microaneurysms", "moon", "motorcycle", "page", "retina", "rocket",
    "text",
)  # fmt: skip
HAND_TO_FACE = 1.3  # length of a hand over that of a face from the brows to the chin

_LARGE = 110  # pixels of a face
_LARGEST = 560  # pixels of a photograph in a crowd
_GRIDS = ((1, 1), (2, 1), (3, 1), (3, 2), (4, 2), (4, 3), (4, 4))  # columns and rows of a crowd
_UNIT = 54  # pixels at which the hand is drawn before it is shrunk
_HAND = (-0.65, -2.4, 1.10, 0.0)  # its corners, seen from the wrist, in units


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """A photograph of one person who looks at the camera."""

    image: Image
    face: tuple[int, int, int, int]  # pixels: brows to chin, cheek to cheek; measured by hand


@cache
def portraits() -> tuple[Portrait, Portrait]:
    """Eileen Collins (NASA), from scikit-image; Grace Hopper (US Navy), from matplotlib."""
    with Pillow.open(str(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))) as picture:
        hopper = np.array(picture.convert("RGB"))
    collins: Image = data.astronaut()  # type: ignore[no-untyped-call]
    return Portrait(collins, (182, 89, 269, 179)), Portrait(hopper, (180, 153, 349, 332))


def empty_picture(name: str) -> Image:
    """A picture of scikit-image, (HEIGHT, WIDTH, 3); what reaches beyond that is cut off."""
    return _empty_picture(name).copy()


@cache
def _empty_picture(name: str) -> Image:
    load = getattr(data, "stereo_motorcycle" if name == "motorcycle" else name)
    picture = load()[0] if name == "motorcycle" else load()  # the left of two
    whole = Pillow.fromarray(picture).convert("RGB")
    scale = max(WIDTH / whole.width, HEIGHT / whole.height)
    shown = whole.resize((round(whole.width * scale), round(whole.height * scale)))
    left, top = (shown.width - WIDTH) // 2, (shown.height - HEIGHT) // 2
    return np.array(shown.crop((left, top, left + WIDTH, top + HEIGHT)))


def large_people(count: int) -> tuple[Image, list[Box]]:
    """A frame with up to two large people, and their faces."""
    frame = empty_picture("gravel")
    places = zip(portraits()[:count], ((120, 0), (820, 200)), strict=False)
    return frame, [_add_person(frame, person, _LARGE, *corner) for person, corner in places]


def hand_beside(frame: Image, face: Box) -> Image:
    """The frame with a hand held up beside the face."""
    raised, random = frame.copy(), np.random.default_rng(0)
    while _add_hand(raised, face, random) is None:
        pass
    return raised


def person_somewhere(trial: int, face_height: float) -> tuple[Image, Box]:
    """A person of this size somewhere in a frame, mirrored or not, darker or lighter; the face."""
    return _person(trial, face_height, np.random.default_rng((trial, round(face_height))))


def crowd(count: int) -> tuple[Image, list[tuple[Image, int, int]]]:
    """A ground, and people to put on it in rows, side by side, each with a hand held up.

    Args:
        count: of people, at most 16.

    Returns:
        The ground, and of each person a picture of its own and where it belongs: left, top.
    """
    columns, rows = next(grid for grid in _GRIDS if grid[0] * grid[1] >= count)
    width, height = WIDTH // columns, HEIGHT // rows
    ground, patches = empty_picture("gravel"), []
    for place in range(count):
        person = portraits()[place % 2]
        if place // 2 % 2:
            x1, y1, x2, y2 = person.face
            across = person.image.shape[1]
            person = Portrait(person.image[:, ::-1], (across - x2, y1, across - x1, y2))
        row, column = divmod(place, columns)
        left, top = column * width, row * height
        frame = ground.copy()
        # The whole photograph, with a margin beside it for the hand and for swaying.
        side = person.image.shape
        scale = min(0.66 * width / side[1], 0.94 * height / side[0], _LARGEST / side[0])
        face = scale * (person.face[3] - person.face[1])
        corner = left + round(0.3 * width), top + height - round(scale * side[0]) - 5
        box = _add_person(frame, person, face, *corner)
        frame = hand_beside(frame, box)
        patches.append((frame[top : top + height, left : left + width].copy(), left, top))
    return ground, patches


def hand_somewhere(trial: int, length: float) -> tuple[Image, Box]:
    """A person with a hand of this size held up beside the face, left or right; the hand."""
    random = np.random.default_rng((trial, round(length)))
    while True:
        frame, face = _person(trial, length / HAND_TO_FACE, random)
        hand = _add_hand(frame, face, random)
        if hand is not None:
            return frame, hand


def _person(trial: int, face_height: float, random: np.random.Generator) -> tuple[Image, Box]:
    frame = empty_picture(BACKGROUNDS[trial % len(BACKGROUNDS)])
    people = portraits()
    person = people[trial // len(BACKGROUNDS) % len(people)]
    (x1, y1, x2, y2), (height, width) = person.face, person.image.shape[:2]
    lit = (person.image * random.uniform(0.6, 1.1)).clip(0, 255).astype(np.uint8)
    if random.random() < 0.5:
        person = Portrait(lit[:, ::-1], (width - x2, y1, width - x1, y2))
    else:
        person = replace(person, image=lit)
    scale = face_height / (y2 - y1)
    left = int(random.integers(0, WIDTH - round(width * scale) + 1))
    top = int(random.integers(0, HEIGHT - round(height * scale) + 1))
    return frame, _add_person(frame, person, face_height, left, top)


def _add_person(frame: Image, person: Portrait, face_height: float, left: int, top: int) -> Box:
    """Paste a photograph with its corner there; returns where the face is."""
    x1, y1, x2, y2 = person.face
    scale = face_height / (y2 - y1)
    height, width = (round(side * scale) for side in person.image.shape[:2])
    frame[top : top + height, left : left + width] = _resized(person.image, (width, height))
    corners = (left + x1 * scale, top + y1 * scale, left + x2 * scale, top + y2 * scale)
    return from_pixels(*corners, width=WIDTH, height=HEIGHT)


def _add_hand(frame: Image, face: Box, random: np.random.Generator) -> Box | None:
    """Draw a hand of the face's colour and size; returns where, None if it has no room."""
    left, top, right, bottom = to_pixels(face, width=WIDTH, height=HEIGHT)
    skin = np.median(frame[top:bottom, left:right].reshape(-1, 3), axis=0)
    colour, opacity, wrist = draw_hand(_UNIT, skin.tolist())
    x1, y1, x2, y2 = (wrist[i % 2] + _UNIT * side for i, side in enumerate(_HAND))
    direction = 1 if random.random() < 0.5 else -1
    if direction < 0:
        colour, opacity = colour[:, ::-1], opacity[:, ::-1]
        x1, x2 = colour.shape[1] - x2, colour.shape[1] - x1
    face_height = face.height * HEIGHT
    scale = HAND_TO_FACE * face_height / (y2 - y1)
    height, width = (round(side * scale) for side in opacity.shape)
    middle_x = face.centre[0] * WIDTH + direction * random.uniform(1.6, 2.6) * face_height
    middle_y = face.centre[1] * HEIGHT + random.uniform(-0.5, 1.0) * face_height
    left, top = round(middle_x - width / 2), round(middle_y - height / 2)
    if min(left, top) < 0 or left + width > WIDTH or top + height > HEIGHT:
        return None
    cover = _resized((255 * opacity).astype(np.uint8), (width, height))[..., None] / 255
    part = frame[top : top + height, left : left + width]
    part[:] = (part * (1 - cover) + _resized(colour, (width, height)) * cover).clip(0, 255)
    corners = (left + x1 * scale, top + y1 * scale, left + x2 * scale, top + y2 * scale)
    return from_pixels(*corners, width=WIDTH, height=HEIGHT)


def _resized(picture: Image, size: tuple[int, int]) -> Image:
    return np.array(Pillow.fromarray(picture).resize(size, Pillow.Resampling.LANCZOS))
