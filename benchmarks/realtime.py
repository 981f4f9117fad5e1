"""How quick a whole run of the default model is: files and live views of one to sixteen people."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from benchmarks import measured_on as machine
from benchmarks.people_clips import RATE, make_clip
from benchmarks.stages import THREADS, Run, measure
from sfedge.core.config import RunConfig
from sfedge.runtime.pipeline import open_session

FILES, LIVE = (1, 2, 5), (1, 2)
GROWING = (1, 2, 4, 8, 12, 16)
_WARM_UP = 1.0  # seconds of a live run that do not count
_FOUR_K = 3  # times 1280 x 720


@dataclass(frozen=True, slots=True)
class View:
    """A live run, after its warm-up."""

    seconds: float
    frames: int  # that were drawn
    processor: float  # seconds of processor time, of all cores
    delays: Sequence[float]  # s from when a frame was due until it was drawn
    ages: Sequence[float]  # s: of each answer that a drawn frame shows


def run_file(video: Path, folder: Path) -> Run:
    """As `sfedge run VIDEO` does it."""
    return measure(video, RunConfig(), folder)


def watch(video: Path) -> View:
    """A recording at its own pace, as `sfedge run --live` or the window shows it."""
    frames, delays, ages = 0, list[float](), list[float]()
    begun, work = 0.0, 0.0
    with open_session(video, live=True) as session:
        start: float | None = None  # the clock's time at the stream's second 0
        for result in session:
            session.draw(result)
            now = time.monotonic()
            # No frame comes before it is due: the earliest tells where the stream began.
            start = min(now - result.time, start if start is not None else now)
            if result.time < _WARM_UP:
                begun, work = now, time.process_time()
                continue
            frames += 1
            delays.append(now - result.time)
            ages += [result.time - answer.time for answer in result.predictions]
        seconds, processor = time.monotonic() - begun, time.process_time() - work
    assert start is not None
    return View(seconds, frames, processor, [each - start for each in delays], ages)


def files_table(runs: Sequence[tuple[str, Run]]) -> str:
    """Frames per second of whole runs, and how near that comes to the slowest thread."""
    rows = []
    for name, run in runs:
        counted = run.frames[RATE:]
        busiest = max(
            float(np.mean([sum(frame[stage] for stage in stages) for frame in counted]))
            for stages in THREADS
        )
        steady = (len(run.frames) - RATE) / (run.ends[-1] - run.ends[RATE - 1])
        each = [
            machine.milliseconds(float(np.mean([frame[stage] for frame in counted])))
            for stages in THREADS
            for stage in stages
        ]
        total = len(run.frames) / (run.opened + run.finished)
        rows.append((name, f"{total:.1f}", f"{steady:.1f}", f"{100 * steady * busiest:.0f}", *each))
    stages = [stage for stages in THREADS for stage in stages]
    header = ("clip", "frames/s, with start and end", "once warm", "% of the slowest thread")
    return machine.table((*header, *(f"{stage} ms" for stage in stages)), rows)


def live_table(views: Sequence[tuple[str, View]]) -> str:
    """What a live view shows, how late, and what it takes."""
    rows = [
        (
            name,
            f"{view.frames / view.seconds:.1f}",
            machine.milliseconds(float(np.quantile(view.delays, 0.95))),
            f"{np.quantile(view.ages, 0.95):.2f}" if view.ages else "",
            f"{view.processor / view.seconds:.2f}",
        )
        for name, view in views
    ]
    header = ("clip", "frames/s drawn", "delay p95 ms", "answer's age p95 s", "cores")
    return machine.table(header, rows)


def growth(counts: Sequence[int], clips: Sequence[Path], folder: Path) -> tuple[str, list[float]]:
    """What each frame of a file costs as people grow, and the live view beside it."""
    rows, costs = [], []
    for count, clip in zip(counts, clips, strict=True):
        run, view = run_file(clip, folder / str(count)), watch(clip)
        ours = [
            sum(frame[stage] for stage in ("detect", "track", "ask")) for frame in run.frames[RATE:]
        ]  # detect, track, ask
        costs.append(1000 * float(np.mean(ours)))
        rows.append(
            (
                str(count),
                f"{len(run.frames) / run.finished:.1f}",
                f"{costs[-1]:.1f}",
                f"{view.frames / view.seconds:.1f}",
                f"{np.quantile(view.ages, 0.95):.2f}" if view.ages else "",
            )
        )
    header = ("people", "file, frames/s", "detect, track, ask: ms a frame")
    return machine.table((*header, "live, frames/s", "answer's age p95 s"), rows), costs


def plot(counts: Sequence[int], costs: Sequence[float], path: Path) -> None:
    """Cost over people as a picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(counts, costs, "o-")
    axes.set(xlabel="people", ylabel="detect, track and ask: ms a frame", xlim=(0, None))
    axes.set_ylim(bottom=0)
    axes.grid(visible=True, alpha=0.3)
    figure.savefig(path, dpi=120)


@click.command()
@click.option(
    "--seconds", type=click.FloatRange(4), default=10.0, show_default=True, help="Of each clip."
)
@click.option("--out", type=click.Path(path_type=Path), default=machine.RESULTS / "realtime.md")
def main(seconds: float, out: Path) -> None:
    """Run made clips of 1 to 16 people as files and live."""
    facts = machine.describe()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        counts = sorted({*FILES, *LIVE, *GROWING})
        clips = {n: make_clip(folder / f"{n}.mp4", n, seconds=seconds) for n in counts}
        large = make_clip(folder / "4k.mp4", 2, seconds=seconds / 2, scale=_FOUR_K)
        files = [(f"720p, {n} people", run_file(clips[n], folder / f"out{n}")) for n in FILES]
        files.append(("4K, 2 people", run_file(large, folder / "out4k")))
        views = [(f"720p, {n} people", watch(clips[n])) for n in LIVE]
        grown, costs = growth(GROWING, [clips[n] for n in GROWING], folder / "growing")
    plot(GROWING, costs, out.with_suffix(".png"))
    parts = [
        f"Clips of {RATE} frames per second, {seconds:g} s each (4K: half of it): photographs that "
        "sway a little, each with a drawn hand held up. Made here; the default model, all its "
        "tasks, all settings as they are.",
        "## From file to file",
        files_table(files),
        "Times are of the stage in its thread, beside the others.",
        "## Live",
        "The recording at its own pace, drawn, not shown in a window. The delay is that from when "
        "a frame was due to when it was drawn, over the least one. Decoding the recording counts "
        "as work, as a camera's would.",
        live_table(views),
        "## As people grow",
        grown,
        f"![Cost over people]({out.with_suffix('.png').name})",
    ]
    machine.write_page(
        out, "Real time", f"python -m benchmarks.realtime --seconds {seconds:g}", facts, parts
    )
    print(out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
