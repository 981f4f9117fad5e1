"""Imports MediaPipe and runs its tasks so that no noise, crash or hang of theirs gets out."""

import concurrent.futures.thread
import os
import re
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import IO, Any, TypeVar

from sfedge.core.errors import DetectorError
from sfedge.system.libraries import advice

_T = TypeVar("_T")

_QT = ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR")
# What LiteRT and absl write at the start and end of every network; errors begin otherwise. Where
# threads write at once, a line may have lost its first word, or have nothing left but its end.
_CHATTER = re.compile(rb"(INFO|WARNING): |[IW]\d{4} \d\d:\d\d:|\[\w+\.cc:\d+\] |\n")

_CLOSE_SECONDS = 1.5  # a network that takes longer to close hangs

_quieting = threading.RLock()  # a closing detector may enter while its own thread does
_finalizing = threading.Lock()
_finalizers: list["weakref.finalize[..., Any]"] = []


def import_mediapipe() -> ModuleType:
    """The module `mediapipe`, imported without traces in the environment.

    Raises:
        DetectorError: it is not installed, or a system library that it needs is missing.
    """
    # OpenCV's wheel points Qt to plugins of its own, with which no other Qt can start.
    with _unchanged_environment(_QT):
        try:
            import mediapipe
        except (ImportError, OSError) as error:
            raise load_error(error) from error
    module: ModuleType = mediapipe
    return module


def load_error(error: Exception) -> DetectorError:
    """What to tell the user where MediaPipe or a library of its cannot be loaded."""
    if isinstance(error, ModuleNotFoundError):
        return DetectorError(
            f"MediaPipe is incomplete ({error})",
            fix="Run: pip install --force-reinstall mediapipe.",
        )
    if fix := advice(error):
        return DetectorError(f"MediaPipe lacks a system library ({error})", fix=fix)
    return DetectorError(
        f"MediaPipe cannot be loaded ({error})", fix="`sfedge doctor` looks for the reason."
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Keep MediaPipe's start-up messages from the terminal; everything else is passed on.

    They are written by C++ straight to file descriptor 2, and no setting turns them off. Where
    several threads are inside at once, the last to leave passes on what was kept.
    """
    _enter_quiet()
    try:
        yield
    finally:
        _leave_quiet()


class _Kept:
    """What goes to file descriptor 2 while somebody is within `quiet`."""

    inside = 0  # how many are; counted first, as Python may close a detector at any point here
    terminal: int | None = None  # the true file descriptor 2
    file: IO[bytes] | None = None


def _enter_quiet() -> None:
    with _quieting:
        _Kept.inside += 1
        if _Kept.inside > 1 or not _is_open(2):
            return
        _Kept.terminal = os.dup(2)
        _Kept.file = tempfile.TemporaryFile()  # noqa: SIM115 -- closed by who leaves last
        os.dup2(_Kept.file.fileno(), 2)


def _leave_quiet() -> None:
    with _quieting:
        _Kept.inside -= 1
        if _Kept.inside or _Kept.terminal is None or _Kept.file is None:
            return
        os.dup2(_Kept.terminal, 2)
        os.close(_Kept.terminal)
        _Kept.file.seek(0)
        os.write(2, b"".join(line for line in _Kept.file if not _CHATTER.match(line)))
        _Kept.file.close()
        _Kept.terminal = _Kept.file = None


def call_apart(work: Callable[[], _T], seconds: float) -> _T:
    """The result of `work`, which is done in a thread that cannot keep the program from ending.

    Raises:
        TimeoutError: it takes longer; the thread is left to itself.
    """
    done: list[_T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:
            failed.append(error)

    # Threads that MediaPipe starts inside inherit being a daemon.
    thread = threading.Thread(target=run, name="mediapipe", daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise TimeoutError(f"no answer within {seconds:g} s")
    return done[0]


def closing_at_end(owner: object, tasks: MutableMapping[str, Any]) -> "weakref.finalize[..., Any]":
    """A function that closes tasks, which also happens when their owner or the program ends."""
    finalizer = weakref.finalize(owner, _close, tasks)
    finalizer.atexit = False  # that would be after Python has stopped the tasks' threads
    with _finalizing:
        if not _finalizers:
            vars(threading)["_register_atexit"](_close_all)
        _finalizers[:] = [other for other in _finalizers if other.alive] + [finalizer]
    return finalizer


def _close_all() -> None:
    for finalizer in _finalizers:
        finalizer()


def _close(tasks: MutableMapping[str, Any]) -> None:
    """Close MediaPipe tasks and forget them; those that hang are left behind."""
    closing = list(tasks.values())
    tasks.clear()

    def close() -> bool:
        for task in closing:
            # One whose graph failed raises the same error again; it was reported then.
            with suppress(Exception):
                task.close()
        return True

    if not closing:
        return
    with quiet():
        try:
            call_apart(close, _CLOSE_SECONDS)
        except TimeoutError:
            for task in closing:
                _leave_behind(task)
    for task in closing:
        # A task that failed to close would try again when Python collects it, in whatever thread
        # that happens, and wait for ever: by then the thread that should answer is gone.
        task._handle = None


def _leave_behind(task: Any) -> None:
    """Let the interpreter end without waiting for the thread in which a task hangs.

    MediaPipe calls its library from a ThreadPoolExecutor, and Python joins the threads of all
    executors at its end. There is no public way to have one left out.
    """
    for thread in task._lib._executor._threads:
        vars(concurrent.futures.thread)["_threads_queues"].pop(thread, None)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


@contextmanager
def _unchanged_environment(names: Iterable[str]) -> Iterator[None]:
    """These variables are afterwards as they were before, or absent again."""
    before = {name: os.environ[name] for name in names if name in os.environ}
    try:
        yield
    finally:
        for name in names:
            os.environ.pop(name, None)
        os.environ.update(before)
