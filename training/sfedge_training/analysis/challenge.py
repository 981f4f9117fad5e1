"""`lam-file`: answers to Ego4D's looking-at-me test set, as its challenge on EvalAI takes them.

The truth of the test set is not public. Its faces are cropped already:
`videos_challenge/<video>/<track>/<frame>_<unique id>.jpg`, where the frame may be left out.
"""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from sfedge.core.errors import DataError, OutputError
from sfedge.core.tasks import TASKS
from sfedge_training.data.ego4d_lam import NAME
from sfedge_training.data.reading import existing, read_json
from sfedge_training.data.sample import Report, Sample
from sfedge_training.loop.checkpoint import load_model
from sfedge_training.loop.evaluate import Predictor, predict, usual_device
from sfedge_training.loop.reports import log_report
from sfedge_training.loop.training_options import FOLDER, remote_code_option

CHALLENGE, VERSION = "ego4d_looking_at_me", "1.0"
_TASK = "looking_at_me"
_LOOKING = TASKS[_TASK].labels.index("looking")
_DEEPER = "*/videos_challenge"
_PICTURES = (".jpg", ".jpeg", ".png")


class Face(NamedTuple):
    """What names a face of the test set, in the order in which the file has its fields."""

    video_id: str
    unique_id: str  # of the face within its track
    track_id: str


@click.command("lam-file")
@click.argument("model", type=FOLDER)
@click.argument("data", type=FOLDER)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default="pred.json",
    show_default=True,
    help="The file to hand in.",
)
@click.option("--batch", default=64, show_default=True, help="Faces answered at once.")
@click.option(
    "--workers",
    default=0,
    show_default=True,
    help="Processes that read pictures; 0 reads them between the batches.",
)
@remote_code_option
def lam_file(
    model: Path, data: Path, out: Path, batch: int, workers: int, allow_remote_code: bool
) -> None:
    """Write the file for Ego4D's looking-at-me challenge: MODEL's answers to the test faces.

    The faces are in DATA/ego4d_lam/videos_challenge, cropped to the exact box.
    """
    network, _, _ = load_model(model, allow_remote_code=allow_remote_code)
    count = answer_challenge(network, data, out, batch=batch, workers=workers)
    click.echo(f"{count} faces are answered in {out}")


def has_faces(data: Path) -> bool:
    """Whether the test set's faces lie below `data`."""
    return any(any((data / NAME).glob(pattern)) for pattern in ("videos_challenge", _DEEPER))


def answer_challenge(
    model: Predictor, data: Path, out: Path, *, batch: int = 64, workers: int = 0
) -> int:
    """Write a model's answers to the test set.

    Args:
        model: that answers.
        data: see `find_faces`.
        out: the file.
        batch: faces answered at once.
        workers: processes that read pictures.

    Returns:
        How many faces there are.

    Raises:
        DataError: a face or a picture is not as it should be.
        OutputError: the file cannot be written.
    """
    report = Report()
    faces = find_faces(data, report)
    log_report(f"{NAME} challenge", report)
    samples = [Sample(picture, _TASK, group=f.video_id) for f, picture in faces.items()]
    answers = predict(model, samples, device=usual_device(), batch=batch, workers=workers)
    write_answers(out, [*faces], answers[:, _LOOKING].tolist())
    return len(faces)


