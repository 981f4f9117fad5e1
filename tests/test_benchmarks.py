import re
import sys
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image

from benchmarks import detectors, hands, library_agreement, phantoms, stages, tracking
from benchmarks import measured_on as machine
from benchmarks.people_pictures import hand_beside, large_people

ROOT = Path(__file__).parents[1]
Table = list[list[str]]


def tables(text: str) -> list[Table]:
    """The cells of every table in a page, without the line below its header."""
    blocks = re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE)
    rows = [[line.strip("|").split("|") for line in block.splitlines()] for block in blocks]
    return [
        [[cell.strip() for cell in row] for i, row in enumerate(table) if i != 1] for table in rows
    ]


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., str]:
    def call(command: click.Command, *arguments: str) -> str:
        page = tmp_path / "results" / "page.md"
        result = CliRunner().invoke(
            command, [*arguments, "--out", str(page)], catch_exceptions=False
        )
        assert result.exit_code == 0, result.output
        text = page.read_text(encoding="utf-8")
        assert text in result.output
        assert "- Machine: " in text
        return text

    return call


def test_the_stages_of_a_frame_add_up_to_the_frame(run: Callable[..., str]) -> None:
    page = run(stages.main, "--seconds", "2", "--warm-up", "3")

    assert "python -m benchmarks.stages --seconds 2 --warm-up 3 --engine auto\n" in page
    (_, *by_stage), (_, *end_to_end) = tables(page)
    threads = ["track, ask", "draw, write"]
    assert [row[0] for row in by_stage] == [*stages.STAGES, *threads, "all stages"]
    # A second is held back; detecting may be some frames ahead of what comes out.
    counts = {row[0]: int(row[1]) for row in by_stage}
    assert 15 <= counts["read"] <= 24
    assert {counts[name] for name in ("read", "track", *threads)} == {counts["all stages"]}
    means = [float(row[-1]) for row in by_stage]
    assert sum(means[:6]) == pytest.approx(means[-1], rel=0.02)
    assert sum(means[4:6]) == pytest.approx(means[7], rel=0.02)
    assert all(float(value) > 0 for _, value in end_to_end)


def test_detectors_are_timed_and_find_large_faces_and_hands(run: Callable[..., str]) -> None:
    page = run(detectors.main, "--repeats", "1", "--trials", "1")

    networks, frames, faces, hands, nobody = tables(page)
    assert len({row[0] for row in networks[1:]}) == 5
    finds = [int(row[2]) for row in networks[1:]]
    assert finds[1:] == [1, 1, 1, 0, 1, 0, 1, 2, 1]  # the first sees faces from nearby alone
    assert all(float(row[3]) > 0 for row in networks[1:])
    assert len(frames) == 4
    assert faces[0][-1] == "60"
    assert faces[1][-1] == "1 of 1"
    assert hands[0][-1] == "130"
    assert hands[2][-1] == "1 of 1"
    assert {row[0] for row in nobody[1:]} <= {"none of them", *detectors.EMPTY}


def test_ids_are_counted_in_every_scene(run: Callable[..., str]) -> None:
    page = run(tracking.main, "--runs", "1")

    (_, *rows) = tables(page)[0]
    assert [row[0] for row in rows[::2]] == list(tracking.SCENES)
    assert rows[0] == ["two people cross", "different", "0", "0 of 1", "0 of 1", rows[0][-1]]
    assert 70 < float(rows[0][-1].rstrip("%")) < 90  # 15 % of the faces are never detected


