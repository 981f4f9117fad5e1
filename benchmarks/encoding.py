"""What presets of the H.264 encoder cost, and what they make of an annotated video."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import av
import click
import numpy as np

from benchmarks import measured_on as machine
from sfedge.core.structures import Image
from sfedge.demo.demo_clip import RATE, make_demo_clip
from sfedge.results.video_writer import CRF, PRESET, VideoWriter
from sfedge.runtime.pipeline import open_session

CHOICES = (
    ("veryfast", 21), ("superfast", 21), ("superfast", 22), ("superfast", 23), ("ultrafast", 21),
    ("ultrafast", 19),
)  # fmt: skip
_TO_BRIGHTNESS = np.array([0.2126, 0.7152, 0.0722], np.float32)


def drawn_frames(video: Path, count: int) -> list[Image]:
    """The first frames of a video with everything drawn on them."""
    frames: list[Image] = []
    with open_session(video) as session:
        for result in session:
            frames.append(session.draw(result))
            if len(frames) == count:
                break
    return frames


def encode(frames: Sequence[Image], preset: str, crf: int, path: Path) -> tuple[float, int, float]:
    """What an encoder makes of frames.

    Returns:
        Seconds of processor time a frame, bytes a second, and the mean PSNR of the brightness in
        dB.
    """
    height, width = frames[0].shape[:2]
    begun = time.process_time()
    with VideoWriter(
        path, width=width, height=height, frame_rate=RATE, preset=preset, crf=crf
    ) as writer:
        for number, frame in enumerate(frames):
            writer.write(frame, number / RATE)
        writer.finish()
    spent = time.process_time() - begun
    with av.open(str(path)) as file:
        decoded = [picture.to_ndarray(format="rgb24") for picture in file.decode(video=0)]
    errors = [
        float(np.mean(((a.astype(np.float32) - b) @ _TO_BRIGHTNESS) ** 2))
        for a, b in zip(decoded, frames, strict=True)
    ]
    noise = float(np.mean([10 * np.log10(255**2 / max(error, 1e-9)) for error in errors]))
    return spent / len(frames), path.stat().st_size * RATE // len(frames), noise


@click.command()
@click.argument("videos", nargs=-1, type=click.Path(path_type=Path, exists=True))
@click.option("--frames", default=100, show_default=True, help="Of each video.")
@click.option("--out", type=click.Path(path_type=Path), default=machine.RESULTS / "encoding.md")
def main(videos: Sequence[Path], frames: int, out: Path) -> None:
    """Encode annotated frames of VIDEOS, else of the demo clip, in several ways."""
    facts = machine.describe()
    parts = [
        f"{frames} annotated frames of each video, at {RATE} frames a second, with all that a run "
        "gives the encoder. Times are of the processor, all cores together, colours turned into "
        f"the encoder's included. A run writes with `{PRESET}` and crf {CRF}."
    ]
    with tempfile.TemporaryDirectory() as name:
        for video in videos or [make_demo_clip(Path(name) / "demo.mp4", seconds=frames / RATE)]:
            drawn = drawn_frames(video, frames)
            rows = []
            for preset, crf in CHOICES:
                spent, size, noise = encode(drawn, preset, crf, Path(name) / "out.mp4")
                rows.append(
                    (
                        preset,
                        str(crf),
                        machine.milliseconds(spent),
                        f"{size / 1000:.0f}",
                        f"{noise:.2f}",
                    )
                )
            height, width = drawn[0].shape[:2]
            header = ("preset", "crf", "ms a frame", "kB a second", "PSNR dB")
            parts += [f"## {video.name}, {width} × {height}", machine.table(header, rows)]
    names = " ".join(video.name for video in videos)
    command = f"python -m benchmarks.encoding {names} --frames {frames}".replace("  ", " ")
    machine.write_page(out, "Encoding", command, facts, parts)
    print(out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
