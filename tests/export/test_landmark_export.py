"""Bundles of models that read landmarks, from the trained model to the runtime's answers."""

import copy
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from nvidia_builder import needs_builder

from sfedge.bundle.bundle import open_bundle
from sfedge.bundle.graph_io import graph_io
from sfedge.bundle.manifest import GRAPHS, LANDMARKS
from sfedge.core.boxes import FULL, Box
from sfedge.core.errors import BundleError
from sfedge.core.landmarks import INPUT_WIDTH, LAYOUT, PARTS, SLICES, present, without
from sfedge.core.structures import Frame, Prediction, Query
from sfedge.core.tasks import TASKS
from sfedge.engines.trt_build import build_engines
from sfedge.inference import selftest
from sfedge.inference.model import Model
from sfedge_export.calibration_pictures import made_landmarks
from sfedge_export.package import export_bundle, extend_bundle
from sfedge_export.precisions import PRECISIONS
from sfedge_training.model.encoder import Encoder
from sfedge_training.model.encoders import build_encoder
from sfedge_training.model.social_fusion import SocialFusion

CREATED = "2026-01-02T03:04:05Z"
ALL = made_landmarks(3, *PARTS)
SOME = without(ALL, "other_hand", "face")


@pytest.fixture(scope="module")
def reader(build_small: Callable[..., SocialFusion]) -> SocialFusion:
    model = build_small(landmarks=LAYOUT)
    with (
        torch.no_grad()
    ):  # as if trained: the tokens of absent parts are as large as those of present ones
        assert model.landmark_embedding is not None
        model.landmark_embedding.absent.mul_(5)
        seen = np.stack([made_landmarks(seed, *PARTS) for seed in range(40)])
        model.landmark_embedding.fit(torch.from_numpy(seen))
    return model


