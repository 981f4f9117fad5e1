"""The progress of a run: a bar on a terminal, a line a minute in a log."""

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sfedge.core.config import parsed_every
from sfedge.runtime.session import Session

LINE_EVERY = 60.0  # seconds


@contextmanager
def showing(session: Session, progress: bool | None) -> Iterator[Callable[[], object]]:
    """Show on stderr how far a session is; yields what counts a frame.

    Args:
        session: about to be iterated.
        progress: whether to show a bar; None for one on a terminal, else for a line a minute.
    """
    from tqdm import tqdm

    name, total = Path(session.info.name).name, _frames(session)
    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    if progress is False or (progress is None and not is_terminal):
        yield (lambda: None) if progress is False else _Lines(name, total).advance
        return
    with tqdm(total=total, unit=" frames", desc=name, dynamic_ncols=True) as bar:
        yield bar.update


class _Lines:
    """Writes a line a minute."""

    def __init__(self, name: str, total: int | None) -> None:
        self._name, self._total = name, total
        self._frames = 0
        self._begun = self._due = time.monotonic()
        self._due += LINE_EVERY

    def advance(self) -> None:
        """Count a frame."""
        self._frames += 1
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + LINE_EVERY
        speed = self._frames / (now - self._begun)
        whole = "" if self._total is None else f" of {self._total}"
        left = ""
        if self._total is not None and self._frames < self._total:
            minutes, seconds = divmod(round((self._total - self._frames) / speed), 60)
            left = f", {minutes // 60}:{minutes % 60:02}:{seconds:02} left"
        line = f"sfedge: {self._name}: {self._frames}{whole} frames, {speed:.2f} a second{left}\n"
        with suppress(OSError, ValueError, AttributeError):  # a log that is gone ends no run
            sys.stderr.write(line)
            sys.stderr.flush()


def _frames(session: Session) -> int | None:
    """Number of frames that will be processed, where that is known."""
    info, config = session.info, session.config
    if info.duration is None or info.frame_rate is None:
        return None
    last = info.duration if config.end is None else min(config.end, info.duration)
    span = last - config.start
    step, seconds = parsed_every(config.every) or (1, 0.0)
    frames = math.ceil(round(span * info.frame_rate) / step)
    return max(min(frames, math.ceil(span / seconds)) if seconds else frames, 1)
