"""The demo clip, seen by the detectors: who is in it, when, and with a raised hand."""

import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from sfedge.core.boxes import Box
from sfedge.core.errors import MissingExtraError, OutputError
from sfedge.core.structures import Frame
from sfedge.demo.demo_clip import HEIGHT, RATE, WIDTH, make_demo_clip
from sfedge.demo.demo_hand import raised_hand
from sfedge.detect import build_detector
from sfedge.sources import open_source
from sfedge.tracking.people import is_raised

SECONDS = 4.0
LOOKS = 24  # frames that are looked at

Look = tuple[float, list[Box], list[Box]]  # moment in [0, 1), faces, hands


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_demo_clip(tmp_path_factory.mktemp("demo") / "demo.mp4", seconds=SECONDS)


@pytest.fixture(scope="module")
def looks(clip: Path) -> Iterator[list[Look]]:
    """What the detectors see in frames spread over the clip, each by itself."""
    detector = build_detector(width=WIDTH, height=HEIGHT)
    seen = []
    with open_source(str(clip)) as source:
        for frame in source:
            if frame.index % round(SECONDS * RATE / LOOKS) == 0:
                # Far apart in time, so that detectors that rest between frames run in each.
                found = detector.detect(Frame(frame.image, frame.index, frame.index * 10.0))
                faces = sorted((d.box for d in found if d.kind == "face"), key=lambda b: b.x1)
                hands = [d.box for d in found if d.kind == "hand"]
                seen.append((frame.time / SECONDS, faces, hands))
    yield seen
    detector.close()


def test_the_clip_is_a_whole_video_with_sound(clip: Path) -> None:
    with open_source(str(clip)) as source:
        frames = [frame.time for frame in source]
        assert (source.info.width, source.info.height) == (WIDTH, HEIGHT)
        assert source.losses == ()
    assert frames == pytest.approx(np.arange(SECONDS * RATE) / RATE, abs=1e-5)
    with av.open(str(clip)) as file:
        sound = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])
    assert 0.02 < np.abs(sound).max() < 0.3
    assert len(sound) / 48_000 == pytest.approx(SECONDS, abs=0.1)


def test_two_people_are_seen_together_for_half_of_it_and_never_a_third(looks: list[Look]) -> None:
    counts = [len(faces) for _, faces, _ in looks]
    assert max(counts) == 2
    assert min(counts) == 1
    assert counts.count(2) >= len(looks) / 2


def test_faces_are_large_enough_to_be_read(looks: list[Look]) -> None:
    for _, faces, _ in looks:
        for face in faces:
            assert min(face.width * WIDTH, face.height * HEIGHT) >= 90


def test_one_comes_goes_and_comes_back_and_they_change_sides(looks: list[Look]) -> None:
    together = [len(faces) == 2 for _, faces, _ in looks]
    changes = sum(a != b for a, b in pairwise(together))
    assert not together[0]
    assert changes >= 3
    alone = [faces[0].centre[0] for _, faces, _ in looks if len(faces) == 1]
    assert min(alone) < 0.35
    assert max(alone) > 0.6


def test_a_raised_hand_is_seen_in_both_halves(looks: list[Look]) -> None:
    raised = [
        moment
        for moment, faces, hands in looks
        for hand in hands
        if any(is_raised(hand, face, face) for face in faces)
    ]
    assert sum(moment < 0.5 for moment in raised) >= 3
    assert sum(moment > 0.5 for moment in raised) >= 3


def test_the_hand_is_of_the_skin_asked_for_within_its_outline() -> None:
    skin = (221.0, 183.0, 157.0)
    picture, opacity, (wrist_x, wrist_y) = raised_hand(165, skin)
    assert opacity.shape == picture.shape[:2] == (165, 132)
    assert np.median(picture[opacity == 1], axis=0) == pytest.approx(skin, abs=6)
    assert opacity[round(wrist_y) - 30, round(wrist_x)] == 1
    assert opacity[0].max() == opacity[:, 0].max() == opacity[:, -1].max() == 0
    # going across at the height of the fingers skin begins four times, below with the thumb twice
    for above, parts in ((85, 4), (51, 2)):
        row = opacity[round(wrist_y) - above] > 0.5
        assert (np.diff(row.astype(int)) == 1).sum() == parts


@pytest.mark.parametrize("absent", ["skimage.data", "matplotlib"])
def test_without_the_extra_the_error_says_what_to_install(
    absent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(MissingExtraError, match="pip install scikit-image matplotlib"):
        make_demo_clip(tmp_path / "demo.mp4", seconds=1)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_missing_is_reported(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        make_demo_clip(tmp_path / "missing" / "demo.mp4", seconds=1)
