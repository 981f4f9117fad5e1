import numpy as np
import PIL.Image
import pytest

from sfedge.core.tasks import TASKS
from sfedge.scoring.confusion_picture import draw_confusion

WHITE = (255, 255, 255)


def inner_colour(picture: PIL.Image.Image, row: int, column: int, classes: int) -> tuple[int, ...]:
    """The colour in the upper left of a cell, found by the frames around the cells.

    The column `classes` stands in a frame of its own.
    """
    pixels = np.asarray(picture)
    grey = (pixels == 120).all(axis=2)
    edges = np.flatnonzero(grey.sum(axis=0) > grey.shape[0] // 3)
    top, bottom = np.flatnonzero(grey.sum(axis=1) > grey.shape[1] // 3)[[0, -1]]
    left, right, none, end = edges[[0, 1, -2, -1]]
    cell = (right - left) // classes
    assert (right - left, bottom - top, end - none) == (cell * classes, cell * classes, cell)
    x = none if column == classes else left + column * cell
    return tuple(int(v) for v in pixels[top + row * cell + 3, x + 3])


def test_cells_are_filled_by_their_share_of_the_row_right_ones_in_another_colour() -> None:
    table = np.array([[8, 2, 0, 0], [0, 0, 4, 1], [0, 0, 0, 0]])
    picture = draw_confusion(table, ("a", "b", "c"), "t")
    colours = {at: inner_colour(picture, *at, 3) for at in np.ndindex(3, 4)}
    assert {at for at, colour in colours.items() if colour == WHITE} == {
        at for at in colours if not table[at]
    }
    red, _, blue = colours[0, 0]
    assert blue > red  # right is blue
    for at in ((1, 2), (1, 3)):
        assert colours[at][0] > colours[at][2]  # wrong and unanswered are orange
    assert sum(colours[0, 1]) > sum(colours[1, 2])  # a fifth of a row is paler than most of it


@pytest.mark.parametrize("task", ["gesture", "looking_at_me"])
@pytest.mark.parametrize("most", [0, 1, 7, 1_234_567])
def test_no_text_leaves_the_picture(task: str, most: int) -> None:
    labels = TASKS[task].labels
    table = np.full((len(labels), len(labels) + 1), most)
    picture = draw_confusion(table, labels, "a title that is longer than a table of two classes")
    pixels = np.asarray(picture)
    for edge in (pixels[:3], pixels[-3:], pixels[:, :3], pixels[:, -3:]):
        assert (edge == 255).all()
    assert picture.width < 2000
