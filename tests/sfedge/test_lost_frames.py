"""Places and times of frames, for whatever order of packets and whichever are lost."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from sfedge.sources.lost_frames import DecodedOrder, Order, Spans


@dataclass(frozen=True)
class Packet:
    pts: int | None
    dts: int | None


def groups(shown: int, size: int) -> list[int]:
    """Numbers of frames as they are decoded: the last of each group first, as with B-frames."""
    order = []
    for first in range(0, shown, size):
        group = list(range(first, min(first + size, shown)))
        order += [group[-1], *group[:-1]]
    return order


@given(st.integers(1, 60), st.integers(1, 6), st.sets(st.integers(0, 59)))
def test_true_times_give_each_frame_its_place_and_name_those_lost(
    count: int, size: int, lost: set[int]
) -> None:
    order, arrived, missed = Order(), [], []
    decoded = groups(count, size)
    for at in range(0, count, size):  # a group is decoded, then shown
        for number in decoded[at : at + size]:
            order.expect(Packet(number * 10, None), False)
        for number in sorted(set(decoded[at : at + size]) - lost):
            place, time, gone = order.arrive(number * 10)
            arrived.append((place, time))
            missed += gone
    _, rest = order.rest()
    kept = [number for number in range(count) if number not in lost]
    assert arrived == [(number, number * 10) for number in kept]
    assert missed + rest == [number * 10 for number in range(count) if number in lost]


@given(st.integers(1, 60), st.integers(1, 6), st.booleans())
def test_guessed_times_are_replaced_by_those_of_decoding_in_order(
    count: int, size: int, by_dts: bool
) -> None:
    order, arrived = DecodedOrder(by_dts=by_dts), []
    decoded = groups(count, size)
    label = {number: 10 * place + 7 for place, number in enumerate(decoded)}  # wrong times
    for at in range(0, count, size):
        for place in range(at, min(at + size, count)):
            order.expect(Packet(label[decoded[place]], 10 * place), False)
        for number in sorted(decoded[at : at + size]):
            arrived.append(order.arrive(label[number]))
    shift = 0 if by_dts else 7
    assert arrived == [(number, number * 10 + shift, []) for number in range(count)]
    assert order.rest() == (count, [])


def test_skipped_packets_count_as_places() -> None:
    order = DecodedOrder(by_dts=True)
    for number in range(5):
        order.expect(Packet(number, number), number < 3)
    assert order.arrive(3) == (3, 3, [])
    assert order.arrive(4) == (4, 4, [])


@given(st.sets(st.integers(0, 200), min_size=1))
def test_spans_name_every_frame_once(indexes: set[int]) -> None:
    spans = Spans("is lost")
    for index in sorted(indexes):
        spans.add(index, index / 10)
    found: set[int] = set()
    for sentence in spans.sentences():
        words = sentence.split()
        if words[0] in ("frame", "frames"):
            first, *last = words[1].split("-")
            found |= set(range(int(first), int(last[0] if last else first) + 1))
        else:
            found |= set(sorted(indexes)[-int(words[0]) :])
    assert found == indexes
