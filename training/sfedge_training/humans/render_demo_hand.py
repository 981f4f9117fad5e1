"""Renders `sfedge/demo/raised_hand.png`, the open hand that is raised in the demo clip.

Run: python -m sfedge_training.humans.render_demo_hand HUMANS FILE
where HUMANS holds MakeHuman's data (docs/humans.md). The same data give the same bytes.
"""

from pathlib import Path

import click
import cv2
import numpy as np

from sfedge.core.structures import Image
from sfedge.demo.demo_hand import WRIST
from sfedge_training.humans.body_pose import Stance, pose_person
from sfedge_training.humans.figure import known_figure
from sfedge_training.humans.gestures import Hold
from sfedge_training.humans.render_camera import Camera, Light, shoot
from sfedge_training.humans.skeleton import unit

_SEED, _WHO = 20, 1  # whose hand it is
_WIDTH, _HEIGHT = 200, 250  # pixels
_TALL, _AWAY = 2.2, 20.0  # decimetres: what the picture's height shows, and how far away that is
_PALM = Hold("palm", (0, 1, 0), (0, 0, 1), (0.4, 0.3, 0.4), loose=0.0, spread=0.0, vary=0.0)
# From above left, as in the clip's photographs.
_LIGHT = Light(unit((-0.42, 0.52, 0.74)), np.full(3, 1.05), np.full(3, 0.55))


def render(humans: Path) -> Image:
    """The palm of a right hand that points up, (H, W, 4) RGB and opacity.

    Args:
        humans: MakeHuman's data.

    Raises:
        DataError: the data are not there.
    """
    figure = known_figure(humans, _SEED, _WHO)
    rng = np.random.default_rng(_SEED)
    person = pose_person(figure, Stance(holds={"right": _PALM}), rng)
    wrist = person.pose.heads[figure.library.bone("wrist.R")]
    aside = (0.5 - WRIST[0]) * _TALL * _WIDTH / _HEIGHT
    place = wrist + np.array([aside, (WRIST[1] - 0.5) * _TALL, _AWAY])
    camera = Camera(place, np.eye(3), _AWAY / _TALL, _WIDTH, _HEIGHT)
    black = np.zeros((_HEIGHT, _WIDTH, 3), np.uint8)
    shown, behind = (
        shoot([person.solid], camera, _LIGHT, ground).image.astype(np.float32)
        for ground in (black, 255 - black)
    )
    cover = 255 - (behind - shown)[..., :1]
    colour = shown * 255 / np.maximum(cover, 1)
    return np.concatenate([colour, cover], axis=2).round().clip(0, 255).astype(np.uint8)


@click.command()
@click.argument("humans", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def main(humans: Path, file: Path) -> None:
    """Write the hand to FILE, a PNG."""
    _, data = cv2.imencode(".png", cv2.cvtColor(render(humans), cv2.COLOR_RGBA2BGRA))
    file.write_bytes(data.tobytes())


if __name__ == "__main__":
    main()
