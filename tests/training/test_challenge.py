"""The file for Ego4D's challenge, read back the way its evaluation reads it."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sfedge.core.errors import DataError, OutputError
from sfedge.core.preprocess import encoder_input
from sfedge.core.tasks import TASKS
from sfedge_training.analysis.challenge import (
    Face,
    check_answers,
    find_faces,
    lam_file,
    write_answers,
)
from sfedge_training.data.sample import Report
from sfedge_training.loop.checkpoint import save_model
from sfedge_training.loop.evaluate import label_figures
from sfedge_training.loop.recipe import Recipe
from sfedge_training.model.model_config import PRESETS
from sfedge_training.model.social_fusion import build_model

LOOKING, NOT_LOOKING = (TASKS["looking_at_me"].labels.index(n) for n in ("looking", "not_looking"))
FACES = [Face(f"clip-{v}", f"u{u}", f"track-{t}") for v in (1, 2) for t in (0, 1) for u in range(3)]


def write_face(folder: Path, name: str, picture: NDArray[np.uint8]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(picture).save(folder / name, quality=95)


@pytest.fixture(scope="module")
def challenge(tmp_path_factory: pytest.TempPathFactory, astronaut: NDArray[np.uint8]) -> Path:
    """The test set's layout: six faces of three tracks, their names with and without a frame."""
    root = tmp_path_factory.mktemp("data")
    folder = root / "ego4d_lam" / "videos_challenge"
    for place, path in enumerate(
        (
            "clip-a/0/00007_u1.jpg",
            "clip-a/0/00008_u2.jpg",
            "clip-a/1/00007_u1.jpg",  # ids are those of a track, not of the whole
            "clip-b/0/0123abc.jpg",
            "clip-b/0/d_e.jpg",
            "clip-b/0/00009_0_f.jpg",
        )
    ):
        face = astronaut[20 + 20 * place : 200 + 20 * place, 150:330]
        write_face((folder / path).parent, Path(path).name, face)
    return root


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    network = build_model(PRESETS["tiny"], with_lora=False)
    save_model(folder, network, Recipe(pretraining=True), {})
    return folder


def official_scores(text: str, truth: dict[Face, bool]) -> tuple[float, float]:
    """mAP and accuracy as Ego4D's evaluation takes them, in plain loops.

    Rows are keyed by video, unique id and track, repeated ones dropped; both sides must have as
    many; every label must be 1 and every row have a score. Average precision is that of VOC, for
    "not looking" with labels and scores inverted; the threshold of the accuracy is 0.5.
    """
    held = json.loads(text)
    assert held["version"] == "1.0"
    assert held["challenge"] == "ego4d_looking_at_me"
    scores: dict[str, float] = {}
    for row in held["results"]:
        assert row["label"] == 1
        scores.setdefault(f"{row['video_id']}:{row['unique_id']}:{row['track_id']}", row["score"])
    labels = {":".join(face): label for face, label in truth.items()}
    assert scores.keys() == labels.keys()
    precisions = []
    for wanted in (False, True):
        order = sorted(scores, key=lambda key: scores[key] if wanted else 1 - scores[key])[::-1]
        hits, curve = 0, [(0.0, 0.0)]
        for rank, key in enumerate(order, start=1):
            hits += labels[key] == wanted
            curve.append((hits / sum(one == wanted for one in labels.values()), hits / rank))
        area = 0.0
        for place in range(1, len(curve)):
            best = max(precision for _, precision in curve[place:])
            area += (curve[place][0] - curve[place - 1][0]) * best
        precisions.append(area)
    right = sum((scores[key] >= 0.5) == label for key, label in labels.items())
    return sum(precisions) / 2, right / len(labels)


