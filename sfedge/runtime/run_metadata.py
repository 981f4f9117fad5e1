"""The metadata of a run: all that is needed to know later how its results came about."""

import hashlib
import json
import platform
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sfedge.core.version import __version__
from sfedge.results import rows
from sfedge.results.growing_file import output_error
from sfedge.results.records import SCHEMA, Row
from sfedge.results.run_report import RunReport
from sfedge.runtime import naming
from sfedge.runtime.outputs import OutputFiles
from sfedge.runtime.session import Session

_PACKAGES = ("av", "numpy", "onnxruntime", "onnxruntime-gpu", "opencv-python-headless")


def write_metadata(
    session: Session, report: RunReport, started: str, held: OutputFiles, named: OutputFiles
) -> None:
    """Write `held.metadata` beside the other files, which are complete.

    Args:
        session: of the run.
        report: of the run.
        started: when it began.
        held: where the files are now.
        named: what they will be called.

    Raises:
        OutputError: it cannot be written.
    """
    data: Row = {
        "schema": SCHEMA,
        "sfedge": __version__,
        "started": started,
        "ended": now(),
        "source": source_facts(session),
        "model": {
            **model_facts(session),
            "card": dict(session.bundle.manifest.card) if session.bundle else {},
        },
        "detector": {"device": session.detector_device},
        "settings": rows.settings_facts(session.config),
        "summary": report.to_json(),
        "seconds": {stage: round(spent, 3) for stage, spent in report.seconds.items()},
        "platform": {
            "system": platform.platform(),
            "python": platform.python_version(),
            "packages": package_versions(),
        },
    }
    try:
        data["outputs"] = [
            facts
            for path, name in zip(held.all, named.all, strict=True)
            if path != held.metadata
            for facts in _facts(path, name.name)
        ]
        text = json.dumps(data, indent=1, ensure_ascii=False) + "\n"
        held.metadata.write_text(text, encoding="utf-8")
    except OSError as error:
        raise output_error(error, held.metadata) from error


def source_facts(session: Session) -> Row:
    """The source's entry in the records and the metadata."""
    return rows.source_facts(session.info, naming.identity_of(session.info))


def model_facts(session: Session) -> Row:
    """The model's entry in the records and the metadata."""
    bundle = session.bundle
    if bundle is None:  # a model of the program's own
        unknown = dict.fromkeys(("preset", "created", "sha256"))
        named = {"name": session.model_name, "notice": session.notice, "device": session.device}
        return named | unknown
    return rows.model_facts(bundle.manifest, bundle.sha256, session.device)


def now() -> str:
    """The wall clock, UTC, in ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _facts(path: Path, name: str) -> Iterator[Row]:
    """Name, size and checksum of a file, or of each file of a folder."""
    if path.is_dir():
        for inner in sorted(path.iterdir()):
            yield from _facts(inner, f"{name}/{inner.name}")
        return
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    yield {"name": name, "size": path.stat().st_size, "sha256": digest.hexdigest()}


def package_versions() -> dict[str, str]:
    """The installed versions of the libraries that results depend on."""
    found = {}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
