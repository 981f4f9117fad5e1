"""Every kind of input that goes wrong, through the command: code, message, what is on disk."""

import json
import shutil
import zipfile
from pathlib import Path

import av
import numpy as np
import pytest
from clips import read_number, write_clip
from PIL import Image
from scenes import DRAWN_BUNDLE, Command, Finished

from sfedge.results.records import read_records

ONE = 65536  # one, as MP4's display matrix stores it
TURNED = (0, ONE, 0, -ONE, 0, 0, 0, 0, 1 << 30)  # a phone held upright


@pytest.fixture
def boxes(tmp_path: Path) -> Path:
    """Two people in each of 100 frames, whatever the picture shows."""
    lines = ["frame,kind,x1,y1,x2,y2,track"]
    for index in range(100):
        for track, x in (("a", 0.1), ("b", 0.6)):
            lines.append(f"{index},person,{x},0.1,{x + 0.3},0.95,{track}")
            lines.append(f"{index},face,{x + 0.1},0.15,{x + 0.2},0.4,{track}")
    path = tmp_path / "boxes.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def assert_refused(finished: Finished, code: int, *parts: str) -> None:
    """One line that names all of `parts`, and nothing but what runs the model before it."""
    usual = ("model ", "sfedge: note: the engine ")
    lines = [line for line in finished.err.splitlines() if not line.startswith(usual)]
    assert finished.code == code, finished.err
    assert finished.out == ""
    assert len(lines) == 1
    assert lines[0].startswith("sfedge: error: ")
    for part in parts:
        assert part in lines[0]
    assert "Traceback" not in finished.err


def picture_times(path: Path) -> list[float]:
    with av.open(str(path)) as video:
        return [frame.time or 0.0 for frame in video.decode(video=0)]


def upright_pictures(path: Path) -> list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    with av.open(str(path)) as video:
        return [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("text.mp4", b"This is no video.\n" * 100),
        ("empty.mp4", b""),
        ("noise.mkv", bytes(range(256)) * 64),
        ("broken.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 64),
    ],
)
def test_what_is_not_a_video_is_refused(
    command: Command, tmp_path: Path, out: Path, boxes: Path, name: str, content: bytes
) -> None:
    source = tmp_path / name
    source.write_bytes(content)
    assert_refused(command("run", source, "--out", out, "--detections", boxes), 1, name)
    assert not out.exists()
    assert source.read_bytes() == content


def test_a_source_that_is_not_there_is_refused(command: Command, tmp_path: Path, out: Path) -> None:
    finished = command("run", tmp_path / "missing" / "clip.mp4", "--out", out)
    assert_refused(finished, 1, "missing/clip.mp4: there is no such file or folder")
    assert not out.exists()


def test_a_file_with_sound_alone_is_refused(
    command: Command, tmp_path: Path, out: Path, boxes: Path
) -> None:
    source = tmp_path / "sound.wav"
    with av.open(str(source), "w") as file:
        track = file.add_stream("pcm_s16le", rate=8000, layout="mono")
        samples = np.zeros((1, 800), np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = 8000
        file.mux(track.encode(frame))
        file.mux(track.encode(None))
    assert_refused(command("run", source, "--out", out, "--detections", boxes), 1, "sound.wav")
    assert not out.exists()


def test_a_truncated_video_gives_what_decodes_and_says_what_was_lost(
    command: Command, tmp_path: Path, out: Path, boxes: Path
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 60, container_options={"movflags": "faststart"})
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) * 6 // 10])
    finished = command("run", clip, "--out", out, "--detections", boxes, "--tasks", "domain")
    assert finished.code == 1
    assert "sfedge: warning: " in finished.err
    assert "sfedge: error" not in finished.err
    names = sorted(path.name for path in out.iterdir())
    assert names == ["clip.annotated.mp4", "clip.csv", "clip.jsonl", "clip.metadata.json"]
    summary = list(read_records(out / "clip.jsonl"))[-1]
    assert summary["losses"]
    assert not summary["is_complete"]
    assert summary["ended"] == "end of source"
    assert 10 < summary["frames"] < 60
    assert len(picture_times(out / "clip.annotated.mp4")) == summary["frames"]


