"""Folders of pictures, and single ones."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sfedge.core.errors import SourceError
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


def shade(value: int, size: tuple[int, int] = (8, 6)) -> Image.Image:
    return Image.new("RGB", size, (value, value, value))


def test_pictures_come_in_the_order_people_count_one_a_second(tmp_path: Path) -> None:
    for number in (10, 2, 1, 33, 4):
        shade(number).save(tmp_path / f"shot {number}.png")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "folder.png").mkdir()
    with open_source(str(tmp_path)) as source:
        frames = list(source)
        assert (source.info.frames, source.info.duration, source.info.frame_rate) == (5, 5.0, 1.0)
    assert [frame.image[0, 0, 0] for frame in frames] == [1, 2, 4, 10, 33]
    assert [(frame.index, frame.time) for frame in frames] == [(i, float(i)) for i in range(5)]
    assert source.losses == ()


def test_start_and_end_choose_pictures_by_time(tmp_path: Path) -> None:
    for number in range(8):
        shade(number).save(tmp_path / f"{number}.png")
    with open_source(str(tmp_path), start=2.0, end=5.0) as source:
        assert [(f.index, int(f.image[0, 0, 0])) for f in source] == [(2, 2), (3, 3), (4, 4)]


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


def test_pictures_keep_their_sizes_and_info_tells_one_that_all_fit_in(tmp_path: Path) -> None:
    for name, size in (("a.png", (40, 10)), ("b.png", (20, 30))):
        shade(1, size).save(tmp_path / name)
    with open_source(str(tmp_path)) as source:
        assert (source.info.width, source.info.height) == (40, 30)
        assert [frame.image.shape for frame in source] == [(10, 40, 3), (30, 20, 3)]


def test_a_picture_that_cannot_be_read_is_told_and_the_others_keep_their_places(
    tmp_path: Path, astronaut: np.ndarray
) -> None:
    whole = io.BytesIO()
    Image.fromarray(astronaut).save(whole, "JPEG")
    (tmp_path / "0.jpg").write_bytes(whole.getvalue())
    (tmp_path / "1.jpg").write_bytes(whole.getvalue()[:9000])
    (tmp_path / "2.jpg").write_bytes(b"no picture at all")
    (tmp_path / "3.jpg").write_bytes(b"")
    (tmp_path / "4.jpg").write_bytes(whole.getvalue())
    with open_source(str(tmp_path)) as source:
        assert [(frame.index, frame.time) for frame in source] == [(0, 0.0), (4, 4.0)]
    assert [loss.split(" could")[0] for loss in source.losses] == [
        "picture 1 (1.jpg)",
        "picture 2 (2.jpg)",
        "picture 3 (3.jpg)",
    ]


def test_a_picture_that_would_fill_the_memory_is_a_loss(tmp_path: Path) -> None:
    shade(5).save(tmp_path / "0.png")
    Image.new("1", (12_000, 10_000)).save(tmp_path / "1.png")  # 15 kB of file, 360 MB of RGB
    Image.new("1", (20_000, 10_000)).save(tmp_path / "2.png")  # above Pillow's own limit
    with open_source(str(tmp_path)) as source:
        assert [frame.index for frame in source] == [0]
    assert "12000x10000 pixels are more than" in source.losses[0]
    assert source.losses[1].startswith("picture 2 (2.png) could not be read")


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


def test_of_an_animated_picture_in_a_folder_the_first_one_is_taken(tmp_path: Path) -> None:
    shade(10).save(tmp_path / "a.webp", save_all=True, append_images=[shade(200)], lossless=True)
    with open_source(str(tmp_path)) as source:
        (frame,) = source
    assert frame.image[0, 0, 0] == pytest.approx(10, abs=2)


def test_an_animated_gif_by_itself_is_a_video(tmp_path: Path) -> None:
    path = tmp_path / "moving.gif"
    shade(10).save(path, save_all=True, append_images=[shade(90), shade(200)], duration=200)
    with open_source(str(path)) as source:
        frames = list(source)
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [10, 90, 200]
    assert [frame.time for frame in frames] == pytest.approx([0, 0.2, 0.4])


def test_a_folder_without_a_readable_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no pictures"):
        open_source(str(tmp_path))
    (tmp_path / "a.jpg").write_bytes(b"nothing")
    with pytest.raises(SourceError, match="none of its 1 pictures can be read"):
        open_source(str(tmp_path))
    with pytest.raises(SourceError, match="not a picture"):
        open_source(str(tmp_path / "a.jpg"))


def test_closing_ends_the_iteration(tmp_path: Path) -> None:
    for number in range(3):
        shade(number).save(tmp_path / f"{number}.png")
    source = open_source(str(tmp_path))
    seen = []
    for frame in source:
        seen.append(frame.index)
        source.close()
    assert seen == [0]
