"""The measure of a model of one's own: who is learned from, what is run, and what the page says."""

import csv
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_benchmarks import tables

from benchmarks import own_model
from sfedge.core.boxes import Box
from sfedge_training.collection.item import Annotation, Item, LabelSource
from sfedge_training.data.sample import Split

FIGURE = {"value": 0.5, "low": 0.25, "high": 0.75}


def item(place: int, label: str, split: Split, by: LabelSource = "people") -> Item:
    box = Box(0.1, 0.2, 0.3, 0.4)
    annotations = (Annotation("gesture", label, by),)
    return Item(f"{place}.jpg", b"picture", "hand", annotations, f"group {place}", split, box)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["train", "test"])), max_size=20))
def test_of_each_label_the_first_half_of_the_held_out_persons_pictures_is_learnt_from(
    made: list[tuple[str, Split]],
) -> None:
    items = [item(place, *one) for place, one in enumerate(made)]
    found = [*own_model.halves(items)]
    assert [one.name for one in found] == [one.name for one in items if one.split == "test"]
    for label in "ab":
        splits = [one.split for one in found if one.labels == (("gesture", label),)]
        assert splits == ["train"] * (len(splits) // 2) + ["test"] * (
            len(splits) - len(splits) // 2
        )


def test_beside_lie_as_many_hands_of_each_label_that_training_has_seen() -> None:
    items = [item(place, "ab"[place % 2], "train") for place in range(40)]
    items += [item(50, "c", "val"), item(51, "c", "train", "network"), item(52, "c", "train")]
    found = [*own_model.hands_beside(items)]
    assert Counter(one.labels[0][1] for one in found) == {"a": 10, "b": 10, "c": 1}
    assert {one.split for one in found} == {"train"}
    assert found[-1].name == "beside/52.jpg"


def test_a_folder_is_written_once(tmp_path: Path) -> None:
    pictures = [*own_model.hands_beside([item(0, "a", "train")])]
    own_model.lay_out(tmp_path, pictures)
    with (tmp_path / "labels.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["picture"] == "beside/0.jpg"
    assert [row[name] for name in ("x1", "y1", "x2", "y2")] == ["0.1", "0.2", "0.3", "0.4"]
    assert (tmp_path / row["picture"]).read_bytes() == b"picture"
    (tmp_path / "labels.csv").write_text("located")
    own_model.lay_out(tmp_path, pictures)
    assert (tmp_path / "labels.csv").read_text() == "located"


def test_each_model_is_trained_and_scored_once_and_stands_on_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []

    def run(words: Sequence[str], *, cwd: Path, check: bool) -> None:
        assert check
        ran.append([*words[2:]])
        if words[2] == "sfedge":
            out = cwd / words[-1]
            out.mkdir(parents=True)
            task: dict[str, Any] = {"samples": 7, "figures": {"accuracy": FIGURE}}
            (out / "score.json").write_text(json.dumps({"tasks": {"gesture": task}}))

    monkeypatch.setattr(own_model.subprocess, "run", run)
    runs = own_model.Runs(tmp_path, {})
    kinds = {own_model.OWN: "data", own_model.BESIDE: "beside"}
    found = own_model.measure(runs, kinds, ["--epochs", "3"])
    done = [words[1] if words[0] != "sfedge_export" else "export" for words in ran]
    assert done == [*["locate"] * 2, *["score"] * 2, *["train", "export", "score", "score"] * 2]
    assert ["sfedge", "score", "data.zip", "others", "--out", "scores/data-others"] in ran
    again = own_model.Runs(tmp_path, json.loads((tmp_path / "seconds.json").read_text()))
    own_model.measure(again, kinds, ["--epochs", "3"])
    assert len(ran) == 12

    _, shown, times = own_model.page(found, runs.seconds)
    ((header, *rows),) = tables(f"{shown}\n")
    assert header[3:] == [own_model.DEFAULT, own_model.OWN, own_model.BESIDE]
    assert rows[0] == ["his, gesture", "7", "right", *["50.0 (25 – 75)"] * 3]
    assert rows[1][0] == "others, gesture"
    assert times.count("sfedge-train locate") == 2
