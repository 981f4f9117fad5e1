"""The loader of Ego4D's looking-at-me task: tracks, segments, clips."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from clips import read_number, write_clip

from sfedge.core.boxes import with_margin
from sfedge.core.errors import DataError
from sfedge.core.tasks import TASKS
from sfedge_training.data import ego4d_lam
from sfedge_training.data.sample import Dataset
from sfedge_training.data.sample_picture import read_picture

_WIDTH, _HEIGHT = 80, 60


def _face(frame: int, x: float = 10, y: float = 10, size: float = 20) -> dict[str, Any]:
    return {"x": x, "y": y, "width": size, "height": size, "frame": frame, "clip_frame": None}


def _segment(person: str | None, start: int, end: int) -> dict[str, Any]:
    return {
        "start_frame": start,
        "end_frame": end,
        "person": person,
        "target": None,
        "is_at_me": False,
    }


def _clip(
    key: str, track: list[dict[str, Any]], segments: list[dict[str, Any]] | None
) -> dict[str, Any]:
    return {
        "clip_uid": key,
        "persons": [
            # The wearer stands second here: the place in the list tells nothing.
            {
                "person_id": "1",
                "camera_wearer": False,
                "tracking_paths": [{"track_id": "t", "track": track}],
            },
            {
                "person_id": "0",
                "camera_wearer": True,
                "tracking_paths": [{"track_id": "w", "track": [_face(1)]}],
            },
        ],
        "social_segments_looking": segments,
    }


def _release(
    root: Path,
    clips: list[dict[str, Any]],
    *,
    part: str = "val",
    frames: int = 30,
    listed: list[str] | None = None,
) -> Path:
    (root / "split").mkdir(parents=True)
    (root / "json").mkdir()
    names = [clip["clip_uid"] for clip in clips] if listed is None else listed
    (root / "split" / f"{part}.list").write_text("\n".join(names), encoding="utf-8-sig")
    videos = [{"video_uid": "v", "clips": clips}, {"video_uid": "empty", "clips": None}]
    (root / "json" / f"av_{part}.json").write_text(json.dumps({"videos": videos}))
    for clip in clips:
        _frames_of(root, clip["clip_uid"], frames)
    return root


def _frames_of(root: Path, clip: str, frames: int) -> None:
    folder = root / "video_imgs" / clip
    folder.mkdir(parents=True, exist_ok=True)
    for frame in range(1, frames + 1):
        picture = PIL.Image.fromarray(np.zeros((_HEIGHT, _WIDTH, 3), np.uint8))
        picture.save(folder / f"img_{frame:05d}.jpg")


def _frames(dataset: Dataset) -> list[int]:
    return [int(sample.key.split(":")[1]) for sample in dataset.samples]


def _looking(dataset: Dataset) -> list[int]:
    looking = TASKS["looking_at_me"].labels.index("looking")
    return [f for f, s in zip(_frames(dataset), dataset.samples, strict=True) if s.label == looking]


def test_segments_include_both_ends_and_count_without_is_at_me(tmp_path: Path) -> None:
    track = [_face(frame) for frame in range(1, 11)]
    _release(tmp_path, [_clip("c", track, [_segment("1", 3, 5), _segment("1", 9, 9)])])
    dataset = ego4d_lam.load(tmp_path, "test", stride=1)
    assert _looking(dataset) == [3, 4, 5, 9]
    assert _frames(dataset) == [*range(1, 11)]
    assert {sample.group for sample in dataset.samples} == {"c"}


def test_the_wearer_is_known_by_the_flag_and_gives_no_sample(tmp_path: Path) -> None:
    _release(tmp_path, [_clip("c", [_face(1)], [_segment("0", 1, 1)])])
    dataset = ego4d_lam.load(tmp_path, "test", stride=1)
    assert [sample.key for sample in dataset.samples] == ["c:1:t"]
    assert _looking(dataset) == []


@pytest.mark.parametrize("segments", [None, []])
def test_a_clip_without_segments_is_all_negative(
    tmp_path: Path, segments: list[dict[str, Any]] | None
) -> None:
    _release(tmp_path, [_clip("c", [_face(1), _face(2)], segments)])
    dataset = ego4d_lam.load(tmp_path, "test", stride=1)
    assert len(dataset.samples) == 2
    assert _looking(dataset) == []
    assert dataset.report.repaired == {
        "clip has no looking segment, all its faces taken as not looking": 1
    }


def test_a_segment_of_nobody_is_dropped_and_counted(tmp_path: Path) -> None:
    segments = [_segment(None, 1, 9), {"person": "1"}]
    _release(tmp_path, [_clip("c", [_face(1)], segments)])
    dataset = ego4d_lam.load(tmp_path, "test", stride=1)
    assert _looking(dataset) == []
    assert dataset.report.dropped == {
        "looking segment names nobody": 1,
        "looking segment is malformed": 1,
    }


def test_a_segment_of_somebody_without_a_track_is_counted(tmp_path: Path) -> None:
    """Else names that are written otherwise in tracks would make everything negative unseen."""
    _release(tmp_path, [_clip("c", [_face(1)], [_segment("uid_1", 1, 1)])])
    report = ego4d_lam.load(tmp_path, "test").report
    assert report.dropped == {"looking segment's person has no track": 1}
    assert "uid_1" in report.examples["looking segment's person has no track"]


def test_a_wearer_without_flag_is_the_first_person(tmp_path: Path) -> None:
    clip = _clip("c", [_face(1)], [_segment("1", 1, 1)])
    clip["persons"] = [
        {key: value for key, value in person.items() if key != "camera_wearer"}
        for person in reversed(clip["persons"])
    ]
    dataset = ego4d_lam.load(_release(tmp_path, [clip]), "test")
    assert [sample.key for sample in dataset.samples] == ["c:1:t"]
    assert dataset.report.repaired == {"wearer is not marked, the first person taken": 1}


def test_gaps_are_interpolated_linearly_in_all_four_corners(tmp_path: Path) -> None:
    track = [_face(5, x=30, y=20, size=40), _face(1, x=10, y=0, size=20)]  # unsorted, too
    _release(tmp_path, [_clip("c", track, [_segment("1", 99, 99)])])
    dataset = ego4d_lam.load(tmp_path, "test", margin=0.0, stride=1)
    assert _frames(dataset) == [1, 2, 3, 4, 5]
    middle = dataset.samples[2].view  # half way: x 20..50, y 10..40 pixels
    assert (middle.x1 * _WIDTH, middle.x2 * _WIDTH) == pytest.approx((20, 50))
    assert (middle.y1 * _HEIGHT, middle.y2 * _HEIGHT) == pytest.approx((10, 40))
    assert dataset.report.repaired == {"gap in a track, interpolated": 3}


def test_frame_0_empty_boxes_and_broken_records_are_dropped_and_counted(tmp_path: Path) -> None:
    track = [
        _face(0),
        _face(1),
        _face(2, size=0),
        _face(3, size=-2),
        {"frame": 4},
        _face(5) | {"x": None},
    ]
    _release(tmp_path, [_clip("c", track, None)])
    dataset = ego4d_lam.load(tmp_path, "test", stride=1)
    assert _frames(dataset) == [1]
    assert dataset.report.dropped == {
        "face record is empty, of frame 0 or nobody's": 3,
        "face record is malformed": 2,
    }


def test_a_negative_corner_is_clamped_before_the_size_is_added(tmp_path: Path) -> None:
    _release(tmp_path, [_clip("c", [_face(1, x=-6, y=-3)], [_segment("1", 9, 9)])])
    dataset = ego4d_lam.load(tmp_path, "test", margin=0.0)
    (sample,) = dataset.samples
    assert dataset.report.repaired == {"face record began outside the frame, moved to its edge": 1}
    view = sample.view
    assert (view.x1, view.y1) == (0.0, 0.0)
    assert (view.x2, view.y2) == pytest.approx((20 / _WIDTH, 20 / _HEIGHT))


def test_a_box_beyond_the_right_or_lower_edge_is_cut_and_counted(tmp_path: Path) -> None:
    track = [_face(1, x=70), _face(2, y=50), _face(3)]
    _release(tmp_path, [_clip("c", track, [_segment("1", 9, 9)])])
    dataset = ego4d_lam.load(tmp_path, "test", margin=0.0, stride=1)
    assert (dataset.samples[0].view.x2, dataset.samples[1].view.y2) == (1.0, 1.0)
    assert dataset.report.repaired == {"face box left the frame": 2}


def test_the_margin_is_the_tasks_own_or_none_for_the_official_evaluation(tmp_path: Path) -> None:
    _release(tmp_path, [_clip("c", [_face(1)], None)])
    (exact,) = ego4d_lam.load(tmp_path, "test", margin=0.0).samples
    (grown,) = ego4d_lam.load(tmp_path, "test").samples
    assert exact.view.width == pytest.approx(20 / _WIDTH)
    assert grown.view == with_margin(exact.view, TASKS["looking_at_me"].margin)


def test_every_13th_frame_of_a_track_is_taken(tmp_path: Path) -> None:
    track = [_face(frame) for frame in range(2, 31)]
    _release(tmp_path, [_clip("c", track, None)])
    assert _frames(ego4d_lam.load(tmp_path, "test")) == [2, 15, 28]


def test_missing_frames_and_boxes_outside_are_counted(tmp_path: Path) -> None:
    track = [_face(1), _face(2, x=200), _face(3), _face(4)]
    _release(tmp_path, [_clip("c", track, None)], frames=3)
    dataset = ego4d_lam.load(tmp_path, "test", stride=1)
    assert _frames(dataset) == [1, 3]
    assert dataset.report.dropped == {
        "picture is missing": 1,
        "face box lies outside the frame": 1,
    }
    assert dataset.report.lost == {"picture is missing": 1}


def test_a_frame_that_stands_twice_is_one_sample_and_counted(tmp_path: Path) -> None:
    track = [_face(1), _face(1, x=30)]
    _release(tmp_path, [_clip("c", track, [_segment("1", 9, 9)])])
    dataset = ego4d_lam.load(tmp_path, "test", margin=0.0, stride=1)
    assert [sample.view.x1 for sample in dataset.samples] == [30 / _WIDTH]
    assert dataset.report.repaired == {"duplicate frame in a track, last taken": 1}


def test_a_listed_clip_without_annotation_is_counted(tmp_path: Path) -> None:
    _release(tmp_path, [_clip("c", [_face(1)], None)], listed=["c", "0232fbc8", "c"])
    report = ego4d_lam.load(tmp_path, "test").report
    assert report.dropped == report.lost == {"clip is listed but not annotated": 1}
    assert report.repaired["clip is listed twice, taken once"] == 1
    assert report.listed == {("clips", ""): 2}
    assert "0232fbc8" in report.examples["clip is listed but not annotated"]


def test_clips_outside_the_list_are_left_alone(tmp_path: Path) -> None:
    clips = [_clip(key, [_face(1)], None) for key in ("in", "out")]
    _release(tmp_path, clips, listed=["in"])
    assert {s.group for s in ego4d_lam.load(tmp_path, "test").samples} == {"in"}


def test_whole_training_clips_are_held_out_for_validation(tmp_path: Path) -> None:
    keys = [f"clip-{n}" for n in range(200)]
    clips = [_clip(key, [_face(1)], None) for key in keys]
    _release(tmp_path, clips, part="train", frames=1)
    train, val = (
        {s.group for s in ego4d_lam.load(tmp_path, split).samples} for split in ("train", "val")
    )
    assert not train & val
    assert train | val == set(keys)
    assert 2 <= len(val) <= 25


def test_missing_lists_and_malformed_clips_are_errors_that_name_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"val\.list is missing"):
        ego4d_lam.load(tmp_path, "test")
    _release(tmp_path / "new", [_clip("c", [_face(1)], None) | {"persons": ["x"]}])
    with pytest.raises(DataError, match=r"av_val\.json: clip c is malformed"):
        ego4d_lam.load(tmp_path / "new", "test")


def _prepared(
    root: Path, tracks: dict[str, Any], marks: list[dict[str, Any]] | None, *, clip: str = "c"
) -> Path:
    """The files that the benchmark's scripts write: a track each, and the clip's segments."""
    (root / "split").mkdir(parents=True)
    (root / "split" / "val.list").write_text(f"{clip}\n")
    (root / "json_original" / clip).mkdir(parents=True)
    (root / "result_LAM").mkdir()
    for name, records in tracks.items():
        text = records if isinstance(records, str) else json.dumps(records)
        (root / "json_original" / clip / f"{name}.json").write_text(text)
    if marks is not None:
        (root / "result_LAM" / f"{clip}.json").write_text(json.dumps(marks))
    _frames_of(root, clip, 20)
    return root


def _record(frame: int, person: str = "1", **changes: Any) -> dict[str, Any]:
    face = {key: value for key, value in _face(frame).items() if key in ("x", "y")}
    size = {"width": 20, "height": 20}
    return {"clip_uid": "c", "frameNumber": frame, "Person ID": person} | face | size | changes


def test_prepared_files_and_annotations_give_the_same_samples(tmp_path: Path) -> None:
    track = [_face(frame) for frame in (9, 1, 2, 5)]
    printed = _release(tmp_path / "a", [_clip("c", track, [_segment("1", 2, 4)])])
    read = _prepared(
        tmp_path / "b",
        {"t": [_record(frame) for frame in (9, 1, 2, 5)]},
        [{"label": "1", "start_frame": 2, "end_frame": 4}],
    )
    first, second = (ego4d_lam.load(root, "test", stride=1) for root in (printed, read))
    assert [(s.key, s.label, s.view) for s in first.samples] == [
        (s.key, s.label, s.view) for s in second.samples
    ]
    assert _looking(second) == [2, 3, 4]
    assert first.report.repaired == second.report.repaired == {"gap in a track, interpolated": 5}


def test_a_clip_without_file_of_segments_is_all_negative_and_reported(tmp_path: Path) -> None:
    dataset = ego4d_lam.load(_prepared(tmp_path, {"t": [_record(1)]}, None), "test")
    assert (len(dataset.samples), _looking(dataset)) == (1, [])
    assert sum(dataset.report.repaired.values()) == 1


def test_a_file_that_the_scripts_wrote_twice_is_read_once(tmp_path: Path) -> None:
    twice = json.dumps([_record(1), _record(2)]) * 2
    dataset = ego4d_lam.load(_prepared(tmp_path, {"t": twice}, None), "test", stride=1)
    assert _frames(dataset) == [1, 2]
    assert dataset.report.repaired["file was written more than once, first list taken"] == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps([_record(1)]) + json.dumps([_record(2)]), "several different lists.*append"),
        ("[{", "cannot be read"),
        ("[1]", "no list of records"),
        ("{}", "no list of records"),
        ("", "cannot be read"),
    ],
)
def test_damaged_track_files_are_errors_that_name_them(
    tmp_path: Path, text: str, message: str
) -> None:
    _prepared(tmp_path, {"track-7": text}, None)
    with pytest.raises(DataError, match=rf"track-7\.json: .*{message}"):
        ego4d_lam.load(tmp_path, "test")


def test_records_without_person_are_dropped_and_foreign_persons_reported(tmp_path: Path) -> None:
    tracks = {
        "a": [_record(1, ""), _record(2), _record(0), _record(3, width=0)],
        "b": [_record(1), _record(2, "2")],
        "c": [_record(1, "")],
    }
    marks = [{"label": "1", "start_frame": 2, "end_frame": 2}]
    dataset = ego4d_lam.load(_prepared(tmp_path, tracks, marks), "test", stride=1)
    assert [s.key for s in dataset.samples] == ["c:2:a", "c:1:b", "c:2:b"]
    assert dataset.report.dropped == {"face record is empty, of frame 0 or nobody's": 4}
    assert dataset.report.repaired == {"track names several people, first taken": 1}


def test_a_listed_clip_without_prepared_tracks_is_lost_and_counted(tmp_path: Path) -> None:
    _prepared(tmp_path, {"t": [_record(1)]}, None)
    (tmp_path / "split" / "val.list").write_text("c\n6daa9124\n")
    assert ego4d_lam.load(tmp_path, "test").report.lost == {"clip is listed but not annotated": 1}


def _with_video(root: Path, frames: int) -> Path:
    """The clip's video in place of its extracted frames."""
    shutil.rmtree(root / "video_imgs")
    (root / "videos").mkdir()
    write_clip(root / "videos" / "c.mp4", frames, size=(160, 120))
    return root


