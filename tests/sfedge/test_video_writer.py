"""The annotated video: true times, the source's sound, and what is left after any end."""

import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from clips import SOUND_RATE, numbered, packets, read_number, write_clip
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sfedge.core.errors import OutputError
from sfedge.core.structures import Frame
from sfedge.results.growing_file import GrowingFile
from sfedge.results.video_writer import VideoWriter
from sfedge.sources import open_source
from sfedge.sources.sound_feed import SoundFeed

ROOT = Path(__file__).parents[2]
WRITE_FOREVER = """
import os, signal, sys
from pathlib import Path
from clips import numbered
from sfedge.core.errors import OutputError
from sfedge.results.video_writer import VideoWriter

path, sound, frames = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
if len(sys.argv) > 4:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]), int(sys.argv[4])))
writer = VideoWriter(
    path, width=320, height=240, frame_rate=30, audio_from=Path(sound) if sound else None
)
try:
    for number in range(frames):
        writer.write(numbered(number), number / 30)
except OutputError as error:
    writer.close()
    print(error)
    sys.exit(1)
os.kill(os.getpid(), signal.SIGKILL)
"""


def write(path: Path, frames: list[tuple[np.ndarray, float]], **settings: object) -> None:
    height, width = frames[0][0].shape[:2]
    settings = {"width": width, "height": height, "frame_rate": 30.0, **settings}
    with VideoWriter(path, **settings) as writer:  # type: ignore[arg-type]
        for image, time in frames:
            writer.write(image, time)
        writer.finish()


def read(path: Path) -> list[Frame]:
    with open_source(str(path)) as source:
        frames = list(source)
    assert source.losses == ()
    return frames


def run_writer(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WRITE_FOREVER, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "PATH": ""},
    )


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.integers(1, 100_000), min_size=1, max_size=12))
def test_frames_are_shown_at_their_own_times(tmp_path: Path, microseconds: list[int]) -> None:
    times = [0.25 + sum(microseconds[:i]) / 1e5 for i in range(len(microseconds))]
    write(tmp_path / "out.mp4", [(numbered(i, 96, 64), time) for i, time in enumerate(times)])
    frames = read(tmp_path / "out.mp4")
    assert [read_number(frame.image) for frame in frames] == list(range(len(times)))
    assert [frame.time for frame in frames] == pytest.approx(times, abs=6e-6)


def test_frames_of_one_time_are_all_kept_in_order(tmp_path: Path) -> None:
    write(tmp_path / "out.mp4", [(numbered(i), 1.0) for i in range(4)])
    frames = read(tmp_path / "out.mp4")
    assert [read_number(frame.image) for frame in frames] == [0, 1, 2, 3]


def test_the_last_frame_is_shown_for_a_frame_s_length(tmp_path: Path) -> None:
    write(tmp_path / "out.mp4", [(numbered(i), i / 10) for i in range(5)], frame_rate=10.0)
    with av.open(str(tmp_path / "out.mp4")) as file:
        assert file.duration == pytest.approx(500_000, abs=1)


@pytest.mark.parametrize(
    ("name", "codec", "kept"),
    [
        ("clip.mp4", "aac", "aac"),
        ("clip.mp4", "alac", "alac"),
        ("clip.mkv", "libmp3lame", "mp3float"),
        ("clip.mkv", "ac3", "ac3"),
        ("clip.mkv", "flac", "flac"),
        ("clip.ts", "ac3", "ac3"),
        ("clip.webm", "libopus", "opus"),
    ],
)
def test_sound_that_fits_into_mp4_is_copied_bit_by_bit(
    tmp_path: Path, name: str, codec: str, kept: str
) -> None:
    video = "libvpx" if name.endswith("webm") else "libx264"
    source = write_clip(tmp_path / name, 60, sound=codec, codec=video)
    frames = [(frame.image, frame.time) for frame in read(source)]
    write(tmp_path / "out.mp4", frames, audio_from=source)
    before, after = packets(source, "audio"), packets(tmp_path / "out.mp4", "audio")
    assert [data for _, data in after] == [data for _, data in before]
    # and it keeps its distance from the picture; Matroska counts in milliseconds
    apart = [t - packets(source)[0][0] for t, _ in before]
    assert [t - frames[0][1] for t, _ in after] == pytest.approx(
        [t - apart[0] + (after[0][0] - frames[0][1]) for t in apart], abs=2e-3
    )
    assert after[0][0] - frames[0][1] == pytest.approx(apart[0], abs=2e-3)
    with av.open(str(tmp_path / "out.mp4")) as file:
        assert file.streams.audio[0].codec_context.name == kept


