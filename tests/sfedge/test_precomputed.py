import csv
import json
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfedge.core.boxes import Box
from sfedge.core.errors import DataError
from sfedge.core.frame_result import FrameResult
from sfedge.core.structures import Detection, Frame, Hand, Track
from sfedge.detect import build_detector
from sfedge.results import rows

WIDTH, HEIGHT = 640, 360


def _detections(path: Path, index: int = 0, time: float = 0.0, **names: str) -> list[Detection]:
    detector = build_detector(detections=path, width=WIDTH, height=HEIGHT, **names)
    return detector.detect(_frame(index, time))


def _frame(index: int, time: float) -> Frame:
    return Frame(np.zeros((HEIGHT, WIDTH, 3), np.uint8), index, time)


def _table(folder: Path, text: str) -> Path:
    path = folder / "boxes.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_in_fractions_gives_its_boxes_at_their_frames(tmp_path: Path) -> None:
    path = _table(
        tmp_path,
        "frame,kind,x1,y1,x2,y2,score,track\n"
        "3,face,0.1,0.2,0.3,0.4,0.9,Ann\n"
        "3,hand,0.5,0.5,0.6,0.6,,\n"
        "\n"
        "1,person,0,0,1,1,0.5,Bob\n",
    )
    assert _detections(path, index=0) == []
    assert _detections(path, index=1) == [Detection("person", Box(0, 0, 1, 1), 0.5, "Bob")]
    assert _detections(path, index=3) == [
        Detection("face", Box(0.1, 0.2, 0.3, 0.4), 0.9, "Ann"),
        Detection("hand", Box(0.5, 0.5, 0.6, 0.6), 1.0, None),
    ]


def test_a_table_in_pixels_is_cut_at_the_frame(tmp_path: Path) -> None:
    path = _table(
        tmp_path, "\ufeffkind, frame, x1_px, y1_px, x2_px, y2_px\nface, 0, -8, 36, 64, 900\n"
    )
    assert _detections(path) == [Detection("face", Box(0, 0.1, 0.1, 1), 1.0)]


def test_rows_by_time_go_to_the_first_frame_that_is_not_before_them(tmp_path: Path) -> None:
    path = _table(
        tmp_path,
        "time,kind,x1,y1,x2,y2\n"
        "0.0,face,0.1,0,0.2,1\n"
        "0.05,face,0.2,0,0.3,1\n"
        "0.05,hand,0.2,0,0.3,1\n"
        "0.06,face,0.3,0,0.4,1\n"
        "0.2004,face,0.4,0,0.5,1\n"
        "0.9,face,0.5,0,0.6,1\n",
    )
    detector = build_detector(detections=path, width=WIDTH, height=HEIGHT)
    given_at = {
        time: [round(10 * d.box.x1) for d in detector.detect(_frame(i, time))]
        for i, time in enumerate((0.0, 0.04, 0.08, 0.12, 0.2, 0.24, 2.0))
    }
    # 0.05 is skipped for the newer 0.06, 0.9 is stale at 2.0.
    assert given_at == {0.0: [1], 0.04: [], 0.08: [3], 0.12: [], 0.2: [4], 0.24: [], 2.0: []}


GOOD = "frame,kind,x1,y1,x2,y2\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"boxes\.csv: column 'kind' is missing\. Expected are frame or time"),
        ("frame,kind,x1,y1,x2\n", r"column 'y2' is missing"),
        ("frame,kind,x1,y1,x2_px,y2\n", r"unknown column 'x1'.*x1_px"),
        ("kind,x1,y1,x2,y2\n", r"one of the columns frame and time is needed"),
        ("frame,time,kind,x1,y1,x2,y2\n", r"one of the columns frame and time is needed"),
        ("frame,kind,x1,y1,x2,y2,scor\n", r"unknown column 'scor'\. Did you mean 'score'\?"),
        ("frame,kind,x1,y1,x2,y2,x1\n", r"column 'x1' is a duplicate"),
        ("frame;kind;x1;y1;x2;y2\n", r"unknown column 'frame;kind;x1;y1;x2;y2'"),
        (GOOD + "0,face,0,0,1,1\n1,face,0,0,1\n", r"boxes\.csv:3: 5 values for 6 columns"),
        (GOOD + "0,head,0,0,1,1\n", r"boxes\.csv:2: column kind holds 'head'.*face, hand, person"),
        (GOOD + "-1,face,0,0,1,1\n", r"boxes\.csv:2: column frame holds '-1'"),
        (GOOD + "1.5,face,0,0,1,1\n", r"column frame holds '1\.5'"),
        (GOOD + "0,face,0,0,nan,1\n", r"boxes\.csv:2: column x2 holds 'nan', which is no number"),
        (GOOD + "0,face,0,0,,1\n", r"column x2 holds ''"),
        (GOOD + "0,face,0.5,0,0.5,1\n", r"boxes\.csv:2: box .* is empty"),
        (GOOD + "0,face,120,40,200,150\n", r"boxes\.csv:2: box .*x1_px, y1_px, x2_px, y2_px"),
        ("time,kind,x1,y1,x2,y2\nsoon,face,0,0,1,1\n", r"column time holds 'soon'"),
        (
            "frame,kind,x1,y1,x2,y2,score\n0,face,0,0,1,1,90\n",
            r"column score holds 90, which is not in 0 to 1",
        ),
    ],
)
def test_a_wrong_table_is_reported_with_its_row_and_column(
    text: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        _detections(_table(tmp_path, text))


def test_what_is_no_table_of_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "boxes.csv"
    path.write_bytes(b"frame,kind\xff\xfe\x00\n")
    with pytest.raises(DataError, match=r"boxes\.csv: cannot be read as a table"):
        _detections(path)
    with pytest.raises(DataError, match="no such file"):
        _detections(tmp_path / "absent.csv")
    other = tmp_path / "boxes.xml"
    other.touch()
    with pytest.raises(DataError, match=r"boxes\.xml: this is no file of detections.*\.csv"):
        _detections(other)


@st.composite
def _boxes(draw: st.DrawFn) -> Box:
    x1, y1 = draw(st.floats(0, 0.9)), draw(st.floats(0, 0.9))
    return Box(x1, y1, draw(st.floats(x1 + 1e-3, 1)), draw(st.floats(y1 + 1e-3, 1)))


_rows = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.builds(
            Detection,
            st.sampled_from(["face", "hand", "person"]),
            _boxes(),
            st.floats(0, 1),
            st.one_of(st.none(), st.text("ab ,\"'", min_size=1).filter(lambda t: t == t.strip())),
        ),
    )
)


