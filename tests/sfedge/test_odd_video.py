"""Video files that are unlike most: their times, orientation, colours, and what they pretend."""

import os
import shutil
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from clips import cut_off, numbered, read_number, write_clip
from numpy.typing import NDArray
from PIL import Image

from sfedge.core.errors import SourceError
from sfedge.core.structures import Frame
from sfedge.sources import open_source
from sfedge.sources.tone_map import TRANSFERS

B_FRAMES = {"bf": "3", "g": "50", "x264-params": "b-pyramid=normal:scenecut=0"}


def read(
    path: Path | str, **settings: float | None
) -> tuple[list[Frame], tuple[str, ...], tuple[str, ...]]:
    with open_source(str(path), **settings) as source:  # type: ignore[arg-type]
        return list(source), source.losses, source.warnings


def write_from(path: Path, base: float, frames: int = 40, **options: str) -> Path:
    """Numbered frames with B-frames, 25 a second, the first at `base` seconds as it is stored."""
    tick = Fraction(1, 1000)
    with av.open(str(path), "w", options={"avoid_negative_ts": "disabled", **options}) as output:
        video = output.add_stream("libx264", rate=25, options=B_FRAMES)
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        video.time_base = video.codec_context.time_base = tick
        for number in range(frames):
            picture = av.VideoFrame.from_ndarray(numbered(number), format="rgb24")
            picture.pts, picture.time_base = round(base * 1000) + number * 40, tick
            output.mux(video.encode(picture))
        output.mux(video.encode(None))
    return path


@pytest.mark.parametrize("name", ["clip.avi", "clip.asf"])
def test_b_frames_have_right_times_where_only_decoding_times_are_stored(
    tmp_path: Path, name: str
) -> None:
    path = write_from(tmp_path / name, 0.0, 60, avoid_negative_ts="auto")
    frames, losses, _ = read(path)
    assert [read_number(frame.image) for frame in frames] == list(range(60))
    assert [frame.index for frame in frames] == list(range(60))
    steps = [b.time - a.time for a, b in pairwise(frames)]
    assert steps == pytest.approx([0.04] * 59, abs=2e-3)
    assert frames[0].time == pytest.approx(0, abs=2e-3)
    assert losses == ()
    part, losses, _ = read(path, start=1.0, end=2.0)
    assert [frame.index for frame in part] == [f.index for f in frames if 1 <= f.time < 2]
    for frame in part:
        assert read_number(frame.image) == frame.index
        assert frame.time == frames[frame.index].time
    assert losses == ()


def test_a_lost_b_frame_in_avi_is_one_loss_and_the_others_keep_their_times(tmp_path: Path) -> None:
    path = write_from(tmp_path / "clip.avi", 0.0, 120, avoid_negative_ts="auto")
    with av.open(str(path)) as file:
        packets = [(p.pos, p.size, p.pts) for p in file.demux(video=0) if p.size]
    smallest = min(packets[40:60], key=lambda packet: packet[1])  # no other builds on it
    data = bytearray(path.read_bytes())
    data[smallest[0] : smallest[0] + smallest[1]] = bytes(smallest[1])
    path.write_bytes(data)
    frames, losses, _ = read(path)
    assert [loss.split(") ")[1] for loss in losses] == [
        "could not be decoded",
        "could be decoded only in part",  # up to the next key frame
    ]
    right = [f for f in frames if abs(f.time - read_number(f.image) * 0.04) < 2e-3]
    assert len(frames) == 119
    assert len(right) > 95  # all but a few after it, until it is known to be lost


@pytest.mark.parametrize("base", [-0.5, -5.0, 1.7e9])
@pytest.mark.parametrize("name", ["clip.mkv", "clip.nut", "clip.ts"])
def test_times_before_zero_and_since_1970_lose_nothing(
    tmp_path: Path, name: str, base: float
) -> None:
    if base < 0 and not name.endswith("mkv"):
        base = -base  # they cannot store it
    path = write_from(tmp_path / name, base)
    frames, losses, _ = read(path)
    assert [read_number(frame.image) for frame in frames] == list(range(40))
    assert [frame.index for frame in frames] == list(range(40))
    steps = [b.time - a.time for a, b in pairwise(frames)]
    assert steps == pytest.approx([0.04] * 39, abs=8e-3)
    assert losses == ()
    with open_source(str(path)) as source:
        assert (source.info.duration or 2) < 20


def test_an_edit_list_that_leaves_nothing_is_ignored_and_said(tmp_path: Path) -> None:
    path = write_from(tmp_path / "clip.mp4", -5.0)
    frames, losses, warnings = read(path)
    assert [read_number(frame.image) for frame in frames] == list(range(40))
    assert losses == ()
    assert len(warnings) == 1
    assert "edit list" in warnings[0]


