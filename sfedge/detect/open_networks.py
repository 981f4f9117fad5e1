"""Loads the networks of a detector, with errors that are a detector's."""

from sfedge.core.errors import DetectorError, EngineError
from sfedge.engines.small_network import NetworkSet, OpenedSet, Place, open_set


def open_networks(
    detector: NetworkSet, place: Place, *, threads: int = 1, is_compared: bool = False
) -> OpenedSet:
    """The networks of a detector, ready to run; arguments as of `open_set`.

    Raises:
        DetectorError: one does not start.
        UnknownNameError: there is no such engine.
    """
    try:
        return open_set(detector, place, threads=threads, is_compared=is_compared)
    except EngineError as error:
        raise DetectorError(
            f"the network does not start: {error.what}",
            where=error.where or detector.name,
            fix=error.fix or "Run `sfedge doctor`.",
        ) from error
