"""A trained model at half its size, to be packed: `python -m sfedge_training.loop.halve MODEL OUT`.

Weights are rounded to fp16: what begins from them learns on, and what is only run is exported from
the model itself.
"""

import shutil
from pathlib import Path

import click
import torch
from safetensors.torch import save_file
from torch import Tensor

from sfedge.core.errors import DataError
from sfedge_training.loop.checkpoint import load_recipe, read_tensors, replacing
from sfedge_training.loop.json_files import read_json, write_json
from sfedge_training.loop.training_options import FOLDER


def halve(model: Path, out: Path, *, licence: str | None = None) -> None:
    """Copy a `model` folder with fp16 in place of fp32; an earlier copy is replaced.

    Args:
        model: to copy.
        out: the copy.
        licence: of the weights, written into the copy's card.

    Raises:
        DataError: the folder holds no model, or a weight that is too large for fp16.
    """
    load_recipe(model)
    with replacing(out) as part:
        for path in sorted(model.iterdir()):
            if path.suffix == ".safetensors":
                tensors = read_tensors(path).items()
                save_file({name: _halved(name, t) for name, t in tensors}, part / path.name)
            elif path.is_dir():
                shutil.copytree(path, part / path.name)
            else:
                shutil.copyfile(path, part / path.name)
        if licence is not None:
            card = read_json(part / "card.json")
            write_json(part / "card.json", {**card, "licence": licence})


def _halved(name: str, tensor: Tensor) -> Tensor:
    if tensor.dtype != torch.float32:
        return tensor
    half = tensor.half()
    if not bool(torch.isfinite(half).all()):
        raise DataError(f"{name} holds a weight that fp16 cannot", fix="Keep the model as it is.")
    return half


@click.command()
@click.argument("model", type=FOLDER)
@click.argument("out", type=FOLDER)
@click.option("--licence", metavar="TEXT", help="Of the weights; kept in the model's card.")
def main(model: Path, out: Path, licence: str | None) -> None:
    """Copy MODEL, a `model` folder, to OUT with weights in half precision."""
    halve(model, out, licence=licence)


if __name__ == "__main__":
    main()
