"""Where people look: the heatmap and the arrow."""

from dataclasses import replace

import numpy as np
import pytest
from annotated import (
    changed,
    gaze_at,
    grey,
    person,
    pixels,
    result,
)

from sfedge import annotate
from sfedge.annotate.theme import Theme


def test_the_heatmap_tints_the_peak_in_the_colour_of_the_person() -> None:
    theme, image = Theme(), grey()
    annotate.GazeHeatmap(theme).draw(
        image, result(image, tracks=(person(2, 0.1),), fresh=(gaze_at(0.7, 0.5, 2),))
    )
    before = grey()
    expected = 90 + theme.heat_opacity * (np.array(theme.colour(2)) - 90)
    assert np.abs(image[360, 896] - expected).max() < 12
    touched = changed(before, image)
    rows, columns = np.nonzero(touched)
    assert abs(rows.mean() - 360) < 6
    assert abs(columns.mean() - 896) < 6
    assert 0 < touched.mean() < 0.1


def test_the_arrow_begins_at_the_edge_of_the_face_and_ends_at_the_point() -> None:
    image = grey()
    shown = result(image, tracks=(person(1, 0.1),), fresh=(gaze_at(0.8, 0.3),))
    annotate.GazeArrows(Theme()).draw(image, shown)
    touched = changed(grey(), image)
    assert touched[216, 1024]  # 0.3 of 720, 0.8 of 1280
    assert not touched[146:286, 232:355].any()  # the face, from 0.18 to 0.28 and 0.2 to 0.4
    assert touched[:, 380:384].any()


def test_an_arrow_passes_behind_the_faces_between_and_ends_in_a_face_that_is_looked_at() -> None:
    image = grey()
    tracks = (person(1, 0.0), person(2, 0.3), person(3, 0.6))
    annotate.GazeArrows(Theme()).draw(
        image, result(image, tracks=tracks, fresh=(gaze_at(0.73, 0.3),))
    )
    touched = changed(grey(), image)
    between, looked_at = (pixels(image, track.face) for track in tracks[1:] if track.face)
    assert not touched[between].any()
    assert touched[216, between[1].start - 4]  # up to the face and on behind it
    assert touched[216, between[1].stop + 4]
    assert touched[looked_at].any()


def test_a_flat_heatmap_tints_nothing() -> None:
    image, noise = grey(), np.random.default_rng(0).normal(0, 0.01, (64, 64))
    flat = replace(gaze_at(0.5, 0.5), heatmap=(0.6 + noise).astype(np.float32))
    annotate.GazeHeatmap(Theme()).draw(
        image, result(image, tracks=(person(1, 0.1),), fresh=(flat,))
    )
    assert (image == 90).all()


@pytest.mark.parametrize("kind", [annotate.GazeArrows, annotate.GazeHeatmap])
def test_an_older_gaze_is_fainter_than_a_fresh_one(
    kind: type[annotate.GazeArrows] | type[annotate.GazeHeatmap],
) -> None:
    fresh, older, tracks = grey(), grey(), (person(1, 0.1),)
    gaze = (gaze_at(0.7, 0.7),)
    kind(Theme()).draw(fresh, result(fresh, tracks=tracks, fresh=gaze, now=1.0))
    kind(Theme()).draw(older, result(older, tracks=tracks, carried=gaze, now=1.0))
    assert 0 < np.abs(older - 90.0).sum() < np.abs(fresh - 90.0).sum()


def test_an_arrow_of_an_unsure_gaze_is_dashed() -> None:
    sums = []
    for is_unsure in (False, True):
        image = grey()
        gaze = gaze_at(0.9, 0.3, is_unsure=is_unsure)
        annotate.GazeArrows(Theme()).draw(
            image, result(image, tracks=(person(1, 0.1),), fresh=(gaze,))
        )
        sums.append(changed(grey(), image)[:, 400:1100].any(axis=0).mean())
    assert sums[0] == 1
    assert 0.4 < sums[1] < 0.9
