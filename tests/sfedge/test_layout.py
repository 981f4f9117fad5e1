"""Where tags go: who comes first, what stays where it was, when sizes change."""

from collections.abc import Sequence

import pytest

from sfedge.annotate.layout import Area, Key, Obstacles, Place, Placer, Wanted

SIZES = ((200, 120), (120, 30), (20, 20))  # by rung


def arrange(
    placer: Placer, faces: Sequence[Area], *, certainty: Sequence[float] = (), time: float = 0.0,
    never: Sequence[Area] = (), width: int = 1280, height: int = 720,
) -> dict[Key, Place]:  # fmt: skip
    """A tag for each face, by number from 1."""
    certainty = certainty or [0.9] * len(faces)
    wanted = [Wanted(("person", i), *rest) for i, rest in enumerate(zip(faces, certainty), 1)]  # noqa: B905
    obstacles = Obstacles(width, height, [*faces, *never], [])
    return placer.arrange(wanted, lambda key, rung: SIZES[rung], range(3), 16, obstacles, time)


def test_a_tag_lies_above_its_face_where_there_is_room() -> None:
    places = arrange(Placer(), [(300, 300, 380, 400)])
    assert places["person", 1] == Place((300, 180, 500, 300), 0)


def test_at_the_upper_edge_a_tag_lies_beside_its_face() -> None:
    places = arrange(Placer(), [(300, 10, 380, 110)])
    assert places["person", 1] == Place((380, 10, 580, 130), 0)


def test_all_tags_are_made_smaller_until_everybody_has_one() -> None:
    faces = [(300 + 90 * i, 300 + 10 * i, 380 + 90 * i, 400 + 10 * i) for i in range(3)]
    blocked = [(0, 0, 1280, 250), (0, 500, 1280, 720)]  # a band in which large tags do not fit
    places = arrange(Placer(), faces, never=blocked)
    assert {place.rung for place in places.values()} == {1}
    assert len(places) == 3


@pytest.mark.parametrize("certainty", [(0.9, 0.6, 0.3), (0.3, 0.6, 0.9)])
def test_where_not_all_fit_the_most_certain_have_a_tag(certainty: tuple[float, ...]) -> None:
    face = (100, 100, 180, 200)
    # Room for one of the smallest, right of the face; all three people have the same.
    walls = [(0, 0, 1280, 100), (0, 120, 1280, 720), (0, 100, 180, 120), (200, 100, 1280, 120)]
    places = arrange(Placer(), [face] * 3, certainty=certainty, never=walls)
    surest = certainty.index(max(certainty)) + 1
    assert places == {("person", surest): Place((180, 100, 200, 120), 2)}


def test_scores_that_waver_do_not_change_who_has_a_tag() -> None:
    placer, face = Placer(), (100, 100, 180, 200)
    walls = [(0, 0, 1280, 100), (0, 120, 1280, 720), (0, 100, 180, 120), (200, 100, 1280, 120)]
    arrange(placer, [face] * 2, certainty=(0.8, 0.75), never=walls)
    for i in range(1, 5):
        scores = (0.78, 0.8) if i % 2 else (0.82, 0.7)
        places = arrange(placer, [face] * 2, certainty=scores, never=walls, time=i / 25)
        assert [*places] == [("person", 1)]


def test_a_tag_keeps_its_side_while_its_person_moves() -> None:
    placer = Placer()
    offsets = set()
    for step in range(60):
        face = (200 + 8 * step, 200, 280 + 8 * step, 300)
        x, y = arrange(placer, [face], time=step / 25)["person", 1].area[:2]
        offsets.add((x - face[0], y - face[1]))
    assert len(offsets) == 1


def test_a_tag_that_had_to_move_stays_where_it_went() -> None:
    placer, face = Placer(), (300, 300, 380, 400)
    assert arrange(placer, [face])["person", 1].area == (300, 180, 500, 300)
    blocked = [(0, 250, 1280, 290)]
    moved = arrange(placer, [face], never=blocked)["person", 1].area
    assert moved != (300, 180, 500, 300)
    assert arrange(placer, [face])["person", 1].area == moved
    placer.forget()
    assert arrange(placer, [face])["person", 1].area == (300, 180, 500, 300)


def test_tags_shrink_at_once_and_grow_after_a_while() -> None:
    placer, face = Placer(), (300, 300, 380, 400)
    blocked = [(0, 0, 1280, 295), (0, 410, 1280, 720)]  # leaves one line beside the face

    def rung(time: float, *, is_blocked: bool) -> int:
        never = blocked if is_blocked else []
        return arrange(placer, [face], never=never, time=time)["person", 1].rung

    assert rung(0.0, is_blocked=False) == 0
    assert rung(0.1, is_blocked=True) == 1
    assert [rung(t, is_blocked=False) for t in (0.2, 0.9)] == [1, 1]
    assert rung(1.0, is_blocked=True) == 1  # it begins anew
    assert [rung(t, is_blocked=False) for t in (1.1, 1.6, 2.05)] == [1, 1, 1]
    assert [rung(t, is_blocked=False) for t in (2.15, 2.2)] == [0, 0]


def test_a_tag_is_not_put_nearer_to_somebody_else() -> None:
    # Above the first face there is no room; what is free above the second would mislead.
    faces = [(300, 300, 380, 400), (390, 300, 470, 400)]
    places = arrange(Placer(), faces, never=[(280, 150, 385, 300)])
    x1, y1, x2, y2 = places["person", 1].area
    to_own = max(300 - x2, x1 - 380, 0) + max(300 - y2, y1 - 400, 0)
    to_other = max(390 - x2, x1 - 470, 0) + max(300 - y2, y1 - 400, 0)
    assert to_own <= to_other
