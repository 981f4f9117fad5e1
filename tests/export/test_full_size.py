"""The paper's model at its full size with random weights: written whole, in the memory of one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sfedge.bundle.bundle import open_bundle

ROOT = Path(__file__).parents[2]
EXPORT = """
import json, resource, sys
from itertools import islice
from pathlib import Path
from sfedge_export.package import export_bundle
from sfedge_export.calibration_pictures import Pictures, photographs
from sfedge_export.untrained import untrained
from sfedge.core.tasks import TASKS

model = untrained("paper")
size = sum(p.numel() for p in model.parameters()) * 4
export_bundle(
    model, Path(sys.argv[1]), name="full", created="2026-01-02T03:04:05Z",
    tasks=[TASKS["gesture"], TASKS["gaze"]],
    pictures=Pictures("a photograph", 1, lambda: islice(photographs(), 1)),
)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"size": size, "peak": peak}))
"""


@pytest.mark.slow
@pytest.mark.timeout(5400)
def test_a_full_size_export_needs_half_as_much_memory_again_as_its_model(tmp_path: Path) -> None:
    out = tmp_path / "full"
    done = subprocess.run(
        [sys.executable, "-c", EXPORT, str(out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    measured = json.loads(done.stdout.splitlines()[-1])
    assert measured["size"] > 6e9
    assert measured["peak"] <= 1.5 * measured["size"]
    assert list(tmp_path.iterdir()) == [out]
    with open_bundle(out) as bundle:
        sizes = {entry.path: entry.size for entry in bundle.manifest.files}
        agreement = bundle.manifest.card["agreement"]["int8-cpu"]
    exact = sum(size for path, size in sizes.items() if path.startswith("fp32/"))
    whole = sum(size for path, size in sizes.items() if path.startswith("int8-cpu/"))
    embeddings, block = 128256 * 2048 * 4, 61e6 * 4
    assert exact < measured["size"] - embeddings + 1.2 * block  # the last block twice, nothing else
    assert whole < exact / 3.5
    assert agreement["features"] >= 0.999
