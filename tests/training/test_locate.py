"""`sfedge-train locate`: empty boxes of a table are filled, and nothing else of it changes."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sfedge.core.boxes import Box, clamped, from_pixels, iou
from sfedge.core.errors import DataError
from sfedge.core.structures import Hand, Image, Scene, Track
from sfedge.demo.demo_hand import raised_hand
from sfedge.detect.conversion import networks
from sfedge_training.__main__ import main
from sfedge_training.collection import located_folder, many_pictures
from sfedge_training.collection.boxed_table import read_boxed_table
from sfedge_training.collection.locating import _meant
from sfedge_training.collection.looking import NETWORKS, Looker
from sfedge_training.data import labelled_folder as folder
from sfedge_training.data.landmark_store import read_landmarks
from sfedge_training.data.people_tasks import use_people_tasks

FACE = Box(182 / 512, 89 / 512, 269 / 512, 179 / 512)  # the astronaut's, from brows to chin
GROUND = (70, 90, 120)
WAIST = 0.41  # of the people of `_scene`, three faces below the chin


def _hand(*tops: int) -> Image:
    """Right hands that point up, far from each other, on empty ground."""
    hand, opacity, _ = raised_hand(272, (224, 172, 140))
    height, width = opacity.shape
    scene = np.full((640, 900 * len(tops) - 560, 3), GROUND, np.float32)
    for place, top in enumerate(tops):
        part = scene[top : top + height, 60 + 900 * place : 60 + 900 * place + width]
        part += (hand - part) * opacity[..., None]
    return scene.astype(np.uint8)


@pytest.fixture(autouse=True)
def _trained_as_the_default_model(_same_tasks: None) -> None:
    """The folder is loaded for a model that sees hands."""
    use_people_tasks()


@pytest.fixture
def root(tmp_path: Path, astronaut: NDArray[np.uint8], admiral: NDArray[np.uint8]) -> Path:
    """Pictures of one person, of two, of one hand, of two level ones, and of nobody."""
    pictures = {
        "one": astronaut,
        "two": np.hstack([astronaut, admiral[:512]]),
        "hand": _hand(100),
        "hands": _hand(100, 120),
        "none": np.full((200, 200, 3), GROUND, np.uint8),
    }
    root = tmp_path / "data" / "folder"
    root.mkdir(parents=True)
    for name, picture in pictures.items():
        PIL.Image.fromarray(picture).save(root / f"{name}.png")
    return root


def _write(root: Path, *lines: str, encoding: str = "utf-8") -> bytes:
    (root / "labels.csv").write_text("\n".join(lines) + "\n", encoding=encoding)
    return (root / "labels.csv").read_bytes()


def _rows(root: Path) -> list[dict[str, str]]:
    with (root / "labels.csv").open(newline="", encoding="utf-8-sig") as file:
        return [*csv.DictReader(file)]


def _box(row: Mapping[str, str]) -> Box | None:
    corners = [row[name] for name in ("x1", "y1", "x2", "y2")]
    return clamped(*map(float, corners)) if any(corners) else None


def _run(*words: object) -> None:
    main.main([str(word) for word in words], standalone_mode=False)


def _locate(root: Path, workers: int = 1) -> located_folder.Summary:
    return located_folder.locate_in(root, networks.fetch(NETWORKS), workers=workers)


def test_rows_get_the_boxes_of_what_they_are_about(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _write(
        root,
        "note,picture,task,label,split",
        '"ä, b",one.png,expression,happiness,train',
        ",hand.png,gesture,palm,train",
        "",
        ",one.png,looking_at_me,looking,train",
        "left as it is,one.png,gesture,unclear,train",
        encoding="utf-8-sig",
    )
    _run("locate", root, "--workers", 1)
    assert (root / "labels.before-locate.csv").read_bytes() == before
    rows = _rows(root)
    kept = [{name: row[name] for name in ("note", "picture", "task", "label")} for row in rows]
    assert [tuple(row.values()) for row in kept] == [
        ("ä, b", "one.png", "expression", "happiness"),
        ("", "hand.png", "gesture", "palm"),
        ("", "one.png", "looking_at_me", "looking"),
        ("left as it is", "one.png", "gesture", "unclear"),
    ]
    smile, palm, look, none = map(_box, rows)
    assert smile is not None
    assert palm is not None
    assert look == smile
    assert none is None  # no hand is to be seen
    assert iou(smile, FACE) > 0.6
    assert iou(palm, from_pixels(60, 100, 220, 372, width=340, height=640)) > 0.5
    out = capsys.readouterr().out
    assert "nothing was found, and training leaves out these lines: 6" in out

    loaded = folder.load(root, "train")
    assert [sample.task for sample in loaded.samples] == ["expression", "gesture", "looking_at_me"]
    for sample in loaded.samples:
        assert sample.landmarks is not None
        assert bool(sample.landmarks.hands) == (sample.task == "gesture")
        assert (sample.landmarks.face is not None) == (sample.task != "gesture")
    assert loaded.report.dropped == {"picture in which no face or hand was located": 1}

    located = (root / "labels.csv").read_bytes()
    (root / "labels.csv").write_bytes(located.replace(b"left as it is,one.png", b"no row,none.png"))
    looked: list[str] = []
    look_at = located_folder._look

    def noting(looker: Looker, job: located_folder._Job) -> located_folder._Seen:
        looked.append(job.picture.name)
        return look_at(looker, job)

    monkeypatch.setattr(located_folder, "_look", noting)
    _run("locate", root, "--workers", 1)
    assert looked == ["none.png"]  # nothing else is left to look at
    assert (root / "labels.before-locate.csv").read_bytes() == before


def test_a_table_that_is_done_stays_as_it_is_though_no_network_opens(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(root, "file,expression,looking_at_me", "one.png,happiness,yes")
    _run("locate", root, "--workers", 1)
    (row,) = _rows(root)
    assert _box(row) is not None
    assert row["looking_at_me"] == "yes"
    done = (root / "labels.csv").read_bytes()
    monkeypatch.setattr(many_pictures, "Looker", None)
    _run("locate", root, "--workers", 1)
    assert (root / "labels.csv").read_bytes() == done


def test_of_several_who_could_be_meant_none_is_chosen(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _write(
        root,
        "picture,task,label,x1,y1,x2,y2,split",
        "two.png,expression,neutral,,,,,train",
        "two.png,expression,happiness,0.17,0.15,0.28,0.37,train",
        "hands.png,gesture,palm,,,,,train",
        "one.png,expression,happiness,0.8,0.8,0.9,0.9,train",
    )
    _run("locate", root, "--workers", 1)
    first, second, third, fourth = _rows(root)
    assert _box(first) is None
    assert _box(third) is None
    out = capsys.readouterr().out
    assert "several could be meant: draw the boxes of these lines: 2, 4" in out
    assert "nothing was seen in the box of these lines: 5" in out
    # The box that was given stays, and has the points of the face that is there.
    assert [second[name] for name in ("x1", "y1", "x2", "y2")] == ["0.17", "0.15", "0.28", "0.37"]
    stored = read_landmarks(root / "landmarks.npz")
    face = stored["two.png@0.17,0.15,0.28,0.37"].face
    assert face is not None
    assert 0.17 < face[:, 0].mean() < 0.28
    assert stored["one.png@0.8,0.8,0.9,0.9"].face is None
    tasks = [sample.label for sample in folder.load(root, "train").samples]
    assert len(tasks) == 2  # the ones with boxes
    assert _box(fourth) is not None


def test_hands_without_a_gesture_are_never_several(root: Path) -> None:
    _write(root, "picture,task,label", "hands.png,gesture,no_gesture")
    summary = _locate(root)
    assert summary.outcomes == {("gesture", "filled"): 1}
    box = _box(_rows(root)[0])
    assert box is not None
    assert box.centre[0] < 0.5  # the left one is higher


def test_a_given_box_of_a_hand_gets_the_points_of_that_hand(root: Path) -> None:
    _write(
        root,
        "picture,task,label,x1_px,y1_px,x2_px,y2_px",
        "hands.png,gesture,palm,960,120,1120,392",
        "one.png,expression,happiness,,,,",
    )
    _locate(root)
    hand, face = _rows(root)
    assert hand["x1_px"] == "960"
    stored = read_landmarks(root / "landmarks.npz")
    (points,) = stored["hands.png@960,120,1120,392"].hands
    assert 960 / 1240 < points.points[:, 0].mean() < 1120 / 1240
    corners = [float(face[f"{name}_px"]) for name in ("x1", "y1", "x2", "y2")]
    assert iou(from_pixels(*corners, width=512, height=512), FACE) > 0.6
    assert "x1" not in face
    assert folder.load(root, "train").report.dropped == {}


def test_a_run_that_was_stopped_goes_on(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("one", "hand", "two")
    for name in names:
        (root / f"{name}-2.png").write_bytes((root / f"{name}.png").read_bytes())
    lines = [f"{name}{end}.png,expression,fear" for name in names for end in ("", "-2")]
    lines[2:4] = ["hand.png,gesture,palm", "hand-2.png,gesture,palm"]
    _write(root, "picture,task,label", *lines)
    look_at = located_folder._look
    seen: list[str] = []

    def until_interrupted(looker: Looker, job: located_folder._Job) -> located_folder._Seen:
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.append(job.picture.name)
        return look_at(looker, job)

    with monkeypatch.context() as soon:
        soon.setattr(located_folder, "_look", until_interrupted)
        soon.setattr(many_pictures, "_CHUNK", 1)
        with pytest.raises(KeyboardInterrupt):
            _locate(root)
    assert sum(_box(row) is not None for row in _rows(root)) == 3
    summary = _locate(root, workers=2)
    assert summary.known == {"expression": 2, "gesture": 1}
    assert summary.outcomes == {("gesture", "filled"): 1, ("expression", "several"): 2}


def test_missing_and_damaged_pictures_are_named(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "bad.jpg").write_bytes(b"no picture")
    _write(
        root,
        "picture,task,label,x1,y1,x2,y2",
        "gone.png,gesture,palm,,,,",
        "one.png,expression,fear,,,,",
        "bad.jpg,expression,fear,,,,",
        "one.png,looking_at_me,looking,1.2,1.2,1.3,1.3",
    )
    with pytest.raises(SystemExit) as ended:
        _run("locate", root, "--workers", 1)
    assert ended.value.code == 1
    out = capsys.readouterr().out
    for line, text in ((2, "missing"), (4, "cannot be read"), (5, "outside the picture")):
        assert any(f"labels.csv:{line}: " in one and text in one for one in out.splitlines())
    assert _box(_rows(root)[1]) is not None


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["picture,expression,gesture", "one.png,fear,ok"], r"line 2: one box cannot be that of"),
        (["picture,task,label", "one.png,expression,joy"], r"line 2: .*no label 'joy'"),
        (["picture,tsk,label", "one.png,expression,fear"], r"did you mean 'task'"),
    ],
)
def test_a_wrong_table_is_refused_and_stays(root: Path, lines: list[str], message: str) -> None:
    before = _write(root, *lines)
    with pytest.raises(DataError, match=message):
        _run("locate", root)
    assert (root / "labels.csv").read_bytes() == before
    assert not (root / "landmarks.npz").exists()


def test_a_table_of_another_encoding_is_refused(root: Path) -> None:
    _write(root, "picture,task,label,who", "one.png,expression,fear,Jörg", encoding="latin-1")
    with pytest.raises(DataError, match=r"not UTF-8.*Save it as UTF-8"):
        _run("locate", root)
    with pytest.raises(DataError, match=r"labels\.csv is missing"):
        _run("locate", root / "nowhere")


def test_labels_of_other_tasks_are_left_alone(root: Path) -> None:
    box = "0.1,0.1,0.4,0.9"
    before = _write(
        root,
        "picture,task,label,x1,y1,x2,y2,other_x1,other_y1,other_x2,other_y2",
        f"two.png,relation,friends,{box},0.6,0.1,0.9,0.9",
    )
    summary = _locate(root)
    assert summary.others == 1
    assert (root / "labels.csv").read_bytes() == before


def _scene(hands: Sequence[Box], owners: Sequence[int | None]) -> Scene:
    """People of whom each has a face at the upper edge, and hands."""
    held = [Hand(i + 1, box, "left", 0.9, 0.0) for i, box in enumerate(hands)]
    pairs = [*zip(held, owners, strict=True)]
    people = tuple(
        Track(
            id=who,
            person=Box(0.0, 0.0, 1.0, 1.0),
            face=Box(0.45, 0.01, 0.55, 0.11),
            hands=tuple(hand for hand, owner in pairs if owner == who),
            first_seen=0.0,
            last_seen=0.0,
        )
        for who in sorted({owner for owner in owners if owner is not None})
    )
    return Scene(people, tuple(hand for hand, owner in pairs if owner is None))


def _at(x: float, y: float) -> Box:
    return Box(x, y, x + 0.02, y + 0.02)


@pytest.mark.parametrize(
    ("hands", "owners", "chosen"),
    [
        ([_at(0.3, 0.2)], [1], 0),
        ([_at(0.3, 0.2)], [None], 0),
        ([_at(0.3, 0.2), _at(0.7, 0.205)], [1, 1], None),  # level
        ([_at(0.3, 0.215), _at(0.7, 0.2)], [1, 1], 1),  # higher by more than half a hand
        ([_at(0.3, 0.2), _at(0.7, 0.95)], [1, 1], 0),  # the other hangs down
        ([_at(0.3, 0.2), _at(0.7, 0.3)], [1, 2], None),
        ([_at(0.3, 0.2), _at(0.7, 0.95)], [1, 2], 0),
        ([_at(0.3, 0.2), _at(0.7, 0.4)], [None, None], None),
        ([_at(0.3, 0.95), _at(0.7, 0.9)], [1, 1], 1),  # none is held up
    ],
)
def test_a_gesture_is_that_of_the_hand_that_is_clearly_held_up(
    hands: list[Box], owners: list[int | None], chosen: int | None
) -> None:
    scene = _scene(hands, owners)
    meant = _meant(scene, 1.0, is_idle=False)
    assert (None if meant is None else meant.box) == (None if chosen is None else hands[chosen])
    assert _meant(scene, 1.0, is_idle=True) is not None


@given(
    hands=st.lists(st.builds(_at, st.floats(0, 0.9), st.floats(0.15, 0.9)), min_size=1, max_size=4),
    owners=st.lists(st.sampled_from([1, 2, None]), min_size=4, max_size=4),
)
def test_one_of_several_idle_hands_is_taken_and_one_that_is_asked_about_if_any_is(
    hands: list[Box], owners: list[int | None]
) -> None:
    meant = _meant(_scene(hands, owners[: len(hands)]), 1.0, is_idle=True)
    assert meant is not None
    pairs = zip(hands, owners, strict=False)
    asked = {hand for hand, owner in pairs if owner is None or hand.centre[1] < WAIST}
    assert {hand.box for hand in meant.hands} <= (asked or {*hands})


_FIELD = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=8)


@settings(max_examples=50)
@given(
    fields=st.lists(st.tuples(_FIELD, _FIELD, _FIELD), min_size=1, max_size=5),
    filled=st.integers(0, 4),
    has_mark=st.booleans(),
)
def test_whatever_stands_in_other_fields_stays(
    tmp_path_factory: pytest.TempPathFactory,
    fields: list[tuple[str, str, str]],
    filled: int,
    *,
    has_mark: bool,
) -> None:
    file = tmp_path_factory.mktemp("table") / "labels.csv"
    with file.open("w", newline="", encoding="utf-8-sig" if has_mark else "utf-8") as opened:
        csv.writer(opened).writerows([("picture", "own", "more"), *fields])
    table = read_boxed_table(file)
    line = 2 + filled % len(fields)
    numbers = table.set_box(line, Box(0.1, 0.2, 0.30004, 0.4), (100, 100))
    table.write(file)
    assert numbers == (0.1, 0.2, 0.3, 0.4)
    assert file.read_bytes().startswith(b"\xef\xbb\xbf") == has_mark
    with file.open(newline="", encoding="utf-8-sig") as opened:
        header, *rows = csv.reader(opened)
    assert header == ["picture", "own", "more", "x1", "y1", "x2", "y2"]
    assert [tuple(row[:3]) for row in rows] == fields
    assert rows[line - 2][3:] == ["0.1000", "0.2000", "0.3000", "0.4000"]
