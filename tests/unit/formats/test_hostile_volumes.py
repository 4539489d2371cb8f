"""Volumes that are damaged or made to harm: one sentence, little memory, nothing read elsewhere."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nibabel
import nrrd
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its usual name
import tifffile

from bg_atlasapi.build.volumes import peek_volume, read_volume
from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.formats import metaimage, minc
from bg_atlasapi.formats import nrrd as nrrd_format
from bg_atlasapi.formats.images import open_image

ARRAY = np.arange(120, dtype=np.uint16).reshape(4, 5, 6)
NRRD_HEAD = (
    "NRRD0004\ntype: uint16\ndimension: 3\nsizes: 4 5 6\nendian: little\nencoding: {encoding}\n"
    "space: LPS\nspace directions: (1,0,0) (0,1,0) (0,0,1)\n{more}"
)
META_HEAD = {
    "ObjectType": "Image",
    "NDims": "3",
    "DimSize": "4 5 6",
    "ElementType": "MET_USHORT",
    "ElementSpacing": "1 1 1",
    "TransformMatrix": "1 0 0 0 1 0 0 0 1",
    "ElementDataFile": "LOCAL",
}


def raw(array: Any = ARRAY) -> bytes:
    """Return voxels, first index fastest."""
    return np.asfortranarray(array).tobytes(order="F")


def as_nrrd(path: Path, data: bytes, encoding: str = "raw", more: str = "") -> Path:
    """Write NRRD by hand."""
    head = NRRD_HEAD.format(encoding=encoding, more=more)
    path.write_bytes(head.encode() + b"\n" + data)
    return path


def as_meta(path: Path, data: bytes = b"", **changed: str) -> Path:
    """Write MetaImage by hand; the data file is always named last."""
    head = {**META_HEAD, **changed}
    head["ElementDataFile"] = head.pop("ElementDataFile")
    text = "".join(f"{key} = {value}\n" for key, value in head.items() if value)
    path.write_bytes(text.encode() + data)
    return path


def read(path: Path) -> Any:
    """Read, in the file's own order."""
    return read_volume(path, orientation="asr", spacing_um=1).array


def test_nrrd_in_every_encoding(tmp_path: Path) -> None:
    """Raw, gzip, bzip2, attached or not, with bytes or lines to skip: the same voxels."""
    data = raw()
    packed = {"raw": data, "gzip": gzip.compress(data), "bzip2": bz2.compress(data)}
    for encoding, stored in packed.items():
        assert np.array_equal(read(as_nrrd(tmp_path / "a.nrrd", stored, encoding)), ARRAY)
        (tmp_path / "b.bin").write_bytes(stored)
        path = as_nrrd(tmp_path / "b.nhdr", b"", encoding, "data file: b.bin\n")
        assert np.array_equal(read(path), ARRAY)
    zipped = gzip.compress(data[:100]) + gzip.compress(data[100:]) + b"\0\0"
    assert np.array_equal(read(as_nrrd(tmp_path / "a.nrrd", zipped, "gz")), ARRAY)
    assert np.array_equal(read(as_nrrd(tmp_path / "a.nrrd", zlib.compress(data), "gz")), ARRAY)
    (tmp_path / "b.bin").write_bytes(b"one\ntwo\nxyz" + data)
    more = "data file: b.bin\nline skip: 2\nbyte skip: 3\n"
    assert np.array_equal(read(as_nrrd(tmp_path / "c.nhdr", b"", "raw", more)), ARRAY)
    more = "data file: b.bin\nbyte skip: -1\n"
    assert np.array_equal(read(as_nrrd(tmp_path / "c.nhdr", b"", "raw", more)), ARRAY)


