"""The metadata of a run: all that is needed to know later how its results came about."""

import hashlib
import json
import platform
from contextlib import suppress
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sfedge.core.version import __version__
from sfedge.results import records
from sfedge.results.records import Row, output_error
from sfedge.results.run_report import RunReport
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
        "schema": records.SCHEMA,
        "sfedge": __version__,
        "started": started,
        "ended": now(),
        "source": records.source_facts(session.info),
        "model": {
            **model_facts(session),
            "card": dict(session.bundle.manifest.card) if session.bundle else {},
        },
        "settings": records.settings_facts(session.config),
        "summary": report.to_json(),
        "seconds": {stage: round(spent, 3) for stage, spent in report.seconds.items()},
        "platform": {
            "system": platform.platform(),
            "python": platform.python_version(),
            "packages": _versions(),
        },
    }
    try:
        data["outputs"] = [
            _facts(held.video, named.video),
            _facts(held.records, named.records),
            _facts(held.table, named.table),
        ]
        text = json.dumps(data, indent=1, ensure_ascii=False) + "\n"
        held.metadata.write_text(text, encoding="utf-8")
    except OSError as error:
        raise output_error(error, held.metadata) from error


def model_facts(session: Session) -> Row:
    """What the records and the metadata say of the model."""
    bundle = session.bundle
    if bundle is None:  # a model of the program's own
        unknown = dict.fromkeys(("preset", "created", "sha256"), "")
        named = {"name": session.model_name, "notice": session.notice, "device": session.device}
        return named | unknown
    return records.model_facts(bundle.manifest, bundle.sha256, session.device)


def now() -> str:
    """The wall clock, UTC, in ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _facts(path: Path, named: Path) -> Row:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return {"name": named.name, "size": path.stat().st_size, "sha256": digest.hexdigest()}


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
