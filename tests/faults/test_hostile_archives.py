"""Archives made to do harm, and archives broken on the way: nothing is ever written elsewhere."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bg_atlasapi.errors import AtlasError, IncompleteAtlasError, InvalidAtlasError
from bg_atlasapi.store.archive.unpacking import Limits, unpack

ROOT = "tiny_v1.0"
END = bytes(1024)
SMALL = Limits(members=8, total_bytes=1 << 20, grace_bytes=1 << 16, ratio=20, header_bytes=4096)


def header(name: str, size: int = 0, kind: bytes = b"0", **fields: object) -> bytes:
    """Return a member's header as GNU tar writes it."""
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    for key, value in fields.items():
        setattr(info, key, value)
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def block(data: bytes) -> bytes:
    """Pad to whole blocks."""
    return data + bytes(-len(data) % 512)


def file(name: str, data: bytes = b"data", **fields: object) -> bytes:
    """Return a whole member."""
    return header(name, len(data), **fields) + block(data)


def folder(name: str) -> bytes:
    """Return a folder's header."""
    return header(name, kind=b"5")


def raw_header(size: bytes = b"00000000004\0", name: bytes = b"tiny_v1.0/a", kind: bytes = b"0"):
    """Return a header with fields no tool would write, and a right checksum."""
    data = bytearray(header("x"))
    data[:100] = name.ljust(100, b"\0")
    data[124:136] = size
    data[156:157] = kind
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data)
    return bytes(data)


def long_name(name: bytes, kind: bytes = b"L") -> bytes:
    """Return GNU tar's header for a long name."""
    return header("././@LongLink", len(name), kind) + block(name)


def pax(*records: tuple[str, bytes], kind: bytes = b"x", raw: bytes = b"") -> bytes:
    """Return a pax header."""
    text = raw
    for key, value in records:
        body = b" " + key.encode() + b"=" + value + b"\n"
        length = len(body)
        while len(str(length)) + len(body) != length:
            length = len(str(length)) + len(body)
        text += str(length).encode() + body
    return header("././@PaxHeader", len(text), kind) + block(text)


def inside(name: str) -> str:
    """Return the name of a member of the top folder."""
    return f"{ROOT}/{name}"


GOOD = file(inside("a"))

