"""The formats of single pictures: orientation, colours, depths, damage."""

import io
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from picture_files import jpeg, shade
from PIL import Image

from sfedge.core.errors import MissingExtraError
from sfedge.sources import open_source

UPRIGHT = {  # by EXIF orientation (EXIF 2.32, tag 274): what brings the stored picture upright
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.transpose(1, 0, 2),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: np.rot90(x, 2).transpose(1, 0, 2),
    8: lambda x: np.rot90(x, 1),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_photographs_are_turned_upright(
    tmp_path: Path, astronaut: np.ndarray, orientation: int
) -> None:
    stored = astronaut[:300, :200]
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(stored).save(tmp_path / "photo.png", exif=exif)
    with open_source(str(tmp_path / "photo.png")) as source:
        image = next(iter(source)).image
        assert (source.info.height, source.info.width) == image.shape[:2]
    np.testing.assert_array_equal(image, UPRIGHT[orientation](stored))


@pytest.mark.parametrize("size", [(1, 1), (7680, 4320)])
def test_the_smallest_and_an_8k_picture_are_read(tmp_path: Path, size: tuple[int, int]) -> None:
    shade(77, size).save(tmp_path / "one.bmp")
    with open_source(str(tmp_path / "one.bmp")) as source:
        (frame,) = source
    assert frame.image.shape == (size[1], size[0], 3)
    assert (frame.image == 77).all()


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("L", 100, (100, 100, 100)),
        ("RGBA", (10, 20, 30, 0), (255, 255, 255)),
        ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
        ("LA", (55, 51), (215, 215, 215)),  # a fifth of it on white
        ("I;16", 100 << 8, (100, 100, 100)),
        ("P", 0, (0, 0, 0)),
        ("1", 1, (255, 255, 255)),
        ("LA", (90, 255), (90, 90, 90)),
    ],
)
def test_every_kind_of_picture_becomes_rgb(
    tmp_path: Path, mode: str, colour: object, expected: tuple[int, int, int]
) -> None:
    Image.new(mode, (3, 2), colour).save(tmp_path / "one.png")  # type: ignore[arg-type]
    with open_source(str(tmp_path / "one.png")) as source:
        (frame,) = source
    assert frame.image.dtype == np.uint8
    assert (frame.image == expected).all()


@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["plain", "progressive"])
def test_a_nearly_whole_jpeg_is_read_with_a_warning(
    tmp_path: Path, astronaut: np.ndarray, options: dict[str, object]
) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(astronaut, 0.97, **options))
    with open_source(str(tmp_path / "a.jpg")) as source:
        (frame,) = source
    difference = np.abs(frame.image.astype(int) - astronaut)[:460]
    assert difference.mean() < 8
    (warning,) = source.warnings
    assert warning.startswith("picture 0 (a.jpg): the file is cut off")
    assert source.losses == ()


