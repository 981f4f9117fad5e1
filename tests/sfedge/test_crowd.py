from contextlib import closing

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sfedge.core.structures import Frame
from sfedge.detect.conversion import networks
from sfedge.detect.mediapipe.mediapipe_networks import MediaPipeNetworks
from sfedge.detect.tiled_detector import TiledDetector
from sfedge.tracking.track import Tracker


def test_of_forty_small_heads_all_are_followed_with_stable_ids(
    astronaut: NDArray[np.uint8],
) -> None:
    head = np.asarray(Image.fromarray(astronaut[:256, 96:352]).resize((120, 120)))
    ground = np.full((720, 1280, 3), 100, np.uint8)
    for row in range(5):
        for column in range(8):
            y, x = 10 + 142 * row, 15 + 155 * column
            ground[y : y + 120, x : x + 120] = head
    tracker, noise = Tracker(), np.random.default_rng(0)
    seen = []
    with closing(TiledDetector(MediaPipeNetworks(networks.fetch(networks.DETECTING)))) as detector:
        for index in range(6):
            shaken = np.clip(ground + noise.normal(0, 4, ground.shape), 0, 255).astype(np.uint8)
            frame = Frame(np.roll(shaken, 3 * index, axis=1), index, 0.1 * index)
            seen.append(tracker.update(detector.detect(frame), frame).people)

    assert [len(people) for people in seen] == [40] * 6
    assert [[track.id for track in people] for people in seen] == [[*range(1, 41)]] * 6
    for one, other in zip(seen[0], seen[-1], strict=True):
        assert one.face is not None
        assert other.face is not None
        assert abs(other.face.x1 - one.face.x1) < 0.02  # the same head
