"""How often people change or share their ids, in made crowds with the errors of detectors."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import click
import numpy as np

from benchmarks import measured_on as machine
from benchmarks.crowd import COLOURS, RATE, Errors, Score, Walker, compare, frames
from sfedge.tracking.track import Tracker

ERRORS = Errors(missed=0.15, noise=0.04)


@dataclass(frozen=True, slots=True)
class Scene:
    """Figures on their paths, and for how long they are watched."""

    walkers: Sequence[Walker]
    seconds: float


def crossing(random: np.random.Generator) -> Scene:
    """Two people walk past each other, the nearer one in front."""
    speed = random.uniform(0.1, 0.25)
    left, right = speed, speed * random.uniform(0.8, 1.2)
    walkers = [
        Walker(lambda time: (0.15 + left * time, 0.3 + 0.01 * math.sin(6 * time)), COLOURS[0]),
        Walker(
            lambda time: (0.85 - right * time, 0.3 + 0.01 * math.sin(6 * time)), COLOURS[1], 1.3
        ),
    ]
    return Scene(walkers, 0.7 / speed)


def meeting(random: np.random.Generator) -> Scene:
    """Two people come up to each other, stop and turn back."""
    reach, scale = random.uniform(0.26, 0.3), random.uniform(1.05, 1.3)

    def way(time: float) -> float:
        return reach * math.sin(min(time / 4, 1) * math.pi)

    walkers = [
        Walker(lambda time: (0.15 + way(time), 0.3), COLOURS[0]),
        Walker(lambda time: (0.85 - way(time), 0.3), COLOURS[1], scale),
    ]
    return Scene(walkers, 4.0)


def returning(random: np.random.Generator) -> Scene:
    """One leaves the picture and comes back after 3 s; another stays."""
    speed = random.uniform(0.2, 0.35)

    def path(time: float) -> tuple[float, float] | None:
        if time < 2:
            return 0.5 + 0.25 * time, 0.3
        return None if time < 5 else (max(1.0 - speed * (time - 5), 0.6), 0.3)

    walkers = [Walker(path, COLOURS[0]), Walker(lambda time: (0.3, 0.35), COLOURS[1], 1.2)]
    return Scene(walkers, 8.0)


def replacing(random: np.random.Generator) -> Scene:
    """One leaves, and 3 s later a stranger in other clothes comes in; another stays."""
    speed = random.uniform(0.2, 0.35)

    def leaving(time: float) -> tuple[float, float] | None:
        return (0.5 + 0.25 * time, 0.3) if time < 2 else None

    def coming(time: float) -> tuple[float, float] | None:
        return None if time < 5 else (max(1.0 - speed * (time - 5), 0.6), 0.3)

    walkers = [
        Walker(leaving, COLOURS[0]),
        Walker(coming, COLOURS[2]),
        Walker(lambda time: (0.3, 0.35), COLOURS[1], 1.2),
    ]
    return Scene(walkers, 8.0)


def milling(random: np.random.Generator) -> Scene:
    """Five people wander through one another."""

    def wandering() -> Callable[[float], tuple[float, float]]:
        pace, phase, width, y = random.uniform((0.5, 0, 0.18, 0.2), (1.2, 6, 0.42, 0.4))
        return lambda time: (0.5 + width * math.sin(pace * time + phase), y)

    return Scene([Walker(wandering(), c, random.uniform(0.8, 1.5)) for c in COLOURS], 10.0)


SCENES: Mapping[str, Callable[[np.random.Generator], Scene]] = {
    "two people cross": crossing,
    "two meet and turn back": meeting,
    "one leaves and comes back after 3 s": returning,
    "one leaves, a stranger comes after 3 s": replacing,
    "five pass through one another for 10 s": milling,
}


def follow(scene: Scene, seed: int, errors: Errors = ERRORS, *, has_colour: bool = True) -> Score:
    """What the tracker makes of a scene."""
    tracker = Tracker()
    history = [
        (frame.time, tracker.update(found, frame).people)
        for found, frame in frames(
            scene.walkers, scene.seconds, errors, seed, has_colour=has_colour
        )
    ]
    return compare(scene.walkers, history)


def page_parts(runs: int) -> str:
    """Every scene in `runs` variants, in different clothes and all in the same."""
    rows = []
    for name, make in SCENES.items():
        for has_colour in (True, False):
            scores = [
                follow(make(np.random.default_rng(seed)), seed, has_colour=has_colour)
                for seed in range(runs)
            ]
            changed = [score.switches for score in scores]
            followed = sum(score.followed for score in scores) / sum(score.seen for score in scores)
            rows.append(
                (
                    name,
                    "different" if has_colour else "the same",
                    str(sum(changed)),
                    f"{np.count_nonzero(changed)} of {runs}",
                    f"{sum(map(_has_shared_id, scores))} of {runs}",
                    f"{followed:.0%}",
                )
            )
    header = ("scene", "clothes", "changes of id", "runs with one", "runs with an id of two people")
    return machine.table((*header, "followed"), rows)


@click.command()
@click.option("--runs", default=10, show_default=True, help="Variants of each scene.")
@click.option("--out", type=click.Path(path_type=Path), default=machine.RESULTS / "tracking.md")
def main(runs: int, out: Path) -> None:
    """Count how often the tracker changes or mixes up ids."""
    facts = machine.describe()
    parts = [
        f"Drawn figures at {RATE:g} frames per second. Of all detections {ERRORS.missed:.0%} are "
        f"missed; boxes are shaken by {ERRORS.noise:.0%} of their size; bodies and hands are "
        f"looked for in every {ERRORS.every}th frame. {runs} variants of each scene. People have "
        "the same skin, and clothes of different colours or the same. Followed is the share of "
        "visible faces with a track on them, which misses those that no detector found.",
        page_parts(runs),
    ]
    machine.write_page(out, "Ids", f"python -m benchmarks.tracking --runs {runs}", facts, parts)
    print(out.read_text(encoding="utf-8"))


def _has_shared_id(score: Score) -> bool:
    return any(set(one) & set(other) for one, other in combinations(score.ids, 2))


if __name__ == "__main__":
    main()
