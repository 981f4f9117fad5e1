"""`sfedge engine`: native engines for this device."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import click

from sfedge.bundle.bundle import open_bundle
from sfedge.bundle.graph_io import Dims
from sfedge.cli.bars import build_bar, download_bar
from sfedge.core.config import DEFAULT_DETECTOR
from sfedge.core.errors import EngineError, unknown_name
from sfedge.detect.conversion import networks
from sfedge.detect.registry import networks_of
from sfedge.engines import compiled, trt_build
from sfedge.engines.small_network import AS_IS, NetworkSet
from sfedge.engines.trt import BACKENDS, check_built, load_tensorrt, state
from sfedge.inference.selftest import tested_models

_EPILOG = """\b
Examples:
  sfedge engine build
  sfedge engine build my-bundle.zip --precision fp16 --max-batch 4
  sfedge engine build --detector face.json
  sfedge engine list
  sfedge engine verify
  sfedge engine remove --stale
"""
_Built: TypeAlias = tuple[compiled.EngineSet, Path]  # what was built, and the folder it is in
_json_option = click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")


@click.group(epilog=_EPILOG)
def engine() -> None:
    """Compile graphs of bundles and detectors for this device; list or remove what is compiled."""


@engine.command(epilog=_EPILOG)
@click.argument("bundle", type=click.Path(path_type=Path), required=False)
@click.option(
    "--backend",
    type=click.Choice(list(BACKENDS)),
    help="Library that compiles and runs them. [the first that is installed]",
)
@click.option(
    "--detector",
    metavar="NAME|FILE.json",
    help="Build the networks of this detector, and no bundle.",
)
@click.option("--precision", help="One that the bundle has. [fp16, else bf16, else fp32]")
@click.option(
    "--max-batch",
    type=click.IntRange(1, trt_build.MAX_BATCH),
    default=8,
    show_default=True,
    help="Most queries that one run may answer.",
)
@click.option(
    "--workspace",
    type=click.IntRange(1),
    metavar="MIB",
    help="Memory of the device that a layer may work in. [all of it]",
)
@click.option(
    "--timing-cache",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File for TensorRT's measurements. [one in the user's cache]",
)
@_json_option
def build(
    bundle: Path | None,
    backend: str | None,
    detector: str | None,
    precision: str | None,
    max_batch: int,
    workspace: int | None,
    timing_cache: Path | None,
    as_json: bool,
) -> None:
    """Build native engines from BUNDLE, a folder or zip; without one, from the default model.

    Takes minutes for a large model. The engines go into the user's cache and run on this device,
    with this driver and this version of TensorRT only; those of an earlier build are replaced. The
    default detector's networks are built, too, where they are in the cache and were not built yet.
    """
    backend = backend or trt_build.default_backend()
    if backend == "tensorrt-rtx" and timing_cache is not None:
        raise click.UsageError("TensorRT-RTX measures nothing, so it keeps no --timing-cache.")
    if detector is not None and (bundle is not None or precision is not None):
        raise click.UsageError("--detector is built without a bundle, as its files are.")
    load_tensorrt(backend)  # before anything is promised
    how = _How(backend, None if workspace is None else workspace << 20, timing_cache)
    if detector is not None:
        with download_bar() as fetching:
            built = _build_networks(*networks_of(detector, progress=fetching), how)
    else:
        built = _build_bundle(bundle, precision, max_batch, how)
    if not as_json:
        _tell(*built)
    row = _as_json(*built)
    if detector is None and (found := _build_default_detector(how)) is not None:
        row["detector"] = _as_json(*found)
        if not as_json:
            _tell(*found)
    if as_json:
        click.echo(json.dumps(row, indent=1, ensure_ascii=False))


@dataclass(frozen=True, slots=True)
class _How:
    """How engines are built."""

    backend: str
    workspace: int | None  # bytes
    timing_cache: Path | None


def _build_bundle(bundle: Path | None, precision: str | None, max_batch: int, how: _How) -> _Built:
    backend = how.backend
    with open_bundle(bundle) as opened, build_bar() as progress:
        precision = precision or trt_build.default_precision(opened, backend)
        click.echo(
            f"{backend} builds {opened.manifest.name} in {precision}. "
            f"{_memory_to_build(trt_build.memory_to_build(opened, precision))} "
            f"{_memory_to_run(trt_build.memory_to_run(opened, precision, max_batch))}",
            err=True,
        )
        return trt_build.build_engines(
            opened,
            precision=precision,
            max_batch=max_batch,
            progress=progress,
            **asdict(how),
        )


def _build_networks(detector: NetworkSet, picture: Dims, how: _How) -> _Built:
    click.echo(f"{how.backend} builds the networks of {detector.name}.", err=True)
    with build_bar() as progress:
        return trt_build.build_networks(detector, picture, progress=progress, **asdict(how))


def _build_default_detector(how: _How) -> _Built | None:
    """Build the default detector's networks; None where they are missing, or are built already."""
    if networks.missing(networks.DETECTING):
        click.echo(
            f"The networks of {DEFAULT_DETECTOR} are not in the cache, so they were not built. "
            f"Run: sfedge engine build --detector {DEFAULT_DETECTOR}; it fetches them.",
            err=True,
        )
        return None
    detector, picture = networks_of(DEFAULT_DETECTOR, offline=True)
    try:
        check_built(how.backend, compiled.folder_of(detector.sha256, how.backend, AS_IS))
    except EngineError:
        return _build_networks(detector, picture, how)
    return None


