"""How far the answers of one precision are from those of another."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from sfedge.bundle.manifest import Manifest
from sfedge.core.decode import cells_of, highest, log_probabilities
from sfedge.core.errors import BundleError
from sfedge_export.precision_session import Answers, Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelAgreement:
    """Label logits of the views, in two precisions."""

    same: float  # share of the views whose answer is the same
    cosine: float  # of the logits, mean over the views
    worst_cosine: float
    divergence: float  # Kullback-Leibler, of the lower precision from the higher; nats, mean


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatmapAgreement:
    """Heatmaps of the views, in two precisions."""

    cosine: float  # of the logits, mean over the views
    worst_cosine: float
    distance: float  # between the peaks, in fractions of the view, mean
    difference: float  # of the values in 0...1, mean over the cells


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """A precision against the reference on the same views."""

    views: int
    features: float  # cosine of the encoder's patch features, mean
    worst_features: float
    tasks: Mapping[str, LabelAgreement | HeatmapAgreement]

    def to_json(self) -> dict[str, object]:
        """Figures rounded to four digits."""
        tasks = {name: _rounded(asdict(found)) for name, found in self.tasks.items()}
        whole = {"features": self.features, "worst_features": self.worst_features}
        return {"views": self.views, **_rounded(whole), "tasks": tasks}


def check_agreement(found: Agreement, least_cosine: float, *, where: str) -> None:
    """Refuse a precision whose answers have nothing to do with those in fp32.

    Raises:
        BundleError: the mean cosine of some task is below `least_cosine`, or no number.
    """
    for task, agreement in found.tasks.items():
        if not agreement.cosine >= least_cosine:
            raise BundleError(
                f"the answers to {task} are too far from those in fp32 (a cosine of "
                f"{agreement.cosine:.3f}, at least {least_cosine} is expected)",
                where=where,
                fix="Leave this precision out.",
            )


def compare(found: Answers, wanted: Answers, manifest: Manifest) -> Agreement:
    """`found`, of a lower precision, against `wanted`."""
    cosines = cosine(found.features, wanted.features)
    tasks: dict[str, LabelAgreement | HeatmapAgreement] = {}
    for task in manifest.tasks:
        kind = compare_heatmaps if task.output == "heatmap" else compare_labels
        tasks[task.name] = kind(found.logits[task.name], wanted.logits[task.name])
    return Agreement(
        views=len(found.features),
        features=float(cosines.mean()),
        worst_features=float(cosines.min()),
        tasks=tasks,
    )


def compare_labels(found: Floats, wanted: Floats) -> LabelAgreement:
    """Two sets of logits [views, labels]."""
    cosines = cosine(found, wanted)
    log_p, log_q = log_probabilities(wanted), log_probabilities(found)
    return LabelAgreement(
        same=float((highest(found) == highest(wanted)).mean()),
        cosine=float(cosines.mean()),
        worst_cosine=float(cosines.min()),
        divergence=float((np.exp(log_p) * (log_p - log_q)).sum(1).mean()),
    )


def compare_heatmaps(found: Floats, wanted: Floats) -> HeatmapAgreement:
    """Two sets of logits [views, side, side]."""
    rows, other = (values.reshape(len(values), -1) for values in (found, wanted))
    cosines = cosine(rows, other)
    side = found.shape[-1]
    peaks = [np.stack(divmod(highest(values), side), 1) for values in (rows, other)]
    return HeatmapAgreement(
        cosine=float(cosines.mean()),
        worst_cosine=float(cosines.min()),
        distance=float(np.linalg.norm(peaks[0] - peaks[1], axis=1).mean() / side),
        difference=float(np.abs(cells_of(rows) - cells_of(other)).mean()),
    )


def cosine(found: Floats, wanted: Floats) -> Floats:
    """Of the vectors along the last axis."""
    a, b = found.astype(np.float64), wanted.astype(np.float64)
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return np.asarray((a * b).sum(-1) / np.maximum(lengths, 1e-30))


def _rounded(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: float(f"{value:.4g}") for name, value in figures.items()}
