import sys

import numpy as np
import pytest

from sfedge.system import machine


def test_the_processor_has_a_name() -> None:
    assert machine.cpu_name().strip()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports it for one process")
def test_peak_memory_grows_with_what_is_held_and_stays() -> None:
    before = machine.peak_memory()
    assert before is not None
    held = np.ones(before // 4, np.float64)  # twice of what was ever held
    grown = machine.peak_memory()
    assert grown is not None
    assert grown > 1.5 * before
    del held
    after = machine.peak_memory()
    assert after is not None
    assert after > grown - (1 << 20)  # Linux counts by the page in each thread, and adds up later
