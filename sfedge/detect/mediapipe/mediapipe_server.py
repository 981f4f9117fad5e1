"""Runs MediaPipe's own library for `sfedge run --detector mediapipe`, in an environment of its own.

A script that needs nothing but mediapipe (and numpy, which comes with it): sfedge need not be
installed in that environment. It is started as `python mediapipe_server.py SETTINGS`, SETTINGS
being JSON: the six TFLite files and the thresholds. Then it reads requests from stdin, a line of
JSON and the bytes of an RGB picture each, and answers each with a line of JSON on stdout.
"""

import json
import os
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import IO, Any

import flatbuffers
import mediapipe
import numpy as np
from mediapipe.tasks import python as tasks
from mediapipe.tasks.metadata import metadata_schema_py_generated as metadata
from mediapipe.tasks.metadata import schema_py_generated as schema
from mediapipe.tasks.python import vision


def main() -> None:
    """Answer requests until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # the library's own output is no answer
    settings = json.loads(sys.argv[1])
    answer(answers, {"version": mediapipe.__version__})  # nothing is sent before a network starts
    with tempfile.TemporaryDirectory() as folder:
        found = start(settings, Path(folder))
    answer(answers, {"found": sorted(found)})
    while line := sys.stdin.buffer.readline():
        request = json.loads(line)
        height, width = request["height"], request["width"]
        data = sys.stdin.buffer.read(3 * height * width)
        pixels = np.frombuffer(data, np.uint8).reshape(height, width, 3)
        try:
            begun = time.perf_counter()
            picture = mediapipe.Image(mediapipe.ImageFormat.SRGB, np.ascontiguousarray(pixels))
            result = found[request["network"]].detect(picture)
            seconds = time.perf_counter() - begun
            answer(answers, {"found": to_rows(result, width, height), "seconds": seconds})
        except Exception as error:  # the library's failures share no base of their own
            answer(answers, {"error": str(error).strip().splitlines()[0]})


def answer(stream: IO[str], value: object) -> None:
    """Write a line of JSON."""
    stream.write(json.dumps(value) + "\n")
    stream.flush()


def start(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The four tasks by name."""
    files = {name: Path(file).read_bytes() for name, file in settings["files"].items()}
    hands = {
        "hand_detector.tflite": files["palm"],
        "hand_landmarks_detector.tflite": files["hand-landmarks"],
    }
    poses = {
        "pose_detector.tflite": with_normalisation(files["person"], 127.5, 127.5),
        "pose_landmarks_detector.tflite": with_normalisation(files["pose-landmarks"], 0.0, 255.0),
    }

    def options(data: bytes) -> Any:
        return tasks.BaseOptions(model_asset_buffer=data)

    def bundle(entries: dict[str, bytes]) -> bytes:
        path = folder / "task.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            for name, data in entries.items():
                archive.writestr(name, data)
        return path.read_bytes()

    def faces(data: bytes) -> Any:
        return vision.FaceDetector.create_from_options(
            vision.FaceDetectorOptions(
                base_options=options(data), min_detection_confidence=settings["face_score"]
            )
        )

    # Image mode: what a video mode finds depends on the frames before, so on where one starts.
    return {
        "short": faces(files["face-short-range"]),
        "full": faces(files["face-full-range"]),
        "hands": vision.HandLandmarker.create_from_options(
            vision.HandLandmarkerOptions(
                base_options=options(bundle(hands)),
                num_hands=settings["most_hands"],
                min_hand_detection_confidence=settings["hand_score"],
                min_hand_presence_confidence=settings["hand_score"],
            )
        ),
        "poses": vision.PoseLandmarker.create_from_options(
            vision.PoseLandmarkerOptions(
                base_options=options(bundle(poses)),
                num_poses=settings["most_persons"],
                min_pose_detection_confidence=settings["person_score"],
                min_pose_presence_confidence=settings["person_score"],
            )
        ),
    }


def to_rows(result: Any, width: int, height: int) -> list[dict[str, Any]]:
    """The results of a task, in pixels."""
    if hasattr(result, "detections"):
        return [
            {
                "score": face.categories[0].score,
                "box": [
                    face.bounding_box.origin_x,
                    face.bounding_box.origin_y,
                    face.bounding_box.origin_x + face.bounding_box.width,
                    face.bounding_box.origin_y + face.bounding_box.height,
                ],
                "points": [[point.x * width, point.y * height] for point in face.keypoints],
            }
            for face in result.detections
        ]
    if hasattr(result, "hand_landmarks"):
        return [
            {
                "side": side[0].category_name.lower(),
                "score": side[0].score,
                "points": [[p.x * width, p.y * height, p.z * width] for p in points],
            }
            for points, side in zip(result.hand_landmarks, result.handedness, strict=True)
        ]
    return [
        {"points": [[p.x * width, p.y * height, p.visibility or 0.0] for p in points]}
        for points in result.pose_landmarks
    ]


def with_normalisation(model: bytes, mean: float, std: float) -> bytes:
    """The network with metadata that says its input is (pixel - mean) / std; tasks ask for it."""
    options = metadata.NormalizationOptionsT()
    options.mean, options.std = [mean], [std]
    unit = metadata.ProcessUnitT()
    unit.optionsType, unit.options = metadata.ProcessUnitOptions.NormalizationOptions, options
    tensor = metadata.TensorMetadataT()
    tensor.processUnits = [unit]
    graph = metadata.SubGraphMetadataT()
    graph.inputTensorMetadata = [tensor]
    root = metadata.ModelMetadataT()
    root.subgraphMetadata = [graph]
    network = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model, 0))
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(packed(root, b"M001"), np.uint8)
    entry.name, entry.buffer = "TFLITE_METADATA", len(network.buffers)
    network.buffers.append(buffer)
    network.metadata = [*(network.metadata or []), entry]
    return packed(network, b"TFL3")


def packed(table: Any, identifier: bytes) -> bytes:
    """A table as a FlatBuffer."""
    builder = flatbuffers.Builder(0)
    builder.Finish(table.Pack(builder), identifier)
    return bytes(builder.Output())


if __name__ == "__main__":
    main()
