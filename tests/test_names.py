"""No two modules of one name: who looks for one finds it."""

from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("sfedge", "export", "training", "desktop", "benchmarks")
OF_EVERY_PACKAGE = {"__init__.py", "__main__.py"}


def test_every_module_has_a_name_of_its_own() -> None:
    names = Counter(
        path.name
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        if path.name not in OF_EVERY_PACKAGE
    )
    assert [name for name, count in names.items() if count > 1] == []
