"""The textures of a person, on one sheet: skin from MakeHuman's files, the rest made here."""

import functools
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sfedge.core.errors import DataError
from sfedge.core.structures import Image
from sfedge_training.humans.makehuman import Floats
from sfedge_training.humans.shapes import Build

# Left, top and side in pixels of the sheet.
SHEET = (1024, 1152)  # width, height
TILES: Mapping[str, tuple[int, int, int]] = {
    "skin": (0, 0, 1024),
    "top": (0, 1024, 128),
    "bottom": (128, 1024, 128),
    "hair": (256, 1024, 128),
    "eyes": (384, 1024, 128),
    "shoes": (512, 1024, 64),
    "teeth": (576, 1024, 64),
    "tongue": (640, 1024, 64),
}
_HAIR = ((28, 22, 20), (22, 18, 18), (60, 40, 28), (98, 66, 40), (150, 106, 62), (190, 160, 110),
         (120, 58, 30))  # fmt: skip
_GREY = (178, 176, 174)
_IRIS = ((62, 34, 16), (48, 28, 16), (96, 62, 26), (88, 96, 60), (84, 116, 150), (70, 96, 120))


def placed(tile: str, uvs: Floats) -> Floats:
    """(N, 2) a part's places in its texture as fractions of the sheet from left and top."""
    x, y, side = TILES[tile]
    inside = np.clip(uvs, 0.004, 0.996)
    pixels = np.column_stack([x + inside[:, 0] * side, y + (1 - inside[:, 1]) * side])
    return (pixels / SHEET).astype(np.float32)


def new_sheet(folder: Path, build: Build, rng: np.random.Generator) -> Image:
    """(H, W, 3) a sheet with skin, eyes, teeth and tongue; `dye` gives it the rest."""
    sheet = np.zeros((SHEET[1], SHEET[0], 3), np.uint8)
    _put(sheet, "skin", _skin(folder, build, rng))
    _put(sheet, "teeth", np.full((64, 64, 3), (226, 220, 205), np.uint8))
    _put(sheet, "tongue", np.full((64, 64, 3), (118, 52, 52), np.uint8))
    return sheet


def hair_colour(build: Build, rng: np.random.Generator) -> tuple[int, int, int]:
    """Dark for most, other colours by origin, grey by age."""
    fair = rng.random() < build.origins[2]
    colour = np.array(_HAIR[rng.integers(len(_HAIR) if fair else 2)], float)
    grey = np.clip((build.age - 0.7) * 3 * rng.uniform(0, 1.4), 0, 1)
    red, green, blue = np.round(colour + (np.array(_GREY) - colour) * grey).astype(int).tolist()
    return red, green, blue


def dye(sheet: Image, hair: tuple[int, int, int], rng: np.random.Generator) -> None:
    """Give cloth, shoes, hair and irises their colours, in place."""
    _put(sheet, "top", _cloth(rng))
    _put(sheet, "bottom", _cloth(rng))
    shoe = np.array(_colour(rng)) * 0.4
    _put(sheet, "shoes", np.full((64, 64, 3), shoe, np.uint8))
    strands = _strands()[..., None] * np.array(hair, np.float32) + rng.uniform(0, 8)
    _put(sheet, "hair", np.clip(strands, 0, 255).astype(np.uint8))


def paint_eyes(sheet: Image, folder: Path, rng: np.random.Generator) -> None:
    """MakeHuman's brown eyes with an iris of another colour, in place."""
    eyes = _eyes(folder).astype(np.float32)
    iris = np.array(_IRIS[rng.integers(len(_IRIS))], np.float32)
    # What is red in the picture is iris; its blood vessels are far paler.
    share = np.clip((eyes[..., 0] - eyes[..., 2] - 30) / 30, 0, 1)[..., None]
    light = eyes[..., :1] / 92
    _put(sheet, "eyes", np.clip(eyes + share * (iris * light - eyes), 0, 255).astype(np.uint8))


