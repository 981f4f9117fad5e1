"""`check`: whole datasets counted, compared with what is published, and looked over for damage."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from click.testing import CliRunner, Result
from clips import write_clip

from sfedge.core.errors import DataError
from sfedge.core.tasks import TASKS
from sfedge_training.analysis.check import check, examine
from sfedge_training.data import LOADERS, published
from sfedge_training.data.published import Fact, facts_for

_GREY = np.full((8, 8, 3), 99, np.uint8)


def _run(*words: object) -> Result:
    return CliRunner().invoke(check, [str(word) for word in words])


def _picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(_GREY).save(path)


def _hagrid(root: Path, users: dict[str, list[str]], gesture: str = "ok") -> Path:
    """A release with one picture for each user of each split."""
    for split, names in users.items():
        rows = {}
        for place, user in enumerate(names):
            rows[f"{split}-{place}"] = {"labels": [gesture], "user_id": user, "bboxes": []}
            _picture(root / "images" / gesture / f"{split}-{place}.jpg")
        path = root / "annotations" / split / f"{gesture}.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(rows))
    return root


_USERS = {"train": ["u1", "u2", "u2"], "val": ["u3"], "test": ["u4", "u5"]}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Published numbers of a release as small as `_USERS`."""
    facts = [
        Fact("hagrid", (split,), "pictures", "", len(users), "this test")  # type: ignore[arg-type]
        for split, users in _USERS.items()
    ]
    monkeypatch.setattr(published, "_FACTS", tuple(facts))


@pytest.mark.usefixtures("small")
def test_a_whole_dataset_is_counted_by_split_and_class_and_ends_with_0(tmp_path: Path) -> None:
    ended = _run("hagrid", _hagrid(tmp_path, _USERS), "--pictures")
    assert ended.exit_code == 0, ended.output
    lines = [line.split() for line in ended.stdout.splitlines()]
    assert ["samples", "train", "val", "test"] in lines
    assert ["gesture", "3", "1", "2"] in lines
    assert ["ok", "3", "1", "2"] in lines
    assert ["call", "0", "0", "0"] in lines  # a class that nothing was found of
    assert "Pictures decoded: 6, of which broken: 0" in ended.stdout
    assert ended.stdout.count("fits") == 3
    assert ended.stdout.endswith("Whole.\n")


def test_other_counts_than_the_published_end_with_1(tmp_path: Path) -> None:
    ended = _run("hagrid", _hagrid(tmp_path, _USERS))
    assert ended.exit_code == 1
    assert "3 of   821,458  DIFFERS  (README of hukenovs/hagrid)" in ended.stdout
    assert ended.stdout.endswith("Not whole: counts that differ from the published ones: 3.\n")


@pytest.mark.usefixtures("small")
def test_a_missing_picture_ends_with_1_and_is_named(tmp_path: Path) -> None:
    _hagrid(tmp_path, _USERS)
    (tmp_path / "images" / "ok" / "val-0.jpg").unlink()
    ended = _run("hagrid", tmp_path)
    assert ended.exit_code == 1
    assert "Missing or damaged\n  val          1 x picture is missing (first: " in ended.stdout
    assert "val-0.jpg" in ended.stdout
    assert (
        "Not whole: rows whose file is missing or damaged: 1." in ended.stdout
    )  # while the counts of rows still fit


@pytest.mark.usefixtures("small")
def test_a_broken_picture_is_found_only_by_decoding(tmp_path: Path) -> None:
    _hagrid(tmp_path, _USERS)
    (tmp_path / "images" / "ok" / "train-1.jpg").write_bytes(b"cut off")
    assert _run("hagrid", tmp_path).exit_code == 0
    ended = _run("hagrid", tmp_path, "--pictures")
    assert ended.exit_code == 1
    assert "Pictures decoded: 6, of which broken: 1" in ended.stdout
    assert "train-1.jpg" in ended.stdout


@pytest.mark.usefixtures("small")
def test_a_person_in_two_splits_ends_with_1_and_is_named(tmp_path: Path) -> None:
    ended = _run("hagrid", _hagrid(tmp_path, {**_USERS, "val": ["u2"]}))
    assert ended.exit_code == 1
    assert "Groups in two splits: 1\n  gesture: u2 in train and val" in ended.stdout


