"""A score as a page of Markdown, and in a line for each task."""

from collections.abc import Iterable, Iterator, Sequence
from math import isnan

from sfedge.core.version import __version__
from sfedge.scoring.matching import OVERLAP
from sfedge.scoring.score import Score
from sfedge.scoring.task_score import ClassScore, Figure, Parts, TaskScore

_AS_NUMBERS = (  # figures that are no shares
    *("area_under_roc", "in_picture_area_under_roc", "macro_f1", "f1", "calibration_error"),
    *("distance", "middle_distance", "distance_when_answered", "nearest_when_answered"),
)
_NAMES = {
    "accuracy": "right",
    "accuracy_unsure_wrong": "right, where unsure counts as wrong",
    "balanced_accuracy": "right, mean over the classes",
    "balanced_accuracy_unsure_wrong": "the same, where unsure counts as wrong",
    "macro_f1": "F1, mean over the classes",
    "top_3": "among the three most probable",
    "area_under_roc": "area under the ROC curve",
    "calibration_error": "calibration error",
    "unsure": "unsure, of the answers",
    "accuracy_when_sure": "right, of the sure answers",
    "not_found": "not found",
    "not_asked": "found, but not asked about",
    "gesture_where_none": "sure false positives, of hands without a gesture",
    "distance": "distance to the point looked at; who has no answer looks at the middle",
    "middle_distance": "distance of the picture's middle from it",
    "distance_when_answered": "distance, of the answers",
    "nearest_when_answered": "distance to the nearest annotator's point, of the answers",
    "in_picture_area_under_roc": "inside or outside the picture, area under the ROC curve",
}
_RULES = f"""\
The most probable label is scored, sure or not. A label with a box is about the person, face or
hand found that overlaps most with it, at least {OVERLAP:g} of their joint area; one without a box
is about the whole picture, and right if any answer is. Who is not found, or not asked about, counts
as wrong, but in the calibration error, the area under the curve and the shares of the answers.
Intervals hold 95 % of {{rounds}} bootstrap draws of whole groups; one of no width means only that
no group went the other way. docs/scoring.md of sfedge has it all."""


def to_markdown(score: Score) -> str:
    """The page; pictures of confusions lie beside it."""
    lines = [f"# How right {score.facts['model']['name']} is", "", *_head(score), ""]
    for remark in score.remarks:
        lines += [f"> {remark}", ""]
    for of in score.tasks.values():
        lines += [*_task(of), ""]
    rules = _RULES.format(rounds=score.facts["bootstrap"]["rounds"])
    return "\n".join([*lines, "## How it is counted", "", rules, ""])


def summary_lines(score: Score) -> list[str]:
    """The main figures, a line for each task."""
    return [f"{name:<14} {_summary(of)}" for name, of in score.tasks.items()]


def losses(score: Score) -> list[str]:
    """Clauses on labels and pictures that are not scored."""
    asked, counts = score.asked, score.counts
    lacking = ", ".join(f"{name} {count}" for name, count in counts.without_task.items())
    return [
        f"{text}: {count}"
        for count, text in (
            (len(asked.missing), "pictures that are missing"),
            (len(asked.unreadable), "pictures that cannot be read"),
            (len(asked.outside), "labels whose box or point lies outside the picture"),
            (counts.unclear, "labels that are unclear"),
            (counts.pseudo_labels, "pseudo-labels, no truth to score by"),
            (lacking, "labels of tasks that the model does not answer"),
            (counts.beyond_limit, "labels beyond the limit"),
            (counts.in_other_splits, "labels in other splits"),
        )
        if count
    ]


def title_of(of: TaskScore) -> str:
    """The main figures in a few words, as above a picture."""
    return f"{of.task.name}: {_shown('accuracy', of.figures['accuracy'])} right of {of.samples}"


def _head(score: Score) -> Iterator[str]:
    facts = score.facts
    model, settings = facts["model"], facts["settings"]
    rows = {
        "model": f"{model['name']}, sha256 {model['sha256']}",
        "table": f"{facts['table']}, sha256 {facts['table_sha256']}",
        "split": score.split or "all rows",
        "pictures": str(score.pictures),
        "not scored": "; ".join(losses(score)) or "nothing",
        "labels that several answers may be meant by": str(score.asked.several),
        "run on": f"{model['device']}, detector {settings['detector']}, sfedge {__version__}",
        "when": facts["started"],
        "seconds": ", ".join(f"{name} {spent:g}" for name, spent in facts["seconds"].items()),
    }
    yield from _table(("", ""), rows.items(), left=2)