def test_sound_of_a_transport_stream_loses_only_its_packet_headers(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "clip.ts", 60, sound="aac")
    write(tmp_path / "out.mp4", [(f.image, f.time) for f in read(source)], audio_from=source)
    before, after = packets(source, "audio"), packets(tmp_path / "out.mp4", "audio")
    assert [data for _, data in after] == [data[7:] for _, data in before]  # ADTS: 7 bytes


@pytest.mark.parametrize(("name", "codec"), [("clip.mov", "pcm_s16le"), ("clip.mkv", "vorbis")])
def test_other_sound_is_encoded_and_stays_in_step(tmp_path: Path, name: str, codec: str) -> None:
    source = write_clip(tmp_path / name, 60, sound=codec)
    write(tmp_path / "out.mp4", [(f.image, f.time) for f in read(source)], audio_from=source)
    with av.open(str(tmp_path / "out.mp4")) as file:
        assert file.streams.audio[0].codec_context.name == "aac"
        heard = np.concatenate([f.to_ndarray()[0] for f in file.decode(audio=0) if f.pts >= 0])
    assert len(heard) / SOUND_RATE == pytest.approx(2.0, abs=0.05)
    # the clips' tone: 440 Hz at a quarter of full scale, here from beginning to end
    tone = 8000 / 32768 * np.sin(2 * np.pi * 440 * np.arange(24_000) / SOUND_RATE)
    for first in (12_000, 60_000):
        cut = heard[first : first + 24_000]
        shift = np.sin(2 * np.pi * 440 * (first + np.arange(24_000)) / SOUND_RATE)
        assert np.corrcoef(cut, shift)[0, 1] > 0.9
        assert np.std(cut) == pytest.approx(np.std(tone), rel=0.1)


def test_sound_is_cut_to_the_span_that_was_asked_for(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "clip.mp4", 120, sound="aac")
    with open_source(str(source), start=1.0, end=2.5) as opened:
        frames = [(frame.image, frame.time) for frame in opened]
    write(tmp_path / "out.mp4", frames, audio_from=source, start=1.0, end=2.5)
    shown = read(tmp_path / "out.mp4")
    assert [f.time for f in shown] == pytest.approx([t - 1.0 for _, t in frames], abs=6e-6)
    before, after = packets(source, "audio"), packets(tmp_path / "out.mp4", "audio")
    by_content = {data: time for time, data in before}
    assert [by_content[data] - 1.0 for _, data in after] == pytest.approx(
        [time for time, _ in after], abs=1e-4
    )
    assert -0.03 < after[0][0] <= 0
    assert 1.45 < after[-1][0] < 1.5


@pytest.mark.parametrize(("name", "codec"), [("clip.mkv", "aac"), ("clip.mkv", "ac3")])
def test_sound_that_begins_late_does_not_hold_up_the_growing_file(
    tmp_path: Path, name: str, codec: str
) -> None:
    source = write_clip(tmp_path / name, 150, sound=codec, sound_from=4.0)
    run_writer(tmp_path / "out.mp4", source, 110)
    assert len(read(tmp_path / "out.mp4")) >= 75
    write(tmp_path / "whole.mp4", [(f.image, f.time) for f in read(source)], audio_from=source)
    with av.open(str(tmp_path / "whole.mp4")) as file:
        heard = np.concatenate([f.to_ndarray()[0] for f in file.decode(audio=0) if f.pts >= 0])
    loud = np.flatnonzero(np.abs(heard) > 0.1)
    assert loud[0] / SOUND_RATE == pytest.approx(4.0, abs=0.05)
    assert loud[-1] / SOUND_RATE == pytest.approx(9.0, abs=0.05)