def test_detached_slices(tmp_path: Path) -> None:
    """NRRD and MetaImage name their slices in a list or by a pattern."""
    for number in range(6):
        (tmp_path / f"s{number:02d}.raw").write_bytes(raw(ARRAY[..., number]))
    names = "".join(f"s{number:02d}.raw\n" for number in range(6))
    for more in ("data file: s%02d.raw 0 5 1\n", f"data file: LIST\n{names}"):
        path = tmp_path / "x.nhdr"
        path.write_text(NRRD_HEAD.format(encoding="raw", more=more))
        assert np.array_equal(read(path), ARRAY)
    as_meta(tmp_path / "x.mhd", ElementDataFile="s%02d.raw 0 5 1")
    assert np.array_equal(read(tmp_path / "x.mhd"), ARRAY)
    as_meta(tmp_path / "x.mhd", names.encode(), ElementDataFile="LIST")
    assert np.array_equal(read(tmp_path / "x.mhd"), ARRAY)
    (tmp_path / "s03.raw").unlink()
    with pytest.raises(InvalidInputError, match=r"s03\.raw.* is missing"):
        read(tmp_path / "x.mhd")


@pytest.mark.parametrize(
    "name",
    ["../secret.raw", "/etc/passwd", "..\\secret.raw", "link.raw", "a/../../secret.raw", "C:/x"],
)
def test_data_files_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    """A header cannot make us read files outside its folder, by whatever path or link."""
    (tmp_path / "secret.raw").write_bytes(raw())
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link.raw").symlink_to(tmp_path / "secret.raw")
    paths = [
        as_nrrd(folder / "x.nhdr", b"", "raw", f"data file: {name}\n"),
        as_meta(folder / "x.mhd", ElementDataFile=name),
        as_meta(folder / "y.mhd", f"{name}\n".encode(), ElementDataFile="LIST"),
    ]
    for path in paths:
        with pytest.raises(InvalidInputError, match="does not lie in its folder"):
            peek_volume(path)


def test_patterns_do_not_count_for_ever(tmp_path: Path) -> None:
    """A pattern of a thousand million names, or one that counts nowhere, is refused at once."""
    for counted in ("0 999999999 1", "0 5 0", "5 0 1", "0 1 -1"):
        path = as_meta(tmp_path / "x.mhd", ElementDataFile=f"s%03d.raw {counted}")
        with pytest.raises(InvalidInputError, match="are possible"):
            peek_volume(path)
    path = as_meta(tmp_path / "x.mhd", ElementDataFile="s%0999999999d.raw 0 5 1")
    with pytest.raises(InvalidInputError, match="does not lie|is missing"):
        peek_volume(path)


def nifti_with(path: Path, dims: tuple[int, ...], data: bytes, datatype: int = 512) -> Path:
    """Write NIfTI by hand, whatever the header claims."""
    header = nibabel.Nifti1Header()
    header["dim"] = [len(dims), *dims, *[1] * (7 - len(dims))]
    header["datatype"], header["bitpix"] = datatype, 16
    header["pixdim"] = 1
    header["vox_offset"], header["magic"], header["sform_code"] = 352, b"n+1", 1
    header["srow_x"], header["srow_y"], header["srow_z"] = np.eye(4)[:3]
    block = header.binaryblock + b"\0\0\0\0" + data
    path.write_bytes(gzip.compress(block) if path.suffix == ".gz" else block)
    return path


@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
@pytest.mark.parametrize(
    "dims", [(-4, 5, 6), (0, 5, 6), (32767, 32767, 32767), (400, 500, 600), (4, 5, 7)]
)
def test_nifti_headers_that_lie(tmp_path: Path, ending: str, dims: tuple[int, ...]) -> None:
    """Negative, zero, huge and too large dimensions are refused; sizes are known beforehand."""
    path = nifti_with(tmp_path / f"x.{ending}", dims, raw())
    with pytest.raises(InvalidInputError, match="x.nii"):
        read(path)


@pytest.mark.parametrize("sizes", ["-4 5 6", "0 5 6", "99999 99999 99999", "4 5 7", "4 5", "4 x 6"])
def test_nrrd_and_metaimage_headers_that_lie(tmp_path: Path, sizes: str) -> None:
    """As of NIfTI: sizes that are none, or larger than the file can hold."""
    path = as_nrrd(tmp_path / "x.nrrd", raw())
    path.write_bytes(path.read_bytes().replace(b"sizes: 4 5 6", f"sizes: {sizes}".encode()))
    with pytest.raises(InvalidInputError, match="x.nrrd"):
        read(path)
    for more in ({}, {"CompressedData": "True"}):
        with pytest.raises(InvalidInputError, match=r"x\.mha|MetaImage"):
            read(as_meta(tmp_path / "x.mha", zlib.compress(raw()), DimSize=sizes, **more))


