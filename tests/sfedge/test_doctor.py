import importlib.metadata
import json
import sys
from pathlib import Path

import click.testing
import fake_nvidia
import pytest
import small_bundle
from fake_nvidia import Device

import sfedge
from sfedge.bundle import bundle as bundle_module
from sfedge.cli.doctor_command import doctor as doctor_command
from sfedge.cli.info_command import info as info_command
from sfedge.core.tasks import TASKS
from sfedge.detect.conversion import networks
from sfedge.diagnostics.doctor import Report, examine
from sfedge.engines import ENGINES, openvino, ort
from sfedge.engines.trt_build import build_engines
from sfedge.system import libraries
from sfedge.system.libraries import Library, advice


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small bundle in the demo bundle's place."""
    folder = small_bundle.make().write(tmp_path / "small")
    packed = small_bundle.pack(folder, tmp_path / "tiny.zip")
    monkeypatch.setattr(bundle_module, "DEMO_BUNDLE", packed)
    return packed


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the user's."""
    monkeypatch.setenv("SFEDGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def invoke(command: click.Command, *words: str) -> tuple[int, str]:
    result = click.testing.CliRunner().invoke(command, words, standalone_mode=False)
    assert result.exception is None, result.exception
    return result.return_value, result.stdout


def whats(report: Report) -> str:
    return "\n".join(problem.what for problem in report.problems)


def test_a_whole_installation_can_run(demo: Path, cache: Path) -> None:
    report = examine()
    assert report.is_runnable, whats(report)
    assert report.engines["cpu"] is None
    assert report.model.startswith("small on ")
    for name, version in report.packages.items():
        assert version == importlib.metadata.version(name)
    assert {"numpy", "av", "flatbuffers", "opencv-python-headless", "onnxruntime"} <= set(
        report.packages
    )


def test_networks_that_are_not_there_are_no_obstacle_to_a_first_run(
    demo: Path, cache: Path
) -> None:
    report = examine()
    assert set(report.networks.values()) == {"missing"}
    (problem,) = [p for p in report.problems if "detector networks" in p.what]
    assert not problem.is_fatal
    assert "sfedge detectors fetch" in problem.fix
    assert problem.what.endswith(", ".join(networks.DETECTING))  # others are not fetched by a run
    # Looking changes nothing; that the demo model was tested is remembered.
    assert {path.parent.name for path in cache.rglob("*.*")} == {"selftests"}


def test_a_cache_that_cannot_be_used_is_told_with_what_to_do(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "folder" / "networks" / "palm_detection_full.tflite"
    folder.parent.mkdir(parents=True)
    folder.symlink_to("/proc/self/mem")  # opens, and fails at the first byte
    for place, what in (("file", "is no folder"), ("folder", "cannot be read")):
        monkeypatch.setenv("SFEDGE_CACHE", str(tmp_path / place))
        report = examine()
        (problem,) = [problem for problem in report.problems if what in problem.what]
        assert problem.is_fatal
        assert str(tmp_path / place) in problem.what
        assert "SFEDGE_CACHE" in problem.fix


def test_a_damaged_demo_model_is_told_with_its_file(
    demo: Path, cache: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "small"
    graph = bytearray((folder / "fp32" / "trunk.onnx").read_bytes())
    graph[100] ^= 1
    (folder / "fp32" / "trunk.onnx").write_bytes(graph)
    small_bundle.pack(folder, demo)
    report = examine()
    assert not report.is_runnable
    assert "the demo model: fp32/trunk.onnx has sha256" in whats(report)


def test_the_command_gives_code_0_and_json_where_all_is_well(demo: Path, cache: Path) -> None:
    code, out = invoke(doctor_command, "--json")
    data = json.loads(out)
    assert code == 0
    assert data["is_runnable"] is True
    assert data["sfedge"] == sfedge.__version__
    assert data["engines"]["cpu"] is None
    code, out = invoke(doctor_command)
    assert code == 0
    assert out.rstrip().endswith("sfedge can run.")
    assert "engine cpu           can run" in out


def test_the_command_gives_code_1_and_the_remedy_where_something_is_missing(
    demo: Path, cache: Path
) -> None:
    demo.unlink()
    code, out = invoke(doctor_command)
    assert code == 1
    lines = out.splitlines()
    (at,) = [i for i, line in enumerate(lines) if line.startswith("PROBLEM")]
    assert "the demo bundle is not in this installation" in lines[at]
    assert lines[at + 1].strip() == "Install sfedge again."
    assert lines[-1] == "sfedge cannot run yet."


def test_two_opencv_wheels_are_noticed(
    demo: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    information = tmp_path / "opencv_python-4.10.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Name: opencv-python\nVersion: 4.10.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    report = examine()
    assert "opencv-python and opencv-python-headless are installed over each other" in whats(report)
    assert report.is_runnable


def test_a_tensorrt_that_the_provider_does_not_link_is_noticed(
    demo: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    information = tmp_path / "tensorrt_cu13-11.4.0.106.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Name: tensorrt-cu13\nVersion: 11.4.0.106\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    library = tmp_path / "provider.so"
    monkeypatch.setattr(ort, "provider_library", lambda name: library)
    assert "TensorRT provider" not in whats(examine())  # there is none
    for linked, is_told in ((11, False), (10, True)):
        library.write_bytes(b"\0libnvonnxparser.so.%d\0libnvinfer.so.%d\0" % (linked, linked))
        report = examine()
        what = "ONNX Runtime's TensorRT provider needs TensorRT 10, tensorrt-cu13 is 11.4.0.106"
        assert (what in whats(report)) == is_told
        assert report.is_runnable
    (problem,) = [one for one in report.problems if one.what == what]
    assert '"tensorrt-cu13==10.*"' in problem.fix


def test_what_each_engine_needs_is_reported(demo: Path, cache: Path) -> None:
    report = examine()
    _, out = invoke(doctor_command)
    assert report.engines.keys() == ENGINES.keys()
    for name, why in report.engines.items():
        assert f"engine {name}" in out
        if why is not None:
            assert why.what in out
            assert why.fix in out
            assert why.fix


def test_openvino_is_told_with_what_the_processor_computes_in(
    demo: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = examine()
    assert report.packages["openvino"] == importlib.metadata.version("openvino")
    assert report.engines["openvino"] is None
    computes = "computes" if "BF16" in openvino.capabilities() else "does not compute"
    assert report.processor.endswith(f", {computes} in bf16")
    _, out = invoke(doctor_command)
    assert f"\nprocessor            {report.processor}\n" in out
    monkeypatch.setattr(openvino, "capabilities", lambda: ("FP32", "INT8"))
    assert examine().processor.endswith(", does not compute in bf16")


def test_without_openvino_the_line_that_installs_it_is_reported(
    demo: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    report = examine()
    why = report.engines["openvino"]
    assert why is not None
    assert (why.what, why.fix) == ("OpenVINO is not installed", "Run: pip install openvino.")
    assert report.is_runnable
    assert "bf16" not in report.processor


def test_engines_that_were_built_are_listed_with_their_state(
    demo: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Device()
    monkeypatch.setitem(sys.modules, "tensorrt", fake_nvidia.tensorrt(device))
    with bundle_module.open_bundle(demo) as bundle:
        engines, _ = build_engines(bundle, backend="tensorrt", precision="fp32")
    assert examine().compiled == {engines.id: "ready"}
    monkeypatch.setattr(sys.modules["tensorrt"], "__version__", "11.4.0")
    report = examine()
    assert report.compiled[engines.id].startswith("stale: TensorRT was tensorrt 10.3.0, now")
    (problem,) = [one for one in report.problems if engines.id in one.what]
    assert "sfedge engine build" in problem.fix
    assert not problem.is_fatal


def test_a_missing_system_library_is_told_with_its_package(
    demo: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = Library("libnowhere.so.9", "libnowhere9", "PyQt6", "libnowhere")
    other = Library("libelsewhere.so.9", "libelsewhere9", "not-installed", "libelsewhere")
    monkeypatch.setattr(libraries, "LIBRARIES", (absent, other))
    report = examine()
    (problem,) = [p for p in report.problems if "libnowhere" in p.what]
    assert not problem.is_fatal  # the window's alone: the command needs no system library
    assert problem.fix == "Run: sudo apt install libnowhere9."
    assert "libelsewhere" not in whats(report)


@pytest.mark.parametrize(
    ("error", "package"),
    [
        (ImportError("libGL.so.1: cannot open shared object file"), "libgl1"),
        (ImportError("libgthread-2.0.so.0: cannot open shared object file"), "libglib2.0-0"),
        (ImportError("libEGL.so.1: cannot open shared object file"), "libegl1"),
        (RuntimeError("From 6.5.0, xcb-cursor0 or libxcb-cursor0 is needed"), "libxcb-cursor0"),
    ],
)
def test_what_loaders_say_leads_to_the_package(error: Exception, package: str) -> None:
    assert advice(error) == f"Run: sudo apt install {package}."


def test_other_failures_lead_to_no_package() -> None:
    assert advice(ImportError("No module named 'cv2'")) == ""


def test_info_tells_all_that_a_user_must_know_of_a_model(demo: Path) -> None:
    gesture, gaze = (TASKS[name].threshold for name in ("gesture", "gaze"))
    _, out = invoke(info_command, str(demo))
    for expected in (
        "small",
        "Random weights.",
        f"gesture (sees the person +10%, 33 labels, unsure below {gesture:g}): call, like",
        f"gaze (sees the frame, one box marked, heatmap, unsure below {gaze:g})",
        "is_drawn True",
        "scores: 0.5, 0.25",
        "fp32/encoder.onnx.data",
        "4 image tokens, 3 blocks of width 5, prompts of up to 7 tokens",
    ):
        assert expected in out


def test_info_as_json_holds_the_whole_description(demo: Path) -> None:
    _, out = invoke(info_command, str(demo), "--json")
    data = json.loads(out)
    with bundle_module.open_bundle(demo) as bundle:
        assert data.pop("sha256") == bundle.sha256
        assert data.pop("source") == str(demo)
        assert data == json.loads(bundle.manifest.to_json())


def test_info_without_a_bundle_tells_of_the_demo_model(demo: Path) -> None:
    assert invoke(info_command)[1] == invoke(info_command, str(demo))[1]
