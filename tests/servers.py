"""Streams over HTTP from this machine, for tests: each gives its port while it lasts."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

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
