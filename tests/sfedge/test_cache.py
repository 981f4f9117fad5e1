import hashlib
import os
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sfedge.core.errors import OutputError
from sfedge.system import cache

CONTENT = os.urandom(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class _Store(BaseHTTPRequestHandler):
    """/whole sends the content, /cut half of it, /long more than it, /other as much of another."""

    def do_GET(self) -> None:
        bodies = {
            "/whole": CONTENT,
            "/cut": CONTENT[: len(CONTENT) // 2],
            "/long": CONTENT * 50,
            "/other": CONTENT[::-1],
        }
        if self.path not in bodies:
            self.send_error(404)
            return
        body = bodies[self.path]
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT if self.path == "/cut" else body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except ConnectionError:  # the client has read enough
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Store) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def _fetch(url: str, target: Path, **settings: float) -> None:
    cache.fetch(url, target, sha256=SHA256, size=len(CONTENT), **settings)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"SFEDGE_CACHE": "/somewhere", "XDG_CACHE_HOME": "/xdg"}, "/somewhere"),
        ({"XDG_CACHE_HOME": "/xdg"}, "/xdg/sfedge"),
        ({}, "/home/me/.cache/sfedge"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="names Linux's folders")
def test_the_cache_lies_where_the_user_says_or_the_platform_has_caches(
    environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SFEDGE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (environment | {"HOME": "/home/me"}).items():
        monkeypatch.setenv(name, value)
    assert cache.cache_folder() == Path(expected)


def test_a_download_arrives_whole_and_tells_how_far_it_is(address: str, tmp_path: Path) -> None:
    target, reported = tmp_path / "new" / "file.bin", []
    cache.fetch(
        f"{address}/whole",
        target,
        sha256=SHA256,
        size=len(CONTENT),
        progress=lambda what, done, total: reported.append((what, done, total)),
    )
    assert target.read_bytes() == CONTENT
    assert cache.file_sha256(target) == SHA256
    assert [*target.parent.iterdir()] == [target]
    assert reported[-1] == ("file.bin", len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in reported] == sorted(done for _, done, _ in reported)


@pytest.mark.parametrize("page", ["cut", "long", "other", "absent"])
def test_a_download_of_something_else_leaves_the_old_file(
    page: str, address: str, tmp_path: Path
) -> None:
    target = tmp_path / "file.bin"
    target.write_bytes(b"old")
    with pytest.raises(cache.FetchError, match=f"{address}/{page}"):
        _fetch(f"{address}/{page}", target)
    assert target.read_bytes() == b"old"
    assert [*tmp_path.iterdir()] == [target]


def test_a_silent_server_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/"
        with pytest.raises(cache.FetchError, match="timed out"):
            _fetch(address, tmp_path / "file.bin", timeout=0.2)
    assert not [*tmp_path.iterdir()]


def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(tmp_path: Path) -> None:
    outside, target = tmp_path / "outside", tmp_path / "cache" / "file.bin"
    outside.write_bytes(b"precious")
    target.parent.mkdir()
    target.symlink_to(outside)
    cache.write(target, [b"new"])
    assert outside.read_bytes() == b"precious"
    assert target.read_bytes() == b"new"
    assert not target.is_symlink()


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file/inside.*SFEDGE_CACHE"):
        cache.write(tmp_path / "file" / "inside", [b"data"])


def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"first half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.write(tmp_path / "file.bin", chunks())
    assert not [*tmp_path.iterdir()]


def test_writers_of_one_file_do_not_mix(tmp_path: Path) -> None:
    target = tmp_path / "file.bin"
    contents = [bytes([number]) * 500_000 for number in range(8)]

    def work(content: bytes) -> None:
        cache.write(target, (content[i : i + 1000] for i in range(0, len(content), 1000)))

    threads = [threading.Thread(target=work, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert target.read_bytes() in contents
    assert [*tmp_path.iterdir()] == [target]
