"""Video files: times, numbers, orientation and colours of their frames."""

import os
import re
import threading
from fractions import Fraction
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlsplit

import av
import numpy as np
import pytest
from clips import numbered, read_number, write_clip
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from sfedge.core.errors import SourceError
from sfedge.core.structures import Frame
from sfedge.sources import open_source, without_credentials
from sfedge.sources.container import VideoFile
from sfedge.sources.pictures import PictureSource
from sfedge.sources.source import escaped
from sfedge.sources.video import VideoSource

ONE = 1 << 16  # in 16.16 fixed point
# What turns a stored picture into the upright one, and its display matrix (ISO 14496-12, 8.3.2).
ORIENTATIONS = {
    "upright": ((ONE, 0, 0, ONE), lambda x: x),
    "turned right": ((0, ONE, -ONE, 0), lambda x: np.rot90(x, -1)),
    "on its head": ((-ONE, 0, 0, -ONE), lambda x: np.rot90(x, 2)),
    "turned left": ((0, -ONE, ONE, 0), lambda x: np.rot90(x, 1)),
    "mirrored": ((-ONE, 0, 0, ONE), lambda x: x[:, ::-1]),
    "mirrored on its head": ((ONE, 0, 0, -ONE), lambda x: x[::-1]),
    "transposed": ((0, ONE, ONE, 0), lambda x: x.transpose(1, 0, 2)),
    "transposed across": ((0, -ONE, -ONE, 0), lambda x: np.rot90(x, 2).transpose(1, 0, 2)),
}


def read(path: Path | str, **settings: float | bool | None) -> tuple[list[Frame], tuple[str, ...]]:
    with open_source(str(path), **settings) as source:  # type: ignore[arg-type]
        return list(source), source.losses


def test_every_frame_of_a_clip_comes_with_its_number_and_time(tmp_path: Path) -> None:
    frames, losses = read(write_clip(tmp_path / "clip.mp4", 50))
    assert [read_number(frame.image) for frame in frames] == list(range(50))
    assert [frame.index for frame in frames] == list(range(50))
    assert [frame.time for frame in frames] == pytest.approx([i / 30 for i in range(50)], abs=1e-4)
    assert losses == ()


def test_info_tells_size_rate_length_and_sound(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", 60, sound="aac")
    with open_source(str(path)) as source:
        info = source.info
    assert (info.width, info.height, info.frames, info.is_live) == (320, 240, 60, False)
    assert info.frame_rate == pytest.approx(30, abs=0.01)
    assert info.duration == pytest.approx(2, abs=0.05)
    assert (info.name, info.audio_path) == (str(path), str(path))


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.integers(10, 4000), min_size=1, max_size=15))
def test_a_variable_frame_rate_is_kept(tmp_path: Path, milliseconds: list[int]) -> None:
    times = [sum(milliseconds[:i]) / 1000 for i in range(len(milliseconds))]
    path = write_clip(tmp_path / "clip.mkv", times, size=(96, 64), options={"preset": "ultrafast"})
    frames, losses = read(path)
    assert [frame.time for frame in frames] == pytest.approx(times, abs=1e-3)
    assert losses == ()


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts", "clip.avi", "clip.webm"])
def test_start_and_end_change_neither_numbers_nor_pictures(tmp_path: Path, name: str) -> None:
    codec = {".avi": "mpeg4", ".webm": "libvpx"}.get(Path(name).suffix, "libx264")
    path = write_clip(tmp_path / name, 90, codec=codec, options={"g": "12"})
    whole, _ = read(path)
    part, losses = read(path, start=1.2, end=2.1)
    assert [f.index for f in part] == [f.index for f in whole if 1.2 <= f.time < 2.1]
    assert len(part) == 27
    for frame in part:
        assert frame.time == whole[frame.index].time
        np.testing.assert_array_equal(frame.image, whole[frame.index].image)
    assert losses == ()


def test_a_start_after_the_end_of_the_file_gives_no_frame_and_no_loss(tmp_path: Path) -> None:
    assert read(write_clip(tmp_path / "clip.mp4", 10), start=50.0) == ([], ())