def test_frames_come_straight_from_the_clip_where_none_were_extracted(tmp_path: Path) -> None:
    """Annotated frame n is `img_n`, counted from 1: the clip's picture n - 1, counted from 0."""
    track = [_face(frame) for frame in (1, 7, 15, 16)]
    _release(tmp_path, [_clip("c", track, [_segment("1", 7, 7)])])
    dataset = ego4d_lam.load(_with_video(tmp_path, 15), "test", stride=6)
    assert [(s.frame, s.image.name, s.size) for s in dataset.samples] == [
        (frame, "c.mp4", (160, 120)) for frame in (1, 7, 13)
    ]
    assert [read_number(read_picture(sample)) for sample in dataset.samples] == [0, 6, 12]
    assert _looking(dataset) == [7]
    whole = ego4d_lam.load(tmp_path, "test", stride=1).report
    assert whole.lost == {"picture is missing": 1}  # the clip ends before frame 16


def test_extracted_frames_are_preferred_and_a_clip_with_neither_is_lost(tmp_path: Path) -> None:
    clips = [_clip(key, [_face(1)], None) for key in ("c", "d")]
    _release(tmp_path, clips, frames=1)
    shutil.rmtree(tmp_path / "video_imgs" / "d")
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "c.mp4").write_bytes(b"not looked at")
    dataset = ego4d_lam.load(tmp_path, "test")
    assert [(s.image.name, s.frame) for s in dataset.samples] == [("img_00001.jpg", None)]
    assert dataset.report.lost == {"picture is missing": 1}


def test_a_damaged_clip_loses_its_faces_and_tells_why(tmp_path: Path) -> None:
    _release(tmp_path, [_clip("c", [_face(1), _face(2)], None)])
    (_with_video(tmp_path, 2) / "videos" / "c.mp4").write_bytes(b"no video")
    report = ego4d_lam.load(tmp_path, "test", stride=1).report
    assert report.lost == {"picture cannot be read": 2}