def _tell(engines: compiled.EngineSet, folder: Path) -> None:
    device = engines.machine.device
    where = device.name if device else "any device its builder knows"
    click.echo(f"{engines.bundle}, {engines.precision}, for {where}, by {engines.machine.builder}")
    for item in engines.engines:
        click.echo(f"  {item.file:<18} {item.size / 1e6:8.1f} MB")
    click.echo(f"in {folder}")


@engine.command(name="list")
@_json_option
def list_(as_json: bool) -> None:
    """List the compiled engines and whether they run here, without checking their hashes."""
    rows = _rows()
    if as_json:
        click.echo(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    for row in rows:
        size = f"{row['bytes'] / 1e6:.1f} MB"
        click.echo(f"{row['id']}  {row['bundle'] or 'unknown'}  {size}  {_state(row)}")
    click.echo(f"In {compiled.root()}" if rows else "No engine was built yet.")


@engine.command()
@_json_option
def verify(as_json: bool) -> int:
    """Check the hash of every engine; exit code 1 where one may not be loaded.

    What the engine trt-ep keeps is ONNX Runtime's own: here is looked only at who may write it.
    """
    rows = _rows(is_thorough=True)
    if as_json:
        click.echo(json.dumps(rows, indent=1, ensure_ascii=False))
    else:
        for row in rows:
            click.echo(f"{row['id']}  {_state(row)}")
        if not rows:
            click.echo("No engine was built yet.")
    return 0 if all(row["state"] == "ready" for row in rows) else 1


@engine.command()
@click.argument("ids", metavar="[ID]…", nargs=-1)
@click.option("--stale", is_flag=True, help="Remove engines that do not run here.")
@click.option("--all", "is_all", is_flag=True, help="Remove all.")
@_json_option
def remove(ids: tuple[str, ...], stale: bool, is_all: bool, as_json: bool) -> None:
    """Delete engines by ID, as `sfedge engine list` shows it."""
    if not (ids or stale or is_all):
        raise click.UsageError("Name an ID, --stale or --all.")
    rows = {row["id"]: row for row in _rows()}
    for name in ids:
        if name not in rows:
            unknown_name("engine", name, rows)
    chosen = [
        row
        for row in rows.values()
        if is_all or row["id"] in ids or (stale and row["state"] != "ready")
    ]
    freed = sum(compiled.remove(Path(row["folder"])) for row in chosen)
    if as_json:
        click.echo(json.dumps({"removed": [row["id"] for row in chosen], "bytes": freed}, indent=1))
        return
    names = ", ".join(row["id"] for row in chosen) or "nothing"
    click.echo(f"Removed {names}; {freed / 1e6:.1f} MB are free again.")


def _rows(*, is_thorough: bool = False) -> list[dict[str, Any]]:
    """A line about each folder of engines."""
    rows = [_row(folder, is_thorough=is_thorough) for folder in compiled.folders()]
    names = tested_models() | {row["bundle_sha256"]: row["bundle"] for row in rows if row["bundle"]}
    rows += [_runtime_row(folder, names) for folder in compiled.runtime_folders()]
    return sorted(rows, key=lambda row: str(row["id"]))


def _row(folder: Path, *, is_thorough: bool) -> dict[str, Any]:
    """A line about the engines in a folder, whether they are usable or not."""
    row = _found(folder)
    try:
        engines = compiled.read(folder)
        row |= _as_json(engines, folder)
        row["state"] = state(engines) or "ready"
        if is_thorough:
            for built in engines.engines:
                compiled.checked_file(engines, folder, built.graph)
    except EngineError as error:
        row["state"] = f"refused: {error.what}"
    return row


def _runtime_row(folder: Path, names: Mapping[str, str]) -> dict[str, Any]:
    """A line about what ONNX Runtime keeps in a folder.

    Args:
        folder: where that is.
        names: of models, by the sha256 of their bundle.
    """
    row = _found(folder) | {
        "bundle": names.get(folder.parent.name, ""),
        "bundle_sha256": folder.parent.name,
        "backend": compiled.RUNTIME,
        "precision": folder.name.removeprefix(f"{compiled.RUNTIME}-"),
        "note": "ONNX Runtime's own, which checks itself whether it fits",
    }
    try:
        compiled.check_private(folder)
    except EngineError as error:
        row["state"] = f"refused: {error.what}"
    return row


def _found(folder: Path) -> dict[str, Any]:
    """The facts about a folder of engines; a link is not followed."""
    files = [] if folder.is_symlink() else list(folder.iterdir())
    return {
        "id": compiled.identifier(folder),
        "bundle": "",
        "state": "ready",
        "bytes": sum(path.lstat().st_size for path in files),
        "folder": str(folder),
    }


def _state(row: Mapping[str, Any]) -> str:
    note = row.get("note")
    return f"{row['state']} ({note})" if note else str(row["state"])


def _as_json(engines: compiled.EngineSet, folder: Path) -> dict[str, Any]:
    return {**asdict(engines), "folder": str(folder)}


def _memory_to_build(needed: int) -> str:
    """The memory that a build needs and what is free, in sentences."""
    text = f"The build needs about {needed / 1e9:.1f} GB of memory"
    free = trt_build.memory_free()
    if free is None:
        return f"{text}."
    if free < needed:
        return f"{text}, {free / 1e9:.1f} GB are free: the system may end it."
    return f"{text}, {free / 1e9:.1f} GB are free."


def _memory_to_run(size: int) -> str:
    return (
        f"The engines will take {size / 1e9:.1f} GB of the device's memory, plus TensorRT's "
        "workspace."
    )
