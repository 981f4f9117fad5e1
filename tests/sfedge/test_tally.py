"""What a run counts: people, hands without one, shots, answers, and who was left out."""

from collections.abc import Sequence

from fake_parts import BODY, FACE, HAND, IMAGE, OnePerson, Slow

import sfedge
from sfedge import Detection, Frame, Hand, Scene, Track
from sfedge.core.tasks import TASKS


class Scripted:
    """A tracker that sees these people and hands, frame by frame; a new shot from the third on."""

    people = ((1,), (1, 2, 3), (2, 3, 4, 5), (5,))
    hands = ((), (7,), (7, 8), ())

    def update(
        self, detections: Sequence[Detection], frame: Frame, *, is_cut: bool = False
    ) -> Scene:
        time = frame.time
        return Scene(
            tuple(Track(i, BODY, FACE, (), 0.0, time) for i in self.people[frame.index]),
            tuple(Hand(i, HAND, None, 0.9, time) for i in self.hands[frame.index]),
            shot=int(frame.index >= 2),
        )


def test_each_is_counted_once_however_often_it_is_seen() -> None:
    run = sfedge.Pipeline(
        [IMAGE] * 4,
        detector=OnePerson(),
        tracker=Scripted(),
        model=Slow(tasks=(TASKS["expression"], TASKS["relation"])),
        max_people=2,
        interval=0.0,
    )
    report = run.run()

    assert (report.frames, report.shown, report.asked, report.skipped) == (4, 4, 4, 0)
    assert (report.people, report.hands, report.shots) == (5, 2, 2)
    assert report.left_out == 2  # in the third frame, the most at once
    assert report.answers == {"expression": 1 + 2 + 2 + 1, "relation": 1 + 1}
    assert report.gaps == 0
    assert report.is_complete