def test_a_stream_without_time_stamps_goes_by_its_frame_rate(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.h264", 30, file_format="h264")
    whole, losses = read(path)
    part, _ = read(path, start=0.5)
    assert [read_number(frame.image) for frame in whole] == list(range(30))
    steps = {round(b.time - a.time, 6) for a, b in pairwise(whole)}
    assert len(steps) == 1
    assert [f.index for f in part] == [f.index for f in whole if f.time >= 0.5]
    assert losses == ()


def test_picture_and_sound_keep_their_distance(tmp_path: Path) -> None:
    times = [0.5 + index / 30 for index in range(20)]
    for name in ("clip.mp4", "clip.ts", "clip.mkv"):
        frames, _ = read(write_clip(tmp_path / name, times, sound="aac"))
        assert frames[0].time == pytest.approx(0.5, abs=0.025), name
        assert frames[-1].time - frames[0].time == pytest.approx(19 / 30, abs=2e-3)


def test_time_goes_on_in_transport_streams_strung_together(tmp_path: Path) -> None:
    one = write_clip(tmp_path / "one.ts", 40, sound="aac").read_bytes()
    both = tmp_path / "both.ts"
    both.write_bytes(one + one)
    frames, losses = read(both)
    assert [read_number(f.image) for f in frames] == [*range(40), *range(40)]
    assert [f.index for f in frames] == list(range(80))
    steps = [b.time - a.time for a, b in pairwise(frames)]
    assert min(steps) > 0.02
    assert max(steps) < 0.05
    assert losses == ()


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_phone_videos_are_upright(tmp_path: Path, name: str) -> None:
    (a, b, c, d), turn = ORIENTATIONS[name]
    upright = numbered(5, 240, 320)
    for stored in (
        upright,
        upright.transpose(1, 0, 2),
        upright[::-1],
        upright.transpose(1, 0, 2)[::-1],
    ):
        candidates = [stored, stored[:, ::-1], stored[::-1], stored[::-1, ::-1]]
        found = [s for s in candidates if np.array_equal(turn(s), upright)]
        if found:
            break
    picture = np.ascontiguousarray(found[0])
    path = write_clip(
        tmp_path / "clip.mp4",
        2,
        size=(picture.shape[1], picture.shape[0]),
        pictures=[picture, picture],
        display_matrix=(a, b, 0, c, d, 0, 0, 0, 1 << 30),
    )
    with open_source(str(path)) as source:
        frames = list(source)
        assert (source.info.width, source.info.height) == (240, 320)
    assert frames[0].image.shape == (320, 240, 3)
    assert read_number(frames[0].image) == 5


@pytest.mark.parametrize(
    ("aspect", "size"), [(Fraction(4, 3), (427, 240)), (Fraction(1, 2), (320, 480))]
)
def test_pixels_become_square_without_losing_any(
    tmp_path: Path, aspect: Fraction, size: tuple[int, int]
) -> None:
    path = write_clip(tmp_path / "clip.mp4", 3, pixel_aspect=aspect)
    with open_source(str(path)) as source:
        frames = list(source)
        assert (source.info.width, source.info.height) == size
    assert [read_number(frame.image) for frame in frames] == [0, 1, 2]
    assert frames[0].image.shape == (size[1], size[0], 3)


@pytest.mark.parametrize("size", [(97, 63), (1, 1), (2, 2), (161, 240)])
def test_odd_and_tiny_sizes_are_read(tmp_path: Path, size: tuple[int, int]) -> None:
    shade = np.full((size[1], size[0], 3), 180, np.uint8)
    path = write_clip(
        tmp_path / "clip.mkv", 3, size=size, codec="ffv1", pixel_format="bgr0", pictures=[shade] * 3
    )
    frames, losses = read(path)
    assert len(frames) == 3
    np.testing.assert_array_equal(frames[0].image, shade)
    assert losses == ()


@pytest.mark.parametrize(
    ("size", "pixel_format", "matrix", "named"),
    [
        ((320, 240), "yuv420p", "ITU601", None),
        ((1280, 720), "yuv420p", "ITU709", None),
        ((320, 240), "yuv420p", "ITU709", 1),
        ((320, 240), "yuv420p10le", "ITU709", 1),
        ((320, 240), "yuv420p10le", "BT2020", 9),
        ((320, 240), "yuvj420p", "ITU601", None),
    ],
    ids=["sd", "hd", "named", "10 bit", "hdr", "full range"],
)
def test_colours_come_back(
    tmp_path: Path, size: tuple[int, int], pixel_format: str, matrix: str, named: int | None
) -> None:
    colour = (200, 40, 90)
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=10, options={"crf": "4"})
        stream.width, stream.height = size
        stream.pix_fmt = pixel_format
        if named is not None:
            stream.codec_context.colorspace = named
        picture = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), colour, np.uint8))
        output.mux(stream.encode(picture.reformat(format=pixel_format, dst_colorspace=matrix)))
        output.mux(stream.encode(None))
    frames, _ = read(path)
    middle = frames[0].image[size[1] // 2, size[0] // 2].astype(int)
    assert np.abs(middle - colour).max() <= 4


def test_a_frame_belongs_to_the_caller(tmp_path: Path) -> None:
    with open_source(str(write_clip(tmp_path / "clip.mp4", 8))) as source:
        kept = []
        for frame in source:
            assert frame.image.flags.c_contiguous
            kept.append((frame.index, frame.image))
            kept[-1][1][-1] = 0  # writable, and nobody else's
    assert [read_number(image) for _, image in kept] == list(range(8))


def test_an_8k_video_is_read(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", 1, size=(7680, 4320), options={"preset": "ultrafast"})
    frames, _ = read(path)
    assert read_number(frames[0].image) == 0
    assert frames[0].image.shape == (4320, 7680, 3)


@pytest.mark.parametrize("address", ["nowhere.mp4", "no/such/folder/", "ftp://host/clip.mp4"])
def test_an_address_that_leads_nowhere_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match=address):
        open_source(address)


def test_no_address_is_not_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "one.png")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match=r"^'': there is no such file or folder"):
        open_source("")


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(SourceError, match="neither a file nor a folder"):
        open_source(str(tmp_path / "pipe.mp4"))


