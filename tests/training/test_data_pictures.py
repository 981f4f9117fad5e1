"""Pictures of samples: files, files turned upright, and frames straight from videos."""

from pathlib import Path

import av
import numpy as np
import PIL.Image
import pytest
from clips import read_number, write_clip
from numpy.typing import NDArray

from sfedge.core.boxes import FULL, Box
from sfedge.core.errors import DataError
from sfedge.core.preprocess import crop, resize
from sfedge.core.structures import Image
from sfedge_training.data.clip import clip_extent, read_frame
from sfedge_training.data.sample import Sample
from sfedge_training.data.sample_picture import read_picture, read_view, upright_size

_SIZE = (96, 64)
_ORIENTATION = 0x0112


def _numbers_by_ffmpeg(path: Path) -> list[int]:
    """What `ffmpeg -vf fps=30` extracts, by FFmpeg's own filter."""
    found = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        graph = av.filter.Graph()
        source = graph.add_buffer(template=stream, time_base=stream.time_base)
        steps = [source, graph.add("fps", "fps=30"), graph.add("buffersink")]
        graph.link_nodes(*steps).configure()
        for picture in [*container.decode(stream), None]:
            graph.push(picture)
            while True:
                try:
                    found.append(read_number(graph.pull().to_ndarray(format="rgb24")))
                except (BlockingIOError, EOFError):
                    break
    return found


@pytest.mark.parametrize(
    ("rate", "count", "options"),
    [
        (30, 25, {"g": "8", "bf": "3"}),  # pictures are stored in another order than shown
        (30, 12, {"g": "1"}),  # as the benchmark's own script cuts its clips
        (25, 20, {"g": "6"}),
        (60, 30, {"g": "9", "bf": "2"}),
    ],
)
def test_every_frame_is_the_one_that_ffmpeg_extracts(
    tmp_path: Path, rate: int, count: int, options: dict[str, str]
) -> None:
    path = write_clip(tmp_path / "clip.mp4", count, size=_SIZE, rate=rate, options=options)
    expected = _numbers_by_ffmpeg(path)
    size, frames = clip_extent(path)
    assert size == _SIZE
    assert frames == len(expected)
    assert [read_number(read_frame(path, n)) for n in range(1, frames + 1)] == expected


def test_a_clip_that_begins_late_is_numbered_from_its_first_picture(tmp_path: Path) -> None:
    times = [0.5 + n / 30 for n in range(6)]
    path = write_clip(tmp_path / "late.mkv", times, size=_SIZE, sound="aac")
    assert [read_number(read_frame(path, n)) for n in (1, 4)] == [0, 3]


@pytest.mark.parametrize("frame", [0, 7])
def test_a_frame_that_is_not_there_is_an_error_that_names_it(tmp_path: Path, frame: int) -> None:
    path = write_clip(tmp_path / "clip.mp4", 6, size=_SIZE)
    with pytest.raises(DataError, match=rf"clip\.mp4, frame {frame}: .*has no frame {frame}"):
        read_picture(Sample(image=path, task="looking_at_me", frame=frame))


def _saved(path: Path, picture: NDArray[np.uint8], orientation: int) -> Path:
    exif = PIL.Image.Exif()
    exif[_ORIENTATION] = orientation
    PIL.Image.fromarray(picture).save(path, exif=exif)
    return path


def test_a_picture_is_turned_only_where_the_annotation_means_it_upright(
    tmp_path: Path, admiral: NDArray[np.uint8]
) -> None:
    path = _saved(tmp_path / "phone.png", np.rot90(admiral), 6)  # to be turned clockwise
    upright = Sample(image=path, task="gaze", upright=True)
    stored = Sample(image=path, task="gaze")
    assert np.array_equal(read_picture(upright), admiral)
    assert np.array_equal(read_picture(stored), np.rot90(admiral))
    assert upright_size(upright) == (admiral.shape[1], admiral.shape[0])
    assert upright_size(stored) == (admiral.shape[0], admiral.shape[1])


