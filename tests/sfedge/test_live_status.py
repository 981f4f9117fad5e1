"""What the status line tells of a live run: its pace, and the frames that it left out."""

from itertools import accumulate, chain, repeat
from time import sleep
from types import SimpleNamespace

import pytest
from annotated import Written
from fake_parts import IMAGE, Camera, OnePerson, Slow

import sfedge
from sfedge.runtime import session as session_module

SLOW, FAST = 1.0, 0.1  # seconds of the clock between two pictures that are drawn


def test_the_status_line_has_the_pace_of_the_last_thirty_pictures_and_the_frames_left_out(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = accumulate(chain([0.0], repeat(SLOW, 9), repeat(FAST)))
    monkeypatch.setattr(session_module, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    with sfedge.Pipeline(Camera(10_000, every=0.01), detector=OnePerson(), model=Slow()) as run:
        frames = iter(run)  # held: a run whose frames nobody holds any more ends
        result = next(frames)
        while not run.report.skipped:
            sleep(0.01)
        shown = []
        for _ in range(40):
            written.clear()
            run.draw(result)
            (line,) = (text for text in written if "frames dropped" in text)
            shown.append(line)
        run.stop()
        skipped = run.report.skipped

    paces = [line.split("   ")[2].partition(" fps, ")[0] for line in shown]
    assert paces[0].endswith("frames dropped")  # one picture has no pace
    assert paces[1:3] == ["1.0", "1.0"]
    assert paces[37:] == ["7.6", "10.0", "10.0"]  # 29 steps in 3.8 s, then in 2.9 s
    counts = [int(line.split()[-3]) for line in shown]
    assert counts == sorted(counts)
    assert 0 < counts[-1] <= skipped


def test_the_status_line_of_a_recording_has_neither(written: Written) -> None:
    with sfedge.Pipeline([IMAGE], detector=OnePerson(), model=Slow()) as run:
        run.draw(next(iter(run)))

    assert not any("dropped" in text or "fps" in text for text in written)
