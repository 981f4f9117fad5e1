"""The sources of `sfedge-train collect` in the real ones' layouts, a few pictures each."""

import csv
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import PIL.Image

from sfedge.core.structures import Image
from sfedge.demo.demo_hand import raised_hand
from sfedge.detect.conversion import networks
from sfedge.detect.mediapipe.hand_finder import HandFinder
from sfedge.detect.open_networks import open_networks
from sfedge.engines.small_network import AUTO, NetworkSet

SIDES = ("Left", "Right")
GROUND = (70, 90, 120)
SCORES = {
    **{f"eyeLook{way}{side}": 0.0 for way in ("In", "Out", "Up", "Down") for side in SIDES},
    **{
        f"{name}{side}": 0.0
        for name in ("eyeBlink", "eyeWide", "browDown", "mouthSmile", "mouthFrown")
        for side in SIDES
    },
    **{"browInnerUp": 0.0, "jawOpen": 0.0, "mouthPucker": 0.0},
    **{"yaw": 0.0, "pitch": 4.0},
}


def jpeg(picture: Image) -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(picture).save(file, "JPEG", quality=95)
    return file.getvalue()


def hand_picture() -> Image:
    """The palm of a right hand that points up, 480 x 640 pixels."""
    hand, opacity, _ = raised_hand(272, (224, 172, 140))
    scene = np.full((640, 480, 3), GROUND, np.float32)
    height, width = opacity.shape
    part = scene[100 : 100 + height, 120 : 120 + width]
    part += (hand - part) * opacity[..., None]
    return scene.astype(np.uint8)


def hand_finder() -> HandFinder:
    names = ("palm", "hand-landmarks")
    opened = open_networks(NetworkSet("hands", networks.fetch(names)), AUTO).networks
    return HandFinder(*(opened[name] for name in names), most=2, lowest=0.5)


def write_zip(
    file: Path, pictures: Mapping[str, bytes], rows: Sequence[Mapping[str, object]]
) -> None:
    table = io.StringIO()
    lines = csv.DictWriter(table, [*rows[0]])
    lines.writeheader()
    lines.writerows(rows)
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in pictures.items():
            archive.writestr(name, data)
        archive.writestr("labels.csv", table.getvalue())


def scores(**changed: float | str) -> dict[str, str]:
    return {name: str(value) for name, value in (SCORES | changed).items()}


def small_sources(root: Path, astronaut: Image) -> None:
    """Every source but whole pictures, a few pictures each."""
    root.mkdir()
    hand = jpeg(hand_picture()[110:320, 160:300])
    face = jpeg(astronaut[20:220, 130:330])
    crop_rows = [
        {"file": f"{place}/{name}.jpg", "label": label, "label_source": by}
        for place, name, label, by in (
            ("palm", "one", "palm", "folder"),
            ("none", "one", "no_gesture", "folder"),  # the same picture's other hand
            ("palm", "two", "palm", "folder"),
            ("mixed", "three", "four", "model"),
            ("mixed", "four", "two_up_or_inverted", "model"),
            ("boxed", "five", "peace_inverted", "folder-doubtful"),
        )
    ]
    write_zip(root / "gesture-crops.zip", {str(r["file"]): hand for r in crop_rows}, crop_rows)
    digit_rows = [
        {"file": f"{digit}/IMG_{1000 + n}.jpg", "digit": digit}
        for n, digit in enumerate((0, 1, 7, 8, 0, 5))
    ]
    write_zip(root / "sign-digits.zip", {str(r["file"]): hand for r in digit_rows}, digit_rows)
    face_rows = [
        {
            **{"file": f"train/{name}.jpg", "expression_checked": checked},
            **{"age": "20-29", "gender": "Female", "race": "Black"},
            **scores(**changed),
        }
        for name, checked, changed in (
            ("checked", "anger", {}),
            ("smile", "", {"mouthSmileLeft": 0.9, "mouthSmileRight": 0.7}),
            ("unclear", "", {"jawOpen": 0.8, "yaw": 10.0}),
            ("29238", "", {"yaw": 40.0}),  # seen by eye: a smile into the camera
        )
    ]
    write_zip(root / "faces-fairface.zip", {str(r["file"]): face for r in face_rows}, face_rows)
    studio = [
        {"file": "neutral_front/001_03.jpg", "expression": "neutral"},
        {"file": "smiling_front/001_08.jpg", "expression": "smiling"},
        {"file": "canada/001f.jpg", "expression": "neutral"},
    ]
    write_zip(root / "faces-london-canada.zip", {r["file"]: face for r in studio}, studio)
    portraits = [
        {"file": "500/1.jpg", "looking_at_camera": "no", "expression": "unclear"},
        {"file": "500/2.jpg", "looking_at_camera": "unclear", "expression": "unclear"},
    ]
    write_zip(root / "portraits-cc0.zip", {r["file"]: face for r in portraits}, portraits)
    queries = [
        {"file": file, "query_group": group, "query_label": label}
        for file, group, label in (
            ("a.jpg", "expr", "sadness"),
            ("a.jpg", "pose", "profile"),
            ("b.jpg", "expr", "anger"),
            ("b.jpg", "exprm", "sadness"),  # contradicts it
            ("c.jpg", "expr", "tongue out"),
        )
    ]
    write_zip(root / "faces-synthetic-sfhq.zip", {r["file"]: face for r in queries}, queries)
    points = np.random.default_rng(0).random((4, 21, 3)).astype(np.float16)
    np.savez(root / "asl-landmarks.npz", X=points, y=np.array(["L", "L", "G", "S"]))
    idle = [{"user": f"u{n}", "landmarks": points[n, :, :2].tolist()} for n in range(2)]
    (root / "no-gesture-landmarks.json").write_text(json.dumps(idle))
