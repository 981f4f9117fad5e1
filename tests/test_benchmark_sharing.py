from math import prod
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scenes import DRAWN_BUNDLE
from test_benchmarks import tables

from benchmarks import sharing
from sfedge.bundle.bundle import open_bundle
from sfedge.bundle.manifest import Manifest
from sfedge.core.boxes import FULL, Box
from sfedge.core.structures import Query
from sfedge.core.tasks import TASKS
from sfedge.diagnostics.bench import frame_gemms, frame_queries
from sfedge.diagnostics.gemms import work


@pytest.fixture(scope="module")
def drawn() -> tuple[Manifest, dict[str, int]]:
    """The drawn bundle's description, and the tokens of each prompt."""
    with open_bundle(DRAWN_BUNDLE) as bundle:
        prompts = {name: keys.shape[3] for name, keys in bundle.prefix().items()}
        return bundle.manifest, prompts


def test_the_command_counts_every_layout(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    words = [str(DRAWN_BUNDLE), "--people", "4", "--layouts", "2", "--out", str(page)]
    result = CliRunner().invoke(sharing.main, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    ((head, *rows),) = tables(page.read_text(encoding="utf-8"))
    assert head[3:6] == ["gaze", "domain", "relation"]
    assert [(row[0], row[1]) for row in rows] == [
        (name, number) for name in ("side by side", "anywhere") for number in "1234"
    ]
    assert [row[2] for row in rows[:4]] == ["4", "10", "18", "28"]
    assert rows[0][3:] == ["0%", "0%", "0%", "0.0%", "1.00 ×"]
    assert float(rows[3][-2].rstrip("%")) > 0


@pytest.mark.parametrize("seed", range(5))
def test_a_token_repeats_what_another_query_began_alike(seed: int) -> None:
    masks = np.random.default_rng(seed).random((6, 9)) < 0.15
    # A token's states depend on the marks up to itself: each distinct beginning is computed once.
    distinct = [len({tuple(mask[: end + 1]) for mask in masks}) for end in range(9)]
    assert sharing.repeated(masks).tolist() == [6 - number for number in distinct]


def test_tokens_are_shared_up_to_the_first_mark_that_differs() -> None:
    masks = np.zeros((3, 8), dtype=np.bool_)
    masks[1, 3:5] = masks[2, 3:6] = True
    assert sharing.repeated(masks).tolist() == [2, 2, 2, 1, 1, 0, 0, 0]


@pytest.mark.parametrize("name", ["gaze", "relation"])
def test_all_tokens_together_are_the_decoders_work(
    drawn: tuple[Manifest, dict[str, int]], name: str
) -> None:
    manifest, prompts = drawn
    found = sharing.work_by_token(manifest, TASKS[name], prompts[name])
    assert found.shape == (manifest.shape.tokens,)
    assert (np.diff(found) > 0).all()
    (query, *_) = frame_queries([TASKS[name]], 2)
    whole = frame_gemms(manifest, [query], prompts)
    card = manifest.card["products"]
    for graph in ("encoder", "connector"):
        for count, *gemm in card[graph]:
            whole[gemm[0], gemm[1], gemm[2]] -= count
    last = 0
    if name == "relation":  # what an answer computes at the last token alone
        rows = card["answer"]
        rows = rows[str(prompts[name])] if isinstance(rows, dict) else rows
        last = sum(2 * prod(row) for row in rows if row[1] != manifest.shape.tokens)
    assert found.sum() == pytest.approx(work(whole) - last)


def test_queries_with_the_same_boxes_need_one_pass(
    drawn: tuple[Manifest, dict[str, int]],
) -> None:
    manifest, prompts = drawn
    task = TASKS["gaze"]
    one, other = (Query(task, (person,), FULL, (Box(0.2, 0.2, 0.4, 0.4),)) for person in (1, 2))
    found = sharing.count(manifest, prompts, [one, other])
    assert found.tokens == {"gaze": 0.5}
    assert found.work == pytest.approx(
        1
        - work(frame_gemms(manifest, [one], prompts))
        / work(frame_gemms(manifest, [one, other], prompts))
    )
    face = Query(task, (2,), Box(0.0, 0.0, 0.5, 0.5), one.boxes)  # another view shares nothing
    assert sharing.count(manifest, prompts, [one, face]).work == 0


def test_people_who_stand_anywhere_are_asked_everything() -> None:
    queries = sharing.crowd([*TASKS.values()], 5, seed=3)
    asked = [query.task.name for query in queries]
    assert {name: asked.count(name) for name in TASKS} == {
        "expression": 5, "gesture": 5, "looking_at_me": 5, "gaze": 5, "domain": 6, "relation": 6,
    }  # fmt: skip
