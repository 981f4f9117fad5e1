"""Other precisions made of a bundle's graphs in fp32, and compared with them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from safetensors.numpy import load_file
from tqdm import tqdm

from sfedge.bundle.graph_io import graph_io
from sfedge.bundle.manifest import GRAPHS, PREFIX_NAME, Manifest
from sfedge_export.activation_ranges import Ranges, calibrate
from sfedge_export.calibration_pictures import Pictures
from sfedge_export.onnx_graphs import check_file
from sfedge_export.operators import CPU
from sfedge_export.precision_agreement import Agreement, check_agreement, compare
from sfedge_export.precision_session import (
    Answers,
    Chain,
    answer_all,
    open_as_written,
    open_session,
)
from sfedge_export.precisions import PRECISIONS, REFERENCE, Write


def add_precisions(
    folder: Path, manifest: Manifest, names: Sequence[str], pictures: Pictures
) -> dict[str, Any]:
    """Write graphs in further precisions into a bundle's folder, all checked.

    Args:
        folder: of a bundle that has fp32.
        manifest: of the bundle.
        names: in `PRECISIONS`.
        pictures: to calibrate and compare on.

    Returns:
        Their entry in the model card.

    Raises:
        BundleError: ONNX or the target refuses a graph, or answers are too far from those in fp32.
    """
    prefix = load_file(folder / PREFIX_NAME)
    ranges, wanted = calibrate(folder / REFERENCE, manifest, prefix, pictures)
    for name in names:
        precision = PRECISIONS[name]
        _write_graphs(folder, folder / name, precision.write, ranges)
        for graph, io in graph_io(manifest).items():
            check_file(folder / name / f"{graph}.onnx", io, precision.operators)
    found = {}
    for name in names:
        agreement = compare(_answers(folder, manifest, name, pictures), wanted, manifest)
        check_agreement(agreement, PRECISIONS[name].least_cosine, where=name)
        found[name] = agreement.to_json()
    return {"pictures": pictures.title, **found}


def agreements(
    folder: Path, manifest: Manifest, names: Sequence[str], pictures: Pictures
) -> dict[str, Agreement]:
    """Precisions of a bundle against its fp32 by name; one after another, as memory is short.

    Args:
        folder: the bundle's.
        manifest: of the bundle.
        names: of the precisions.
        pictures: to ask about.
    """
    wanted = _answers(folder, manifest, REFERENCE, pictures)
    return {
        name: compare(_answers(folder, manifest, name, pictures), wanted, manifest)
        for name in names
    }


def _answers(folder: Path, manifest: Manifest, name: str, pictures: Pictures) -> Answers:
    """What one precision makes of the pictures, or what stands in for it on a CPU."""
    prefix = load_file(folder / PREFIX_NAME)
    if name == REFERENCE or PRECISIONS[name].operators is CPU:
        chain = Chain(folder / name, manifest, prefix, open_session)
    elif rehearse := PRECISIONS[name].rehearse:
        with TemporaryDirectory(prefix="sfedge-") as scratch:
            _write_graphs(folder, Path(scratch) / name, rehearse, {})
            chain = Chain(Path(scratch) / name, manifest, prefix, open_as_written)
    else:
        chain = Chain(folder / name, manifest, prefix, open_as_written)
    return answer_all(chain, manifest, pictures, title=f"Asking {name}")


def _write_graphs(folder: Path, target: Path, write: Write, ranges: Mapping[str, Ranges]) -> None:
    target.mkdir()
    for graph in tqdm(GRAPHS, desc=f"Writing {target.name}", unit="network", disable=None):
        name = f"{graph}.onnx"
        write(folder / REFERENCE / name, target / name, ranges.get(graph, {}))
