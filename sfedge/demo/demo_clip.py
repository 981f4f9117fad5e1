"""The demo clip: two people from photographs that packages carry, put in motion."""

import contextlib
import importlib.util
import math
import tempfile
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from sfedge.core.errors import MissingExtraError
from sfedge.core.structures import Image
from sfedge.demo.demo_hand import raised_hand
from sfedge.results.video_writer import VideoWriter

Floats = NDArray[np.float32]

WIDTH, HEIGHT, RATE = 1280, 720, 25
_SOUND_RATE = 48_000

# Outlines in pixels of the photographs, roughly; `_cut_out` finds the exact edge nearby.
# fmt: off
_COLLINS = (
    (14, 512), (24, 440), (40, 385), (36, 330), (48, 275), (62, 235), (98, 210), (113, 200),
    (115, 180), (130, 158), (160, 149), (183, 150), (180, 128), (160, 112), (152, 80), (162, 48),
    (192, 20), (235, 14), (275, 28), (298, 58), (303, 92), (290, 122), (268, 138), (262, 165),
    (290, 190), (304, 225), (306, 245), (335, 262), (352, 290), (360, 335), (400, 342), (450, 352),
    (485, 398), (504, 450), (511, 475), (511, 512),
)
_HOPPER = (
    (24, 600), (24, 480), (28, 420), (44, 388), (110, 366), (170, 350), (200, 318), (190, 300),
    (168, 288), (158, 255), (154, 195), (160, 168), (149, 130), (150, 98), (172, 80), (176, 62),
    (216, 40), (225, 26), (262, 21), (310, 30), (345, 52), (355, 78), (370, 92), (372, 125),
    (368, 165), (376, 195), (368, 245), (366, 290), (345, 308), (332, 318), (360, 336), (430, 362),
    (488, 385), (504, 440), (511, 500), (511, 600),
)
# fmt: on


@dataclass(frozen=True, slots=True)
class Cutout:
    """A picture to be placed: colours times opacity, opacity, and the point it turns about."""

    colour: Floats  # (H, W, 3)
    opacity: Floats  # (H, W)
    pivot: tuple[float, float]  # pixels


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a cutout is in the frame: its pivot in pixels, its scale, its rotation in degrees."""

    x: float
    y: float
    scale: float
    turn: float = 0.0


def make_demo_clip(path: Path, *, seconds: float = 12.0) -> Path:
    """Write the clip: 1280x720, 25 frames per second, with a soft chime.

    Eileen Collins stands left, raises her hand and waves; Grace Hopper comes in from the right,
    passes in front of her, leaves to the left and comes back. The hand is rendered, the sleeve
    drawn.

    Args:
        path: an MP4 file; an older one is replaced.
        seconds: its length; the story is stretched to it.

    Raises:
        MissingExtraError: scikit-image or matplotlib is not installed.
        OutputError: the file cannot be written.
    """
    collins, hopper = _photographs()
    standing = _cut_out(collins, _COLLINS, pivot=(256, 512))
    walking = _cut_out(hopper, _HOPPER, pivot=(256, 600))
    arm = _raised_arm(collins)
    wall = _wall()
    with tempfile.TemporaryDirectory() as folder:
        chime = Path(folder) / "chime.wav"
        _write_chime(chime, seconds)
        with VideoWriter(
            path, width=WIDTH, height=HEIGHT, frame_rate=RATE, audio_from=chime
        ) as writer:
            count = max(round(seconds * RATE), 1)
            for number in range(count):
                now = number / count
                frame = wall.copy()
                body = _standing(now, seconds)
                _place(frame, standing, body)
                lifted = _arm(now, seconds, body)
                if lifted is not None:
                    _place(frame, arm, lifted)
                _place(frame, walking, _walking(now, seconds))
                writer.write(frame, number / RATE)
            writer.finish()
    return path


def _photographs() -> tuple[Image, Image]:
    """Eileen Collins (NASA), which scikit-image carries; Grace Hopper (US Navy), matplotlib."""
    # Only its file is wanted: importing matplotlib would make folders in the user's home.
    matplotlib = importlib.util.find_spec("matplotlib")
    try:
        from skimage.data import astronaut

        if matplotlib is None or matplotlib.origin is None:
            raise ImportError("No module named 'matplotlib'")
    except ImportError as error:
        raise MissingExtraError(
            f"the demo clip is made from photographs of scikit-image and matplotlib ({error})",
            fix="Run: pip install scikit-image matplotlib.",
        ) from error
    file = Path(matplotlib.origin).parent / "mpl-data" / "sample_data" / "grace_hopper.jpg"
    with Pillow.open(file) as picture:
        hopper = np.array(picture.convert("RGB"))
    collins: Image = astronaut()  # type: ignore[no-untyped-call]
    return collins, hopper


# The story. `now` runs from 0 to 1; a track is a list of (moment, value), with eased ways between.


def _standing(now: float, seconds: float) -> Pose:
    x = _between(now, ((0.0, 350), (0.44, 350), (0.58, 900), (1.0, 870)))
    sway = math.sin(now * seconds * 1.3)
    return Pose(x + 7 * sway, HEIGHT + 4, 1.15 + 0.012 * math.sin(now * seconds * 0.9), 0.9 * sway)


def _walking(now: float, seconds: float) -> Pose:
    x = _path(now)
    haste = min(abs(_path(now + 0.01) - x) / 20, 1.0)
    bob = (1.5 + 4 * haste) * math.sin(now * seconds * 5)
    return Pose(x, HEIGHT + 10 + bob, 0.76, 0.8 * math.sin(now * seconds * 1.1))


def _path(now: float) -> float:
    if now < 0.84:
        return _between(
            now, ((0.04, 1560), (0.2, 950), (0.44, 930), (0.58, 320), (0.72, 330), (0.8, -290))
        )
    return _between(now, ((0.84, -290), (0.94, 320), (1.0, 340)))


def _arm(now: float, seconds: float, body: Pose) -> Pose | None:
    """The forearm at the elbow: up and waving twice, else hanging out of the picture."""
    down, up = 150, 4  # degrees
    moments = (0.16, 0.24, 0.42, 0.47) if now < 0.55 else (0.6, 0.67, 0.84, 0.91)
    lift = _between(now, tuple(zip(moments, (down, up, up, down), strict=True)))
    if lift == down:
        return None
    swing = 7 * math.sin(now * seconds * 7.5) if lift < 20 else 0.0
    elbow_x, elbow_y = -186 * body.scale, -96 * body.scale  # from where she stands
    return Pose(body.x + elbow_x, body.y + elbow_y, body.scale, lift + swing + body.turn)


def _between(now: float, track: Sequence[tuple[float, float]]) -> float:
    """The track's value at a moment, without a jerk at its points."""
    for (since, first), (until, last) in pairwise(track):
        if now < until:
            part = min(max((now - since) / (until - since), 0.0), 1.0)
            return first + (last - first) * part * part * (3 - 2 * part)
    return track[-1][1]


