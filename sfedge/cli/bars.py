"""The progress bar of a bundle's self-test, as the commands show it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tqdm import tqdm

from sfedge.inference.selftest import Progress


@contextmanager
def selftest_bar() -> Iterator[Progress]:
    """A progress bar where the self-test runs and stderr is a terminal; removed at the end."""
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
