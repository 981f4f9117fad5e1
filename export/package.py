"""Writes a bundle: everything checked in a folder beside it, then moved into place at once."""

import shutil
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx
import onnxruntime
import onnxscript
import torch
from safetensors.torch import save
from tqdm import tqdm

from export.graphs import build_graphs
from export.merge import Merge, merge_lora
from export.onnx_graphs import OPSET, write_graph
from export.parity import TOLERANCE, Difference, check_answers, check_graph
from export.prefix import task_prefixes
from sfedge.bundle import open_bundle
from sfedge.cache import file_sha256
from sfedge.errors import OutputError
from sfedge.graphs import graph_io
from sfedge.manifest import MANIFEST_NAME, PREFIX_NAME, FileEntry, Manifest, Shape
from sfedge.tasks import TASKS, Task
from training.config import PRESETS, ModelConfig
from training.model import SocialFusion

_PRECISION = "fp32"
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the same bytes whenever it is written


def export_bundle(
    model: SocialFusion,
    out: Path,
    *,
    name: str,
    created: str,
    notice: str = "",
    card: Mapping[str, Any] | None = None,
    tasks: Iterable[Task] = TASKS.values(),
) -> Manifest:
    """Write `model` as a bundle that the runtime reads, or nothing.

    Args:
        model: on the CPU, in float32 and evaluation mode.
        out: a folder, or a zip where it ends in ".zip"; an earlier bundle there is replaced.
        name: of the model, shown wherever its answers are.
        created: ISO 8601 time in UTC; the same time, model and software give the same bytes.
        notice: limits shown beside every answer.
        card: data, recipe and scores; parity, software and sizes are added.
        tasks: what the model was trained to answer.

    Returns:
        The manifest as written.

    Raises:
        BundleError: a network cannot be exported, or its answers are not PyTorch's.
        OutputError: `out` is something else than a bundle, or cannot be written.
    """
    _check_target(out)
    asked = tuple(tasks)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
            folder = Path(scratch) / "bundle"
            manifest = _write_folder(
                model,
                folder,
                Manifest(
                    name=name,
                    preset=_preset(model.config),
                    created=created,
                    notice=notice,
                    tasks=asked,
                    input=model.encoder.input,
                    shape=_shape(model, asked),
                    box_embedding=model.config.box_embedding,
                    answers=tuple(model.answer_ids),
                    precisions=(_PRECISION,),
                    files=(),
                    card=card or {},
                ),
            )
            if out.suffix == ".zip":
                packed = pack(folder, Path(scratch) / "bundle.zip")
                _verify(packed)
                packed.replace(out)
            else:
                _verify(folder)
                _move(folder, out, aside=Path(scratch) / "earlier")
    except OSError as error:
        raise OutputError(f"the bundle cannot be written ({error})", where=str(out)) from error
    return manifest


