from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import stat
import sys
import tarfile
import threading
from pathlib import Path

import pytest

from bg_atlasapi.errors import IncompleteAtlasError, InvalidAtlasError
from bg_atlasapi.store.archive import codecs as archive_codecs
from bg_atlasapi.store.archive.unpacking import RESERVED, Limits, Member, settle, unpack

FILES = {
    "metadata.json": b'{"name": "tiny"}',
    "annotation.tiff": bytes(range(256)) * 12_000,  # more than one piece
    "meshes/1.obj": b"v 0 0 0\n",
    "meshes/empty.obj": b"",
    "a/b/c/" + "n" * 120: b"deep",
    "µm.txt": "µ".encode(),
}
FORMATS = {
    "plain": bytes,
    "gzip": gzip.compress,
    "gzip members": lambda data: b"".join(
        gzip.compress(data[i : i + 999_999]) for i in range(0, len(data), 999_999)
    ),
    "padded gzip": lambda data: gzip.compress(data) + bytes(700),
    "bzip2": bz2.compress,
    "bzip2 streams": lambda data: bz2.compress(data[:1000]) + bz2.compress(data[1000:]),
    "xz": lzma.compress,
    "padded xz streams": lambda data: lzma.compress(data[:1000]) + bytes(8) + lzma.compress(data[1000:]),
}  # fmt: skip


def tar(files: dict[str, bytes], root: str = "tiny_v1.0", kind: int = tarfile.PAX_FORMAT) -> bytes:
    """Pack files below a top folder."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as archive:
        if root:
            top = tarfile.TarInfo(root)
            top.type = tarfile.DIRTYPE
            archive.addfile(top)
        for name, data in files.items():
            info = tarfile.TarInfo(f"{root}/{name}" if root else name)
            info.size = len(data)
            info.mtime = 1.5 if kind == tarfile.PAX_FORMAT else 1
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


class Dribble:
    """A stream that gives a few bytes at a time, as a slow connection does."""

    def __init__(self, data: bytes, step: int) -> None:
        self._file = io.BytesIO(data)
        self._step = step

    def read(self, size: int, /) -> bytes:
        """Read less than was asked for."""
        return self._file.read(min(size, self._step))


@pytest.mark.parametrize("form", FORMATS)
def test_every_form_gives_the_same_files(form: str, tmp_path: Path) -> None:
    """What was packed comes out, each file with its size and hash, in archive order."""
    unpacked = unpack(io.BytesIO(FORMATS[form](tar(FILES))), tmp_path, where="x.tar")
    assert unpacked.root == "tiny_v1.0"
    assert contents(tmp_path) == FILES
    assert unpacked.members == tuple(
        Member(key, len(data), hashlib.sha256(data).hexdigest()) for key, data in FILES.items()
    )


def test_zstd_is_read_where_python_has_it(tmp_path: Path) -> None:
    """Python 3.14 brings zstd, backports.zstd brings it to older ones; frames may follow."""
    try:
        from compression import zstd
    except ImportError:
        zstd = pytest.importorskip("backports.zstd")
    data = tar(FILES)
    frames = zstd.compress(data[:5000]) + zstd.compress(data[5000:])
    unpack(io.BytesIO(frames), tmp_path, where="x")
    assert contents(tmp_path) == FILES
    with pytest.raises(IncompleteAtlasError, match="its zstd data breaks off"):
        unpack(
            io.BytesIO(frames[:-9]), tmp_path / "meshes" / "..", where="x", wanted=lambda _: False
        )


def test_a_missing_decompressor_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without zstd the message says what to install."""
    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    monkeypatch.setitem(sys.modules, "backports.zstd", None)
    with pytest.raises(InvalidAtlasError, match=r"zstd, which needs backports\.zstd") as caught:
        unpack(io.BytesIO(b"\x28\xb5\x2f\xfd" + bytes(600)), tmp_path, where="x")
    assert caught.value.findings[0].code == "no-decompressor"


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_dialect_of_tar_is_read(kind: int, tmp_path: Path) -> None:
    """POSIX, GNU and pax differ in long names and times; 130 characters fit each."""
    files = {"a" * 60 + "/" + "b" * 60: b"1", "c": b"2"}
    unpack(io.BytesIO(tar(files, kind=kind)), tmp_path, where="x")
    assert contents(tmp_path) == files


