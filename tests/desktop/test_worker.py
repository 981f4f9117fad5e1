"""What stands between the pipeline's thread and the window."""

import numpy as np
import pytest
from PyQt6.QtGui import QColor

from desktop.worker import Shown, Slot, Worker, fault, qt_image
from sfedge import Frame, FrameResult, RunConfig, RunReport

REPORT = RunReport(
    frames=1, shown=1, skipped=0, asked=1, people=2, answers={}, losses=(), ended="",
    is_complete=False, seconds={},
)  # fmt: skip


def shown() -> Shown:
    picture = np.zeros((4, 6, 3), np.uint8)
    return Shown(FrameResult(Frame(picture, 0, 0.0), (), (), ()), qt_image(picture), REPORT)


def test_the_slot_keeps_the_newest_and_tells_once() -> None:
    slot = Slot()
    first, second = shown(), shown()
    assert slot.put(first)
    assert not slot.put(second)
    assert slot.take() is second
    assert slot.take() is None
    assert slot.put(first)


@pytest.mark.parametrize("width", [1, 3, 6, 7])
def test_a_picture_keeps_its_pixels_whatever_its_width(width: int) -> None:
    rng = np.random.default_rng(width)
    picture = rng.integers(0, 256, (5, 2 * width, 3), np.uint8)[:, ::2]  # not contiguous
    image = qt_image(picture)
    expected = picture.copy()
    picture[:] = 0  # the image must not follow
    got = [
        [QColor(image.pixel(x, y)).getRgb()[:3] for x in range(width)]
        for y in range(image.height())
    ]
    assert np.array_equal(got, expected)


@pytest.mark.usefixtures("application")
def test_a_run_that_is_stopped_before_it_begins_opens_nothing() -> None:
    worker = Worker("nowhere.mp4", RunConfig(live=True))
    ends: list[object] = []
    failures: list[str] = []
    worker.finished.connect(ends.append)
    worker.failed.connect(failures.append)
    worker.stop()
    worker.run()
    assert ends == [None]
    assert failures == []


def test_a_fault_is_told_as_one() -> None:
    assert fault(KeyError("x")) == (
        "This is a fault of the program (KeyError: 'x'). "
        "Start it again with --debug and report what it prints."
    )
