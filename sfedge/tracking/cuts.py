"""Finds cuts of a recording, from small pictures of its frames."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from sfedge.core.structures import Frame, Image

_WIDTH, _HEIGHT = 64, 36  # of the small picture
_PART = (_WIDTH // 2, _HEIGHT // 2)  # a quarter of it
_REACH = (16, 9)  # pixels that a part may move between two frames: a quarter of the picture
# Measured on 400 cuts between photographs and 1,460 pairs of frames of clips: at a cut parts
# correlate by 0.8 at most and colours agree by 0.88 at most; within a shot by 0.83 and 0.97 at
# least, even half a second apart. Fast pans keep the colours, changes of light the structure, and
# somebody who walks into the picture some part of it.
_STRUCTURE, _COLOURS = 0.12, 0.10  # differences that make a cut, both at once
_UNMOVED = 0.95  # a part that correlates so shows the same as before
# A cut stands out against what the frames before had: in a still shot less is enough.
_QUIET, _PER_LEVEL, _MOST = 0.6, 1.6, 1.5  # of the differences above
_LEVEL_AT_FIRST, _MEMORY = 0.25, 0.5  # running level of the difference; its time constant, s
_WHITE, _BRIGHTER = 0.05, 15.0  # a flash: so much more of it is white, so much brighter on the mean
_FLAT = 6.0  # standard deviation of a picture without anything in it, as between fades
_STAYS = 2  # frames after which a new bright picture is no flash


class CutFinder:
    """Finds the first frame of each new shot; frames come in order of time.

    A frame is compared with the one before: the structure of its quarters, wherever they have
    moved to, and the colours of the whole. Frames in the light of a flash and frames without
    content are skipped, and the next frame is compared with the one before them. A cut to a
    much brighter picture is therefore found two frames late.
    """

    def __init__(self) -> None:
        self._last: _Small | None = None
        self._bright: _Small | None = None  # newest frame that may be in the light of a flash
        self._stayed = 0
        self._level = _LEVEL_AT_FIRST
        self._time = 0.0

    def update(self, frame: Frame) -> bool:
        """Whether this frame is the first after a cut."""
        new, last = _Small(frame.image), self._last
        elapsed, self._time = frame.time - self._time, frame.time
        if last is None or frame.starts_scene or last.is_flat:
            self._restart(new)
            return False
        if new.is_flat or self._is_flash(new, last):
            return False
        limit = min(_QUIET + _PER_LEVEL * self._level, _MOST)
        difference = _difference(last, new, limit)
        if difference >= limit:
            self._restart(new)
            return True
        share = 1 - math.exp(-max(elapsed, 0.0) / _MEMORY)
        self._level += share * (difference - self._level)
        self._last, self._bright = new, None
        return False

    def _is_flash(self, new: "_Small", last: "_Small") -> bool:
        """Whether a frame is much brighter than before the flash, and has not stayed so."""
        is_bright = new.white - last.white > _WHITE and new.mean - last.mean > _BRIGHTER
        if not is_bright:
            return False
        before, self._bright = self._bright, new
        is_same = before is not None and _difference(before, new, _QUIET) < _QUIET
        self._stayed = self._stayed + 1 if is_same else 0
        return self._stayed < _STAYS

    def _restart(self, new: "_Small") -> None:
        self._last, self._bright = new, None
        self._stayed, self._level = 0, _LEVEL_AT_FIRST


class _Small:
    """A frame at 64 x 36 pixels."""

    def __init__(self, image: Image) -> None:
        height, width = image.shape[:2]
        # Every n-th pixel is enough for a mean over some twenty of them.
        step = max(min(width // (4 * _WIDTH), height // (4 * _HEIGHT)), 1)
        coarse = np.ascontiguousarray(image[::step, ::step])
        small = cv2.resize(coarse, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA)
        self.grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
        self.mean, self.white = float(self.grey.mean()), float((self.grey > 248).mean())
        self.is_flat = float(self.grey.std()) < _FLAT
        red, green, blue = (small.reshape(-1, 3).astype(np.intp) >> 5).T
        counts = np.bincount(red * 64 + green * 8 + blue, minlength=512)
        self.colours: NDArray[np.float64] = np.sqrt(counts / counts.sum())


def _difference(old: _Small, new: _Small, limit: float) -> float:
    """Difference of two frames in structure and in colours, the smaller of both; 1 is a cut.

    Differences below `limit` may be given higher than they are.
    """
    colours = (1 - float(old.colours @ new.colours)) / _COLOURS
    if colours < limit:
        return colours
    # What has come into the picture is in one of the two only: look for each one in the other.
    alike, best = max(_alike(old, new), _alike(new, old))
    return 0.0 if best >= _UNMOVED else min(colours, (1 - alike) / _STRUCTURE)


def _alike(one: _Small, other: _Small) -> tuple[float, float]:
    """Correlation of the quarters of one picture with another, wherever they are in it.

    Returns:
        Their mean, weighted by contrast, and the highest; both 1 where nothing has any contrast.
    """
    (width, height), (across, down) = _PART, _REACH
    around = cv2.copyMakeBorder(
        other.grey, down, down, across, across, borderType=cv2.BORDER_REFLECT_101
    )
    alike, contrast = [], []
    for y in (0, height):
        for x in (0, width):
            part = one.grey[y : y + height, x : x + width]
            if (deviation := float(part.std())) < 2:
                continue
            place = around[y : y + height + 2 * down, x : x + width + 2 * across]
            found = cv2.matchTemplate(place, part, cv2.TM_CCOEFF_NORMED)
            alike.append(float(np.nan_to_num(found).max()))
            contrast.append(deviation)
    if not alike:
        return 1.0, 1.0
    return float(np.average(alike, weights=contrast)), max(alike)
