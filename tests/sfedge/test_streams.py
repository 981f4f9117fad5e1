"""Live streams over HTTP: their pace, their sound, their breaks, and how they end."""

import itertools
import threading
import time
from http.server import BaseHTTPRequestHandler
from itertools import pairwise
from pathlib import Path

import av
import cv2
import pytest
from clips import numbered, read_number, write_clip
from servers import Answer, RtspCamera, head, serving

from sfedge.core.errors import SourceError
from sfedge.core.structures import Gap
from sfedge.sources import open_source, silence, stream, stream_reader
from sfedge.sources.stream import StreamSource
from sfedge.sources.video import VideoSource

TS_PACKET = 188


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is busy for seconds is no stream that falls silent, nor a reader too slow."""
    monkeypatch.setattr(silence, "_STALL", 60.0)
    monkeypatch.setattr(stream, "_LATE", 60.0)


def once(answer: Answer) -> Answer:
    """An answer to the first request; all others get a 404."""
    asked = itertools.count()

    def first(path: str, handler: BaseHTTPRequestHandler, is_over: threading.Event) -> None:
        if next(asked) == 0:
            answer(path, handler, is_over)
        else:
            handler.send_error(404)

    return first


def mjpeg(until: int = 10_000) -> Answer:
    """Numbered pictures, 100 a second, `until` of each connection."""

    def answer(path: str, handler: BaseHTTPRequestHandler, is_over: threading.Event) -> None:
        head(handler, "multipart/x-mixed-replace; boundary=frame")
        for number in range(until):
            if is_over.wait(0.01):
                break
            picture = cv2.cvtColor(numbered(number), cv2.COLOR_RGB2BGR)
            data = cv2.imencode(".jpg", picture)[1].tobytes()
            start = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            handler.wfile.write(start.encode() + data + b"\r\n")

    return answer


@pytest.fixture(scope="module")
def broadcast(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of a transport stream with sound, 20 frames a second, a key frame in ten."""
    path = tmp_path_factory.mktemp("broadcast") / "clip.ts"
    options = {"x264-params": "keyint=10:scenecut=0:bframes=0"}
    return write_clip(path, 80, rate=20, size=(160, 120), options=options, sound="aac")


def live_ts(data: bytes, opened: list[str], seconds: float = 4.0, part: float = 1.0) -> Answer:
    """A transport stream in real time, of which only a part comes, and which then goes on."""

    def answer(path: str, handler: BaseHTTPRequestHandler, is_over: threading.Event) -> None:
        opened.append(path)
        head(handler, "video/mp2t")
        size = TS_PACKET * 20
        pieces = [data[at : at + size] for at in range(0, int(len(data) * part), size)]
        begun = time.monotonic()
        for place, piece in enumerate(pieces):
            due = begun + place * seconds * part / len(pieces)
            if is_over.wait(max(due - time.monotonic(), 0)):
                return
            handler.wfile.write(piece)
            handler.wfile.flush()
        is_over.wait()

    return answer


def test_a_stream_gives_numbered_frames_at_the_times_they_arrive() -> None:
    began = time.monotonic()
    with serving(mjpeg()) as port, open_source(f"http://127.0.0.1:{port}/live") as source:
        frames = []
        for frame in source:
            frames.append((frame.index, frame.time, read_number(frame.image)))
            if len(frames) == 20:
                break
        spent = time.monotonic() - began
        info = source.info
    assert (info.width, info.height, info.is_live) == (320, 240, True)
    assert (info.duration, info.frames, info.audio_path, info.audio_feed) == (None,) * 4
    assert [index for index, _, _ in frames] == list(range(20))
    assert [number for _, _, number in frames] == list(range(20))
    times = [when for _, when, _ in frames]
    assert times[0] == 0.0
    assert times == sorted(times)
    assert 0 < times[-1] <= spent
    assert (source.losses, source.gaps) == ((), ())


def test_a_stream_that_breaks_is_joined_again_and_the_gap_is_known_while_it_lasts() -> None:
    with serving(once(mjpeg(until=10))) as port:
        source = open_source(f"http://127.0.0.1:{port}/live")
        frames = iter(source)
        before = [next(frames) for _ in range(5)]
    after = []
    reader = threading.Thread(target=lambda: after.extend(next(frames) for _ in range(40)))
    reader.start()
    while not source.gaps:  # no frame comes meanwhile
        assert reader.is_alive()
        threading.Event().wait(0.02)
    (ongoing,) = source.gaps
    with serving(mjpeg(), port), source:
        reader.join(timeout=120)
        (over,) = source.gaps
        losses = source.losses
    whole = [*before, *after]
    assert (ongoing.end, ongoing.reason) == (None, "the connection broke")
    last = next(frame for frame in reversed(whole) if frame.time == ongoing.start)
    assert over == Gap(last.time, whole[last.index + 1].time, "the connection broke")
    assert [frame.index for frame in whole] == list(range(45))
    assert [frame.time for frame in whole] == sorted(frame.time for frame in whole)
    assert len(losses) == 1
    assert losses[0].startswith("no picture came from")


