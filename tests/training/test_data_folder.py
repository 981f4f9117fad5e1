"""A user's own pictures: what the table may say, what it may not, and what is trained on."""

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sfedge.core.boxes import FULL, Box, with_margin
from sfedge.core.errors import ConfigError, DataError, UnknownNameError
from sfedge.core.tasks import TASKS
from sfedge_training.data import LOADERS
from sfedge_training.data import labelled_folder as folder
from sfedge_training.data.sample import Dataset, Sample, Split
from sfedge_training.data.sample_picture import read_picture
from sfedge_training.loop.recipe import PAPER_DATASETS, Recipe, recipe_from_json

_SPLITS: tuple[Split, ...] = ("train", "val", "test")
_TWO = ("expression,fear", "gesture,ok")


@pytest.fixture
def root(tmp_path: Path, astronaut: NDArray) -> Path:
    """A folder with a few pictures of 200 x 100 pixels."""
    picture = PIL.Image.fromarray(astronaut).resize((200, 100))
    for name in ("a.jpg", "b.jpg", "c d.jpg", "deep/e.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        picture.save(path)
    return tmp_path


def _table(root: Path, *lines: str, encoding: str = "utf-8") -> Path:
    (root / "labels.csv").write_text("\n".join(lines) + "\n", encoding=encoding)
    return root


def _train(root: Path, header: str, *lines: str) -> Dataset:
    """The rows, all for training."""
    return folder.load(_table(root, f"split,{header}", *(f"train,{one}" for one in lines)), "train")


def test_a_row_is_a_picture_a_task_and_a_label(root: Path) -> None:
    dataset = _train(root, "picture,task,label", "a.jpg,expression,surprise", "c d.jpg,gesture,ok")
    first, second = dataset.samples
    assert (first.task, TASKS["expression"].labels[first.label or 0]) == ("expression", "surprise")
    assert (first.view, first.boxes, first.size) == (FULL, (), (200, 100))
    assert second.image == root / "c d.jpg"
    assert dataset.report.kept == {("expression", "surprise"): 1, ("gesture", "ok"): 1}
    assert read_picture(first).shape == (100, 200, 3)


@pytest.mark.parametrize("label", ["No relation", "no-relation", " NO_RELATION "])
def test_case_blanks_and_hyphens_of_labels_are_forgiven(root: Path, label: str) -> None:
    header = "picture,task,label,x1,y1,x2,y2,other_x1,other_y1,other_x2,other_y2"
    (sample,) = _train(root, header, f"a.jpg,domain,{label},0,0,.5,1,.5,0,1,1").samples
    assert TASKS["domain"].labels[sample.label or 0] == "no_relation"
    assert sample.boxes == (Box(0, 0, 0.5, 1), Box(0.5, 0, 1, 1))
    assert sample.view == FULL


@pytest.mark.parametrize(
    ("view", "shown"),
    [
        ("", with_margin(Box(0.2, 0.2, 0.4, 0.6), TASKS["expression"].margin)),
        ("box", Box(0.2, 0.2, 0.4, 0.6)),
        ("picture", FULL),
    ],
)
def test_a_box_is_shown_as_at_run_time_or_as_the_row_wants_it(
    root: Path, view: str, shown: Box
) -> None:
    header = "picture,task,label,x1,y1,x2,y2,view"
    (sample,) = _train(root, header, f"a.jpg,expression,fear,.2,.2,.4,.6,{view}").samples
    assert (sample.view, sample.boxes) == (shown, ())


def test_pixels_and_fractions_are_distinguished_by_the_columns_name(root: Path) -> None:
    header = "picture,task,gaze_x,gaze_y,gaze_x_px,gaze_y_px,x1,y1,x2,y2,x1_px,y1_px,x2_px,y2_px"
    dataset = _train(
        root,
        header,
        "a.jpg,gaze,.5,.25,,,.1,.1,.3,.5,,,,",
        "a.jpg,gaze,,,100,25,,,,,20,10,60,50",
    )
    first, second = dataset.samples
    assert first.points == second.points == ((0.5, 0.25),)
    assert first.boxes == second.boxes == (Box(0.1, 0.1, 0.3, 0.5),)


def test_pictures_of_a_phone_are_meant_upright(root: Path, astronaut: NDArray) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    PIL.Image.fromarray(astronaut).resize((100, 200)).save(root / "phone.jpg", exif=exif)
    header = "picture,task,gaze_x_px,gaze_y_px,x1_px,y1_px,x2_px,y2_px"
    (sample,) = _train(root, header, "phone.jpg,gaze,150,50,0,0,100,100").samples
    assert sample.size == (200, 100)
    assert (sample.points, sample.boxes) == (((0.75, 0.5),), (Box(0, 0, 0.5, 1),))
    assert read_picture(sample).shape == (100, 200, 3)


def test_boxes_and_points_are_mended_and_counted_as_in_the_other_datasets(root: Path) -> None:
    header = "picture,task,gaze_x,gaze_y,x1,y1,x2,y2"
    dataset = _train(root, header, "a.jpg,gaze,1.01,.5,.3,.5,.1,.1", "b.jpg,gaze,.5,.5,-.1,0,.3,1")
    assert [sample.boxes for sample in dataset.samples] == [
        (Box(0.1, 0.1, 0.3, 0.5),), (Box(0, 0, 0.3, 1),),
    ]  # fmt: skip
    assert dataset.samples[0].points == ((1.0, 0.5),)
    assert dataset.report.repaired == {
        "box was inverted": 1,
        "box left the picture": 1,
        "gaze point left the picture": 1,
    }


def test_missing_and_broken_pictures_are_lost_and_reported_with_their_line(root: Path) -> None:
    (root / "b.jpg").write_bytes(b"no picture")
    rows = [f"{name},expression,fear" for name in ("a.jpg", "gone.jpg", "b.jpg", "deep/e.png")]
    dataset = _train(root, "picture,task,label", *rows)
    assert [sample.key for sample in dataset.samples] == ["a.jpg#2", "deep/e.png#5"]
    assert dataset.report.lost == {"picture is missing": 1, "picture cannot be read": 1}
    assert dataset.report.examples["picture is missing"].endswith("labels.csv:3: gone.jpg")


def test_what_cannot_be_learned_is_left_out_and_counted(root: Path) -> None:
    header = "picture,task,label,x1,y1,x2,y2,gaze_x,gaze_y"
    dataset = _train(
        root,
        header,
        "a.jpg,expression,unclear,,,,,,",
        "b.jpg,gaze,outside,.1,.1,.2,.2,,",
        "c d.jpg,expression,fear,,,,,,",
    )
    assert [sample.key for sample in dataset.samples] == ["c d.jpg#4"]
    assert dataset.report.dropped == {
        "label is unclear": 1,
        "gaze target is outside the picture": 1,
    }


def test_columns_named_after_tasks_and_columns_of_ones_own_are_read(root: Path) -> None:
    dataset = _train(root, "file,expression,looking_at_me,age", "a.jpg,fear,yes,20", "b.jpg,,no,30")
    named = {(s.key, TASKS[s.task].labels[s.label or 0]) for s in dataset.samples}
    assert named == {
        ("a.jpg#2", "fear"),
        ("a.jpg#2", "looking"),
        ("b.jpg#3", "not_looking"),
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.jpg,gesture,no_hand", "has no label 'no_hand'"),
        ("a.jpg,gesture,thumbs_index", r"no label 'thumbs_index' \(did you mean 'thumb_index'"),
        ("a.jpg,expression,gesture", "no label 'gesture'.*known: neutral, happiness"),
        ("a.jpg,expresion,fear", "no task is called 'expresion'.*'expression'"),
        ("a.jpg,expression,", "wants a label"),
        (",expression,fear", "picture '' is no file"),
        ("/etc/passwd,expression,fear", "no file below"),
        ("../a.jpg,expression,fear", "no file below"),
        ("a.jpg,gaze,fear,.1,.1,.2,.2,,,,,.5,.5", "a point, no label"),
        ("a.jpg,gaze,,.1,.1,.2,.2", "wants gaze_x and gaze_y"),
        ("a.jpg,gaze,,,,,,,,,,.5,.5", "wants 1 boxed people"),
        ("a.jpg,gaze,,.1,.1,.2,.2,,,,,.5,", "gaze_y is empty"),
        ("a.jpg,gaze,,.1,.1,.2,.2,,,,,9,.5", "far outside|pixels stand in gaze_x_px"),
        ("a.jpg,gaze,,.1,.1,.2,.2,,,,,1.9,.5", "far outside"),
        ("a.jpg,expression,fear,,,,,,,,,.5,.5", "has a label, no gaze point"),
        ("a.jpg,domain,intimate,.1,.1,.2,.2", "wants 2 boxed people"),
        ("a.jpg,expression,fear,.1,.1,.2,.2,.3,.3,.4,.4", "about one person"),
        ("a.jpg,expression,fear,20,10,60,50", "no fractions; pixels stand in x1_px"),
        ("a.jpg,expression,fear,.1,.1,.2,", "y2 is empty"),
        ("a.jpg,expression,fear,.1,.1,.2,nan", "'nan' is not a finite number"),
        ("a.jpg,expression,fear,.1,.1,.1,.5", "is empty or lies outside"),
        ("a.jpg,expression,fear,1.1,.1,1.2,.5", "is empty or lies outside"),
        ("a.jpg,expression,fear,,,,,,,,,,,crop", "view 'crop'"),
        ("a.jpg,expression,fear,,,,,,,,,,,box", "wants a box"),
        ("a.jpg,gaze,,.1,.1,.2,.2,,,,,.5,.5,box", "always sees the whole picture"),
        ("a.jpg,expression,fear,,,,,,,,,,,,training", "split is called 'training'.*'train'"),
        ("a.jpg,expression,fear,,,,,,,,,,,,,", "16 fields, the header has 15"),
    ],
)
def test_a_wrong_row_is_an_error_with_its_line(root: Path, line: str, message: str) -> None:
    other = "other_x1,other_y1,other_x2,other_y2"
    header = f"picture,task,label,x1,y1,x2,y2,{other},gaze_x,gaze_y,view,split"
    fields = [*line.split(","), *[""] * header.count(",")][: max(line.count(","), 14) + 1]
    fields[14] = fields[14] or "train"
    _table(root, header, f"b.jpg,expression,fear{',' * 12}train", ",".join(fields))
    with pytest.raises(DataError, match=rf"labels\.csv: line 3: .*({message})"):
        folder.load(root, "train")


