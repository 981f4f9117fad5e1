"""`sfedge-train check`: what a dataset holds, what is wrong with it, whether it is whole."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, get_args

import click
from tqdm import tqdm

from sfedge.core.errors import DataError
from sfedge.core.tasks import TASKS
from sfedge_training.data import loader
from sfedge_training.data.published import Fact, facts_for
from sfedge_training.data.sample import DRAWN_MARK, Dataset, Report, Sample, Split
from sfedge_training.data.sample_picture import read_picture
from sfedge_training.loop.recipe import OWN
from sfedge_training.loop.training_options import FOLDER

SPLITS: tuple[Split, ...] = get_args(Split)
_CHUNK = 256  # pictures handed to the threads at once


@dataclass(frozen=True, slots=True)
class Comparison:
    """A published number beside what is here."""

    fact: Fact
    found: int

    @property
    def fits(self) -> bool:
        return self.found == self.fact.count


@dataclass(frozen=True, slots=True)
class Overlap:
    """A subject, clip or picture that samples of one task in two splits share."""

    task: str
    group: str
    splits: tuple[Split, ...]


@dataclass(slots=True)
class Findings:
    """What a check met. `unreadable` holds what kept a whole split from being read."""

    dataset: str
    root: Path
    is_drawn: bool = False
    reports: dict[Split, Report] = field(default_factory=dict)
    unreadable: dict[Split, DataError] = field(default_factory=dict)
    overlaps: list[Overlap] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    decoded: int | None = None  # pictures that were decoded; None: none was asked for
    broken: list[str] = field(default_factory=list)  # those of them that could not be

    @property
    def problems(self) -> list[str]:
        """A clause for each reason why this copy is not whole; empty if it is."""
        lost = sum(sum(report.lost.values()) for report in self.reports.values())
        wrong = sum(not comparison.fits for comparison in self.comparisons)
        counted = (
            (len(self.unreadable), "splits that cannot be read"),
            (lost, "rows whose file is missing or damaged"),
            (len(self.broken), "pictures that cannot be decoded"),
            (len(self.overlaps), "groups in two splits"),
            (wrong, "counts that differ from the published ones"),
        )
        return [f"{text}: {count}" for count, text in counted if count]

    def to_json(self) -> dict[str, Any]:
        """All of it as a JSON object."""
        return {
            "dataset": self.dataset,
            "root": str(self.root),
            "is_drawn": self.is_drawn,
            "splits": {split: _report_json(report) for split, report in self.reports.items()},
            "unreadable": {split: str(error) for split, error in self.unreadable.items()},
            "overlaps": [
                {"task": o.task, "group": o.group, "splits": list(o.splits)} for o in self.overlaps
            ],
            "published": [
                {
                    "splits": list(c.fact.splits),
                    "unit": c.fact.unit,
                    "label": c.fact.label,
                    "published": c.fact.count,
                    "found": c.found,
                    "fits": c.fits,
                    "source": c.fact.source,
                }
                for c in self.comparisons
            ],
            "pictures_decoded": self.decoded,
            "pictures_broken": self.broken,
            "problems": self.problems,
        }


@click.command()
@click.argument("name")
@click.argument("root", type=FOLDER)
@click.option("--pictures", is_flag=True, help="Decode every picture, too: hours for the largest.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def check(name: str, root: Path, pictures: bool, as_json: bool) -> None:
    """Read the whole dataset NAME in ROOT and report what it holds.

    All splits are read as training reads them. The counts by split, task and class come first;
    then what was repaired and what was left out, each with the first place; groups (subjects,
    clips, pictures) that are in two splits; and published counts beside those found. Whether a
    picture is there is always looked at, whether it can be decoded only with --pictures.

    The exit code is 1 if this copy is not whole: a split cannot be read, a picture or annotation
    is missing or damaged, a published count is not met, or a group stands in two splits. Rows that
    the dataset itself has wrong, and that every copy has, are reported but leave it at 0.
    """
    findings = examine(name, root, decodes=pictures)
    if as_json:
        click.echo(json.dumps(findings.to_json(), indent=1, ensure_ascii=False))
    else:
        for line in _lines(findings):
            click.echo(line)
    if findings.problems:
        sys.exit(1)


def examine(name: str, root: Path, *, decodes: bool = False) -> Findings:
    """Read all splits of a dataset and compare.

    Raises:
        UnknownNameError: there is no such dataset.
        DataError: none of the splits can be read.
    """
    load = loader(name, where="check")
    findings = Findings(name, root, is_drawn=name != OWN and _is_drawn(root))
    loaded: list[Dataset] = []
    for split in SPLITS:
        try:
            loaded.append(load(root, split))
        except DataError as error:
            findings.unreadable[split] = error
    if not loaded:
        raise findings.unreadable[SPLITS[0]]
    findings.reports = {dataset.split: dataset.report for dataset in loaded}
    findings.overlaps = _overlaps(loaded)
    if not findings.is_drawn:
        findings.comparisons = _compared(facts_for(name, root), findings.reports)
    if decodes:
        findings.decoded, findings.broken = _decode(loaded)
    return findings


def _is_drawn(root: Path) -> bool:
    return (root.resolve().parent / DRAWN_MARK).is_file()


def _overlaps(loaded: Iterable[Dataset]) -> list[Overlap]:
    """PISC's two tasks have lists of their own, so that only splits of one task are compared."""
    places: dict[tuple[str, str], list[Split]] = {}
    for dataset in loaded:
        for key in dict.fromkeys((sample.task, sample.group) for sample in dataset.samples):
            places.setdefault(key, []).append(dataset.split)
    return [
        Overlap(task, group, tuple(splits))
        for (task, group), splits in places.items()
        if len(splits) > 1
    ]


