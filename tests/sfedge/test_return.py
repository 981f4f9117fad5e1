"""People near the camera, from photographs: cut by the picture's edges, leaving, coming back."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import PIL.Image
import skimage.data
from matplotlib.cbook import get_sample_data

from sfedge.core.boxes import from_pixels, intersection
from sfedge.core.errors import DataError
from sfedge.core.structures import Detection, Frame, Track
from sfedge.tracking.track import Tracker

WIDTH, HEIGHT, RATE = 480, 270, 25.0
Way = Callable[[float], float]  # left edge of the photograph at a time, in pixels


@dataclass(frozen=True)
class Person:
    photograph: np.ndarray
    face: tuple[int, int, int, int]  # pixels of the photograph
    top: int  # pixels of the frame
    way: Way


def scaled(image: np.ndarray, face: Sequence[int], scale: float) -> tuple[np.ndarray, tuple]:
    picture = PIL.Image.fromarray(image)
    size = round(picture.width * scale), round(picture.height * scale)
    return np.asarray(picture.resize(size)), tuple(round(v * scale) for v in face)


def hopper() -> tuple[np.ndarray, tuple]:
    with PIL.Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False)) as picture:
        return scaled(np.asarray(picture.convert("RGB")), (185, 130, 345, 290), 0.42)


def collins() -> tuple[np.ndarray, tuple]:
    return scaled(np.asarray(skimage.data.astronaut()), (175, 70, 275, 170), 0.42)


def scene(people: Sequence[Person], index: int, noise: np.random.Generator) -> tuple:
    """A frame and the faces in it, the last person in front; cut faces are found if half shows."""
    time = index / RATE
    image = np.full((HEIGHT, WIDTH, 3), 150, np.uint8)
    faces = []
    for person in people:
        left = round(person.way(time))
        photograph = person.photograph[: HEIGHT - person.top]
        x1, x2 = max(left, 0), min(left + photograph.shape[1], WIDTH)
        if x1 < x2:
            image[person.top : person.top + len(photograph), x1:x2] = photograph[
                :, x1 - left : x2 - left
            ]
        fx1, fy1, fx2, fy2 = person.face + noise.normal(0, 1.0, 4)
        corners = left + fx1, person.top + fy1, left + fx2, person.top + fy2
        with suppress(DataError):
            box = from_pixels(*corners, width=WIDTH, height=HEIGHT)
            whole = (fx2 - fx1) * (fy2 - fy1) / (WIDTH * HEIGHT)
            faces = [face for face in faces if intersection(face, box) < 0.4 * face.area]
            if box.area > 0.6 * whole:
                faces.append(box)
    return Frame(image, index, time), [Detection("face", face, 0.9) for face in faces]


def shown(people: Sequence[Person], seconds: float) -> list[tuple[float, tuple[Track, ...], int]]:
    """Time, tracks and number of faces found, frame by frame."""
    tracker, noise = Tracker(), np.random.default_rng(0)
    result = []
    for index in range(int(seconds * RATE)):
        frame, found = scene(people, index, noise)
        result.append((frame.time, tracker.update(found, frame).people, len(found)))
    return result


def visit(first: float, leaves: float, returns: float, speed: float = 400.0) -> Way:
    """Stands at `first`, leaves to the left and comes back to where it was."""

    def way(time: float) -> float:
        if time < returns:
            return max(first - speed * max(time - leaves, 0), -400)
        return min(first, -400 + speed * (time - returns))

    return way


def test_one_near_the_camera_who_comes_back_is_soon_the_old_one() -> None:
    standing = Person(*collins(), 40, lambda time: 260)
    # The lower edge cuts her below the chest, so that less than half of her clothes is seen.
    walking = Person(*hopper(), 80, visit(20, 1.0, 3.0))
    history = shown([standing, walking], 5.5)

    assert {track.id for _, tracks, _ in history for track in tracks} == {1, 2}
    away = [time for time, _, found in history if found == 1]
    found = next(time for time, _, found in history if time > away[-1] and found == 2)
    back = next(time for time, tracks, _ in history if time >= found and len(tracks) == 2)
    assert away[-1] - away[0] > 1.5  # longer than an id lives unseen
    assert back - found <= 0.3


def test_one_who_passed_in_front_of_another_and_left_is_known_again() -> None:
    standing = Person(*collins(), 40, lambda time: 110)
    crossing = Person(*hopper(), 80, visit(265, 1.0, 3.5))
    history = shown([standing, crossing], 6.0)

    last = history[-1][1]
    assert {track.id for _, tracks, _ in history for track in tracks} == {1, 2}
    assert [track.id for track in sorted(last, key=lambda t: -t.person.centre[0])] == [2, 1]


def test_another_who_comes_in_instead_gets_a_new_id_without_a_wait() -> None:
    leaving = Person(*hopper(), 80, visit(20, 1.0, 99.0))
    coming = Person(*collins(), 40, lambda time: max(300.0, 480 - 300 * max(time - 3.5, 0)))
    history = shown([leaving, coming], 5.0)

    ids = [track.id for _, tracks, _ in history for track in tracks]
    assert sorted(set(ids)) == [1, 2]
    found = next(time for time, _, found in history if time > 3.4 and found)
    first = next(time for time, tracks, _ in history if time > 3.4 and tracks)
    assert first - found <= 0.3