def test_all_wrong_rows_are_reported_at_once(root: Path) -> None:
    lines = [f"a.jpg,expression,wrong{n}" for n in range(9)]
    with pytest.raises(
        DataError, match=r"line 2: .*; line 6: .*; and 4 more\. docs/own-data"
    ) as met:
        folder.load(_table(root, "picture,task,label", *lines), "train")
    assert "line 7" not in str(met.value)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["picture,task,lable"],
            r"labels\.csv:1: column 'lable' is unknown \(did you mean 'label'",
        ),
        (["file;task;label"], "is unknown.*column 'picture' is missing"),
        (["picture,label"], "column 'task' is missing"),
        (["picture,task,label,label"], "column 'label' is a duplicate"),
        (["picture,task,label", "", " , ,"], "has no row"),
        ([""], "column 'picture' is missing"),
    ],
)
def test_a_wrong_table_is_an_error_that_names_the_column(
    root: Path, lines: list[str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        folder.load(_table(root, *lines), "train")


def test_a_missing_table_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"labels\.csv is missing"):
        folder.load(tmp_path, "train")


def test_a_table_as_spreadsheets_save_it_is_read(root: Path) -> None:
    lines = ['picture,task,label\r\n"a.jpg",expression,fear\r\n,,\r\n']
    (root / "labels.csv").write_text("".join(lines), encoding="utf-8-sig", newline="")
    assert sum(len(folder.load(root, split).samples) for split in _SPLITS) == 1


def test_rows_that_repeat_are_taken_once_and_contradictions_refused(root: Path) -> None:
    rows = ["a.jpg,expression,fear", "a.jpg,expression,Fear", "a.jpg,gesture,ok"]
    dataset = _train(root, "picture,task,label", *rows)
    assert [sample.key for sample in dataset.samples] == ["a.jpg#2", "a.jpg#4"]
    assert dataset.report.dropped == {"row repeats an earlier one": 1}
    with pytest.raises(DataError, match="line 3: the label contradicts that of line 2"):
        _train(root, "picture,task,label", "a.jpg,expression,fear", "a.jpg,expression,anger")


@pytest.mark.parametrize(("split", "points"), [("train", [1, 1, 1]), ("test", [2, 1])])
def test_annotators_of_one_gaze_are_joined_except_for_training(
    root: Path, split: Split, points: Sequence[int]
) -> None:
    rows = [
        f"{split},a.jpg,gaze,{x},.5,{left},.1,.4,.5" for x, left in ((0.5, 0), (0.6, 0), (0.7, 0.1))
    ]
    _table(root, "split,picture,task,gaze_x,gaze_y,x1,y1,x2,y2", *rows)
    samples = folder.load(root, split).samples
    assert [len(sample.points) for sample in samples] == points
    assert samples[0].points[0] == (0.5, 0.5)


def test_splits_of_the_table_are_kept_and_must_stand_in_all_rows(root: Path) -> None:
    rows = ["a.jpg,expression,fear,val", "b.jpg,expression,fear,test"]
    _table(root, "picture,task,label,split", *rows)
    found = {split: [s.image.name for s in folder.load(root, split).samples] for split in _SPLITS}
    assert found == {"train": [], "val": ["a.jpg"], "test": ["b.jpg"]}
    _table(root, "picture,task,label,split", "a.jpg,expression,fear,val", "b.jpg,expression,fear,")
    with pytest.raises(DataError, match="line 3: no split is given"):
        folder.load(root, "train")


def _groups(root: Path, rows: Sequence[tuple[str, str]]) -> dict[Split, list[str]]:
    """The groups of each split's samples, of rows with a picture and a group each."""
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (2, 2)).save(buffer, "png")
    for name, _ in rows:
        (root / name).write_bytes(buffer.getvalue())
    _table(root, "picture,group,task,label", *(f"{n},{g},gesture,ok" for n, g in rows))
    return {split: [s.group for s in folder.load(root, split).samples] for split in _SPLITS}