def test_a_stream_that_unpacks_to_far_more_is_not_unpacked(tmp_path: Path) -> None:
    """A gzip of 300 MB of zeros behind a header of 240 bytes: 240 bytes are read, and it is told."""
    bomb = gzip.compress(bytes(300 << 20), 1)
    head = NRRD_HEAD.format(encoding="gzip", more="").encode() + b"\n"
    (tmp_path / "x.nrrd").write_bytes(head + bomb)
    found = read_volume(tmp_path / "x.nrrd", orientation="asr", spacing_um=1)
    assert found.array.nbytes == 240
    assert "surplus-voxels" in [one.code for one in found.findings]


def test_a_nifti_header_of_a_gigabyte_is_not_read(tmp_path: Path) -> None:
    """What lies between header and voxels is not unpacked where the header claims too much of it."""
    path = nifti_with(tmp_path / "x.nii", (4, 5, 6), bytes(1000))
    whole = bytearray(path.read_bytes())
    whole[348] = 1  # an extension follows
    for offset in (1e9, -1.0, float("nan")):
        struct.pack_into("<f", whole, 108, offset)
        for name in ("y.nii", "y.nii.gz"):
            data = bytes(whole)
            (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
            with pytest.raises(InvalidInputError, match="voxels begin at byte"):
                read(tmp_path / name)


def test_more_than_the_memory_is_a_sentence(tmp_path: Path) -> None:
    """A bzip2 stream may unpack to anything; what no machine holds is refused before it is read."""
    path = as_nrrd(tmp_path / "x.nrrd", bz2.compress(raw()), "bzip2")
    huge = b"sizes: 99999999 99999999 600"
    path.write_bytes(path.read_bytes().replace(b"sizes: 4 5 6", huge))
    with pytest.raises(InvalidInputError, match="memory"):
        read(path)


@pytest.mark.parametrize("ending", ["nii", "nii.gz", "nrrd", "mha", "mhd", "mnc", "tif", "npy"])
def test_files_cut_short_anywhere(tmp_path: Path, ending: str) -> None:
    """However much of a file is left, reading it is one sentence that names it."""
    path = tmp_path / f"x.{ending}"
    if ending.startswith("nii"):
        nibabel.save(nibabel.Nifti1Image(ARRAY, np.eye(4)), path)
    elif ending in {"nrrd", "mha", "mhd"}:
        sitk.WriteImage(sitk.GetImageFromArray(ARRAY), str(path), ending != "mha")
    elif ending == "mnc":
        with h5py.File(path, "w") as file:
            file["minc-2.0/image/0/image"] = ARRAY
    elif ending == "tif":
        tifffile.imwrite(path, ARRAY, photometric="minisblack", compression="zlib")
    else:
        np.save(path, ARRAY)
    stored = path if ending != "mhd" else tmp_path / "x.zraw"
    whole = stored.read_bytes()
    for length in (0, 1, 10, 100, len(whole) // 2, len(whole) - 9):
        stored.write_bytes(whole[:length])
        with pytest.raises(InvalidInputError, match="x.") as caught:
            read(path)
        assert "\n" not in str(caught.value).split("(")[0]


def test_noise_is_no_volume(tmp_path: Path) -> None:
    """Bytes at random, and texts, behind each ending: one sentence."""
    rng = np.random.default_rng(3)
    noise = [rng.integers(0, 256, 5000, np.uint8).tobytes(), b"hello = world\n" * 99, b"\n" * 99]
    for data in noise:
        for ending in ("nii", "nii.gz", "nrrd", "nhdr", "mha", "mhd", "mnc", "tif", "npy"):
            path = tmp_path / f"x.{ending}"
            path.write_bytes(data)
            with pytest.raises(InvalidInputError, match=f"x.{ending}"):
                read(path)


def test_flipped_bytes_never_escape(tmp_path: Path) -> None:
    """One byte of a header changed, each in turn: the volume or one sentence, nothing else."""
    files = {
        "nii": nifti_with(tmp_path / "a.nii", (4, 5, 6), raw()).read_bytes(),
        "nrrd": as_nrrd(tmp_path / "a.nrrd", gzip.compress(raw()), "gzip").read_bytes(),
        "mha": as_meta(tmp_path / "a.mha", raw()).read_bytes(),
    }
    for ending, whole in files.items():
        path = tmp_path / f"x.{ending}"
        for at in range(0, min(len(whole), 352), 3):  # every third: the run takes seconds
            for value in (0xFF, whole[at] ^ 0x01, ord("-")):
                path.write_bytes(whole[:at] + bytes([value]) + whole[at + 1 :])
                with contextlib.suppress(InvalidInputError):
                    assert read(path).ndim == 3


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"ElementType": "MET_STRING"}, "MET_STRING"),
        ({"ElementType": ""}, "nothing"),
        ({"NDims": "0"}, "0 axes"),
        ({"NDims": "99999999999"}, "axes"),
        ({"NDims": "nan"}, "nan"),
        ({"ElementNumberOfChannels": "3"}, "3 values a voxel"),
        ({"BinaryData": "False"}, "as text"),
        ({"ElementSpacing": "1 1"}, "voxel sizes of 2"),
        ({"ElementSpacing": "1 x 1"}, "no sound one"),
        ({"TransformMatrix": "1 0 0"}, "3 numbers"),
    ],
)
def test_metaimage_headers_that_make_no_sense(
    tmp_path: Path, changed: dict[str, str], told: str
) -> None:
    """Each is refused, with what it says."""
    with pytest.raises(InvalidInputError, match=told):
        peek_volume(as_meta(tmp_path / "x.mha", raw(), **changed))


