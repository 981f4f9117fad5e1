"""`sfedge-train collect`: small sources in the real ones' layouts become one labelled folder."""

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray
from small_sources import GROUND, hand_picture, small_sources

from sfedge.core.errors import DataError
from sfedge.detect.conversion import networks
from sfedge_training.__main__ import main
from sfedge_training.collection import collect as collecting
from sfedge_training.collection import many_pictures
from sfedge_training.collection.looking import NETWORKS, Found, Looker
from sfedge_training.data import labelled_folder as folder
from sfedge_training.data.landmark_store import STORE, landmark_key, read_landmarks


@pytest.fixture
def data(tmp_path: Path, astronaut: NDArray[np.uint8]) -> Path:
    small_sources(tmp_path / "data", astronaut)
    return tmp_path / "data"


def _run(*words: object) -> None:
    main.main([str(word) for word in words], standalone_mode=False)


def _rows(out: Path) -> list[dict[str, str]]:
    with (out / "folder" / "labels.csv").open(newline="") as file:
        return [*csv.DictReader(file)]


def test_the_sources_become_a_folder_that_trains(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    _run("collect", data, out, "--workers", 1)
    rows = _rows(out)
    found = Counter(
        (row["picture"].split("/")[0], row["task"], row["label"], row["label_source"])
        for row in rows
    )
    look = "looking_at_me"
    assert found == {
        ("hagrid-crops", "gesture", "palm", ""): 2,
        ("hagrid-crops", "gesture", "no_gesture", ""): 1,
        ("hagrid-crops", "gesture", "four", "network"): 1,
        ("hagrid-crops", "gesture", "two_up", "landmarks"): 1,  # the palm is seen
        ("sign-digits", "gesture", "grip", "likeness"): 2,
        ("sign-digits", "gesture", "one", ""): 1,
        ("sign-digits", "gesture", "three3", "likeness"): 1,
        ("sign-digits", "gesture", "no_gesture", ""): 1,
        ("sign-digits", "gesture", "palm", ""): 1,
        ("idle-hands", "gesture", "no_gesture", ""): 2,
        ("sign-letters", "gesture", "thumb_index", "likeness"): 2,
        ("sign-letters", "gesture", "fist", "likeness"): 1,
        ("fairface", "expression", "anger", ""): 1,
        ("fairface", "expression", "happiness", ""): 1,
        ("fairface", "expression", "happiness", "blendshapes"): 1,
        ("fairface", look, "looking", ""): 1,
        ("fairface", look, "looking", "blendshapes"): 2,
        ("studio-faces", "expression", "neutral", ""): 2,
        ("studio-faces", "expression", "happiness", ""): 1,
        ("studio-faces", look, "looking", ""): 3,
        ("portraits", look, "not_looking", ""): 1,
        ("generated-faces", "expression", "sadness", "query"): 1,
        ("generated-faces", look, "not_looking", "query"): 1,
    }
    assert {row["split"] for row in rows if row["picture"] == "fairface/train/29238.jpg"} == {
        "test"
    }
    assert {row["race"] for row in rows if row["picture"].startswith("fairface/")} == {"Black"}
    assert {row["race"] for row in rows if row["picture"].startswith("studio")} == {""}
    assert {
        bool(row["lightness"]) for row in rows if row["task"] == look and row["split"] != "train"
    } == {True}
    assert {row["lightness"] for row in rows if row["split"] == "train"} == {""}
    groups = {(row["group"], row["split"]) for row in rows}
    assert len(groups) == len({group for group, _ in groups})  # each in one split
    by_file = {row["picture"]: row["group"] for row in rows}
    assert by_file["hagrid-crops/palm/one.jpg"] == by_file["hagrid-crops/none/one.jpg"]
    smile, neutral = "smiling_front/001_08.jpg", "neutral_front/001_03.jpg"
    assert by_file[f"studio-faces/{smile}"] == by_file[f"studio-faces/{neutral}"]
    assert by_file[f"studio-faces/{neutral}"] != by_file["studio-faces/canada/001f.jpg"]

    loaded = [folder.load(out / "folder", split) for split in ("train", "val", "test")]
    samples = [sample for dataset in loaded for sample in dataset.samples]
    lost = sum((dataset.report.dropped for dataset in loaded), Counter())
    assert len(samples) + lost.total() == len(rows)
    assert {
        reason for reason in lost if "gesture" not in reason and "pseudo-label" not in reason
    } == set()
    for sample in samples:
        assert sample.landmarks is not None
        assert bool(sample.landmarks.hands) == (sample.task == "gesture")
        assert (sample.landmarks.face is not None) == (sample.task != "gesture")
    weak = {row["picture"] for row in rows if row["label_source"]} - {
        row["picture"] for row in rows if not row["label_source"]
    }
    scored = {str(s.image.relative_to(out / "folder")) for d in loaded[1:] for s in d.samples}
    assert not scored & weak
    table = (out / "folder" / "labels.csv").read_bytes()
    assert "palm" in capsys.readouterr().out

    monkeypatch.setattr(many_pictures, "Looker", None)  # nothing is left to look at
    _run("collect", data, out, "--workers", 1)
    assert (out / "folder" / "labels.csv").read_bytes() == table


def test_a_run_that_was_stopped_goes_on(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("gesture-crops.zip", "faces-fairface.zip", "sign-digits.zip"):
        (data / name).unlink()
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    _run("collect", data, whole, "--workers", 1)
    looked = collecting._look
    seen: list[Path] = []

    def until_interrupted(looker: Looker, job: collecting._Job) -> list[Found]:
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.append(job[0])
        return looked(looker, job)

    with monkeypatch.context() as soon:
        soon.setattr(collecting, "_look", until_interrupted)
        soon.setattr(many_pictures, "_CHUNK", 1)
        with pytest.raises(KeyboardInterrupt):
            collecting.collect_into(stopped, data, networks.fetch(NETWORKS))
    again: list[Path] = []

    def noting(looker: Looker, job: collecting._Job) -> list[Found]:
        again.append(job[0])
        return looked(looker, job)

    monkeypatch.setattr(collecting, "_look", noting)
    collecting.collect_into(stopped, data, networks.fetch(NETWORKS))
    assert len(again) == 5 - 3  # of three studio faces, a portrait and a generated face
    assert not set(again) & set(seen)
    for name in ("labels.csv", "landmarks.npz"):
        assert (stopped / "folder" / name).is_file()
    assert _rows(stopped) == _rows(whole)


def test_a_folder_without_sources_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of the sources.*gesture-crops\.zip"):
        collecting.collect_into(tmp_path / "out", tmp_path, {})


def test_renderings_bring_their_hands_and_faces_for_training_alone(
    tmp_path: Path, data: Path, astronaut: NDArray[np.uint8]
) -> None:
    for file in data.iterdir():
        if file.name != "portraits-cc0.zip":
            file.unlink()
    made = tmp_path / "made"
    people = made / "hagrid"
    sheet = PIL.Image.new("RGB", (960, 640), GROUND)
    sheet.paste(PIL.Image.fromarray(hand_picture()), (0, 0))
    one = {"bboxes": [[0.1, 0.15, 0.2, 0.35], [0.7, 0.6, 0.1, 0.2], [0.5, 1.0, 0.1, 0.0]]}
    one |= {"labels": ["palm", "no_gesture", "no_gesture"], "united_bbox": None}
    both = {"bboxes": [[0.1, 0.15, 0.2, 0.35], [0.3, 0.15, 0.1, 0.2]], "labels": ["holy", "holy"]}
    both |= {"united_bbox": [[0.1, 0.15, 0.3, 0.35]], "united_label": ["holy"]}
    for split in ("train", "test"):
        for label, row in (("palm", one), ("holy", both)):
            table = people / "annotations" / split / f"{label}.json"
            picture = people / "images" / label / f"{split}.jpg"
            for path in (table, picture):
                path.parent.mkdir(parents=True, exist_ok=True)
            table.write_text(json.dumps({split: {**row, "user_id": "somebody"}}))
            sheet.save(picture, quality=95)
    out = tmp_path / "out"
    _run("collect", data, out, "--workers", 1, "--rendered", made)

    rows = [row for row in _rows(out) if row["picture"].startswith("rendered-made/")]
    assert {row["split"] for row in rows} == {"train"}
    assert {row["label_source"] for row in rows} == {"rendering"}
    found = Counter((row["picture"], row["label"]) for row in rows)
    assert found == {
        ("rendered-made/hagrid/train-0.jpg", "palm"): 1,
        ("rendered-made/hagrid/train-1.jpg", "no_gesture"): 1,
        ("rendered-made/hagrid/train.jpg", "holy"): 1,
    }
    with PIL.Image.open(out / "folder" / "rendered-made/hagrid/train-0.jpg") as cut:
        hand = next(row for row in rows if row["label"] == "palm")
        corners = [float(hand[name]) for name in ("x1", "y1", "x2", "y2")]
        # the hand lies in the cut as it lay in the picture, with half of its box around
        assert cut.size == pytest.approx((2 * 0.2 * 960, 640 * (0.15 + 0.35 * 1.5)), abs=2)
        size = ((corners[2] - corners[0]) * cut.width, (corners[3] - corners[1]) * cut.height)
        assert size == pytest.approx((0.2 * 960, 0.35 * 640), rel=0.15)
    # its box is the one that a run draws around the hand's points
    points = (
        read_landmarks(out / "folder" / STORE)[
            landmark_key("rendered-made/hagrid/train-0.jpg", corners)
        ]
        .hands[0]
        .points[:, :2]
    )
    low, high = points.min(axis=0), points.max(axis=0)
    flesh = 0.12 * (high - low)
    assert corners == pytest.approx([*(low - flesh), *(high + flesh)], abs=1e-3)

    with pytest.raises(DataError, match="no rendered hands or faces"):
        _run("collect", data, out, "--workers", 1, "--rendered", tmp_path)