# Speaks for MediaPipe's library as sfedge asks it, but runs the default detector's networks.
LIBRARY = """
import json, sys
import numpy as np
from sfedge.detect.conversion import networks
from sfedge.detect.mediapipe.mediapipe_networks import MediaPipeNetworks

def say(**answer):
    print(json.dumps(answer), flush=True)

say(version="0.0")
found_by = MediaPipeNetworks(networks.fetch(networks.DETECTING))
say(found=[])
while line := sys.stdin.buffer.readline():
    request = json.loads(line)
    shape = request["height"], request["width"], 3
    picture = np.frombuffer(sys.stdin.buffer.read(shape[0] * shape[1] * 3), np.uint8).reshape(shape)
    if request["network"] == "hands":
        rows = [
            {"side": one.side, "score": one.side_score, "points": one.points.tolist()}
            for one in found_by.find_hands(picture)
        ]
    elif request["network"] == "poses":
        rows = [{"points": one.points.tolist()} for one in found_by.find_poses(picture)]
    else:
        rows = [
            {"score": one.score, "box": one.box, "points": one.points.tolist()}
            for one in found_by.find_faces(picture, request["network"], 0.5)
        ]
    say(found=rows, seconds=0.001)
"""


def test_what_is_the_same_agrees_in_full(
    run: Callable[..., str], tmp_path: Path, astronaut: NDArray[np.uint8]
) -> None:
    (tmp_path / "pictures").mkdir()
    Image.fromarray(astronaut).save(tmp_path / "pictures" / "astronaut.png")
    python = tmp_path / "python"
    python.write_text(f"#!{sys.executable}\n{LIBRARY}")
    python.chmod(0o755)
    page = run(library_agreement.main, str(tmp_path / "pictures"), "--python", str(python))

    each, _, kinds, moments = tables(page)
    rows = {row[0]: row[1:] for row in (*each[1:], *kinds[1:])}
    for name in ("faces, short range", "faces, full range", "poses", "face", "person"):
        counts, share, overlap, score, _ = rows[name]
        assert (counts, share, overlap, score) == ("1, 1", "100.0 %", "1.0000, 1.000", "0.0000")
    assert rows["poses"][-1] == "0.000, 0.00"
    assert len(moments) == 4


def test_tables_of_results_stand_in_the_documents_as_they_were_measured() -> None:
    measured = {
        tuple(table[0]): table
        for page in machine.RESULTS.glob("*.md")
        for table in tables(page.read_text(encoding="utf-8"))
    }
    shown = [
        (page.name, table)
        for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
        for table in tables(page.read_text(encoding="utf-8"))
        if tuple(table[0]) in measured
    ]

    assert {name for name, _ in shown} >= {"detectors.md", "performance.md", "tracking.md"}
    for name, table in shown:
        assert table == measured[tuple(table[0])], f"{name} is older than benchmarks/results"


def test_a_portrait_and_its_close_ups_show_one_person(
    run: Callable[..., str], tmp_path: Path, astronaut: NDArray[np.uint8]
) -> None:
    folder = tmp_path / "portraits"
    folder.mkdir()
    Image.fromarray(astronaut).save(folder / "astronaut.png")
    page = run(phantoms.main, "--close-ups", str(folder))

    ((_, whole, close_ups, both),) = tables(page)
    assert whole == ["portraits", "1", "0", "0", "0", "1"]
    assert close_ups == ["portraits, close-ups", "3", "0", "0", "0", "3"]
    assert both == ["all", "4", "0", "0", "0", "3"]


def test_pictures_whose_hands_are_asked_about_are_counted_and_shown(
    run: Callable[..., str], tmp_path: Path
) -> None:
    folder, sheets = tmp_path / "gestures", tmp_path / "sheets"
    (folder / "palm").mkdir(parents=True)
    picture, (face,) = large_people(1)
    Image.fromarray(picture).save(folder / "palm" / "resting.png")
    Image.fromarray(hand_beside(picture, face)).save(folder / "palm" / "raised.png")
    table = "file,label\npalm/raised.png,palm\npalm/resting.png,fist\n"
    (folder / "labels.csv").write_text(table, encoding="utf-8")

    page = run(hands.main, str(folder), "--sheets", str(sheets))

    ((_, fist, palm, both),) = tables(page)
    assert fist == ["fist", "1", "0", "0.0 %", "0", "0", "0"]
    assert palm == ["palm", "1", "1", "100.0 %", "1", "0", "0"]
    assert both == ["all", "2", "1", "50.0 %", "1", "0", "0"]
    assert {file.name for file in sheets.iterdir()} == {"asked-1.png", "missed-1.png"}