# The pictures.


def _cut_out(image: Image, outline: Sequence[tuple[int, int]], pivot: tuple[int, int]) -> Cutout:
    """A person without the background: GrabCut in a band along the outline, at half size."""
    half = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    inside = np.zeros(half.shape[:2], np.uint8)
    cv2.fillPoly(inside, [np.array(outline, np.int32) // 2], 1)
    certain = _morphed(cv2.MORPH_ERODE, inside, size=11)
    possible = _morphed(cv2.MORPH_DILATE, inside, size=11)
    labels = np.full(inside.shape, cv2.GC_BGD, np.uint8)
    labels[possible > 0] = cv2.GC_PR_BGD
    labels[inside > 0] = cv2.GC_PR_FGD
    labels[certain > 0] = cv2.GC_FGD
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))  # of its colours; OpenCV fixes the size
    cv2.grabCut(half, labels, (0, 0, 1, 1), *models, 2, cv2.GC_INIT_WITH_MASK)
    person = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    person = _morphed(cv2.MORPH_OPEN, person, size=5)
    person = _morphed(cv2.MORPH_CLOSE, person, size=5)
    opacity = cv2.GaussianBlur(person.astype(np.float32), (0, 0), 0.9)
    height, width = image.shape[:2]
    opacity = cv2.resize(opacity, (width, height), interpolation=cv2.INTER_CUBIC)
    # Inwards, where no background shines through.
    return _cutout(image, np.clip((opacity - 0.4) / 0.5, 0, 1), pivot)