@pytest.mark.parametrize("step", [1, 7, 511, 513, 70_000])
def test_short_reads_are_no_end(step: int, tmp_path: Path) -> None:
    """Only an empty read is the end; a stream may give less than asked for."""
    files = {"a": b"x" * 3000, "b": b"y"}
    for form in ("plain", "gzip members", "padded xz streams"):
        folder = tmp_path / form
        folder.mkdir()
        unpack(Dribble(FORMATS[form](tar(files)), step), folder, where="x")
        assert contents(folder) == files


@pytest.mark.parametrize("prefix", ["./tiny_v1.0", "././/tiny_v1.0", "tiny_v1.0/."])
def test_dots_in_names_mean_nothing(prefix: str, tmp_path: Path) -> None:
    """``tar czf x.tgz ./folder`` begins each name with ``./``."""
    unpacked = unpack(io.BytesIO(tar({"m/a": b"1"}, prefix)), tmp_path, where="x", root="tiny_v1.0")
    assert [member.key for member in unpacked.members] == ["m/a"]
    assert contents(tmp_path) == {"m/a": b"1"}


def test_what_tools_leave_behind_is_left_out(tmp_path: Path) -> None:
    """What macOS adds: ``._x`` files, even before the top folder; old tars unpack pax headers as files."""
    files = {
        "._tiny_v1.0": b"Mac",
        "tiny_v1.0/a": b"1",
        "tiny_v1.0/._a": b"Mac",
        "tiny_v1.0/meshes/.DS_Store": b"Mac",
        "__MACOSX/tiny_v1.0/._a": b"Mac",
        "tiny_v1.0/PaxHeaders.4711/a": b"20 mtime=1234567890\n",
        "PaxHeader/tiny_v1.0": b"",
    }
    unpacked = unpack(io.BytesIO(tar(files, "")), tmp_path, where="x")
    assert [member.key for member in unpacked.members] == ["a"]
    assert contents(tmp_path) == {"a": b"1"}


def test_a_comment_for_all_members_is_accepted(tmp_path: Path) -> None:
    """``git archive`` writes the commit into a global header."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", pax_headers={"comment": "0" * 40}) as archive:
        info = tarfile.TarInfo("tiny_v1.0/a")
        archive.addfile(info)
    unpack(io.BytesIO(out.getvalue()), tmp_path, where="x")
    assert contents(tmp_path) == {"a": b""}


@pytest.mark.parametrize("name", [*sorted(RESERVED), ".Inventory.JSON"])
def test_our_own_records_are_not_taken_from_an_archive(name: str, tmp_path: Path) -> None:
    """A published inventory would vouch for itself; only one in a folder below is just a file."""
    files = {"a": b"1", name: b"forged", f"m/{name}": b"2"}
    unpacked = unpack(io.BytesIO(tar(files)), tmp_path, where="x")
    assert [member.key for member in unpacked.members] == ["a", f"m/{name}"]
    assert contents(tmp_path) == {"a": b"1", f"m/{name}": b"2"}


def test_only_wanted_files_are_written(tmp_path: Path) -> None:
    """A repair takes single files; no folder is made for the others."""
    unpacked = unpack(
        io.BytesIO(tar(FILES)), tmp_path, where="x", wanted=lambda key: key == "meshes/1.obj"
    )
    assert [member.key for member in unpacked.members] == ["meshes/1.obj"]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["1.obj", "meshes"]


def test_nothing_wanted_is_no_empty_archive(tmp_path: Path) -> None:
    """An archive that lacks what a repair looks for is read to its end all the same."""
    unpacked = unpack(io.BytesIO(tar(FILES)), tmp_path, where="x", wanted=lambda _: False)
    assert unpacked.members == ()
    assert list(tmp_path.iterdir()) == []


def test_progress_grows_to_the_size_of_all_files(tmp_path: Path) -> None:
    """Reported in the caller's thread, never less than before, all bytes at the end."""
    seen: list[tuple[int, int]] = []
    unpack(
        io.BytesIO(gzip.compress(tar(FILES))),
        tmp_path,
        where="x",
        written=lambda size: seen.append((size, threading.get_ident())),
    )
    sizes = [size for size, _ in seen]
    assert sizes == sorted(sizes)
    assert sizes[-1] == sum(map(len, FILES.values()))
    assert {thread for _, thread in seen} == {threading.get_ident()}


