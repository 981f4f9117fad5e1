"""Pictures of samples: files, files turned upright, and frames straight from videos."""

from pathlib import Path

import av
import numpy as np
import PIL.Image
import pytest
from clips import read_number, write_clip
from numpy.typing import NDArray

from sfedge.errors import DataError
from training.data.clip import clip_extent, read_frame
from training.data.pictures import read_picture, upright_size
from training.data.sample import Sample

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
