"""Run by two processes: a model whose weights they share out, saved and brought back.

What FSDP does to a model is done here by PyTorch's `fully_shard` itself, on CPUs.
"""

import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from sfedge_training.loop.checkpoint import Progress, load_learned, load_progress, save_progress
from sfedge_training.loop.recipe import Recipe


def sharded() -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    model[0].requires_grad_(False)
    fully_shard(model, mesh=init_device_mesh("cpu", (2,)))
    return model, torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.1)


def step(model: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    torch.manual_seed(seed)
    model(torch.randn(4, 6)).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()


def whole(model: nn.Module) -> list[torch.Tensor]:
    return [p.full_tensor() for p in model.parameters() if isinstance(p, DTensor)]


def main() -> None:
    dist.init_process_group("gloo")
    run, is_main = Path(sys.argv[1]), dist.get_rank() == 0
    model, optimizer = sharded()
    step(model, optimizer, seed=1)
    assert load_progress(run, model, optimizer) == Progress()
    save_progress(run, model, optimizer, Progress(steps=1, best=0.5), is_main=is_main)
    dist.barrier()

    other, its_own = sharded()
    assert load_progress(run, other, its_own) == Progress(steps=1, best=0.5)
    for seed in (2, 3):
        step(model, optimizer, seed)
        step(other, its_own, seed)
    assert len(whole(model)) == 4
    for one, two in zip(whole(model), whole(other), strict=True):
        assert torch.equal(one, two)

    save_progress(run, model, optimizer, Progress(steps=3), is_main=is_main)
    dist.barrier()
    torch.manual_seed(0)
    alone = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    alone[0].requires_grad_(False)
    load_learned(run, alone, Recipe())
    for tensor, of in zip(whole(model), alone.parameters(), strict=True):
        assert torch.equal(tensor, of)
    dist.barrier()
    print("the same", flush=True)  # noqa: T201
    # Gloo's threads, which are still there when Python ends, at times abort the process.
    os._exit(0)


if __name__ == "__main__":
    main()