@pytest.mark.usefixtures("small")
def test_a_split_that_is_not_there_is_reported_and_the_others_are_read(tmp_path: Path) -> None:
    ended = _run("hagrid", _hagrid(tmp_path, {"train": ["u1", "u2", "u2"]}), "--json")
    assert ended.exit_code == 1
    printed = json.loads(ended.stdout)
    assert printed["splits"].keys() == {"train"}
    assert printed["unreadable"].keys() == {"val", "test"}
    assert "annotations" in printed["unreadable"]["val"]
    assert [one["fits"] for one in printed["published"]] == [True]
    assert printed["problems"] == ["splits that cannot be read: 2"]


def test_nothing_at_all_is_one_error(tmp_path: Path) -> None:
    ended = _run("gazefollow", tmp_path)
    assert isinstance(ended.exception, DataError)
    assert "train_annotations_release.txt is missing" in str(ended.exception)


def _gazefollow(root: Path) -> Path:
    middle = "0,.1,.1,.3,.8,.2,.3,.5,.5"
    lines = {"train": [], "test": [f"test2/1.jpg,{middle},4,4,1,1,coco,x"]}
    for place in range(40):
        inout = (1, 0, -1)[place % 3]
        lines["train"].append(f"train/{place}.jpg,{middle},1,1,4,4,{inout},coco,x")
        _picture(root / "train" / f"{place}.jpg")
    _picture(root / "test2" / "1.jpg")
    for part, rows in lines.items():
        (root / f"{part}_annotations_release.txt").write_text("\n".join(rows))
    return root


def test_defects_that_every_copy_has_are_reported_with_an_example_and_end_with_0(
    tmp_path: Path,
) -> None:
    ended = _run("gazefollow", _gazefollow(tmp_path))
    assert ended.exit_code == 0, ended.output
    assert "Repaired or noted\n  test         1 x head box was inverted (first: " in ended.stdout
    assert "x target lies outside the frame (first: " in ended.stdout
    assert "x marked invalid" in ended.stdout
    assert "Missing or damaged" not in ended.stdout
    assert "No published counts" in ended.stdout


def test_json_tells_the_same_as_the_text(tmp_path: Path) -> None:
    printed = json.loads(_run("gazefollow", _gazefollow(tmp_path), "--json").stdout)
    kept = {split: report["kept"]["gaze"]["all"] for split, report in printed["splits"].items()}
    dropped = {s: sum(report["dropped"].values()) for s, report in printed["splits"].items()}
    assert kept["train"] + kept["val"] == 14  # every third of 40
    assert dropped["train"] + dropped["val"] == 26
    assert printed["splits"]["test"]["repaired"] == {"head box was inverted": 1}
    assert printed["splits"]["test"]["examples"]["head box was inverted"].endswith(".txt:1")
    assert (printed["problems"], printed["pictures_decoded"]) == ([], None)


def _pisc(root: Path, **lists: list[str]) -> Path:
    files: dict[str, Any] = {
        "annotation_image_info": [
            {"id": key, "imgW": 8, "imgH": 8, "bbox": [[0, 0, 4, 8], [4, 0, 8, 8]]}
            for key in (1, 2, 3)
        ],
        "domain": {key: {"1 2": 1} for key in "123"},
        "relationship": {key: {"1 2": 1} for key in "123"},
    }
    for task in ("domain", "relation"):
        for part in ("train", "valid", "test"):
            folder = "domain_split" if task == "domain" else "relationship_split"
            files[f"{folder}/{task}_{part}idx"] = lists.get(f"{task}_{part}", [])
    for name, value in files.items():
        path = root / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))
    for key in "123":
        _picture(root / "image" / f"0000{key}.jpg")
    return root


def test_piscs_tasks_may_share_pictures_over_splits_but_one_task_may_not(tmp_path: Path) -> None:
    shared = _pisc(tmp_path / "a", domain_train=["1", "2"], relation_test=["1"])
    assert examine("pisc", shared).overlaps == []
    leaky = _pisc(tmp_path / "b", domain_train=["1", "2"], domain_test=["2"])
    assert [dataclasses.astuple(one) for one in examine("pisc", leaky).overlaps] == [
        ("domain", "2", ("train", "test"))
    ]


def test_published_counts_are_those_of_the_lists_not_of_what_was_kept(tmp_path: Path) -> None:
    root = _pisc(tmp_path, relation_train=["1", "2", "3"])
    (root / "image" / "00002.jpg").unlink()
    findings = examine("pisc", root)
    (friends,) = (c for c in findings.comparisons if c.fact.label == "friends")
    assert (friends.found, friends.fact.count) == (3, 12_686)
    assert findings.reports["train"].kept["relation", "friends"] == 2


