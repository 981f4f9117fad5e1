"""What a user would write with MediaPipe's library: faces, hands and a body, drawn into a video.

A script for an environment of its own with `mediapipe==0.10.21` (benchmarks/peers.py runs it):
VIDEO OUT PEOPLE; it prints its frames, its seconds and how many people it has found, as JSON. The
library follows at most one body. Its older versions report each run to Google; see
docs/detectors.md.
"""

import json
import sys
import time

import cv2
import mediapipe as mp


def main(video: str, out: str, people: int) -> None:
    """Read, find, draw and write each frame."""
    styles, drawing = mp.solutions.drawing_styles, mp.solutions.drawing_utils
    face_mesh, hands_of = mp.solutions.face_mesh, mp.solutions.hands
    pose_of = mp.solutions.pose
    source = cv2.VideoCapture(video)
    size = int(source.get(3)), int(source.get(4))
    writer = cv2.VideoWriter(out, cv2.VideoWriter.fourcc(*"mp4v"), source.get(5), size)
    faces = face_mesh.FaceMesh(max_num_faces=people, refine_landmarks=True)
    hands, pose = hands_of.Hands(max_num_hands=2 * people), pose_of.Pose()
    frames, found, begun = 0, [0, 0, 0], time.perf_counter()
    while True:
        is_there, picture = source.read()
        if not is_there:
            break
        image = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        for face in faces.process(image).multi_face_landmarks or ():
            found[0] += 1
            drawing.draw_landmarks(
                picture,
                face,
                face_mesh.FACEMESH_CONTOURS,
                None,
                styles.get_default_face_mesh_contours_style(),
            )
        for hand in hands.process(image).multi_hand_landmarks or ():
            found[1] += 1
            drawing.draw_landmarks(picture, hand, hands_of.HAND_CONNECTIONS)
        body = pose.process(image).pose_landmarks
        if body:
            found[2] += 1
            drawing.draw_landmarks(picture, body, pose_of.POSE_CONNECTIONS)
        writer.write(picture)
        frames += 1
    writer.release()
    seconds = time.perf_counter() - begun
    print(json.dumps({"frames": frames, "seconds": seconds, "found": found}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