HOSTILE: dict[str, tuple[str, bytes]] = {
    # Names that lead elsewhere.
    "absolute": ("absolute-path", file("/tmp/evil")),
    "absolute, doubled": ("absolute-path", file("//server/share/evil")),
    "absolute folder": ("absolute-path", folder("/evil/")),
    "drive": ("absolute-path", file("C:/evil")),
    "drive, relative": ("absolute-path", file("C:evil")),
    "drive below the top": ("colon-in-name", file(inside("C:/evil"))),
    "UNC": ("backslash-in-name", file("\\\\server\\share\\evil")),
    "backslash": ("backslash-in-name", file(inside("..\\..\\evil"))),
    "parent": ("parent-folder", file("../evil")),
    "parent inside": ("parent-folder", file(inside("../../evil"))),
    "parent, back again": ("parent-folder", file(inside("meshes/../a"))),
    "parent at the end": ("parent-folder", folder(inside("meshes/.."))),
    "parent behind dots": ("parent-folder", file("./.././evil")),
    # What is no file.
    "symlink": ("symbolic-link", header(inside("a"), kind=b"2", linkname="/etc/passwd")),
    "symlink inside": ("symbolic-link", GOOD + header(inside("b"), kind=b"2", linkname="a")),
    "symlinked folder": (
        "symbolic-link",
        header(inside("meshes"), kind=b"2", linkname="../..") + file(inside("meshes/evil")),
    ),
    "hard link": ("hard-link", header(inside("a"), kind=b"1", linkname="/etc/passwd")),
    "junk-named link": ("symbolic-link", header(inside("._a"), kind=b"2", linkname="/etc")),
    "character device": ("device", header(inside("a"), kind=b"3", devmajor=1, devminor=3)),
    "block device": ("device", header(inside("a"), kind=b"4", devmajor=8)),
    "fifo": ("fifo", header(inside("a"), kind=b"6")),
    "sparse, GNU": ("sparse-file", header(inside("a"), kind=b"S")),
    "sparse, pax": ("sparse-file", pax(("GNU.sparse.realsize", b"9999999999")) + GOOD),
    "unknown kind": ("odd-member", header(inside("a"), kind=b"Z")),
    "multi-volume": ("odd-member", header(inside("a"), kind=b"M")),
    "long link name": ("symbolic-link", long_name(b"/etc/passwd\0", b"K") + GOOD),
    # Names taken twice, or as both.
    "twice": ("same-name-twice", GOOD + GOOD),
    "twice, one odd": ("same-name-twice", GOOD + file(inside(".//./a"))),
    "case": ("same-name-twice", GOOD + file(inside("A"))),
    "case of a folder": ("same-name-twice", file(inside("m/a")) + file(inside("M/b"))),
    "composed and not": ("same-name-twice", file(inside("\u00e9")) + file(inside("e\u0301"))),
    "sharp s": ("same-name-twice", file(inside("stra\u00dfe")) + file(inside("STRASSE"))),
    "file as folder": ("file-and-folder", GOOD + file(inside("a/b"))),
    "folder as file": ("file-and-folder", file(inside("a/b")) + GOOD),
    "folder entry over file": ("file-and-folder", GOOD + folder(inside("a"))),
    "file with a folder's name": ("file-and-folder", raw_header(name=b"tiny_v1.0/a/", size=b"0" * 11 + b"\0")),
    # Names that are no names, somewhere.
    "newline": ("odd-character", file(inside("a\nb"))),
    "escape": ("odd-character", file(inside("a\x1b[2Jb"))),
    "right to left": ("odd-character", file(inside("a\u202egpj.exe"))),
    "zero width": ("odd-character", GOOD + file(inside("a\u200b"))),
    "latin-1": ("odd-character", raw_header(name=b"tiny_v1.0/\xe9") + block(b"data")),
    "NUL in a long name": ("odd-character", long_name(b"tiny_v1.0/a\0b\0") + GOOD),
    "NUL in pax": ("odd-character", pax(("path", b"tiny_v1.0/a\0b")) + GOOD),
    "CON": ("device-name", file(inside("CON"))),
    "nul.txt": ("device-name", file(inside("meshes/nul.txt"))),
    "COM¹": ("device-name", file(inside("com\u00b9.obj"))),
    "stream": ("colon-in-name", file(inside("a:hidden"))),
    "trailing dot": ("not-portable", file(inside("a."))),
    "trailing space": ("not-portable", file(inside("m /a"))),
    "wildcard": ("not-portable", file(inside("a*"))),
    "short name": ("not-portable", file(inside("MESHES~1/a"))),
    "long part": ("path-too-long", long_name(b"tiny_v1.0/" + b"n" * 256 + b"\0") + GOOD),
    "long path": ("path-too-long", long_name(b"tiny_v1.0/" + b"nnn/" * 30 + b"n" * 250 + b"/" + b"m" * 250) + GOOD),
    "deep": ("path-too-deep", long_name(b"tiny_v1.0/" + b"d/" * 40 + b"a") + GOOD),
    "record as folder": ("reserved-name", file(inside(".inventory.json/a"))),
    "record as folder entry": ("reserved-name", folder(inside("Inventory.JSON"))),
    # The top folder.
    "second top folder": ("wrong-top-folder", GOOD + file("other_v1.0/a")),
    "top folder in other case": ("wrong-top-folder", GOOD + file("TINY_v1.0/b")),
    "another top folder": ("wrong-top-folder", file("other_v1.0/a")),
    "no top folder": ("outside-top-folder", file("a")),
    "file in place of the top folder": ("outside-top-folder", file(ROOT)),
    # Headers that contradict themselves or lie.
    "negative size": ("odd-size", raw_header(b"-0000000004\0")),
    "negative binary size": ("odd-size", raw_header(b"\xff" * 12)),
    "negative pax size": ("odd-size", pax(("size", b"-4")) + GOOD),
    "pax size in letters": ("odd-size", pax(("size", b"4e9")) + GOOD),
    "pax size in other digits": ("odd-size", pax(("size", "\u0664".encode())) + GOOD),
    "huge pax size": ("too-large", pax(("size", b"9" * 18)) + GOOD),
    "huge binary size": ("too-large", raw_header(b"\x80" + b"\x7f" * 11)),
    "folder with bytes": ("odd-size", header(inside("m"), 4, b"5") + block(b"data")),
    "pax path out": ("parent-folder", pax(("path", b"tiny_v1.0/../../evil")) + GOOD),
    "pax path absolute": ("absolute-path", pax(("path", b"/tmp/evil")) + GOOD),
    "pax path twice": ("odd-header", pax(("path", b"tiny_v1.0/b"), ("path", b"/evil")) + GOOD),
    "pax without newline": ("odd-header", pax(raw=b"12 path=evil") + GOOD),
    "pax of no length": ("odd-header", pax(raw=b"0 path=evil\n") + GOOD),
    "pax too long": ("odd-header", pax(raw=b"99 path=evil\n") + GOOD),
    "pax in letters": ("odd-header", pax(raw=b"ab path=evil\n") + GOOD),
    "pax for nobody": ("odd-header", GOOD + pax(("path", b"tiny_v1.0/b"))),
    "pax for everybody": ("odd-header", pax(("path", b"tiny_v1.0/b"), kind=b"g") + GOOD),
    "two pax headers": ("odd-header", pax(("path", b"tiny_v1.0/b")) * 2 + GOOD),
    "pax and long name": ("odd-header", pax(("path", b"tiny_v1.0/b")) + long_name(b"c") + GOOD),
    "long name out": ("parent-folder", long_name(b"tiny_v1.0/../../evil\0") + GOOD),
    "two long names": ("odd-header", long_name(b"tiny_v1.0/b\0") * 2 + GOOD),
    "long name of megabytes": ("header-too-large", header("././@LongLink", 1 << 30, b"L")),
    "pax of megabytes": ("header-too-large", header("././@PaxHeader", 1 << 30, b"x")),
    "damaged header": ("damaged-archive", GOOD + b"\1" + header(inside("b"))[1:]),
    "no octal number": ("damaged-archive", GOOD + raw_header(b"4e9zzzzzzzz\0")),
    # Too much, or nothing.
    "too many members": ("too-many-members", b"".join(file(inside(str(i)), b"") for i in range(9))),
    "too many folders": ("too-many-members", folder(inside("m")) * 9),
    "large in sum": ("too-large", b"".join(file(inside(str(i)), bytes(1 << 18)) for i in range(5))),
    "nothing": ("empty-archive", b""),
    "folders only": ("empty-archive", folder(ROOT) + folder(inside("m"))),
    "junk only": ("empty-archive", file("._tiny_v1.0") + file(inside(".DS_Store"))),
    "tar after tar": ("trailing-data", GOOD + END + file(inside("b"))),
    "text after tar": ("trailing-data", GOOD + END + b"and more"),
}  # fmt: skip


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Return an empty folder among things that must stay as they are."""
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "file").write_bytes(b"mine")
    (tmp_path / "evil").write_bytes(b"mine")
    path = tmp_path / "downloads" / "target"
    path.mkdir(parents=True)
    return path


def snapshot(base: Path, target: Path) -> dict[str, bytes | None]:
    """Return everything below a folder but what is in the target."""
    return {
        str(path.relative_to(base)): path.read_bytes() if path.is_file() else None
        for path in sorted(base.rglob("*"))
        if target not in path.parents
    }


def refuse(data: bytes, target: Path, limits: Limits = SMALL) -> InvalidAtlasError:
    """Unpack what must be refused; check that nothing else changed and all that is new is plain."""
    base = target.parents[1]
    before = snapshot(base, target)
    with pytest.raises(InvalidAtlasError) as caught:
        unpack(io.BytesIO(data), target, where="https://host/x.tar.gz", root=ROOT, limits=limits)
    assert snapshot(base, target) == before
    assert not [path for path in target.rglob("*") if path.is_symlink() or path.is_fifo()]
    assert str(caught.value).startswith("https://host/x.tar.gz is not a valid atlas: ")
    return caught.value


@pytest.mark.parametrize("packed", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(("code", "members"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_member_is_refused(
    code: str, members: bytes, packed: Callable[[bytes], bytes], target: Path
) -> None:
    """Each trick is named by its code, and nothing outside the target is made or changed."""
    roomy = Limits(members=8, total_bytes=1 << 20, header_bytes=4096)
    error = refuse(packed(members + END), target, roomy)
    assert [(finding.code, finding.severity) for finding in error.findings] == [(code, "error")]


@pytest.mark.parametrize(
    "name", ["zip", "7z", "html", "s3", "lfs", "json", "text", "noise", "none", "zero"]
)
def test_what_is_no_archive_is_called_by_its_name(name: str, target: Path) -> None:
    """A server's error page or a wrong file says what it is instead of what byte is odd."""
    data, said = {
        "zip": (b"PK\x03\x04" + bytes(600), "a zip archive"),
        "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(600), "a 7z archive"),
        "html": (b"\n <!DOCTYPE html><html>Log in" + b" " * 600, "an HTML page"),
        "s3": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "an XML page"),
        "lfs": (b"version https://git-lfs.github.com/spec/v1\noid ...", "Git LFS pointer"),
        "json": (b'{"message": "Not Found"}', "JSON text"),
        "text": (b"Bad Gateway", "text ('Bad Gateway')"),
        "noise": (bytes(range(255, 0, -1)) * 4, "something else (it begins ff fe fd"),
        "none": (b"", "It is empty"),
        "zero": (bytes(10240), "without a file"),
    }[name]  # fmt: skip
    error = refuse(data, target)
    assert said in str(error)
    assert error.findings[0].code == ("empty-archive" if name == "zero" else "not-an-archive")
    if data:
        inner = refuse(gzip.compress(data), target)
        assert inner.findings[0].code == error.findings[0].code
        assert said.partition(" (")[0] in str(inner)


