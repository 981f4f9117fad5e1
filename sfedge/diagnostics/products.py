"""How fast this machine multiplies plain matrices: one product alone, in ONNX Runtime.

It is what a network's speed is measured against: the same library, on as many threads.
"""

import time
from collections.abc import Mapping
from math import prod

import numpy as np

from sfedge.engines.one_node import one_node
from sfedge.engines.ort import CPU, load_runtime, physical_cores

_FEWEST = 3  # times that a product is repeated, however long it takes
_SHORTEST = 0.05  # seconds to repeat it for
_COVERED = 0.99  # of the work is measured; the rest are many small products

Product = tuple[int, int, int]  # rows, inner, columns


def work(products: Mapping[Product, int]) -> int:
    """Floating-point operations of products, each with how often it is computed."""
    return sum(2 * prod(product) * count for product, count in products.items())


def plain_seconds(products: Mapping[Product, int]) -> float:
    """How long the products take one after another, each measured alone and at its fastest."""
    whole, covered, seconds = work(products), 0, 0.0
    for product in sorted(products, key=lambda p: -prod(p) * products[p]):
        seconds += products[product] * product_seconds(product)
        covered += work({product: products[product]})
        if covered >= _COVERED * whole:
            break
    return seconds * whole / covered


def product_seconds(product: Product) -> float:
    """How long a matrix takes that is multiplied with a constant one, in float32."""
    rows, inner, columns = product
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
