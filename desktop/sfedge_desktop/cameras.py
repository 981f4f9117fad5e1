"""Which cameras are connected, found without opening one."""

import re
from dataclasses import dataclass
from pathlib import Path

_DEVICES = Path("/sys/class/video4linux")  # Linux; elsewhere nothing is listed


@dataclass(frozen=True, slots=True)
class Camera:
    """A connected camera."""

    number: int  # as a source is called
    name: str


def cameras(devices: Path = _DEVICES) -> list[Camera]:
    """The cameras that Linux knows, by number; none on other systems.

    A camera has several devices: the first gives pictures, others their metadata.
    """
    found = []
    for device in devices.glob("video*"):
        number = device.name.removeprefix("video")
        try:
            is_first = (device / "index").read_text().strip() == "0"
            name = (device / "name").read_text(errors="replace").strip()
        except OSError:  # just unplugged
            continue
        if number.isdecimal() and is_first:
            found.append(Camera(int(number), name))
    return sorted(found, key=lambda camera: camera.number)


def camera_number(text: str) -> str | None:
    """The number that a line such as "2: Webcam" begins with; None if it begins otherwise."""
    match = re.match(r"\s*(\d+)\s*(:|$)", text)
    return str(int(match[1])) if match else None