def test_a_stream_that_announces_sound_and_sends_none_does_not_hold_up_the_growing_file(
    tmp_path: Path,
) -> None:
    source = write_clip(tmp_path / "clip.ts", 60, sound="aac")
    with av.open(str(source)) as file:
        feed = SoundFeed(file.streams.audio[0])
        with VideoWriter(
            tmp_path / "out.mp4", width=320, height=240, frame_rate=30, audio_from=feed
        ) as writer:
            for number in range(110):
                writer.write(numbered(number), number / 30)
            (tmp_path / "now.mp4").write_bytes((tmp_path / "out.mp4").read_bytes())
            assert len(read(tmp_path / "now.mp4")) >= 60
            for packet in file.demux(audio=0):  # then it does
                if packet.size:
                    feed.put(4.0 + float((packet.pts or 0) * packet.time_base), packet)
            for number in range(110, 180):
                writer.write(numbered(number), number / 30)
            writer.finish()
    assert len(read(tmp_path / "out.mp4")) == 180
    with av.open(str(tmp_path / "out.mp4")) as file:
        heard = np.concatenate([f.to_ndarray()[0] for f in file.decode(audio=0)])
    assert np.abs(heard[: 3 * SOUND_RATE]).max() < 0.01
    assert np.abs(heard).max() > 0.1


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (97, 63), (320, 240)])
def test_any_size_is_written_with_its_last_row_and_column_repeated(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    width, height = size
    image = np.full((height, width, 3), (200, 60, 30), np.uint8)
    write(tmp_path / "out.mp4", [(image, i / 10) for i in range(3)])
    shown = read(tmp_path / "out.mp4")[0].image
    assert shown.shape == (height + height % 2, width + width % 2, 3)
    assert np.abs(shown.astype(int) - (200, 60, 30)).max() <= 12


def test_pictures_of_other_sizes_are_fitted_in(tmp_path: Path) -> None:
    wide = np.full((50, 200, 3), (250, 250, 250), np.uint8)
    tall = np.full((1000, 100, 3), (250, 250, 250), np.uint8)
    write(tmp_path / "out.mp4", [(numbered(3), 0.0), (wide, 1.0), (tall, 2.0)])
    own, first, second = (frame.image for frame in read(tmp_path / "out.mp4"))
    assert read_number(own) == 3
    assert first[120, 4].min() > 240
    assert first[[20, 220], 160].max() < 16
    assert second[4, 160].min() > 240
    assert second[120, [100, 220]].max() < 16


def test_a_panorama_beyond_what_players_decode_is_scaled_down(tmp_path: Path) -> None:
    write(tmp_path / "out.mp4", [(np.full((100, 20_000, 3), 128, np.uint8), 0.0)])
    assert read(tmp_path / "out.mp4")[0].image.shape == (42, 8192, 3)


def test_colours_are_those_that_were_drawn_and_named_for_players(tmp_path: Path) -> None:
    colours = [(230, 40, 40), (40, 200, 60), (40, 60, 220), (250, 250, 250), (10, 10, 10)]
    frames = [(np.full((64, 64, 3), c, np.uint8), i / 10) for i, c in enumerate(colours)]
    write(tmp_path / "out.mp4", frames)
    for frame, colour in zip(read(tmp_path / "out.mp4"), colours, strict=True):
        assert np.abs(frame.image.astype(int) - colour).max() <= 6
    with av.open(str(tmp_path / "out.mp4")) as file:
        context = file.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc) == (1, 1, 1)


def test_a_player_can_start_at_every_second(tmp_path: Path) -> None:
    write(tmp_path / "out.mp4", [(numbered(i), i / 20) for i in range(100)], frame_rate=20.0)
    with av.open(str(tmp_path / "out.mp4")) as file:
        keys = [p.pts / 90_000 for p in file.demux(video=0) if p.size and p.is_keyframe]
    assert keys == [0, 1, 2, 3, 4]
    assert boxes(tmp_path / "out.mp4") == [b"ftyp", b"free", b"mdat", b"moov"]  # plain, one index


def test_a_killed_writer_leaves_nearly_all_frames_and_their_sound(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "clip.mp4", 150, sound="aac")
    run = run_writer(tmp_path / "out.mp4", source, 140)
    assert run.returncode == -signal.SIGKILL, run.stderr
    partial = tmp_path / "out.mp4"
    frames = read(partial)
    assert [read_number(frame.image) for frame in frames] == list(range(len(frames)))
    assert len(frames) >= 120  # all but the second that was being written
    with av.open(str(partial)) as file:
        heard = sum(frame.samples for frame in file.decode(audio=0))
    assert heard / SOUND_RATE == pytest.approx(frames[-1].time, abs=0.2)


