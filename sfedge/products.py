"""How fast this machine multiplies plain matrices: one product alone, in ONNX Runtime.

It is what a network's speed is measured against: the same library, on as many threads.
"""

import time
from collections.abc import Mapping
from math import prod

import numpy as np

from sfedge.engines.ort import CPU, load_runtime, physical_cores

_FEWEST = 3  # times that a product is repeated, however long it takes
_SHORTEST = 0.05  # seconds to repeat it for
_COVERED = 0.99  # of the work is measured; the rest are many small products
_FLOAT = 1  # ONNX's number of float32
_VARINT, _BYTES = 0, 2  # how a field is written, in protobuf

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
    weight = b"".join(
        (
            _number(1, inner) + _number(1, columns) + _number(2, _FLOAT),
            _text(8, b"w"),
            _text(9, constant.astype("<f4").tobytes()),
        )
    )
    node = _text(1, b"x") + _text(1, b"w") + _text(2, b"y") + _text(4, b"MatMul")
    graph = b"".join(
        (
            _text(1, node) + _text(2, b"product") + _text(5, weight),
            _text(11, _port(b"x", rows, inner)) + _text(12, _port(b"y", rows, columns)),
        )
    )
    return _number(1, 8) + _text(7, graph) + _text(8, _number(2, 18))


def _port(name: bytes, *sizes: int) -> bytes:
    shape = b"".join(_text(1, _number(1, size)) for size in sizes)
    return _text(1, name) + _text(2, _text(1, _number(1, _FLOAT) + _text(2, shape)))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3 | _VARINT) + _varint(value)


def _text(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | _BYTES) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    coded = bytearray()
    while value > 127:
        coded.append(value & 127 | 128)
        value >>= 7
    coded.append(value)
    return bytes(coded)
