"""MediaPipe's own library as a detector, in another Python environment and process.

The default detector runs the same networks without it. The library is here for comparison: most of
its versions report every run to Google, so it is started only where a user asks for it by name.
"""

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from sfedge.core.errors import DetectorError
from sfedge.core.structures import Image
from sfedge.detect.mediapipe.detected_points import FoundFace, FoundHand, FoundPose, Range
from sfedge.detect.mediapipe.mediapipe_networks import (
    HAND_SCORE,
    MOST_HANDS,
    MOST_PERSONS,
    PERSON_SCORE,
)
from sfedge.detect.mediapipe.regions import Region

PYTHON = "SFEDGE_MEDIAPIPE_PYTHON"  # variable that names the environment's interpreter
SILENT = "0.10.33"  # the version that was seen to open no connection
_REPORTING = ("0.10.35", "1.2.3")  # those that were seen to open connections
_SET_UP = (
    f"Run: python3 -m venv ~/mediapipe && ~/mediapipe/bin/pip install mediapipe=={SILENT}, and set "
    f"{PYTHON}=~/mediapipe/bin/python."
)
_START_SECONDS, _CALL_SECONDS, _CLOSE_SECONDS = 60.0, 30.0, 1.5
_LOWEST_FACE = 0.5  # of the faces that it gives; callers ask for no less


class MediaPipeLibrary:
    """MediaPipe's tasks in a process of their own (see `landmarks.Networks`).

    Args:
        files: the TFLite file of each network in `sfedge.detect.conversion.networks.DETECTING`.
        python: the interpreter of an environment with mediapipe; None for the one that the
            environment variable `SFEDGE_MEDIAPIPE_PYTHON` names.

    Raises:
        DetectorError: there is no such environment, or the library does not start.
    """

    follows = False

    def __init__(self, files: Mapping[str, Path], python: Path | None = None) -> None:
        named = str(python or os.environ.get(PYTHON, ""))
        self._python = Path(named).expanduser()
        if not named or not self._python.is_file():
            what = f"{self._python} is no file" if named else f"{PYTHON} is not set"
            raise DetectorError(
                f"MediaPipe's library is run by a Python environment of its own, but {what}",
                fix=_SET_UP,
            )
        settings = {
            "files": {name: str(file) for name, file in files.items()},
            "face_score": _LOWEST_FACE,
            "hand_score": HAND_SCORE,
            "person_score": PERSON_SCORE,
            "most_hands": MOST_HANDS,
            "most_persons": MOST_PERSONS,
        }
        script = Path(__file__).with_name("mediapipe_server.py")
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 -- closed by `close`
        self._rest = b""
        self.seconds = 0.0  # that the library itself has spent on pictures, without their way to it
        try:
            self._process = subprocess.Popen(
                [str(self._python), "-I", str(script), json.dumps(settings)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
            )
        except OSError as error:
            self._log.close()
            raise DetectorError(
                f"it cannot be started ({error.strerror})", where=str(self._python), fix=_SET_UP
            ) from error
        try:
            self.version = str(self._answer(_START_SECONDS)["version"])
            sys.stderr.write(f"sfedge: note: {what_it_sends(self.version)}\n")
            self._answer(_START_SECONDS)
        except DetectorError:
            self.close()
            raise

    def find_faces(self, image: Image, reach: Range, lowest: float) -> list[FoundFace]:
        return [
            FoundFace(tuple(row["box"]), np.array(row["points"]), row["score"])
            for row in self._ask(reach, image)
            if row["score"] >= lowest
        ]

    def find_hands(self, image: Image, known: Sequence[Region] = ()) -> list[FoundHand]:
        return [
            FoundHand(np.array(row["points"]), row["side"], row["score"])
            for row in self._ask("hands", image)
        ]

    def find_hand_at(self, image: Image, likely: Region) -> FoundHand | None:
        """None: the library looks for hands by their palms alone."""

    def find_hand_again(self, image: Image, region: Region) -> FoundHand | None:
        """None, likewise."""

    def find_pose_again(self, image: Image, region: Region) -> FoundPose | None:
        """None: the library looks for persons in the whole picture alone."""

    def find_poses(self, image: Image, known: Sequence[Region] = ()) -> list[FoundPose]:
        return [FoundPose(np.array(row["points"])) for row in self._ask("poses", image)]

    def close(self) -> None:
        """End the process; a hanging one is killed."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        try:
            self._process.wait(_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _ask(self, network: str, image: Image) -> list[dict[str, Any]]:
        height, width = image.shape[:2]
        request = json.dumps({"network": network, "height": height, "width": width})
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(request.encode() + b"\n" + image.tobytes())
            self._process.stdin.flush()
        except (OSError, ValueError) as error:
            raise self._failed("it has ended") from error
        answer = self._answer(_CALL_SECONDS)
        if "error" in answer:
            raise self._failed(str(answer["error"]))
        self.seconds += answer["seconds"]
        rows: list[dict[str, Any]] = answer["found"]
        return rows

    def _answer(self, seconds: float) -> dict[str, Any]:
        """The next line of the process."""
        assert self._process.stdout is not None
        until = time.monotonic() + seconds
        while b"\n" not in self._rest:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._process.stdout], [], [], left)[0]:
                raise self._failed(f"no answer within {seconds:g} s")
            chunk = os.read(self._process.stdout.fileno(), 1 << 20)
            if not chunk:
                raise self._failed("it has ended")
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _failed(self, why: str) -> DetectorError:
        last = ""
        if not self._log.closed:
            self._log.seek(0)
            lines = self._log.read().decode(errors="replace").strip().splitlines()
            last = f": {lines[-1].strip()}" if lines else ""
        return DetectorError(
            f"MediaPipe's library failed ({why}{last})", where=str(self._python), fix=_SET_UP
        )


def what_it_sends(version: str) -> str:
    """A sentence on what a version of MediaPipe's library reports."""
    if version == SILENT:
        return f"MediaPipe's library {version} is used; it was seen to open no connection."
    seen = "reports" if version in _REPORTING else "may report"
    return (
        f"MediaPipe's library {version} is used, and {seen} every run to play.googleapis.com; "
        f"{SILENT} does not."
    )
