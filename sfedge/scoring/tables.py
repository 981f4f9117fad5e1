"""A score as a JSON object and as rows of a table of answers."""

from collections.abc import Iterator, Mapping
from math import isnan
from typing import Any

from sfedge.core.version import __version__
from sfedge.scoring.asking import Answered
from sfedge.scoring.figures import gaze_distances
from sfedge.scoring.labels_table import OUTSIDE
from sfedge.scoring.matching import OVERLAP, certainty_of
from sfedge.scoring.score import Score
from sfedge.scoring.task_score import Figure, TaskScore

SCHEMA = 1
COLUMNS = (
    *("picture", "line", "task", "label", "outcome", "answer", "probability", "is_unsure"),
    *("rank", "answers", "distance", "overlap", "x1", "y1", "x2", "y2"),
)


def to_json(score: Score) -> dict[str, Any]:
    """All figures and how they came about; None for what is undefined."""
    asked, counts = score.asked, score.counts
    return {
        "schema": SCHEMA,
        "sfedge": __version__,
        **score.facts,
        "split": score.split or None,
        "pictures": {
            "scored": score.pictures,
            "missing": asked.missing,
            "unreadable": asked.unreadable,
        },
        "labels": {
            "in_table": counts.in_table,
            "in_other_splits": counts.in_other_splits,
            "of_tasks_the_model_lacks": dict(counts.without_task),
            "unclear": counts.unclear,
            "pseudo_labels": counts.pseudo_labels,
            "beyond_limit": counts.beyond_limit,
            "outside_their_picture": asked.outside,
            "several_answers": asked.several,
        },
        "least_overlap": OVERLAP,
        "remarks": list(score.remarks),
        "tasks": {name: _task(of) for name, of in score.tasks.items()},
    }


def answer_rows(score: Score) -> tuple[tuple[str, ...], Iterator[tuple[object, ...]]]:
    """The columns of answers.csv, and a row for each question; points are written "x y"."""
    own = list(dict.fromkeys(n for one in score.asked.answered for n in one.question.row.other))
    columns = (*COLUMNS, *(name if name not in COLUMNS else f"{name} (table)" for name in own))
    rows = (
        (*_answer(one), *(one.question.row.other.get(name, "") for name in own))
        for one in score.asked.answered
    )
    return columns, rows


def _task(of: TaskScore) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "samples": of.samples,
        "groups": of.groups,
        "threshold": of.task.threshold,
        "figures": _figures(of.figures),
    }
    if of.labels:
        entry["classes"] = [
            {"label": c.label, "samples": c.samples, "answers": c.answers, **_figures(c.figures)}
            for c in of.classes
        ]
        entry["confusion"] = {"labels": list(of.labels), "counts": of.confusion.tolist()}
    if of.parts:
        entry["by"] = {
            part.column: {
                "compared": part.compared,
                "spread": _figure(part.spread),
                "spread_beyond_intervals": _defined(part.beyond),
                "values": {
                    value: {"samples": part.samples[value], **_figures(figures)}
                    for value, figures in part.figures.items()
                },
            }
            for part in of.parts
        }
    return entry


def _figures(figures: Mapping[str, Figure]) -> dict[str, Any]:
    return {name: _figure(figure) for name, figure in figures.items()}


def _figure(figure: Figure) -> dict[str, float | None]:
    return {
        "value": _defined(figure.value),
        "low": _defined(figure.low),
        "high": _defined(figure.high),
    }


def _defined(value: float) -> float | None:
    return None if isnan(value) else round(value, 5)


def _answer(one: Answered) -> tuple[object, ...]:
    row, matched, judged = one.question.row, one.matched, one.judged
    box, overlap = matched.box, matched.overlap
    outcome: tuple[object, ...] = (matched.outcome, "", "", "", "")
    if judged is not None:
        given = judged.answer
        outcome = (
            "right" if judged.is_right else "wrong",
            given.label,
            f"{certainty_of(given):.4f}",
            _flag(given.is_unsure),
            judged.rank + 1,
        )
    elif matched.answers:  # a gaze
        given = matched.answers[0]
        point = "" if given.point is None else _point(given.point)
        outcome = ("answered", point, f"{given.peak or 0.0:.4f}", _flag(given.is_unsure), "")
    corners = ("",) * 4 if box is None else (box.x1, box.y1, box.x2, box.y2)
    return (
        *(row.picture, row.line, row.task, _label(one), *outcome, len(matched.answers)),
        _distance(one),
        *("" if overlap is None else f"{overlap:.3f}", *(_rounded(value) for value in corners)),
    )


def _label(one: Answered) -> str:
    """The label, or the mean of the annotators' points."""
    if one.question.is_outside:
        return OUTSIDE
    if not one.points:
        return one.question.row.label
    x, y = (sum(values) / len(one.points) for values in zip(*one.points, strict=True))
    return _point((x, y))


def _distance(one: Answered) -> str:
    point = one.matched.answers[0].point if one.matched.answers else None
    if point is None or not one.points or one.question.is_outside:
        return ""
    return f"{gaze_distances(point, one.points)[0]:.4f}"


def _point(point: tuple[float, float]) -> str:
    return " ".join(f"{value:.4f}" for value in point)


def _flag(value: bool) -> str:
    return str(value).lower()


def _rounded(value: object) -> object:
    return f"{value:.4f}" if isinstance(value, float) else value
