"""MakeHuman's files, read: against numbers that are worked out by hand."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from tiny_humans import BONES, NAMES, write_tiny_humans

from sfedge.core.errors import DataError
from sfedge_training.humans.figure import load_library
from sfedge_training.humans.makehuman import (
    read_face_units,
    read_garment,
    read_mesh,
    read_skeleton,
    read_target,
)


def test_quads_become_triangles_of_the_same_plane(tmp_path: Path) -> None:
    (tmp_path / "a.obj").write_text(
        "v 0 0 0\nv 2 0 0\nv 2 2 0\nv 0 2 0\nv 9 9 9\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"
        "g helper\nf 1/1 2/2 5/3\ng body\nf 1/1 2/2 3/3 4/4\n"
    )
    mesh = read_mesh(tmp_path / "a.obj", "body")
    assert mesh.corners.tolist() == [[0, 1, 2], [0, 2, 3]]
    assert mesh.places.tolist() == [[0, 1, 2], [0, 2, 3]]
    assert len(mesh.vertices) == 5
    with pytest.raises(DataError, match="no face of group 'arm'"):
        read_mesh(tmp_path / "a.obj", "arm")


def test_a_target_may_be_empty_and_is_refused_when_it_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.target"
    path.write_text("# words\n")
    assert read_target(path)[0].shape == (0,)
    path.write_text("# words\n3 0.5 0 -1\n7 0 .25 0\n")
    indices, offsets = read_target(path)
    assert indices.tolist() == [3, 7]
    assert offsets.tolist() == [[0.5, 0, -1], [0, 0.25, 0]]
    path.write_text("3 0.5 0\n")
    with pytest.raises(DataError, match="four numbers"):
        read_target(path)


def test_parents_come_before_their_children(tmp_path: Path) -> None:
    bones = read_skeleton(write_tiny_humans(tmp_path) / "rigs/default.mhskel")
    assert sorted(bone.name for bone in bones) == sorted(NAMES)
    for place, bone in enumerate(bones):
        assert bone.parent < place
        parent = BONES[bone.name][0]
        assert (bones[bone.parent].name if bone.parent >= 0 else "") == parent


def test_clothes_follow_three_vertices_and_grow_with_the_body(tmp_path: Path) -> None:
    (tmp_path / "a.obj").write_text("v 0 0 0\nv 0 0 0\nv 0 0 0\nvt 0 0\nf 1/1 2/1 3/1\n")
    (tmp_path / "a.mhclo").write_text(
        "obj_file a.obj\nx_scale 0 1 2.0\nverts 0\nmaterial late.mhmat\n2\n"
        "0 1 2 0.5 0.25 0.25 1 0 0\n0 1 2 1 0 0 0 0 1\n\ndelete_verts\n4 6 - 8\n9\n"
    )
    garment = read_garment(tmp_path / "a.mhclo")
    body = np.array([[0, 0, 0], [4, 0, 0], [0, 8, 4]], np.float32)  # twice as wide as then
    assert garment.fitted(body).tolist() == [[0, 8, 4], [1 + 2, 2, 1], [0, 0, 1]]
    assert garment.hidden.tolist() == [4, 6, 7, 8, 9]


def test_a_garment_with_too_few_vertices_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.obj").write_text("v 0 0 0\nv 0 0 0\nv 0 0 0\nvt 0 0\nf 1/1 2/1 3/1\n")
    (tmp_path / "a.mhclo").write_text("obj_file a.obj\nverts 0\n1\n")
    with pytest.raises(DataError, match=r"a\.mhclo: 1 vertices are bound, 3 are there"):
        read_garment(tmp_path / "a.mhclo")


def test_a_face_unit_turns_a_bone_as_the_file_says(tmp_path: Path) -> None:
    folder = write_tiny_humans(tmp_path) / "poseunits"
    text = (folder / "face-poseunits.bvh").read_text()
    (folder / "face-poseunits.bvh").write_text(text.replace("0 20 0 0", "0 20 -30 40"))
    units = read_face_units(folder)
    assert units["Rest"] == {}
    # Rotations of the channels' order about the moved axes, as BVH has them.
    whole = Rotation.from_euler("XYZ", [20, -30, 40], degrees=True)
    # The file's z points up and its y back: a quarter of a turn about x brings it to ours.
    upright = Rotation.from_euler("x", -90, degrees=True)
    wanted = (upright * whole * upright.inv()).as_rotvec()
    np.testing.assert_allclose(units["JawDrop"]["jaw"], wanted, atol=1e-6)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"base\.obj.*MakeHuman's data"):
        load_library(tmp_path)
    folder = write_tiny_humans(tmp_path / "tiny")
    (folder / "rigs/default.mhskel").write_text("{")
    with pytest.raises(DataError, match=r"default\.mhskel: this is no JSON"):
        load_library(folder)
