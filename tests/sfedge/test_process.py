import csv
import hashlib
import json
import signal
import threading
from pathlib import Path
from typing import Any

import av
import jsonschema
import numpy as np
import pytest
from clips import packets
from fake_parts import Camera, Notices, OnePerson
from scenes import CLIP_FRAMES, Scene

import sfedge
from sfedge import OutputError, UsageError
from sfedge.results.records import read_records, record_schema
from sfedge.runtime.process import Outcome, process
from sfedge.runtime.session import Session


def run(scene: Scene, out: Path, *, every_frame: bool = False, **settings: Any) -> Outcome:
    settings = {"detections": scene.detections, "tasks": ["gaze", "domain"], **settings}
    with sfedge.open(scene.video, **settings) as session:
        return process(session, out, every_frame=every_frame, progress=False)


@pytest.fixture(scope="module")
def finished(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return run(scene, tmp_path_factory.mktemp("finished") / "new" / "folder")


def decoded(path: Path) -> list[tuple[float, np.ndarray[Any, Any]]]:
    with av.open(str(path)) as video:
        return [(f.time or 0.0, f.to_ndarray(format="rgb24")) for f in video.decode(video=0)]


def test_the_folder_holds_the_four_files_and_nothing_else(finished: Outcome) -> None:
    names = sorted(path.name for path in finished.files.annotated.parent.iterdir())
    assert names == ["sway.annotated.mp4", "sway.csv", "sway.jsonl", "sway.metadata.json"]
    assert finished.signal is None
    assert finished.report.is_complete


def test_the_video_has_the_sources_times_and_sound_with_drawings_on_it(
    finished: Outcome, scene: Scene
) -> None:
    before, after = decoded(scene.video), decoded(finished.files.annotated)
    assert len(after) == CLIP_FRAMES
    assert np.allclose([time for time, _ in after], [time for time, _ in before], atol=1e-3)
    for (_, plain), (_, drawn) in zip(before, after, strict=True):
        assert plain.shape == drawn.shape
        assert (np.abs(plain.astype(int) - drawn) > 40).any(axis=2).mean() > 0.05
    assert [data for _, data in packets(finished.files.annotated, "audio")] == [
        data for _, data in packets(scene.video, "audio")
    ]


def test_every_row_of_the_records_follows_the_schema(finished: Outcome) -> None:
    validator = jsonschema.Draft202012Validator(record_schema())
    rows = list(read_records(finished.files.records))
    for row in rows:
        validator.validate(row)
    kinds = [row["type"] for row in rows]
    assert (kinds[0], kinds[-1]) == ("run", "summary")
    assert kinds.count("frame") == CLIP_FRAMES
    assert rows[-1] == {"type": "summary", "file": rows[0]["file"], **finished.report.to_json()}
    assert {row["file"] for row in rows} == {rows[0]["source"]["name"]}
    assert rows[0]["source"]["has_audio"]
    assert rows[0]["settings"]["tasks"] == ["gaze", "domain"]


def test_records_and_table_tell_the_same_answers(finished: Outcome) -> None:
    rows = [row for row in read_records(finished.files.records) if row["type"] == "prediction"]
    with finished.files.table.open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert len(rows) == len(table) == sum(finished.report.answers.values())
    for row, line in zip(rows, table, strict=True):
        assert (row["task"], row["frame"]) == (line["task"], int(line["frame"]))
        assert row["time"] == float(line["time"])
        if row["task"] == "gaze":
            assert row["point"] == [float(line["gaze_x"]), float(line["gaze_y"])]
        else:
            assert row["probability"] == float(line["probability"])


def test_the_metadata_vouch_for_the_other_files(finished: Outcome) -> None:
    data = json.loads(finished.files.metadata.read_text(encoding="utf-8"))
    assert [entry["name"] for entry in data["outputs"]] == [
        path.name for path in finished.files.all[:3]
    ]
    for entry in data["outputs"]:
        content = (finished.files.metadata.parent / entry["name"]).read_bytes()
        assert entry["size"] == len(content)
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
    assert data["summary"] == finished.report.to_json()
    assert set(data["seconds"]) == {"read", "detect", "track", "ask", "draw", "write"}
    assert data["model"]["card"]
    assert data["platform"]["packages"]["numpy"] == np.__version__


def test_two_runs_write_the_same_but_for_the_clock(
    finished: Outcome, scene: Scene, tmp_path: Path
) -> None:
    again = run(scene, tmp_path)
    first, second = (list(read_records(one.files.records)) for one in (finished, again))
    assert {**first[0], "started": ""} == {**second[0], "started": ""}
    assert first[1:] == second[1:]
    assert finished.files.table.read_bytes() == again.files.table.read_bytes()
    for (_, one), (_, other) in zip(
        decoded(finished.files.annotated), decoded(again.files.annotated), strict=True
    ):
        assert (one == other).all()


def test_every_frame_can_be_recorded_with_the_age_of_its_answers(
    scene: Scene, tmp_path: Path
) -> None:
    outcome = run(scene, tmp_path, every_frame=True, tasks=["domain"])
    rows = [row for row in read_records(outcome.files.records) if row["type"] == "prediction"]
    shown = [row["shown_frame"] for row in rows]
    assert shown == list(range(shown[0], CLIP_FRAMES))
    assert {row["age"] == 0 for row in rows} == {True, False}
    assert max(row["age"] for row in rows) < 0.5


@pytest.mark.parametrize(
    ("number", "ending"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")]
)
def test_a_signal_keeps_what_was_done_under_the_partial_names_and_an_older_run_in_place(
    scene: Scene, tmp_path: Path, number: int, ending: str
) -> None:
    earlier = run(scene, tmp_path, end=0.1).files.records.read_bytes()

    class Interrupts:
        def write(self, result: sfedge.FrameResult) -> None:
            if result.index == 6:
                signal.raise_signal(number)

    with sfedge.open(scene.video, detections=scene.detections, tasks=["expression"]) as session:
        session.add_sink(Interrupts())
        outcome = process(session, tmp_path, progress=False)
    assert outcome.signal == number
    assert outcome.report.shown == 7  # the one at hand is still written
    assert (outcome.report.ended, outcome.report.is_complete) == (ending, False)
    assert sorted(path.name for path in tmp_path.iterdir() if ".part" in path.name) == [
        "sway.annotated.part.mp4",
        "sway.metadata.part.json",
        "sway.part.csv",
        "sway.part.jsonl",
    ]
    assert (tmp_path / "sway.jsonl").read_bytes() == earlier
    assert len(decoded(outcome.files.annotated)) == outcome.report.shown
    rows = list(read_records(outcome.files.records))
    assert rows[-1]["ended"] == ending
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_error_half_way_keeps_what_was_done_and_names_it(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sfedge.detect.precomputed import FrameDetections

    detect = FrameDetections.detect

    def fail(self: FrameDetections, frame: sfedge.Frame) -> list[sfedge.Detection]:
        if frame.index == 12:
            raise sfedge.DetectorError("the network fell over", fix="Fetch it again.")
        return detect(self, frame)

    monkeypatch.setattr(FrameDetections, "detect", fail)
    with pytest.raises(sfedge.DetectorError) as error:
        run(scene, tmp_path)
    message = str(error.value)
    assert message.startswith("the network fell over. Fetch it again. What was done before is kept")
    for name in ("sway.annotated.part.mp4", "sway.part.jsonl", "sway.part.csv"):
        assert str(tmp_path / name) in message
    assert len(decoded(tmp_path / "sway.annotated.part.mp4")) == 12
    rows = list(read_records(tmp_path / "sway.part.jsonl"))
    assert rows[-1]["type"] == "summary"
    assert rows[-1]["ended"] == "failed: the network fell over. Fetch it again."
    assert rows[-1]["frames"] == 13


def test_an_older_run_stays_in_place_until_all_four_files_are_finished(
    scene: Scene, tmp_path: Path
) -> None:
    earlier = (run(scene, tmp_path, end=0.1).files.annotated or tmp_path).read_bytes()
    (tmp_path / "sway.metadata.part.json").mkdir()  # where nothing can be written
    with pytest.raises(OutputError, match=r"sway.metadata.part.json: cannot be written") as error:
        run(scene, tmp_path)
    assert (tmp_path / "sway.annotated.mp4").read_bytes() == earlier
    kept = [tmp_path / f"sway.{end}" for end in ("annotated.part.mp4", "part.jsonl", "part.csv")]
    assert "What was done before is kept in" in str(error.value)
    assert all(str(path) in str(error.value) for path in kept)
    assert len(decoded(kept[0])) == CLIP_FRAMES
    assert len(packets(kept[0], "audio")) == len(packets(scene.video, "audio"))
    assert list(read_records(kept[1]))[-1]["shown"] == CLIP_FRAMES


def test_a_file_that_cannot_be_moved_is_reported_with_those_that_were(
    scene: Scene, tmp_path: Path
) -> None:
    run(scene, tmp_path, end=0.1)
    (tmp_path / "sway.csv").unlink()
    (tmp_path / "sway.csv").mkdir()
    with pytest.raises(OutputError, match=r"sway.csv: cannot be written") as error:
        run(scene, tmp_path, end=0.3)
    message = str(error.value)
    moved, kept = message.split("In place are ")[1].split(". What was done before is kept in ")
    assert moved == f"{tmp_path / 'sway.annotated.mp4'}, {tmp_path / 'sway.jsonl'}"
    assert kept == f"{tmp_path / 'sway.part.csv'}, {tmp_path / 'sway.metadata.part.json'}."


@pytest.mark.parametrize(
    ("second", "raised", "ending"),
    [
        (signal.SIGINT, KeyboardInterrupt, "interrupted"),
        (signal.SIGTERM, SystemExit, "terminated"),
    ],
)
def test_a_second_signal_ends_the_run_at_once_as_that_signal_does(
    scene: Scene, tmp_path: Path, second: int, raised: type[BaseException], ending: str
) -> None:
    class Interrupts:
        def write(self, result: sfedge.FrameResult) -> None:
            if result.index == 5:
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(second)

    with sfedge.open(scene.video, detections=scene.detections, tasks=["domain"]) as session:
        session.add_sink(Interrupts())
        with pytest.raises(raised) as caught:
            process(session, tmp_path, progress=False)
    if isinstance(caught.value, SystemExit):
        assert caught.value.code == 143
    assert len(decoded(tmp_path / "sway.annotated.part.mp4")) == 5
    assert list(read_records(tmp_path / "sway.part.jsonl"))[-1]["ended"] == ending


@pytest.mark.parametrize("signals", [1, 2])
def test_a_signal_while_the_files_are_finished_lets_them_be_finished_a_second_one_does_not(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signals: int
) -> None:
    from sfedge.results.video_writer import VideoWriter

    finish = VideoWriter.finish

    def interrupted(self: VideoWriter) -> None:
        finish(self)
        for _ in range(signals):
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(VideoWriter, "finish", interrupted)
    if signals == 1:
        outcome = run(scene, tmp_path, end=0.3)
        assert outcome.signal is None
        assert outcome.report.is_complete
        assert not [path for path in tmp_path.iterdir() if ".part" in path.name]
        return
    with pytest.raises(SystemExit) as caught:
        run(scene, tmp_path, end=0.3)
    assert caught.value.code == 143
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["sway.annotated.part.mp4", "sway.part.csv", "sway.part.jsonl"]
    assert len(decoded(tmp_path / "sway.annotated.part.mp4")) == 3
    last = list(read_records(tmp_path / "sway.part.jsonl"))[-1]
    assert (last["ended"], last["is_complete"]) == ("terminated", False)


def test_answers_carry_the_names_that_the_boxes_came_with(scene: Scene, tmp_path: Path) -> None:
    head, *rows = scene.detections.read_text().splitlines()
    names = {"0": "Eileen", "1": "Grace"}
    cells = [row.rsplit(",", 1) for row in rows]
    table = tmp_path / "named.csv"
    table.write_text("\n".join([head, *(f"{rest},{names[track]}" for rest, track in cells)]))
    outcome = run(scene, tmp_path / "out", end=0.3, detections=table)
    predictions = [r for r in read_records(outcome.files.records) if r["type"] == "prediction"]
    named = {(row["task"], *row["names"]) for row in predictions}
    assert named == {("gaze", "Eileen"), ("gaze", "Grace"), ("domain", "Eileen", "Grace")}


def test_no_run_writes_over_what_it_reads(scene: Scene, tmp_path: Path) -> None:
    """A table of that name belongs to somebody else; an earlier run's records are its input."""
    table = tmp_path / "sway.csv"
    table.write_bytes(scene.detections.read_bytes())
    outcome = run(scene, tmp_path, detections=table, end=0.3)
    assert outcome.files.table.name == "sway.mp4.csv"
    assert table.read_bytes() == scene.detections.read_bytes()
    records = outcome.files.records
    before = records.read_bytes()
    with pytest.raises(UsageError, match=r"sway.mp4.jsonl: the results would be written over it"):
        run(scene, tmp_path, detections=records, end=0.3)
    assert records.read_bytes() == before


def test_the_results_may_stand_beside_their_source(scene: Scene, tmp_path: Path) -> None:
    clip = tmp_path / "sway.mp4"
    clip.write_bytes(scene.video.read_bytes())
    with sfedge.open(clip, detections=scene.detections, tasks=["domain"], end=0.4) as session:
        process(session, tmp_path, progress=False)
    assert clip.read_bytes() == scene.video.read_bytes()
    assert (tmp_path / "sway.annotated.mp4").exists()


def test_a_part_without_frames_is_an_error_and_leaves_nothing(scene: Scene, tmp_path: Path) -> None:
    with pytest.raises(sfedge.SourceError, match=r"no frame was read.* Check start"):
        run(scene, tmp_path, start=30.0)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_stopped_before_its_first_frame_says_so(scene: Scene, tmp_path: Path) -> None:
    with sfedge.open(scene.video, detections=scene.detections, live=True) as session:
        session.stop()
        with pytest.raises(sfedge.SourceError, match="stopped before its first frame"):
            process(session, tmp_path, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_process_off_the_main_thread_runs_without_signals(scene: Scene, tmp_path: Path) -> None:
    outcomes: list[Outcome] = []
    worker = threading.Thread(
        target=lambda: outcomes.append(run(scene, tmp_path, end=0.3, tasks=["domain"]))
    )
    worker.start()
    worker.join()
    assert outcomes[0].report.shown == 3


def test_a_file_in_place_of_the_folder_is_refused(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match=r"out: cannot be written \((File exists|Not a dir)"):
        run(scene, tmp_path / "out")


def test_gaps_are_rows_when_they_begin_and_when_they_end(tmp_path: Path) -> None:
    notices = Notices()
    camera = Camera(12, every=0.05, silence=(5, notices.gap_is_known))
    with sfedge.Pipeline(
        camera, detector=OnePerson(), tasks=["gesture"], sinks=[notices]
    ) as session:
        outcome = process(session, tmp_path, progress=False)
    rows = list(read_records(outcome.files.records))
    for row in rows:
        jsonschema.validate(row, record_schema())
    kinds = [row["type"] for row in rows]
    begins, ends = (number for number, kind in enumerate(kinds) if kind == "gap")
    assert rows[begins]["end"] is None
    assert rows[ends]["end"] >= rows[begins]["start"] == rows[ends]["start"]
    assert {row["reason"] for row in (rows[begins], rows[ends])} == {"the cable was pulled"}
    frames = [n for n, row in enumerate(rows) if row["type"] == "frame"]
    before = [n for n in frames if rows[n]["time"] <= rows[begins]["start"]]
    assert before == [n for n in frames if n < begins]
    assert rows[-1]["gaps"] == 1
    assert (tmp_path / outcome.files.records.name).exists()


@pytest.mark.parametrize("annotated", [True, False])
def test_a_folder_that_is_removed_ends_the_run_within_a_few_frames(
    scene: Scene, tmp_path: Path, annotated: bool
) -> None:
    out = tmp_path / "out"

    class Removing:
        def write(self, result: sfedge.FrameResult) -> None:
            if result.index == 5:
                out.rename(tmp_path / "elsewhere")

    with sfedge.open(scene.video, detections=scene.detections, tasks=["domain"]) as session:
        session.add_sink(Removing())
        with pytest.raises(OutputError, match="removed or renamed during the run"):
            process(session, out, annotated=annotated, progress=False)
        assert session.report.shown in range(6, 11)  # few wait to be written
        assert session.report.frames <= session.report.shown + 6  # and to be looked at
    assert not out.exists()
    rows = list(read_records(tmp_path / "elsewhere" / "sway.part.jsonl"))
    assert [row["type"] for row in rows].count("frame") in range(2, 7)


def test_a_bar_with_the_time_that_remains_is_shown_where_it_is_asked_for(
    scene: Scene, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def shown(session: Session, progress: bool | None) -> str:
        with session:
            process(session, tmp_path, progress=progress)
        return capfd.readouterr().err

    settings: dict[str, Any] = {"detections": scene.detections, "tasks": ["domain"], "end": 0.5}
    assert "5/5" in shown(sfedge.open(scene.video, **settings), True)
    assert shown(sfedge.open(scene.video, **settings), None) == ""