@given(_rows)
@settings(max_examples=30)
def test_a_table_that_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, Detection]]
) -> None:
    path = tmp_path_factory.mktemp("table") / "boxes.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["frame", "kind", "x1", "y1", "x2", "y2", "score", "track"])
        for frame, d in rows:
            writer.writerow([frame, d.kind, *map(repr, astuple(d.box)), repr(d.score), d.track])
    detector = build_detector(detections=path, width=WIDTH, height=HEIGHT)
    for index in range(4):
        expected = [detection for frame, detection in rows if frame == index]
        assert detector.detect(_frame(index, 0.0)) == expected


def _run_row() -> dict[str, Any]:
    return rows.run_row({"name": "clip.mp4"}, {}, {}, started="2026-01-01T00:00:00Z")


def test_a_runs_records_give_its_people_and_their_ids_again(tmp_path: Path) -> None:
    hands = (
        Hand(1, Box(0.4, 0.4, 0.5, 0.5), "left", 0.9, 0.2),
        Hand(5, Box(0.3, 0.4, 0.4, 0.5), "right", 0.9, 0.2, from_body=True),
    )
    nobodys = (
        Hand(2, Box(0.8, 0.4, 0.9, 0.5), "right", 0.7, 0.2),
        Hand(3, Box(0.8, 0.7, 0.9, 0.8), None, 0.7, 0.1),  # missed here, moved along
    )
    face = Box(0.2, 0.1, 0.3, 0.3)
    tracks = (
        Track(4, Box(0.1, 0, 0.5, 1), face, hands, 0, last_seen=0.2, face_score=0.8),
        Track(7, Box(0.6, 0, 0.9, 1), None, (), 0, last_seen=0.2),
        Track(9, Box(0.7, 0, 1, 1), None, (), 0, last_seen=0.1),  # missed here, moved along
    )
    result = FrameResult(_frame(5, 0.2), tracks, (), (), hands=nobodys)
    path = tmp_path / "run.jsonl"
    lines = [_run_row(), rows.frame_row(result, "clip.mp4")]
    path.write_text("".join(json.dumps(row) + "\n" for row in lines), encoding="utf-8")
    assert _detections(path, index=4) == []
    assert _detections(path, index=5) == [
        Detection("person", tracks[0].person, 1.0, "4"),
        Detection("face", Box(0.2, 0.1, 0.3, 0.3), 0.8, "4"),
        Detection("hand", tracks[0].hands[0].box, 0.9, "4", "left"),
        Detection("hand", tracks[0].hands[1].box, 0.9, "4", "right", from_body=True),
        Detection("person", tracks[1].person, 1.0, "7"),
        Detection("hand", nobodys[0].box, 0.7, None, "right"),
    ]


