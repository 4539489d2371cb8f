"""TIFF stacks, mapped or decoded."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from bg_atlasapi.errors import AtlasError, IncompleteAtlasError
from bg_atlasapi.formats import tiff
from bg_atlasapi.formats.tiff import TiffVolume, read_layout

SPELLINGS: list[dict[str, Any]] = [
    {},
    {"byteorder": ">"},
    {"bigtiff": True},
    {"compression": "zlib"},
    {"compression": "lzw"},
    {"compression": "zlib", "predictor": True},
    {"compression": "lzw", "predictor": True},
    {"compression": "zlib", "byteorder": ">"},
    {"compression": "zstd"},
    {"rowsperstrip": 2},
    {"tile": (16, 16)},
    {"tile": (16, 16), "compression": "zlib"},
    {"metadata": None},
    {"metadata": None, "compression": "zlib"},
]


def names(value: dict[str, Any]) -> str:
    """Name a spelling."""
    return "-".join(f"{key}={value[key]}" for key in value) or "plain"


def stack(shape: tuple[int, ...], dtype: Any) -> npt.NDArray[Any]:
    """Return a volume that holds the smallest and largest values of its type."""
    values = np.random.default_rng(2).integers(0, 200, shape).astype(dtype)
    values.flat[0], values.flat[-1] = np.iinfo(dtype).min, np.iinfo(dtype).max
    return values


def write(path: Path, volume: npt.NDArray[Any], **how: Any) -> TiffVolume:
    """Write a volume and open it."""
    tifffile.imwrite(path, volume, photometric="minisblack", **how)
    return TiffVolume(path)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
@pytest.mark.parametrize("how", SPELLINGS, ids=names)
def test_every_spelling_reads_alike(tmp_path: Path, how: dict[str, Any], dtype: Any) -> None:
    """Compressed, predicted, tiled, striped, swapped or big: the same voxels, in native order."""
    volume = stack((5, 20, 17), dtype)
    source = write(tmp_path / "a.tiff", volume, **how)
    assert source.shape == volume.shape
    assert source.dtype == np.dtype(dtype)
    assert source.dtype.isnative
    private = source.read()
    assert (private == volume).all()
    assert private.dtype.isnative
    slabs = list(source.slabs())
    assert (np.concatenate(slabs) == volume).all()
    assert all(slab.dtype == volume.dtype for slab in slabs)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.uint64, np.int64])
def test_other_integers(tmp_path: Path, dtype: Any) -> None:
    """Signed and wide integers come back with their extreme values."""
    volume = stack((2, 3, 5), dtype)
    assert (write(tmp_path / "a.tiff", volume).read() == volume).all()


@pytest.mark.parametrize(
    "shape",
    [(1, 5, 6), (5, 1, 6), (5, 6, 1), (1, 1, 1), (2, 5, 6), (3, 5, 6), (5, 6, 3), (5, 6, 4)],
)
@pytest.mark.parametrize("how", SPELLINGS[:4], ids=names)
def test_thin_volumes_keep_three_axes(
    tmp_path: Path, shape: tuple[int, ...], how: dict[str, Any]
) -> None:
    """A single plane, row or column is not squeezed away; three planes are not colours."""
    volume = stack(shape, np.uint16)
    source = write(tmp_path / "a.tiff", volume, **how)
    assert source.shape == shape
    assert (source.read() == volume).all()


def test_plain_stacks_are_mapped(tmp_path: Path) -> None:
    """An uncompressed native stack is mapped: read-only, and over the file's own bytes."""
    volume = stack((4, 5, 6), np.uint32)
    path = tmp_path / "a.tiff"
    source = write(path, volume)
    mapped = source.mapped()
    assert mapped is not None
    assert not mapped.flags.writeable
    offset = read_layout(path).offset
    assert offset is not None
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(np.uint32(4242).tobytes())
    assert mapped[0, 0, 0] == 4242


@pytest.mark.parametrize("how", [{"byteorder": ">"}, {"compression": "zlib"}], ids=names)
def test_encoded_stacks_are_not_mapped(tmp_path: Path, how: dict[str, Any]) -> None:
    """Swapped and compressed stacks say that they cannot be mapped."""
    assert write(tmp_path / "a.tiff", stack((4, 5, 6), np.uint32), **how).mapped() is None