def test_held_out_parts_are_put_together_before_they_are_compared(tmp_path: Path) -> None:
    for part, count in (("train_set", 60), ("val_set", 2)):
        (tmp_path / part / "annotations").mkdir(parents=True)
        for key in range(count):
            np.save(tmp_path / part / "annotations" / f"{key}_exp.npy", np.array("3"))
            _picture(tmp_path / part / "images" / f"{key}.jpg")
    found = {c.fact: c.found for c in examine("affectnet", tmp_path).comparisons}
    surprise = {f.label: n for f, n in found.items() if f.splits == ("train", "val")}
    assert (surprise["surprise"], surprise[""], surprise["fear"]) == (60, 60, 0)
    assert [n for f, n in found.items() if f.splits == ("test",)] == [2]


def test_frames_of_clips_are_decoded_too(tmp_path: Path) -> None:
    face = {"x": 1, "y": 1, "width": 20, "height": 20}
    for part, clip in (("train", "a"), ("train", "b"), ("val", "c")):
        track = {"track_id": "t", "track": [face | {"frame": n} for n in (1, 2)]}
        people = [{"person_id": "1", "camera_wearer": False, "tracking_paths": [track]}]
        looks = [{"person": "1", "start_frame": 1, "end_frame": 1}]
        printed = {"clip_uid": clip, "persons": people, "social_segments_looking": looks}
        for folder in ("split", "json", "videos"):
            (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / "split" / f"{part}.list").write_text(clip)
        (tmp_path / "json" / f"av_{part}.json").write_text(
            json.dumps({"videos": [{"clips": [printed]}]})
        )
        write_clip(tmp_path / "videos" / f"{clip}.mp4", 4, size=(64, 48))
    findings = examine("ego4d_lam", tmp_path, decodes=True)
    assert (findings.decoded, findings.broken) == (2, [])


def test_drawings_are_compared_with_nothing(tmp_path: Path) -> None:
    (tmp_path / "drawings.json").write_text("{}")
    ended = _run("hagrid", _hagrid(tmp_path / "hagrid", _USERS))
    assert ended.exit_code == 0, ended.output
    assert ended.stdout.splitlines()[0].endswith("hagrid, drawings")
    assert "No published counts" in ended.stdout


def test_own_pictures_are_checked_like_the_others(tmp_path: Path) -> None:
    rows = [f"{n}.jpg,expression,fear" for n in range(4)]
    (tmp_path / "labels.csv").write_text("\n".join(["picture,task,label", *rows]))
    for place in range(4):
        _picture(tmp_path / f"{place}.jpg")
    ended = _run("folder", tmp_path, "--pictures")
    assert ended.exit_code == 0, ended.output
    assert "Pictures decoded: 4, of which broken: 0" in ended.stdout
    (tmp_path / "labels.csv").write_text("picture,task,label\n1.jpg,expression,fea\n")
    assert "did you mean 'fear'" in str(_run("folder", tmp_path).exception)


@pytest.mark.parametrize("name", [name for name in LOADERS if name != "folder"])
def test_every_published_number_names_its_source_and_a_class_that_exists(
    tmp_path: Path, name: str
) -> None:
    for marker in ("annotation_image_info.json", "train_set", "val_set"):
        (tmp_path / marker).touch()
    facts = facts_for(name, tmp_path)
    assert len({(f.splits, f.unit, f.label) for f in facts}) == len(facts)
    for fact in facts:
        assert fact.source
        assert not fact.label or fact.label in TASKS[fact.unit].labels


@pytest.mark.parametrize(("name", "unit", "splits"), [
    ("pisc", "domain", ("train",)),
    ("pisc", "relation", ("train",)),
    ("affectnet", "expression", ("train", "val")),
])  # fmt: skip
def test_published_classes_add_up_to_the_published_whole(
    tmp_path: Path, name: str, unit: str, splits: tuple[str, ...]
) -> None:
    for marker in ("annotation_image_info.json", "train_set"):
        (tmp_path / marker).touch()
    facts = [f for f in facts_for(name, tmp_path) if f.unit == unit and f.splits == splits]
    (total,) = (fact.count for fact in facts if not fact.label)
    assert sum(fact.count for fact in facts if fact.label) == total
    assert {fact.label for fact in facts if fact.label} == {*TASKS[unit].labels}
