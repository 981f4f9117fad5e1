"""A run's answers to the looking-at-me test set, whose truth the challenge's server keeps."""

from pathlib import Path

from sfedge.tasks import TASKS
from training.challenge import find_faces, write_answers
from training.data.ego4d_lam import NAME
from training.data.sample import Report, Sample
from training.evaluate import Predictor, predict, usual_device
from training.reports import tell_report
from training.reproduce.rows import Part
from training.reproduce.runs import Run

PREDICTIONS = "pred.json"
_TASK = "looking_at_me"


def has_challenge(run: Run, part: Part, data: Path) -> bool:
    """Whether a run is to answer the test set, and its faces are there."""
    if part != "test" or NAME not in run.recipe.datasets:
        return False
    patterns = ("videos_challenge", "*/videos_challenge")  # as `find_faces` looks for them
    return any(any((data / NAME).glob(pattern)) for pattern in patterns)


def answer_challenge(model: Predictor, data: Path, out: Path, *, workers: int = 0) -> None:
    """Write a model's answers in the challenge's form.

    Raises:
        DataError: a face or a picture is not as it should be.
        OutputError: the file cannot be written.
    """
    report = Report()
    faces = find_faces(data, report)
    tell_report(f"{NAME} challenge", report)
    samples = [Sample(picture, _TASK, group=face.video_id) for face, picture in faces.items()]
    answers = predict(model, samples, device=usual_device(), workers=workers)
    looking = TASKS[_TASK].labels.index("looking")
    write_answers(out, [*faces], answers[:, looking].tolist())
