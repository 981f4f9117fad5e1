"""docs/bundle.md names everything that a bundle holds."""

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest

from sfedge.bundle.bundle import open_bundle
from sfedge.bundle.graph_io import graph_io
from sfedge.bundle.manifest import (
    GRAPHS,
    LANDMARKS,
    MANIFEST_NAME,
    PREFIX_NAME,
    SCHEMA,
    FileEntry,
    LandmarkInput,
    Manifest,
    Shape,
)
from sfedge.core.preprocess import InputSpec
from sfedge.core.tasks import Task

DOCS = (Path(__file__).parents[2] / "docs" / "bundle.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", [Manifest, Shape, InputSpec, LandmarkInput, Task, FileEntry])
def test_every_field_is_described(kind: type) -> None:
    assert [f.name for f in fields(kind) if f"`{f.name}`" not in DOCS] == []


def test_every_graph_input_and_output_is_described(small_bundle: Path) -> None:
    with open_bundle(small_bundle) as bundle:
        graphs = graph_io(replace(bundle.manifest, landmarks=LANDMARKS))
    for name, io in graphs.items():
        (line,) = [line for line in DOCS.splitlines() if line.startswith(f"| {name} |")]
        for port in io.outputs:
            assert f"`{port}`" in line
        for port in io.inputs if name != "gaze" else ():  # gaze takes what answer takes
            assert f"`{port}`" in line


def test_every_part_of_the_card_that_export_writes_is_described(small_bundle: Path) -> None:
    card = json.loads((small_bundle / MANIFEST_NAME).read_text())["card"]
    parity = card["parity"]
    names = {*card, *parity, *parity["lora"], *parity["fp32"], *parity["fp32"]["tasks"]["gaze"]}
    assert [name for name in names - {"fp32"} if f"`{name}`" not in DOCS] == []


def test_files_and_schema_are_those_of_the_code() -> None:
    for name in (MANIFEST_NAME, PREFIX_NAME, *(f"{graph}.onnx" for graph in GRAPHS)):
        assert name in DOCS
    assert f"version of this format, now {SCHEMA};" in DOCS
