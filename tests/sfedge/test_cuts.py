from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from clips import write_clip
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.cbook import get_sample_data
from numpy.typing import NDArray
from PIL import Image

import sfedge
from sfedge.core.boxes import Box
from sfedge.core.structures import Detection, Frame, Prediction
from sfedge.core.tasks import TASKS
from sfedge.sources import open_source
from sfedge.tracking.cuts import CutFinder

Picture = NDArray[np.uint8]
RATE = 25.0
SIZE = (320, 180)


def _fitted(picture: Picture, size: tuple[int, int] = SIZE) -> Picture:
    """The middle of a picture, in this size."""
    height, width = picture.shape[:2]
    scale = max(size[0] / width, size[1] / height)
    large = cv2.resize(
        picture, None, fx=scale + 1e-3, fy=scale + 1e-3, interpolation=cv2.INTER_AREA
    )
    y, x = (large.shape[0] - size[1]) // 2, (large.shape[1] - size[0]) // 2
    return large[y : y + size[1], x : x + size[0]]


def _hopper() -> Picture:
    with Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False)) as picture:
        return np.asarray(picture.convert("RGB"))


PHOTOGRAPHS = [
    skimage.data.astronaut(),
    skimage.data.coffee(),
    skimage.data.chelsea(),
    skimage.data.immunohistochemistry(),
    _hopper(),
]
SCENES = [_fitted(picture) for picture in PHOTOGRAPHS]
WIDE = [_fitted(picture, (960, 540)) for picture in PHOTOGRAPHS]


def cuts(pictures: Sequence[Picture], *, rate: float = RATE) -> list[int]:
    """Where cuts are found, in the noise of a camera."""
    finder, noise = CutFinder(), np.random.default_rng(0)
    found = []
    for index, picture in enumerate(pictures):
        shaken = picture + noise.normal(0, 3, picture.shape)
        image = np.clip(shaken, 0, 255).astype(np.uint8)
        if finder.update(Frame(image, index, index / rate)):
            found.append(index)
    return found


def lit(picture: Picture, gain: float, lift: float = 0.0) -> Picture:
    return np.clip(picture.astype(np.float32) * gain + lift, 0, 255).astype(np.uint8)


def mixed(a: Picture, b: Picture, share: float) -> Picture:
    return cv2.addWeighted(a, 1 - share, b, share, 0)


@pytest.mark.parametrize(("a", "b"), list(permutations(range(5), 2)))
def test_a_cut_is_found_at_its_first_frame(a: int, b: int) -> None:
    (found,) = cuts([SCENES[a]] * 6 + [SCENES[b]] * 6)

    is_much_brighter = SCENES[b].mean() - SCENES[a].mean() > 15
    assert found == 6 or (is_much_brighter and found == 8)


def test_cuts_in_a_file_are_found_and_nothing_else(tmp_path: Path) -> None:
    pictures = [
        np.roll(SCENES[scene], 2 * index, axis=1)  # the camera moves, too
        for scene in (0, 4, 2)
        for index in range(8)
    ]
    file = write_clip(
        tmp_path / "cuts.mp4", [i / RATE for i in range(24)], size=SIZE, pictures=pictures
    )
    finder = CutFinder()
    with open_source(str(file)) as source:
        assert [frame.index for frame in source if finder.update(frame)] == [8, 16]


@pytest.mark.parametrize("scene", range(len(SCENES)))
def test_a_flash_is_no_cut(scene: int) -> None:
    still = SCENES[scene]
    for gain, lift in ((1.5, 20), (2.0, 40), (3.0, 60)):
        flash = [lit(still, 1 + (gain - 1) * left, lift * left) for left in (1.0, 0.7, 0.3)]
        assert cuts([still] * 4 + flash + [still] * 4) == []


@pytest.mark.parametrize(("stays", "found"), [(1, []), (2, []), (3, [8, 9])])
def test_a_cut_to_a_picture_with_white_in_it_is_found_once_it_has_stayed(
    stays: int, found: list[int]
) -> None:
    """Until then it may be a flash. The way back to the dark scene is a cut, found at once."""
    dark, bright = lit(SCENES[4], 0.5), lit(SCENES[1], 2.0, 60)
    assert (bright > 248).all(axis=2).mean() > 0.1

    assert cuts([dark] * 6 + [bright] * stays + [dark] * 4) == found


@pytest.mark.parametrize("scene", range(len(SCENES)))
def test_light_that_goes_on_and_off_is_no_cut(scene: int) -> None:
    still, dim = SCENES[scene], lit(SCENES[scene], 0.4)

    assert cuts([still] * 4 + [dim] * 6 + [still] * 6) == []


@pytest.mark.parametrize("scene", range(len(WIDE)))
@pytest.mark.parametrize("speed", [0.03, 0.1])
def test_a_pan_is_no_cut(scene: int, speed: float) -> None:
    """Up to two and a half pictures a second, from a standstill."""
    lefts = [0] * 4 + [round(i * speed * 320) for i in range(20) if i * speed * 320 <= 640]
    assert cuts([WIDE[scene][180:360, x : x + 320] for x in lefts]) == []