def find_faces(root: Path, report: Report) -> dict[Face, Path]:
    """Every face of the test set and its picture, in the order of their paths.

    Args:
        root: a folder that holds `videos_challenge`, or `ego4d_lam` with it.
        report: takes what is no face, and clips of `split/test.list` without one.

    Raises:
        DataError: there is no face, or two have one name.
    """
    folder = existing(
        root,
        f"{NAME}/videos_challenge",
        f"{NAME}/{_DEEPER}",
        "videos_challenge",
        what="the folder of the challenge's faces",
    )
    faces: dict[Face, Path] = {}
    for picture in sorted(folder.glob("*/*/*")):
        if picture.suffix.lower() not in _PICTURES or picture.name.startswith("."):
            report.drop("file is no picture", str(picture))
            continue
        video, track, _ = picture.relative_to(folder).parts
        face = Face(video, _unique_id(picture.stem), track)
        if face in faces:
            raise DataError(
                f"the unique id {face.unique_id!r} stands for two pictures of one track",
                where=f"{faces[face]} and {picture.name}",
                fix="Unpack the test set again, into an empty folder.",
            )
        faces[face] = picture
    if not faces:
        raise DataError(
            "there is no picture of a face",
            where=str(folder),
            fix="It should hold <video>/<track>/<frame>_<unique id>.jpg.",
        )
    _tell_absent_clips(folder, {face.video_id for face in faces}, report)
    return faces


def _unique_id(stem: str) -> str:
    """The part of a picture's name after the number of its frame, which not every copy has."""
    frame, mark, rest = stem.partition("_")
    return rest if mark and rest and frame.isdecimal() else stem


def _tell_absent_clips(folder: Path, found: set[str], report: Report) -> None:
    """Report clips of the official list that have no face here."""
    table = folder.parent / "split" / "test.list"
    listed = table.read_text(encoding="utf-8-sig").split() if table.is_file() else []
    if found & set(listed):  # otherwise the folders bear other names than clips
        for clip in sorted(set(listed) - found):
            report.drop("clip is listed but has no faces", f"{table}: {clip}")


def write_answers(out: Path, faces: Sequence[Face], scores: Sequence[float]) -> None:
    """Write the challenge's file, read it back, check it, and only then let it take its place.

    Args:
        out: the file.
        faces: of the test set.
        scores: probability of "looking", of each.

    Raises:
        DataError: a face or score is missing, repeated or out of range.
        OutputError: the file cannot be written.
    """
    # The label names the class that the score is of, in every row alike.
    rows = [
        face._asdict() | {"label": 1, "score": score}
        for face, score in zip(faces, scores, strict=True)
    ]
    part = out.with_name(f".{out.name}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("w", encoding="utf-8") as file:
                json.dump({"version": VERSION, "challenge": CHALLENGE, "results": rows}, file)
            check_answers(part, faces)
            part.replace(out)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"this file cannot be written ({error})", where=str(out)) from error


def check_answers(path: Path, faces: Collection[Face]) -> None:
    """Check that a file for the challenge answers every one of `faces` exactly once.

    Raises:
        DataError: it does not, or is not in the challenge's form.
    """
    held = read_json(path, dict)
    head = {"version": VERSION, "challenge": CHALLENGE}
    rows = held.pop("results", None)
    if held != head or not isinstance(rows, list):
        raise DataError(f"this is no file for {CHALLENGE}, version {VERSION}", where=str(path))
    found = Counter(_checked(row, f"{path}: result {place}") for place, row in enumerate(rows))
    wanted = Counter(faces)
    for problem, of in (
        ("not answered", wanted.keys() - found.keys()),
        ("not asked for", found.keys() - wanted.keys()),
        ("there more than once", {face for face, number in found.items() if number > 1}),
    ):
        if of:
            first = ", ".join(min(of))
            raise DataError(f"faces {problem}: {len(of)} (first: {first})", where=str(path))


def _checked(row: Any, where: str) -> Face:
    """The face that a result is about."""
    if not isinstance(row, Mapping) or row.keys() != {*Face._fields, "label", "score"}:
        raise DataError("its fields are not those of the challenge", where=where)
    face = Face(*(row[name] for name in Face._fields))
    score = row["score"]
    if not all(isinstance(value, str) for value in face):
        raise DataError("an id is no text", where=where)
    if row["label"] != 1 or not isinstance(score, float) or not 0 <= score <= 1:
        raise DataError("the label is not 1, or the score no probability", where=where)
    return face