@pytest.fixture(scope="module")
def bundle(reader: SocialFusion, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In every precision; not to be changed."""
    out = tmp_path_factory.mktemp("landmarks") / "small"
    everything = ("fp32", *PRECISIONS)
    export_bundle(copy.deepcopy(reader), out, name="small", created=CREATED, precisions=everything)
    return out


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SFEDGE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def fp32_alone(tmp_path: Path) -> Callable[[Path], Path]:
    """Copies a bundle with its graphs in fp32 alone, which then every engine takes."""

    def copied(source: Path) -> Path:
        out = tmp_path / "fp32"
        extend_bundle(source, out, precisions=("fp32",))
        return out

    return copied


@pytest.mark.parametrize("engine", ["cpu", "openvino"])
@pytest.mark.parametrize("landmarks", [ALL, SOME, None], ids=["all", "some", "none"])
def test_the_runtime_answers_as_the_trained_model(
    bundle: Path,
    reader: SocialFusion,
    landmarks: np.ndarray | None,
    engine: str,
    fp32_alone: Callable[[Path], Path],
    assert_runtime_answers_as_pytorch: Callable[..., None],
) -> None:
    assert_runtime_answers_as_pytorch(
        fp32_alone(bundle), reader, landmarks=landmarks, engine=engine
    )


@pytest.mark.parametrize(("pool", "side"), [(1, "before"), (2, "after"), (2, "before")])
def test_wherever_boxes_are_marked_and_tokens_are_pooled(
    build_small: Callable[..., SocialFusion],
    tmp_path: Path,
    pool: int,
    side: str,
    assert_runtime_answers_as_pytorch: Callable[..., None],
) -> None:
    model = build_small(landmarks=LAYOUT, pool=pool, box_embedding=side)
    asked = [TASKS["gaze"], TASKS["domain"]]
    export_bundle(
        copy.deepcopy(model),
        tmp_path / "bundle",
        name="small",
        created=CREATED,
        tasks=asked,
        precisions=("fp32",),
    )
    assert_runtime_answers_as_pytorch(tmp_path / "bundle", model, landmarks=ALL)


def test_the_description_tells_what_goes_in(bundle: Path, reader: SocialFusion) -> None:
    with open_bundle(bundle) as opened:
        manifest = opened.manifest
        opened.verify()
    assert manifest.landmarks == LANDMARKS
    stored = json.loads((bundle / "bundle.json").read_text())
    assert stored["landmarks"] == {"layout": LAYOUT, "tokens": 5, "width": INPUT_WIDTH}
    graphs = graph_io(manifest)
    assert graphs["connector"].inputs["landmarks"] == (INPUT_WIDTH,)
    assert graphs["trunk"].inputs["box_mask"] == (16,)
    for name in ("trunk", "answer", "gaze"):
        (first, *_), outputs = graphs[name].inputs.values(), graphs[name].outputs
        assert first == (5 + 16, 48)
        assert outputs
    embedding = reader.landmark_embedding
    assert embedding is not None
    assert manifest.card["parameters"]["landmark_embedding"] == sum(
        p.numel() for p in embedding.parameters()
    )


def test_every_precision_answers_with_landmarks_nearly_as_fp32(bundle: Path) -> None:
    agreement = json.loads((bundle / "bundle.json").read_text())["card"]["agreement"]
    for name, precision in PRECISIONS.items():
        cosines = [task["cosine"] for task in agreement[name]["tasks"].values()]
        assert min(cosines) >= precision.least_cosine


def test_the_gemms_of_the_parts_are_counted(bundle: Path) -> None:
    products = json.loads((bundle / "bundle.json").read_text())["card"]["products"]["connector"]
    widths = [rows.stop - rows.start for rows in SLICES.values()]
    firsts = [[count, *size] for count, *size in products if size[1] in widths]
    assert sorted(firsts) == [[1, 1, 104, 32], [1, 1, 137, 32], [1, 1, 413, 32], [2, 1, 68, 32]]


def test_the_self_test_holds_the_answers_to_its_own_landmarks(
    bundle: Path, reader: SocialFusion
) -> None:
    known = selftest.landmarks()
    assert present(known) == ("hand", "body", "face", "eyes")
    stored = {}
    with open_bundle(bundle) as opened, Model(opened, engine="cpu", precision="fp32") as model:
        frame = Frame(selftest.picture(32), 0, 0.0)
        stored = selftest._stored(opened)
        answers = model.answer(frame, selftest.questions(model.tasks))
        bare = [Query(q.task, q.people, q.view, q.boxes) for q in selftest.questions(model.tasks)]
        others = model.answer(frame, bare)
    assert max(selftest.compare(answers, stored).values()) < 1e-3
    assert min(selftest.compare(others, stored).values()) > 1e-3


@pytest.mark.usefixtures("cache")
@needs_builder
def test_on_efficientnet_nvidias_builder_takes_the_graphs(
    build_small: Callable[..., SocialFusion],
    tmp_path: Path,
    fp32_alone: Callable[[Path], Path],
    assert_runtime_answers_as_pytorch: Callable[..., None],
) -> None:
    def lite0() -> Encoder:
        return build_encoder("efficientnet-lite0", None, -2, image_size=64)

    model = build_small(landmarks=LAYOUT, encoder=lite0)
    out = tmp_path / "bundle"
    export_bundle(
        copy.deepcopy(model), out, name="small", created=CREATED, precisions=("fp32", "fp16")
    )
    assert_runtime_answers_as_pytorch(fp32_alone(out), model, landmarks=ALL)
    with open_bundle(out) as opened:
        engines, _ = build_engines(opened, backend="tensorrt-rtx", precision="fp16", max_batch=2)
    assert [item.graph for item in engines.engines] == list(GRAPHS)


def test_queries_that_differ_in_landmarks_alone_are_answered_apart(bundle: Path) -> None:
    image = skimage.data.astronaut()
    view = Box(0.25, 0.0, 0.75, 0.5)
    queries = [
        Query(TASKS["expression"], (person,), view, (), landmarks=landmarks)
        for person, landmarks in enumerate((ALL, SOME, ALL.copy(), None, np.zeros_like(ALL)))
    ]

    def shares(answer: Prediction) -> list[float]:
        assert answer.raw is not None
        return [*answer.raw.values()]

    with open_bundle(bundle) as opened, Model(opened, engine="cpu", precision="fp32") as model:
        every, some, again, none, zeros = map(shares, model.answer(Frame(image, 0, 0.0), queries))
        (alone,) = map(shares, model.answer(Frame(image, 0, 0.0), queries[1:2]))
    np.testing.assert_allclose(again, every, atol=1e-6)
    np.testing.assert_allclose(zeros, none, atol=1e-6)
    np.testing.assert_allclose(alone, some, atol=1e-6)
    assert np.abs(np.subtract(every, some)).max() > 1e-3
    assert np.abs(np.subtract(some, none)).max() > 1e-3


def test_a_model_without_landmarks_leaves_them_alone(small_bundle: Path) -> None:
    image = skimage.data.astronaut()
    with open_bundle(small_bundle) as opened, Model(opened, engine="cpu") as model:
        assert opened.manifest.landmarks is None
        assert "landmarks" not in json.loads((small_bundle / "bundle.json").read_text())
        plain, with_them = (
            model.answer(
                Frame(image, 0, 0.0),
                [Query(TASKS["expression"], (0,), FULL, (), landmarks=landmarks)],
            )[0]
            for landmarks in (None, ALL)
        )
    assert plain.raw == with_them.raw


def test_a_bundle_of_another_layout_is_refused_in_a_sentence(
    bundle: Path, fp32_alone: Callable[[Path], Path]
) -> None:
    copied = fp32_alone(bundle)
    path = copied / "bundle.json"
    data = json.loads(path.read_text())
    data["landmarks"]["layout"] = "hands-2"
    path.write_text(json.dumps(data))
    with pytest.raises(
        BundleError, match=r"layout 'hands-2' .*this sfedge has 'hands-body-face-eyes-1'"
    ):
        open_bundle(copied)
