"""How far a bundle's precisions are from its fp32 on given pictures."""

from pathlib import Path

from sfedge.bundle.bundle import open_bundle
from sfedge.core.errors import BundleError, unknown_name
from sfedge_export.calibration_pictures import in_folder
from sfedge_export.derive import agreements
from sfedge_export.precision_agreement import Agreement, LabelAgreement
from sfedge_export.precisions import PRECISIONS, REFERENCE


def compare(
    bundle_path: Path, pictures: Path, precisions: tuple[str, ...] = ()
) -> dict[str, Agreement]:
    """Compare precisions of a bundle with its fp32; none is named for all that it has.

    Raises:
        UnknownNameError: the bundle has no such precision.
        BundleError: it is damaged, or has no fp32, or nothing else.
        DataError: there are no pictures, or one cannot be read.

    Every task is asked about every picture as a whole, a person marked in each half of it. ONNX
    Runtime runs all precisions, on the CPU.
    """
    shown = in_folder(pictures)
    with open_bundle(bundle_path) as bundle:
        bundle.verify()
        manifest = bundle.manifest
        folder = bundle.graph_path(REFERENCE, "encoder").parents[1]
        known = [name for name in PRECISIONS if name in manifest.precisions]
        for name in precisions:
            if name not in known:
                unknown_name("precision", name, known, where="--precision")
        if not known:
            raise BundleError(
                "it has no other precision than fp32",
                where=str(bundle_path),
                fix=f"Run: sfedge-export {bundle_path} --out NEW --precision int8-cpu.",
            )
        return agreements(folder, manifest, precisions or known, shown)


def as_text(found: Agreement) -> str:
    """The figures of one precision as lines."""
    lines = [
        f"{found.views} pictures; encoder: cosine {found.features:.5f}, "
        f"worst token {found.worst_features:.5f}"
    ]
    for name, task in found.tasks.items():
        cosines = f"cosine {task.cosine:.5f}, worst {task.worst_cosine:.5f}"
        if isinstance(task, LabelAgreement):
            lines.append(
                f"{name:14} same answer {task.same:6.1%}, {cosines}, "
                f"divergence {task.divergence:.2g} nats"
            )
        else:
            lines.append(
                f"{name:14} peaks {task.distance:.4f} apart, {cosines}, "
                f"cells {task.difference:.2g} apart"
            )
    return "\n".join(lines)
