"""Connected cameras, from the files in which Linux lists them."""

from pathlib import Path

import pytest

from sfedge_desktop.cameras import Camera, camera_number, cameras


def add_device(folder: Path, device: str, name: str, index: int) -> None:
    (folder / device).mkdir(parents=True)
    (folder / device / "name").write_text(f"{name}\n")
    (folder / device / "index").write_text(f"{index}\n")


def test_each_camera_is_listed_once_by_number(tmp_path: Path) -> None:
    add_device(tmp_path, "video10", "Desk camera", 0)
    add_device(tmp_path, "video0", "Built-in camera", 0)
    add_device(tmp_path, "video1", "Built-in camera", 1)  # its metadata
    (tmp_path / "video2").mkdir()  # unplugged while we look
    assert cameras(tmp_path) == [Camera(0, "Built-in camera"), Camera(10, "Desk camera")]


def test_no_camera_is_an_empty_list(tmp_path: Path) -> None:
    assert cameras(tmp_path / "none") == []


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", "0"),
        (" 12 ", "12"),
        ("3: Desk camera", "3"),
        ("07", "7"),
        ("", None),
        ("Desk camera 3", None),
        ("3D camera", None),
        ("-1", None),
    ],
)
def test_a_camera_is_chosen_by_the_number_in_front(text: str, number: str | None) -> None:
    assert camera_number(text) == number
