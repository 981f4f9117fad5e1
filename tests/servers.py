"""Streams over HTTP from this machine, for tests: each gives its port while it lasts."""

import base64
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import av
from clips import numbered

Send = Callable[[bytes], None]
Answer = Callable[[str, BaseHTTPRequestHandler, threading.Event], None]


@contextmanager
def serving(answer: Answer, port: int = 0) -> Iterator[int]:
    """An HTTP server on the loopback; `answer` gets the path, the handler and the end as an event.

    It writes status, headers and body; a reader that has gone away ends it.
    """
    is_over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with suppress(OSError):
                answer(self.path, self, is_over)
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


def head(handler: BaseHTTPRequestHandler, kind: str, length: int | None = None) -> None:
    """Begin an answer of a content type, without a length unless it is given."""
    handler.send_response(200)
    handler.send_header("Content-Type", kind)
    if length is not None:
        handler.send_header("Content-Length", str(length))
    handler.end_headers()


class RtspCamera:
    """Numbered pictures in H.264, 25 a second, as an RTSP camera sends them over TCP.

    Args:
        lasts: frames of each connection, before it breaks.
    """

    def __init__(self, frames: int, lasts: int) -> None:
        self._lasts = lasts
        encoder = av.CodecContext.create("libx264", "w")
        encoder.width, encoder.height, encoder.pix_fmt = 320, 240, "yuv420p"
        encoder.time_base, encoder.framerate = Fraction(1, 25), Fraction(25)
        encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "keyint=10"}
        self._units: list[list[bytes]] = []  # of each frame
        for number in range(frames):
            picture = av.VideoFrame.from_ndarray(numbered(number), format="rgb24")
            picture.pts = number
            for packet in encoder.encode(picture):
                whole = bytes(packet).replace(b"\0\0\0\1", b"\0\0\1")
                self._units.append([unit for unit in whole.split(b"\0\0\1") if unit])
        sets = [unit for unit in self._units[0] if unit[0] & 31 in (7, 8)]
        self._parameters = ",".join(base64.b64encode(unit).decode() for unit in sets)
        self._next = 0  # frame of the next connection

    @contextmanager
    def serving(self) -> Iterator[int]:
        """Serves clients; gives the port."""
        server = socket.create_server(("127.0.0.1", 0))
        open_sockets = [server]

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client, _ = server.accept()
                    open_sockets.append(client)
                    threading.Thread(target=self._answer, args=(client,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            for each in open_sockets:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()
            thread.join(timeout=5)

    def _answer(self, client: socket.socket) -> None:
        description = (
            "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
            "a=rtpmap:96 H264/90000\r\n"
            f"a=fmtp:96 packetization-mode=1;sprop-parameter-sets={self._parameters}\r\n"
            "a=control:track1\r\n"
        )
        heads = {
            "OPTIONS": "Public: DESCRIBE, SETUP, PLAY, TEARDOWN\r\n",
            "DESCRIBE": f"Content-Type: application/sdp\r\nContent-Length: {len(description)}\r\n",
            "SETUP": "Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n",
            "PLAY": "Session: 1\r\n",
        }
        with suppress(OSError), client.makefile("rb") as lines:
            while request := lines.readline():
                method = request.decode(errors="replace").partition(" ")[0]
                if method not in heads:
                    continue  # the rest of a request
                count = next(line for line in lines if line.lower().startswith(b"cseq"))
                head = f"RTSP/1.0 200 OK\r\nCSeq: {int(count.split(b':')[1])}\r\n{heads[method]}"
                body = description if method == "DESCRIBE" else ""
                client.sendall(f"{head}\r\n{body}".encode())
                if method == "PLAY":
                    self._play(client)
                    client.shutdown(socket.SHUT_RDWR)

    def _play(self, client: socket.socket) -> None:
        first = self._next
        self._next += self._lasts + 20  # meanwhile the scene goes on
        begun, sequence = time.monotonic(), 0
        for place, units in enumerate(self._units[first : first + self._lasts]):
            time.sleep(max(begun + place / 25 - time.monotonic(), 0))
            payloads = [part for unit in units for part in _fragments(unit)]
            for number, payload in enumerate(payloads, start=1):
                kind = 96 | (0x80 if number == len(payloads) else 0)
                head = struct.pack("!BBHII", 0x80, kind, sequence, 3600 * (first + place), 1)
                sequence += 1
                data = head + payload
                client.sendall(b"$\0" + struct.pack("!H", len(data)) + data)


def _fragments(unit: bytes, size: int = 1200) -> Iterator[bytes]:
    """A unit of H.264 as RTP carries it (RFC 6184)."""
    if len(unit) <= size:
        yield unit
        return
    for at in range(1, len(unit), size):
        is_last = at + size >= len(unit)
        flags = (0x80 if at == 1 else 0) | (0x40 if is_last else 0)
        yield bytes([unit[0] & 0x60 | 28, flags | unit[0] & 31]) + unit[at : at + size]
