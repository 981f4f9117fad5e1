from contextlib import closing

import numpy as np
from PIL import Image

import sfedge
from sfedge.core.boxes import Box
from sfedge.core.structures import Detection, Frame, Prediction
from sfedge.core.tasks import TASKS
from sfedge.detect.conversion import networks
from sfedge.detect.mediapipe.mediapipe_networks import MediaPipeNetworks
from sfedge.detect.tiled_detector import TiledDetector
from sfedge.tracking.look_back import Found, LookBack

RATE = 20.0
CLEAR = 0.9


def path(index: int) -> Box | None:
    """A small face that comes into the picture at frame 7, from the left."""
    if index < 7:
        return None
    x = 0.01 * (index - 7)
    return Box(x, 0.4, x + 0.03, 0.45)


def face(box: Box, score: float = CLEAR) -> Detection:
    return Detection("face", box, score)


def picture(index: int, rate: float = RATE, side: int = 8) -> Frame:
    return Frame(np.zeros((side, side, 3), np.uint8), index, index / rate)


class Quiet:
    """A model that is asked about pairs only, so never about one person."""

    tasks = (TASKS["relation"],)

    def answer(self, frame: Frame, queries: object) -> list[Prediction]:
        raise AssertionError("there are no two people")


class Searching:
    """Finds the face in a search every half second, and around where it is known to be."""

    def __init__(self, score: float = CLEAR) -> None:
        self.asked: list[int] = []
        self._score = score

    def find_face(self, frame: Frame, box: Box) -> list[Detection]:
        self.asked.append(frame.index)
        there = path(frame.index)
        return [] if there is None else [face(there, self._score)]

    def detect(self, frame: Frame) -> list[Detection]:
        there = path(frame.index)
        is_known = there is not None and frame.index >= 10
        return [face(there, self._score)] if there is not None and is_known else []

    def run(self, frames: range, cut_at: int | None = None) -> list[Found]:
        hindsight, complete = LookBack(self.find_face), []
        for index in frames:
            frame = picture(index)
            found = Found(frame, tuple(self.detect(frame)), is_cut=index == cut_at)
            complete += hindsight.add(found)
        return complete + hindsight.flush()


def test_a_face_found_late_is_followed_back_to_where_it_came_in() -> None:
    detector = Searching()
    complete = detector.run(range(16))

    assert [found.frame.index for found in complete] == list(range(16))
    assert [[d.box for d in found.detections] for found in complete] == [
        [] if (there := path(index)) is None else [there] for index in range(16)
    ]
    assert detector.asked == [9, 8, 7, 6]  # and nothing is asked of a face that is known


def test_nothing_is_looked_for_across_a_cut() -> None:
    complete = Searching().run(range(16), cut_at=9)

    assert [bool(found.detections) for found in complete] == [i >= 9 for i in range(16)]
    assert [found.frame.index for found in complete if found.is_cut] == [9]


def test_an_unclear_face_is_not_looked_for() -> None:
    detector = Searching(score=0.7)
    detector.run(range(16))

    assert detector.asked == []


def test_another_face_far_off_is_not_taken_for_it() -> None:
    hindsight = LookBack(lambda frame, box: [face(Box(0.145, 0.1, 0.175, 0.15))])
    hindsight.add(Found(picture(0), ()))
    hindsight.add(Found(picture(1), (face(Box(0.1, 0.1, 0.13, 0.15)),)))

    assert next(iter(hindsight.flush())).detections == ()


def test_frames_are_held_back_for_a_second_at_most() -> None:
    hindsight = LookBack(lambda frame, box: [])
    for index in range(40):
        complete = hindsight.add(Found(picture(index), ()))
        assert [found.frame.index for found in complete] == ([index - 20] if index >= 20 else [])


def test_of_very_large_frames_fewer_are_held_back() -> None:
    large = np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (4000, 6000, 3))  # 72 MB by its shape
    hindsight = LookBack(lambda frame, box: [])
    held = []
    for index in range(6):
        held.append(1 - len(hindsight.add(Found(Frame(large, index, index / RATE), ()))))

    assert held == [1, 1, 1, 0, 0, 0]  # 256 MiB


def test_a_recording_is_looked_at_with_hindsight_and_steps_are_not() -> None:
    pictures = [(np.zeros((64, 64, 3), np.uint8), index / RATE) for index in range(16)]
    with sfedge.Pipeline(pictures, detector=Searching(), model=Quiet()) as recording:
        seen = [len(result.tracks) for result in recording]
    with sfedge.Pipeline(detector=Searching(), model=Quiet()) as steps:
        at_once = [len(steps.step(image, time).tracks) for image, time in pictures]

    assert seen == [0] * 7 + [1] * 9
    assert at_once == [0] * 10 + [1] * 6


def test_a_small_face_that_comes_between_two_searches_is_seen_in_every_frame(
    astronaut: np.ndarray,
) -> None:
    with_her = np.full((540, 960, 3), 150, np.uint8)
    with_her[200:352, 400:552] = np.asarray(Image.fromarray(astronaut).resize((152, 152)))
    pictures = [
        (np.full_like(with_her, 150) if index < 3 else with_her, index / RATE)
        for index in range(12)
    ]
    detector = TiledDetector(MediaPipeNetworks(networks.fetch(networks.DETECTING)))

    with closing(detector), sfedge.Pipeline(pictures, detector=detector, model=Quiet()) as session:
        seen = [len(result.tracks) for result in session]

    assert seen == [0] * 3 + [1] * 9
