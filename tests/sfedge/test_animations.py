"""Files of several pictures: animations, and the pages of a TIFF."""

from pathlib import Path

import numpy as np
import pytest
from picture_files import shade
from PIL import Image

from sfedge.sources import open_source


def test_of_an_animated_picture_in_a_folder_the_first_one_is_taken(tmp_path: Path) -> None:
    shade(10).save(tmp_path / "a.webp", save_all=True, append_images=[shade(200)], lossless=True)
    with open_source(str(tmp_path)) as source:
        (frame,) = source
    assert frame.image[0, 0, 0] == pytest.approx(10, abs=2)


@pytest.mark.parametrize("name", ["a.webp", "a.png", "a.gif"])
def test_an_animated_picture_by_itself_is_a_video_with_its_own_times(
    tmp_path: Path, name: str
) -> None:
    shades, durations = [10, 90, 200, 60], [100, 250, 30, 500]
    first, *rest = (shade(value) for value in shades)
    options = {"lossless": True} if name.endswith("webp") else {}
    first.save(
        tmp_path / name, save_all=True, append_images=rest, duration=durations, loop=0, **options
    )
    with open_source(str(tmp_path / name)) as source:
        frames = list(source)
        assert (source.info.is_pictures, source.info.frames) == (False, 4)
    assert [int(frame.image[0, 0, 0]) for frame in frames] == shades
    assert [frame.time for frame in frames] == pytest.approx([0, 0.1, 0.35, 0.38])
    assert source.losses == ()
    with open_source(str(tmp_path / name), start=0.2, end=0.37) as source:
        assert [frame.index for frame in source] == [2]


def test_a_picture_that_a_png_shows_where_nothing_moves_is_no_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.apng"
    still, *rest = (shade(value) for value in (255, 10, 20))
    still.save(path, "PNG", save_all=True, append_images=rest, duration=100, default_image=True)
    with open_source(str(path)) as source:
        assert [int(frame.image[0, 0, 0]) for frame in source] == [10, 20]


def test_an_animation_that_is_cut_off_gives_what_is_there(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    first, *rest = (
        Image.fromarray(noise.integers(0, 255, (64, 64, 3), np.uint8)) for _ in range(5)
    )
    path = tmp_path / "a.gif"
    first.save(path, save_all=True, append_images=rest, duration=100)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 7 // 10])
    with open_source(str(path)) as source:
        frames = list(source)
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert 1 < len(frames) < source.info.frames
    assert source.losses[0].startswith(f"frames from {len(frames)} on")


def test_each_page_of_a_tiff_is_a_picture(tmp_path: Path) -> None:
    first, *rest = (shade(value) for value in (10, 20, 30))
    first.save(tmp_path / "scan.tif", save_all=True, append_images=rest)
    shade(40).save(tmp_path / "z.tif")
    with open_source(str(tmp_path)) as source:
        frames = list(source)
        assert source.info.frames == 4
    named = [(frame.file, int(frame.image[0, 0, 0])) for frame in frames]
    assert named == [("scan.tif#1", 10), ("scan.tif#2", 20), ("scan.tif#3", 30), ("z.tif", 40)]
    assert [frame.index for frame in frames] == [0, 1, 2, 3]


def test_smaller_copies_in_a_tiff_are_no_pages(tmp_path: Path) -> None:
    shade(10, (32, 32)).save(
        tmp_path / "a.tif", save_all=True, append_images=[_small_copy(shade(20, (8, 8)))]
    )
    with open_source(str(tmp_path)) as source:
        assert [frame.file for frame in source] == ["a.tif"]


def _small_copy(image: Image.Image) -> Image.Image:
    image.encoderinfo = {"tiffinfo": {254: 1}}  # type: ignore[attr-defined]
    return image
