"""Folders of pictures, and single ones."""

import io
import lzma
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from sfedge.core.errors import MissingExtraError, SourceError
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


def test_each_photograph_is_a_scene_and_named(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg"):
        shade(9).save(tmp_path / name)
    with open_source(str(tmp_path)) as source:
        frames = list(source)
        assert source.info.is_pictures
    assert [(f.file, f.starts_scene) for f in frames] == [("a.jpg", True), ("b.png", True)]
    with open_source(str(tmp_path / "a.jpg")) as source:
        assert [(f.file, f.starts_scene) for f in source] == [("a.jpg", True)]


def test_a_folder_as_video_is_a_film_of_one_size(tmp_path: Path) -> None:
    for number in range(3):
        shade(100, (40, 20) if number < 2 else (20, 20)).save(tmp_path / f"{number}.png")
    with open_source(str(tmp_path), as_video=25.0) as source:
        frames = list(source)
        info = source.info
    assert (info.is_pictures, info.frame_rate, info.duration) == (False, 25.0, 3 / 25)
    assert [(f.file, f.starts_scene) for f in frames] == [(f"{n}.png", False) for n in range(3)]
    assert [f.time for f in frames] == pytest.approx([0, 0.04, 0.08])
    assert [f.image.shape for f in frames] == [(20, 40, 3)] * 3
    columns = frames[2].image[10, :, 0]
    assert (columns[:10] == 0).all()
    assert (columns[10:30] == 100).all()
    assert (columns[30:] == 0).all()
    (warning,) = source.warnings
    assert "2.png" in warning
    assert "40x20" in warning


def test_what_a_folder_holds_besides_pictures_is_ignored_or_named(tmp_path: Path) -> None:
    shade(1).save(tmp_path / "a.jpg")
    for name in (".DS_Store", "._a.jpg", "Thumbs.db", "desktop.ini", ".hidden.png", "Icon\r"):
        (tmp_path / name).write_bytes(b"system")
    for name in ("@eaDir", "__MACOSX"):
        (tmp_path / name).mkdir()
    with open_source(str(tmp_path)) as source:
        assert [frame.file for frame in source] == ["a.jpg"]
    assert (source.losses, source.warnings) == ((), ())
    shade(2).save(tmp_path / "no suffix", "PNG")
    for name in ("notes.txt", "b.CR2", "c.dng", "clip.MOV"):
        (tmp_path / name).write_bytes(b"whatever")
    (tmp_path / "more").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")  # reading it would wait for ever
    with open_source(str(tmp_path)) as source:
        assert [frame.file for frame in source] == ["a.jpg", "no suffix"]
    assert source.losses == (
        "camera raw files are not read; export them as JPEG: b.CR2, c.dng",
        "videos have to be run one by one: clip.MOV",
    )
    assert source.warnings == (
        "other files are not read: notes.txt, pipe.jpg",
        "folders in it are not read: more",
    )


def jpeg(image: np.ndarray, share: float = 1.0, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", **options)
    return file.getvalue()[: round(share * file.tell())]


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
    assert source.losses == ("2 pictures are HEIC: pip install 'sfedge[heif]'",)
    with pytest.raises(MissingExtraError, match=r"sfedge\[heif\]"):
        open_source(str(tmp_path / "a.heic"))


def test_avif_is_read(tmp_path: Path, astronaut: np.ndarray) -> None:
    Image.fromarray(astronaut).save(tmp_path / "a.avif", quality=90)
    with open_source(str(tmp_path)) as source:
        (frame,) = source
    assert np.abs(frame.image.astype(int) - astronaut).mean() < 5


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


def test_no_library_writes_to_stderr_what_a_loss_says(
    tmp_path: Path, astronaut: np.ndarray
) -> None:
    shade(1).save(tmp_path / "0.png")
    image = cv2.imencode(".tif", astronaut.astype(np.float32))[1].tobytes()
    (tmp_path / "1.tif").write_bytes(image[:300_000] + image[-200:])  # OpenCV complains
    shade(5).save(tmp_path / "2.tif")
    data = (tmp_path / "2.tif").read_bytes()
    samples = (277).to_bytes(2, "little")  # the tag of how many values a pixel has
    at = data.index(samples + b"\3\0\1\0\0\0") + 8
    (tmp_path / "2.tif").write_bytes(data[:at] + b"\xff\x7f" + data[at + 2 :])  # Pillow complains
    code = "import sys; from sfedge.sources import open_source as o\n"
    code += "with o(sys.argv[1]) as s: print(len(list(s)), len(s.losses))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("1 2\n", "")


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


def test_whatever_a_decoder_raises_is_a_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shade(1).save(tmp_path / "0.png")
    shade(2).save(tmp_path / "1.tif")

    def broken(self: object, *_: object) -> None:
        raise lzma.LZMAError("Corrupt input data")

    monkeypatch.setattr("PIL.TiffImagePlugin.TiffImageFile.load", broken)
    with open_source(str(tmp_path)) as source:
        assert [frame.index for frame in source] == [0]
    assert source.losses == ("picture 1 (1.tif) could not be read: Corrupt input data",)


def test_names_that_are_no_text_can_be_shown(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"f\xfcr:x")
    folder.mkdir()
    shade(1).save(folder / os.fsdecode(b"gr\xfcn.png"))
    with open_source(str(folder)) as source:
        (frame,) = source
    assert frame.file == "gr\\xfcn.png"
    assert source.info.name.endswith("f\\xfcr:x")
    assert source.info.path == folder


def test_a_picture_with_the_name_of_a_video_is_a_picture(tmp_path: Path) -> None:
    shade(7).save(tmp_path / "clip.mp4", "PNG")
    with open_source(str(tmp_path / "clip.mp4")) as source:
        assert source.info.is_pictures
        assert [int(frame.image[0, 0, 0]) for frame in source] == [7]


def test_many_losses_are_summed_up(tmp_path: Path) -> None:
    shade(7).save(tmp_path / "a.png")
    for number in range(30):
        (tmp_path / f"b{number}.png").write_bytes(b"nothing")
    with open_source(str(tmp_path)) as source:
        assert len(list(source)) == 1
    assert len(source.losses) == 21
    assert source.losses[-1] == "10 more pictures could not be read"
