"""How fast this machine runs plain GEMMs: each matrix multiplication alone, in ONNX Runtime.

It is what a network's speed is measured against: the same library, on as many threads.
"""

import time
from collections.abc import Mapping
from math import prod

import numpy as np

from sfedge.engines.one_node import one_node
from sfedge.engines.ort import CPU, load_runtime, physical_cores

_FEWEST = 3  # times that a GEMM is repeated, however long it takes
_SHORTEST = 0.05  # seconds to repeat it for
_COVERED = 0.99  # of the work is measured; the rest are many small GEMMs

Gemm = tuple[int, int, int]  # rows, inner, columns


def work(gemms: Mapping[Gemm, int]) -> int:
    """Floating-point operations of GEMMs, given how often each is computed."""
    return sum(2 * prod(gemm) * count for gemm, count in gemms.items())


def plain_seconds(gemms: Mapping[Gemm, int]) -> float:
    """Seconds that the GEMMs take one after another, each measured alone and at its fastest.

    Nobody calls those with one column one by one, as a depthwise convolution has hundreds: they
    count as fast as the rest.
    """
    whole, covered, seconds = work(gemms), 0, 0.0
    measured = [gemm for gemm in gemms if gemm[2] > 1] or [*gemms]
    enough = _COVERED * work({gemm: gemms[gemm] for gemm in measured})
    for gemm in sorted(measured, key=lambda p: -prod(p) * gemms[p]):
        seconds += gemms[gemm] * gemm_seconds(gemm)
        covered += work({gemm: gemms[gemm]})
        if covered >= enough:
            break
    return seconds * whole / covered


def gemm_seconds(gemm: Gemm) -> float:
    """Seconds to multiply a matrix by a constant one, in float32."""
    rows, inner, columns = gemm
    random = np.random.default_rng(0)
    constant = random.standard_normal((inner, columns), np.float32)
    runtime = load_runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = physical_cores()
    session = runtime.InferenceSession(matmul_graph(rows, constant), options, providers=[CPU])
    feed = {"x": random.standard_normal((rows, inner), np.float32)}
    times: list[float] = []
    while len(times) < _FEWEST or sum(times) < _SHORTEST:
        begun = time.perf_counter()
        session.run(["y"], feed)
        times.append(time.perf_counter() - begun)
    return min(times)


def matmul_graph(rows: int, constant: np.ndarray) -> bytes:
    """An ONNX file that multiplies x [rows, inner] with a constant [inner, columns] to y."""
    inner, columns = constant.shape
    ports = {"x": ("float32", (rows, inner))}, {"y": ("float32", (rows, columns))}
    return one_node("MatMul", *ports, {"w": constant})
