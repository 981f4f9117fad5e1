"""Results of different sources never meet under one name, whatever runs, and whenever."""

import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_parts import OnePerson
from hypothesis import given
from hypothesis import strategies as st
from scenes import Scene

import sfedge
from sfedge import OutputError
from sfedge.results.records import read_records
from sfedge.runtime import naming
from sfedge.runtime.name_lock import NameLock, take
from sfedge.runtime.outputs import OutputFiles, claimed
from sfedge.runtime.process import process
from sfedge.sources.source import SourceInfo, without_credentials

ROOT = Path(__file__).parents[2]


def first_name(path: Path) -> str:
    return next(naming.names(str(path), path, is_live=False))


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("talk.mp4", "talk"),
        ("My party (2).final.mp4", "My party (2).final"),
        ("a b.mp4", "a b"),
        ("a-b.mp4", "a-b"),
        ("a:b?.mp4", "a:b?"),
        ("日本.mp4", "日本"),
        (".mp4", ".mp4"),
        ("tab\there.mp4", "tab_here"),
        (os.fsdecode(b"caf\xe9.mp4"), "caf_"),
    ],
)
def test_the_stem_is_kept(tmp_path: Path, name: str, stem: str) -> None:
    (tmp_path / name).touch()
    assert first_name(tmp_path / name) == stem


@pytest.mark.parametrize(
    ("source", "stem"),
    [
        ("rtsp://host.local/live/stream1", "stream1"),
        ("http://host.local", "host.local"),
        ("https://host.local/my%20party.v2.mp4", "my party.v2"),
        ("camera 0", "camera-0"),
    ],
)
def test_addresses_give_their_last_part(source: str, stem: str) -> None:
    assert next(naming.names(source, None, is_live=False)) == stem
    live = next(naming.names(source, None, is_live=True))
    assert live.rpartition(stem)[2].count("-") == 2  # the date and the time


def test_addresses_that_differ_in_what_is_not_shown_are_different_sources() -> None:
    def info(query: str) -> SourceInfo:
        address = f"https://host.local/talk.mp4?{query}"
        shown = without_credentials(address)
        return SourceInfo(shown, 4, 4, None, None, None, is_live=False, address=address)

    assert info("id=1").name == info("id=2").name
    identities = {naming.identity_of(info(query)) for query in ("id=1", "id=2", "id=1")}
    assert len(identities) == 2


def test_results_that_are_there_already_are_known_by_the_identity_of_their_source() -> None:
    """It is in the records of earlier runs: another length or hash would not find them."""
    assert naming.identity("rtsp://host.local/live/stream1") == "af0b21edf825150d"


def test_sources_of_one_stem_in_one_folder_keep_their_suffix(tmp_path: Path) -> None:
    for name in ("talk.mp4", "talk.mov", "talk.srt", "walk.mp4", "walk.srt", "b.v1.mp4", "b.mp4"):
        (tmp_path / name).touch()
    for name in ("loud.mp4", "loud.MOV"):
        (tmp_path / name).touch()
    for folder in ("album.v2", "walk.mov"):
        (tmp_path / folder).mkdir()
    assert first_name(tmp_path / "talk.mp4") == "talk.mp4"
    assert first_name(tmp_path / "talk.mov") == "talk.mov"
    assert first_name(tmp_path / "walk.mp4") == "walk"  # subtitles are no source, nor is a folder
    assert first_name(tmp_path / "loud.mp4") == "loud.mp4"
    assert first_name(tmp_path / "b.v1.mp4") == "b.v1"
    assert first_name(tmp_path / "album.v2") == "album.v2"


def test_what_is_in_a_folder_that_may_not_be_read_has_no_sibling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError("no listing")

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert first_name(tmp_path / "talk.mp4") == "talk"


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("a" * 180, "a" * 180),
        ("a" * 181, "a" * 180),
        ("é" * 90, "é" * 90),  # two bytes each
        ("é" * 91, "é" * 90),
        ("日" * 61, "日" * 60),  # three
        ("a" + "日" * 60, "a" + "日" * 59),
    ],
)
def test_a_name_is_cut_after_180_bytes_and_in_no_character(name: str, kept: str) -> None:
    assert naming.valid_name(name) == kept


