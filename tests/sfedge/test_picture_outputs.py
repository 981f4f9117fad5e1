"""A run over photographs: annotated pictures out, each picture's name in every row."""

import csv
import json
import os
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from scenes import Finished

import sfedge
from sfedge import OutputError
from sfedge.results.picture_writer import PictureWriter, annotated_name
from sfedge.results.records import read_records

PERSON = "frame,kind,x1,y1,x2,y2\n" + "".join(
    f"{index},{kind},{box}\n"
    for index in range(4)
    for kind, box in (("person", ".1,.1,.6,.9"), ("face", ".3,.15,.45,.3"))
)
SIZES = {"1.jpg": (320, 240), "2 b.PNG": (200, 300), "3.webp": (100, 80), "10.bmp": (161, 121)}


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Four photographs of different sizes and formats, one person in each."""
    folder = tmp_path / "my album"
    folder.mkdir()
    for number, (name, size) in enumerate(SIZES.items()):
        Image.new("RGB", size, (40 * number, 90, 120)).save(folder / name)
    (tmp_path / "boxes.csv").write_text(PERSON)
    return folder


def test_photographs_become_annotated_pictures_and_are_named_in_every_row(
    command: Any, album: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ("run", album, "--out", out, "--detections", tmp_path / "boxes.csv", "--json")
    finished: Finished = command(*words)
    assert finished.code == 0, finished.err
    outputs = json.loads(finished.out)["outputs"]
    assert (outputs["video"], outputs["pictures"]) == (None, str(out / "my album.annotated"))
    names = ["1.jpg", "10.bmp.png", "2 b.PNG", "3.webp.jpg"]
    drawn = out / "my album.annotated"
    assert sorted(path.name for path in drawn.iterdir()) == names
    for name, size in SIZES.items():
        with Image.open(drawn / annotated_name(name)) as picture:
            assert picture.size == size
            assert picture.format == ("JPEG" if name in ("1.jpg", "3.webp") else "PNG")
        with Image.open(album / name) as before, Image.open(drawn / annotated_name(name)) as after:
            difference = np.asarray(before.convert("RGB"), int) - np.asarray(after, int)
            assert np.abs(difference).max() > 60
    rows = list(read_records(out / "my album.jsonl"))
    frames = [row for row in rows if row["type"] == "frame"]
    assert [row["file"] for row in frames] == list(SIZES)
    assert {row["file"] for row in rows if row["type"] == "prediction"} == set(SIZES)
    assert rows[0]["source"]["is_pictures"]
    with (out / "my album.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert {line["file"] for line in lines} == set(SIZES)
    assert {line["source"] for line in lines} == {str(album)}
    listed = json.loads((out / "my album.metadata.json").read_text())["outputs"]
    assert [entry["name"] for entry in listed[:4]] == [f"my album.annotated/{n}" for n in names]
    assert sorted(path.name for path in out.iterdir()) == [
        "my album.annotated",
        "my album.csv",
        "my album.jsonl",
        "my album.metadata.json",
    ]
    # once more, with one picture less: what the first run left goes, what others put there stays
    (album / "1.jpg").unlink()
    (drawn / "notes.txt").write_text("mine")
    assert command(*words).code == 0
    assert sorted(path.name for path in drawn.iterdir()) == [*names[1:], "notes.txt"]


def test_whatever_the_metadata_list_nothing_outside_the_folder_of_pictures_is_removed(
    command: Any, album: Path, tmp_path: Path
) -> None:
    out, boxes = tmp_path / "out", tmp_path / "boxes.csv"
    words = ("run", album, "--out", out, "--detections", boxes)
    assert command(*words).code == 0
    metadata = out / "my album.metadata.json"
    data = json.loads(metadata.read_text())
    own = [out / "notes.txt", tmp_path / "notes.txt"]
    for path in own:
        path.write_text("mine")
    names = ["notes.txt", "../notes.txt", "my album.annotated/../notes.txt", str(own[1])]
    data["outputs"] += [{"name": name} for name in names]
    metadata.write_text(json.dumps(data))

    assert command(*words).code == 0
    assert [path.read_text() for path in own] == ["mine", "mine"]


@pytest.mark.parametrize(
    ("name", "becomes"), [("a.jpg", "a.annotated.jpg"), ("b.gif", "b.annotated.png")]
)
def test_a_single_photograph_becomes_a_single_picture(
    command: Any, tmp_path: Path, name: str, becomes: str
) -> None:
    Image.new("RGB", (64, 48), (9, 90, 120)).save(tmp_path / name)
    (tmp_path / "boxes.csv").write_text(PERSON)
    out = tmp_path / "out"
    finished = command("run", tmp_path / name, "--out", out, "--detections", tmp_path / "boxes.csv")
    assert finished.code == 0, finished.err
    with Image.open(out / becomes) as picture:
        assert picture.size == (64, 48)
    assert becomes in finished.out
    rows = list(read_records(out / f"{name[0]}.jsonl"))
    assert {row["file"] for row in rows if row["type"] == "frame"} == {name}


def test_the_pictures_of_a_folder_can_be_a_film(command: Any, album: Path, tmp_path: Path) -> None:
    out, boxes = tmp_path / "out", tmp_path / "boxes.csv"
    finished = command("run", album, "--out", out, "--detections", boxes, "--as-video", "4")
    assert finished.code == 0, finished.err
    with av.open(str(out / "my album.annotated.mp4")) as video:
        times = [frame.time for frame in video.decode(video=0)]
    assert times == pytest.approx([0, 0.25, 0.5, 0.75])
    rows = list(read_records(out / "my album.jsonl"))
    assert [row["file"] for row in rows if row["type"] == "frame"] == list(SIZES)
    assert not rows[0]["source"]["is_pictures"]


def test_no_video_writes_none(command: Any, album: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    boxes = tmp_path / "boxes.csv"
    words = ("--out", out, "--detections", boxes, "--no-video", "--json")
    finished = command("run", album, *words)
    assert finished.code == 0, finished.err
    printed = json.loads(finished.out)
    assert (printed["outputs"]["video"], printed["outputs"]["pictures"]) == (None, None)
    assert "draw" not in printed["seconds"]
    assert sorted(path.suffix for path in out.iterdir()) == [".csv", ".json", ".jsonl"]


@pytest.mark.parametrize(("name", "error"), [("a.jpg", 2.0), ("a.png", 0.0)])
def test_pictures_are_kept_as_they_were_drawn(
    tmp_path: Path, astronaut: np.ndarray, name: str, error: float
) -> None:
    with PictureWriter(tmp_path / "a.annotated") as writer:
        writer.write(astronaut, name)
    with Image.open(tmp_path / "a.annotated" / name) as picture:
        difference = np.abs(np.asarray(picture, int) - astronaut)
    assert difference.mean() <= error
    assert np.percentile(difference, 99) <= 5 * error


def test_a_removed_folder_of_pictures_is_noticed_at_the_next_one(tmp_path: Path) -> None:
    with PictureWriter(tmp_path / "a.annotated") as writer:
        image = np.zeros((8, 8, 3), np.uint8)
        writer.write(image, "1.jpg")
        (tmp_path / "a.annotated").rename(tmp_path / "moved")
        with pytest.raises(OutputError, match=r"2.jpg: cannot be written \(No such file"):
            writer.write(image, "2.jpg")


def test_a_picture_that_the_disk_does_not_take_is_not_left_in_part(tmp_path: Path) -> None:
    with PictureWriter(tmp_path / "a.annotated") as writer:
        (tmp_path / "a.annotated" / "1.png").symlink_to("/dev/full")
        noise = np.random.default_rng(0).integers(0, 255, (400, 400, 3), np.uint8)
        with pytest.raises(OutputError, match="No space left"):
            writer.write(noise, "1.png")
        assert not os.path.lexists(tmp_path / "a.annotated" / "1.png")


def test_names_of_other_bytes_are_kept_apart(command: Any, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    for name in (b"\xff.png", b"\xfe.png"):
        Image.new("RGB", (64, 48), (9, 90, 120)).save(folder / os.fsdecode(name))
    (tmp_path / "boxes.csv").write_text(PERSON)
    out = tmp_path / "out"
    finished = command("run", folder, "--out", out, "--detections", tmp_path / "boxes.csv")
    assert finished.code == 0, finished.err
    rows = list(read_records(out / "caf_.jsonl"))
    assert [row["file"] for row in rows if row["type"] == "frame"] == ["\\xfe.png", "\\xff.png"]
    assert len(list((out / "caf_.annotated").iterdir())) == 2
    assert sfedge.read_records


@pytest.mark.parametrize(
    ("size", "extra", "fix"),
    [
        (0.5, [], "Give pictures such as JPEG, PNG or WebP; these may be damaged."),
        (1.0, ["--start", "3"], "They count in pictures: the first one is at 0, the second at 1."),
    ],
    ids=["damaged", "out of range"],
)
def test_a_photograph_that_is_not_read_is_reported_in_the_words_of_pictures(
    command: Any, tmp_path: Path, size: float, extra: list[str], fix: str
) -> None:
    path = tmp_path / "a.png"
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: int(size * path.stat().st_size)])
    (tmp_path / "boxes.csv").write_text(PERSON)
    boxes = tmp_path / "boxes.csv"
    done = command("run", path, "--out", tmp_path / "out", "--detections", boxes, *extra)
    assert done.code == 1
    assert fix in done.err
    assert "video" not in done.err


@pytest.mark.parametrize(("most", "words"), [(1, "the largest is"), (2, "the 2 largest are")])
def test_people_who_are_left_out_are_reported_in_good_english(
    command: Any, tmp_path: Path, most: int, words: str
) -> None:
    Image.new("RGB", (64, 48)).save(tmp_path / "a.png")
    rows = "".join(f"0,person,.{i},.1,.{i + 2},.9\n" for i in (0, 3, 6))
    (tmp_path / "boxes.csv").write_text(f"frame,kind,x1,y1,x2,y2\n{rows}")
    boxes, out = tmp_path / "boxes.csv", tmp_path / "out"
    run = ("run", tmp_path / "a.png", "--out", out, "--detections", boxes)
    done = command(*run, "--max-people", str(most))
    assert done.code == 0, done.err
    assert f"up to {3 - most} in a frame: only {words} asked about (--max-people)." in done.err
