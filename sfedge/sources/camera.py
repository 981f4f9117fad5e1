"""Cameras of this machine through OpenCV, opened again after a break."""

import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from sfedge.core.errors import SourceError
from sfedge.core.structures import Frame, Gap, Image
from sfedge.sources.opencv_log import quiet_opencv
from sfedge.sources.silence import Silence
from sfedge.sources.source import SourceInfo
from sfedge.system.closing import Closing

_WAITS = (0.5, 1.5, 3.0, 5.0)  # seconds between tries to open again; the last one repeats
_BROKEN = "the camera gave none"


class CameraSource(Closing):
    """Frames of a camera as they arrive.

    A frame's time is the clock's at its arrival, counted from the first frame: the one clock that
    goes on through a break. `end` is a time on it; it ends the iteration while no picture comes,
    too.

    Args:
        number: of the camera, such as "0".
        start: seconds; earlier frames are skipped.
        end: seconds after the first frame.

    Raises:
        SourceError: there is no such camera, or it has sent nothing for a minute.
    """

    def __init__(self, number: str, *, start: float = 0.0, end: float | None = None) -> None:
        self._number, self._name = number, f"camera {number}"
        self._start, self._end = start, end
        self._closed = threading.Event()
        self._changed = threading.Condition()
        self._pictures: deque[tuple[float, Image]] = deque(maxlen=2)  # arrivals on the clock
        self._broken = ""
        self._error: BaseException | None = None  # an internal error, which ended the thread
        self._silence = Silence(self._name)
        capture = _open(number)
        first = _read(capture)
        if first is None:
            capture.release()
            raise _no_camera(number)
        rate = capture.get(cv2.CAP_PROP_FPS)
        self._info = SourceInfo(
            name=self._name,
            width=first.shape[1],
            height=first.shape[0],
            frame_rate=rate if 1 <= rate <= 240 else None,
            duration=None,
            frames=None,
            is_live=True,
        )
        self._thread = threading.Thread(
            target=self._run, args=(capture,), name="sfedge camera", daemon=True
        )
        self._thread.start()

    @property
    def info(self) -> SourceInfo:
        """Size of the first picture."""
        return self._info

    @property
    def losses(self) -> tuple[str, ...]:
        """A sentence for each gap so far."""
        return self._silence.losses

    @property
    def warnings(self) -> tuple[str, ...]:
        """None: a camera's pictures are taken as they are."""
        return ()

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Spans without a picture; from any thread."""
        return self._silence.gaps

    def close(self) -> None:
        """End the iteration at once; the device is released as soon as it can be."""
        self._closed.set()
        with self._changed:
            self._changed.notify_all()
        # A camera answers within a frame; one that does not is left to the thread.
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=0.5)

    def __iter__(self) -> Iterator[Frame]:
        """Frames with start <= time < end, numbered as they arrive."""
        with self._changed:
            self._pictures.clear()  # from before the iteration
        began, index = time.monotonic(), 0
        try:
            while not self._closed.is_set():
                item = self._silence.wait_for(
                    self._take,
                    lambda: self._broken,
                    lambda: self._closed.is_set() or self._error is not None,
                    None if self._end is None else began + self._end - time.monotonic(),
                )
                if item is None:
                    if self._error is not None:
                        raise self._error
                    return
                arrival, image = item
                began = arrival if index == 0 else began
                now = arrival - began
                if self._end is not None and now >= self._end:
                    return
                self._silence.over(now)
                if now >= self._start:
                    yield Frame(image, index, now, self._name)
                index += 1
        finally:
            self.close()

    def _take(self, seconds: float) -> tuple[float, Image] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._pictures or self._closed.is_set(), seconds)
            return self._pictures.popleft() if self._pictures else None

    def _run(self, capture: cv2.VideoCapture) -> None:
        try:
            self._keep_open(capture)
        except BaseException as error:  # raised again in the thread that iterates
            self._error = error

    def _keep_open(self, capture: cv2.VideoCapture) -> None:
        """Read pictures until the source is closed; the newest ones wait to be taken."""
        tries = 0
        while not self._closed.is_set():
            image = _read(capture)
            if image is not None:
                tries = 0
                with self._changed:
                    self._broken = ""
                    self._pictures.append((time.monotonic(), image))
                    self._changed.notify_all()
                continue
            self._broken = _BROKEN
            capture.release()
            self._closed.wait(_WAITS[min(tries, len(_WAITS) - 1)])
            tries += 1
            if not self._closed.is_set():
                capture = _open(self._number)
        capture.release()


def _read(capture: cv2.VideoCapture) -> Image | None:
    is_good, picture = capture.read()
    if not is_good or picture is None:
        return None
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def _open(number: str) -> cv2.VideoCapture:
    with quiet_opencv():
        if len(number) > 4:  # no device; OpenCV crashes on numbers that it cannot hold
            return cv2.VideoCapture()
        # Named, since the search through all backends prints to stderr what cannot be silenced.
        backend = cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY
        capture = cv2.VideoCapture(int(number), backend)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest picture, not a queue of old ones
        return capture


def _no_camera(number: str) -> SourceError:
    found = sorted(str(path) for path in Path("/dev").glob("video*"))
    there = f"Devices found: {', '.join(found)}." if found else "No /dev/video* device was found."
    return SourceError(
        f"there is no camera {number}, or it is in use",
        fix=f"{there} Connect one, close other programs that use it, or give its number.",
    )
