"""The loader of Ego4D's looking-at-me task: tracks, segments, clips."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from sfedge.boxes import with_margin
from sfedge.errors import DataError
from sfedge.tasks import TASKS
from training.data import ego4d_lam
from training.data.sample import Dataset

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
        folder = root / "video_imgs" / clip["clip_uid"]
        folder.mkdir(parents=True)
        for frame in range(1, frames + 1):
            picture = PIL.Image.fromarray(np.zeros((_HEIGHT, _WIDTH, 3), np.uint8))
            picture.save(folder / f"img_{frame:05d}.jpg")
    return root


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


def test_a_segment_of_nobody_is_dropped_and_counted(tmp_path: Path) -> None:
    segments = [_segment(None, 1, 9), {"person": "1"}]
    _release(tmp_path, [_clip("c", [_face(1)], segments)])
    dataset = ego4d_lam.load(tmp_path, "test", stride=1)
    assert _looking(dataset) == []
    assert dataset.report.dropped == {
        "looking segment names nobody": 1,
        "looking segment is malformed": 1,
    }


def test_gaps_are_interpolated_linearly_in_all_four_corners(tmp_path: Path) -> None:
    track = [_face(5, x=30, y=20, size=40), _face(1, x=10, y=0, size=20)]  # unsorted, too
    _release(tmp_path, [_clip("c", track, None)])
    dataset = ego4d_lam.load(tmp_path, "test", margin=0.0, stride=1)
    assert _frames(dataset) == [1, 2, 3, 4, 5]
    middle = dataset.samples[2].view  # half way: x 20..50, y 10..40 pixels
    assert (middle.x1 * _WIDTH, middle.x2 * _WIDTH) == pytest.approx((20, 50))
    assert (middle.y1 * _HEIGHT, middle.y2 * _HEIGHT) == pytest.approx((10, 40))
    assert dataset.report.mended == {"gap in a track, interpolated": 3}


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
    _release(tmp_path, [_clip("c", [_face(1, x=-6, y=-3)], None)])
    (sample,) = ego4d_lam.load(tmp_path, "test", margin=0.0).samples
    view = sample.view
    assert (view.x1, view.y1) == (0.0, 0.0)
    assert (view.x2, view.y2) == pytest.approx((20 / _WIDTH, 20 / _HEIGHT))


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
    assert dataset.report.dropped == {"frame is missing": 1, "face box or frame is unusable": 1}


def test_a_frame_that_stands_twice_is_one_sample_and_counted(tmp_path: Path) -> None:
    _release(tmp_path, [_clip("c", [_face(1), _face(1, x=30)], None)])
    dataset = ego4d_lam.load(tmp_path, "test", margin=0.0, stride=1)
    assert [sample.view.x1 for sample in dataset.samples] == [30 / _WIDTH]
    assert dataset.report.mended == {"frame stands twice in a track, last taken": 1}


def test_a_listed_clip_without_annotation_is_counted(tmp_path: Path) -> None:
    _release(tmp_path, [_clip("c", [_face(1)], None)], listed=["c", "0232fbc8"])
    report = ego4d_lam.load(tmp_path, "test").report
    assert report.dropped == {"clip is listed but not annotated": 1}
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
