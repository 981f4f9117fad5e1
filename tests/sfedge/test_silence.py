"""Every command says nothing to anybody, and leaves files only where docs/privacy.md says."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import network_trap
import numpy as np
import pytest
import torch
from network_trap import Outcome
from numpy.typing import NDArray
from PIL import Image
from scenes import DRAWN_BUNDLE, Scene

from sfedge.core.errors import EngineError
from sfedge.detect.conversion import networks
from sfedge.engines import ENGINES
from sfedge.system import telemetry
from sfedge_training.loop.checkpoint import save_model
from sfedge_training.loop.recipe import Recipe
from sfedge_training.model.model_config import PRESETS
from sfedge_training.model.social_fusion import build_model

ROOT = Path(__file__).parents[2]
SFEDGE = (sys.executable, "-m", "sfedge")
TRAIN = (sys.executable, "-m", "sfedge_training")

# A program that lives on: libraries report some seconds after they were used.
LIBRARY = """
import sys, time, sfedge
clip, bundle, *engines = sys.argv[1:]
for engine in engines:
    session = sfedge.open(clip, engine=engine, bundle=bundle)
    print(sum(bool(result.fresh) for result in session) > 0)
time.sleep(12)
"""
# The window with a source, closed as by a user once it has played to its end.
WINDOW = """
import sys
from PyQt6.QtCore import QTimer
from sfedge_desktop import app, main_window
class Window(main_window.MainWindow):
    def play(self, source):
        super().play(source)
        self.looks = QTimer(self)
        self.looks.timeout.connect(self.look)
        self.looks.start(50)
    def look(self):
        if self.has_ended:
            print("played", flush=True)
            self.close()
main_window.MainWindow = Window
app.main(sys.argv[1:])
"""
# What the trap must see: a question, a known and an unknown port, an address without a name, UDP.
CONTROL = """
import contextlib, pathlib, socket
for place in (("telemetry.example", 443), ("192.0.2.99", 4317), ("2001:db8::99", 80)):
    with contextlib.suppress(ConnectionError):
        socket.create_connection(place, timeout=10).close()
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"event", ("192.0.2.98", 514))
with socket.create_server(("127.0.0.1", 0)) as server:
    socket.create_connection(server.getsockname()).close()
pathlib.Path("~/.cache/device-id").expanduser().write_text("1")
"""
QUIET = (
    "run",
    "run --offline",
    "run --live",
    "demo",
    "score",
    "bench",
    "info",
    "doctor",
    "detectors list",
    "engine list",
    "window",
    "library",
    "training draw",
    "training check",
    "training",
    "export",
)


@dataclass(frozen=True)
class Runs:
    """How the commands ended, and the files that were there afterwards, below `home` and others."""

    outcomes: dict[str, Outcome]
    folder: Path
    files: list[Path]


def installed_engines() -> list[str]:
    found = []
    for name, engine in ENGINES.items():
        try:
            engine.check()
        except EngineError:
            continue
        found.append(name)
    return found


def run_all(folder: Path, commands: Mapping[str, Sequence[str]]) -> Runs:
    """Run commands as a user with an empty home, except for the detector networks."""
    for name in ("home", "temporary", "runtime", "work"):
        (folder / name).mkdir(mode=0o700, exist_ok=True)
    environment = {  # nothing that reveals a test to a library, such as CI
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "temporary"),
        "XDG_RUNTIME_DIR": str(folder / "runtime"),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path.startswith("/")),
        "LANG": "C.UTF-8",
        "QT_QPA_PLATFORM": "offscreen",
        # Where pip is asked for the networks, at an address that is nobody's.
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "https://index.example/simple",
    }
    outcomes = network_trap.run_all(commands, environment=environment, folder=folder / "work")
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir())
    return Runs(outcomes, folder, files)


@pytest.fixture(scope="module", autouse=True)
def _permitted() -> None:
    if why := network_trap.refusal():
        assert os.environ.get("CI") != "true", why
        pytest.skip(f"commands cannot be run in a network of their own: {why}")


def _parts(folder: Path) -> Path:
    """Encoder and language model of the preset `tiny`, with random weights."""
    torch.manual_seed(0)
    bare = build_model(PRESETS["tiny"], with_lora=False)
    save_model(folder / "work" / "parts", bare, Recipe(pretraining=True), {})
    return folder / "work" / "parts"


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory, scene: Scene, astronaut: NDArray[np.uint8]
) -> Runs:
    folder = tmp_path_factory.mktemp("silence")
    networks.fetch()
    shutil.copytree(networks.folder(), folder / "home" / ".cache" / "sfedge" / "networks")
    labelled = tmp_path_factory.mktemp("labelled")
    Image.fromarray(astronaut).save(labelled / "one.png")
    (labelled / "labels.csv").write_text("file,expression\none.png,happiness\n")
    clip, short = str(scene.video), ("--end", "0.5")
    commands = {
        "run": [*SFEDGE, "run", clip, "--out", "run", *short],
        "run --offline": [*SFEDGE, "run", clip, "--out", "offline", "--offline", *short],
        "run --live": [*SFEDGE, "run", clip, "--out", "live", "--live", *short],
        "demo": [*SFEDGE, "demo", "--out", "demo", "--seconds", "1"],
        "score": [*SFEDGE, "score", str(DRAWN_BUNDLE), str(labelled), "--out", "score"],
        "bench": [*SFEDGE, "bench", "--seconds", "0.1"],
        "info": [*SFEDGE, "info"],
        "doctor": [*SFEDGE, "doctor"],
        "detectors list": [*SFEDGE, "detectors", "list"],
        "engine list": [*SFEDGE, "engine", "list"],
        "window": [sys.executable, "-c", WINDOW, clip],
        "library": [sys.executable, "-c", LIBRARY, clip, str(DRAWN_BUNDLE), *installed_engines()],
        "training draw": [*TRAIN, "draw", "drawings", "--count", "8", "--val", "2", "--test", "2"],
        "training check": [*TRAIN, "check", "gazefollow", "drawings/gazefollow"],
        "training": [
            *(*TRAIN, "train", "drawings", "--out", "trained", "--pretrained", str(_parts(folder))),
            *("--datasets", "gazefollow", "--epochs", "1", "--features", "features"),
            "--no-augment",
        ],
        "export": [
            *(sys.executable, "-m", "sfedge_export", "trained/model", "--out", "exported.zip"),
            *("--precision", "fp32"),
        ],
    }
    return run_all(folder, commands)


@pytest.fixture(scope="module")
def controls(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("controls")
    commands = {
        "control": [sys.executable, "-c", CONTROL],
        "offline": [*SFEDGE, "run", "none.mp4", "--offline"],
        "fetch": [*SFEDGE, "detectors", "fetch"],
    }
    (folder / "home" / ".cache").mkdir(parents=True)
    return run_all(folder, commands)


def strangers(files: Sequence[Path]) -> list[str]:
    """Files that docs/privacy.md does not name; `work` is the commands' output folder."""
    section = (ROOT / "docs" / "privacy.md").read_text().split("## All files")[1].split("\n## ")[0]
    named = [Path("home", place) for place in re.findall(r"`~/([^`]+)`(?=.*\|.*\|)", section)]
    assert Path("home/.cache/sfedge/networks") in named
    return [
        str(file)
        for file in files
        if file.parts[0] != "work" and not any(place in file.parents for place in named)
    ]