def test_frames_that_cannot_be_are_told_and_can_be_overridden(tmp_path: Path) -> None:
    """Matrices of zeros, NaN or infinity: the header does not count, what people state does."""
    for matrix in ("0 0 0 0 0 0 0 0 0", "1 0 0 1 0 0 0 0 1", "nan 0 0 0 1 0 0 0 1"):
        path = as_meta(tmp_path / "x.mha", raw(), TransformMatrix=matrix)
        peek = peek_volume(path)
        assert peek.orientation is None
        assert [one.code for one in peek.findings] == ["header-frame"]
        assert np.array_equal(read(path), ARRAY)
    for sizes in ("0 0 0", "-1 1 1", "inf 1 1", "1e300 1 1"):
        path = as_meta(tmp_path / "x.mha", raw(), ElementSpacing=sizes, TransformMatrix="")
        assert peek_volume(path).spacing_um in {None, (1e303, 1e3, 1e3), (1e300, 1.0, 1.0)}
        assert np.array_equal(read(path), ARRAY)


def test_metaimage_without_a_matrix(tmp_path: Path) -> None:
    """Letters alone say how axes lie; a matrix that says otherwise counts, and it is told."""
    path = as_meta(tmp_path / "x.mha", raw(), TransformMatrix="", AnatomicalOrientation="ASR")
    assert peek_volume(path).orientation == "asr"
    path = as_meta(tmp_path / "x.mha", raw(), TransformMatrix="", AnatomicalOrientation="???")
    assert peek_volume(path).orientation is None
    path = as_meta(tmp_path / "x.mha", raw(), AnatomicalOrientation="ASR")
    peek = peek_volume(path)
    assert peek.orientation == "rai"
    assert [one.code for one in peek.findings] == ["header-contradiction"]
    path = as_meta(tmp_path / "x.mha", raw(ARRAY.byteswap()), ElementByteOrderMSB="True")
    assert np.array_equal(read(path), ARRAY)


