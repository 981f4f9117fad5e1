"""The progress bars of the commands, each only where stderr is a terminal."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

if TYPE_CHECKING:
    from sfedge.engines import trt_build
    from sfedge.inference import selftest
    from sfedge.system import cache


@contextmanager
def selftest_bar() -> Iterator["selftest.Progress"]:
    """A bar where a bundle's self-test runs; removed at the end."""
    with ExitStack() as shown:
        bars: list[tqdm] = []

        def show(done: int, total: int) -> None:
            if not bars:
                bar = tqdm(
                    desc="sfedge: testing the engine on this machine, once",
                    total=total,
                    bar_format="{desc}: {n_fmt} of {total_fmt} tasks, {elapsed}",
                    leave=False,
                    disable=None,
                )
                bars.append(shown.enter_context(bar))
            bars[0].update(done - bars[0].n)
            if done == total:  # detectors may be fetched next
                bars[0].close()

        yield show


def download_bar() -> "AbstractContextManager[cache.Progress]":
    """A bar for each file that is fetched."""
    return _bar_for_each(unit="B", unit_scale=True)


def build_bar() -> "AbstractContextManager[trt_build.Progress]":
    """A bar for each graph that is compiled."""
    return _bar_for_each(bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}")


@contextmanager
def _bar_for_each(**style: Any) -> Iterator[Callable[..., None]]:
    """A bar for each named thing, one after the other; `style` is tqdm's."""
    bars: dict[str, tqdm] = {}

    def show(name: str, done: float, total: float = 1.0) -> None:
        if name not in bars:
            close()
            bars[name] = tqdm(desc=name, total=total, leave=False, disable=None, **style)
        bars[name].update(done - bars[name].n)

    def close() -> None:
        for bar in bars.values():
            bar.close()

    try:
        yield show
    finally:
        close()
