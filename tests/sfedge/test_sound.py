"""Lost sound of a source: it is reported, and the picture and the rest of the sound stay."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from clips import numbered, packets, read_number, write_clip
from fake_parts import OnePerson, Slow
from servers import head, serving

from sfedge import Pipeline, read_records
from sfedge.results.video_writer import VideoWriter
from sfedge.runtime.process import process
from sfedge.sources import open_source

FASTSTART = {"movflags": "faststart"}


def write(path: Path, audio_from: Path | str | None, frames: int = 60) -> tuple[str, ...]:
    """Write `frames` numbered frames with this sound; returns the reported losses."""
    with VideoWriter(path, width=320, height=240, frame_rate=30, audio_from=audio_from) as writer:
        for number in range(frames):
            writer.write(numbered(number), number / 30)
        writer.finish()
    with open_source(str(path)) as source:
        assert [read_number(frame.image) for frame in source] == list(range(frames))
    return writer.losses


def test_a_source_without_sound_gives_a_video_without_sound_and_says_so(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "clip.mp4", 5)
    losses = write(tmp_path / "out.mp4", source, frames=1)
    assert losses == ("the sound could not be kept: the file has no sound",)
    with av.open(str(tmp_path / "out.mp4")) as file:
        assert [stream.type for stream in file.streams] == ["video"]


def test_a_file_whose_sound_is_gone_is_reported_and_the_picture_kept(tmp_path: Path) -> None:
    losses = write(tmp_path / "out.mp4", tmp_path / "removed.mp4", frames=5)
    (loss,) = losses
    assert loss.startswith("the sound could not be kept: ")
    assert "No such file or directory" in loss


def test_a_run_whose_sound_is_gone_is_not_complete(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "clip.mp4", 5, sound="aac")
    with Pipeline(source, detector=OnePerson(), model=Slow()) as session:
        source.unlink()
        outcome = process(session, tmp_path / "out", progress=False)
    (loss,) = outcome.report.losses
    assert loss.startswith("the sound could not be kept: ")
    assert (outcome.report.ended, outcome.report.is_complete) == ("end of source", False)
    *_, last = read_records(outcome.files.records)
    assert (last["losses"], last["is_complete"]) == ([loss], False)


def test_a_sound_track_that_is_cut_off_does_not_stop_the_picture(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "clip.mp4", 60, sound="aac", container_options=FASTSTART)
    data = source.read_bytes()
    source.write_bytes(data[: len(data) * 2 // 3])
    write(tmp_path / "out.mp4", source)  # all of its pictures
    with open_source(str(source)) as opened:  # which reads the same file, and reports it
        assert len(list(opened)) < 60
        assert "the file is cut off" in " ".join(opened.losses)


def test_sound_goes_on_after_what_cannot_be_decoded_and_the_gap_is_reported(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "clip.mkv", 60, sound="vorbis")
    data = source.read_bytes()
    for _, sound in packets(source, "audio")[30:40]:
        data = data.replace(sound, b"\xff" * len(sound))
    source.write_bytes(data)
    (loss,) = write(tmp_path / "out.mp4", source)
    assert loss.startswith("part of the sound could not be decoded (")
    assert packets(tmp_path / "out.mp4", "audio")[-1][0] > 1.9


@contextmanager
def web(data: bytes, sent: int) -> Iterator[str]:
    """The address of a recording of which `sent` bytes come before the connection breaks."""

    class Store(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with suppress(OSError):  # the reader has enough
                self.wfile.write(data[:sent])

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Store) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://me:secret@127.0.0.1:{server.server_port}/clip.mp4"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_sound_of_a_recording_on_the_web_is_kept_and_what_does_not_come_is_reported(
    tmp_path: Path, share: float
) -> None:
    source = write_clip(tmp_path / "clip.mp4", 60, sound="aac", container_options=FASTSTART)
    data = source.read_bytes()
    with web(data, round(share * len(data))) as address, open_source(address) as opened:
        assert "secret" not in repr(opened.info)
        losses = write(tmp_path / "out.mp4", opened.info.audio_path)
    before, after = packets(source, "audio"), packets(tmp_path / "out.mp4", "audio")
    if share == 1:
        assert [data for _, data in after] == [data for _, data in before]
        assert losses == ()
    else:
        assert len(before) / 4 < len(after) < len(before)
        assert losses[0] == "part of the sound could not be read (Input/output error)"


def test_of_several_sound_tracks_the_one_that_players_choose_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as output:
        tracks = [output.add_stream("aac", rate=48_000, layout="mono") for _ in range(2)]
        for track, disposition in zip(tracks, (0, Disposition.default), strict=True):
            track.disposition = Disposition(disposition)
        for first in range(0, 48_000, 1024):
            for place, track in enumerate(tracks):
                phase = (first + np.arange(1024)) / 48_000 * 2 * np.pi * (300, 3000)[place]
                wave = (0.5 * np.sin(phase)).astype(np.float32)[None]
                frame = av.AudioFrame.from_ndarray(wave, "fltp", "mono")
                frame.sample_rate, frame.pts = 48_000, first
                output.mux(track.encode(frame))
        for track in tracks:
            output.mux(track.encode(None))
    assert write(tmp_path / "out.mp4", path, frames=20) == ()
    with av.open(str(tmp_path / "out.mp4")) as file:
        heard = np.concatenate([f.to_ndarray()[0] for f in file.decode(audio=0)])
    spectrum = np.abs(np.fft.rfft(heard[8000:24_000]))
    assert np.argmax(spectrum) * 48_000 / 16_000 == pytest.approx(3000, abs=50)


def test_the_sound_of_a_live_stream_is_kept_with_its_picture(tmp_path: Path) -> None:
    options = {"x264-params": "keyint=10:scenecut=0:bframes=0"}
    clip = write_clip(tmp_path / "clip.ts", 40, rate=20, options=options, sound="aac")
    data = clip.read_bytes()

    def answer(path: str, handler: BaseHTTPRequestHandler, is_over: threading.Event) -> None:
        head(handler, "video/mp2t")
        handler.wfile.write(data)
        is_over.wait()

    out = tmp_path / "out.mp4"
    with (
        serving(answer) as port,
        open_source(f"http://127.0.0.1:{port}/channel.ts") as source,
    ):
        feed = source.info.audio_feed
        assert feed is not None
        while not feed.has_come:  # else it would be written as sound that begins late
            threading.Event().wait(0.01)
        with VideoWriter(out, width=320, height=240, frame_rate=20, audio_from=feed) as writer:
            for frame in islice(source, 30):  # a second and a half
                writer.write(frame.image, frame.time)
            writer.finish()
    assert writer.losses == ()
    before, after = packets(clip, "audio"), packets(out, "audio")
    # MP4 holds them without the headers of a transport stream, bit by bit.
    assert all(any(sound in whole for _, whole in before) for _, sound in after)
    assert after[0][0] < 0.1
    assert 1.2 < after[-1][0] < 1.6