def test_progress_counts_what_is_left_out(tmp_path: Path) -> None:
    """A repair's progress reaches the end too."""
    seen: list[int] = []
    unpack(io.BytesIO(tar(FILES)), tmp_path, where="x", wanted=lambda _: False, written=seen.append)
    assert seen[-1] == sum(map(len, FILES.values()))


def test_the_stream_is_read_to_its_end(tmp_path: Path) -> None:
    """A downloader that counts or hashes the stream sees every byte, padding too."""
    stream = io.BytesIO(tar(FILES) + bytes(3_000_000))
    unpack(stream, tmp_path, where="x")
    assert stream.read() == b""


def test_a_single_end_block_is_an_end(tmp_path: Path) -> None:
    """Some writers leave the second one out; GNU tar only warns."""
    data = tar({"a": b"1"}).rstrip(b"\0")
    unpack(io.BytesIO(data.ljust(-len(data) % 512 + len(data) + 512, b"\0")), tmp_path, where="x")
    assert contents(tmp_path) == {"a": b"1"}


def test_the_top_folder_must_be_the_one_asked_for(tmp_path: Path) -> None:
    """An archive under the wrong URL does not become another atlas."""
    with pytest.raises(InvalidAtlasError, match=r"not in the top folder 'mouse_v1\.0'"):
        unpack(io.BytesIO(tar(FILES)), tmp_path, where="x", root="mouse_v1.0")


def test_empty_folders_are_kept(tmp_path: Path) -> None:
    """They are part of what was packed; repeating one is no error."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in ("t_v1.0/meshes", "t_v1.0/meshes", "t_v1.0"):
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE
            archive.addfile(info)
        archive.addfile(tarfile.TarInfo("t_v1.0/a"))
    unpack(io.BytesIO(out.getvalue()), tmp_path, where="x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "meshes"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_modes_are_ours_not_the_archives(tmp_path: Path) -> None:
    """Set-uid, no permission or all of them: files become 644 and folders 755, less the umask."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, mode in (("t/m/suid", 0o6777), ("t/m/closed", 0)):
            info = tarfile.TarInfo(name)
            info.mode = mode
            archive.addfile(info)
    before = os.umask(0o027)
    try:
        unpack(io.BytesIO(out.getvalue()), tmp_path, where="x")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert modes == {"m": 0o750, "suid": 0o640, "closed": 0o640}


class Broken:
    """A stream that fails after a while."""

    def __init__(self, data: bytes, error: BaseException) -> None:
        self._file = io.BytesIO(data)
        self._error = error

    def read(self, size: int, /) -> bytes:
        """Read, then fail."""
        data = self._file.read(size)
        if not data:
            raise self._error
        return data


@pytest.mark.parametrize("error", [ConnectionResetError(104, "reset"), KeyboardInterrupt()])
def test_what_the_stream_raises_passes_unchanged(error: BaseException, tmp_path: Path) -> None:
    """A lost connection or Ctrl-C is the caller's to handle, and leaves no thread behind."""
    threads = threading.active_count()
    with pytest.raises(type(error)) as caught:
        unpack(Broken(tar(FILES)[:100_000], error), tmp_path, where="x")
    assert caught.value is error
    assert threading.active_count() == threads


