"""Cameras and network streams through OpenCV, joined again after a break."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from sfedge.core.errors import SourceError
from sfedge.core.structures import Frame, Image
from sfedge.sources.source import SourceInfo, without_credentials
from sfedge.system.closing import Closing

# FFmpeg inside OpenCV prints failures itself, addresses with their passwords included.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

GIVE_UP_AFTER = 60.0  # seconds without a picture
_WAITS = (0.25, 0.5, 1.0, 2.0, 5.0)  # seconds between tries to join again; the last one repeats
_TIMEOUT_MS = 5000  # for opening a stream and for each picture of it


class CameraSource(Closing):
    """Frames of a camera or stream as they arrive.

    A frame's time is the clock's at its arrival, counted from the first frame: the one clock that
    goes on through a break. A break is told in `losses` and ended by joining again.

    Raises:
        SourceError: the camera or stream does not answer, or has sent nothing for a minute.
    """

    def __init__(self, address: str, *, start: float = 0.0, end: float | None = None) -> None:
        self._address, self._name = address, without_credentials(address)
        self._start, self._end = start, end
        self._closed, self._lock = threading.Event(), threading.Lock()
        self._losses: list[str] = []
        self._capture: cv2.VideoCapture | None = None
        first = self._join()
        if first is None:
            raise _no_answer(address, self._name)
        self._first: Image | None = first
        rate = self._capture.get(cv2.CAP_PROP_FPS) if self._capture is not None else 0.0
        self._info = SourceInfo(
            name=f"camera {address}" if address.isdecimal() else self._name,
            width=first.shape[1],
            height=first.shape[0],
            frame_rate=rate if 1 <= rate <= 240 else None,  # streams may tell their clock's rate
            duration=None,
            frames=None,
            is_live=True,
        )

    @property
    def info(self) -> SourceInfo:
        """Size of the first picture; a stream's length is not known."""
        return self._info

    @property
    def losses(self) -> tuple[str, ...]:
        """A sentence for each break so far."""
        return tuple(self._losses)

    def close(self) -> None:
        """Release the device; never waits for a picture that does not come."""
        self._closed.set()
        self._leave_unless_read()

    def __iter__(self) -> Iterator[Frame]:
        """Frames with start <= time < end, numbered as they arrive."""
        began = time.monotonic()
        image, index, now = self._first, 0, 0.0
        self._first = None
        try:
            while image is not None and not self._closed.is_set():
                if self._end is not None and now >= self._end:
                    break
                if now >= self._start:
                    yield Frame(image, index, now)
                with self._lock:
                    image = self._next(now, began)
                index, now = index + 1, time.monotonic() - began
        finally:
            self._leave_unless_read()

    def _next(self, last: float, began: float) -> Image | None:
        """The next picture, however many breaks lie before it; None once closed.

        Raises:
            SourceError: no picture came for GIVE_UP_AFTER seconds.
        """
        image = None if self._closed.is_set() else self._read()
        tries = 0
        while image is None and not self._closed.is_set():
            silent = time.monotonic() - began - last
            if silent > GIVE_UP_AFTER:
                self._losses.append(f"no picture came after {last:.2f} s")
                raise SourceError(
                    f"no picture came for {silent:.0f} s",
                    where=self._name,
                    fix="Check the camera and its connection, then start again.",
                )
            self._closed.wait(_WAITS[min(tries, len(_WAITS) - 1)])
            image = None if self._closed.is_set() else self._join()
            tries += 1
        if tries and image is not None:
            until = time.monotonic() - began
            self._losses.append(
                f"no picture came from {last:.2f} to {until:.2f} s; the stream was joined again"
            )
        return image

    def _join(self) -> Image | None:
        """Open anew and take a first picture; None if there is none."""
        self._leave()
        self._capture = _open(self._address)
        return self._read()

    def _read(self) -> Image | None:
        if self._capture is None:
            return None
        is_good, picture = self._capture.read()
        if not is_good or picture is None:
            return None
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)

    def _leave_unless_read(self) -> None:
        if self._lock.acquire(blocking=False):  # else the iteration does it at its end
            self._leave()
            self._lock.release()

    def _leave(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None


def _open(address: str) -> cv2.VideoCapture:
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # the error says it
    try:
        if not address.isdecimal():
            limits = [
                *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _TIMEOUT_MS),
                *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, _TIMEOUT_MS),
            ]
            return cv2.VideoCapture(address, cv2.CAP_FFMPEG, limits)
        if len(address) > 4:  # no device; OpenCV crashes on numbers that it cannot hold
            return cv2.VideoCapture()
        # Named, since the search through all backends prints to stderr what cannot be silenced.
        backend = cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY
        capture = cv2.VideoCapture(int(address), backend)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest picture, not a queue of old ones
        return capture
    finally:
        cv2.utils.logging.setLogLevel(level)


def _no_answer(address: str, name: str) -> SourceError:
    if not address.isdecimal():
        return SourceError(
            "the stream does not answer or sends no picture",
            where=name,
            fix="Check the address, the user and password in it, and that the camera is on.",
        )
    found = sorted(str(path) for path in Path("/dev").glob("video*"))
    there = f"Devices found: {', '.join(found)}." if found else "No /dev/video* device was found."
    return SourceError(
        f"there is no camera {address}, or it is in use",
        fix=f"{there} Connect one, close other programs that use it, or give its number.",
    )