@given(st.lists(st.text(min_size=1, max_size=60), min_size=2, max_size=5, unique=True))
def test_any_name_becomes_a_valid_one_and_all_are_different_in_the_end(texts: list[str]) -> None:
    for text in texts:
        names = naming.names(text, None, is_live=False)
        found = [next(names) for _ in range(5)]
        assert len(set(found)) == len(found)
        for name in found:
            assert "/" not in name
            assert len(f".{name}.annotated.part.mp4".encode()) <= 255
            assert name.isprintable() or not text.isprintable()


def test_a_tree_of_sources_is_mirrored(tmp_path: Path) -> None:
    root, out = tmp_path / "videos", tmp_path / "out"
    for place in ("camA", "camB", "."):
        (root / place).mkdir(parents=True, exist_ok=True)
        (root / place / "talk.mp4").touch()
    (tmp_path / "other.mp4").touch()
    assert naming.folder_for(root / "camA" / "talk.mp4", out, root) == out / "camA"
    assert naming.folder_for(root / "talk.mp4", out, root) == out
    assert naming.folder_for(tmp_path / "other.mp4", out, root) == out
    assert naming.folder_for(root / "camA" / "talk.mp4", out, None) == out


@pytest.fixture
def cameras(scene: Scene, tmp_path: Path) -> tuple[Path, Path]:
    """Two clips of one name in two folders."""
    clips = tmp_path / "camA" / "GX01.MP4", tmp_path / "camB" / "GX01.MP4"
    for clip in clips:
        clip.parent.mkdir()
        clip.write_bytes(scene.video.read_bytes())
    return clips


def run(clip: Path, scene: Scene, out: Path, **options: Any) -> OutputFiles:
    with sfedge.open(clip, detections=scene.detections, tasks=["domain"], end=0.2) as session:
        return process(session, out, progress=False, **options).files


def sources(out: Path) -> dict[str, str]:
    """The records of a folder and the source that each is of."""
    return {
        str(path.relative_to(out)): next(read_records(path))["source"]["name"]
        for path in out.rglob("*.jsonl")
    }