def test_a_half_jpeg_and_a_half_png_are_losses(tmp_path: Path, astronaut: np.ndarray) -> None:
    shade(1).save(tmp_path / "0.png")
    (tmp_path / "1.jpg").write_bytes(jpeg(astronaut, 0.5))
    file = io.BytesIO()
    Image.fromarray(astronaut).save(file, "PNG")
    (tmp_path / "2.png").write_bytes(file.getvalue()[: file.tell() // 2])
    with open_source(str(tmp_path)) as source:
        assert [frame.index for frame in source] == [0]
    assert len(source.losses) == 2
    assert all("cut off after" in loss for loss in source.losses)


def test_heic_is_read_with_the_extra_and_named_without_it(
    tmp_path: Path, astronaut: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.from_pillow(Image.fromarray(astronaut)).save(tmp_path / "a.heic", quality=90)
    with open_source(str(tmp_path / "a.heic")) as source:
        (frame,) = source
    assert np.abs(frame.image.astype(int) - astronaut).mean() < 5
    shutil.copyfile(tmp_path / "a.heic", tmp_path / "c.jpg")  # as some programs send them
    shade(1).save(tmp_path / "b.png")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with open_source(str(tmp_path)) as source:
        assert [(frame.index, frame.file) for frame in source] == [(1, "b.png")]
    assert source.losses == (
        "HEIC pictures are read after pip install 'sfedge[heif]': a.heic, c.jpg",
    )
    with pytest.raises(MissingExtraError, match=r"sfedge\[heif\]"):
        open_source(str(tmp_path / "a.heic"))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "AVIF"])
def test_another_picture_that_is_called_heic_needs_no_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    shade(1).save(tmp_path / "a.heic", format=kind)  # as programs do that convert in place
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with open_source(str(tmp_path)) as source:
        assert [frame.file for frame in source] == ["a.heic"]
    assert source.losses == ()


def test_avif_is_read(tmp_path: Path, astronaut: np.ndarray) -> None:
    Image.fromarray(astronaut).save(tmp_path / "a.avif", quality=90)
    with open_source(str(tmp_path)) as source:
        (frame,) = source
    assert np.abs(frame.image.astype(int) - astronaut).mean() < 5


@pytest.mark.parametrize(
    ("low", "high", "black", "white"),
    [(0.0, 1.0, "0", "1"), (0.0, 200.0, "0", "255"), (-3.5, 12.25, "-3.5", "12.25")],
)
def test_float_pictures_are_shown_by_the_range_they_fill(
    tmp_path: Path, low: float, high: float, black: str, white: str
) -> None:
    values = np.linspace(low, high, 256, dtype=np.float32).reshape(16, 16)
    Image.fromarray(values).save(tmp_path / "a.tif")
    with open_source(str(tmp_path / "a.tif")) as source:
        (frame,) = source
    expected = np.rint((values - float(black)) * 255 / (float(white) - float(black)))
    assert np.abs(frame.image[:, :, 1].astype(int) - expected).max() <= 1
    assert source.warnings == (
        f"picture 0 (a.tif): its values are shown from {black} as black to {white} as white",
    )


def test_colours_as_floats_are_read(tmp_path: Path, astronaut: np.ndarray) -> None:
    cv2.imwrite(str(tmp_path / "a.tif"), astronaut[:, :, ::-1].astype(np.float32) / 255)
    with open_source(str(tmp_path / "a.tif")) as source:
        (frame,) = source
    np.testing.assert_array_equal(frame.image, astronaut)
    assert len(source.warnings) == 1


def test_damaged_exif_data_cost_no_picture(
    tmp_path: Path, astronaut: np.ndarray, recwarn: pytest.WarningsRecorder
) -> None:
    damaged = (b"\x08\0\x05garbage", b"\x08\0\x01\x01\x12\0\x02\0\0\0\x03ab\0\0\0\0\0\0", b"")
    for number, data in enumerate(damaged):
        exif = b"Exif\0\0MM\0*\0\0\0" + data
        (tmp_path / f"{number}.jpg").write_bytes(jpeg(astronaut, exif=exif))
    with open_source(str(tmp_path)) as source:
        assert [frame.image.shape for frame in source] == [astronaut.shape] * 3
    assert (source.losses, source.warnings) == ((), ())
    assert not recwarn.list


def test_float_pictures_may_hold_what_is_no_number(tmp_path: Path) -> None:
    values = np.array([[np.nan, 0.0, 1.0, np.inf, -np.inf]], np.float32)
    Image.fromarray(values).save(tmp_path / "a.tif")
    with open_source(str(tmp_path / "a.tif")) as source:
        (frame,) = source
    assert frame.image[0, :, 0].tolist() == [0, 0, 255, 255, 0]


def test_sixteen_bits_are_shown_by_the_bits_they_fill(tmp_path: Path) -> None:
    for name, top in (("a.png", 65535), ("b.png", 4095), ("c.png", 255)):
        Image.fromarray(np.array([[0, top // 2, top]], np.uint16)).save(tmp_path / name)
    with open_source(str(tmp_path)) as source:
        grey = [frame.image[0, :, 0].tolist() for frame in source]
    assert grey == [[0, 127, 255]] * 3
    assert len(source.warnings) == 2


def test_a_jpeg_for_print_is_read(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=95)
    with open_source(str(tmp_path / "a.jpg")) as source:
        (frame,) = source
    assert np.abs(frame.image[4, 4].astype(int) - (255, 0, 0)).max() < 8


def test_a_palette_with_a_transparent_colour_is_shown_on_white(tmp_path: Path) -> None:
    picture = Image.new("P", (4, 4), 1)
    picture.putpalette([10, 20, 30, 40, 50, 60])
    picture.putpixel((0, 0), 0)
    picture.save(tmp_path / "a.png", transparency=0)
    with open_source(str(tmp_path / "a.png")) as source:
        (frame,) = source
    assert frame.image[0, :2].tolist() == [[255, 255, 255], [40, 50, 60]]