def _morphed(operation: int, mask: Image, *, size: int) -> Image:
    """A morphological operation with a disc; the picture goes on beyond its border."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    edge = size
    wide = cv2.copyMakeBorder(mask, edge, edge, edge, edge, cv2.BORDER_REPLICATE)
    wide = cv2.morphologyEx(wide, operation, kernel)
    return np.ascontiguousarray(wide[edge:-edge, edge:-edge], np.uint8)


def _raised_arm(collins: Image) -> Cutout:
    """A forearm in her own sleeve with a rendered hand, pointing up; it turns about the elbow."""
    skin = np.median(collins[120:140, 195:215].reshape(-1, 3), axis=0)  # of her cheek
    hand, opacity, (wrist_x, wrist_y) = raised_hand(165, skin.tolist())
    length, elbow, cuff = 148, 50, 33  # pixels: of the sleeve, and half its width at both ends
    height, width = round(wrist_y) + 22 + length + elbow, hand.shape[1]
    colour = np.zeros((height, width, 3), np.float32)
    colour[: hand.shape[0]] = hand
    cover = np.zeros((height, width), np.float32)
    cover[: hand.shape[0]] = opacity
    y, x = np.mgrid[:height, :width].astype(np.float32)
    elbow_y = height - elbow
    along = (elbow_y - y) / length  # 0 at the elbow, 1 at the end of the cuff
    radius = elbow + (cuff - elbow) * along.clip(0, 1)
    off = np.hypot(x - wrist_x, np.maximum(y - elbow_y, 0)) / radius
    sleeve = ((1 - off) * radius).clip(0, 1) * (along <= 1)
    top = elbow_y - length
    cloth = np.zeros_like(colour)
    left = round(wrist_x) - elbow
    cloth[top:, left : left + 2 * elbow] = cv2.resize(
        collins[250:440, 62:112], (2 * elbow, height - top), interpolation=cv2.INTER_CUBIC
    )
    cloth *= (0.5 + 0.5 * np.sqrt(np.maximum(1 - off**2, 0)))[..., None]  # round, lit from here
    cloth[(along > 0.91) & (along <= 1)] *= 0.35
    colour += (cloth - colour) * sleeve[..., None]
    cover = np.maximum(cover, sleeve)
    return _cutout(colour, cover, (wrist_x, elbow_y))


def _cutout(colour: Floats | Image, opacity: NDArray[Any], pivot: tuple[float, float]) -> Cutout:
    shown = opacity.astype(np.float32)
    return Cutout((colour * shown[..., None]).astype(np.float32), shown, pivot)


def _wall() -> Image:
    """A calm studio wall: lit from the middle, with a trace of plaster."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    light = 1.05 - 0.35 * np.hypot((x - WIDTH * 0.5) / WIDTH, (y - HEIGHT * 0.35) / HEIGHT)
    plaster = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 1, light.shape), (0, 0), 6)
    light = light + 0.006 * plaster / plaster.std()
    wall: Image = (light[..., None] * (158, 166, 172)).clip(0, 255).astype(np.uint8)
    return wall


def _place(frame: Image, cutout: Cutout, pose: Pose) -> None:
    """Draw a cutout into the frame, to a fraction of a pixel."""
    matrix = cv2.getRotationMatrix2D(cutout.pivot, pose.turn, pose.scale)
    matrix[:, 2] += np.subtract((pose.x, pose.y), cutout.pivot)
    height, width = cutout.opacity.shape
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]]) @ matrix.T
    left, top = np.maximum(np.floor(corners.min(axis=0)).astype(int), 0)
    right, bottom = np.minimum(np.ceil(corners.max(axis=0)).astype(int), (WIDTH, HEIGHT))
    if left >= right or top >= bottom:
        return
    matrix[:, 2] -= left, top
    size = (int(right - left), int(bottom - top))
    colour = cv2.warpAffine(cutout.colour, matrix, size, flags=cv2.INTER_LINEAR)
    opacity = cv2.warpAffine(cutout.opacity, matrix, size, flags=cv2.INTER_LINEAR)
    part = frame[top:bottom, left:right]
    part[:] = (part * (1 - opacity[..., None]) + colour).clip(0, 255)


def _write_chime(path: Path, seconds: float) -> None:
    """A soft note every two seconds, each dying away."""
    time = np.arange(round(seconds * _SOUND_RATE)) / _SOUND_RATE
    pitches = 440 * 2 ** (np.array([0, 4, 7, 12, 9, 7]) / 12)  # a broken chord above A4
    note = (time // 2).astype(int)
    since = time - 2 * note
    tone = np.sin(2 * np.pi * pitches[note % len(pitches)] * since) * np.exp(-2.2 * since)
    tone *= np.minimum(since / 0.02, 1) * 0.12
    with contextlib.closing(wave.open(str(path), "wb")) as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_SOUND_RATE)
        file.writeframes((tone * 32767).astype("<i2").tobytes())