def test_a_stream_that_stays_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(once(mjpeg(until=5))) as port:
        source = open_source(f"http://127.0.0.1:{port}/live")
        frames = iter(source)
        seen = [next(frames) for _ in range(5)]
    monkeypatch.setattr(silence, "GIVE_UP_AFTER", 0.4)
    with source, pytest.raises(SourceError, match="no picture came for"):
        seen.extend(frames)
    assert source.losses[-1].startswith("no picture came from")
    assert source.losses[-1].endswith("on (the connection broke)")


def test_end_is_a_time_on_the_clock_and_a_gap_until_then_is_a_loss() -> None:
    with serving(once(mjpeg(until=30))) as port:
        source = open_source(f"http://127.0.0.1:{port}/live", start=0.05, end=1.5)
        frames = iter(source)
        times = [next(frames).time for _ in range(3)]
    with source:  # nobody serves any more
        times += [frame.time for frame in frames]
    assert times[0] >= 0.05
    assert times[-1] < 1.5
    assert source.gaps == (Gap(times[-1], None, "the connection broke"),)
    assert source.losses == (f"no picture came from {times[-1]:.2f} s on (the connection broke)",)


def test_an_internal_error_of_the_reading_thread_is_raised_where_frames_are_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serving(mjpeg()) as port, open_source(f"http://127.0.0.1:{port}/live") as source:
        monkeypatch.setattr(stream_reader.StreamReader, "_put", lambda *_: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            list(source)


def test_closing_from_another_thread_ends_a_stream_that_sends_nothing(broadcast: Path) -> None:
    with serving(live_ts(broadcast.read_bytes(), [], 0.5, part=0.3)) as port:
        source = open_source(f"http://127.0.0.1:{port}/live.ts")
        seen: list[int] = []
        reader = threading.Thread(target=lambda: seen.extend(frame.index for frame in source))
        reader.start()
        while not seen:
            threading.Event().wait(0.02)
        source.close()
        reader.join(timeout=20)  # by itself it would wait for a minute
        assert not reader.is_alive()


def test_an_address_that_ends_like_a_file_and_never_ends_is_live_and_opened_once(
    broadcast: Path,
) -> None:
    opened: list[str] = []
    with (
        serving(live_ts(broadcast.read_bytes(), opened)) as port,
        open_source(f"http://127.0.0.1:{port}/channel.ts") as source,
    ):
        assert isinstance(source, StreamSource)
        assert (source.info.is_live, source.info.frame_rate) == (True, pytest.approx(20))
        frames = list(itertools.islice(source, 45))
        feed = source.info.audio_feed
        assert feed is not None
        sound = feed.take(None)
    assert opened == ["/channel.ts"]
    numbers = [read_number(frame.image) for frame in frames]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    for frame, number in zip(frames, numbers, strict=True):
        assert frame.time == pytest.approx((number - numbers[0]) / 20, abs=1e-3)
    assert len(frames) == 45
    assert 0 <= sound[0][0] < 0.1  # from the first picture on, on the same clock
    assert sound[-1][0] > frames[-1].time - 0.8
    assert {round(b - a, 3) for (a, _), (b, _) in pairwise(sound)} <= {0.021, 0.022}


def test_a_recording_with_a_length_is_no_stream(broadcast: Path) -> None:
    data = broadcast.read_bytes()

    def answer(path: str, handler: BaseHTTPRequestHandler, is_over: threading.Event) -> None:
        head(handler, "video/mp2t", len(data))
        handler.wfile.write(data)

    with serving(answer) as port, open_source(f"http://127.0.0.1:{port}/clip.ts") as source:
        assert isinstance(source, VideoSource)
        assert [frame.index for frame in source] == list(range(80))
    assert source.losses == ()


def test_a_recording_without_a_length_is_read_once(broadcast: Path) -> None:
    data = broadcast.read_bytes()

    def answer(path: str, handler: BaseHTTPRequestHandler, is_over: threading.Event) -> None:
        head(handler, "video/mp2t")
        handler.wfile.write(data)

    with serving(answer) as port, open_source(f"http://127.0.0.1:{port}/clip.ts") as source:
        assert [read_number(frame.image) for frame in source] == list(range(80))
    assert (source.losses, source.gaps) == ((), ())


def test_what_comes_in_bursts_is_given_at_its_own_pace(broadcast: Path) -> None:
    # A live HLS playlist: three segments at first, one more each second.
    data = broadcast.read_bytes()
    with av.open(str(broadcast)) as file:
        keys = [p.pos for p in file.demux(video=0) if p.size and p.is_keyframe]
    ends = [*keys[2::2], len(data)]  # a segment is a second
    segments = [data[a:b] for a, b in zip([0, *keys[2::2]], ends, strict=True)]
    begun = time.monotonic()

    def answer(path: str, handler: BaseHTTPRequestHandler, is_over: threading.Event) -> None:
        if not path.endswith(".m3u8"):
            segment = segments[int(Path(path).stem)]
            head(handler, "video/mp2t", len(segment))
            handler.wfile.write(segment)
            return
        known = min(3 + int(time.monotonic() - begun), len(segments))
        lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:1"]
        lines += ["#EXT-X-MEDIA-SEQUENCE:0"]
        for number in range(known):
            lines += ["#EXTINF:1.0,", f"{number}.ts"]
        body = "\n".join(lines).encode() + b"\n"
        head(handler, "application/vnd.apple.mpegurl", len(body))
        handler.wfile.write(body)

    with (
        serving(answer) as port,
        open_source(f"http://127.0.0.1:{port}/live.m3u8") as source,
    ):
        assert isinstance(source, StreamSource)
        arrivals = []
        for frame in itertools.islice(source, 45):
            arrivals.append((time.monotonic(), frame.time, read_number(frame.image)))
    numbers = [number for _, _, number in arrivals]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert len(numbers) == 45
    # Without pacing all frames of the burst would come within a few milliseconds.
    assert arrivals[-1][0] - begun > arrivals[-1][1] - arrivals[0][1]


def playlist(*segments: str) -> Answer:
    """A playlist that has ended; its segments are read from files of these names."""

    def answer(path: str, handler: BaseHTTPRequestHandler, is_over: threading.Event) -> None:
        if path == "/vod.m3u8":
            lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:4"]
            lines += [f"#EXTINF:4.0,\n{name}" for name in segments]
            body = "\n".join([*lines, "#EXT-X-ENDLIST\n"]).encode()
        else:
            body = Path(path).read_bytes()
        head(handler, "application/octet-stream", len(body))
        handler.wfile.write(body)

    return answer


def test_a_playlist_that_has_ended_is_a_recording(broadcast: Path) -> None:
    with (
        serving(playlist(str(broadcast))) as port,
        open_source(f"http://127.0.0.1:{port}/vod.m3u8") as source,
    ):
        assert isinstance(source, VideoSource)
        assert source.info.duration == pytest.approx(4, abs=0.1)
        assert [read_number(frame.image) for frame in source] == list(range(80))
    assert source.losses == ()


def test_a_playlist_from_the_web_opens_no_file_of_this_machine(broadcast: Path) -> None:
    with serving(playlist(broadcast.as_uri())) as port, pytest.raises(SourceError):
        open_source(f"http://127.0.0.1:{port}/vod.m3u8")


def test_a_stream_that_does_not_answer_is_named_without_its_password(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with serving(mjpeg()) as port:
        pass  # nobody listens there any more
    with pytest.raises(SourceError, match="does not answer") as caught:
        open_source(f"rtsp://someone:secret@127.0.0.1:{port}/live")
    assert "secret" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_a_page_and_a_refusal_are_distinguished() -> None:
    def answer(path: str, handler: BaseHTTPRequestHandler, is_over: threading.Event) -> None:
        if path == "/page":
            head(handler, "text/html")
            handler.wfile.write(b"<html><h1>Log in</h1></html>" * 50)
        else:
            handler.send_response(401)
            handler.send_header("WWW-Authenticate", 'Basic realm="cam"')
            handler.end_headers()

    with serving(answer) as port:
        with pytest.raises(SourceError, match="not with a video"):
            open_source(f"http://127.0.0.1:{port}/page")
        with pytest.raises(SourceError, match="password is not accepted"):
            open_source(f"http://kim:wrong@127.0.0.1:{port}/live")


def test_passwords_with_special_characters_reach_the_camera() -> None:
    asked: list[str | None] = []

    def answer(path: str, handler: BaseHTTPRequestHandler, is_over: threading.Event) -> None:
        asked.append(handler.headers.get("Authorization"))
        if asked[-1] is None:
            handler.send_response(401)
            handler.send_header("WWW-Authenticate", 'Basic realm="cam"')
            handler.end_headers()
        else:
            mjpeg()(path, handler, is_over)

    for user in ("kim:p@ss:w#rd/", "kim:p%40ss%3Aw%23rd%2F"):
        with (
            serving(answer) as port,
            open_source(f"http://{user}@127.0.0.1:{port}/live") as source,
        ):
            assert "ss" not in source.info.name
        assert asked[-1] == "Basic a2ltOnBAc3M6dyNyZC8="  # kim:p@ss:w#rd/


def test_an_rtsp_camera_is_read_and_joined_again() -> None:
    camera = RtspCamera(frames=400, lasts=40)
    broke = "the connection broke"
    with (
        camera.serving() as port,
        open_source(f"rtsp://kim:secret@127.0.0.1:{port}/live") as source,
    ):
        assert source.info.name == f"rtsp://127.0.0.1:{port}/live"
        frames = []
        for frame in source:
            frames.append(frame)
            if any(gap.reason == broke and gap.end is not None for gap in source.gaps):
                break
    numbers = [read_number(frame.image) for frame in frames]
    assert numbers == sorted(set(numbers))
    assert 30 < len(numbers) < 45
    assert numbers[-1] >= 60  # of the second connection
    for (before, after), (a, b) in zip(pairwise(frames), pairwise(numbers), strict=True):
        if b == a + 1:
            assert after.time - before.time == pytest.approx(0.04, abs=1e-3)
