"""What a bundle is made of: a trained model's graphs, or those of another bundle."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import onnxscript
import torch
from safetensors.numpy import load_file
from safetensors.torch import save
from torch import nn
from tqdm import tqdm

from sfedge.bundle.bundle import open_bundle
from sfedge.bundle.graph_io import graph_io
from sfedge.bundle.manifest import (
    GRAPHS,
    LANDMARKS,
    MANIFEST_NAME,
    PREFIX_NAME,
    SELFTEST_NAME,
    FileEntry,
    Manifest,
    Shape,
)
from sfedge.core.errors import unknown_name
from sfedge.core.tasks import TASKS, Task
from sfedge.system.cache import file_sha256
from sfedge_export.calibration_pictures import Pictures, built_in
from sfedge_export.derive import add_precisions
from sfedge_export.exported_graphs import build_graphs
from sfedge_export.graph_gemms import gemms_by_prompt
from sfedge_export.merge import Merge, merge_lora
from sfedge_export.onnx_graphs import OPSET, write_graph
from sfedge_export.parity import (
    TOLERANCE,
    Difference,
    check_answers,
    check_graph,
    graph_outputs,
    parity_views,
    trained_answers,
)
from sfedge_export.precision_session import Chain, answer_all
from sfedge_export.precisions import DEFAULT, PRECISIONS, REFERENCE
from sfedge_export.prefix import task_prefixes
from sfedge_export.put_in_place import placing
from sfedge_export.selftest_file import write_self_test
from sfedge_training.model.model_config import PRESETS, ModelConfig
from sfedge_training.model.social_fusion import SocialFusion


def export_bundle(
    model: SocialFusion,
    out: Path,
    *,
    name: str,
    created: str,
    notice: str = "",
    mirrored: bool = False,
    card: Mapping[str, Any] | None = None,
    tasks: Iterable[Task] = TASKS.values(),
    precisions: Sequence[str] = DEFAULT,
    pictures: Pictures | None = None,
) -> Manifest:
    """Write `model` as a bundle that the runtime reads, or nothing.

    Args:
        model: on the CPU, in float32 and evaluation mode. It is used up: its adapter is merged into
            its weights, and those are let go once they are written, as two copies of a full-size
            model need more memory than one.
        out: a folder, or a zip where it ends in ".zip"; an earlier bundle there is replaced.
        name: of the model, shown wherever its answers are.
        created: ISO 8601 time in UTC; the same time, model and software give the same bytes.
        notice: limits shown beside every answer.
        mirrored: whether an answer is the mean of those about a view and its mirror image.
        card: data, recipe and scores; parity, agreement, software and sizes are added.
        tasks: what the model was trained to answer.
        precisions: "fp32" and names in `PRECISIONS`.
        pictures: to calibrate and compare precisions on; None for those that are built in.

    Returns:
        The manifest as written.

    Raises:
        UnknownNameError: there is no such precision.
        BundleError: a network cannot be exported, or its answers are not PyTorch's.
        OutputError: `out` is something else than a bundle, or cannot be written.
    """
    _check_precisions(precisions)
    asked = tuple(tasks)
    with placing(out) as folder:
        draft = Manifest(
            name=name,
            preset=_preset(model.config),
            created=created,
            notice=notice,
            tasks=asked,
            input=model.encoder.input,
            shape=_shape(model, asked),
            box_embedding=model.config.box_embedding,
            answers=tuple(model.answer_ids),
            landmarks=None if model.landmark_embedding is None else LANDMARKS,
            mirrored=mirrored,
            precisions=(REFERENCE,),
            files=(),
            card=card or {},
        )
        return _finish(folder, _write_reference(model, folder, draft), precisions, pictures)


def extend_bundle(
    source: Path,
    out: Path,
    *,
    precisions: Sequence[str] = DEFAULT,
    pictures: Pictures | None = None,
) -> Manifest:
    """Write the bundle at `source` anew, in other precisions, all made of its graphs in fp32.

    Args:
        source: a folder or a zip; it may be `out`, which is then replaced.
        out: as `export_bundle` takes it; so are the others.
        precisions: "fp32" and names in `PRECISIONS`.
        pictures: to calibrate and compare precisions on; None for those that are built in.

    Returns:
        The manifest as written.

    Raises:
        UnknownNameError: there is no such precision.
        BundleError: the source is damaged or has no fp32, or a precision is too far from it.
        OutputError: `out` is something else than a bundle, or cannot be written.
    """
    _check_precisions(precisions)
    with placing(out) as folder, open_bundle(source) as bundle:
        bundle.verify()
        manifest = bundle.manifest
        root = bundle.graph_path(REFERENCE, "encoder").parents[1]
        others = tuple(f"{name}/" for name in manifest.precisions if name != REFERENCE)
        for entry in manifest.files:
            if not entry.path.startswith(others):
                (folder / entry.path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(root / entry.path, folder / entry.path)
        return _finish(folder, manifest, precisions, pictures)


def _check_precisions(names: Sequence[str]) -> None:
    known = (REFERENCE, *PRECISIONS)
    for name in names:
        if name not in known:
            unknown_name("precision", name, known, where="--precision")


def _write_reference(model: SocialFusion, folder: Path, draft: Manifest) -> Manifest:
    """Write the graphs in fp32 and the prompts, each compared with PyTorch; uses up `model`."""
    graphs_folder = folder / REFERENCE
    graphs_folder.mkdir()
    views = parity_views(draft.input.size)
    wanted = trained_answers(model, draft, views)
    parameters = _parameters(model)
    llm, merge = merge_lora(model.llm)
    prompts = {task.name: model.prompts[task.name] for task in draft.tasks}
    prefixes = task_prefixes(llm, prompts, draft.shape.prefix)
    (folder / PREFIX_NAME).write_bytes(save(prefixes))
    rows = [model.answer_ids[answer] for answer in draft.answers]
    graphs = build_graphs(model, llm, rows, draft.shape.prefix)
    outputs = {}
    for name, module in tqdm(graphs.items(), desc="Exporting", unit="network", disable=None):
        io = graph_io(draft)[name]
        write_graph(module, io, graphs_folder)
        outputs[name] = graph_outputs(module, io)
    # From here on the weights are needed no more; ONNX Runtime takes as much room for its own.
    del graphs, module
    model.to_empty(device="meta")
    llm.to_empty(device="meta")
    networks = {
        name: check_graph(graphs_folder / f"{name}.onnx", graph_io(draft)[name], output)
        for name, output in outputs.items()
    }
    chain = Chain(graphs_folder, draft, {name: value.numpy() for name, value in prefixes.items()})
    answers = check_answers(answer_all(chain, draft, views, title="Asking ONNX Runtime"), wanted)
    write_self_test(chain, draft, folder)
    versions = {
        "opset": OPSET,
        "torch": torch.__version__,
        "onnx": onnx.__version__,
        "onnxscript": onnxscript.__version__,
        "onnxruntime": onnxruntime.__version__,
    }
    card = {
        "parameters": parameters,
        "parity": _parity(merge, networks, answers),
        "export": versions,
    }
    return replace(draft, card={**draft.card, **card})


def _finish(
    folder: Path, draft: Manifest, precisions: Sequence[str], pictures: Pictures | None
) -> Manifest:
    """Add precisions to a folder that holds fp32 and the prompts, and describe all of it."""
    derived = [name for name in PRECISIONS if name in precisions]
    graphs = {name: folder / REFERENCE / f"{name}.onnx" for name in GRAPHS}
    card = {name: value for name, value in draft.card.items() if name != "agreement"}
    lengths = [keys.shape[3] for keys in load_file(folder / PREFIX_NAME).values()]
    card["products"] = {name: gemms_by_prompt(path, lengths) for name, path in graphs.items()}
    if not (folder / SELFTEST_NAME).exists():  # of a bundle from before there were any
        write_self_test(
            Chain(folder / REFERENCE, draft, load_file(folder / PREFIX_NAME)), draft, folder
        )
    if derived:
        card["agreement"] = add_precisions(folder, draft, derived, pictures or built_in())
    if REFERENCE not in precisions:
        shutil.rmtree(folder / REFERENCE)
    manifest = replace(
        draft,
        precisions=tuple(name for name in (REFERENCE, *PRECISIONS) if name in precisions),
        files=tuple(_entry(path, folder) for path in sorted(folder.rglob("*")) if path.is_file()),
        card=card,
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
    """The name of the network's settings, wherever its weights are from; "custom" without one."""
    bare = config.without_weights()
    return next((n for n, preset in PRESETS.items() if preset.without_weights() == bare), "custom")


def _entry(path: Path, folder: Path) -> FileEntry:
    return FileEntry(path.relative_to(folder).as_posix(), path.stat().st_size, file_sha256(path))


def _parity(
    merge: Merge | None, networks: Mapping[str, Difference], answers: Mapping[str, Difference]
) -> dict[str, Any]:
    return {
        "tolerance": TOLERANCE,
        "lora": merge.to_json() if merge else None,
        REFERENCE: {
            "networks": {name: found.to_json() for name, found in networks.items()},
            "tasks": {name: found.to_json() for name, found in answers.items()},
        },
    }


def _parameters(model: SocialFusion) -> dict[str, int]:
    """Numbers of weights by part; tied ones count once."""
    lora = sum(p.numel() for name, p in model.llm.named_parameters() if "lora_" in name)
    parts: dict[str, nn.Module] = {
        "encoder": model.encoder,
        "connector": model.connector,
        "language_model": model.llm,
        "gaze_head": model.gaze_head,
    }
    if model.landmark_embedding is not None:
        parts["landmark_embedding"] = model.landmark_embedding
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}
    return {
        **counts,
        "language_model": counts["language_model"] - lora,
        "lora": lora,
        "box_embedding": model.box_embedding.numel(),
    }