def test_a_fade_to_black_and_back_is_no_cut_and_to_another_scene_is_one() -> None:
    a, b = SCENES[0], SCENES[1]
    out = [lit(a, 1 - i / 10) for i in range(11)]
    dark = [np.zeros_like(a)] * 3

    assert cuts([a] * 3 + out + dark + out[::-1] + [a] * 3) == []
    back = [lit(b, i / 10) for i in range(11)]
    (found,) = cuts([a] * 3 + out + dark + back + [b] * 3)
    assert 17 <= found <= 21  # where something is to be seen of it


def test_a_slow_dissolve_is_no_cut() -> None:
    for a, b in ((0, 4), (2, 0), (1, 2)):
        assert cuts([mixed(SCENES[a], SCENES[b], i / 15) for i in range(16)]) == []


def test_somebody_who_walks_into_the_picture_is_no_cut() -> None:
    near = cv2.GaussianBlur(SCENES[4], (0, 0), 3)
    pictures = []
    for step in range(11):
        picture, width = SCENES[0].copy(), 32 * step
        if width:
            picture[:, :width] = near[:, 320 - width :]
        pictures.append(picture)

    assert cuts(pictures) == []


def is_cut_after_rest(picture: Picture) -> bool:
    finder = CutFinder()
    for index in range(12):
        assert not finder.update(Frame(SCENES[0], index, index / RATE))
    return finder.update(Frame(picture, 12, 12 / RATE))


def test_a_cut_needs_other_structure_in_all_quarters() -> None:
    """The light changes, and so much of another scene shines through."""
    through = {share: lit(mixed(SCENES[0], SCENES[4], share), 0.5) for share in (0.35, 0.45)}

    assert not is_cut_after_rest(through[0.35])  # one quarter is nearly as it was
    assert is_cut_after_rest(through[0.45])


def test_a_cut_needs_other_colours() -> None:
    """The picture stands on its head, in a little less light."""
    assert not is_cut_after_rest(lit(SCENES[0][::-1], 0.96))
    assert is_cut_after_rest(lit(SCENES[0][::-1], 0.9))


def test_a_scene_that_its_source_starts_is_no_cut() -> None:
    finder = CutFinder()
    for index, picture in enumerate(SCENES):
        assert not finder.update(Frame(picture, index, float(index), starts_scene=True))


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.tuples(st.integers(1, 700), st.integers(1, 400), st.integers(0, 255)), max_size=6)
)
def test_pictures_of_any_size_and_without_content_are_no_cuts(
    plain: list[tuple[int, int, int]],
) -> None:
    finder = CutFinder()
    for index, (width, height, shade) in enumerate(plain):
        image = np.full((height, width, 3), shade, np.uint8)
        assert not finder.update(Frame(image, index, index / RATE))


class Still:
    """Finds a face in the middle of every frame."""

    def __init__(self) -> None:
        self.resets: list[int] = []
        self._seen = 0

    def detect(self, frame: Frame) -> list[Detection]:
        self._seen += 1
        return [Detection("face", Box(0.4, 0.3, 0.5, 0.5), 0.9)]

    def reset(self) -> None:
        self.resets.append(self._seen)


class Turning:
    """Says that everybody is happy in the first shot and sad in the second."""

    tasks = (TASKS["expression"],)

    def answer(self, frame: Frame, queries: Sequence[sfedge.Query]) -> list[Prediction]:
        label = "happiness" if frame.index < 6 else "sadness"
        shares = {name: float(name == label) for name in self.tasks[0].labels}
        return [
            Prediction("expression", q.people, frame.index, frame.time, label, probabilities=shares)
            for q in queries
        ]


@pytest.mark.parametrize("every", [1, 4])
def test_ids_answers_and_the_detectors_memory_end_at_a_cut(every: int) -> None:
    pictures = [(SCENES[0 if index < 6 else 4], index / RATE) for index in range(16)]
    detector = Still()
    with sfedge.Pipeline(
        pictures, detector=detector, model=Turning(), interval=0.0, smoothing=2.0, every=every
    ) as session:
        results = [result for result in session if result.tracks]

    chosen = range(0, 16, every)
    first = next(index for index in chosen if index >= 6)
    assert [(r.index, r.shot, r.is_cut) for r in results] == [
        (index, int(index >= first), index == first) for index in chosen
    ]
    assert [r.tracks[0].id for r in results] == [1 + r.shot for r in results]
    assert detector.resets == [sum(index < first for index in chosen)]
    for result in results:
        (answer,) = result.fresh
        assert answer.probabilities is not None
        assert answer.probabilities["sadness"] == float(result.shot)  # nothing of the first shot


def test_each_photograph_is_a_scene_of_its_own() -> None:
    frames = [
        Frame(SCENES[0], index, float(index), f"{index}.jpg", starts_scene=True)
        for index in range(4)
    ]
    detector = Still()
    with sfedge.Pipeline(frames, detector=detector, model=Turning()) as session:
        results = list(session)

    assert [(r.shot, r.is_cut, r.tracks[0].id) for r in results] == [
        (index, False, index + 1) for index in range(4)
    ]
    assert [len(r.fresh) for r in results] == [1] * 4
    assert detector.resets == [0, 1, 2, 3]