def test_the_file_holds_the_models_probability_of_looking_for_every_face(
    challenge: Path, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "pred.json"
    words = [str(model), str(challenge), "--out", str(out), "--batch", "4"]
    ended = CliRunner().invoke(lam_file, words, catch_exceptions=False)
    assert ended.output == f"6 faces are answered in {out}\n"

    rows = json.loads(out.read_text())["results"]
    named = {(row["video_id"], row["track_id"], row["unique_id"]): row["score"] for row in rows}
    pictures = {
        ("clip-a", "0", "u1"): "clip-a/0/00007_u1.jpg",
        ("clip-a", "0", "u2"): "clip-a/0/00008_u2.jpg",
        ("clip-a", "1", "u1"): "clip-a/1/00007_u1.jpg",
        ("clip-b", "0", "0123abc"): "clip-b/0/0123abc.jpg",
        ("clip-b", "0", "d_e"): "clip-b/0/d_e.jpg",
        ("clip-b", "0", "0_f"): "clip-b/0/00009_0_f.jpg",
    }
    assert named.keys() == pictures.keys()
    assert [*out.parent.iterdir()] == [out]

    torch.manual_seed(0)
    network = build_model(PRESETS["tiny"], with_lora=False).eval()
    folder = challenge / "ego4d_lam" / "videos_challenge"
    for key, path in pictures.items():
        view = np.asarray(PIL.Image.open(folder / path))
        image = torch.from_numpy(encoder_input(view, network.encoder.input))[None]
        with torch.no_grad():
            logits = network.label_logits(
                image, torch.zeros(1, network.token_grid**2), "looking_at_me"
            )[0].double()
        expected = 1 / (1 + math.exp(logits[NOT_LOOKING] - logits[LOOKING]))
        assert named[key] == pytest.approx(expected, abs=1e-5)


@given(data=st.data())
def test_the_official_evaluation_gives_what_ours_gives(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    ranks = data.draw(st.permutations(range(1, len(FACES) + 1)))
    looking = data.draw(
        st.lists(st.booleans(), min_size=len(FACES), max_size=len(FACES)).filter(
            lambda one: 0 < sum(one) < len(one)
        )
    )
    scores = np.array(ranks) / (len(FACES) + 2)
    out = tmp_path_factory.getbasetemp() / "pred.json"
    write_answers(out, FACES, scores.tolist())

    official = official_scores(out.read_text(), dict(zip(FACES, looking, strict=True)))
    answers = np.zeros((len(FACES), 2))
    answers[:, LOOKING], answers[:, NOT_LOOKING] = scores, 1 - scores
    labels = np.where(looking, LOOKING, NOT_LOOKING)
    figures = label_figures("looking_at_me", answers, labels)
    own = figures["mean_average_precision"], figures["accuracy"]
    assert own == pytest.approx(official)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.pop(), "faces not answered: 1 "),
        (lambda rows: rows.append(rows[0]), "faces there more than once: 1 "),
        (lambda rows: rows[0].update(video_id="x"), "faces not answered: 1 "),
        (lambda rows: rows.append(rows[0] | {"unique_id": "x"}), "faces not asked for: 1 "),
        (lambda rows: rows[3].update(label=0), "result 3: the label is not 1"),
        (lambda rows: rows[3].update(score=1.5), "the score no probability"),
        (lambda rows: rows[3].update(score=math.nan), "the score no probability"),
        (lambda rows: rows[3].update(score="0.5"), "the score no probability"),
        (lambda rows: rows[3].update(track_id=1), "an id is no text"),
        (lambda rows: rows[3].update(frame=1), "fields are not those of the challenge"),
        (lambda rows: rows[3].pop("score"), "fields are not those of the challenge"),
        (lambda rows: rows.insert(0, []), "fields are not those of the challenge"),
    ],
)
def test_what_the_challenge_would_refuse_is_refused_here(
    tmp_path: Path, change: Callable[[list[Any]], None], message: str
) -> None:
    out = tmp_path / "pred.json"
    write_answers(out, FACES, [0.5] * len(FACES))
    check_answers(out, FACES)
    held = json.loads(out.read_text())
    change(held["results"])
    out.write_text(json.dumps(held))
    with pytest.raises(DataError, match=message):
        check_answers(out, FACES)


@pytest.mark.parametrize(
    "text", ["[]", "{", '{"version": "2.0", "challenge": "ego4d_looking_at_me", "results": []}']
)
def test_another_kind_of_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "pred.json").write_text(text)
    with pytest.raises(DataError, match=r"pred\.json"):
        check_answers(tmp_path / "pred.json", [])


def test_answers_that_fail_the_check_leave_an_earlier_file_alone(tmp_path: Path) -> None:
    out = tmp_path / "pred.json"
    write_answers(out, FACES, [0.25] * len(FACES))
    before = out.read_bytes()
    with pytest.raises(DataError, match="no probability"):
        write_answers(out, FACES, [math.nan] * len(FACES))
    with pytest.raises(DataError, match="more than once"):
        write_answers(out, [*FACES, FACES[0]], [0.5] * (len(FACES) + 1))
    assert out.read_bytes() == before
    assert [*tmp_path.iterdir()] == [out]


def test_a_place_that_cannot_be_written_is_an_error_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"pred\.json: this file cannot be written"):
        write_answers(tmp_path / "file" / "pred.json", FACES, [0.5] * len(FACES))


def test_two_pictures_of_one_name_are_an_error(
    tmp_path: Path, astronaut: NDArray[np.uint8]
) -> None:
    track = tmp_path / "videos_challenge" / "clip" / "0"
    write_face(track, "00001_u.jpg", astronaut[:9, :9])
    write_face(track, "u.jpg", astronaut[:9, :9])
    with pytest.raises(DataError, match="'u' stands for two pictures of one track"):
        find_faces(tmp_path, Report())


def test_what_is_no_face_and_clips_without_one_are_reported(
    tmp_path: Path, astronaut: NDArray[np.uint8]
) -> None:
    track = tmp_path / "videos_challenge" / "clip-a" / "0"
    write_face(track, "00001_u.jpg", astronaut[:9, :9])
    write_face(track, "._00001_u.jpg", astronaut[:9, :9])
    (track / "notes.txt").write_text("")
    (tmp_path / "split").mkdir()
    (tmp_path / "split" / "test.list").write_text("clip-a\nclip-b\nclip-c\n")
    report = Report()
    assert find_faces(tmp_path, report) == {Face("clip-a", "u", "0"): track / "00001_u.jpg"}
    assert report.dropped == {"file is no picture": 2, "clip is listed but has no faces": 2}


def test_a_folder_without_faces_is_an_error_that_tells_the_layout(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the folder of the challenge's faces is missing"):
        find_faces(tmp_path, Report())
    (tmp_path / "videos_challenge" / "clip" / "0").mkdir(parents=True)
    with pytest.raises(DataError, match="It should hold <video>/<track>/"):
        find_faces(tmp_path, Report())