def _compared(facts: Iterable[Fact], reports: Mapping[Split, Report]) -> list[Comparison]:
    """Facts on splits that could be read."""
    return [
        Comparison(fact, sum(reports[split].listed[fact.unit, fact.label] for split in fact.splits))
        for fact in facts
        if all(split in reports for split in fact.splits)
    ]


def _decode(loaded: Iterable[Dataset]) -> tuple[int, list[str]]:
    """How many pictures there are, and what is wrong with those that cannot be decoded."""
    once = {(s.image, s.frame or 0): s for dataset in loaded for s in dataset.samples}
    waiting = iter(once[key] for key in sorted(once))
    broken: list[str] = []
    with ThreadPoolExecutor() as threads, tqdm(total=len(once), unit="picture") as bar:
        while chunk := list(islice(waiting, _CHUNK)):
            broken += [text for text in threads.map(_broken, chunk) if text]
            bar.update(len(chunk))
    return len(once), broken


def _broken(sample: Sample) -> str:
    try:
        read_picture(sample)
    except DataError as error:
        return str(error)
    return ""


def _report_json(report: Report) -> dict[str, Any]:
    kept: dict[str, dict[str, int]] = {}
    for (task, label), count in report.kept.items():
        kept.setdefault(task, {})[label or "all"] = count
    return {
        "kept": kept,
        "listed": {f"{unit}: {of}" if of else unit: n for (unit, of), n in report.listed.items()},
        "repaired": dict(report.repaired),
        "dropped": dict(report.dropped),
        "lost": dict(report.lost),
        "examples": dict(report.examples),
    }


def _lines(findings: Findings) -> Iterator[str]:
    drawn = ", drawings" if findings.is_drawn else ""
    yield f"{findings.dataset} in {findings.root}{drawn}"
    yield ""
    yield from _counts(findings.reports)
    for split, error in findings.unreadable.items():
        yield f"\n{split} cannot be read. {error}"
    yield from _reasons(
        "Repaired or noted", {s: r.repaired for s, r in findings.reports.items()}, findings
    )
    known = {s: r.dropped - r.lost for s, r in findings.reports.items()}
    yield from _reasons("Left out", known, findings)
    yield from _reasons(
        "Missing or damaged", {s: r.lost for s, r in findings.reports.items()}, findings
    )
    if findings.decoded is not None:
        yield f"\nPictures decoded: {findings.decoded}, of which broken: {len(findings.broken)}"
        yield from (f"  {text}" for text in findings.broken[:1])
    if findings.overlaps:
        first = findings.overlaps[0]
        yield f"\nGroups in two splits: {len(findings.overlaps)}"
        yield f"  {first.task}: {first.group} in {' and '.join(first.splits)}"
    yield from _published(findings)
    yield ""
    yield f"Not whole: {'; '.join(findings.problems)}." if findings.problems else "Whole."


def _counts(reports: Mapping[Split, Report]) -> Iterator[str]:
    """Kept samples, a column a split; classes without any are listed, too."""
    yield f"{'samples':24}" + "".join(f"{split:>10}" for split in reports)
    met = {task for report in reports.values() for task, _ in report.kept}
    for task in [name for name in TASKS if name in met]:
        labels = TASKS[task].labels or ("",)
        sums = [sum(report.kept[task, label] for label in labels) for report in reports.values()]
        yield f"{task:24}" + "".join(f"{count:10}" for count in sums)
        for label in TASKS[task].labels:
            counts = [report.kept[task, label] for report in reports.values()]
            yield f"  {label:22}" + "".join(f"{count:10}" for count in counts)


def _reasons(
    title: str, found: Mapping[Split, Mapping[str, int]], findings: Findings
) -> Iterator[str]:
    if any(found.values()):
        yield f"\n{title}"
    for split, counts in found.items():
        for reason, count in counts.items():
            example = findings.reports[split].examples[reason]
            yield f"  {split:5} {count:8} x {reason} (first: {example})"


def _published(findings: Findings) -> Iterator[str]:
    if not findings.comparisons:
        yield "\nNo published counts to compare with"
        return
    yield "\nPublished counts"
    for comparison in findings.comparisons:
        fact = comparison.fact
        what = f"{'+'.join(fact.splits)} {fact.unit} {fact.label}".rstrip()
        verdict = "fits" if comparison.fits else "DIFFERS"
        numbers = f"{comparison.found:9,} of {fact.count:9,}"
        yield f"  {what:34} {numbers}  {verdict:7}  ({fact.source})"