def _write_folder(model: SocialFusion, folder: Path, draft: Manifest) -> Manifest:
    """Write all files of a bundle; `draft` lacks their list and what is measured here."""
    graphs_folder = folder / _PRECISION
    graphs_folder.mkdir(parents=True)
    llm, merge = merge_lora(model.llm)
    prompts = {task.name: model.prompts[task.name] for task in draft.tasks}
    prefixes = task_prefixes(llm, prompts, draft.shape.prefix)
    (folder / PREFIX_NAME).write_bytes(save(prefixes))
    rows = [model.answer_ids[answer] for answer in draft.answers]
    networks = {}
    graphs = build_graphs(model, llm, rows, draft.shape.prefix)
    for name, module in tqdm(graphs.items(), desc="Exporting", unit="network", disable=None):
        io = graph_io(draft)[name]
        networks[name] = check_graph(module, write_graph(module, io, graphs_folder), io)
    arrays = {name: prefix.numpy() for name, prefix in prefixes.items()}
    answers = check_answers(model, draft, arrays, graphs_folder)
    manifest = replace(
        draft,
        files=tuple(_entry(path, folder) for path in sorted(folder.rglob("*")) if path.is_file()),
        card={
            **draft.card,
            "parameters": _parameters(model),
            "parity": _parity(merge, networks, answers),
            "export": {
                "opset": OPSET,
                "torch": torch.__version__,
                "onnx": onnx.__version__,
                "onnxscript": onnxscript.__version__,
                "onnxruntime": onnxruntime.__version__,
            },
        },
    )
    (folder / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")
    return manifest


def _shape(model: SocialFusion, tasks: Sequence[Task]) -> Shape:
    llama = model.lm.config
    return Shape(
        grid=model.encoder.grid,
        pool=model.config.pool,
        feature_width=model.encoder.width,
        width=llama.hidden_size,
        layers=llama.num_hidden_layers,
        kv_heads=llama.num_key_value_heads or llama.num_attention_heads,
        head_width=model.lm.model.layers[0].self_attn.head_dim,
        prefix=max(len(model.prompts[task.name]) for task in tasks),
    )


def _preset(config: ModelConfig) -> str:
    """The name of the settings, "custom" where they have none."""
    return next((name for name, preset in PRESETS.items() if preset == config), "custom")


def _entry(path: Path, folder: Path) -> FileEntry:
    return FileEntry(path.relative_to(folder).as_posix(), path.stat().st_size, file_sha256(path))


def _parity(
    merge: Merge | None, networks: Mapping[str, Difference], answers: Mapping[str, Difference]
) -> dict[str, Any]:
    return {
        "tolerance": TOLERANCE,
        "lora": merge.to_json() if merge else None,
        _PRECISION: {
            "networks": {name: found.to_json() for name, found in networks.items()},
            "tasks": {name: found.to_json() for name, found in answers.items()},
        },
    }


def _parameters(model: SocialFusion) -> dict[str, int]:
    """Numbers of weights by part; tied ones count once."""
    lora = sum(p.numel() for name, p in model.llm.named_parameters() if "lora_" in name)
    parts = {
        "encoder": model.encoder,
        "connector": model.connector,
        "language_model": model.llm,
        "gaze_head": model.gaze_head,
    }
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}
    return {
        **counts,
        "language_model": counts["language_model"] - lora,
        "lora": lora,
        "box_embedding": model.box_embedding.numel(),
    }


def _check_target(out: Path) -> None:
    """Refuse to replace what is no bundle, before anything is computed.

    Raises:
        OutputError: something else is there.
    """
    if not out.exists() or (out.suffix != ".zip" and out.is_dir() and not any(out.iterdir())):
        return
    is_bundle = (out / MANIFEST_NAME).is_file()
    if out.suffix == ".zip" and zipfile.is_zipfile(out):
        with zipfile.ZipFile(out) as archive:
            is_bundle = MANIFEST_NAME in archive.namelist()
    if not is_bundle:
        raise OutputError(
            "this is no bundle, so it is not replaced", where=str(out), fix="Choose another --out."
        )


def pack(folder: Path, target: Path) -> Path:
    """Write the folder's files as a zip: compressed, sorted, without times or owners."""
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _ZIP_TIME)
                entry.external_attr = 0o644 << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.file_size = path.stat().st_size  # tells zipfile when it needs Zip64
                with path.open("rb") as file, archive.open(entry, "w") as packed:
                    shutil.copyfileobj(file, packed)
    return target


def _move(folder: Path, out: Path, aside: Path) -> None:
    """Put the folder at `out`; what stood there goes aside, and comes back if that fails."""
    try:
        if out.exists():
            out.replace(aside)
        folder.replace(out)
    except BaseException:
        if aside.exists() and not out.exists():
            aside.replace(out)
        raise


def _verify(path: Path) -> None:
    """Open the bundle as the runtime does, every hash included."""
    with open_bundle(path) as bundle:
        bundle.verify()
        bundle.prefix()
