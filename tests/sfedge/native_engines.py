"""Native TensorRT engines: of a small bundle built and opened; altered as they lie on disk."""

import json
from dataclasses import replace
from pathlib import Path

from sfedge.bundle.bundle import Bundle
from sfedge.bundle.graph_io import graph_io
from sfedge.engines import compiled, trt
from sfedge.engines.compiled import EngineSet
from sfedge.engines.engine import Engine
from sfedge.engines.trt_build import build_engines


def build(bundle: Bundle, max_batch: int = 3) -> tuple[EngineSet, Path]:
    return build_engines(bundle, backend="tensorrt", precision="fp32", max_batch=max_batch)


def connector(bundle: Bundle, folder: Path) -> Engine:
    """One engine, the smallest, with one input where boxes enter after it."""
    return trt.build("tensorrt", Path(), graph_io(bundle.manifest)["connector"], folder)


def change(folder: Path, graph: str = "connector", **changes: object) -> None:
    """Alter what a graph's engine says of itself, and make the record fit it again."""
    path = folder / f"{graph}.engine"
    path.write_bytes(json.dumps({**json.loads(path.read_bytes()), **changes}).encode())
    record_anew(folder)


def record_anew(folder: Path) -> None:
    """Make the record fit the files."""
    engine_set = compiled.read(folder)
    built = [
        replace(one, sha256=compiled.cache.file_sha256(folder / one.file))
        for one in engine_set.engines
    ]
    compiled.save(replace(engine_set, engines=tuple(built)), folder)
