import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import small_bundle
from hypothesis import example, given
from hypothesis import strategies as st

from sfedge.bundle.manifest import FileEntry, Manifest, Shape, is_safe_path, parse_manifest
from sfedge.core.errors import BundleError
from sfedge.core.tasks import TASKS


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = small_bundle.make().write(tmp_path_factory.mktemp("bundle") / "small")
    return (root / "bundle.json").read_text()


def test_a_description_survives_the_way_through_its_text(text: str) -> None:
    manifest = parse_manifest(text, where="bundle.json")
    assert manifest.to_json() == text
    other = replace(manifest, name="Ünï ✓", notice='with "quotes"\nand lines', card={"a": [1, {}]})
    assert parse_manifest(other.to_json(), where="bundle.json") == other


def test_a_tasks_rows_are_those_of_its_answers(text: str) -> None:
    manifest = parse_manifest(text, where="bundle.json")
    for task in TASKS.values():
        rows = manifest.rows(task)
        assert tuple(manifest.answers[row] for row in rows) == task.answers


def test_an_unknown_task_is_reported_with_those_there_are(text: str) -> None:
    manifest = parse_manifest(text, where="bundle.json")
    with pytest.raises(BundleError, match=r"no task 'mood'\. It has: expression, gesture"):
        manifest.task("mood")


@pytest.mark.parametrize(("grid", "pool", "tokens"), [(24, 1, 576), (24, 2, 144), (12, 1, 144)])
def test_tokens_are_counted_after_pooling(grid: int, pool: int, tokens: int) -> None:
    shape = Shape(
        grid=grid,
        pool=pool,
        feature_width=8,
        width=8,
        layers=2,
        kv_heads=1,
        head_width=4,
        prefix=9,
    )
    assert shape.tokens == tokens
    assert shape.token_grid**2 == tokens


WRONG: dict[str, Callable[[dict[str, Any]], object]] = {
    "bundle schema 2, this sfedge reads 1. Update sfedge": lambda d: d.update(schema=2),
    "bundle schema '1'": lambda d: d.update(schema="1"),
    "this is no bundle description": lambda d: d.pop("schema"),
    "malformed ('shape')": lambda d: d.pop("shape"),
    "malformed ('prefix')": lambda d: d["shape"].pop("prefix"),
    "0 is not a whole number": lambda d: d["shape"].update(layers=0),
    "True is not a whole number": lambda d: d["shape"].update(kv_heads=True),
    "1.5 is not a whole number": lambda d: d["shape"].update(pool=1.5),
    "-1 is not a file size": lambda d: d["files"][0].update(size=-1),
    "1 is neither true nor false": lambda d: d.update(mirrored=1),
    "None is not text": lambda d: d.update(name=None),
    "not enough values to unpack": lambda d: d["input"].update(mean=[0.5]),
    "could not convert": lambda d: d["input"].update(std=["a", "b", "c"]),
    "view 'foot'": lambda d: d["tasks"][0].update(view="foot"),
    "a file is listed twice": lambda d: d["files"].append(d["files"][0]),
    "files are not listed: ['fp32/gaze.onnx']": lambda d: d.update(
        files=[f for f in d["files"] if f["path"] != "fp32/gaze.onnx"]
    ),
    "files are not listed: ['fp16/encoder.onnx'": lambda d: d["precisions"].append("fp16"),
    "no precision is listed": lambda d: d.update(precisions=[]),
    "no task is listed": lambda d: d.update(tasks=[]),
    "duplicate task": lambda d: d["tasks"].append(d["tasks"][0]),
    "answers without a row: ['Yes']": lambda d: d["answers"].remove("Yes"),
    "a heatmap of less than the whole frame: ['gaze']": lambda d: next(
        task for task in d["tasks"] if task["name"] == "gaze"
    ).update(view="person"),
    "unknown box embedding": lambda d: d.update(box_embedding="within"),
    "not a multiple of the pooling": lambda d: d["shape"].update(pool=3),
    "a standard deviation is not positive": lambda d: d["input"].update(std=[0.1, 0.0, 0.1]),
    "file names that leave the bundle": lambda d: d["files"][0].update(path="../x"),
}


@pytest.mark.parametrize("message", WRONG)
def test_a_wrong_description_is_refused(text: str, message: str) -> None:
    data = json.loads(text)
    WRONG[message](data)
    with pytest.raises(BundleError) as caught:
        parse_manifest(json.dumps(data), where="tiny.zip: bundle.json")
    assert message in str(caught.value)
    assert str(caught.value).startswith("tiny.zip: bundle.json: ")


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "3", "{", '"schema"', "\x00"])
def test_what_is_no_description_is_refused(text: str) -> None:
    with pytest.raises(BundleError, match="this is no bundle description"):
        parse_manifest(text, where="bundle.json")


@given(
    path=st.text(alphabet=st.sampled_from("a./\\:~ \0"), max_size=12)
    | st.text(max_size=12, alphabet=st.characters(exclude_categories=["Cs"]))
)
@example(path="a/../../b")
@example(path="/a")
@example(path="C:a")
@example(path="..")
@example(path="")
def test_a_safe_path_stays_inside_its_folder(path: str) -> None:
    root = Path("/bundles/tiny")
    if is_safe_path(path):
        resolved = Path(f"{root}/{path}").resolve()
        assert resolved.is_relative_to(root)
        assert resolved != root


@pytest.mark.parametrize("path", ["a.onnx", "fp32/a.onnx.data", "a b/ü.onnx", "..a/b", ".hidden"])
def test_ordinary_paths_are_safe(path: str) -> None:
    assert is_safe_path(path)


@given(
    st.builds(
        FileEntry,
        path=st.from_regex(r"[a-z]{1,8}/[a-z.]{1,8}z", fullmatch=True),
        size=st.integers(0, 1 << 50),
        sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
    )
)
def test_any_listed_file_is_read_back(entry: FileEntry) -> None:
    base = Manifest(
        name="n",
        preset="p",
        created="c",
        notice="",
        tasks=tuple(TASKS.values()),
        input=small_bundle.INPUT,
        shape=small_bundle.SHAPE,
        box_embedding="after",
        answers=small_bundle.ROWS,
        precisions=("fp32",),
        files=(
            FileEntry("prefix.safetensors", 1, "0" * 64),
            *(
                FileEntry(f"fp32/{graph}.onnx", 1, "0" * 64)
                for graph in ("encoder", "connector", "trunk", "answer", "gaze")
            ),
            entry,
        ),
        card={},
    )
    assert parse_manifest(base.to_json(), where="").files[-1] == entry
