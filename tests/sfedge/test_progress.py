"""How far a run is, in a log and on a terminal; and which frames are looked at."""

import fcntl
import os
import pty
import struct
import sys
import termios
from itertools import count, pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenes import Scene

import sfedge
from sfedge import Frame
from sfedge.core.config import parsed_every
from sfedge.results.records import read_records
from sfedge.runtime import progress
from sfedge.runtime.frame_choice import FrameChoice
from sfedge.runtime.process import process
from sfedge.sources.source import SourceInfo

IMAGE = np.zeros((2, 2, 3), np.uint8)


@pytest.mark.parametrize(
    ("pause", "every", "lines"), [(0.0, 1, 5), (60.0, 1, 0), (0.0, 2, 3), (0.0, "0.2s", 3)]
)
def test_a_log_gets_a_line_a_minute(
    scene: Scene,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    pause: float,
    every: int | str,
    lines: int,
) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY", pause)
    settings: dict[str, Any] = {"detections": scene.detections, "tasks": ["domain"], "end": 0.5}
    with sfedge.open(scene.video, every=every, **settings) as session:
        process(session, tmp_path)
    printed = capfd.readouterr().err.splitlines()
    assert len(printed) == lines
    for number, line in enumerate(printed, 1):
        assert line.startswith(f"sfedge: sway.mp4: {number} of {lines} frames, ")
        assert ("left" in line) == (number < lines)


@pytest.mark.parametrize(
    ("seconds", "settings", "frames", "lines"),
    [
        (
            100.0,
            {},
            400,
            ["120 of 1000 frames, 2.00 a second, 0:07:20 left", "240 of 1000", "360 of"],
        ),
        (
            1e5,
            {},
            400,
            ["120 of 1000000 frames, 2.00 a second, 138:52:20 left", "240 of", "360 of"],
        ),
        (
            100.0,
            {"start": 10.0, "end": 50.0, "every": 2},
            200,
            ["120 of 200 frames, 2.00 a second, 0:00:40 left"],
        ),
        (
            100.0,
            {"start": 10.0, "end": 500.0, "every": "0.5s"},
            180,
            ["120 of 180 frames, 2.00 a second, 0:00:30 left"],
        ),
        (None, {}, 400, ["120 frames, 2.00 a second\n", "240 frames", "360 frames"]),
    ],
)
def test_the_line_has_the_pace_and_the_time_that_it_leaves(
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    seconds: float | None,
    settings: dict[str, Any],
    frames: int,
    lines: list[str],
) -> None:
    """Two frames a second are processed."""
    clock = count(0.0, 0.5)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    info = SourceInfo("/videos/walk.mp4", 4, 4, 10.0, seconds, None, is_live=False)
    session: Any = SimpleNamespace(info=info, config=sfedge.RunConfig(**settings))
    with progress.showing(session, None) as advance:
        for _ in range(frames):
            advance()
    printed = capfd.readouterr().err.splitlines(keepends=True)
    assert len(printed) == len(lines)
    for line, begin in zip(printed, lines, strict=True):
        assert line.startswith(f"sfedge: walk.mp4: {begin}")


def test_the_bar_keeps_to_the_width_of_a_terminal_that_is_made_narrower(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    info = SourceInfo("/videos/walk.mp4", 4, 4, 10.0, 100.0, None, is_live=False)
    session: Any = SimpleNamespace(info=info, config=sfedge.RunConfig())
    ours, theirs = pty.openpty()

    def make_wide(columns: int) -> None:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))

    with os.fdopen(ours, "rb") as screen, os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        make_wide(100)
        with progress.showing(session, None) as advance:
            make_wide(50)
            advance()
        printed = screen.readline().decode()
    first, *_, last = printed.strip().split("\r")
    assert first.startswith("walk.mp4:   0%")
    assert 50 < len(first) <= 100
    assert last.startswith("walk.mp4:   0%")
    assert len(last) <= 50


@pytest.mark.parametrize(
    ("every", "parsed"),
    [
        (1, (1, 0.0)),
        ("10", (10, 0.0)),
        ("0.5s", (1, 0.5)),
        ("2s", (1, 2.0)),
        *((wrong, None) for wrong in (0, -1, "0s", "s", "1.5", "ten", "", "nans", "-1s")),
    ],
)
def test_every_is_frames_or_seconds(every: Any, parsed: tuple[int, float] | None) -> None:
    assert parsed_every(every) == parsed
    if parsed is None:
        with pytest.raises(sfedge.ConfigError, match=r"every=.* is not 10 or 0.5s"):
            sfedge.RunConfig(every=every)


def chosen(frames: list[Frame], every: int | str) -> list[Frame]:
    choice = FrameChoice(every)
    return [taken for frame in frames if (taken := choice.take(frame)) is not None]


@pytest.mark.parametrize(("every", "looked_at"), [("4", [0, 4, 8]), ("0.3s", [0, 3, 6, 9])])
@pytest.mark.parametrize("live", [False, True])
def test_only_these_frames_are_detected_recorded_and_shown(
    scene: Scene, tmp_path: Path, every: str, looked_at: list[int], live: bool
) -> None:
    settings: dict[str, Any] = {"detections": scene.detections, "tasks": ["domain"], "end": 1.0}
    with sfedge.open(scene.video, every=every, live=live, **settings) as session:
        outcome = process(session, tmp_path, progress=False)
    rows = list(read_records(outcome.files.records))
    frames = [row["frame"] for row in rows if row["type"] == "frame"]
    assert frames == looked_at or live
    assert all(later - one >= 3 for one, later in pairwise(frames))
    assert outcome.report.shown == len(frames)
    assert outcome.report.frames == 10
    assert rows[0]["settings"]["every"] == every
    with av.open(str(outcome.files.annotated)) as video:
        assert sum(1 for _ in video.decode(video=0)) == len(frames)


frame_times = st.lists(st.integers(1, 400), min_size=1, max_size=60).map(
    lambda steps: [sum(steps[: n + 1]) / 1000 for n in range(len(steps))]
)


@given(frame_times, st.integers(1, 7))
def test_each_nth_frame_is_looked_at(times: list[float], step: int) -> None:
    frames = [Frame(IMAGE, index, time) for index, time in enumerate(times)]
    assert chosen(frames, step) == frames[::step]


@given(frame_times, st.integers(1, 3000))
def test_of_each_span_of_time_the_first_frame_is_looked_at(
    times: list[float], milliseconds: int
) -> None:
    """Counted in whole milliseconds, which cannot be rounded."""
    frames = [Frame(IMAGE, index, time) for index, time in enumerate(times)]
    first = round(times[0] * 1000)
    expected = {}
    for frame in frames:
        expected.setdefault((round(frame.time * 1000) - first) // milliseconds, frame)
    assert chosen(frames, f"{milliseconds / 1000}s") == list(expected.values())


def test_a_missing_frame_costs_no_more_than_itself() -> None:
    frames = [Frame(IMAGE, index, index / 10) for index in range(20) if index != 10]
    assert [frame.index for frame in chosen(frames, 5)] == [0, 5, 11, 15]


def test_a_new_scene_is_not_lost_with_its_first_frame() -> None:
    frames = [Frame(IMAGE, index, index / 10, starts_scene=index == 4) for index in range(10)]
    found = [(frame.index, frame.starts_scene) for frame in chosen(frames, 3)]
    assert found == [(0, False), (3, False), (6, True), (9, False)]
