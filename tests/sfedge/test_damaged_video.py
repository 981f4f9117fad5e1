"""Damaged, cut off and foreign files: what can be read is read, and the rest is reported."""

import re
from pathlib import Path

import av
import numpy as np
import pytest
from clips import cut_off, damage, read_number, write_clip
from PIL import Image

from sfedge.core.errors import SourceError
from sfedge.core.structures import Frame
from sfedge.sources import MAX_PIXELS, open_source

# A key frame at every tenth frame, and nowhere else.
EVERY_TENTH = {"x264-params": "keyint=10:scenecut=0:bframes=0"}


def read(path: Path | str, **settings: float | bool | None) -> tuple[list[Frame], tuple[str, ...]]:
    with open_source(str(path), **settings) as source:  # type: ignore[arg-type]
        return list(source), source.losses


@pytest.mark.parametrize("suffix", ["mp4", "avi", "mkv", "ts"])
def test_a_decode_error_is_not_the_end_of_the_file(tmp_path: Path, suffix: str) -> None:
    path = damage(write_clip(tmp_path / f"clip.{suffix}", 90, options=EVERY_TENTH), 42, 44)
    frames, losses = read(path)
    numbers = [read_number(frame.image) for frame in frames]
    assert set(range(42)) | set(range(70, 90)) <= set(numbers)
    assert not {42, 43, 44} & set(numbers)
    assert any(re.search(r"1\.[34]\d", sentence) for sentence in losses), losses


@pytest.mark.parametrize("suffix", ["mp4", "avi"])
def test_frames_that_are_lost_or_damaged_are_numbered_and_reported(
    tmp_path: Path, suffix: str
) -> None:
    path = damage(write_clip(tmp_path / f"clip.{suffix}", 90, options=EVERY_TENTH), 42, 44)
    frames, losses = read(path)
    assert [f.index for f in frames] == [*range(42), *range(45, 90)]
    # from the next key frame on all is well again
    whole = [f for f in frames if not 42 <= f.index < 50]
    assert [read_number(f.image) for f in whole] == [f.index for f in whole]
    assert [sentence.split(" (")[0] for sentence in losses] == ["frames 42-44", "frames 45-49"]
    assert losses[1].endswith("could be decoded only in part")


def test_a_damaged_file_is_numbered_the_same_with_start(tmp_path: Path) -> None:
    path = damage(write_clip(tmp_path / "clip.mp4", 90, options=EVERY_TENTH), 22, 24)
    part, losses = read(path, start=2.0)
    assert [f.index for f in part] == [read_number(f.image) for f in part] == list(range(60, 90))
    assert losses == ()  # what was lost lies before


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.avi"])
def test_of_a_cut_off_file_everything_there_is_read_and_the_rest_reported(
    tmp_path: Path, name: str
) -> None:
    path = write_clip(
        tmp_path / name,
        120,
        options=EVERY_TENTH,
        container_options={"movflags": "faststart"} if name.endswith("mp4") else {},
    )
    cut_off(path, 60)
    frames, losses = read(path)
    assert [f.index for f in frames] == list(range(len(frames)))
    assert [read_number(f.image) for f in frames[:60]] == list(range(60))
    assert any("cut off" in sentence and "4.0" in sentence for sentence in losses), losses


def test_a_cut_off_transport_stream_gives_all_whole_frames(tmp_path: Path) -> None:
    path = cut_off(write_clip(tmp_path / "clip.ts", 120, options=EVERY_TENTH), 60)
    frames, _ = read(path)
    assert [read_number(f.image) for f in frames[:59]] == list(range(59))


def test_many_losses_are_summed_up(tmp_path: Path) -> None:
    path = write_clip(
        tmp_path / "clip.mp4", 150, size=(160, 120), options={"x264-params": "keyint=1"}
    )
    for first in range(1, 140, 3):
        damage(path, first, first)
    frames, losses = read(path)
    assert [f.index for f in frames] == [read_number(f.image) for f in frames]
    assert len(frames) == 103
    assert losses[0].startswith("frame 1 (0.03 s) could not")
    assert len(losses) == 21
    assert losses[-1].startswith("27 more frames")


def test_nothing_but_pictures_after_a_cover_counts_as_video(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as output:
        track = output.add_stream("aac", rate=48_000)
        silence = av.AudioFrame.from_ndarray(
            np.zeros((1, 9600), np.int16), format="s16", layout="stereo"
        )
        silence.sample_rate = 48_000
        output.mux(track.encode(silence))
        output.mux(track.encode(None))
    with pytest.raises(SourceError, match="only sound"):
        open_source(str(path))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.mp4", b"", "the file is empty"),
        ("text.mp4", b"These are words, not pictures.\n" * 50, "not a video"),
        ("noise.mkv", bytes(range(256)) * 40, "not a video"),
    ],
)
def test_what_is_no_video_is_reported_in_one_sentence(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SourceError, match=message) as caught:
        open_source(str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_recording_without_its_index_is_named_as_such(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", 60)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(SourceError, match="moov atom"):
        open_source(str(path))


def test_a_video_in_which_nothing_decodes_is_refused(tmp_path: Path) -> None:
    path = damage(write_clip(tmp_path / "clip.mp4", 20), 0, 19)
    with pytest.raises(SourceError, match="no picture in it could be decoded"):
        open_source(str(path))


def test_a_picture_larger_than_allowed_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "huge.gif"
    Image.new("L", (8, 8)).save(path)
    data = bytearray(path.read_bytes())
    data[6:10] = (10_000).to_bytes(2, "little") * 2  # the size of the GIF's screen
    path.write_bytes(data)
    assert MAX_PIXELS < 10_000**2
    with pytest.raises(SourceError, match="10000x10000"):
        open_source(str(path))
