"""What each stage of the pipeline takes for a frame, in a whole run that writes its files."""

import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import click
import numpy as np

from benchmarks import measured_on as machine
from sfedge.core.config import EngineName, RunConfig
from sfedge.core.frame_result import FrameResult
from sfedge.demo.demo_clip import RATE, make_demo_clip
from sfedge.results.run_report import RunReport
from sfedge.runtime.pipeline import open_session
from sfedge.runtime.process import process
from sfedge.runtime.session import Session
from sfedge.system.machine import peak_memory

# Each in a thread of its own; what a thread does of a frame takes turns.
THREADS = (("read",), ("detect",), ("track", "ask"), ("draw", "write"))
STAGES = tuple(stage for thread in THREADS for stage in thread)
_ONCE = (*THREADS[0], *THREADS[-1])  # once a frame, in order
_OTHERS = (*THREADS[1], *THREADS[2])


class _Watched:
    """A session that notes what each frame took."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._once: dict[str, list[float]] = {stage: [] for stage in _ONCE}
        self._rest: list[dict[str, float]] = []  # of the other stages, for each frame
        self.ends: list[float] = []  # when each frame came out
        own, session.timed = session.timed, self.timed  # type: ignore[method-assign]
        self._timed = own

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    @property
    def seconds(self) -> list[dict[str, float]]:
        """By stage, for each frame; once all are written."""
        # The end of the source was read for, too.
        once = zip(*self._once.values(), strict=False)
        named = [dict(zip(self._once, row, strict=True)) for row in once]
        return [{**a, **b} for a, b in zip(named, self._rest, strict=True)]

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """As of the session."""
        begun = time.perf_counter()
        with self._timed(stage):
            yield
        if stage in _ONCE:
            self._once[stage].append(time.perf_counter() - begun)

    def __iter__(self) -> Iterator[FrameResult]:
        before = dict.fromkeys(_OTHERS, 0.0)
        for result in self._session:
            yield result
            self.ends.append(time.perf_counter())
            now = {stage: self._session.report.seconds.get(stage, 0.0) for stage in before}
            self._rest.append({stage: now[stage] - before[stage] for stage in before})
            before = now


@dataclass(frozen=True, slots=True)
class Run:
    """What a run took; times in seconds."""

    source: str  # what was run, in words
    model: str  # and where it ran
    report: RunReport
    frames: list[dict[str, float]]  # by stage, for each frame
    opened: float  # until the session was open
    ends: list[float]  # of each frame, from then on
    finished: float  # and of the run, with all files in place
    memory: int  # most bytes that the process held


def measure(video: Path, config: RunConfig, out: Path) -> Run:
    """Run a video into a folder, as `sfedge run` does."""
    begun = time.perf_counter()
    with open_session(video, config) as session:
        opened = time.perf_counter()
        watched = _Watched(session)
        outcome = process(cast(Session, watched), out, progress=False)
        finished = time.perf_counter()
    info = session.info
    rate = f", {info.frame_rate:g} frames per second" if info.frame_rate else ""
    return Run(
        source=f"{info.width} × {info.height}{rate}",
        model=f"{session.model_name} on {session.device}",
        report=outcome.report,
        frames=watched.seconds,
        opened=opened - begun,
        ends=[end - opened for end in watched.ends],
        finished=finished - opened,
        memory=peak_memory() or 0,
    )


def page_parts(run: Run, warm_up: int) -> list[str]:
    """The result in tables.

    Args:
        run: what was measured.
        warm_up: how many of the first frames are left out of the table by stage.
    """
    # A session holds frames back for a second: the last ones were looked at before.
    end = 1 + max(i for i, frame in enumerate(run.frames) if frame["detect"] > 0)
    counted = run.frames[warm_up:end]
    rows = []
    for stage in STAGES:
        spent = [frame[stage] for frame in counted]
        ran = [seconds for seconds in spent if seconds > 0] or [0.0]
        mean = machine.milliseconds(float(np.mean(spent)))
        rows.append((stage, str(np.count_nonzero(spent)), *machine.middle_and_95th(ran), mean))
    for stages in (*(thread for thread in THREADS if len(thread) > 1), STAGES):
        whole = [sum(frame[stage] for stage in stages) for frame in counted]
        name = "all stages" if stages == STAGES else ", ".join(stages)
        mean = machine.milliseconds(float(np.mean(whole)))
        rows.append((name, str(len(whole)), *machine.middle_and_95th(whole), mean))
    steady = len(counted) / (run.ends[end - 1] - run.ends[warm_up - 1])
    slowest = max(
        float(np.mean([sum(frame[stage] for stage in stages) for frame in counted]))
        for stages in THREADS
    )
    report = run.report
    return [
        f"{len(run.frames)} frames of {run.source}; {report.people} people, "
        f"{report.asked} frames asked about, {sum(report.answers.values())} answers. "
        f"Model: {run.model}.",
        machine.table(
            ("stage", "frames with it", "median ms", "95th percentile ms", "mean ms of all frames"),
            rows,
        ),
        f"The first {warm_up} frames and the last {len(run.frames) - end} are left out here. "
        "Reading, detecting, and drawing with writing have a thread each, and the rest a fourth: a "
        "frame comes sooner than the sum of its stages, which are slower beside others. Detecting "
        "is counted from one frame that comes out to the next.",
        machine.table(
            ("end to end", ""),
            [
                ("frames per second, once warm", f"{steady:.1f}"),
                ("of what the slowest thread alone gives, %", f"{100 * steady * slowest:.0f}"),
                ("frames per second of the run, with start and end", f"{_rate(run):.1f}"),
                ("s to open source, model and networks", f"{run.opened:.2f}"),
                ("s from the last frame until all files are complete", f"{_end(run):.2f}"),
                ("peak memory, MiB", f"{run.memory / 2**20:.0f}"),
            ],
        ),
    ]


@click.command()
@click.argument("video", type=click.Path(path_type=Path, exists=True), required=False)
@click.option("--seconds", default=12.0, show_default=True, help="Of the video, or the clip made.")
@click.option("--warm-up", default=25, show_default=True, help="Frames left out of the table.")
@click.option(
    "--engine", type=click.Choice(get_args(EngineName)), default="auto", show_default=True
)
@click.option("--bundle", type=click.Path(path_type=Path), help="A model; else the default one.")
@click.option("--out", type=click.Path(path_type=Path), default=machine.RESULTS / "stages.md")
def main(
    video: Path | None,
    seconds: float,
    warm_up: int,
    engine: EngineName,
    bundle: Path | None,
    out: Path,
) -> None:
    """Time the stages on VIDEO, else on the demo clip."""
    facts = machine.describe()
    command = " ".join(
        ["python -m benchmarks.stages"]
        + ([video.name] if video else [])
        + [f"--seconds {seconds:g} --warm-up {warm_up} --engine {engine}"]
        + ([f"--bundle {bundle.name if bundle.is_absolute() else bundle}"] if bundle else [])
    )
    with tempfile.TemporaryDirectory() as folder:
        chosen = video or _demo_clip(Path(folder) / "demo.mp4", seconds)
        config = RunConfig(end=seconds, engine=engine, bundle=bundle)
        run = measure(chosen, config, Path(folder) / "out")
    if not 0 < warm_up < len(run.frames):
        raise click.UsageError(f"--warm-up must lie between 0 and the {len(run.frames)} frames")
    machine.write_page(out, "Stages of the pipeline", command, facts, page_parts(run, warm_up))
    print(out.read_text(encoding="utf-8"))


def _demo_clip(path: Path, seconds: float) -> Path:
    """The demo clip, made in a process of its own, whose memory does not count."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as apart:
        return apart.submit(make_demo_clip, path, seconds=max(seconds, 1 / RATE)).result()


def _rate(run: Run) -> float:
    return len(run.frames) / (run.opened + run.finished)


def _end(run: Run) -> float:
    return run.finished - run.ends[-1]


if __name__ == "__main__":
    main()
