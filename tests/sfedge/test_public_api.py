import re
import subprocess
import sys
from pathlib import Path

import pytest

import sfedge

HEAVY = ("cv2", "av", "mediapipe", "onnxruntime", "numpy", "PIL", "click", "tqdm")


def test_every_public_name_is_there_and_is_what_it_says() -> None:
    for name in sfedge.__all__:
        value = getattr(sfedge, name)
        assert value is not None
        if isinstance(value, type):
            assert value.__name__ == name
            assert value.__module__.startswith("sfedge.")
    assert set(sfedge.__all__) <= set(dir(sfedge))
    assert sfedge.open.__name__ == "open_session"


def test_each_public_name_is_told_in_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs" / "library.md").read_text(encoding="utf-8")
    missing = [name for name in sfedge.__all__ if not re.search(rf"`(sfedge\.)?{name}[`(]", text)]
    assert not missing


def test_a_wrong_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'opne'"):
        sfedge.opne  # noqa: B018


def test_the_import_loads_nothing_heavy() -> None:
    code = f"import sys, sfedge; print([name for name in {HEAVY!r} if name in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert out.stdout.strip() == "[]"


def test_the_version_is_that_of_the_package() -> None:
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert f'\nversion = "{sfedge.__version__}"\n' in project


def test_unknown_and_wrong_settings_are_refused_before_anything_is_opened() -> None:
    with pytest.raises(sfedge.UnknownNameError, match="Did you mean 'interval'"):
        sfedge.open("nowhere.mp4", intervall=1.0)
    with pytest.raises(sfedge.ConfigError, match="--interval -1 is not in 0 to 3600"):
        sfedge.open("nowhere.mp4", interval=-1)
    with pytest.raises(sfedge.UnknownNameError, match="Did you mean 'gaze'"):
        sfedge.open("nowhere.mp4", tasks=["gase"])
    with pytest.raises(sfedge.SourceError, match=r"nowhere.mp4: there is no such file"):
        sfedge.open("nowhere.mp4", interval=1.0)


def test_settings_by_name_replace_those_of_a_config() -> None:
    from sfedge.runtime.pipeline import _configured

    config = _configured(sfedge.RunConfig(interval=2.0, egocentric=True), {"interval": 1.0})
    assert (config.interval, config.egocentric) == (1.0, True)
    assert _configured(None, {"tasks": "relation, gaze,"}).tasks == ("gaze", "relation")
    assert _configured(None, {"bundle": "my.zip"}).bundle == Path("my.zip")
