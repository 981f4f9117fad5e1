"""Pictures of single examples: what is chosen, what the sheets show, what the commands write."""

from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import PIL.Image
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from sfedge.core.boxes import Box
from sfedge.core.errors import DataError, OutputError, UnknownNameError, UsageError
from sfedge.core.tasks import TASKS
from sfedge_training.analysis.examples.choice import NEAR, Choice, Chosen, Example, choose
from sfedge_training.analysis.examples.example_answers import describe_answers, draw_answers
from sfedge_training.analysis.examples.example_gaze import draw_gaze
from sfedge_training.analysis.examples.examples_command import figure, tasks_with
from sfedge_training.analysis.examples.sheet import question
from sfedge_training.data.sample import DRAWN_MARK, Sample
from sfedge_training.drawings import write_drawings
from sfedge_training.loop.checkpoint import load_model, save_model
from sfedge_training.loop.evaluate import predict
from sfedge_training.loop.recipe import Recipe, dataset_tasks
from sfedge_training.loop.reports import load_datasets, samples_of
from sfedge_training.model.model_config import PRESETS
from sfedge_training.model.social_fusion import build_model

CPU = torch.device("cpu")
LABEL_TASKS = ("expression", "gesture", "looking_at_me", "domain", "relation")


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawings")
    write_drawings(folder, count=1, val=1, test=6, seed=0)
    (folder / DRAWN_MARK).write_text("{}\n")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "model"
    torch.manual_seed(0)
    save_model(folder, build_model(PRESETS["tiny"]), Recipe(), {})
    return folder


def run(*words: object) -> None:
    figure([str(word) for word in words], standalone_mode=False)


def samples(drawings: Path, task: str) -> list[Sample]:
    name = next(name for name, tasks in dataset_tasks().items() if task in tasks)
    found = samples_of(load_datasets(drawings, [name], "test"))
    return [sample for sample in found if sample.task == task]


def painted(folder: Path, width: int, height: int, **of: object) -> Sample:
    path = folder / f"{width}x{height}.png"
    PIL.Image.new("RGB", (width, height), (90, 120, 60)).save(path)
    return Sample(path, **of)  # type: ignore[arg-type]


def peak(column: int, row: int, value: float = 0.8) -> np.ndarray:
    heatmap = np.full((64, 64), 0.1, np.float32)
    heatmap[row, column] = value
    return heatmap


def sure(task: str, label: int, probability: float = 0.9) -> np.ndarray:
    others = len(TASKS[task].labels) - 1
    answer = np.full(others + 1, (1 - probability) / others)
    answer[label] = probability
    return answer


def chosen(*examples: Example, answered: int | None = None, of: int = 50) -> Chosen:
    return Chosen(
        task=examples[0].sample.task,
        examples=examples,
        answered=len(examples) if answered is None else answered,
        of=of,
    )


def panels(sheet: Figure) -> list[Axes]:
    return [axes for axes in sheet.axes if axes.images]


def drawn_boxes(axes: Axes) -> list[tuple[float, ...]]:
    found = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    return [(*box.get_xy(), box.get_width(), box.get_height()) for box in found]


def texts(sheet: Figure) -> str:
    from matplotlib.text import Text

    return " ".join(" ".join(t.get_text().split()) for t in sheet.findobj(Text))


def test_a_random_choice_is_the_same_for_the_same_seed_and_comes_with_the_models_answers(
    drawings: Path, model: Path
) -> None:
    network, _, _ = load_model(model)
    of = samples(drawings, "gesture")
    shown = choose(network, of, Choice(count=4, seed=1), device=CPU)
    again = choose(network, of, Choice(count=4, seed=1), device=CPU)
    fewer = choose(network, of, Choice(count=2, seed=1), device=CPU)
    others = [choose(network, of, Choice(count=4, seed=s), device=CPU) for s in (2, 3, 4)]

    keys = [example.sample.key for example in shown.examples]
    assert len(set(keys)) == 4
    assert keys == [example.sample.key for example in again.examples]
    assert keys[:2] == [example.sample.key for example in fewer.examples]
    assert any(keys != [example.sample.key for example in other.examples] for other in others)
    assert (shown.answered, shown.of) == (4, len(of))
    wanted = predict(network, [example.sample for example in shown.examples], device=CPU)
    np.testing.assert_allclose([example.answer for example in shown.examples], wanted, atol=1e-6)


