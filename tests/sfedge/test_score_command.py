"""`sfedge score` as a user calls it, on a few photographs, beside `sfedge run` on the same."""

import csv
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_bundle
from numpy.typing import NDArray
from PIL import Image
from scenes import DRAWN_BUNDLE, Finished

from sfedge.core.tasks import TASKS
from sfedge.results.records import read_records

Command = Callable[..., Finished]
# Faces of the two photographs, in fractions, as a person would draw them around the whole head.
ASTRONAUT, ADMIRAL = "0.32,0.05,0.57,0.42", "0.32,0.1,0.69,0.6"
HEADER = "picture,task,label,x1,y1,x2,y2,gaze_x,gaze_y,group,age"
ROWS = (
    f"one.png,expression,happiness,{ASTRONAUT},,,a,40",
    f"two.jpg,expression,neutral,{ADMIRAL},,,b,70",
    "deep/empty.png,expression,neutral,,,,,,,c,40",
    "two.jpg,expression,unclear,,,,,,,b,70",
    "two.jpg,looking_at_me,No,,,,,,,b,70",
    f"one.png,gaze,,{ASTRONAUT},0.4,0.6,a,40",
    f"one.png,gaze,,{ASTRONAUT},0.6,0.6,a,40",
    "one.png,expression,fear,0.0,0.7,0.2,0.9,,,a,40",
    "lost.png,expression,fear,,,,,,,d,",
)


