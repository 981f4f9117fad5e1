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


def small(faces: Sequence[Area], never: Sequence[Area]) -> Area:
    """Where the first of some people gets a tag of 100 x 20 pixels."""
    wanted = [Wanted(("person", i), face, 0.9 - i / 100) for i, face in enumerate(faces)]
    obstacles = Obstacles(1280, 720, [*faces, *never], [])
    places = Placer().arrange(wanted, lambda key, rung: (100, 20), range(1), 16, obstacles, 0.0)
    return places["person", 0].area


def test_the_nearest_free_place_is_taken_and_a_further_one_where_there_is_none() -> None:
    face = (300, 300, 380, 400)
    above, right, left, below = (
        (100, 285, 600, 300),
        (380, 300, 395, 400),
        (285, 300, 300, 400),
        (100, 400, 600, 415),
    )
    assert small([face], [above]) == (380, 300, 480, 320)
    assert small([face], [above, right, left, below]) == (300, 264, 400, 284)


def test_a_tag_is_not_put_nearer_to_somebody_else() -> None:
    faces = [(300, 300, 380, 400), (300, 230, 380, 260)]
    never = [(100, 286, 300, 600), (300, 286, 380, 300), (380, 286, 410, 600), (300, 400, 410, 600)]
    x1, y1, _, _ = small(faces, never)
    assert (x1, y1) == (412, 300)  # further away than between the two, but clearly the first's


def test_one_who_has_little_room_does_not_make_all_tags_small() -> None:
    faces = [(100 + 300 * i, 300, 180 + 300 * i, 400) for i in range(4)]
    walls = {i: [(0, 0, 0, 0)] for i in range(4)}
    for i, (x1, y1, x2, y2) in enumerate(faces):  # leaves 24 pixels around a face
        outer = (x1 - 120, y1 - 250, x2 + 120, y2 + 250)
        walls[i] = [
            (outer[0], outer[1], outer[2], y1 - 24),
            (outer[0], y2 + 24, outer[2], outer[3]),
            (outer[0], y1 - 24, x1 - 24, y2 + 24),
            (x2 + 24, y1 - 24, outer[2], y2 + 24),
        ]
    one = arrange(Placer(), faces, never=walls[1])
    assert sorted(place.rung for place in one.values()) == [0, 0, 0, 2]
    two = arrange(Placer(), faces, never=[*walls[1], *walls[2]])
    assert {place.rung for place in two.values()} == {2}


def test_a_tag_keeps_off_what_it_rather_does_not_hide() -> None:
    def area(rather_not: list[Area]) -> Area:
        face = (300, 300, 380, 400)
        obstacles = Obstacles(1280, 720, [face], rather_not)
        wanted = [Wanted(("person", 1), face, 0.9)]
        places = Placer().arrange(wanted, lambda key, rung: (200, 120), range(1), 16, obstacles, 0)
        return places["person", 1].area

    assert area([]) == (300, 180, 500, 300)
    assert area([(400, 200, 410, 210)]) == (180, 180, 380, 300)  # above, but to the left
