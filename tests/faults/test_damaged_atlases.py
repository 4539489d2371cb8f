"""Atlases that are damaged, half there, or not ours to write: real files, real processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.errors import AtlasError, IncompleteAtlasError, InvalidAtlasError
from bg_atlasapi.testing import tiny_package


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Write a tiny atlas."""
    return tiny_package(tmp_path)


def edit_json(path: Path, change: Callable[[object], object]) -> None:
    """Rewrite a JSON file."""
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def truncate(path: Path, keep: float) -> None:
    """Cut a file short, as an interrupted copy does."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])


@pytest.mark.parametrize("keep", [0.0, 0.001, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("name", ["annotation", "reference"])
def test_a_truncated_volume_raises_and_never_reads_as_zeros(
    package: Path, name: str, keep: float
) -> None:
    """However much is missing, reading says which file and what to do."""
    truncate(package / f"{name}.tiff", keep)
    atlas = BrainGlobeAtlas.from_path(package)
    with pytest.raises(IncompleteAtlasError, match=rf"{name}.tiff is missing or damaged"):
        getattr(atlas, name)
    if name == "annotation":
        for question in (
            lambda: atlas.structure_from_coords((1, 1, 1)),
            lambda: atlas.lookup([[1, 1, 1]]),
            lambda: atlas.get_structure_mask("root"),
        ):
            with pytest.raises(IncompleteAtlasError):
                question()


def test_a_volume_cut_at_any_byte_is_whole_or_an_error(package: Path) -> None:
    """Wherever the file ends, reading gives every voxel or raises; it never invents any."""
    path = package / "annotation.tiff"
    data = path.read_bytes()
    whole = BrainGlobeAtlas.from_path(package).annotation.copy()
    for end in range(0, len(data), max(1, len(data) // 150)):
        path.write_bytes(data[:end])
        try:
            found = BrainGlobeAtlas.from_path(package).annotation
        except IncompleteAtlasError:
            continue
        assert (found == whole).all()


def test_metadata_that_disagrees_with_the_volume(package: Path) -> None:
    """The error gives both shapes."""
    edit_json(package / "metadata.json", lambda m: {**m, "shape": [7, 8, 9]})  # type: ignore[dict-item]
    atlas = BrainGlobeAtlas.from_path(package)
    for question in (
        lambda: atlas.annotation,
        lambda: atlas.reference,
        lambda: atlas.structure_from_coords((1, 1, 1)),
    ):
        with pytest.raises(InvalidAtlasError, match=r"\(7, 8, 9\).*shape-mismatch"):
            question()


@pytest.mark.parametrize("content", ["", "{", "[1, 2", "\x00\x01", "nonsense", "[" * 100_000])
@pytest.mark.parametrize("name", ["structures.json", "metadata.json"])
def test_files_that_are_not_json(package: Path, name: str, content: str) -> None:
    """Each is named, in one sentence."""
    (package / name).write_text(content)
    with pytest.raises(InvalidAtlasError, match=rf"{name} is not JSON"):
        BrainGlobeAtlas.from_path(package)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("{}", "structures-type"),
        ("[]", "empty"),
        ("[1, 2]", "structures-type"),
        ('[{"id": 1}]', "structure-entry"),
        ('[{"id": "x", "structure_id_path": [1]}]', "structure-entry"),
        (
            '[{"id": 1, "structure_id_path": [2, 1]}, {"id": 2, "structure_id_path": [1, 2]}]',
            "no-root",
        ),
        ('[{"id": 1, "structure_id_path": [9, 1]}]', "no-root"),
        (
            (
                '[{"id": 5, "structure_id_path": [5]}, {"id": 1, "structure_id_path": [2, 1]},'
                ' {"id": 2, "structure_id_path": [1, 2]}]'
            ),
            "cycle",
        ),
    ],
)
def test_terminologies_that_cannot_be_used(package: Path, content: str, code: str) -> None:
    """No root, a cycle, or entries that are no structures: refused, with a stable code."""
    (package / "structures.json").write_text(content)
    with pytest.raises(InvalidAtlasError) as caught:
        BrainGlobeAtlas.from_path(package)
    assert code in {finding.code for finding in caught.value.findings}


def test_every_fault_of_the_metadata_is_reported_at_once(package: Path) -> None:
    """One round of mending is enough."""
    (package / "metadata.json").write_text('{"shape": [1, 2], "resolution": ["a", 0, 1]}')
    with pytest.raises(InvalidAtlasError) as caught:
        BrainGlobeAtlas.from_path(package)
    assert [f.code for f in caught.value.findings] == [
        *("metadata-value", "metadata-value", "metadata-missing")
    ]
    assert "3 findings" in str(caught.value)


def test_a_folder_with_nothing_in_it(tmp_path: Path) -> None:
    """The folder exists, the atlas does not: every missing file is named."""
    (tmp_path / "gone_mouse_10um_v1.0").mkdir()
    with pytest.raises(FileNotFoundError, match=r"metadata.json, structures.json, reference.tiff"):
        BrainGlobeAtlas("gone_mouse_10um", brainglobe_dir=tmp_path)
    with pytest.raises(IncompleteAtlasError, match="no atlas folder"):
        BrainGlobeAtlas.from_path(tmp_path / "nowhere")


def test_a_missing_mesh_is_told_when_it_is_asked_for(package: Path) -> None:
    """An atlas without meshes opens; the mesh raises, with meshio's error among its bases."""
    shutil.rmtree(package / "meshes")
    atlas = BrainGlobeAtlas.from_path(package)
    with pytest.raises(IncompleteAtlasError, match="No valid mesh for region: root"):
        atlas.root_mesh()