def test_nrrd_fields(tmp_path: Path) -> None:
    """Axes of one channel go, spaces that are no body's say nothing, units count."""
    text = NRRD_HEAD.format(encoding="raw", more="")

    def peek(*changes: tuple[str, str]) -> Any:
        changed = text
        for old, new in changes:
            assert old in changed
            changed = changed.replace(old, new)
        (tmp_path / "x.nrrd").write_bytes(changed.encode() + b"\n" + raw())
        return peek_volume(tmp_path / "x.nrrd")

    assert peek(("space: LPS", "space: left-anterior-superior")).orientation == "rpi"
    assert peek(("space: LPS", "space: scanner-xyz")).orientation is None
    assert peek(("space: LPS", "space: scanner-xyz")).spacing_um == (1000.0,) * 3
    micron = ("space: LPS", 'space: LPS\nspace units: "um" "um" "um"')
    assert peek(micron).spacing_um == (1.0,) * 3
    channel = (
        ("dimension: 3", "dimension: 4"),
        ("sizes: 4 5 6", "sizes: 1 4 5 6"),
        ("directions: (", "directions: none ("),
    )
    assert peek(*channel).shape == (4, 5, 6)
    assert np.array_equal(read(tmp_path / "x.nrrd"), ARRAY)
    directions = "space: LPS\nspace directions: (1,0,0) (0,1,0) (0,0,1)\n"
    spaced = peek((directions, "spacings: 0.1 0.2 0.3\n"))
    assert (spaced.spacing_um, spaced.orientation) == ((100.0, 200.0, 300.0), None)
    assert peek((directions, "")).spacing_um is None
    for change, told in [
        (("encoding: raw", "encoding: hex"), "hex"),
        (("endian: little\n", ""), "byte order"),
        (("type: uint16", "type: block\nblock size: 2"), "block"),
    ]:
        with pytest.raises(InvalidInputError, match=told):
            peek(change)


def test_the_allen_ccf_is_known(tmp_path: Path) -> None:
    """Volumes of its grid state a frame that none of its axes has; they are read as "asr", in µm."""
    array = np.zeros((132, 80, 114), np.uint8)
    header = {"space": "left-posterior-superior", "space directions": np.eye(3) * 100}
    header["space origin"] = np.zeros(3)
    nrrd.write(str(tmp_path / "x.nrrd"), array, header)
    found = read_volume(tmp_path / "x.nrrd")
    assert found.space.shape == (132, 80, 114)
    assert found.space.spacing_um == (100.0, 100.0, 100.0)
    assert [one.code for one in found.findings] == ["allen-frame"]
    nrrd.write(str(tmp_path / "x.nrrd"), array[:-1], header)
    assert peek_volume(tmp_path / "x.nrrd").orientation == "rai"


def test_images_to_measure_must_lie_straight(tmp_path: Path) -> None:
    """What the readers of an atlas forgive, measuring an image does not."""
    turn = "0.9 0.4358899 0 -0.4358899 0.9 0 0 0 1"
    path = as_meta(tmp_path / "x.mha", raw(), TransformMatrix=turn)
    assert peek_volume(path).orientation == "rai"
    with pytest.raises(InvalidInputError, match="aslant"):
        open_image(path)


@pytest.mark.parametrize(
    ("needed", "module", "package"),
    [
        (nrrd_format.need_nrrd, "nrrd", "pynrrd"),
        (minc.need_minc, "h5py", "h5py"),
    ],
)
def test_a_library_that_is_missing_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, needed: Callable[[], Any], module: str, package: str
) -> None:
    """It says which package to install, and how."""
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(InvalidInputError, match=rf"{package}.*pip install"):
        needed()


def test_metaimage_numbers_like_itk(tmp_path: Path) -> None:
    """Every type that ITK writes is read back."""
    for dtype in ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"):
        path = tmp_path / f"{dtype}.mha"
        sitk.WriteImage(sitk.GetImageFromArray(ARRAY.astype(dtype)), str(path))
        assert peek_volume(path).dtype == np.dtype(dtype)
        assert np.array_equal(read(path), ARRAY.transpose(2, 1, 0))
    assert struct.calcsize("i") == 4
    assert metaimage.open_metaimage(path).where == str(path)


def test_nothing_is_printed_of_a_header_that_nibabel_repairs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is wrong is told in one sentence, not by the logger of another library besides."""
    path = nifti_with(tmp_path / "x.nii", (4, 5, 6), raw())
    data = bytearray(path.read_bytes())
    data[76:92] = struct.pack("<4f", 1, -1, -1, -1)  # voxels of negative sizes: repaired
    data[108:112] = struct.pack("<f", 8)  # voxels that begin within the header: not
    path.write_bytes(data)
    with pytest.raises(InvalidInputError, match="is no NIfTI file"):
        open_image(path)
    assert not caplog.records