def test_an_edit_list_that_leaves_a_part_is_kept(tmp_path: Path) -> None:
    frames, losses, warnings = read(write_from(tmp_path / "clip.mp4", -0.4))
    assert [read_number(frame.image) for frame in frames] == list(range(10, 40))
    assert frames[0].time == pytest.approx(0, abs=1e-3)
    assert (losses, warnings) == ((), ())


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_exif_data_in_mjpeg_is_no_fault(
    tmp_path: Path, astronaut: NDArray[np.uint8], orientation: int
) -> None:
    exif = Image.Exif()
    exif[274], exif[271] = orientation, "a camera"
    path = tmp_path / "clip.avi"
    stored = np.ascontiguousarray(astronaut[:320, :480])
    Image.fromarray(stored).save(tmp_path / "one.jpg", exif=exif, quality=95)
    with av.open(str(path), "w") as output:
        video = output.add_stream("mjpeg", rate=10)
        video.width, video.height, video.pix_fmt = 480, 320, "yuvj420p"
        for number in range(5):
            packet = av.Packet((tmp_path / "one.jpg").read_bytes())
            packet.stream, packet.time_base = video, Fraction(1, 10)
            packet.pts = packet.dts = number
            packet.is_keyframe = True
            output.mux(packet)
    frames, losses, _ = read(path)
    assert len(frames) == 5
    turn = {1: lambda x: x, 3: lambda x: np.rot90(x, 2), 6: lambda x: np.rot90(x, -1)}
    # FFmpeg reports the orientation of JPEG from its release 8 on; before, it is ignored.
    candidates = [turn[orientation](stored), stored]
    errors = [
        np.abs(frames[0].image.astype(int) - one).mean()
        for one in candidates
        if one.shape == frames[0].image.shape
    ]
    assert min(errors) < 6
    assert losses == ()


def test_pictures_of_another_size_are_fitted_and_nothing_is_called_damaged(tmp_path: Path) -> None:
    data = b""
    for size in ((320, 240), (160, 240), (320, 240)):
        shades = [np.full((size[1], size[0], 3), 180, np.uint8)] * 20
        name = tmp_path / f"{size[0]}-{len(data)}.ts"
        data += write_clip(name, 20, size=size, pictures=shades).read_bytes()
    path = tmp_path / "all.ts"
    path.write_bytes(data)
    frames, losses, warnings = read(path)
    assert [frame.image.shape for frame in frames] == [(240, 320, 3)] * 60
    middle = frames[30].image
    assert np.abs(middle[120, 85:235].astype(int) - 180).max() < 6
    assert (middle[:, :75] == 0).all()
    assert (middle[:, 245:] == 0).all()
    assert losses == ()
    (warning,) = warnings
    assert "320x240 to 160x240 at 0.67 s" in warning


def moving_bars(count: int, interlaced: bool) -> list[NDArray[np.uint8]]:
    """A white bar that moves by 8 pixels from field to field."""
    pictures = []
    for number in range(count):
        fields = [np.full((240, 320, 3), 30, np.uint8) for _ in range(2)]
        for field, image in enumerate(fields):
            left = 20 + 16 * number + (8 * field if interlaced else 0)
            image[:, left : left + 40] = 220
        fields[0][1::2] = fields[1][1::2]
        pictures.append(fields[0])
    return pictures


def combing(image: NDArray[np.uint8]) -> float:
    """How much each line differs from the mean of its neighbours."""
    grey = image.astype(float).mean(axis=2)
    return float(np.abs(grey[1:-1] - (grey[:-2] + grey[2:]) / 2).mean())


@pytest.mark.parametrize("interlaced", [True, False])
def test_interlaced_video_is_deinterlaced_frame_for_frame(tmp_path: Path, interlaced: bool) -> None:
    pictures = moving_bars(12, interlaced)
    options = {"x264-params": f"{'interlaced=1:' if interlaced else ''}keyint=6:bframes=0:qp=10"}
    path = write_clip(tmp_path / "clip.ts", 12, pictures=pictures, options=options)
    frames, losses, warnings = read(path)
    assert [frame.index for frame in frames] == list(range(12))
    assert [frame.time for frame in frames] == pytest.approx([i / 30 for i in range(12)], abs=1e-3)
    assert max(combing(frame.image) for frame in frames[1:-1]) < 2.5
    if interlaced:
        assert combing(pictures[5]) > 8
        assert warnings == ("the picture is interlaced; it was deinterlaced",)
    else:
        assert warnings == ()
    for frame, picture in zip(frames, pictures, strict=True):  # each in its own place
        bar = np.flatnonzero(frame.image[100:102, :, 0].mean(axis=0) > 120)
        assert abs(bar.mean() - np.flatnonzero(picture[100, :, 0] > 120).mean()) < 9
    assert losses == ()
    part, _, _ = read(path, start=0.25)
    assert [frame.index for frame in part] == [f.index for f in frames if f.time >= 0.25]


def test_interlaced_pictures_that_cannot_be_deinterlaced_are_kept_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise av.error.ArgumentError(22, "Invalid argument")

    options = {"x264-params": "interlaced=1:keyint=6:bframes=0"}
    path = write_clip(tmp_path / "clip.ts", 12, options=options)
    monkeypatch.setattr("sfedge.sources.deinterlace._graph", refuse)
    frames, losses, warnings = read(path)
    assert [read_number(frame.image) for frame in frames] == list(range(12))
    assert warnings == ("the picture is interlaced; its format yuv420p cannot be deinterlaced",)
    assert losses == ()


