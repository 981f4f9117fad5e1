"""sfedge beside what a user would install instead: the same clips, in turn, each as shipped."""

import json
import subprocess
import tempfile
from pathlib import Path

import click
import numpy as np

from benchmarks import measured_on as machine
from benchmarks.people_clips import make_clip
from benchmarks.realtime import run_file

_PEOPLE = (1, 2)
_SCRIPT = Path(__file__).with_name("peer_mediapipe.py")


def run_mediapipe(python: Path, video: Path, out: Path, people: int) -> tuple[float, list[float]]:
    """Frames per second, and how many faces, hands and bodies a frame has on average."""
    command = [str(python), str(_SCRIPT), str(video), str(out), str(people)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    row = json.loads(done.stdout.splitlines()[-1])
    return row["frames"] / row["seconds"], [each / row["frames"] for each in row["found"]]


@click.command()
@click.argument("python", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--seconds", default=8.0, show_default=True, help="Of each clip.")
@click.option("--runs", default=3, show_default=True, help="Of each, in turn.")
@click.option("--out", type=click.Path(path_type=Path), default=machine.RESULTS / "peers.md")
def main(python: Path, seconds: float, runs: int, out: Path) -> None:
    """PYTHON is that of an environment with mediapipe 0.10.21."""
    facts, rows = machine.describe(), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for people in _PEOPLE:
            clip = make_clip(folder / f"{people}.mp4", people, seconds=seconds)
            ours, theirs, found = list[float](), list[float](), list[list[float]]()
            for turn in range(runs):
                run = run_file(clip, folder / f"{people}-{turn}")
                ours.append(len(run.frames) / (run.opened + run.finished))
                speed, seen = run_mediapipe(python, clip, folder / "theirs.mp4", people)
                theirs.append(speed)
                found.append(seen)
            mine, other = machine.median(ours), machine.median(theirs)
            each = ", ".join(f"{value:.1f}" for value in np.mean(found, axis=0))
            rows.append((str(people), f"{mine:.1f}", f"{other:.1f}", f"{mine / other:.2f}", each))
    parts = [
        f"Medians of {runs} runs in turn, from file to file, {seconds:g} s of 1280 × 720 at 30 "
        "frames per second, with start and end; as shipped: sfedge answers expression, gesture and "
        "look of everybody every half second, MediaPipe's library finds points of faces, hands and "
        "at most one body in each frame, answers nothing, and OpenCV writes MPEG-4.",
        machine.table(
            ("people", "sfedge", "MediaPipe", "ratio", "its faces, hands, bodies a frame"), rows
        ),
    ]
    command = f"python -m benchmarks.peers PYTHON --seconds {seconds:g} --runs {runs}"
    machine.write_page(out, "Beside MediaPipe's library", command, facts, parts)
    print(out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