def _task(of: TaskScore) -> Iterator[str]:
    yield f"## {of.task.name}"
    yield ""
    yield f"{_counted(of.samples, 'label')} of {_counted(of.groups, 'group')}."
    yield ""
    rows = [
        (_NAMES[name], _shown(name, figure), _interval(name, figure))
        for name, figure in of.figures.items()
    ]
    yield from _table(("", "figure", "95 % interval"), rows)
    if of.classes:
        yield ""
        yield from _classes(of.classes)
        yield ""
        yield f"![Which label got which answer](confusion-{of.task.name}.png)"
    for part in of.parts:
        yield ""
        yield from _part(part)


def _classes(classes: Sequence[ClassScore]) -> Iterator[str]:
    header = ("label", "samples", "answers", "recall", "95 % interval", "unsure wrong")
    rows = [
        (
            one.label,
            str(one.samples),
            str(one.answers),
            _shown("recall", one.figures["recall"]),
            _interval("recall", one.figures["recall"]),
            _shown("recall", one.figures["recall_unsure_wrong"]),
            _shown("precision", one.figures["precision"]),
            _shown("f1", one.figures["f1"]),
        )
        for one in classes
    ]
    yield from _table((*header, "precision", "F1"), rows)


def _part(part: Parts) -> Iterator[str]:
    yield f"### By {part.column}"
    yield ""
    shown = [part.compared]
    if part.compared == "accuracy":
        shown += ["accuracy_unsure_wrong", "balanced_accuracy", "not_found"]
    rows = [
        (
            value,
            str(part.samples[value]),
            _shown(part.compared, figures[part.compared]),
            _interval(part.compared, figures[part.compared]),
            *(_shown(name, figures[name]) for name in shown[1:]),
        )
        for value, figures in part.figures.items()
    ]
    columns = (part.column, "labels", _NAMES[part.compared], "95 % interval")
    yield from _table((*columns, *(_NAMES[name] for name in shown[1:])), rows)
    yield ""
    spread = f"{_shown(part.compared, part.spread)} ({_interval(part.compared, part.spread)})"
    apart = Figure(part.beyond, part.beyond, part.beyond)
    yield (
        f"Spread: {spread} from the lowest to the highest; their intervals lie "
        f"{_shown(part.compared, apart)} apart."
    )


def _summary(of: TaskScore) -> str:
    figures = of.figures
    if "accuracy" in figures:
        right = figures["accuracy"]
        parts = [
            f"right {_shown('accuracy', right)} ({_interval('accuracy', right)})",
            f"unsure as wrong {_shown('accuracy', figures['accuracy_unsure_wrong'])}",
            f"balanced {_shown('accuracy', figures['balanced_accuracy'])}",
        ]
    else:
        distance = figures["distance"]
        parts = [
            f"distance {_shown('distance', distance)} ({_interval('distance', distance)})",
            f"of the middle {_shown('distance', figures['middle_distance'])}",
        ]
    parts += [
        f"{_NAMES[name]} {_shown(name, figures[name])}"
        for name in ("not_found", "not_asked")
        if figures[name].value > 0
    ]
    return f"{_counted(of.samples, 'label')}: {', '.join(parts)}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|{'|'.join('---' if n < left else '---:' for n in range(len(header)))}|"
    for row in rows:
        yield f"| {' | '.join(text.replace('|', chr(92) + '|') for text in row)} |"


def _shown(name: str, figure: Figure) -> str:
    return _text(name, figure.value)


def _interval(name: str, figure: Figure) -> str:
    if isnan(figure.low):
        return "–"
    return f"{_text(name, figure.low)} – {_text(name, figure.high)}"


def _text(name: str, value: float) -> str:
    if isnan(value):
        return "–"
    return f"{value:.3f}" if name in _AS_NUMBERS else f"{100 * value:.1f} %"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
