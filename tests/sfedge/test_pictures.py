"""Folders of pictures: order, times, sizes, what else lies there, what cannot be read."""

import io
import lzma
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from picture_files import shade
from PIL import Image

from sfedge.core.errors import SourceError
from sfedge.sources import open_source


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


def test_pictures_keep_their_sizes_and_info_tells_one_that_all_fit_in(tmp_path: Path) -> None:
    for name, size in (("a.png", (40, 10)), ("b.png", (20, 30))):
        shade(1, size).save(tmp_path / name)
    with open_source(str(tmp_path)) as source:
        assert (source.info.width, source.info.height) == (40, 30)
        assert [frame.image.shape for frame in source] == [(10, 40, 3), (30, 20, 3)]


def test_a_picture_that_cannot_be_read_is_reported_and_the_others_keep_their_places(
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
    for name in ("notes.txt", "b.CR2", "c.dng", "clip.MOV", "tape.vob"):
        (tmp_path / name).write_bytes(b"whatever")
    (tmp_path / "more").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")  # reading it would wait for ever
    with open_source(str(tmp_path)) as source:
        assert [frame.file for frame in source] == ["a.jpg", "no suffix"]
    assert source.losses == (
        "camera raw files are not read; export them as JPEG: b.CR2, c.dng",
        "videos have to be run one by one: clip.MOV, tape.vob",
    )
    assert source.warnings == (
        "other files are not read: notes.txt, pipe.jpg",
        "folders in it are not read: more",
    )


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


@pytest.mark.parametrize(
    ("error", "reason"),
    [(lzma.LZMAError("Corrupt input data"), "Corrupt input data"), (EOFError(), "EOFError")],
)
def test_whatever_a_decoder_raises_is_a_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    shade(1).save(tmp_path / "0.png")
    shade(2).save(tmp_path / "1.tif")

    def broken(self: object, *_: object) -> None:
        raise error

    monkeypatch.setattr("PIL.TiffImagePlugin.TiffImageFile.load", broken)
    with open_source(str(tmp_path)) as source:
        assert [frame.index for frame in source] == [0]
    assert source.losses == (f"picture 1 (1.tif) could not be read: {reason}",)


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