@settings(max_examples=20)
@given(st.integers(1, 30))
def test_groups_stay_whole_and_every_split_gets_some(
    tmp_path_factory: pytest.TempPathFactory, count: int
) -> None:
    rows = [(f"{n}-{side}.png", f"person {n}") for n in range(count) for side in ("left", "right")]
    found = _groups(tmp_path_factory.mktemp("groups"), rows)
    assert sorted(group for groups in found.values() for group in groups) == sorted(
        group for _, group in rows
    )
    train, val, test = (set(groups) for groups in found.values())
    assert not train & val | train & test | val & test
    assert len(train) >= max(len(val), len(test), 1)
    assert count < 3 or min(len(val), len(test)) >= 1


def test_the_order_of_the_rows_decides_nothing(tmp_path: Path) -> None:
    rows = [(f"{n}.png", f"person {n % 12}") for n in range(30)]
    first, second = _groups(tmp_path, rows), _groups(tmp_path, rows[::-1])
    assert {split: sorted(groups) for split, groups in first.items()} == {
        split: sorted(groups) for split, groups in second.items()
    }


def test_without_a_group_a_picture_is_one(root: Path) -> None:
    rows = [f"{name},{task}" for name in ("a.jpg", "b.jpg", "c d.jpg") for task in _TWO]
    _table(root, "picture,task,label", *rows)
    found = [folder.load(root, split).samples for split in _SPLITS]
    assert [len({sample.image for sample in samples}) for samples in found] == [1, 1, 1]
    assert [len(samples) for samples in found] == [2, 2, 2]