def to_hdr(rgb: NDArray[np.float64], kind: str) -> NDArray[np.float64]:
    """Codes in HDR of a picture for screens, white at 203 cd/m² (ITU-R BT.2100 and BT.2408)."""
    to_2020 = np.array(
        [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]
    )
    nits = 203 * np.clip((rgb / 255) ** 2.2 @ to_2020.T, 0, None)
    if kind == "PQ":
        m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
        y = (nits / 10_000) ** m1
        return np.asarray(((c1 + c2 * y) / (1 + c3 * y)) ** m2)
    scene = (nits / 1000) ** (1 / 1.2)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    high = a * np.log(np.maximum(12 * scene - b, 1e-9)) + c
    return np.asarray(np.where(scene <= 1 / 12, np.sqrt(3 * scene), high))


@pytest.mark.parametrize("kind", ["PQ", "HLG"])
def test_hdr_video_looks_like_the_picture_it_was_made_of(tmp_path: Path, kind: str) -> None:
    colours = [
        (20, 20, 20),
        (90, 90, 90),
        (150, 110, 90),
        (90, 60, 50),
        (60, 90, 140),
        (40, 100, 50),
    ]
    picture = np.repeat(np.array(colours, np.float64), 48, axis=0)[None].repeat(192, axis=0)
    codes = (to_hdr(picture, kind).clip(0, 1) * 65535).round().astype(np.uint16)
    transfer = {name: number for number, name in TRANSFERS.items()}[kind]
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as output:
        video = output.add_stream("libx264", rate=10, options={"qp": "4"})
        video.width, video.height, video.pix_fmt = picture.shape[1], 192, "yuv420p10le"
        context = video.codec_context
        context.color_trc, context.color_primaries, context.colorspace = transfer, 9, 9
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(codes, format="rgb48le")
            frame = frame.reformat(format="yuv420p10le", dst_colorspace="BT2020")
            frame.pts = number
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
    frames, losses, warnings = read(path)
    for place, colour in enumerate(colours):
        seen = frames[1].image[96, 48 * place + 24].astype(int)
        assert np.abs(seen - colour).max() < 14, (colour, seen)
    assert warnings == (f"the picture is HDR ({kind}); it was tone-mapped to SDR",)
    assert losses == ()


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{clip}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{clip}'\n",
        "\ufeff#EXTM3U\n{clip}\n",
        '<?xml version="1.0"?><MPD type="static"></MPD>',
        "file '{clip}'\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    ],
    ids=["hls", "concat", "m3u", "dash", "bare concat", "sdp"],
)
@pytest.mark.parametrize("name", ["video.mp4", "list.m3u8", "list.ffconcat", "session.sdp"])
def test_a_file_that_lists_others_opens_none_of_them(tmp_path: Path, text: str, name: str) -> None:
    clip = write_clip(tmp_path / "clip.ts", 5)
    (tmp_path / name).write_text(text.format(clip=clip))
    with pytest.raises(SourceError, match=r"list of other files|not a video"):
        open_source(str(tmp_path / name))


@pytest.mark.parametrize(
    "name", ["a:b.mp4", "http:.mp4", "%03d.mp4", "?*.mp4", b"gr\xfcn.mp4", "-i.mp4"]
)
def test_files_of_any_name_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str | bytes
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 5, sound="aac")
    path = tmp_path / os.fsdecode(name)
    shutil.copyfile(clip, path)
    monkeypatch.chdir(tmp_path)
    for address in (str(path), path.name):
        with open_source(address) as source:
            assert len(list(source)) == 5
            assert source.info.path == Path(address)
            source.info.name.encode()  # may be shown and recorded


def test_sound_alone_and_a_cover_are_no_video(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as output:
        track = output.add_stream("aac", rate=48_000)
        for first in range(0, 48_000, 1024):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate, frame.pts = 48_000, first
            output.mux(track.encode(frame))
        output.mux(track.encode(None))
    with pytest.raises(SourceError, match="only sound"):
        open_source(str(path))


def test_of_two_videos_in_a_file_the_default_one_is_read(tmp_path: Path) -> None:
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as output:
        streams = [output.add_stream("libx264", rate=10) for _ in range(2)]
        for place, stream in enumerate(streams):
            stream.width, stream.height, stream.pix_fmt = 160 + 160 * place, 120, "yuv420p"
            stream.disposition = (
                av.stream.Disposition.default if place else av.stream.Disposition(0)
            )
        for number in range(5):
            for stream in streams:
                image = numbered(number, stream.width, stream.height)
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 10)
                output.mux(stream.encode(frame))
        for stream in streams:
            output.mux(stream.encode(None))
    with open_source(str(path)) as source:
        assert source.info.width == 320


def test_a_truncated_b_frame_avi_gives_what_is_there(tmp_path: Path) -> None:
    path = write_from(tmp_path / "clip.avi", 0.0, 100, avoid_negative_ts="auto")
    cut_off(path, 50)
    frames, losses, _ = read(path)
    numbers = [read_number(frame.image) for frame in frames[:45]]
    assert numbers == list(range(45))
    assert any("cut off" in loss for loss in losses)
