"""Context managers that release a file, a device or a thread at the end of a `with` block."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import TypeVar

_Own = TypeVar("_Own", bound="Closing")  # typing.Self comes with Python 3.11


class Closing(ABC):
    """A context manager whose exit is `close`, also after an error."""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything; a second call does nothing."""

    def __enter__(self: _Own) -> _Own:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