def test_the_tasks_that_occur_are_those_that_are_trained(root: Path) -> None:
    rows = ["a.jpg,gesture,ok", "b.jpg,expression,fear", "deep/e.png,gesture,fist"]
    samples = _train(root, "picture,task,label", *rows).samples
    assert folder.tasks_in(samples) == ("expression", "gesture")
    recipe = Recipe(datasets=("folder",), own_tasks=folder.tasks_in(samples))
    assert recipe.tasks == ("expression", "gesture")
    assert recipe_from_json(recipe.to_json()) == recipe


def test_own_pictures_beside_a_dataset_teach_each_task_once() -> None:
    recipe = Recipe(datasets=("pisc", "folder", "affectnet"), own_tasks=("relation", "gaze"))
    assert recipe.tasks == ("domain", "relation", "gaze", "expression")


def test_own_tasks_must_exist_and_belong_to_own_pictures() -> None:
    with pytest.raises(ConfigError, match="own tasks without the dataset 'folder'"):
        Recipe(own_tasks=("gaze",))
    with pytest.raises(UnknownNameError, match="gesture"):
        Recipe(datasets=("folder",), own_tasks=("gestures",))
    with pytest.raises(UnknownNameError, match="Did you mean 'folder'"):
        Recipe(datasets=("folders",))


