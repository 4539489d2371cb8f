"""Reading Wavefront OBJ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bg_atlasapi.errors import IncompleteAtlasError
from bg_atlasapi.formats.mesh_files import read_obj
from bg_atlasapi.model.mesh import TriangleMesh

VERTICES = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\n"
POINTS = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]


def read(folder: Path, text: str) -> TriangleMesh:
    """Write a text and read it as a mesh."""
    path = folder / "mesh.obj"
    path.write_bytes(text.encode())
    return read_obj(path)


@pytest.mark.parametrize(
    "text",
    [
        VERTICES + "f 1 2 3\nf 1 2 4\n",
        VERTICES + "f 1 2 3\nf 1 2 4",
        (VERTICES + "f 1 2 3\nf 1 2 4\n").replace("\n", "\r\n"),
        (VERTICES + "f 1 2 3\nf 1 2 4\n").replace(" ", "\t"),
        (VERTICES + "f 1 2 3\nf 1 2 4\n").replace(" ", "   "),
        "# made by hand\n\n# twice\n" + VERTICES + "f 1 2 3\nf 1 2 4\n",
        VERTICES + "# faces\nf 1 2 3\nf 1 2 4\n",
        "o brain\ng part\n" + VERTICES + "s off\nf 1 2 3\nf 1 2 4\n",
        VERTICES + "vn 0 0 1\n" * 4 + "f 1//1 2//2 3//3\nf 1//1 2//2 4//4\n",
        VERTICES + "vt 0 0\n" * 4 + "f 1/1 2/2 3/3\nf 1/1 2/2 4/4\n",
        "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\nv 0 0 1\nf 1 2 4\n",
        VERTICES + "  f 1 2 3\nf 1 2 4\n",
        VERTICES + "f\t1 2 3\nf 1 2 4\n",
        VERTICES + "f 1 2 3\nf 1/1/1 2/2/2 4/4/4\n",
        VERTICES + "f 1/1/1 2/2/2 3/3/3\nf 1//1 2//2 4//4\n",
    ],
    ids=lambda text: text[-40:].replace("\n", ";"),
)
def test_the_same_mesh_in_many_spellings(tmp_path: Path, text: str) -> None:
    """Comments, blanks, line ends, normals, textures and groups do not change a mesh."""
    mesh = read(tmp_path, text)
    assert mesh.points.tolist() == POINTS
    assert mesh.triangles.tolist() == [[0, 1, 2], [0, 1, 3]]
    assert mesh.points.dtype == np.float64
    assert mesh.triangles.dtype == np.int64


def test_numbers_are_read_exactly(tmp_path: Path) -> None:
    """Exponents, signs, bare points and many digits are the floats they spell."""
    mesh = read(tmp_path, "v 1e-3 2E+2 .5\nv -1. +2 3\nv 6543.123456789012 0 0\nf 1 2 3\n")
    assert mesh.points.tolist() == [[0.001, 200, 0.5], [-1, 2, 3], [6543.123456789012, 0, 0]]


def test_colours_of_vertices_are_not_coordinates(tmp_path: Path) -> None:
    """Vertices that carry a colour, ``v x y z r g b``, are still points in space: three columns."""
    text = "".join(f"{line} 0.5 0.5 1\n" for line in VERTICES.splitlines())
    mesh = read(tmp_path, text + "f 1 2 3\nf 1 2 4\n")
    assert mesh.points.tolist() == POINTS


def test_relative_indices(tmp_path: Path) -> None:
    """Negative indices count back from the last vertex, as the format says."""
    mesh = read(tmp_path, VERTICES + "f -4 -3 -2\nf -4 -3 -1\n")
    assert mesh.triangles.tolist() == [[0, 1, 2], [0, 1, 3]]


@pytest.mark.parametrize(("face", "triangles"), [("f 1 2 3 4\n", 2), ("f 1 2 3 4 1\n", 3)])
def test_no_polygon_is_dropped_silently(tmp_path: Path, face: str, triangles: int) -> None:
    """A polygon among triangles is cut into triangles or refused; never left out, a hole."""
    try:
        mesh = read(tmp_path, VERTICES + "f 1 2 3\n" + face)
    except IncompleteAtlasError:
        return
    assert len(mesh.triangles) == 1 + triangles


@pytest.mark.parametrize("face", ["f 1 2", "f 1 2\n", "f 1", "f", "f 1 2 "])
def test_a_face_cut_short_is_damage(tmp_path: Path, face: str) -> None:
    """A file that ends within a face was cut short; it is not a mesh with one face less."""
    with pytest.raises(IncompleteAtlasError):
        read(tmp_path, VERTICES + "f 1 2 3\n" + face)


@pytest.mark.parametrize(
    "text",
    [
        "v 1 2\nv 3 4 5 6\nv 1 1 1\nf 1 2 3\n",
        VERTICES + "f 1 2\nf 3 4 1 2\n",
        VERTICES + "f 1 2 3 4\nf 1 2\n",
    ],
    ids=lambda text: text[-20:].replace("\n", ";"),
)
def test_uneven_lines_are_not_shifted_into_each_other(tmp_path: Path, text: str) -> None:
    """A number missing in one line and left over in the next is damage, not another mesh."""
    with pytest.raises(IncompleteAtlasError):
        read(tmp_path, text)


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e400"])
def test_vertices_are_finite(tmp_path: Path, number: str) -> None:
    """A vertex that lies nowhere is damage."""
    with pytest.raises(IncompleteAtlasError):
        read(tmp_path, f"v {number} 0 0\n{VERTICES}f 1 2 3\n")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        VERTICES,
        "f 1 2 3\n",
        "<html>404</html>",
        VERTICES + "f 0 1 2\n",
        VERTICES + "f 1 2 9\n",
        VERTICES + "f 1.5 2 3\n",
        VERTICES + "f a b c\n",
        "v 0 0 0\nv 1 0",
        "v 0 0 zero\nv 1 0 0\nv 0 1 0\nf 1 2 3\n",
        "v 1 2 v\nv 1 1 1\nf 1 2 3\n",
        "\0" * 100,
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
    ],
    ids=lambda text: repr(text[-30:]),
)
def test_damaged_files(tmp_path: Path, text: str) -> None:
    """Empty, cut, foreign or contradictory files are one kind of error, with the path in it."""
    with pytest.raises(IncompleteAtlasError, match=r"mesh\.obj"):
        read(tmp_path, text)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    """A mesh that is not there, or is a folder, says so."""
    for path in (tmp_path / "absent.obj", tmp_path):
        with pytest.raises(IncompleteAtlasError, match="cannot be read") as caught:
            read_obj(path)
        assert str(path) in str(caught.value)
