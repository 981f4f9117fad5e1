"""Stages that overlap: an iterator read ahead, and work done behind, each in a thread of its own.

Everything happens in the order in which it would without the threads; what goes wrong is raised
where it would be, or soon after. Queues are short, so that memory holds a few frames more.
"""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, Generic, TypeVar

_WAITING = 2  # items of a queue, at most
_LOOK = 0.1  # seconds between two looks at whether the other side has gone
_PATIENCE = 5.0  # seconds for the work in hand when a run is given up

_Item = TypeVar("_Item")


class Ahead(Iterator[_Item], Generic[_Item]):
    """An iterator whose next items are made while the last one is used.

    Args:
        items: read in another thread, by one and never after `close`.
    """

    def __init__(self, items: Iterable[_Item]) -> None:
        self._ready: queue.Queue[tuple[bool, Any]] = queue.Queue(_WAITING)
        self._is_closed = False
        self._thread = threading.Thread(target=self._read, args=(items,), name="read", daemon=True)
        self._thread.start()

    def __next__(self) -> _Item:
        if self._is_closed:
            raise StopIteration
        is_item, value = self._ready.get()
        if is_item:
            item: _Item = value
            return item
        self._is_closed = True
        raise value if value is not None else StopIteration

    def close(self) -> bool:
        """Read no more; whether the item that was being read is there, so that nobody reads."""
        self._is_closed = True
        self._thread.join(_PATIENCE)
        with suppress(queue.Full):  # whoever still waits for an item is let go
            self._ready.put_nowait((False, None))
        return not self._thread.is_alive()

    def _read(self, items: Iterable[_Item]) -> None:
        end: BaseException | None = None
        iterator = iter(items)
        try:
            for item in iterator:
                if not self._put((True, item)):
                    break
        except BaseException as error:
            end = error
        finally:
            if callable(close := getattr(iterator, "close", None)):
                close()  # a generator, in the thread that it ran in
        if not self._put((False, end)):
            with suppress(queue.Full):  # whoever still waits for an item is let go
                self._ready.put_nowait((False, None))

    def _put(self, entry: tuple[bool, Any]) -> bool:
        while not self._is_closed:
            try:
                self._ready.put(entry, timeout=_LOOK)
            except queue.Full:
                continue
            return True
        return False


class Behind:
    """Does what it is given, one after the other, while its user goes on.

    After a failure nothing more is done; the next call raises it.
    """

    def __init__(self) -> None:
        self._jobs: queue.Queue[Callable[[], None] | None] = queue.Queue(_WAITING)
        self._failure: BaseException | None = None
        self._thread: threading.Thread | None = None

    def do(self, job: Callable[[], None]) -> None:
        """Do this after all before it; waits while too much is undone."""
        self._check()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="write", daemon=True)
            self._thread.start()
        self._jobs.put(job)

    def finish(self) -> None:
        """Wait until all is done.

        Raises:
            Exception: whatever a job raised.
        """
        self._end(None)
        self._check()

    def give_up(self) -> bool:
        """Wait for what was given, but not for ever; whether nothing is being done any more."""
        self._end(_PATIENCE)
        return self._thread is None

    def _end(self, patience: float | None) -> None:
        thread = self._thread
        if thread is None:
            return
        with suppress(queue.Full):  # a job that does not end: nothing can be added
            self._jobs.put(None, timeout=patience)
            thread.join(patience)
        if not thread.is_alive():
            self._thread = None

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            if self._failure is None:
                try:
                    job()
                except BaseException as error:
                    self._failure = error
