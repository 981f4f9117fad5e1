import importlib.metadata
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import click.testing
import fake_nvidia
import pytest
import small_bundle
from fake_cuda import Device

import sfedge
from sfedge.bundle import bundle as bundle_module
from sfedge.cli.doctor_command import doctor as doctor_command
from sfedge.cli.info_command import info as info_command
from sfedge.core.errors import DetectorError
from sfedge.core.tasks import NO_GESTURE, TASKS
from sfedge.detect.conversion import networks
from sfedge.diagnostics import doctor
from sfedge.diagnostics.doctor import Report, examine
from sfedge.diagnostics.known_answers import Findings, Tally
from sfedge.engines import ENGINES, openvino, ort
from sfedge.engines.trt_build import build_engines
from sfedge.system import libraries
from sfedge.system.libraries import Library, advice


@pytest.fixture
def default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small bundle in the default one's place."""
    folder = small_bundle.make().write(tmp_path / "small")
    packed = small_bundle.pack(folder, tmp_path / "small.zip")
    monkeypatch.setenv("SFEDGE_BUNDLE", str(packed))
    return packed


def invoke(command: click.Command, *words: str) -> tuple[int, str]:
    result = click.testing.CliRunner().invoke(command, words, standalone_mode=False)
    assert result.exception is None, result.exception
    return result.return_value, result.stdout


def whats(report: Report) -> str:
    return "\n".join(problem.what for problem in report.problems)


def test_a_whole_installation_can_run(default: Path, cache: Path) -> None:
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
    default: Path, cache: Path
) -> None:
    report = examine()
    assert set(report.networks.values()) == {"missing"}
    (problem,) = [p for p in report.problems if "detector networks" in p.what]
    assert not problem.is_fatal
    assert "sfedge detectors fetch" in problem.fix
    assert problem.what.endswith(", ".join(networks.DETECTING))  # others are not fetched by a run
    # Looking changes nothing; that the default model was tested is remembered.
    assert {path.parent.name for path in cache.rglob("*.*")} == {"selftests"}