def test_a_recipe_that_was_stored_before_own_pictures_can_be_read() -> None:
    stored = Recipe().to_json()
    del stored["own_tasks"]
    assert recipe_from_json(stored) == Recipe()
    assert Recipe().datasets == PAPER_DATASETS
    assert "folder" in LOADERS


def test_samples_know_where_they_stand_in_the_table(root: Path) -> None:
    samples = _train(root, "picture,task,label,group", "deep/e.png,gesture,ok,me").samples
    assert [(s.key, s.group) for s in samples] == [("deep/e.png#2", "me")]
    assert isinstance(samples[0], Sample)


def test_pseudo_labels_are_for_training_alone(root: Path) -> None:
    lines = (
        "a.jpg,expression,fear,train,network",
        "b.jpg,expression,fear,val,network",
        "b.jpg,expression,anger,val,",
        "c d.jpg,expression,fear,test,blendshapes",
        "c d.jpg,expression,anger,test,",
    )
    _table(root, "picture,task,label,split,label_source", *lines)
    loaded = {split: folder.load(root, split) for split in _SPLITS}
    named = TASKS["expression"].labels
    kept = {split: [named[s.label or 0] for s in of.samples] for split, of in loaded.items()}
    assert kept == {"train": ["fear"], "val": ["anger"], "test": ["anger"]}
    assert [sum(of.report.dropped.values()) for of in loaded.values()] == [0, 1, 1]


def test_a_row_says_how_often_it_is_drawn(root: Path) -> None:
    lines = ("a.jpg,gesture,ok,2.5", "b.jpg,gesture,ok,")
    samples = _train(root, "picture,task,label,weight", *lines).samples
    assert [sample.weight for sample in samples] == [2.5, 1.0]


@pytest.mark.parametrize("weight", ["0", "-1", "1001", "often", "nan"])
def test_a_weight_that_is_none_is_named_with_its_line(root: Path, weight: str) -> None:
    with pytest.raises(DataError, match="line 2: weight"):
        _train(root, "picture,task,label,weight", f"a.jpg,gesture,ok,{weight}")


def test_hands_without_a_gesture_wait_for_a_task_that_has_this_answer(root: Path) -> None:
    dataset = _train(root, "picture,task,label", "a.jpg,gesture,no_gesture", "b.jpg,gesture,ok")
    assert [sample.image.name for sample in dataset.samples] == ["b.jpg"]
    assert sum(dataset.report.dropped.values()) == 1
    with pytest.raises(DataError, match="no_gesture"):
        _train(root, "picture,task,label", "a.jpg,expression,no_gesture")


def test_a_task_about_hands_sees_the_square_that_a_run_shows(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = replace(TASKS["gesture"], view="hand", margin=0.25)
    monkeypatch.setitem(TASKS, "gesture", own)  # type: ignore[arg-type]
    header = "picture,task,label,x1_px,y1_px,x2_px,y2_px"
    (sample,) = _train(root, header, "a.jpg,gesture,ok,80,40,100,60").samples
    view = sample.view  # of 200 x 100 pixels: 20, and a quarter of it on each side
    corners = (200 * view.x1, 100 * view.y1, 200 * view.x2, 100 * view.y2)
    assert corners == pytest.approx((75, 35, 105, 65))