@pytest.mark.parametrize("how", SPELLINGS[:4], ids=names)
def test_writing_into_what_was_read_never_reaches_the_file(
    tmp_path: Path, how: dict[str, Any]
) -> None:
    """Volumes are private: neither the file nor the next reader sees what is written."""
    path = tmp_path / "a.tiff"
    volume = stack((4, 5, 6), np.uint32)
    source = write(path, volume, **how)
    before = path.read_bytes()
    source.read()[...] = 7
    assert path.read_bytes() == before
    assert (source.read() == volume).all()


def test_opening_reads_nothing(tmp_path: Path) -> None:
    """A volume is opened when it is first asked: making one of an absent file is no error yet."""
    source = TiffVolume(tmp_path / "absent.tiff")
    with pytest.raises(IncompleteAtlasError, match=r"absent\.tiff is missing or damaged"):
        _ = source.shape


@pytest.mark.parametrize(
    "how",
    [h for h in SPELLINGS if "metadata" not in h],
    ids=names,
)
def test_cut_anywhere(tmp_path: Path, how: dict[str, Any]) -> None:
    """A file cut at any byte is an error, or still whole: never fewer planes, never zeros."""
    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    volume = stack((3, 6, 5), np.uint32)
    path = tmp_path / "a.tiff"
    write(path, volume, **how)
    whole = path.read_bytes()
    wrong = []
    for length in range(0, len(whole), max(1, len(whole) // 97)):
        path.write_bytes(whole[:length])
        try:
            found = TiffVolume(path).read()
        except AtlasError:
            continue
        if found.shape != volume.shape or not (found == volume).all():
            wrong.append((length, found.shape))
    assert wrong == []


@pytest.mark.parametrize("how", SPELLINGS[:4], ids=names)
def test_cut_files_say_what_to_do(tmp_path: Path, how: dict[str, Any]) -> None:
    """A file that lost its last tenth names itself and the way out."""
    path = tmp_path / "a.tiff"
    write(path, stack((5, 20, 17), np.uint32), **how)
    os.truncate(path, path.stat().st_size * 9 // 10)
    with pytest.raises(IncompleteAtlasError, match=r"a\.tiff is missing or damaged.*whole copy"):
        TiffVolume(path).read()


@pytest.mark.parametrize(
    "content", [b"", b"II", b"II*\0", b"II*\0\x08\0\0\0", b"not a tiff at all" * 10, b"\0" * 500]
)
def test_what_is_no_tiff(tmp_path: Path, content: bytes) -> None:
    """An empty or foreign file is damaged, not a failure deep inside a library."""
    path = tmp_path / "a.tiff"
    path.write_bytes(content)
    with pytest.raises(IncompleteAtlasError, match="missing or damaged"):
        read_layout(path)


def test_a_folder_in_the_place_of_a_file(tmp_path: Path) -> None:
    """A folder is not a stack."""
    with pytest.raises(IncompleteAtlasError):
        read_layout(tmp_path)


def test_damage_inside_compressed_pages(tmp_path: Path) -> None:
    """Bytes spoilt inside a compressed page are noticed when it is decoded."""
    path = tmp_path / "a.tiff"
    source = write(path, stack((5, 20, 17), np.uint32), compression="zlib")
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        offset = file.pages[2].dataoffsets[0]
    content[offset : offset + 40] = b"\xff" * 40
    path.write_bytes(content)
    with pytest.raises(IncompleteAtlasError, match="cannot be decoded"):
        source.read()


@pytest.mark.skipif(not hasattr(os, "pread"), reason="Windows reads through the map")
def test_points_of_a_large_file_are_read_not_mapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as would touch half of the file leave its map alone, and answer the same."""
    volume = stack((16, 512, 512), np.uint32)
    flat = np.random.default_rng(0).integers(0, volume.size, 1500)
    opened = []
    for large in (0, 1 << 40):
        monkeypatch.setattr(tiff, "_LARGE", large)
        monkeypatch.setattr(tiff, "FEW", 100)
        source = write(tmp_path / "a.tiff", volume)
        assert (source.gather(flat) == volume.reshape(-1)[flat]).all()
        opened.append("_map" in source.__dict__)
    assert opened == [False, True]
