"""`sfedge info`: what a model bundle says of itself, once its files are verified."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from sfedge.bundle.bundle import Bundle, open_bundle
from sfedge.bundle.manifest import Manifest
from sfedge.core.tasks import Task

_EPILOG = """\b
Examples:
  sfedge info
  sfedge info my-bundle.zip --json
"""


@click.command(epilog=_EPILOG)
@click.argument("bundle", type=click.Path(path_type=Path), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the description as JSON.")
def info(bundle: Path | None, as_json: bool) -> None:
    """Verify BUNDLE and show its contents: tasks, sizes, training data, scores.

    BUNDLE is a folder or a zip; without one, the default model is described.
    """
    with open_bundle(bundle) as opened:
        opened.verify()
        if as_json:
            facts = {"source": str(opened.source), "sha256": opened.sha256}
            facts |= json.loads(opened.manifest.to_json())
            click.echo(json.dumps(facts, indent=1, ensure_ascii=False))
        else:
            click.echo("\n".join(_lines(opened)))


def _lines(bundle: Bundle) -> list[str]:
    manifest = bundle.manifest
    shape, read = manifest.shape, manifest.landmarks
    turned = ", and its mirror image: an answer is of the mean" if manifest.mirrored else ""
    landmarks = f" behind {read.tokens} of landmarks ({read.layout})" if read else ""
    rows = [
        ("model", manifest.name),
        ("notice", manifest.notice or "none"),
        ("preset", f"{manifest.preset}, made {manifest.created}"),
        ("bundle", f"{bundle.source}, sha256 {bundle.sha256}"),
        ("input", f"{manifest.input.size} x {manifest.input.size} pixels{turned}"),
        (
            "network",
            f"{shape.tokens} image tokens{landmarks}, "
            f"{shape.layers} blocks of width {shape.width}, "
            f"prompts of up to {shape.prefix} tokens",
        ),
        ("precisions", ", ".join(f"{p} ({_size(manifest, p)})" for p in manifest.precisions)),
    ]
    lines = [f"{name:<12} {text}" for name, text in rows]
    lines += ["", "Tasks"] + [f"  {_task_line(task)}" for task in manifest.tasks]
    lines += ["", "Model card", *_card_lines(manifest.card, "  ")]
    lines += ["", "Files (all verified)"]
    lines += [f"  {entry.size:>12}  {entry.sha256[:16]}…  {entry.path}" for entry in manifest.files]
    return lines


def _task_line(task: Task) -> str:
    answer = f"{len(task.labels)} labels" if task.output == "label" else "heatmap"
    view = f"{task.view} +{task.margin:.0%}" if task.margin else task.view
    unsure = f", unsure below {task.threshold:g}" if task.threshold else ""
    labels = f": {', '.join(task.labels)}" if task.labels else ""
    never = f"; never the answer: {', '.join(task.unproven)}" if task.unproven else ""
    boxes = ("", ", one box marked", ", two boxes marked")[task.boxes]
    return f"{task.name} (sees the {view}{boxes}, {answer}{unsure}){labels}{never}"


def _size(manifest: Manifest, precision: str) -> str:
    total = sum(e.size for e in manifest.files if e.path.startswith(f"{precision}/"))
    return f"{total / 1e6:.1f} MB"


def _card_lines(card: Mapping[str, Any], indent: str) -> list[str]:
    """Nested entries as an indented list; the card's shape is its writer's."""
    lines: list[str] = []
    for name, value in card.items():
        if isinstance(value, Mapping):
            flat = all(not isinstance(item, Mapping | list) for item in value.values())
            if flat and value:
                lines.append(f"{indent}{name}: {', '.join(f'{k} {v}' for k, v in value.items())}")
            else:
                lines += [f"{indent}{name}:", *_card_lines(value, indent + "  ")]
        elif isinstance(value, list):
            lines.append(f"{indent}{name}: {', '.join(map(str, value))}")
        else:
            lines.append(f"{indent}{name}: {value}")
    return lines
