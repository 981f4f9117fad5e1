"""Clips of any number of people who sway, each with a hand held up; made from the pictures here."""

import math
from pathlib import Path

import cv2
import numpy as np

from benchmarks.people_pictures import HEIGHT, WIDTH, crowd
from sfedge.core.structures import Image
from sfedge.results.video_writer import VideoWriter

RATE = 30  # frames per second


def make_clip(path: Path, people: int, *, seconds: float, scale: int = 1) -> Path:
    """Write a clip of 1280 x 720 pixels times `scale`.

    Args:
        path: an MP4 file; an older one is replaced.
        people: from 0 to 16; each is a photograph of its own that moves a little.
        seconds: its length.
        scale: 3 for 3840 x 2160.
    """
    ground, patches = crowd(people)
    width, height = WIDTH * scale, HEIGHT * scale
    with VideoWriter(path, width=width, height=height, frame_rate=RATE) as writer:
        for number in range(round(seconds * RATE)):
            frame = ground.copy()
            for place, (patch, left, top) in enumerate(patches):
                _put(frame, patch, *_sway(place, number / RATE, left, top))
            if scale > 1:
                frame = np.asarray(cv2.resize(frame, (width, height)), np.uint8)
            writer.write(frame, number / RATE)
        writer.finish()
    return path


def _sway(place: int, time: float, left: int, top: int) -> tuple[float, float]:
    """Where a patch is: people go about an eighth of a second's step of their own."""
    phase = 2.4 * place
    return left + 9 * math.sin(1.3 * time + phase), top + 4 * math.sin(1.9 * time + phase)


def _put(frame: Image, patch: Image, left: float, top: float) -> None:
    """Draw a patch to a fraction of a pixel; what reaches out of the frame is cut off."""
    height, width = patch.shape[:2]
    x, y = math.floor(left), math.floor(top)
    shift = np.array([[1, 0, left - x], [0, 1, top - y]], np.float32)
    moved = cv2.warpAffine(patch, shift, (width, height), borderMode=cv2.BORDER_REPLICATE)
    x1, y1, x2, y2 = max(x, 0), max(y, 0), min(x + width, WIDTH), min(y + height, HEIGHT)
    if x1 < x2 and y1 < y2:
        frame[y1:y2, x1:x2] = moved[y1 - y : y2 - y, x1 - x : x2 - x]