def test_a_closed_writer_leaves_every_frame(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out.mp4", width=320, height=240, frame_rate=30) as writer:
        for number in range(47):
            writer.write(numbered(number), number / 30)
    frames = read(tmp_path / "out.mp4")
    assert [read_number(frame.image) for frame in frames] == list(range(47))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.mp4"]


def test_a_recording_is_finished_in_place(tmp_path: Path) -> None:
    """The system's own count of bytes: of 1 MB of video only the index is written at the end."""
    source = write_clip(tmp_path / "clip.mp4", 300, sound="aac")
    noise = np.random.default_rng(0).integers(0, 255, (120, 320, 3), np.uint8)
    path = tmp_path / "out.mp4"
    with VideoWriter(path, width=320, height=240, frame_rate=30, audio_from=source) as writer:
        for number in range(300):
            picture = np.concatenate([numbered(number)[:120], np.roll(noise, 7 * number, axis=1)])
            writer.write(picture, number / 30)
        grown, before = path.stat().st_size, bytes_written()
        writer.finish()
        spent = bytes_written() - before
    assert grown > 1_000_000
    assert spent < 0.15 * grown  # the last second, and the index
    assert path.stat().st_size < 1.15 * grown
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip.mp4", "out.mp4"]
    assert [read_number(frame.image) for frame in read(path)] == list(range(300))


def test_a_writer_killed_at_any_step_of_its_end_leaves_all_that_was_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step of finishing is undone again, from the last one to the first."""
    steps: list[tuple[int, bytes]] = []
    write_it = GrowingFile.write

    def write(self: GrowingFile, data: bytes) -> int:
        steps.append((self.tell(), bytes(data)))
        return write_it(self, data)

    monkeypatch.setattr(GrowingFile, "write", write)
    source = write_clip(tmp_path / "clip.mp4", 75, sound="aac")
    path = tmp_path / "out.mp4"
    with VideoWriter(path, width=320, height=240, frame_rate=30, audio_from=source) as writer:
        for number in range(75):
            writer.write(numbered(number), number / 30)
        before = len(steps)
        writer.finish()
    assert len(steps) - before >= 3  # the last fragment, the index, the headers
    for last in range(before, len(steps) + 1):
        data = bytearray()
        for place, content in steps[:last]:
            data[place : place + len(content)] = content
        (tmp_path / "cut.mp4").write_bytes(data)
        with open_source(str(tmp_path / "cut.mp4")) as opened:
            numbers = [read_number(frame.image) for frame in opened]
        assert numbers == list(range(len(numbers))), last
        assert len(numbers) >= 60, last
    assert len(numbers) == 75
    assert bytes(data) == path.read_bytes()


def bytes_written() -> int:
    """How many bytes this process has handed to the system for writing."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["wchar"])


def boxes(path: Path) -> list[bytes]:
    """The names of an MP4's outer boxes."""
    data, found, at = path.read_bytes(), [], 0
    while at < len(data):
        size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        found.append(name)
        at += size if size != 1 else int.from_bytes(data[at + 8 : at + 16], "big")
    return found


def test_without_a_frame_nothing_is_left_behind(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "out.mp4", width=320, height=240, frame_rate=30)
    with writer, pytest.raises(OutputError, match="no frame"):
        writer.finish()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_reported_in_one_sentence_and_what_was_written_stays(tmp_path: Path) -> None:
    run = run_writer(tmp_path / "out.mp4", "", 3000, 60_000)  # no file may grow beyond 60 kB
    assert run.returncode == 1, run.stderr
    assert run.stdout.count("\n") == 1
    assert "cannot be written (File too large)" in run.stdout
    assert "out.mp4" in run.stdout
    with open_source(str(tmp_path / "out.mp4")) as source:
        frames = list(source)  # the last fragment ends where the disk did
    assert len(frames) >= 30
    assert [read_number(frame.image) for frame in frames] == list(range(len(frames)))


@pytest.mark.parametrize("lacking", [1, 40, 300, 1_000, 1_500, 2_200, 5_000])
def test_a_disk_that_is_full_at_the_very_end_leaves_a_playable_file(
    tmp_path: Path, lacking: int
) -> None:
    """Of the index (some 1,000 bytes) a part is lacking, or all, or frames before it, too."""

    def filled(name: str) -> VideoWriter:
        writer = VideoWriter(tmp_path / name, width=320, height=240, frame_rate=30)
        for number in range(40):
            writer.write(numbered(number), number / 30)
        return writer

    with filled("whole.mp4") as writer:
        writer.finish()
    room = (tmp_path / "whole.mp4").stat().st_size - lacking
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    with filled("out.mp4") as writer:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, most))
        try:
            with pytest.raises(OutputError, match=r"cannot be written \(File too large\)"):
                writer.finish()
            writer.close()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    with open_source(str(tmp_path / "out.mp4")) as source:
        numbers = [read_number(frame.image) for frame in source]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= 30


@pytest.mark.parametrize("what", ["file", "folder", "renamed"])
def test_a_removed_file_is_noticed_at_the_next_write(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    with VideoWriter(folder / "out.mp4", width=320, height=240, frame_rate=30) as writer:
        for number in range(40):
            writer.write(numbered(number), number / 30)
        if what == "file":
            (folder / "out.mp4").unlink()
        elif what == "folder":
            shutil.rmtree(folder)
        else:
            folder.rename(tmp_path / "moved")
        rest = range(40, 80)  # a fragment lasts a second
        with pytest.raises(OutputError, match="removed or renamed during the run"):
            _ = [writer.write(numbered(number), number / 30) for number in rest]
    if what == "renamed":
        frames = [
            read_number(frame.image) for frame in open_source(str(tmp_path / "moved/out.mp4"))
        ]
        assert frames == list(range(len(frames)))
        assert len(frames) >= 30


@pytest.mark.parametrize("place", ["no/such/folder/out.mp4", "file/out.mp4"])
def test_a_folder_that_cannot_be_written_to_is_reported_at_once(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OutputError, match=r"cannot be written .*Check that the folder"):
        VideoWriter(tmp_path / place, width=64, height=64, frame_rate=30)