def test_damaged_records_are_reported_with_their_row(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    lines = [_run_row(), _FRAME | {"people": [_PERSON | {"person": [0.5, 0, 0.5, 1]}]}]
    path.write_text("".join(json.dumps(row) + "\n" for row in lines), encoding="utf-8")
    with pytest.raises(DataError, match=r"run\.jsonl:2: box .* is empty"):
        _detections(path)
    path.write_text("hello\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"run\.jsonl:1"):
        _detections(path)


_PERSON: dict[str, Any] = {
    "id": 1,
    "is_seen": True,
    "person": [0.1, 0, 0.5, 1],
    "person_score": 0.5,
    "face": [0.2, 0, 0.3, 0.1],
    "face_score": 0.5,
    "hands": [],
}
_HAND: dict[str, Any] = {"is_seen": True, "box": [0.1, 0, 0.2, 0.1], "score": 0.5, "side": None}
_FRAME: dict[str, Any] = {
    **{"type": "frame", "file": "clip.mp4", "frame": 0, "time": 0.0, "shot": 0},
    **{"people": [], "hands": [], "left_out": 0},
}


@pytest.mark.parametrize(
    ("people", "message"),
    [
        *(
            ([{key: value for key, value in _PERSON.items() if key != name}], f"lacks '{name}'")
            for name in _PERSON
        ),
        ([_PERSON | {"person": [0.1, 0, 0.5]}], "is damaged"),
        ([_PERSON | {"person": ["a", 0, 0.5, 1]}], "is damaged"),
        ([_PERSON | {"hands": 3}], "is damaged"),
        *(
            (
                [_PERSON | {"hands": [{k: v for k, v in _HAND.items() if k != name}]}],
                f"lacks '{name}'",
            )
            for name in _HAND
        ),
        ([7], "is damaged"),
        (None, "is damaged"),
    ],
)
def test_a_damaged_person_in_a_record_is_reported_with_its_row(
    tmp_path: Path, people: object, message: str
) -> None:
    path = tmp_path / "run.jsonl"
    lines = [_run_row(), _FRAME | {"people": people}]
    path.write_text("".join(json.dumps(row) + "\n" for row in lines), encoding="utf-8")
    with pytest.raises(DataError, match=rf"run\.jsonl:2: .*{message}.*Expected is a record"):
        _detections(path)


def test_a_file_of_detections_that_is_missing_is_reported_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such file or folder\. Check the path"):
        _detections(tmp_path / "absent.csv")


def _face(frame: int, person: str | None, x: float, size: float = 36) -> dict[str, Any]:
    return {
        "clip_uid": "c1",
        "frameNumber": frame,
        "Person ID": person,
        "x": x,
        "y": 36.0,
        "height": size,
        "width": size,
    }


def test_ego4d_tracks_of_a_clip_are_faces_with_their_persons_ids(tmp_path: Path) -> None:
    clip = tmp_path / "json_original" / "c1"
    clip.mkdir(parents=True)
    first = [_face(0, "1", 64), _face(1, "1", 64), _face(2, "1", 128), _face(3, "1", 0, size=0)]
    second = [_face(2, "2", -10), _face(2, None, 300), _face(3, "", 300)]
    (clip / "0.json").write_text(json.dumps(first))
    (clip / "1.json").write_text(json.dumps(second))
    # Frame n of the annotation is img_n, and img_00001 is the clip's first frame.
    assert _detections(clip, index=0) == [Detection("face", Box(0.1, 0.1, 100 / 640, 0.2), 1, "1")]
    assert _detections(clip, index=1) == [
        Detection("face", Box(0.2, 0.1, 164 / 640, 0.2), 1, "1"),
        Detection("face", Box(0, 0.1, 36 / 640, 0.2), 1, "2"),
    ]
    assert _detections(clip, index=2) == []
    assert _detections(clip / "1.json", index=1) == _detections(clip, index=1)[1:]


def _av(*clips: str) -> dict[str, Any]:
    def box(x: int) -> dict[str, Any]:
        return {"x": x, "y": 36, "width": 64, "height": 36, "frame": 1, "video_frame": 99}

    return {
        "videos": [
            {
                "video_uid": "v",
                "clips": [
                    {
                        "clip_uid": clip,
                        "persons": [
                            {"person_id": "0", "camera_wearer": True, "tracking_paths": []},
                            {
                                "person_id": "1",
                                "camera_wearer": False,
                                "tracking_paths": [{"track_id": "t", "track": [box(64 * number)]}],
                            },
                        ],
                    }
                ],
            }
            for number, clip in enumerate(clips)
        ]
    }


def test_an_ego4d_file_of_many_clips_is_looked_up_by_the_videos_name(tmp_path: Path) -> None:
    path = tmp_path / "av.json"
    path.write_text(json.dumps(_av("c1", "c2")))
    expected = [Detection("face", Box(0.1, 0.1, 0.2, 0.2), 1.0, "1")]
    assert _detections(path, source="/clips/c2.mp4") == expected
    with pytest.raises(DataError, match=r"none of its 2 clips is called 'holiday'"):
        _detections(path, source="holiday.mp4")
    path.write_text(json.dumps(_av("c1")))
    assert len(_detections(path)) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[{}]", "lacks 'Person ID'"),
        ('[{"Person ID": "1", "frameNumber": 3}]', "lacks 'x'"),
        ("[1]", "is damaged"),
        ("{}", "lacks 'videos'"),
        ("{", "is damaged"),
        ("3", "is damaged"),
    ],
)
def test_damaged_ego4d_files_are_reported(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "tracks.json"
    path.write_text(content)
    with pytest.raises(DataError, match=rf"tracks\.json: a file of Ego4D face tracks {message}"):
        _detections(path)


def test_an_empty_folder_of_tracks_is_reported(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no \.json files"):
        _detections(tmp_path)