@dataclass(frozen=True)
class Scored:
    """What the command left."""

    folder: Path
    out: Path
    finished: Finished

    @property
    def figures(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.out / "score.json").read_text())
        return found

    @property
    def answers(self) -> list[dict[str, str]]:
        with (self.out / "answers.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))


def run(*words: object) -> Finished:
    """The command in this process, without a fixture, so that a module shares what it left."""
    from contextlib import redirect_stderr, redirect_stdout
    from io import StringIO

    from sfedge.cli import main

    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    assert isinstance(ended.value.code, int)
    return Finished(ended.value.code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory,
    astronaut: NDArray[np.uint8],
    admiral: NDArray[np.uint8],
) -> Path:
    root = tmp_path_factory.mktemp("labelled")
    (root / "deep").mkdir()
    Image.fromarray(astronaut).save(root / "one.png")
    Image.fromarray(admiral).save(root / "two.jpg", quality=95)
    Image.new("RGB", (300, 200), (90, 120, 150)).save(root / "deep" / "empty.png")
    (root / "labels.csv").write_text("\n".join([HEADER, *ROWS]) + "\n")
    return root


@pytest.fixture(scope="module")
def scored(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Scored:
    out = tmp_path_factory.mktemp("score") / "new" / "score"
    return Scored(folder, out, run("score", DRAWN_BUNDLE, folder, "--out", out, "--by", "age"))


def test_the_files_are_there_and_the_losses_are_reported(scored: Scored) -> None:
    finished = scored.finished
    assert finished.code == 1, finished.err  # a picture is missing
    assert "pictures that are missing: 1" in finished.err
    assert "labels that are unclear: 1" in finished.err
    assert "Learnt from drawings only" in finished.err
    assert [line.split()[0] for line in finished.out.splitlines()[:-1]] == [
        *("expression", "looking_at_me", "gaze")
    ]
    assert {path.name for path in scored.out.iterdir()} == {
        *("score.md", "score.json", "answers.csv"),
        *("confusion-expression.png", "confusion-looking_at_me.png"),
    }


def test_an_answer_is_the_one_that_a_run_gives(scored: Scored, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for name in ("one.png", "two.jpg"):
        (flat / name).write_bytes((scored.folder / name).read_bytes())
    assert run("run", flat, "--out", tmp_path / "out", "--no-video").code == 0
    (records,) = (tmp_path / "out").glob("*.jsonl")
    said = {
        (row["file"], row["task"]): row
        for row in read_records(records)
        if row["type"] == "prediction"
    }
    compared = 0
    for answer in scored.answers:
        if answer["outcome"] not in ("right", "wrong", "answered"):
            continue
        row = said[answer["picture"], answer["task"]]
        compared += 1
        assert answer["is_unsure"] == str(row["is_unsure"]).lower()
        if answer["task"] == "gaze":
            x, y = (float(value) for value in answer["answer"].split())
            assert (x, y) == pytest.approx(row["point"], abs=1e-4)
            assert float(answer["distance"]) == pytest.approx(np.hypot(x - 0.5, y - 0.6), abs=1e-3)
            continue
        assert answer["answer"] == row["label"]
        assert float(answer["probability"]) == pytest.approx(row["probability"], abs=1e-4)
        order = sorted(row["probabilities"], key=lambda label: -row["probabilities"][label])
        assert int(answer["rank"]) == order.index(answer["label"]) + 1
        assert (answer["outcome"] == "right") == (answer["label"] == answer["answer"])
    assert compared == 4


def test_who_is_not_found_counts_as_wrong_and_is_counted_separately(scored: Scored) -> None:
    outcomes = {(row["picture"], row["line"]): row["outcome"] for row in scored.answers}
    assert outcomes["deep/empty.png", "4"] == "not found"
    assert outcomes["one.png", "9"] == "not found"  # a box where nobody is
    expression = scored.figures["tasks"]["expression"]
    right = sum(row["outcome"] == "right" for row in scored.answers if row["task"] == "expression")
    assert expression["samples"] == 4
    assert expression["figures"]["accuracy"]["value"] == right / 4
    assert expression["figures"]["not_found"]["value"] == 0.5
    assert sum(row[-1] for row in expression["confusion"]["counts"]) == 2


def test_the_figures_say_where_they_come_from(scored: Scored) -> None:
    found = scored.figures
    assert found["model"]["name"] == "sfedge demo"
    assert len(found["model"]["sha256"]) == len(found["table_sha256"]) == 64
    assert found["pictures"] == {"scored": 3, "missing": ["lost.png"], "unreadable": {}}
    assert found["labels"]["in_table"] == len(ROWS)
    assert found["settings"]["smoothing"] == 0
    assert found["packages"]["numpy"]
    assert found["tasks"]["gaze"]["samples"] == 1  # of two annotators
    assert set(found["tasks"]["expression"]["by"]["age"]["values"]) == {"40", "70"}
    page = (scored.out / "score.md").read_text()
    for name in ("## expression", "## gaze", "### By age", "Learnt from drawings only"):
        assert name in page
    assert "confusion-expression.png" in page


@pytest.fixture
def plain(folder: Path, tmp_path: Path) -> Callable[..., Path]:
    """Writes a table of other columns beside the pictures."""

    def write(*lines: str) -> Path:
        table = folder / f"{tmp_path.name}.csv"
        table.write_text("\n".join(lines) + "\n")
        return table

    return write


def test_without_a_bundle_the_default_model_is_scored(
    plain: Callable[..., Path], tmp_path: Path, command: Command
) -> None:
    table = plain("file,expression", "one.png,happiness")
    named, found = (
        json.loads(command("score", *words, "--json", "--out", tmp_path / "score").out)
        for words in ((DRAWN_BUNDLE, table), (table,))
    )
    assert found["model"] == named["model"]
    assert found["tasks"] == named["tasks"]


def test_a_table_of_files_and_labels_needs_the_task_only(
    plain: Callable[..., Path], tmp_path: Path, command: Command
) -> None:
    table = plain("file,label,width", "one.png,smiling,512", "two.jpg,tired,512")
    words = ("--rename", "smiling=happiness", "--rename", "tired=", "--out", tmp_path / "score")
    finished = command("score", DRAWN_BUNDLE, table, "--task", "expression", "--json", *words)
    assert finished.code == 0, finished.err
    found = json.loads(finished.out)
    assert [*found["tasks"]] == ["expression"]
    assert found["tasks"]["expression"]["samples"] == 1
    assert found["labels"]["unclear"] == 1


def test_pseudo_labels_are_no_truth_to_score_by(
    plain: Callable[..., Path], tmp_path: Path, command: Command
) -> None:
    table = plain("file,label,label_source", "one.png,happiness,", "two.jpg,neutral,blendshapes")
    words = ("--task", "expression", "--json", "--out", tmp_path / "score")
    finished = command("score", DRAWN_BUNDLE, table, *words)
    assert finished.code == 0, finished.err
    found = json.loads(finished.out)
    assert found["tasks"]["expression"]["samples"] == 1
    assert found["labels"]["pseudo_labels"] == 1
    assert "pseudo-labels, no truth to score by: 1" in finished.err


def test_columns_named_after_tasks_hold_their_labels(
    plain: Callable[..., Path], tmp_path: Path, command: Command
) -> None:
    table = plain("file,expression,looking_at_me", "one.png,happiness,", "two.jpg,,no")
    finished = command(
        *("score", DRAWN_BUNDLE, table, "--json", "--limit", 1, "--out", tmp_path / "score")
    )
    assert finished.code == 0, finished.err
    found = json.loads(finished.out)
    assert len(found["tasks"]) == 1
    assert found["labels"]["beyond_limit"] == 1


@pytest.mark.parametrize(
    ("lines", "words", "code", "message"),
    [
        (("file,label", "one.png,ok"), (), 1, "Name the task, and the column"),
        (("file,label", "one.png,okk"), ("--task", "gesture"), 1, "no label 'okk' .*'ok'"),
        (("file,label", "one.png,ok"), ("--task", "gestur"), 2, "Did you mean 'gesture'"),
        (
            ("file,label", "one.png,ok"),
            ("--column", "label"),
            2,
            "--column: a column holds the labels of one task. Name that task.",
        ),
        (("file,label", "gone.png,ok"), ("--task", "gesture"), 1, "none of its 1 pictures is"),
        (("file,lable", "one.png,ok"), ("--task", "gesture"), 1, "did you mean 'label'"),
        (
            ("file,label,age", "one.png,ok,3"),
            ("--task", "gesture", "--by", "agee"),
            2,
            "no column is called 'agee'. Did you mean 'age'",
        ),
        (
            ("file,label,split", "one.png,ok,test"),
            ("--task", "gesture", "--split", "tset"),
            2,
            "Did you mean 'test'",
        ),
        (("file,label", "one.png,ok"), ("--task", "gesture", "--rename", "ok"), 2, "OWN=LABEL"),
    ],
)
def test_what_is_wrong_is_reported_in_a_sentence(
    plain: Callable[..., Path],
    tmp_path: Path,
    command: Command,
    lines: tuple[str, ...],
    words: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    finished = command("score", DRAWN_BUNDLE, plain(*lines), *words, "--out", tmp_path / "score")
    assert finished.code == code
    assert finished.err.count("\n") == 1
    assert re.search(message, finished.err), finished.err
    assert not (tmp_path / "score").exists()


def test_a_bundle_without_a_folder_is_reported(command: Command, tmp_path: Path) -> None:
    finished = command("score", DRAWN_BUNDLE, "--out", tmp_path / "score")
    assert (finished.code, finished.err.count("\n")) == (2, 1)
    assert f"Run: sfedge score {DRAWN_BUNDLE} FOLDER" in finished.err


def test_a_table_of_pseudo_labels_alone_is_reported(
    plain: Callable[..., Path], tmp_path: Path, command: Command
) -> None:
    table = plain("file,label,label_source", "one.png,happiness,network")
    finished = command(
        *("score", DRAWN_BUNDLE, table, "--task", "expression", "--out", tmp_path / "score")
    )
    assert finished.code == 1
    assert "all its labels are pseudo-labels (column label_source)" in finished.err


def test_a_task_that_the_bundle_lacks_is_a_sentence(
    plain: Callable[..., Path], tmp_path: Path, command: Command
) -> None:
    bundle = small_bundle.make().write(
        tmp_path / "bundle", tasks=(TASKS["expression"], TASKS["gaze"])
    )
    table = plain("file,label", "one.png,ok")
    finished = command("score", bundle, table, "--task", "gesture")
    assert finished.code == 2
    assert "was not trained for the task 'gesture'. It answers expression, gaze." in finished.err
    mixed = plain("file,task,label", "one.png,gesture,ok")
    finished = command("score", bundle, mixed, "--out", tmp_path / "score")
    assert finished.code == 1
    assert "the model has none of its tasks (gesture)" in finished.err


def test_pictures_that_cannot_be_read_are_counted(
    plain: Callable[..., Path], folder: Path, tmp_path: Path, command: Command
) -> None:
    (folder / "broken.png").write_bytes(b"no picture")
    table = plain("file,expression", "one.png,fear", "broken.png,fear")
    finished = command("score", DRAWN_BUNDLE, table, "--out", tmp_path / "score")
    assert finished.code == 1
    assert "pictures that cannot be read: 1" in finished.err
    alone = plain("file,expression", "broken.png,fear")
    finished = command("score", DRAWN_BUNDLE, alone, "--out", tmp_path / "score")
    assert (finished.code, finished.err.count("\n")) == (1, 1)
    assert "broken.png: no picture could be read" in finished.err


def test_pictures_that_the_model_may_have_learned_from_are_remarked_on(
    plain: Callable[..., Path], tmp_path: Path, command: Command
) -> None:
    card = {"data": {"samples": {"folder": {"expression: fear": 2}}}}
    bundle = small_bundle.make().write(tmp_path / "bundle", tasks=(TASKS["expression"],), card=card)
    table = plain("file,expression", "one.png,fear", "two.jpg,fear", "deep/empty.png,fear")
    words = ("score", bundle, table, "--out", tmp_path / "score", "--json")
    seen, held_out = command(*words), command(*words, "--split", "test")
    assert (seen.code, held_out.code) == (0, 0)
    assert "pictures that it has seen" in seen.err
    assert "pictures that it has seen" not in held_out.err
    assert json.loads(seen.out)["pictures"]["scored"] == 3
    found = json.loads(held_out.out)
    assert (found["split"], found["pictures"]["scored"]) == ("test", 1)
    assert found["labels"]["in_other_splits"] == 2


def test_labels_that_are_never_the_answer_are_remarked_on(
    plain: Callable[..., Path], tmp_path: Path, command: Command
) -> None:
    task = replace(TASKS["expression"], unproven=("fear", "disgust"))
    bundle = small_bundle.make().write(tmp_path / "bundle", tasks=(task,))
    out = tmp_path / "score"
    table = plain("file,expression", "one.png,fear", "two.jpg,neutral")
    finished = command("score", bundle, table, "--out", out)
    assert (
        "The model never answers fear (expression), which nobody has shown it to know: 1 of 2 "
        "labels count as wrong."
    ) in finished.err
    table = plain("file,expression", "two.jpg,neutral")
    assert "never answers" not in command("score", bundle, table, "--out", out).err


def test_the_final_split_is_scored_where_none_is_named(
    plain: Callable[..., Path], tmp_path: Path, command: Command
) -> None:
    table = plain(
        "file,expression,split", "one.png,fear,train", "two.jpg,fear,final", "gone.png,fear,test"
    )
    finished = command("score", DRAWN_BUNDLE, table, "--out", tmp_path / "score", "--json")
    assert finished.code == 0, finished.err
    found = json.loads(finished.out)
    assert (found["split"], found["pictures"]["scored"]) == ("final", 1)
