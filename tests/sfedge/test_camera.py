"""Streams over HTTP from this machine, with breaks; and cameras that are not there."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import pytest
from clips import numbered, read_number

from sfedge.core.errors import SourceError
from sfedge.core.structures import Image
from sfedge.sources import camera, open_source


@contextmanager
def mjpeg_server(port: int = 0, until: int = 10_000) -> Iterator[int]:
    """Sends numbered pictures, 100 a second, until `until` of each connection; gives the port."""
    is_over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for number in range(until):
                if is_over.wait(0.01):
                    break
                picture = cv2.cvtColor(numbered(number), cv2.COLOR_RGB2BGR)
                data = cv2.imencode(".jpg", picture)[1].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                try:
                    self.wfile.write(head.encode() + data + b"\r\n")
                except OSError:
                    break
            self.close_connection = True

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_port
    finally:
        is_over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_stream_gives_numbered_frames_at_the_times_they_arrive() -> None:
    with mjpeg_server() as port, open_source(f"http://127.0.0.1:{port}/live") as source:
        began = time.monotonic()
        frames = []
        for frame in source:
            frames.append((frame.index, frame.time, read_number(frame.image)))
            if len(frames) == 20:
                break
        spent = time.monotonic() - began
        info = source.info
    assert (info.width, info.height, info.is_live) == (320, 240, True)
    assert (info.duration, info.frames, info.audio_path) == (None, None, None)
    assert [index for index, _, _ in frames] == list(range(20))
    assert [number for _, _, number in frames] == list(range(20))
    times = [when for _, when, _ in frames]
    assert times[0] == 0.0
    assert times == sorted(times)
    assert 0 < times[-1] <= spent
    assert source.losses == ()


def test_a_stream_that_breaks_is_joined_again_and_the_break_is_told() -> None:
    with mjpeg_server() as port:
        source = open_source(f"http://127.0.0.1:{port}/live")
        frames = iter(source)
        before = [next(frames) for _ in range(5)]
    threading.Event().wait(0.3)
    with mjpeg_server(port), source:
        after = []
        for frame in frames:
            after.append(frame)
            if source.losses and len(after) > 5:
                break
        losses = source.losses
    whole = [*before, *after]
    assert [frame.index for frame in whole] == list(range(len(whole)))
    assert [frame.time for frame in whole] == sorted(frame.time for frame in whole)
    assert len(losses) == 1
    assert "joined again" in losses[0]


def test_a_stream_that_stays_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera, "GIVE_UP_AFTER", 0.4)
    with mjpeg_server(until=5) as port:
        source = open_source(f"http://127.0.0.1:{port}/live")
        frames = iter(source)
        seen = [next(frames)]
    with source, pytest.raises(SourceError, match="no picture came for"):
        seen.extend(frames)
    assert "no picture came after" in source.losses[-1]


def test_end_is_the_end_of_a_stream_too() -> None:
    with (
        mjpeg_server() as port,
        open_source(f"http://127.0.0.1:{port}/live", start=0.1, end=0.8) as source,
    ):
        times = [frame.time for frame in source]
    assert times[0] >= 0.1
    assert times[-1] < 0.8


def test_closing_from_another_thread_ends_a_stream_soon() -> None:
    with mjpeg_server() as port:
        source = open_source(f"http://127.0.0.1:{port}/live")
        seen: list[int] = []
        reader = threading.Thread(target=lambda: seen.extend(frame.index for frame in source))
        reader.start()
        threading.Event().wait(0.2)
        began = time.monotonic()
        source.close()
        assert time.monotonic() - began < 2
        reader.join(timeout=5)
        assert not reader.is_alive()
    assert source._capture is None  # type: ignore[attr-defined]


def test_a_camera_that_is_closed_while_it_is_read_is_released(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = camera.CameraSource._read

    def read_and_close(self: camera.CameraSource) -> Image | None:
        picture = read(self)
        self.close()  # as another thread does, which never waits
        return picture

    with mjpeg_server() as port:
        source = camera.CameraSource(f"http://127.0.0.1:{port}/live")
        monkeypatch.setattr(camera.CameraSource, "_read", read_and_close)
        assert [frame.index for frame in source] == [0]
    assert source._capture is None


def test_a_camera_that_is_not_there_is_told_with_those_that_are(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SourceError, match=r"no camera 97.*/dev/video"):
        open_source("97")
    with pytest.raises(SourceError, match="no camera 99999999999999"):
        open_source("99999999999999")
    assert capfd.readouterr().err == ""  # one sentence, by the command alone


def test_a_stream_that_does_not_answer_is_told_without_its_password(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with mjpeg_server() as port:
        pass  # nobody listens there any more
    with pytest.raises(SourceError, match="does not answer") as caught:
        open_source(f"rtsp://someone:secret@127.0.0.1:{port}/live")
    assert "secret" not in str(caught.value)
    assert capfd.readouterr().err == ""