def test_a_video_without_people_is_finished_and_says_so(
    command: Command, tmp_path: Path, out: Path
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 5)
    nobody = tmp_path / "nobody.csv"
    nobody.write_text("frame,kind,x1,y1,x2,y2\n")
    finished = command("run", clip, "--out", out, "--detections", nobody)
    assert finished.code == 0
    assert "sfedge: warning: no person was found" in finished.err
    assert "5 frames, 0 people, 0 answers" in finished.out
    rows = list(read_records(out / "clip.jsonl"))
    assert [row["type"] for row in rows] == ["run", *5 * ["frame"], "summary"]
    assert not any(row["people"] for row in rows[1:-1])
    assert len(picture_times(out / "clip.annotated.mp4")) == 5


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7680, 4320)])
def test_the_smallest_and_the_largest_pictures_run(
    command: Command, tmp_path: Path, out: Path, boxes: Path, size: tuple[int, int]
) -> None:
    source = tmp_path / "picture.png"
    Image.new("RGB", size, (90, 90, 90)).save(source, compress_level=1)
    finished = command("run", source, "--out", out, "--detections", boxes)
    assert finished.code == 0, finished.err
    rows = list(read_records(out / "picture.jsonl"))
    assert (rows[0]["source"]["width"], rows[0]["source"]["height"]) == size
    assert {row["task"] for row in rows if row["type"] == "prediction"} >= {"gaze", "relation"}
    with Image.open(out / "picture.annotated.png") as picture:
        assert picture.size == size


def test_an_odd_size_and_a_variable_frame_rate_keep_their_times(
    command: Command, tmp_path: Path, out: Path, boxes: Path
) -> None:
    times = [0.0, 0.04, 0.05, 0.3, 0.31, 1.0, 1.7]
    clip = write_clip(
        tmp_path / "clip.mkv", times, size=(321, 241), pixel_format="yuv444p", codec="libx264"
    )
    finished = command("run", clip, "--out", out, "--detections", boxes, "--tasks", "domain")
    assert finished.code == 0, finished.err
    assert np.allclose(picture_times(out / "clip.annotated.mp4"), times, atol=2e-3)
    rows = [row for row in read_records(out / "clip.jsonl") if row["type"] == "frame"]
    assert np.allclose([row["time"] for row in rows], times, atol=2e-3)


def test_a_turned_video_comes_out_upright(
    command: Command, tmp_path: Path, out: Path, boxes: Path
) -> None:
    from sfedge.sources import open_source

    clip = write_clip(tmp_path / "clip.mp4", 5, size=(320, 240), display_matrix=TURNED)
    finished = command("run", clip, "--out", out, "--detections", boxes, "--tasks", "domain")
    assert finished.code == 0, finished.err
    source = next(read_records(out / "clip.jsonl"))["source"]
    assert (source["width"], source["height"]) == (240, 320)
    with open_source(str(clip)) as frames, open_source(str(out / "clip.annotated.mp4")) as drawn:
        for before, after in zip(frames, drawn, strict=True):
            assert before.image.shape == after.image.shape == (320, 240, 3)
            upright, upside_down = before.image.astype(int), before.image[::-1, ::-1].astype(int)
            difference = np.abs(upright - after.image).mean()
            assert difference < np.abs(upside_down - after.image).mean() / 2


def test_a_frame_that_cannot_be_decoded_does_not_end_the_video(
    command: Command, tmp_path: Path, out: Path, boxes: Path
) -> None:
    from clips import damage

    clip = write_clip(tmp_path / "clip.mp4", 40, options={"g": "10", "bf": "0"})
    damage(clip, 12, 14)
    finished = command("run", clip, "--out", out, "--detections", boxes, "--tasks", "domain")
    assert finished.code == 1
    assert "sfedge: warning: " in finished.err
    pictures = upright_pictures(out / "clip.annotated.mp4")
    assert len(pictures) >= 30
    assert read_number(pictures[-1]) == 39


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/sfedge"])
def test_a_folder_that_cannot_be_written_is_refused(
    command: Command, tmp_path: Path, boxes: Path, place: str
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 3)
    (tmp_path / "file").write_text("in the way")
    folder = tmp_path / place
    finished = command("run", clip, "--out", folder, "--detections", boxes)
    assert_refused(finished, 1, str(folder), "cannot be written", "output folder")
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("clip.part.jsonl", "No space left on device"),
        ("clip.part.csv", "No space left on device"),
        ("clip.annotated.part.mp4", "the disk has free space"),
    ],
)
def test_a_full_disk_is_reported_and_an_earlier_run_stays(
    command: Command, tmp_path: Path, out: Path, boxes: Path, name: str, reason: str
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 30)
    assert command("run", clip, "--out", out, "--detections", boxes, "--end", "0.1").code == 0
    earlier = {path.name: path.read_bytes() for path in out.iterdir()}
    (out / name).symlink_to("/dev/full")
    finished = command("run", clip, "--out", out, "--detections", boxes, "--tasks", "domain")
    assert_refused(finished, 1, "cannot be written", reason, str(out / "clip"))
    assert earlier == {key: (out / key).read_bytes() for key in earlier}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """The drawn bundle as a folder that may be damaged."""
    folder = tmp_path / "bundle"
    with zipfile.ZipFile(DRAWN_BUNDLE) as file:
        file.extractall(folder)
    return next(folder.rglob("bundle.json")).parent


