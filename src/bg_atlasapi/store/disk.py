"""Write, remove and measure: small files whole or not at all, and errors that say what to do.

Nothing here knows what an atlas is. The system's errors become ``StorageError`` in one place, so
that "disk full" and "not writable" read the same wherever they happen. Bringing large amounts to
the disk before a rename is ``archive_settle``'s.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from bg_atlasapi.errors import StorageError

_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_CLOSED = {errno.EACCES, errno.EPERM, errno.EROFS}
ELSEWHERE = (
    "Choose another folder with BRAINGLOBE_DIR or 'brainglobe config -k brainglobe_dir -v FOLDER'."
)


def unique(name: str) -> str:
    """Return a name no other process uses, which tells who made it: ``name~host~pid~random``."""
    return f"{name}~{_host()}~{os.getpid()}~{os.urandom(4).hex()}"


@functools.cache
def _host() -> str:
    """Name what process ids are counted in: a machine, on Linux also the container."""
    import platform

    name = "".join(c if c.isalnum() else "-" for c in platform.node())[:40]
    with contextlib.suppress(OSError):  # containers can have the name of their host
        space = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - no path, "pid:[4026531836]"
        name += "-" + "".join(c for c in space if c.isdigit())
    return name


def maker_is_gone(name: str) -> bool:
    """Say whether the process that made a ``unique`` name has certainly ended.

    False for other machines' names: their processes cannot be seen from here.
    """
    parts = name.rsplit("~", 3)
    mine = len(parts) == 4 and parts[1] == _host() and parts[2].isdigit()
    if os.name != "posix" or not mine:
        return False
    try:
        os.kill(int(parts[2]), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def maker_is_at_work(name: str) -> bool:
    """Say whether the process that made a ``unique`` name certainly is on this machine still."""
    parts = name.rsplit("~", 3)
    mine = len(parts) == 4 and parts[1] == _host() and parts[2].isdigit()
    return os.name == "posix" and mine and not maker_is_gone(name)


def write_text(path: Path, text: str) -> None:
    """Write a small file, whole or not at all, making its folder if need be."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes, *, lasting: bool = True) -> None:
    """Write a small file, whole or not at all, making its folder if need be.

    Parameters
    ----------
    path
        Where to.
    data
        What to write.
    lasting
        Wait until it is on the disk. A file that says itself whether it is whole, and can be made
        again, need not: only where the power fails is it lost.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(unique(f".{path.name}"))
    try:
        with beside.open("wb") as file:
            file.write(data)
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the system lets us."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove(path: Path) -> None:
    """Remove a file or a folder with everything in it; what is gone already is fine."""
    import shutil

    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, onerror=_unlocked)
    else:
        path.unlink(missing_ok=True)


def _unlocked(
    function: object, path: str, info: tuple[type[BaseException], BaseException, object]
) -> None:
    if isinstance(info[1], FileNotFoundError):  # another process was faster
        return
    if not callable(function) or not isinstance(info[1], PermissionError):
        raise info[1]
    Path(path).parent.chmod(stat.S_IRWXU)  # a read-only folder inside, ours to remove all the same
    function(path)


def is_writable(folder: Path) -> bool:
    """Say whether files can be made in a folder, or in the nearest one above that exists."""
    for place in (folder, *folder.parents):
        if place.exists():
            return place.is_dir() and os.access(place, os.W_OK | os.X_OK)
    return False


def free_bytes(folder: Path) -> int | None:
    """Return the free space where a folder is, or would be; None if the system does not say."""
    import shutil

    for place in (folder, *folder.parents):
        with contextlib.suppress(OSError):
            return shutil.disk_usage(place).free
    return None


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    total = 0
    for one in [path, *path.rglob("*")] if path.is_dir() else [path]:
        with contextlib.suppress(OSError):
            total += one.lstat().st_size if not one.is_dir() else 0
    return total


@contextlib.contextmanager
def explained(
    folder: Path, what: str, needed: int = 0, kept: str = "", advice: str = ELSEWHERE
) -> Iterator[None]:
    """Turn the system's errors of writing into sentences.

    Parameters
    ----------
    folder
        Where is being written.
    what
        What for, for example ``"install allen_mouse_25um"``.
    needed
        Bytes that will be needed, 0 if not known.
    kept
        A sentence on what remains for the next try.
    advice
        A sentence on what to do.

    Raises
    ------
    StorageError
        For a full disk or a folder that cannot be written to.
    """
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        # numpy tells of a write that fell short without the system's number for it.
        fell_short = error.errno is None and "requested and" in str(error)
        if error.errno in _FULL or fell_short:
            raise full_disk(folder, what, needed, kept, advice) from error
        if error.errno in _CLOSED:
            inside = folder in Path(os.fsdecode(error.filename or folder)).parents
            place = folder if inside else error.filename or folder
            message = f"Cannot {what}: {place} is not writable ({error.strerror}). {advice}"
            raise StorageError(message) from error
        raise


def full_disk(
    folder: Path, what: str, needed: int, kept: str = "", advice: str = ELSEWHERE
) -> StorageError:
    """Return the error of a full disk, with figures."""
    free = free_bytes(folder)
    # What was half-made is removed again by now, so what is free did not do.
    need = f"{needed:,}" if needed or free is None else f"more than {free:,}"
    room = "" if free is None else f", {free:,} bytes free"
    detail = f"{need} bytes needed{room}"
    message = f"Cannot {what}: the disk of {folder} is full ({detail}). {kept} {advice}"
    return StorageError(" ".join(message.split()))