def test_a_default_model_that_reads_landmarks_needs_the_networks_of_faces_too(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = small_bundle.make("landmarks").write(tmp_path / "reads")
    monkeypatch.setenv("SFEDGE_BUNDLE", str(root))
    (problem,) = [p for p in examine().problems if "detector networks" in p.what]
    assert problem.what.endswith(", ".join((*networks.DETECTING, *networks.OF_A_FACE)))


def test_a_cache_that_cannot_be_used_is_reported_with_what_to_do(
    default: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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


def test_a_damaged_default_model_is_reported_with_its_file(
    default: Path, cache: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "small"
    graph = bytearray((folder / "fp32" / "trunk.onnx").read_bytes())
    graph[100] ^= 1
    (folder / "fp32" / "trunk.onnx").write_bytes(graph)
    small_bundle.pack(folder, default)
    report = examine()
    assert not report.is_runnable
    assert "the default model: fp32/trunk.onnx has sha256" in whats(report)


def test_the_command_gives_code_0_and_json_where_all_is_well(default: Path, cache: Path) -> None:
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
    default: Path, cache: Path
) -> None:
    default.unlink()
    code, out = invoke(doctor_command)
    assert code == 1
    lines = out.splitlines()
    (at,) = [i for i, line in enumerate(lines) if line.startswith("PROBLEM")]
    assert "there is no such bundle" in lines[at]
    assert lines[at + 1].strip() == "SFEDGE_BUNDLE names it: set it anew."
    assert lines[-1] == "sfedge cannot run yet."


@pytest.mark.parametrize("kind", ["after", "landmarks"])
def test_pictures_with_known_answers_are_shown_to_detector_and_model(
    kind: str, tmp_path: Path
) -> None:
    networks.fetch((*networks.DETECTING, *networks.OF_A_FACE))
    bundle = small_bundle.make(kind).write(tmp_path / "named")
    code, out = invoke(doctor_command, str(bundle), "--json")
    found = json.loads(out)["known_answers"]
    assert code == 0
    assert found["pictures"] == found["answered"] == 14
    assert found["detector"] == []
    asked = {tally["task"]: tally["asked"] for tally in found["tallies"]}
    assert asked == {"gesture": 8, "looking_at_me": 28, "gaze": 16}
    right = sum(tally["right"] for tally in found["tallies"])
    assert len(found["wrong"]) == 52 - right  # the small model says anything


def test_a_bundle_that_knows_some_tasks_and_sees_hands_is_asked_those(tmp_path: Path) -> None:
    networks.fetch(networks.DETECTING)
    labels = (*TASKS["gesture"].labels[:-1], NO_GESTURE)
    sees_hands = replace(TASKS["gesture"], view="hand", labels=labels)
    tasks = (TASKS["expression"], sees_hands, TASKS["looking_at_me"])
    bundle = small_bundle.make().write(tmp_path / "few", tasks=tasks)
    code, out = invoke(doctor_command, str(bundle))
    assert code == 0
    (line,) = [line for line in out.splitlines() if line.startswith("known answers ")]
    assert re.search(r"right answers: gesture \d of 8, looking_at_me \d+ of 28$", line)


def test_a_bundle_that_is_not_there_is_reported_by_its_name(
    default: Path, cache: Path, tmp_path: Path
) -> None:
    code, out = invoke(doctor_command, str(tmp_path / "lost.zip"))
    assert code == 1
    assert (
        f"PROBLEM              the model {tmp_path / 'lost.zip'}: there is no such bundle\n" in out
    )
    assert "Give a bundle's folder or its zip." in out


def test_without_networks_no_picture_is_asked_about(default: Path, cache: Path) -> None:
    assert examine().known_answers is None
    _, out = invoke(doctor_command)
    assert "\nknown answers        none, since the detector is not loaded\n" in out


def test_pictures_that_cannot_be_shown_are_reported_with_what_to_do(
    default: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*parts: object, **settings: object) -> None:
        raise DetectorError("it broke", fix="Mend it.")

    networks.fetch(networks.DETECTING)
    monkeypatch.setattr(doctor, "check_known_answers", fail)
    code, out = invoke(doctor_command)
    assert code == 0
    assert "\nknown answers        none, since they could not be shown\n" in out
    assert "note                 pictures with known answers: it broke\n" in out
    assert "Mend it." in out


def test_sides_that_are_mistaken_are_reported_with_what_to_do(
    default: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks.fetch(networks.DETECTING)
    hands = tuple(f"palm-{number}.jpg: left is right" for number in range(5))
    tally = Tally("gesture", 8, 7)
    findings = Findings(14, 13, (tally,), hands, ("gaze: the other side",), ("a wrong answer",))
    monkeypatch.setattr(doctor, "check_known_answers", lambda *parts, **settings: findings)
    code, out = invoke(doctor_command)
    assert code == 0  # a run works, its answers are not to be trusted
    assert "14 pictures and their mirror images: sides are mistaken; for lack of time " in out
    assert "the model was asked about the first 13; right answers: gesture 7 of 8\n" in out
    (first, second) = [
        problem for problem in examine().problems if "mistakes sides or directions" in problem.what
    ]
    assert first.what.startswith("the detector mistakes sides or directions: palm-0.jpg: left is ")
    assert first.what.endswith("; and 2 more")
    assert "--detector-engine cpu" in first.fix
    assert second.what == "the default model mistakes sides or directions: gaze: the other side"
    assert second.fix
    assert f"note                 {second.what}\n" in out


def test_two_opencv_wheels_are_noticed(
    default: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    information = tmp_path / "opencv_python-4.10.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Name: opencv-python\nVersion: 4.10.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    report = examine()
    assert "opencv-python and opencv-python-headless are installed over each other" in whats(report)
    assert report.is_runnable


def test_a_tensorrt_that_the_provider_does_not_link_is_noticed(
    default: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    information = tmp_path / "tensorrt_cu13-11.4.0.106.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Name: tensorrt-cu13\nVersion: 11.4.0.106\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    library = tmp_path / "provider.so"
    monkeypatch.setattr(ort, "provider_library", lambda name: library)
    assert "TensorRT provider" not in whats(examine())  # there is none
    for linked, is_reported in ((11, False), (10, True)):
        library.write_bytes(b"\0libnvonnxparser.so.%d\0libnvinfer.so.%d\0" % (linked, linked))
        report = examine()
        what = "ONNX Runtime's TensorRT provider needs TensorRT 10, tensorrt-cu13 is 11.4.0.106"
        assert (what in whats(report)) == is_reported
        assert report.is_runnable
    (problem,) = [one for one in report.problems if one.what == what]
    assert '"tensorrt-cu13==10.*"' in problem.fix


def test_what_each_engine_needs_is_reported(default: Path, cache: Path) -> None:
    report = examine()
    _, out = invoke(doctor_command)
    assert report.engines.keys() == ENGINES.keys()
    for name, why in report.engines.items():
        assert f"engine {name}" in out
        if why is not None:
            assert why.what in out
            assert why.fix in out
            assert why.fix


def test_openvino_is_reported_with_what_the_processor_computes_in(
    default: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
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
    default: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    report = examine()
    why = report.engines["openvino"]
    assert why is not None
    assert (why.what, why.fix) == ("OpenVINO is not installed", "Run: pip install openvino.")
    assert report.is_runnable
    assert "bf16" not in report.processor


def test_engines_that_were_built_are_listed_with_their_state(
    default: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Device()
    monkeypatch.setitem(sys.modules, "tensorrt", fake_nvidia.tensorrt(device))
    with bundle_module.open_bundle(default) as bundle:
        engines, _ = build_engines(bundle, backend="tensorrt", precision="fp32")
    assert examine().compiled == {engines.id: "ready"}
    monkeypatch.setattr(sys.modules["tensorrt"], "__version__", "11.4.0")
    report = examine()
    assert report.compiled[engines.id].startswith("stale: TensorRT was tensorrt 10.3.0, now")
    (problem,) = [one for one in report.problems if engines.id in one.what]
    assert "sfedge engine build" in problem.fix
    assert not problem.is_fatal


def test_a_missing_system_library_is_reported_with_its_package(
    default: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
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


def test_info_tells_all_that_a_user_must_know_of_a_model(default: Path) -> None:
    gesture, gaze = (TASKS[name].threshold for name in ("gesture", "gaze"))
    _, out = invoke(info_command, str(default))
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


def test_info_tells_which_labels_are_never_the_answer(tmp_path: Path) -> None:
    task = replace(TASKS["expression"], unproven=("fear", "contempt"))
    _, out = invoke(info_command, str(small_bundle.make().write(tmp_path / "b", tasks=(task,))))
    assert "anger, contempt; never the answer: fear, contempt\n" in out


def test_info_as_json_holds_the_whole_description(default: Path) -> None:
    _, out = invoke(info_command, str(default), "--json")
    data = json.loads(out)
    with bundle_module.open_bundle(default) as bundle:
        assert data.pop("sha256") == bundle.sha256
        assert data.pop("source") == str(default)
        assert data == json.loads(bundle.manifest.to_json())


def test_info_without_a_bundle_tells_of_the_default_model(default: Path) -> None:
    assert invoke(info_command)[1] == invoke(info_command, str(default))[1]