@pytest.mark.parametrize("content", [b"", b"\x00" * 50, b"v 1 2\nf 1 2 3\n", b"v 1 2 3\nf 1 2 9\n"])
def test_a_damaged_mesh_raises(package: Path, content: bytes) -> None:
    """Empty, binary, cut short, or pointing at vertices that are not there."""
    atlas = BrainGlobeAtlas.from_path(package)
    atlas.root_meshfile().write_bytes(content)
    with pytest.raises(AtlasError, match="No valid mesh"):
        atlas.root_mesh()


def test_an_atlas_in_a_read_only_folder_works(package: Path) -> None:
    """Reading needs no right to write, and leaves nothing behind."""
    before = sorted(p.name for p in package.iterdir())
    package.chmod(0o555)
    package.parent.chmod(0o555)
    try:
        script = (
            f"from bg_atlasapi import BrainGlobeAtlas\n"
            f"a = BrainGlobeAtlas.from_path({str(package)!r})\n"
            "a.annotation[:] = 0; a.lookup([[1, 1, 1]]); print('fine')\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        )
        assert done.stdout == "fine\n"
    finally:
        package.parent.chmod(0o755)
        package.chmod(0o755)
    assert sorted(p.name for p in package.iterdir()) == before


@pytest.mark.skipif(getattr(os, "geteuid", int)() == 0, reason="root may read anything")
def test_a_file_this_account_may_not_read(package: Path) -> None:
    """The error says so instead of calling the file damaged."""
    (package / "annotation.tiff").chmod(0)
    with pytest.raises(AtlasError, match="cannot be read: Permission denied"):
        _ = BrainGlobeAtlas.from_path(package).annotation


def test_a_volume_that_shrinks_while_open_raises(package: Path) -> None:
    """Bytes that are gone are an error, for one point and for many; never another point's label."""
    atlas = BrainGlobeAtlas.from_path(package)
    far = tuple(length - 1 for length in atlas.shape)
    assert atlas.structure_from_coords((0, 0, 0)) >= 0
    os.truncate(package / "annotation.tiff", 300)
    for points in (far, [far], [(0, 0, 0), far], [far, far, far]):
        with pytest.raises(IncompleteAtlasError, match="became shorter"):
            atlas.structure_from_coords(points)


@pytest.mark.parametrize(
    "defect",
    [
        {"id": "12"},
        {"id": 12.0},
        {"acronym": None},
        {"name": None},
        {"structure_id_path": "/1/12/"},
        {"rgb_triplet": None},
        {"rgb_triplet": [1.5, 2, 300]},
    ],
    ids=str,
)
def test_what_is_forgiven_is_mended_everywhere(tmp_path: Path, defect: dict[str, object]) -> None:
    """An odd entry of ``structures.json`` answers the same through every door."""
    import numpy as np

    from bg_atlasapi.testing import write_package

    white = [255, 255, 255]
    odd = {
        "id": 12,
        "acronym": "C",
        "name": "Sea",
        "structure_id_path": [1, 12],
        "rgb_triplet": white,
    }
    root = {
        "id": 1,
        "acronym": "root",
        "name": "root",
        "structure_id_path": [1],
        "rgb_triplet": white,
    }
    labels = np.full((4, 4, 5), 12, np.uint32)
    package = write_package(
        tmp_path,
        name="odd_mouse_100um",
        annotation=labels,
        reference=labels.astype(np.uint16),
        structures=[root, odd],
        resolution=(100.0, 100.0, 100.0),
    )
    edit_json(package / "structures.json", lambda entries: [entries[0], {**entries[1], **defect}])  # type: ignore[index]
    atlas = BrainGlobeAtlas.from_path(package)
    structure = atlas.structures[12]
    assert structure.id == 12
    assert structure.acronym == atlas.lookup([[1, 1, 1]], unit="voxel")["acronym"][0]
    assert structure.name == atlas.lookup([[1, 1, 1]], unit="voxel")["name"][0]
    assert structure.structure_id_path == [1, 12]
    assert all(type(part) is int and 0 <= part <= 255 for part in structure.rgb_triplet)
    assert structure.mesh_filename == package / "meshes" / "12.obj"
    assert (atlas.get_structure_mask(structure.acronym) == 12).all()
    assert atlas.lookup_df["id"].tolist() == [1, 12]


def test_a_parent_id_too_large_for_the_volume(tmp_path: Path) -> None:
    """The mask of a parent widens where its id does not fit the annotation's type."""
    import numpy as np

    from bg_atlasapi.testing import write_package

    entries = [
        {"id": i, "acronym": a, "name": a, "structure_id_path": p, "rgb_triplet": [0, 0, 0]}
        for i, a, p in ((614454277, "root", [614454277]), (7, "leaf", [614454277, 7]))
    ]
    labels = np.full((4, 4, 5), 7, np.uint16)
    package = write_package(
        tmp_path,
        name="wide_mouse_100um",
        annotation=labels,
        reference=labels,
        structures=entries,
        resolution=(100.0, 100.0, 100.0),
    )
    atlas = BrainGlobeAtlas.from_path(package)
    assert atlas.annotation.dtype == np.uint16
    assert (atlas.get_structure_mask("root") == 614454277).all()
    assert atlas.get_structure_mask("leaf").dtype == np.uint16
    assert atlas.lookup([[1, 1, 1]], unit="voxel", at=0)["id"].tolist() == [614454277]


def as_nobody(script: str, *paths: Path) -> str:
    """Run a script as an account without rights, as root could read anything; return its output."""
    for path in paths:
        path.chmod(0o755)
    code = (
        "import os, sys, traceback\n"
        f"sys.path[:0] = {sys.path!r}\n"
        "import bg_atlasapi, tifffile\n"  # all that loads late must load now: the libraries
        "a = bg_atlasapi.BrainGlobeAtlas('phantom_mouse_100um')\n"  # may be closed to others too
        "a.annotation; a.lookup([[1, 1, 1]])\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try:\n"
        + "".join(f"    {line}\n" for line in script.splitlines())
        + "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 1)() != 0, reason="only root can change account")
def test_what_an_account_may_not_read_is_said() -> None:
    """Files and folders without rights are called unreadable, not damaged or not installed."""
    import tempfile

    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to others
        folder = Path(name)
        folder.chmod(0o755)
        package = tiny_package(folder)
        ask = (
            "from bg_atlasapi import BrainGlobeAtlas\n"
            f"os.environ['HOME'] = {name!r}\n"
            f"a = BrainGlobeAtlas('tiny_mouse_100um', brainglobe_dir={name!r})\n"
            "a.annotation[:] = 0; print(a.lookup([[1, 1, 1]])['id'][0], len(a.structures))\n"
        )
        assert as_nobody(ask, package).startswith("0 ")
        (package / "annotation.tiff").chmod(0)
        assert "annotation.tiff cannot be read: Permission denied" in as_nobody(ask)
        package.chmod(0)
        assert "IncompleteAtlasError" in as_nobody(ask)
        package.chmod(0o755)
        folder.chmod(0o711)
        assert "InvalidInputError The brainglobe folder" in as_nobody(ask)
        folder.chmod(0o755)