def test_a_bundle_with_a_wrong_hash_is_refused(
    command: Command, tmp_path: Path, out: Path, boxes: Path, bundle: Path
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 3)
    graph = next(bundle.rglob("encoder.onnx"))
    data = bytearray(graph.read_bytes())
    data[len(data) // 2] ^= 1
    graph.write_bytes(data)
    finished = command("run", clip, "--out", out, "--detections", boxes, "--bundle", bundle)
    assert_refused(finished, 1, "encoder.onnx", "sha256", "bundle")
    assert not out.exists()


def test_a_bundle_that_lacks_a_file_is_refused(
    command: Command, tmp_path: Path, out: Path, boxes: Path, bundle: Path
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 3)
    (bundle / "prefix.safetensors").unlink()
    finished = command("run", clip, "--out", out, "--detections", boxes, "--bundle", bundle)
    assert_refused(finished, 1, "prefix.safetensors")
    assert not out.exists()


def test_a_bundle_of_the_future_is_refused(
    command: Command, tmp_path: Path, out: Path, boxes: Path, bundle: Path
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 3)
    manifest = bundle / "bundle.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "schema": 99}))
    finished = command("run", clip, "--out", out, "--detections", boxes, "--bundle", bundle)
    assert_refused(finished, 1, "bundle schema 99, this sfedge reads 1", "Update sfedge")
    assert not out.exists()


def test_a_bundle_that_is_not_there_is_refused(
    command: Command, tmp_path: Path, out: Path, boxes: Path
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 3)
    absent = tmp_path / "absent.zip"
    finished = command("run", clip, "--out", out, "--detections", boxes, "--bundle", absent)
    assert_refused(finished, 1, "absent.zip")
    assert not out.exists()


def test_an_unknown_task_is_refused_with_the_nearest(
    command: Command, tmp_path: Path, out: Path
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 3)
    finished = command("run", clip, "--out", out, "--tasks", "gaze,expresion")
    assert_refused(finished, 2, "'expresion'", "Did you mean 'expression'?", "--tasks")
    assert not out.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("frame,kind,left,top,right,bottom\n0,face,0,0,1,1\n", "left"),
        ("frame,kind,x1,y1,x2\n0,face,0,0,1\n", "y2"),
        ("frame,kind,x1,y1,x2,y2\n0,face,0.5,0.5,nan,1\n", "2"),
        ("frame,kind,x1,y1,x2,y2\n0,cat,0.1,0.1,0.2,0.2\n", "cat"),
        ("", "boxes.csv"),
    ],
)
def test_a_table_of_detections_with_wrong_content_is_refused(
    command: Command, tmp_path: Path, out: Path, text: str, message: str
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 3)
    table = tmp_path / "boxes.csv"
    table.write_text(text)
    finished = command("run", clip, "--out", out, "--detections", table)
    assert_refused(finished, 1, "boxes.csv", message)
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--interval", "-1"), "--interval"),
        (("--interval", "often"), "'often' is not a valid float"),
        (("--start", "5", "--end", "2"), "--end 2.0 is not after --start 5.0"),
        (("--start", "1:99"), "write 90, 1:30 or 0:01:30"),
        (("--tasks", ","), "--tasks names no task"),
        (("--engine", "abacus"), "'abacus'"),
        (("--interval", "-1", "--end", "0"), "; "),
    ],
)
def test_wrong_options_are_refused_before_anything_is_read(
    command: Command, out: Path, options: tuple[str, ...], message: str
) -> None:
    finished = command("run", "clip.mp4", "--out", out, *options)
    assert_refused(finished, 2, message)
    assert not out.exists()


def test_a_folder_of_pictures_with_a_broken_one_runs_and_says_which(
    command: Command, tmp_path: Path, out: Path, boxes: Path
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, size in ((1, (64, 48)), (3, (32, 96))):
        Image.new("RGB", size, (120, 90, 60)).save(folder / f"{number}.png")
    (folder / "2.png").write_bytes((folder / "1.png").read_bytes()[:60])
    finished = command("run", folder, "--out", out, "--detections", boxes, "--tasks", "domain")
    assert finished.code == 1
    assert "2.png" in finished.err
    drawn = sorted((out / "pictures.annotated").iterdir())
    assert [path.name for path in drawn] == ["1.png", "3.png"]
    shutil.rmtree(folder)
    assert_refused(command("run", folder, "--out", out, "--detections", boxes), 1, "pictures")