def test_results_of_another_source_are_never_replaced(
    scene: Scene, cameras: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = run(cameras[0], scene, out)
    before = {path: path.read_bytes() for path in first.all}
    second = run(cameras[1], scene, out)
    assert first.records.name == "GX01.jsonl"
    assert [path.name for path in second.all] == [
        "GX01.MP4.annotated.mp4",
        "GX01.MP4.jsonl",
        "GX01.MP4.csv",
        "GX01.MP4.metadata.json",
    ]
    assert before == {path: path.read_bytes() for path in first.all}
    # again, in the other order: each run replaces its own
    assert run(cameras[1], scene, out).records == second.records
    assert run(cameras[0], scene, out).records == first.records
    assert sources(out) == {
        "GX01.jsonl": str(cameras[0]),
        "GX01.MP4.jsonl": str(cameras[1]),
    }
    mirrored = run(cameras[1], scene, out, root=tmp_path)
    assert mirrored.records == out / "camB" / "GX01.jsonl"


def test_a_third_source_gets_a_number(
    scene: Scene, cameras: tuple[Path, Path], tmp_path: Path
) -> None:
    third = tmp_path / "camC" / "GX01.MP4"
    third.parent.mkdir()
    third.write_bytes(scene.video.read_bytes())
    names = [run(clip, scene, tmp_path / "out").records.name for clip in (*cameras, third)]
    assert names == ["GX01.jsonl", "GX01.MP4.jsonl", "GX01.MP4-2.jsonl"]


def test_frames_of_a_program_are_never_taken_for_those_of_another_run(tmp_path: Path) -> None:
    frames = [np.zeros((48, 64, 3), np.uint8)] * 2
    names = []
    for _ in range(3):
        with sfedge.Pipeline(frames, detector=OnePerson(), tasks=["domain"]) as session:
            names.append(process(session, tmp_path, progress=False).files.records.name)
    assert len(set(names)) == 3
    assert names[0] == f"{names[2].removesuffix('-3.jsonl')}.jsonl"


@pytest.mark.parametrize("end", ["jsonl", "csv", "metadata.json", "annotated.mp4"])
def test_a_file_of_unknown_origin_stays(
    scene: Scene, cameras: tuple[Path, Path], tmp_path: Path, end: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / f"GX01.{end}").write_text("my own notes")
    assert run(cameras[0], scene, out).records.name == "GX01.MP4.jsonl"
    assert (out / f"GX01.{end}").read_text() == "my own notes"


def test_results_of_version_1_are_known_by_the_name_of_their_source(
    scene: Scene, cameras: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    files = run(cameras[0], scene, out)
    for path in (files.records, files.metadata):
        path.write_text(path.read_text().replace('"identity": "', '"former": "'))
    rows = files.records.read_text().splitlines()
    source = json.loads(rows[0])["source"]
    source.pop("former")
    files.records.write_text("\n".join([json.dumps({**json.loads(rows[0]), "source": source})]))
    files.metadata.unlink()
    assert run(cameras[1], scene, out).records.name == "GX01.MP4.jsonl"
    assert run(cameras[0], scene, out).records.name == "GX01.jsonl"


def test_what_a_killed_run_of_another_source_left_stays(
    scene: Scene, cameras: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    files = run(cameras[0], scene, out)
    for path, part in zip(files.all, files.partial.all, strict=True):
        path.rename(part)
    kept = files.partial.records.read_bytes()
    assert run(cameras[1], scene, out).records.name == "GX01.MP4.jsonl"
    assert files.partial.records.read_bytes() == kept
    assert run(cameras[0], scene, out).records.name == "GX01.jsonl"
    assert not files.partial.records.exists()  # begun anew


def test_two_runs_at_once_have_names_of_their_own(
    scene: Scene, cameras: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    settings: dict[str, Any] = {"detections": scene.detections, "tasks": ["domain"]}
    with (
        sfedge.open(cameras[0], **settings) as first,
        sfedge.open(cameras[1], **settings) as second,
        sfedge.open(cameras[0], **settings) as again,
        claimed(first, out) as one,
        claimed(second, out) as other,
    ):
        assert (one.records.name, other.records.name) == ("GX01.jsonl", "GX01.MP4.jsonl")
        with (
            pytest.raises(OutputError, match=rf"another run \(process {os.getpid()}\) is writing"),
            claimed(again, out),
        ):
            pass
    assert list(out.iterdir()) == []


HOLD = """
import sys, time
from pathlib import Path
from sfedge.runtime.name_lock import take
lock = take(Path(sys.argv[1]), "of the child")
print("held", flush=True)
time.sleep(600)
"""


def test_the_lock_of_a_killed_process_holds_nobody_up(tmp_path: Path) -> None:
    path = tmp_path / ".talk.lock"
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    assert take(path, "ours") == "of the child"
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert path.exists()
    lock = take(path, "ours")
    assert isinstance(lock, NameLock)
    assert take(path, "another") == "ours"
    lock.close()
    assert not path.exists()


def test_a_lock_that_is_closed_twice_leaves_that_of_who_came_after(tmp_path: Path) -> None:
    path = tmp_path / ".talk.lock"
    first = take(path, "first")
    assert isinstance(first, NameLock)
    first.close()
    second = take(path, "second")
    assert isinstance(second, NameLock)
    with second:
        first.close()
        assert path.read_text() == "second"
        assert take(path, "third") == "second"
    assert not path.exists()


def test_a_lock_file_that_is_removed_while_one_waits_is_not_taken_for_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between opening the file and locking it, its holder may have let go and removed it."""
    path = tmp_path / ".talk.lock"
    lock_it, steps = fcntl.flock, []

    def late(descriptor: int, how: int) -> None:
        if not steps:
            path.unlink()  # as the last holder does
        steps.append(descriptor)
        lock_it(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    lock = take(path, "ours")
    assert isinstance(lock, NameLock)
    assert len(steps) == 2
    assert path.read_text() == "ours"