def test_a_full_disk_passes_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What writing raises is told as it is, however much of the archive is still to come."""

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bg_atlasapi.store.archive.unpacking._open_plainly", full)
    threads = threading.active_count()
    with pytest.raises(OSError, match="No space left") as caught:
        unpack(io.BytesIO(tar({"a": bytes(50_000_000)})), tmp_path, where="x")
    assert caught.value.errno == 28
    assert threading.active_count() == threads


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_disk_full_while_flushing_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small file fails only when its buffer is written, at closing."""
    monkeypatch.setattr(
        "bg_atlasapi.store.archive.unpacking._open_plainly",
        lambda *_: os.open("/dev/full", os.O_WRONLY),
    )
    with pytest.raises(OSError, match="No space left"):
        unpack(io.BytesIO(tar({"a": b"1"})), tmp_path, where="x")


def test_the_caller_can_stop_it(tmp_path: Path) -> None:
    """What ``written`` raises ends the unpacking."""

    class StopIt(Exception):  # noqa: N818
        pass

    def stop(_: int) -> None:
        raise StopIt

    with pytest.raises(StopIt):
        unpack(io.BytesIO(tar({"a": bytes(50_000_000)})), tmp_path, where="x", written=stop)


def test_memory_stays_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the disk, no more than a few pieces wait; none is larger than 1 MiB."""
    sizes: list[int] = []
    decoded = archive_codecs.Unpacking.pieces

    def watched(self: archive_codecs.Unpacking) -> object:
        for piece in decoded(self):
            sizes.append(len(piece))
            yield piece

    monkeypatch.setattr(archive_codecs.Unpacking, "pieces", watched)
    data = gzip.compress(tar({"a": bytes(40_000_000)}))
    unpack(io.BytesIO(data), tmp_path, where="x")
    assert max(sizes) <= archive_codecs.PIECE


def test_the_default_limits_let_real_volumes_pass(tmp_path: Path) -> None:
    """A volume of one value packs 1,000:1, which gzip cannot exceed; below 8 GiB that is no bomb."""
    limits = Limits()
    assert limits.grace_bytes + limits.ratio * 26_000_000 > 19_700_000_000  # 750:1, see Limits
    unpack(io.BytesIO(gzip.compress(tar({"a": bytes(30_000_000)}))), tmp_path, where="x")
    assert (tmp_path / "a").stat().st_size == 30_000_000


def test_a_message_says_where_it_broke_off(tmp_path: Path) -> None:
    """The file, its size, what arrived, and what to do."""
    data = tar({"a": b"x" * 5000})
    with pytest.raises(IncompleteAtlasError) as caught:
        unpack(io.BytesIO(data[:4000]), tmp_path, where="https://host/x.tar")
    assert str(caught.value) == (
        "https://host/x.tar is cut short: 'a' should have 5,000 bytes and has 1,952 "
        "(4,000 bytes of the archive arrived). Fetch it again."
    )


def test_settle_flushes_every_file_and_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file once, each folder that names one, up to the one given."""
    members = unpack(io.BytesIO(tar(FILES)), tmp_path, where="x").members
    flushed: list[tuple[int, int]] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        flushed.append((status.st_dev, status.st_ino))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    settle(tmp_path, [member.key for member in members])
    paths = [path for path in (tmp_path, *tmp_path.rglob("*")) if os.name != "nt" or path.is_file()]
    expected = [(path.stat().st_dev, path.stat().st_ino) for path in paths]
    assert sorted(flushed) == sorted(expected)


def test_settle_tells_what_the_disk_lost(tmp_path: Path) -> None:
    """A file that is not there is an error, not a success."""
    with pytest.raises(FileNotFoundError):
        settle(tmp_path, ["gone"])