@pytest.mark.parametrize("name", QUIET)
def test_nothing_is_sent_and_no_name_is_asked_for(runs: Runs, name: str) -> None:
    outcome = runs.outcomes[name]
    assert outcome.code == 0, outcome.err
    assert outcome.traffic == []


def test_the_commands_did_their_work(runs: Runs) -> None:
    assert set(runs.outcomes) == set(QUIET)
    engines = installed_engines()
    assert {"cpu", "openvino"} <= {*engines}
    assert runs.outcomes["library"].out.split() == ["True"] * len(engines)
    assert runs.outcomes["window"].out == "played\n"
    for name in ("run", "offline", "live", "demo"):
        assert list((runs.folder / "work" / name).glob("*.annotated.mp4"))
    assert (runs.folder / "work" / "score" / "score.md").is_file()
    assert (runs.folder / "work" / "exported.zip").is_file()


def test_no_file_lies_outside_the_folders_that_the_documents_name(runs: Runs) -> None:
    assert strangers(runs.files) == []
    outputs = {file.parts[1] for file in runs.files if file.parts[0] == "work"}
    named = {"run", "offline", "live", "demo", "score"}
    assert outputs == named | {"parts", "drawings", "features", "trained", "exported.zip"}


def test_the_trap_notices_whatever_is_said(controls: Runs) -> None:
    outcome = controls.outcomes["control"]
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.traffic[0] == "asks for telemetry.example"
    assert {
        re.sub("tcp (203.0.113.7|2001:db8::7):", "tcp HOST:", said) for said in outcome.traffic[1:]
    } == {
        "tcp HOST:443",
        "tcp 192.0.2.99:4317",
        "tcp 2001:db8::99:80",
        "udp 192.0.2.98:514",
    }
    assert "home/.cache/device-id" in strangers(controls.files)


def test_what_is_fetched_comes_from_the_two_places_that_the_documents_name(
    controls: Runs,
) -> None:
    asked = [said for said in controls.outcomes["fetch"].traffic if said.startswith("asks")]
    assert asked == ["asks for storage.googleapis.com", "asks for index.example"]
    assert controls.outcomes["fetch"].code == 1
    assert controls.outcomes["offline"].code == 1
    assert controls.outcomes["offline"].traffic == []


@pytest.mark.parametrize("package", ["sfedge", "sfedge_training", "sfedge_export", "benchmarks"])
def test_reports_are_off_before_a_package_of_ours_imports_anything(package: str) -> None:
    code = (
        f"import os, sys, {package}\n"
        "loaded = [name for name in ('onnxruntime', 'huggingface_hub') if name in sys.modules]\n"
        f"print(loaded, [os.environ.get(name) for name in {list(telemetry.OFF)!r}])"
    )
    # What a user has set the other way does not stand.
    environment = {
        **os.environ,
        **dict.fromkeys(telemetry.OFF, "0"),
        "RAY_USAGE_STATS_ENABLED": "1",
    }
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout == f"[] {[*telemetry.OFF.values()]}\n"