def test_addresses_open_the_source_they_name(tmp_path: Path, astronaut: np.ndarray) -> None:
    Image.fromarray(astronaut).save(tmp_path / "one.png")
    clip = write_clip(tmp_path / "clip.mp4", 3)
    odd = write_clip(tmp_path / "a#b [1]?.mp4", 3)
    for address, kind in (
        (str(tmp_path), PictureSource),
        (str(tmp_path / "one.png"), PictureSource),
        (str(clip), VideoSource),
        (clip.as_uri(), VideoSource),
        (clip.as_uri().replace("file://", "file://localhost"), VideoSource),
        (f"file://{odd}", VideoSource),
        (odd.as_uri(), VideoSource),
    ):
        with open_source(address) as source:
            assert isinstance(source, kind), address


def test_a_recording_on_the_web_is_read_once_and_whole(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", 20)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        frames, losses = read(f"http://127.0.0.1:{server.server_port}/clip.mp4")
        with pytest.raises(SourceError, match="404 Not Found"):
            read(f"http://127.0.0.1:{server.server_port}/other.mp4")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert [read_number(frame.image) for frame in frames] == list(range(20))
    assert losses == ()


def test_what_is_shown_of_an_address_holds_no_secret() -> None:
    assert (
        without_credentials("rtsp://me:s%40cret@cam.local:554/live") == "rtsp://cam.local:554/live"
    )
    assert without_credentials("http://cam/video?user=me&pwd=secret") == "http://cam/video?..."
    assert without_credentials("a/path with @ and ?.mp4") == "a/path with @ and ?.mp4"


@given(st.text(st.characters(codec="ascii", min_codepoint=33), min_size=1))
def test_whatever_a_password_holds_is_never_shown_and_reaches_the_camera(password: str) -> None:
    has_break, has_at = re.search(r"[/?#]", password), "@" in password
    assume(not (has_break and (has_at or re.match(r"\d*[/?#]", password))))  # as a host has a path
    address = f"rtsp://kim:{password}@cam.local:554/live?x=1"
    assert without_credentials(address) == "rtsp://cam.local:554/live?..."
    parts = urlsplit(escaped(address))
    assert (parts.hostname, parts.port, parts.path) == ("cam.local", 554, "/live")
    assert parts.username == "kim"
    if not re.fullmatch(r"[\w.~!$&'()*+,;=:%-]*", password):  # else it is taken as it stands
        assert unquote(parts.password or "") == password


@pytest.mark.parametrize(
    "address", ["http://host:80/@user/x.mp4", "http://[::1]:80/a@b", "http://host/a:b@c", "a:b@c"]
)
def test_an_at_sign_in_a_path_is_no_password(address: str) -> None:
    assert without_credentials(address) == escaped(address) == address


def test_a_recording_that_is_closed_while_it_is_read_is_released(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = VideoFile.decode
    with VideoSource(str(write_clip(tmp_path / "clip.mp4", 5))) as source:
        frames = iter(source)

        def decode_and_close(self: VideoFile, packet: object) -> list[av.VideoFrame]:
            pictures = decode(self, packet)
            if pictures:
                source.close()  # as another thread does, which never waits
            return pictures

        monkeypatch.setattr(VideoFile, "decode", decode_and_close)
        assert next(frames).index == 0
        opened = [path.readlink().name for path in Path("/proc/self/fd").iterdir() if path.exists()]
        assert "clip.mp4" not in opened
        assert list(frames) == []


def test_closing_while_reading_as_fast_as_possible_is_safe(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", 300, size=(160, 120))
    for delay in (0.0, 0.002, 0.01, 0.03):
        source = open_source(str(path))
        reader = threading.Thread(target=lambda source=source: [None for _ in source])
        reader.start()
        threading.Event().wait(delay)
        source.close()
        reader.join(timeout=10)
        assert not reader.is_alive()