def test_successes_are_the_first_right_answers_of_the_same_order(
    drawings: Path, model: Path
) -> None:
    network, _, _ = load_model(model)
    of = samples(drawings, "looking_at_me")
    order = choose(network, of, Choice(count=len(of), seed=5), device=CPU).examples
    right = [
        place
        for place, example in enumerate(order, start=1)
        if predict(network, [example.sample], device=CPU)[0].argmax() == example.sample.label
    ]
    assert 0 < len(right) < len(of)

    count = min(2, len(right))
    found = choose(network, of, Choice(count=count, seed=5, successes=True), device=CPU)

    keys = [order[place - 1].sample.key for place in right[:count]]
    assert [example.sample.key for example in found.examples] == keys
    assert found.answered == right[count - 1]
    assert f"{count} of the first {right[count - 1]} answers right" in str(found)
    with pytest.raises(UsageError, match=f"there are {len(right)} successes among {len(of)}"):
        choose(network, of, Choice(count=len(right) + 1, successes=True), device=CPU)


def test_a_task_of_a_users_own_is_shown_by_its_kind_of_output(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(TASKS, "reach", replace(TASKS["gaze"], name="reach"))
    assert tasks_with("heatmap") == ("gaze", "reach")
    assert tasks_with("label") == LABEL_TASKS


def test_a_gaze_is_a_success_near_any_annotator() -> None:
    points = ((0.25, 0.5), (0.9, 0.9))
    sample = Sample(Path("x.jpg"), "gaze", points=points)
    near, far = Example(sample, peak(20, 32)), Example(sample, peak(32, 32))
    assert near.nearest == pytest.approx(20 / 64 - 0.25)
    assert near.nearest <= NEAR < far.nearest
    assert (near.is_success, far.is_success) == (True, False)
    middle = np.mean(points, axis=0)
    assert near.mean == pytest.approx(np.linalg.norm(middle - [20 / 64, 0.5]))


def test_the_gaze_sheet_shows_points_box_heatmap_and_predicted_point(tmp_path: Path) -> None:
    points = ((0.25, 0.5), (0.3, 0.4))
    head_box = Box(0.5, 0.1, 0.75, 0.5)
    first = painted(tmp_path, 400, 200, task="gaze", boxes=(head_box,), points=points)
    second = painted(tmp_path, 100, 300, task="gaze", boxes=(head_box,), points=points[:1])
    answers = peak(16, 32), peak(48, 8, 0.4)
    shown = chosen(Example(first, answers[0]), Example(second, answers[1]))

    sheet = draw_gaze(shown, "Drawn at random.")

    upper, other, lower, last = panels(sheet)
    assert [axes.get_xlim() for axes in (upper, other)] == [(0, 400), (0, 100)]
    assert [axes.get_ylim() for axes in (lower, last)] == [(200, 0), (300, 0)]
    assert drawn_boxes(upper) == drawn_boxes(lower) == [(200, 20, 100, 80)]
    np.testing.assert_allclose(upper.lines[0].get_xydata(), [(100, 100), (120, 80)])
    np.testing.assert_allclose(lower.lines[0].get_xydata(), [(100, 100)])
    np.testing.assert_allclose(last.lines[0].get_xydata(), [(75, 37.5)])
    heat = lower.images[1]
    np.testing.assert_array_equal(heat.get_array(), answers[0])
    assert heat.get_extent() == [0, 400, 200, 0]
    assert lower.images[1].get_clim() == last.images[1].get_clim() == pytest.approx((0.0, 0.8))
    pale = np.asarray(lower.images[0].get_array())
    assert (pale == pale[..., :1]).all()
    assert pale.min() > 120
    assert lower.get_xlabel() == "off by 0.00 (nearest), 0.06 (mean)"
    assert last.get_xlabel() == f"off by {np.hypot(0.5, 0.375):.2f}"
    words = texts(sheet)
    for printed in ("Drawn at random.", "1 of the first 2 answers at most 0.1", "heatmap"):
        assert printed in words
    (legend,) = sheet.legends
    assert [text.get_text().split()[0] for text in legend.texts] == ["head", "an", "predicted"]


def test_the_answers_sheet_shows_the_view_with_its_boxes_and_both_labels(tmp_path: Path) -> None:
    pair = Box(0.0, 0.0, 0.25, 1.0), Box(0.5, 0.5, 1.0, 1.0)
    whole = painted(tmp_path, 200, 100, task="relation", boxes=pair, label=2)
    face = painted(
        tmp_path, 100, 80, task="gesture", view=Box(0.5, 0.25, 1.0, 1.0), label=18, key="a|b"
    )
    relations = chosen(
        Example(whole, sure("relation", 2)), Example(whole, sure("relation", 5, 0.456))
    )
    gestures = chosen(
        Example(face, sure("gesture", 18)), Example(face, sure("gesture", 13, 1.0)), answered=9
    )

    sheet = draw_answers([gestures, relations], "Drawn at random.")

    first, second, third, fourth = panels(sheet)
    titles = [axes.get_title() for axes in (first, second, third, fourth)]
    assert titles == ["✓ right", "✗ wrong", "✓ right", "✗ wrong"]
    captions = [" ".join(axes.get_xlabel().split()) for axes in (first, second, third, fourth)]
    assert captions == [
        "model: two_up_inverted (s), 90 % truth: two_up_inverted (s)",
        "model: peace_inverted (n), 100 % truth: two_up_inverted (s)",
        "model: couple (c), 90 % truth: couple (c)",
        "model: no_relation (f), 46 % truth: couple (c)",
    ]
    assert first.get_xlim() == (0, 50)
    assert first.get_ylim() == (60, 0)
    assert drawn_boxes(first) == []
    assert drawn_boxes(third) == [(0, 0, 50, 100), (100, 50, 100, 50)]
    styles = {patch.get_linestyle() for patch in third.patches}
    assert len(styles) == 2  # the boxes are distinguished without colour
    words = texts(sheet)
    assert "gesture: 1 of the first 9 answers right (samples in the split: 50)." in words
    assert "relation: 1 of the first 2 answers right" in words
    assert "You must identify the gesture this person is performing." in words
    printed = describe_answers([gestures, relations], tmp_path)
    assert TASKS["relation"].prompt.splitlines()[0] in printed
    assert (
        "| 100x80.png | a\\|b | peace_inverted (n) | 1.0000 | two_up_inverted (s) | ✗ wrong |"
        in printed
    )


@pytest.mark.parametrize("task", TASKS)
def test_the_question_of_a_prompt_stands_in_it(task: str) -> None:
    sentence = question(task).strip("“”… ")
    assert sentence in TASKS[task].prompt
    assert sentence.startswith(("You must", "Your task is"))


@pytest.mark.parametrize(
    "sizes",
    [[(600, 40)], [(30, 500)], [(600, 40), (30, 500), (80, 80)], [(90, 60)] * 2, [(90, 60)] * 7],
)
def test_panels_of_any_shape_stay_whole_and_texts_apart(
    sizes: list[tuple[int, int]], tmp_path: Path
) -> None:
    box = Box(0.2, 0.2, 0.4, 0.4)
    gazes = [
        painted(tmp_path, *size, task="gaze", boxes=(box,), points=((0.5, 0.5), (1.0, 1.0)))
        for size in sizes
    ]
    hands = [painted(tmp_path, *size, task="gesture", label=18) for size in sizes]
    long = [Example(hand, sure("gesture", 26, 1.0)) for hand in hands]
    head = str(Choice(count=len(sizes), successes=True))
    sheets = [
        draw_gaze(chosen(*(Example(gaze, peak(5, 60)) for gaze in gazes)), head),
        draw_answers([chosen(*long), chosen(*long)], head),
    ]
    for sheet in sheets:
        sheet.draw_without_rendering()
        whole = sheet.bbox
        shown = panels(sheet)
        words = [text for axes in shown for text in (axes.xaxis.label, axes.title)]
        spots = [text.get_window_extent() for text in words if text.get_text()]
        heads = [part._suptitle.get_window_extent() for part in (sheet, *sheet.subfigs)]  # type: ignore[attr-defined]
        legends = [legend.get_window_extent() for legend in sheet.legends]
        for spot in spots + heads + legends:
            assert whole.x0 <= spot.x0
            assert spot.x1 <= whole.x1
            assert whole.y0 <= spot.y0
            assert spot.y1 <= whole.y1
        places = [axes.get_window_extent() for axes in shown]
        apart = spots + heads + legends + places
        for place, one in enumerate(apart):
            assert not any(one.overlaps(other) for other in apart[place + 1 :])
        for axes, spot in zip(shown, places, strict=True):
            (x1, x2), (y2, y1) = axes.get_xlim(), axes.get_ylim()
            assert spot.height / spot.width == pytest.approx((y2 - y1) / (x2 - x1), rel=0.01)
            assert max(spot.width, spot.height) > 0.9 * sheet.dpi


def test_the_gaze_command_writes_a_picture_and_its_text(
    model: Path, drawings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "gaze.png"
    run("gaze", model, drawings, "--out", out, "--count", 2)

    assert sorted(path.name for path in out.parent.iterdir()) == ["gaze.md", "gaze.png"]
    assert str(out) in capsys.readouterr().out
    with PIL.Image.open(out) as picture:
        picture.load()
        assert min(picture.size) > 800
    printed = out.with_suffix(".md").read_text(encoding="utf-8")
    assert TASKS["gaze"].prompt in printed
    assert "Drawn at random from the test split (seed 0)." in printed
    assert "on gazefollow (drawings)." in printed
    assert "![the picture](gaze.png)" in printed
    rows = [line for line in printed.splitlines() if line.startswith("| gazefollow/")]
    assert len(rows) == 2
    assert all((drawings / row.split(" | ")[0].removeprefix("| ")).is_file() for row in rows)


def test_the_answers_command_shows_every_task_and_says_when_it_shows_successes_alone(
    model: Path, drawings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheets: list[Figure] = []
    saved = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda f, *a, **k: (sheets.append(f), saved(f, *a, **k)))
    out = tmp_path / "answers.svg"
    words = ("answers", model, drawings, "--out", out, "--datasets", "ego4d_lam,pisc")

    run(*words, "--count", 3)
    run(*words, "--count", 1, "--successes")

    for sheet, count in zip(sheets, (3, 1), strict=True):
        assert len(panels(sheet)) == 3 * count
        for task in ("looking_at_me", "domain", "relation"):
            assert f"{task}: " in texts(sheet)
    assert "Drawn at random" in texts(sheets[0])
    assert "Successes alone, not representative of the model" in texts(sheets[1])
    assert {axes.get_title() for axes in panels(sheets[1])} == {"✓ right"}
    assert out.read_text(encoding="utf-8").startswith("<?xml")
    printed = out.with_suffix(".md").read_text(encoding="utf-8")
    assert "not representative" in printed
    assert printed.count("✓ right") == 3


def test_without_datasets_those_of_the_model_are_read(
    model: Path, drawings: Path, tmp_path: Path
) -> None:
    run("answers", model, drawings, "--out", tmp_path / "a.png", "--count", 1)
    printed = (tmp_path / "a.md").read_text(encoding="utf-8")
    assert [line[3:] for line in printed.splitlines() if line.startswith("## ")] == [*LABEL_TASKS]


def test_own_pictures_show_the_tasks_that_the_model_was_taught(tmp_path: Path) -> None:
    root = tmp_path / "data" / "folder"
    root.mkdir(parents=True)
    PIL.Image.new("RGB", (90, 60), (200, 50, 50)).save(root / "a.png")
    (root / "labels.csv").write_text(
        "picture,task,label,split\na.png,expression,fear,test\na.png,gesture,fist,test\n"
    )
    recipe = Recipe(datasets=("folder",), own_tasks=("expression",))
    save_model(tmp_path / "model", build_model(PRESETS["tiny"]), recipe, {})
    out = tmp_path / "own.png"
    run("answers", tmp_path / "model", tmp_path / "data", "--out", out, "--count", 1)
    printed = out.with_suffix(".md").read_text(encoding="utf-8")
    assert "folder/a.png" in printed
    assert "fear (e)" in printed
    assert "## gesture" not in printed


def test_a_model_without_the_task_is_refused(drawings: Path, tmp_path: Path) -> None:
    for name, datasets, problem in (
        ("gaze", ("affectnet",), "not trained on gaze"),
        ("answers", ("gazefollow",), "not trained on expression or gesture"),
    ):
        folder = tmp_path / name
        save_model(folder, build_model(PRESETS["tiny"]), Recipe(datasets=datasets), {})
        with pytest.raises(UsageError, match=problem):
            run(name, folder, drawings, "--out", tmp_path / "x.png")
    assert not (tmp_path / "x.png").exists()


def test_data_or_words_that_do_not_fit_are_reported(
    model: Path, drawings: Path, tmp_path: Path
) -> None:
    out = ("--out", tmp_path / "x.png")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="gazefollow"):
        run("gaze", model, empty, *out)
    with pytest.raises(DataError, match="the test split has no sample of gaze"):
        run("gaze", model, drawings, "--datasets", "affectnet", *out)
    with pytest.raises(UsageError, match=r"99 are asked for, there are \d+ samples of gaze"):
        run("gaze", model, drawings, "--count", 99, *out)
    with pytest.raises(UnknownNameError, match="gazefolow"):
        run("gaze", model, drawings, "--datasets", "gazefolow", *out)
    with pytest.raises(UsageError, match=r"\.png, \.pdf, \.svg"):
        run("gaze", model, drawings, "--out", tmp_path / "x.bmp")
    with pytest.raises(click.BadParameter):
        run("gaze", model, drawings, "--count", 0, *out)
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_a_picture_that_cannot_be_written_leaves_the_old_one(
    model: Path, drawings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "gaze.png"
    out.write_text("old")

    def broken(sheet: Figure, path: Path, **_: object) -> None:
        path.write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", broken)
    with pytest.raises(OutputError, match="disk full"):
        run("gaze", model, drawings, "--out", out, "--count", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["gaze.png"]
    assert out.read_text() == "old"
