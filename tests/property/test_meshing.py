from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bg_atlasapi.build.mesh_quality import quality_of
from bg_atlasapi.build.meshing import Finish, mesh_of

_SHAPES = arrays.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=6)
_MASKS = arrays.arrays(np.bool_, _SHAPES)
_SIZES = st.tuples(*[st.sampled_from([1.0, 2.5, 25.0, 100.0])] * 3)
_FINISHES = st.builds(Finish, st.sampled_from([0.0, 0.5, 5.0, 500.0]), st.integers(0, 8))


@given(mask=_MASKS, spacing_um=_SIZES, finish=_FINISHES)
def test_any_voxels_give_a_closed_manifold_surface_that_faces_outwards(mask, spacing_um, finish):
    """Whatever is within, however long the voxels are, however it is smoothed and simplified."""
    made = mesh_of(lambda a, b: mask[a:b], mask.shape, spacing_um, finish)
    assert made.voxels == mask.sum()
    if made.voxels:
        quality = quality_of(made.mesh)
        assert quality.watertight
        assert quality.manifold
        assert quality.outward


@given(mask=_MASKS, spacing_um=_SIZES)
def test_the_raw_surface_encloses_exactly_the_voxels(mask, spacing_um):
    """Neither smoothed nor simplified: the volume is that of the voxels, edges and hollows too."""
    made = mesh_of(lambda a, b: mask[a:b], mask.shape, spacing_um, Finish(0.0, 0))
    if made.voxels:
        volume = quality_of(made.mesh).volume_um3
        wanted = mask.sum() * float(np.prod(spacing_um))
        # A vertex in the middle of an edge lies an eighth of a voxel into it.
        assert volume == pytest.approx(wanted, rel=0.01)


@given(mask=_MASKS, place=st.tuples(*[st.integers(0, 40)] * 3))
def test_a_mesh_lies_where_its_box_does(mask, place):
    """Moved by whole blocks, a structure has the same mesh, moved."""
    place = tuple(64 * one for one in place)
    here = mesh_of(lambda a, b: mask[a:b], mask.shape, (1, 1, 1), Finish(0.5))
    there = mesh_of(lambda a, b: mask[a:b], mask.shape, (1, 1, 1), Finish(0.5), place)
    assert np.array_equal(here.mesh.triangles, there.mesh.triangles)
    assert np.allclose(here.mesh.points + place, there.mesh.points)
