"""Looks over an installation: versions, devices, engines, networks, a model."""

import importlib
import importlib.metadata
import math
import os
import platform
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sfedge.bundle.bundle import open_bundle
from sfedge.core.config import DEFAULT_DETECTOR
from sfedge.core.errors import BundleError, EngineError, OutputError, SfedgeError
from sfedge.core.version import __version__
from sfedge.detect.conversion import networks
from sfedge.detect.detector import Detector
from sfedge.diagnostics.known_answers import Findings, check_known_answers
from sfedge.engines import ENGINES, compiled, openvino
from sfedge.engines.ort import FLAVOURS, clash, installed_flavours, linked_tensorrt
from sfedge.engines.small_network import Place
from sfedge.engines.trt import INSTALL_TENSORRT, state
from sfedge.inference.model import Model
from sfedge.inference.selftest import Progress
from sfedge.system.cache import cache_folder
from sfedge.system.gpus import Gpu, driver_version, find_gpus, is_jetson
from sfedge.system.libraries import advice, install_line, missing_libraries
from sfedge.system.machine import cpu_name

# Distribution: the module that must load.
_NEEDED = {
    "av": "av",
    "flatbuffers": "flatbuffers",
    "numpy": "numpy",
    "Pillow": "PIL",
    "safetensors": "safetensors",
}
# Distributions that write into the same folder `cv2`; the last one installed wins.
_OPENCV = (
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
    "opencv-python",
    "opencv-python-headless",
)
# Distributions of TensorRT, whose version is that of the libraries they bring.
_TENSORRT = ("tensorrt", "tensorrt-cu13", "tensorrt-cu12")
_OPTIONAL = (
    "PyQt6",
    "cuda-bindings",
    "cuda-python",
    "openvino",
    *_TENSORRT,
    "tensorrt-rtx-cu13-bindings",
)
_PATIENCE = 10.0  # seconds after which the default model is asked no more
_SHOWN = 3  # sentences of pictures with known answers; JSON has all
_FIX_DETECTOR = (
    "Where it ran on a GPU, try --detector-engine cpu; else empty the cache's folder `networks` "
    "and run: sfedge detectors fetch."
)
_FIX_MODEL = "Don't trust its answers to these tasks; export its bundle again, or use another one."
_FOR_GPUS = ("tensorrt", "tensorrt-rtx", "cuda")  # engines that use one, but for trt-ep


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem and how to fix it."""

    what: str
    fix: str
    is_fatal: bool  # whether `sfedge run` cannot work


@dataclass(slots=True)
class Report:
    """The findings; filled in while the checks run."""

    sfedge: str = __version__
    python: str = ""
    platform: str = ""
    packages: dict[str, str] = field(default_factory=dict)  # distribution: version
    processor: str = ""  # and whether it computes in bf16, where OpenVINO is installed
    gpus: list[Gpu] = field(default_factory=list)
    driver: str = ""  # NVIDIA's
    engines: dict[str, Problem | None] = field(default_factory=dict)  # why each cannot run
    compiled: dict[str, str] = field(default_factory=dict)  # native engines: ready, or why not
    cache: str = ""
    networks: dict[str, str] = field(default_factory=dict)  # name: ready, missing or damaged
    model: str = ""  # the model and where it runs, where it loads
    detector: str = ""  # the default detector and where it runs beside that, where it loads
    known_answers: Findings | None = None  # what came of the pictures, where the detector loads
    problems: list[Problem] = field(default_factory=list)

    @property
    def is_runnable(self) -> bool:
        """Whether `sfedge run` can work: no problem found is fatal."""
        return not any(problem.is_fatal for problem in self.problems)

    def add(self, what: str, fix: str, *, is_fatal: bool = False) -> None:
        """Note a problem."""
        self.problems.append(Problem(what, fix, is_fatal))

    def to_json(self) -> dict[str, Any]:
        """All of it, for a machine to read."""
        return {**asdict(self), "is_runnable": self.is_runnable}


def examine(bundle: Path | None = None, *, testing: Progress | None = None) -> Report:
    """Look over this installation; finds out by loading and running, not by guessing.

    Args:
        bundle: the model to load and to show the pictures with known answers, a folder or a zip;
            None for the default model, which is shown as many as 10 s allow.
        testing: called with the self-test's tasks done and to do; only where it runs.
    """
    report = Report(python=platform.python_version(), platform=platform.platform())
    _list_packages(report)
    _check_libraries(report)
    _check_imports(report)
    _check_engines(report)
    _check_tensorrt(report)
    with ExitStack() as parts:
        name = "the default model" if bundle is None else f"the model {bundle}"
        model = _check_model(report, bundle, name, testing, parts)
        of_a_face = networks.OF_A_FACE if model is not None and model.reads_landmarks else ()
        _check_networks(report, (*networks.DETECTING, *of_a_face))
        detector = _check_detector(report, model.choice.name if model else "", parts)
        if detector is not None:
            patience = _PATIENCE if bundle is None else math.inf
            _check_known_answers(report, detector, model, name, patience)
    return report


def _list_packages(report: Report) -> None:
    for name in (*_NEEDED, *_OPENCV, *FLAVOURS, *_OPTIONAL):
        version = _version(name)
        if version:
            report.packages[name] = version
    opencv = [name for name in _OPENCV if name in report.packages]
    if len(opencv) > 1:
        report.add(
            f"{' and '.join(opencv)} are installed over each other",
            f"Run: pip uninstall -y {' '.join(opencv)} && pip install opencv-python-headless.",
        )
    runtimes = clash(installed_flavours())
    if runtimes:
        report.add(*runtimes)


def _check_libraries(report: Report) -> None:
    for library in missing_libraries({*report.packages}):
        report.add(
            f"{library.name} is missing, which {library.user} needs",
            install_line({library.package}),
            is_fatal=False,  # of the window
        )


def _check_imports(report: Report) -> None:
    for name, module in {**_NEEDED, "opencv-python-headless": "cv2"}.items():
        try:
            importlib.import_module(module)
        except Exception as error:  # any exception at import makes it unusable
            fix = advice(error) or f"Run: pip install --force-reinstall {name}."
            if fix not in {problem.fix for problem in report.problems}:
                report.add(f"{name} does not load ({error})", fix, is_fatal=True)


def _check_engines(report: Report) -> None:
    report.processor = cpu_name()
    report.gpus, _ = find_gpus()
    report.driver = driver_version() if report.gpus else ""
    for name, engine in ENGINES.items():
        try:
            engine.check()
            report.engines[name] = None
        except EngineError as error:
            # Others are choices, the CPU is what everything falls back on.
            problem = Problem(error.what, error.fix, is_fatal=name == "cpu")
            report.engines[name] = problem
            if problem.is_fatal:
                report.problems.append(problem)
    if report.engines["openvino"] is None:
        has_bf16 = "BF16" in openvino.capabilities()
        report.processor += f", {'computes' if has_bf16 else 'does not compute'} in bf16"
    if report.gpus and all(report.engines[name] for name in _FOR_GPUS):
        name = "tensorrt" if is_jetson() else "cuda"
        why = report.engines[name]
        assert why is not None
        report.add(f"{report.gpus[0].name} is not used: engine {name}: {why.what}", why.fix)


def _check_tensorrt(report: Report) -> None:
    linked = linked_tensorrt()
    for name in _TENSORRT:
        found = report.packages.get(name, "")
        if linked and found and not found.startswith(f"{linked}."):
            report.add(
                f"ONNX Runtime's TensorRT provider needs TensorRT {linked}, {name} is {found}",
                f"For the engine trt-ep run: {INSTALL_TENSORRT}; the engine tensorrt takes both.",
            )
            break
    for folder in compiled.folders():
        try:
            engines = compiled.read(folder)
        except EngineError as error:
            report.compiled[str(folder)] = f"refused: {error.what}"
        else:
            report.compiled[engines.id] = state(engines) or "ready"
    old = [name for name, how in report.compiled.items() if how != "ready"]
    if old:
        report.add(
            f"compiled engines are not loaded: {', '.join(old)}",
            "Run: sfedge engine build, with their bundle; or: sfedge engine remove --stale.",
        )


def _check_networks(report: Report, needed: Sequence[str]) -> None:
    report.cache = str(cache_folder())
    try:
        for listing in networks.listed():
            report.networks[listing.name] = listing.status
    except OutputError as error:
        report.add(f"{error.where}: {error.what}", error.fix, is_fatal=True)
        return
    lacking = [name for name in needed if report.networks[name] != "ready"]
    if lacking:
        report.add(
            f"detector networks are not in the cache: {', '.join(lacking)}",
            "The first run fetches them; or run: sfedge detectors fetch.",
        )
        folder = _nearest(cache_folder())
        if not (folder.is_dir() and os.access(folder, os.W_OK)):
            report.add(
                f"{folder} is no folder that can be written, and the networks must go there",
                "Name another folder in SFEDGE_CACHE.",
                is_fatal=True,
            )


def _check_model(
    report: Report, path: Path | None, name: str, testing: Progress | None, parts: ExitStack
) -> Model | None:
    """Load the model; None where it does not load."""
    try:
        with open_bundle(path) as bundle:
            bundle.verify()
            model = parts.enter_context(Model(bundle, testing=testing))
    except EngineError as error:
        if report.engines["cpu"] is None:  # else reported already
            report.add(f"{name}: {error.what}", error.fix, is_fatal=True)
        return None
    except BundleError as error:
        report.add(f"{name}: {error.what}", error.fix, is_fatal=True)
        return None
    report.model = f"{model.name} on {model.device}"
    return model


def _check_detector(report: Report, beside: str, parts: ExitStack) -> Detector | None:
    """Load the default detector; None where it does not load."""
    from sfedge.detect.registry import build_detector

    if any(report.networks.get(name) != "ready" for name in networks.DETECTING):
        return None  # reported already
    has_mesh = all(report.networks[name] == "ready" for name in networks.OF_A_FACE)
    try:
        found = build_detector(
            offline=True, place=Place(beside=beside), width=0, height=0, face_mesh=has_mesh
        )
    except SfedgeError as error:
        if report.engines["cpu"] is None:  # else reported already
            report.add(f"the detector: {error.what}", error.fix, is_fatal=True)
        return None
    parts.enter_context(closing(found))
    report.detector = f"{DEFAULT_DETECTOR} on {getattr(found, 'device', '')}"
    note = getattr(found, "engine_note", "")
    if note:
        report.add(note, "Where the CPU is meant to run it: --detector-engine cpu.")
    return found


def _check_known_answers(
    report: Report, detector: Detector, model: Model | None, name: str, patience: float
) -> None:
    try:
        found = check_known_answers(detector, model, patience=patience)
    except SfedgeError as error:
        report.add(f"pictures with known answers: {error.what}", error.fix)
        return
    report.known_answers = found
    for who, mistakes, fix in (
        ("the detector", found.detector, _FIX_DETECTOR),
        (name, found.model, _FIX_MODEL),
    ):
        if mistakes:
            report.add(f"{who} mistakes sides or directions: {_shortened(mistakes)}", fix)


def _shortened(sentences: Sequence[str]) -> str:
    """The first of some sentences, and how many there are more."""
    more = len(sentences) - _SHOWN
    return "; ".join(sentences[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _nearest(folder: Path) -> Path:
    """The folder itself, or the nearest path above it that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())
