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
    Library("libEGL.so.1", "libegl1", "PyQt6", "libEGL.so"),
    Library("libGL.so.1", "libgl1", "PyQt6", "libGL.so"),
    Library("libglib-2.0.so.0", "libglib2.0-0", "PyQt6", "libglib-2.0"),
    Library("libgthread-2.0.so.0", "libglib2.0-0", "PyQt6", "libgthread-2.0"),
    Library("libxcb.so.1", "libxcb1", "PyQt6", "libxcb.so"),
    Library("libdbus-1.so.3", "libdbus-1-3", "PyQt6", "libdbus-1"),
    Library("libfontconfig.so.1", "libfontconfig1", "PyQt6", "libfontconfig"),
    Library("libxkbcommon.so.0", "libxkbcommon0", "PyQt6", "libxkbcommon.so"),
    Library("libxkbcommon-x11.so.0", "libxkbcommon-x11-0", "PyQt6", "libxkbcommon-x11"),
    Library("libX11-xcb.so.1", "libx11-xcb1", "PyQt6", "libX11-xcb"),
    Library("libxcb-cursor.so.0", "libxcb-cursor0", "PyQt6", "xcb-cursor"),
    Library("libxcb-icccm.so.4", "libxcb-icccm4", "PyQt6", "libxcb-icccm"),
    Library("libxcb-image.so.0", "libxcb-image0", "PyQt6", "libxcb-image"),
    Library("libxcb-keysyms.so.1", "libxcb-keysyms1", "PyQt6", "libxcb-keysyms"),
    Library("libxcb-randr.so.0", "libxcb-randr0", "PyQt6", "libxcb-randr"),
    Library("libxcb-render-util.so.0", "libxcb-render-util0", "PyQt6", "libxcb-render-util"),
    Library("libxcb-shape.so.0", "libxcb-shape0", "PyQt6", "libxcb-shape"),
    Library("libxcb-shm.so.0", "libxcb-shm0", "PyQt6", "libxcb-shm"),
    Library("libxcb-sync.so.1", "libxcb-sync1", "PyQt6", "libxcb-sync"),
    Library("libxcb-xfixes.so.0", "libxcb-xfixes0", "PyQt6", "libxcb-xfixes"),
    Library("libxcb-xkb.so.1", "libxcb-xkb1", "PyQt6", "libxcb-xkb"),
)


def missing_libraries(users: set[str]) -> list[Library]:
    """Libraries that one of the given distributions needs and that do not load; Linux only."""
    if not sys.platform.startswith("linux"):
        return []
    return [lib for lib in LIBRARIES if lib.user in users and not _loads(lib.name)]


def advice(error: BaseException) -> str:
    """What to install where a failed import names a missing library; "" where it does not."""
    text = str(error)
    packages = {lib.package for lib in LIBRARIES if lib.sign in text}
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