@pytest.mark.parametrize(
    "compress", [gzip.compress, bz2.compress, lzma.compress], ids=["gz", "bz2", "xz"]
)
def test_a_bomb_stops_at_the_limit(compress: Callable[[bytes], bytes], target: Path) -> None:
    """What expands beyond the limit ends there, whether it is a file or padding after the end."""
    limits = Limits(grace_bytes=1 << 20, ratio=20)
    for members in (file(inside("a"), bytes(1 << 25)), GOOD + END + bytes(1 << 25)):
        error = refuse(compress(members + END), target, limits)
        assert error.findings[0].code == "too-compressed"
        assert sum(path.stat().st_size for path in target.rglob("a")) < 1 << 22
        for path in sorted(target.rglob("*"), reverse=True):
            path.unlink()


def test_a_tar_of_zeros_without_end_stops(target: Path) -> None:
    """Padding is bounded too, so a server cannot keep a client reading for ever."""

    class Endless:
        sent = GOOD

        def read(self, size: int, /) -> bytes:
            data, self.sent = self.sent, b""
            return data or bytes(size)

    with pytest.raises(InvalidAtlasError, match="too-large"):
        unpack(Endless(), target, where="x", limits=SMALL)


def test_what_is_in_the_way_is_not_written_over(target: Path) -> None:
    """A link someone put into the target is not followed, neither as a file nor as a folder."""
    outside = target.parents[1] / "beside"
    try:
        (target / "a").symlink_to(outside / "file")
        (target / "m").symlink_to(outside, target_is_directory=True)
    except OSError:
        pytest.skip("this account may not make symbolic links")
    for members in (GOOD, file(inside("m/new"))):
        with pytest.raises(FileExistsError):
            unpack(io.BytesIO(members + END), target, where="x")
    assert (outside / "file").read_bytes() == b"mine"
    assert not (outside / "new").exists()


