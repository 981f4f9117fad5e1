"""Inputs and outputs of each graph of a bundle: names and shapes, all float32.

Prompts are as long as the bundle's longest here. A graph may leave their length free, so that
shorter ones go in as they are; else they are padded on the left.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sfedge.bundle.manifest import Manifest
from sfedge.core.errors import EngineError
from sfedge.core.tasks import HEATMAP_SIZE

FLOAT = "float32"
Dims = tuple[int, ...]  # of one sample: the batch dimension, always the first and free, is left out
# Inputs with a prompt's length among their sizes, and which it is, counted with the batch.
PROMPT_AXES = {"past": 4, "past_last": 3, "padding": 1}


@dataclass(frozen=True, slots=True)
class GraphIO:
    """Inputs and outputs of one graph by name, each with its shape behind the batch."""

    name: str
    inputs: Mapping[str, Dims]
    outputs: Mapping[str, Dims]


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output as an engine found it in a graph."""

    name: str
    type: str  # numpy's name of the element type
    shape: Sequence[int | str | None]  # batch first; a size that is free is no number


def graph_io(manifest: Manifest) -> dict[str, GraphIO]:
    """The inputs and outputs of each graph; `docs/bundle.md` explains the names."""
    shape = manifest.shape
    features = (shape.grid**2, shape.feature_width)
    tokens = (manifest.tokens, shape.width)
    landmarks = {} if manifest.landmarks is None else {"landmarks": (manifest.landmarks.width,)}
    kv = (2, shape.kv_heads, shape.prefix, shape.head_width)
    is_before = manifest.box_embedding == "before"
    last = {"hidden": tokens, "past_last": kv, "padding": (shape.prefix,)}
    graphs = (
        GraphIO(
            "encoder",
            {"images": (3, manifest.input.size, manifest.input.size)},
            {"features": features},
        ),
        GraphIO(
            "connector",
            {
                "features": features,
                **landmarks,
                **({"box_mask": (shape.grid**2,)} if is_before else {}),
            },
            {"tokens": tokens},
        ),
        GraphIO(
            "trunk",
            {
                "tokens": tokens,
                **({} if is_before else {"box_mask": (shape.tokens,)}),
                "past": (shape.layers - 1, *kv),
                "padding": (shape.prefix,),
            },
            {"hidden": tokens},
        ),
        GraphIO("answer", last, {"logits": (len(manifest.answers),)}),
        GraphIO("gaze", last, {"heatmap": (HEATMAP_SIZE, HEATMAP_SIZE)}),
    )
    return {graph.name: graph for graph in graphs}


def leaves_prompts_free(inputs: Sequence[Port]) -> bool:
    """Whether a graph takes prompts of any length, or takes none."""
    return not any(
        isinstance(port.shape[PROMPT_AXES[port.name]], int)
        for port in inputs
        if port.name in PROMPT_AXES
    )


def check_ports(
    io: GraphIO, inputs: Sequence[Port], outputs: Sequence[Port], *, where: str
) -> None:
    """Compare what a graph really takes and gives with its contract.

    Raises:
        EngineError: a name, element type or size differs; all differences in one message.
    """
    problems = [
        *_differences("input", io.inputs, inputs),
        *_differences("output", io.outputs, outputs),
    ]
    if problems:
        raise EngineError(
            f"the {io.name} graph does not fit the bundle's description: {'; '.join(problems)}",
            where=where,
            fix="Export the bundle again.",
        )


def _differences(kind: str, wanted: Mapping[str, Dims], found: Sequence[Port]) -> list[str]:
    ports = {port.name: port for port in found}
    problems = [f"{kind} {name!r} is missing" for name in wanted if name not in ports]
    problems += [f"{kind} {name!r} is unknown" for name in ports if name not in wanted]
    for name, dims in wanted.items():
        port = ports.get(name)
        if port is None:
            continue
        if port.type != FLOAT:
            problems.append(f"{kind} {name!r} is {port.type}, not {FLOAT}")
        if not _fits(port, dims):
            sizes = ", ".join(str(size) for size in port.shape)
            problems.append(
                f"{kind} {name!r} is [{sizes}], not [batch, {', '.join(map(str, dims))}]"
            )
    return problems


def _fits(port: Port, dims: Dims) -> bool:
    if len(port.shape) != len(dims) + 1 or isinstance(port.shape[0], int):
        return False
    prompt = PROMPT_AXES.get(port.name)
    return all(
        found == wanted or (axis == prompt and not isinstance(found, int))
        for axis, (found, wanted) in enumerate(zip(port.shape[1:], dims, strict=True), start=1)
    )
