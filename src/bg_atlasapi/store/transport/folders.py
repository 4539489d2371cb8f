"""Files of a folder on this machine, or of one that is mounted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from bg_atlasapi.errors import RefusedError, RemoteError, StorageError
from bg_atlasapi.store.transport.sources import BLOCK, Listed, Reply, Source


class FolderSource(Source):
    """A folder on this machine, or one that is mounted."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder))
        self.folder = folder

    def below(self, prefix: str) -> Source:
        """Return the source of a folder, as in ``Source``."""
        return FolderSource(self._path(prefix))

    def url(self, key: str) -> str:
        """Return the path of a file."""
        return str(self._path(key))

    def _path(self, key: str) -> Path:
        if ".." in key.split("/") or key.startswith("/"):
            message = f"{key!r} leads out of {self.folder}."
            raise RefusedError(message, 404)
        return self.folder / key

    def open(
        self, key: str, start: int = 0, stop: int | None = None, validator: str | None = None
    ) -> Reply:
        """Start to read a file, as in ``Source``."""
        path = self._path(key)
        with _explained(path):
            found = path.stat()
            file = path.open("rb")
            now = f"{found.st_mtime_ns}-{found.st_size}"
            begins = start if validator in {None, now} else 0
            file.seek(begins)
        end = found.st_size if stop is None or begins != start else min(stop, found.st_size)

        def blocks() -> Iterator[bytes]:
            left = end - begins
            with _explained(path):
                while left > 0 and (block := file.read(min(BLOCK, left))):
                    left -= len(block)
                    yield block
            file.close()

        size = found.st_size
        return Reply(begins, size, now, True, Listed(key, size), blocks(), file.close)  # noqa: FBT003 - a plain record

    def size(self, key: str) -> int | None:
        """Ask for a size, as in ``Source``."""
        path = self._path(key)
        with _explained(path):
            return path.stat().st_size

    def files(self, prefix: str) -> Iterator[Listed]:
        """List files, as in ``Source``."""
        top = self._path(prefix)
        if not top.is_dir():
            return
        for place, folders, files in os.walk(top):
            folders.sort()
            for name in sorted(files):
                path = Path(place) / name
                key = path.relative_to(self.folder).as_posix()
                with _explained(path):
                    yield Listed(key, path.stat().st_size)

    def folders(self, prefix: str) -> list[str]:
        """List folders, as in ``Source``."""
        top = self._path(prefix)
        with _explained(top):
            return sorted(one.name for one in top.iterdir() if one.is_dir()) if top.is_dir() else []


class _explained:  # noqa: N801 - used with "with"
    """Turn the system's errors of reading a folder into this library's."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError):
            message = f"There is no file {self._path}."
            raise RefusedError(message, 404) from error
        if isinstance(error, OSError) and not isinstance(error, RemoteError | StorageError):
            message = f"{self._path} cannot be read: {error.strerror or error}."
            raise RefusedError(message) from error