ATLAS = b"".join((
    folder(ROOT + "/"), file(inside("metadata.json"), b'{"name": "tiny"}'),
    long_name(b"tiny_v1.0/meshes/" + b"n" * 120 + b"\0"), file(inside("x"), bytes(range(256)) * 9),
    pax(("path", b"tiny_v1.0/meshes/2.obj"), ("mtime", b"1.5")), file(inside("x"), b"v 1 2 3\n" * 99),
    file(inside("empty"), b""), END,
))  # fmt: skip
PACKED = {
    "plain": ATLAS,
    "gzip": gzip.compress(ATLAS),
    "two gzip members": gzip.compress(ATLAS[:2000]) + gzip.compress(ATLAS[2000:]),
    "bzip2": bz2.compress(ATLAS),
    "xz": lzma.compress(ATLAS),
}


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Return new empty folders."""
    return lambda: tmp_path_factory.mktemp("target")


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("form", PACKED)
def test_an_archive_cut_at_any_byte_is_incomplete(form: str, scratch: Callable[[], Path]) -> None:
    """Wherever the stream ends, that is said; a tar may lack only the second of its end blocks."""
    data = PACKED[form]
    whole = len(data) - 512 if form == "plain" else len(data)

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(1, whole - 1))
    def cut(length: int) -> None:
        """Cut at one byte."""
        with pytest.raises(AtlasError) as caught:
            unpack(io.BytesIO(data[:length]), scratch(), where="x.tar")
        if length > 512:
            assert isinstance(caught.value, IncompleteAtlasError), caught.value
            assert f"({length:,} bytes of the archive arrived)" in str(caught.value)

    cut()


@pytest.mark.parametrize("form", ["gzip", "bzip2", "xz"])
def test_a_flipped_bit_is_found_or_harmless(form: str, scratch: Callable[[], Path]) -> None:
    """Compressed archives check themselves: no damage gives other files than were packed."""
    data = PACKED[form]
    sound = scratch()
    unpack(io.BytesIO(data), sound, where="x")

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, len(data) * 8 - 1))
    def flip(bit: int) -> None:
        """Flip one bit."""
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        folder = scratch()
        try:
            unpack(io.BytesIO(bytes(damaged)), folder, where="x")
        except AtlasError:
            return
        assert contents(folder) == contents(sound)  # the flip was in gzip's own header

    flip()


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, len(ATLAS) - 1), st.binary(min_size=1, max_size=12)), max_size=3
    ),
    st.booleans(),
)
def test_a_garbled_tar_never_crashes_nor_escapes(
    edits: list[tuple[int, bytes]], mend: bool
) -> None:
    """Random bytes in a plain tar, checksums mended or not, are refused or unpacked below."""
    import tempfile

    data = bytearray(ATLAS)
    for at, new in edits:
        data[at : at + len(new)] = new[: len(data) - at]
        start = at - at % 512
        if mend:
            head = data[start : start + 512]
            head[148:156] = b" " * 8
            data[start + 148 : start + 156] = b"%06o\0 " % sum(head)
    with tempfile.TemporaryDirectory() as base:
        target = Path(base, "a", "target")
        target.mkdir(parents=True)
        with contextlib.suppress(AtlasError):
            unpack(io.BytesIO(bytes(data)), target, where="x", limits=SMALL)
        assert [path.name for path in Path(base).iterdir()] == ["a"]
        assert [path.name for path in Path(base, "a").iterdir()] == ["target"]


def test_a_wrong_checksum_of_gzip_is_found_at_the_very_end(target: Path) -> None:
    """The stream is read to its end, beyond the tar's, so gzip's own check is made."""
    data = bytearray(gzip.compress(ATLAS))
    data[-8] ^= 1
    error = refuse(bytes(data), target)
    assert error.findings[0].code == "damaged-archive"
    assert "gzip data is damaged" in str(error)


@pytest.mark.parametrize("tail", [b"junk", b"\0\0junk", ATLAS], ids=["text", "padded text", "tar"])
def test_junk_after_the_compressed_data_is_refused(tail: bytes, target: Path) -> None:
    """Zeros may pad a compressed file, as tapes do; anything else says that files were mixed up."""
    error = refuse(gzip.compress(ATLAS) + tail, target)
    assert error.findings[0].code == "trailing-data"


def test_the_trick_is_told_even_if_the_archive_is_broken_behind_it(target: Path) -> None:
    """Of two faults the first one in the archive is told."""
    data = gzip.compress(file("../evil") + END)
    assert refuse(data[:-4], target).findings[0].code == "parent-folder"
