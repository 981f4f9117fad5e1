"""The networks' finds beside those of MediaPipe's library, kept in `mediapipe_reference.json`."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from mediapipe_reference import FILE, GROUND, draw_hand, pictures, results
from numpy.typing import NDArray

from sfedge.detect.conversion import networks
from sfedge.detect.mediapipe.hand_finder import HandFinder
from sfedge.detect.mediapipe.mediapipe_networks import MediaPipeNetworks
from sfedge.engines.small_network import open_network

REFERENCE = json.loads(FILE.read_text())["found"]
POINTS = 0.001  # of the extent of a face, hand or body: a quarter of the network's pixel
SCORE = 0.002


@pytest.fixture(scope="module")
def found(
    astronaut: NDArray[np.uint8], admiral: NDArray[np.uint8]
) -> dict[str, dict[str, list[dict[str, Any]]]]:
    found_by = MediaPipeNetworks(networks.fetch(networks.DETECTING))
    return {name: results(found_by, picture) for name, picture in pictures(astronaut, admiral)}


@pytest.mark.parametrize("name", [*REFERENCE])
def test_the_finds_are_those_of_mediapipe_s_library(
    name: str, found: dict[str, dict[str, list[dict[str, Any]]]]
) -> None:
    for kind, theirs in REFERENCE[name].items():
        ours = found[name][kind]
        assert len(ours) == len(theirs), kind
        for one, other in zip(ours, theirs, strict=True):
            points, right = np.array(one["points"]), np.array(other["points"])
            limit = POINTS * np.ptp(right[:, :2], axis=0).max()
            assert np.abs(points[:, :2] - right[:, :2]).max() < limit
            if kind == "hands":  # depth
                assert np.abs(points[:, 2] - right[:, 2]).max() < 5 * limit
            if kind == "poses":  # visibility
                assert np.abs(points[:, 2] - right[:, 2]).max() < 0.005
            assert one.get("side") == other.get("side")
            if "score" in other:
                assert one["score"] == pytest.approx(other["score"], abs=SCORE)
            if "box" in other:
                x1, y1, x2, y2 = one["box"]
                x, y = max(int(x1), 0), max(int(y1), 0)  # the library's are whole pixels
                size = int(x2 - x1), int(y2 - y1)
                assert [x, y, x + size[0], y + size[1]] == other["box"]


def test_the_reference_holds_something_of_every_kind() -> None:
    counts = {kind: sum(len(one[kind]) for one in REFERENCE.values()) for kind in REFERENCE["both"]}
    assert all(count >= 4 for count in counts.values()), counts
    assert len(REFERENCE["both"]["poses"]) == len(REFERENCE["two hands"]["hands"]) == 2


@pytest.mark.parametrize(("shift", "count"), [(0, 1), (20, 1), (None, 2)])
def test_a_hand_that_two_palms_lead_to_is_one(
    shift: float | None, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = networks.fetch(["palm", "hand-landmarks"])
    palm, hand = (open_network(files[name]) for name in ("palm", "hand-landmarks"))
    finder = HandFinder(palm, hand, most=8, lowest=0.5)
    scene = np.full((480, 900, 3), GROUND, np.uint8)
    for left in (60, 560):
        scene[100:320, left : left + 220] = draw_hand(220)
    first, second = sorted(finder.regions(scene), key=lambda region: region.x)
    again = second if shift is None else replace(first, x=first.x + shift)
    monkeypatch.setattr(finder, "regions", lambda _: [first, again])
    assert len(finder.find(scene)) == count
