"""The pace of a live stream, from arrivals that the test makes up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfedge.sources.pace import Pace


def arrive(pace: Pace, arrival: float, offset: float) -> None:
    pace.add(arrival - offset, arrival)


def test_late_packets_set_the_pace_and_their_delay_is_caught_up_slowly() -> None:
    pace = Pace(is_playlist=False)
    for arrival, offset in ((0.0, 100.0), (1.0, 100.4), (2.0, 100.1), (3.0, 99.9), (10.5, 99.8)):
        arrive(pace, arrival, offset)
    assert pace.due(5.0) == pytest.approx(105.4)
    arrive(pace, 11.5, 99.8)  # the one at 1.0 is ten seconds ago; a tenth of a second is won
    assert pace.due(5.0) == pytest.approx(105.3)
    for second in range(12, 30):
        arrive(pace, second, 99.8)
    assert pace.due(5.0) == pytest.approx(104.8)


def test_what_a_playlist_holds_back_is_kept() -> None:
    pace = Pace(is_playlist=True)
    for second in range(100):  # three segments at once, then one in time every four seconds
        arrive(pace, second, 100.0 if second == 0 else 88.0)
    assert pace.due(5.0) == pytest.approx(105.0)


@given(st.lists(st.floats(0.0, 3.0), min_size=1, max_size=60), st.booleans())
def test_no_packet_is_due_before_it_has_arrived(delays: list[float], is_playlist: bool) -> None:
    pace = Pace(is_playlist=is_playlist)
    arrival = 0.0
    for index, delay in enumerate(delays):
        arrival = max(arrival, index / 10 + delay)
        pace.add(index / 10, arrival)
        assert pace.due(index / 10) >= arrival - 1e-9
