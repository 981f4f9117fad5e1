"""System libraries that the Python packages need, and the Debian packages that bring them."""

import ctypes
import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Library:
    """A shared library of the system."""

    name: str  # as the loader looks for it
    package: str  # of Debian and Ubuntu
    user: str  # the distribution that needs it
    sign: str  # what an error message about its absence contains


LIBRARIES = (
    Library("libGL.so.1", "libgl1", "opencv-contrib-python", "libGL.so"),
    Library("libglib-2.0.so.0", "libglib2.0-0", "opencv-contrib-python", "libglib-2.0"),
    Library("libgthread-2.0.so.0", "libglib2.0-0", "opencv-contrib-python", "libgthread-2.0"),
    Library("libEGL.so.1", "libegl1", "mediapipe", "libEGL.so"),
    Library("libGLESv2.so.2", "libgles2", "mediapipe", "libGLESv2.so"),
    Library("libxcb-cursor.so.0", "libxcb-cursor0", "PyQt6", "xcb-cursor"),
)
# Asked for by name, so that it shows only in a message: mediapipe can do without it.
_PORTAUDIO = Library("libportaudio.so.2", "libportaudio2", "mediapipe", "PortAudio")


def missing_libraries(users: set[str]) -> list[Library]:
    """Libraries that one of the given distributions needs and that do not load; Linux only."""
    if not sys.platform.startswith("linux"):
        return []
    return [lib for lib in LIBRARIES if lib.user in users and not _loads(lib.name)]


def advice(error: BaseException) -> str:
    """What to install where a failed import tells of a missing library; "" where it does not."""
    text = str(error)
    packages = {lib.package for lib in (*LIBRARIES, _PORTAUDIO) if lib.sign in text}
    return install_line(packages) if packages else ""


def install_line(packages: set[str]) -> str:
    """The command that installs Debian packages, as a sentence."""
    return f"Run: sudo apt install {' '.join(sorted(packages))}."


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True
