"""The archive of a package, ``<name>_v<version>.tar.gz``: what a static web server publishes.

1.x and this library install from it. The index and the inventory that go with it are the business
of ``store.inventories``. The same package gives the same bytes.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

from bg_atlasapi.model.parallel import over_blocks
from bg_atlasapi.store import disk
from bg_atlasapi.store.transfer.progress import Report, Tally, silent

_LEVEL = 5
# Compressed apart, on all cores; gzip files may follow each other in one.
_BLOCK = 8 << 20
_AT_ONCE = 8
_PACK = "pack"


def archive(folder: Path, target: Path, report: Report = silent) -> Path:
    """Write the archive of a package, whole or not at all; replaces an older one.

    Parameters
    ----------
    folder
        Of the package, ``<name>_v<version>``.
    target
        Folder for it; not the package's own: 1.x would take the two for two versions.
    report
        Told of the bytes.
    """
    path = target / f"{folder.name}.tar.gz"
    target.mkdir(parents=True, exist_ok=True)
    files = sorted(one for one in folder.rglob("*") if one.is_file())
    tally = Tally(report, _PACK, sum(one.stat().st_size for one in files))
    advice = "Choose another folder with -o."
    with disk.explained(path.parent, f"write {path.name}", advice=advice):
        beside = path.with_name(disk.unique(f".{path.name}"))
        try:
            with beside.open("wb") as out:
                packed = _Packed(out)
                with tarfile.open(
                    fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT, bufsize=1 << 20
                ) as tar:
                    for one in files:
                        _put(tar, one, folder.parent)
                        tally.add(one.stat().st_size)
                        tally.say()
                packed.finish()
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    return path


def _put(tar: tarfile.TarFile, path: Path, base: Path) -> None:
    member = tarfile.TarInfo(path.relative_to(base).as_posix())
    member.size, member.mode = path.stat().st_size, 0o644
    with path.open("rb") as file:
        tar.addfile(member, file)


class _Packed(io.RawIOBase):
    """A file that compresses what is written to it in blocks, several at a time."""

    def __init__(self, out: io.BufferedWriter) -> None:
        super().__init__()
        self._out, self._held = out, bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        view = memoryview(data)  # type: ignore[arg-type]
        self._held += view
        if len(self._held) >= _AT_ONCE * _BLOCK:
            self._flush(_AT_ONCE * _BLOCK)
        return len(view)

    def finish(self) -> None:
        """Write what is left."""
        self._flush(len(self._held))

    def _flush(self, size: int) -> None:
        whole = bytes(self._held[:size])
        del self._held[:size]

        def one(part: slice) -> bytes:
            return gzip.compress(whole[part], _LEVEL, mtime=0)

        for packed in over_blocks(one, len(whole), _BLOCK):
            self._out.write(packed)
