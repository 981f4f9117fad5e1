"""Cameras of this machine: a stand-in for OpenCV's, and ones that are not there."""

import itertools
import threading

import cv2
import numpy as np
import pytest
from clips import numbered, read_number

from sfedge.core.errors import SourceError
from sfedge.core.structures import Gap
from sfedge.sources import camera, open_source


class FakeCamera:
    """Numbered pictures, 100 a second; `is_broken` makes it give none."""

    is_broken = threading.Event()
    opened = itertools.count()
    numbers = itertools.count()
    released: list[int]

    def __init__(self, *_: object) -> None:
        self.place = next(FakeCamera.opened)

    def read(self) -> tuple[bool, np.ndarray | None]:
        threading.Event().wait(0.01)
        if FakeCamera.is_broken.is_set():
            return False, None
        picture = numbered(next(FakeCamera.numbers))
        return True, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)

    def get(self, _: int) -> float:
        return 100.0

    def set(self, *_: object) -> bool:
        return True

    def release(self) -> None:
        FakeCamera.released.append(self.place)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeCamera]:
    FakeCamera.is_broken = threading.Event()
    FakeCamera.opened, FakeCamera.numbers = itertools.count(), itertools.count()
    FakeCamera.released = []
    monkeypatch.setattr(cv2, "VideoCapture", FakeCamera)
    monkeypatch.setattr(camera, "_WAITS", (0.05,))
    return FakeCamera


def test_a_camera_gives_frames_as_they_arrive(fake: type[FakeCamera]) -> None:
    with open_source("0") as source:
        frames = list(itertools.islice(source, 10))
        assert (source.info.name, source.info.is_live) == ("camera 0", True)
        assert (source.info.frame_rate, source.info.width) == (100.0, 320)
    assert [frame.index for frame in frames] == list(range(10))
    numbers = [read_number(frame.image) for frame in frames]
    assert numbers == sorted(set(numbers))
    assert frames[0].time == 0.0
    assert [frame.time for frame in frames] == sorted(frame.time for frame in frames)
    assert source.losses == ()


def test_a_camera_may_be_named_by_its_device(fake: type[FakeCamera]) -> None:
    with open_source("/dev/video3") as source:
        assert source.info.name == "camera 3"


def test_a_camera_that_is_unplugged_is_a_gap_and_opened_again(fake: type[FakeCamera]) -> None:
    with open_source("0") as source:
        frames = iter(source)
        last = next(frames)
        fake.is_broken.set()
        seen = []
        reader = threading.Thread(target=lambda: seen.extend(itertools.islice(frames, 8)))
        reader.start()
        while not source.gaps:
            threading.Event().wait(0.01)
        (ongoing,) = source.gaps
        fake.is_broken.clear()
        reader.join(timeout=60)
        (over,) = source.gaps
    whole = [last, *seen]
    after = next(frame for frame in whole if frame.time > ongoing.start)
    assert ongoing == Gap(ongoing.start, None, "the camera gave none")
    assert over == Gap(ongoing.start, after.time, "the camera gave none")
    assert next(fake.opened) > 1


def test_end_is_kept_by_a_camera_that_gives_nothing(fake: type[FakeCamera]) -> None:
    with open_source("0", end=2.0) as source:
        frames = iter(source)
        first = next(frames)
        fake.is_broken.set()
        rest = list(frames)
    assert len(rest) < 5  # those that were on their way
    last = [first, *rest][-1].time
    assert source.losses == (f"no picture came from {last:.2f} s on (the camera gave none)",)


def test_a_camera_that_is_closed_while_it_is_read_is_released(fake: type[FakeCamera]) -> None:
    source = open_source("0")
    for frame in source:
        source.close()
        assert frame.index == 0
    assert fake.released == [0]


def test_a_camera_that_is_not_there_is_named_with_those_that_are(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SourceError, match=r"no camera 97.*/dev/video"):
        open_source("97")
    with pytest.raises(SourceError, match="no camera 99999999999999"):
        open_source("99999999999999")
    assert capfd.readouterr().err == ""  # one sentence, by the command alone
