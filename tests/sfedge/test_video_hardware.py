"""Whose video codecs are used: no hardware of any is here, so that each choice has to fall back."""

import logging
from pathlib import Path

import av
import numpy as np
import pytest

import sfedge
from sfedge.core.errors import ConfigError
from sfedge.results.video_writer import VideoWriter
from sfedge.runtime.process import process
from sfedge.sources.video import VideoSource
from sfedge.system import video_hardware
from sfedge.system.video_hardware import VideoEncoder, decoding_devices, working_encoder


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    random = np.random.default_rng(0)
    with VideoWriter(path, width=64, height=48, frame_rate=10) as writer:
        for number in range(12):
            noise = random.integers(0, 256, (6, 8, 3), np.uint8)
            writer.write(np.ascontiguousarray(noise.repeat(8, 0).repeat(8, 1)), number / 10)
        writer.finish()
    return path


def codec_of(path: Path) -> str:
    with av.open(str(path)) as file:
        return str(file.streams.video[0].codec_context.name)


@pytest.mark.parametrize("codecs", ["nvidia", "vaapi", "v4l2", "auto"])
def test_without_the_hardware_a_video_is_the_same_and_it_is_said(
    codecs: video_hardware.Codecs, clip: Path, tmp_path: Path
) -> None:
    plain, chosen = VideoSource(str(clip)), VideoSource(str(clip), codecs=codecs)
    frames = list(zip(plain, chosen, strict=True))
    assert len(frames) == 12
    assert all((a.image == b.image).all() and a.time == b.time for a, b in frames)
    out = tmp_path / "out.mp4"
    with VideoWriter(out, width=64, height=48, frame_rate=10, codecs=codecs) as writer:
        for a, _ in frames:
            writer.write(a.image, a.time)
        writer.finish()
    assert codec_of(out) == "h264"
    if codecs == "auto":
        assert (chosen.warnings, writer.note) == ((), "")
    else:
        assert writer.note == f"the CPU encodes the video: no encoder of {codecs} works here"
    if codecs in ("nvidia", "v4l2"):  # PyAV's wheel takes VAAPI, and decodes on the CPU
        assert chosen.warnings == (f"the CPU decodes it: no decoder of {codecs} works here",)


def test_an_encoder_that_works_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One of the CPU's in the place of a device's."""
    own = VideoEncoder("libx265", options={"x265-params": "log-level=none:bframes=0"})
    monkeypatch.setattr(video_hardware, "_ENCODERS", {"vaapi": own})
    assert working_encoder("vaapi", 64, 48) == working_encoder("auto", 64, 48) == own
    assert working_encoder("nvidia", 64, 48) is None
    path = tmp_path / "out.mp4"
    with VideoWriter(path, width=63, height=47, frame_rate=10, codecs="auto") as writer:
        for number in range(5):
            writer.write(np.full((47, 63, 3), 40 * number, np.uint8), number / 10)
        writer.finish()
    assert (codec_of(path), writer.note) == ("hevc", "")
    times = [frame.time for frame in VideoSource(str(path))]
    assert times == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])


def test_the_cpu_s_codecs_ask_no_device() -> None:
    assert list(decoding_devices("cpu")) == list(decoding_devices("v4l2")) == []
    assert list(decoding_devices("auto")) == ["cuda", "vaapi"]
    assert working_encoder("cpu", 64, 48) is None


def test_unknown_codecs_are_refused() -> None:
    with pytest.raises(ConfigError, match="codecs='amd' is none of cpu, auto, nvidia"):
        sfedge.RunConfig(codecs="amd")  # type: ignore[arg-type]


def test_a_run_says_that_the_cpu_encodes(
    clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.WARNING, "sfedge.runtime"),
        sfedge.open(clip, codecs="nvidia") as session,
    ):
        outcome = process(session, tmp_path)
    assert "no encoder of nvidia works here" in caplog.text
    assert "the CPU decodes it: no decoder of nvidia works here" in outcome.report.warnings
