"""`sfedge run` and `sfedge demo`: what they print, write and refuse."""

import csv
import json
import os
from pathlib import Path
from typing import Any

import pytest
from clips import write_clip
from fake_parts import Camera, Notices, OnePerson
from scenes import CLIP_FRAMES, Command, Finished, Scene

import sfedge
from sfedge.core.boxes import Box, iou
from sfedge.results.records import read_records


def test_a_run_tells_the_model_first_and_the_files_last(
    command: Command, scene: Scene, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    finished = command(
        "run", scene.video, "--out", out, "--detections", scene.detections, "--tasks", "gaze,domain"
    )
    assert finished.code == 0, finished.err
    with sfedge.open(scene.video, detections=scene.detections) as session:
        assert finished.err.startswith(f"model {session.model_name} on cpu (onnxruntime")
        assert session.notice in finished.err
    counts, files = finished.out.splitlines()
    assert counts.startswith(f"{CLIP_FRAMES} frames, 2 people, ")
    head, _, names = files.partition(": ")
    assert head == f"{out}{os.sep}"
    assert names.split(", ") == [
        "sway.annotated.mp4",
        "sway.jsonl",
        "sway.csv",
        "sway.metadata.json",
    ]
    assert all((out / name).exists() for name in names.split(", "))
    rows = list(read_records(out / "sway.jsonl"))
    assert {row["task"] for row in rows if row["type"] == "prediction"} == {"gaze", "domain"}


def test_a_run_prints_json_where_a_program_reads_it(
    command: Command, scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    finished = command(
        *("run", scene.video, "--detections", scene.detections, "--tasks", "domain", "--json"),
        *("--start", "0:00.5", "--end", "1", "--interval", "0", "--every-frame", "--live"),
    )
    assert finished.code == 0, finished.err
    printed = json.loads(finished.out)
    assert printed["outputs"]["records"] == "out/sway.jsonl"
    rows = list(read_records(printed["outputs"]["records"]))
    assert rows[-1] == {"type": "summary", "file": str(scene.video), **printed["summary"]}
    assert rows[0]["settings"]["live"] is True
    assert all(0.5 <= row["time"] < 1 for row in rows if row["type"] == "frame")
    assert printed["seconds"]["ask"] > 0


def test_a_folder_above_the_source_is_mirrored(
    command: Command, scene: Scene, tmp_path: Path
) -> None:
    videos, out = tmp_path / "videos", tmp_path / "out"
    clip = videos / "morning" / "table 2" / "sway.avi"
    clip.parent.mkdir(parents=True)
    clip.write_bytes(scene.video.read_bytes())
    words = ("run", clip, "--out", out, "--detections", scene.detections)
    short = ("--no-video", "--end", "0.2", "--root")

    finished = command(*words, *short, videos)
    refused = command(*words, *short, out)

    assert finished.code == 0, finished.err
    assert (out / "morning" / "table 2" / "sway.jsonl").is_file()
    assert refused.code == 2
    assert f"--root {out} is no folder above {clip}" in refused.err


def test_the_options_of_the_library_are_those_of_the_command(
    command: Command, scene: Scene, tmp_path: Path
) -> None:
    words = (
        "run",
        scene.video,
        "--detections",
        scene.detections,
        "--interval",
        "0",
        "--end",
        "0.4",
    )

    def run(*more: object) -> tuple[Finished, list[dict[str, Any]]]:
        finished = command(*words, "--out", tmp_path, "--no-video", *more)
        assert finished.code == 0, finished.err
        return finished, list(read_records(tmp_path / "sway.jsonl"))

    tasks = ("--tasks", "expression,domain")
    _, rows = run(*tasks, "--smoothing", "0")
    answers = [row for row in rows if row["type"] == "prediction"]
    assert {len(row["people"]) for row in answers} == {1, 2}
    assert all(row["probabilities"] == row["raw"] for row in answers)
    _, rows = run(*tasks, "--smoothing", "5", "--no-pairs", "--wide")
    answers = [row for row in rows if row["type"] == "prediction"]
    assert {len(row["people"]) for row in answers} == {1}
    assert any(row["probabilities"] != row["raw"] for row in answers)
    with (tmp_path / "sway.csv").open(newline="", encoding="utf-8") as file:
        for line, row in zip(csv.DictReader(file), answers, strict=True):
            shares = row["probabilities"].items()
            assert [float(line[f"expression.{label}"]) for label, _ in shares] == [
                share for _, share in shares
            ]
    finished, rows = run(*tasks, "--max-people", "1", "--max-pairs", "4")
    answers = [row for row in rows if row["type"] == "prediction"]
    assert len({tuple(row["people"]) for row in answers}) == 1
    assert {row["left_out"] for row in rows if row["type"] == "frame"} == {1}
    assert "people were left out, up to 1 in a frame: only the largest" in finished.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--no-pairs", "--max-pairs", "3"), "--no-pairs and --max-pairs contradict each other"),
        (("--max-people", "0"), "--max-people 0 is below 1"),
        (("--every", "1.5"), "--every '1.5' is not 10 or 0.5s"),
        (("--as-video", "0"), "--as-video 0.0 is not in 0 to 1000"),
        (("--smoothing", "-1"), "--smoothing -1.0 is not in 0 to 60 s"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    command: Command, words: tuple[str, ...], message: str
) -> None:
    finished = command("run", "none.mp4", *words)
    assert finished.code == 2
    assert message in finished.err


def test_a_break_of_a_camera_is_said_when_it_begins_and_when_it_ends(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_camera(source: str, config: sfedge.RunConfig, **_: object) -> sfedge.Session:
        notices = Notices()
        camera = Camera(12, every=0.05, silence=(5, notices.gap_is_known))
        return sfedge.Pipeline(
            camera, config, detector=OnePerson(), tasks=["gesture"], sinks=[notices]
        )

    monkeypatch.setattr("sfedge.runtime.pipeline.open_session", open_camera)
    finished = command("run", "0", "--out", tmp_path)
    notes = [line for line in finished.err.splitlines() if "frames" in line]
    assert notes[0] == "sfedge: warning: no frames since 0.2 s: the cable was pulled."
    assert notes[1].startswith("sfedge: warning: frames again from 0.")


def test_a_run_on_two_onnx_runtimes_says_that_they_clash(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = tmp_path / "onnxruntime_gpu-1.31.0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: onnxruntime-gpu\nVersion: 1.31.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    finished = command("run", tmp_path / "none.mp4")
    assert "warning: onnxruntime and onnxruntime-gpu are installed over each" in finished.err
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in finished.err


def test_real_detectors_find_the_people_where_they_are(
    command: Command, scene: Scene, tmp_path: Path
) -> None:
    """The whole way on photographs: both faces, and every task answers."""
    finished = command("run", scene.video, "--out", tmp_path, "--end", "0.7")
    assert finished.code == 0, finished.err
    frames = [row for row in read_records(tmp_path / "sway.jsonl") if row["type"] == "frame"]
    last = frames[-1]
    x = last["frame"]
    truth = [
        Box(
            *(
                (10 + x + 300 * u) / 640 if i % 2 == 0 else (50 + 300 * u) / 360
                for i, u in enumerate((0.34, 0.13, 0.55, 0.39))
            )
        ),
        Box(
            *(
                (330 - x + 300 * u) / 640 if i % 2 == 0 else (50 + 300 * u) / 360
                for i, u in enumerate((0.36, 0.2, 0.66, 0.58))
            )
        ),
    ]
    found = [Box(*person["face"]) for person in last["people"] if person["face"]]
    assert len(found) == 2
    for face in truth:
        assert max(iou(face, box) for box in found) > 0.4
    counts = list(read_records(tmp_path / "sway.jsonl"))[-1]["answers"]
    assert all(
        counts[task] for task in ("expression", "looking_at_me", "gaze", "domain", "relation")
    )


def test_the_demo_makes_its_own_clip_and_every_task_answers(
    command: Command, tmp_path: Path
) -> None:
    finished = command("demo", "--out", tmp_path, "--seconds", "3")
    assert finished.code == 0, finished.err
    assert "demo.annotated.mp4" in finished.out.splitlines()[-1]
    assert (tmp_path / "demo.mp4").exists()
    summary = list(read_records(tmp_path / "demo.jsonl"))[-1]
    assert summary["people"] == 2
    assert all(summary["answers"].values()), summary["answers"]


def test_a_clip_in_another_folder_goes_to_out_here(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    clip = write_clip(tmp_path / "clip.mp4", 3)
    (tmp_path / "none.csv").write_text("frame,kind,x1,y1,x2,y2\n")
    finished = command("run", clip, "--detections", "none.csv")
    assert finished.code == 0
    assert (tmp_path / "out" / "clip.annotated.mp4").exists()