def paint_brows(
    sheet: Image, strips: list[Floats], hair: tuple[int, int, int], rng: np.random.Generator
) -> None:
    """Paint eyebrows onto the skin.

    Args:
        sheet: in place.
        strips: polygons (N, 2) of a brow's mesh, as fractions of the sheet.
        hair: colour.
        rng: decides how thick they are.
    """
    side = TILES["skin"][2]
    mask = np.zeros((side, side), np.uint8)
    for strip in strips:
        cv2.fillPoly(mask, [np.round(strip * SHEET * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    thick = max(float(depth.max()), 1e-3)
    share = np.clip((depth / thick - rng.uniform(0.33, 0.5)) * 3.5, 0, 1) * rng.uniform(0.6, 0.9)
    share = share * (0.75 + 0.25 * _noise(side))
    share = cv2.GaussianBlur(share.astype(np.float32), (0, 0), 0.8)[..., None]
    skin = sheet[:side, :side].astype(np.float32)
    skin += share * (np.array(hair, np.float32) * 0.7 - skin)
    sheet[:side, :side] = skin.astype(np.uint8)


def _put(sheet: Image, tile: str, picture: Image) -> None:
    x, y, side = TILES[tile]
    sheet[y : y + side, x : x + side] = picture


def _skin(folder: Path, build: Build, rng: np.random.Generator) -> Image:
    age = "young" if build.age < 0.66 else "middleage" if build.age < 0.85 else "old"
    sex = "male" if build.male > 0.5 else "female"
    tone = "dark" if rng.random() < build.origins[0] else "light"
    pictures = [p for p in (folder / "skins").rglob("*diffuse*") if p.suffix in (".jpg", ".png")]
    fitting = [p for p in pictures if p.name.startswith(f"{age}_{tone}skinned_{sex}")]
    found = sorted(fitting or pictures)
    if not found:
        raise DataError("there is no skin texture", where=str(folder / "skins"))
    skin = _picture(found[int(rng.integers(len(found)))]).astype(np.float32)
    # A cast of its own; light skins come in many tones, by origin.
    cast = np.array([1, 1, 1], np.float32) + rng.normal(0, 0.03, 3)
    if tone == "light":
        tan = (1 - build.origins[2]) * rng.uniform(0.5, 1) + rng.uniform(0, 0.35)
        cast -= np.array([0.1, 0.14, 0.19]) * tan
    else:
        skin += 0.25 * (skin.mean(axis=2, keepdims=True) - skin)
        cast *= rng.uniform(1.0, 1.7)
    toned = np.clip(skin * cast, 0, 255).astype(np.uint8)
    side = TILES["skin"][2]
    return np.asarray(cv2.resize(toned, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)


@functools.cache
def _picture(path: Path) -> Image:
    found = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if found is None:
        raise DataError("the texture cannot be read", where=str(path))
    return np.asarray(found, np.uint8)


@functools.cache
def _eyes(folder: Path) -> Image:
    side = TILES["eyes"][2]
    whole = _picture(folder / "eyes" / "materials" / "brown_eye.png")
    return np.asarray(cv2.resize(whole, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def _colour(rng: np.random.Generator) -> NDArray[np.float64]:
    """A colour as clothes have them: often grey or dark, seldom bright."""
    grey = rng.uniform(20, 235)
    hue = rng.uniform(0, 255, 3)
    bright = float(rng.choice([0.05, 0.2, 0.5]))
    return np.asarray(np.clip(grey + (hue - hue.mean()) * bright, 5, 250))


def _cloth(rng: np.random.Generator) -> Image:
    """Plain, striped or blotched cloth with folds."""
    side, kind = TILES["top"][2], rng.random()
    colours = np.array([_colour(rng), _colour(rng)], np.float32)
    pattern = np.zeros((side, side), np.float32)
    if kind < 0.2:
        stripes = np.arange(side) // int(rng.integers(4, 18)) % 2
        pattern += stripes[:, None] if rng.random() < 0.5 else stripes
    elif kind < 0.35:
        cells = int(rng.integers(4, 16))
        few = rng.uniform(0, 1, (cells, cells)).astype(np.float32)
        waves = cv2.resize(few, (side, side), interpolation=cv2.INTER_CUBIC)
        pattern += waves > 0.6
    folds = 0.86 + 0.2 * _noise(side)
    planes = [(low + (high - low) * pattern) * folds for low, high in colours.T]
    return np.asarray(cv2.convertScaleAbs(cv2.merge(planes)), np.uint8)


@functools.cache
def _noise(side: int) -> Floats:
    """(side, side) in [0, 1]: coarse and fine noise that all take their piece of."""
    rng = np.random.default_rng(5)
    total = np.zeros((side, side), np.float32)
    for cells, share in ((8, 0.5), (32, 0.3), (side // 2, 0.2)):
        few = rng.uniform(0, 1, (cells, cells)).astype(np.float32)
        total += share * cv2.resize(few, (side, side), interpolation=cv2.INTER_LINEAR)
    return total


@functools.cache
def _strands() -> Floats:
    """(128, 128) how light hair is: streaks along the strands."""
    rng = np.random.default_rng(6)
    streaks = rng.uniform(0.45, 1.35, (4, 96)).astype(np.float32)
    return np.asarray(cv2.resize(streaks, (128, 128), interpolation=cv2.INTER_LINEAR), np.float32)
