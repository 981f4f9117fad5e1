import re
import subprocess
import sys
from pathlib import Path

import numpy as np
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


def test_each_public_name_is_in_the_documentation() -> None:
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
    with pytest.raises(sfedge.ConfigError, match=r"^interval=-1 is not in 0 to 3600"):
        sfedge.open("nowhere.mp4", interval=-1)
    with pytest.raises(sfedge.UnknownNameError, match="Did you mean 'gaze'"):
        sfedge.open("nowhere.mp4", tasks=["gase"])
    with pytest.raises(sfedge.SourceError, match=r"nowhere.mp4: there is no such file"):
        sfedge.open("nowhere.mp4", interval=1.0)


def test_settings_by_name_replace_those_of_a_config() -> None:
    from sfedge.runtime.pipeline import configured

    config = configured(sfedge.RunConfig(interval=2.0, egocentric=True), {"interval": 1.0})
    assert (config.interval, config.egocentric) == (1.0, True)
    assert configured(None, {"tasks": "relation, gaze,"}).tasks == ("gaze", "relation")
    assert configured(None, {"bundle": "my.zip"}).bundle == Path("my.zip")


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"interval": "1"}, "interval is a number of seconds, not '1'"),
        ({"interval": True}, "interval is a number of seconds, not True"),
        ({"end": [3]}, r"end is a number of seconds, not \[3\]"),
        ({"max_people": 2.5}, "max_people is a whole number, not 2.5"),
        ({"live": "no"}, "live is True or False, not 'no'"),
        ({"bundle": 7}, "bundle is a path, not 7"),
        ({"engine": 1}, "engine is one of auto, cpu, .*, not 1"),
        ({"tasks": [1]}, r"tasks is names of tasks, not \[1\]"),
        ({"start": None}, "start is a number of seconds, not None"),
    ],
)
def test_a_setting_of_a_wrong_type_gets_a_sentence(
    setting: dict[str, object], sentence: str
) -> None:
    with pytest.raises(sfedge.ConfigError, match=sentence):
        sfedge.open("nowhere.mp4", **setting)
    with pytest.raises(sfedge.ConfigError, match=sentence):
        sfedge.RunConfig(**setting)  # type: ignore[arg-type]


def test_numbers_of_numpy_are_numbers() -> None:
    config = sfedge.RunConfig(interval=np.float32(0.5), max_people=np.int64(3))  # type: ignore[arg-type]
    assert (config.interval, type(config.interval)) == (0.5, float)
    assert (config.max_people, type(config.max_people)) == (3, int)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (["a.mp4", "b.mp4"], "frame 0: a frame is an array .* not 'a.mp4'. A source is a path"),
        (None, "a source is a path, an address, a camera's number, .* not None"),
        (1.5, "a source is a path, .* not 1.5"),
        (True, "a source is a path, .* not True"),
        (b"a.mp4", "a source is a path, .* not b'a.mp4'"),
        ({"a": 1}, "a source is a path, .* not {'a': 1}"),
        (-1, "-1 is no camera's number"),
        ([], "there is no frame"),
    ],
)
def test_an_error_says_what_a_source_is(source: object, sentence: str) -> None:
    with pytest.raises(sfedge.UsageError, match=sentence):
        sfedge.open(source)
