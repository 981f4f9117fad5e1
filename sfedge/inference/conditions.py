"""When a task may be asked of a person; `Task.condition` names one of these."""

from collections.abc import Callable, Mapping

from sfedge.core.structures import Hand, Track
from sfedge.core.tasks import Condition
from sfedge.tracking.people import is_raised


def raised_hands(track: Track) -> tuple[Hand, ...]:
    """The person's hands that are held up, as for a gesture, ordered by id."""
    hands = [hand for hand in track.hands if is_raised(hand.box, track.face, track.person)]
    return tuple(sorted(hands, key=lambda hand: hand.id))


CONDITIONS: Mapping[Condition, Callable[[Track], bool]] = {
    "person": lambda track: True,
    "face": lambda track: track.face is not None,
    "raised_hand": lambda track: bool(raised_hands(track)),
}