@pytest.mark.parametrize("content", [b"", b"no picture", b"\xff\xd8\xff\xe0 cut off"])
def test_a_broken_picture_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.jpg"
    path.write_bytes(content)
    sample = Sample(image=path, task="gesture")
    with pytest.raises(DataError, match=r"broken\.jpg: this picture cannot be read"):
        read_picture(sample)
    with pytest.raises(DataError, match=r"broken\.jpg: this picture cannot be read"):
        upright_size(sample)
    with pytest.raises(DataError, match=r"broken\.jpg: this picture cannot be read"):
        read_view(sample, 32)


def _read_in_full(sample: Sample, size: int) -> Image:
    return resize(crop(read_picture(sample), sample.view), size)


def _difference(sample: Sample, size: int) -> NDArray[np.float64]:
    found = read_view(sample, size)
    assert found.shape == (size, size, 3)
    assert found.dtype == np.uint8
    return np.abs(found.astype(float) - _read_in_full(sample, size))


@pytest.mark.parametrize("size", [170, 63, 21])  # at a half, a quarter and an eighth
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0"])
def test_a_view_at_reduced_scale_is_nearly_that_of_the_whole_picture(
    tmp_path: Path,
    astronaut: NDArray[np.uint8],
    admiral: NDArray[np.uint8],
    size: int,
    subsampling: str,
) -> None:
    path = tmp_path / "picture.jpg"
    for picture in (astronaut, admiral[:597, :511]):  # the latter is no multiple of eight
        PIL.Image.fromarray(picture).save(path, quality=90, subsampling=subsampling)
        difference = _difference(Sample(image=path, task="gaze"), size)
        assert difference.any(), "the picture was decoded in full"
        assert difference.mean() < 1.1
        assert difference.max() < 40


@pytest.mark.parametrize("corner", [0.101, 0.147, 0.1999])
def test_a_crop_at_reduced_scale_is_not_shifted(
    tmp_path: Path, astronaut: NDArray[np.uint8], corner: float
) -> None:
    path = tmp_path / "picture.jpg"
    PIL.Image.fromarray(astronaut).save(path, quality=90)
    view = Box(corner, 0.05, corner + 0.45, 0.5)
    for size in (76, 28):  # at a half and a quarter
        assert _difference(Sample(image=path, task="expression", view=view), size).mean() < 1.5


def test_a_view_is_read_in_full_where_no_pixels_are_to_spare(
    tmp_path: Path, astronaut: NDArray[np.uint8]
) -> None:
    jpeg = tmp_path / "picture.jpg"
    PIL.Image.fromarray(astronaut).save(jpeg, quality=90)
    narrow = Box(0.2, 0.0, 0.4, 1.0)
    for view, size in ((FULL, 171), (narrow, 36)):  # a pixel less, and it would be a half
        assert not _difference(Sample(image=jpeg, task="gaze", view=view), size).any()
        assert _difference(Sample(image=jpeg, task="gaze", view=view), size - 2).any()


def test_only_jpegs_as_they_are_stored_are_reduced(
    tmp_path: Path, admiral: NDArray[np.uint8]
) -> None:
    png, turned = tmp_path / "picture.png", tmp_path / "turned.jpg"
    PIL.Image.fromarray(admiral).save(png)
    _saved(turned, np.rot90(admiral), 6)
    clip = write_clip(tmp_path / "clip.mp4", 3, size=_SIZE)
    for sample in (
        Sample(image=png, task="gaze"),
        Sample(image=turned, task="gaze", upright=True),
        Sample(image=clip, task="gaze", frame=2),
    ):
        assert not _difference(sample, 16).any()
    assert _difference(Sample(image=turned, task="gaze"), 16).any()


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_other_colours_are_read_as_red_green_and_blue(
    tmp_path: Path, astronaut: NDArray[np.uint8], mode: str
) -> None:
    path = tmp_path / "picture.jpg"
    PIL.Image.fromarray(astronaut).convert(mode).save(path, quality=95)
    assert _difference(Sample(image=path, task="gaze"), 100).mean() < 1.0
