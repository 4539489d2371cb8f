"""The folder of a layer in which this library works: parts, half-made atlases, locks.

Everything in it may be removed when no process is at work; ``prune`` does.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bg_atlasapi.store import disk, inventory, process_lock

# Source: https://bford.info/cachedir/
_TAG_NAME = "CACHEDIR.TAG"
_TAG = """Signature: 8a477f597d28d172789f06886806bc55
# This folder holds brain atlases that can be downloaded again.
# See https://bford.info/cachedir/
"""


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where one layer is worked on.

    Parameters
    ----------
    layer
        The folder of atlases that is written to.
    downloads
        Folder for downloads under way; the layer's own unless the settings name another.
    """

    layer: Path
    downloads: Path

    @classmethod
    def of(cls, layer: Path, interm_download_dir: Path | None = None) -> Workshop:
        """Return the workshop of a layer."""
        return cls(layer, (interm_download_dir or layer) / inventory.OWN_FOLDER / "downloads")

    def parts(self, url: str, name: str) -> Path:
        """Return the folder for the parts of one download."""
        return self.downloads / f"{name}-{hashlib.sha256(url.encode()).hexdigest()[:12]}"

    @property
    def staging(self) -> Path:
        """Where atlases are put together before they are renamed into place."""
        return self.layer / inventory.OWN_FOLDER / "staging"

    @contextlib.contextmanager
    def staged(self, name: str) -> Iterator[Path]:
        """Make a folder for one atlas, which is removed if it is still there in the end."""
        self.clear_abandoned()
        folder = self.staging / disk.unique(name)
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            with contextlib.suppress(OSError):
                disk.remove(folder)

    def clear_abandoned(self) -> None:
        """Remove what processes of this machine left behind when they were killed."""
        for left in self.leftovers():
            if disk.maker_is_gone(left.name):
                with contextlib.suppress(OSError):
                    disk.remove(left)

    def leftovers(self) -> list[Path]:
        """Return everything half-made: atlases, and small files that were being written."""
        own = self.layer / inventory.OWN_FOLDER
        folders = (self.layer, *own.glob("*/"))
        beside = (one for folder in folders for one in folder.glob(".*~*~*~*"))
        made = self.staging.iterdir() if self.staging.is_dir() else ()
        return sorted({*made, *beside})

    def is_busy(self) -> bool:
        """Say whether some process is at work, as far as locks tell."""
        locks = self.layer / inventory.OWN_FOLDER / "locks"
        return any(process_lock.held(lock) for lock in locks.glob("*.lock"))

    @contextlib.contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Wait until no other process works on an atlas of this name."""
        lock = self.layer / inventory.OWN_FOLDER / "locks" / f"{name}.lock"
        with process_lock.waiting(lock):
            yield

    def tag(self) -> None:
        """Tell backup programs that the layer is a cache, as long as all in it was downloaded."""
        path = self.layer / _TAG_NAME
        if self._holds_more():
            with contextlib.suppress(OSError, ValueError):
                if path.read_text(encoding="utf-8") == _TAG:
                    path.unlink()
        elif not path.exists():
            disk.write_text(path, _TAG)

    def _holds_more(self) -> bool:
        """Say whether there is anything that this library did not bring."""
        kept = self.layer / inventory.OWN_FOLDER / "inventories"
        brought = {
            path.stem
            for path in kept.glob("*.json")
            if (name := path.stem.rpartition("_v"))[0]
            and (known := inventory.load(self.layer, name[0], name[2])) is not None
            and known.origin
        }
        store = self.layer / inventory.COMPONENT_STORE
        here = {
            f"{path.parent.parent.name}_v{inventory.version_of_folder(path.parent.name)}"
            for path in store.glob("atlases/*/*/manifest.json")
        }
        here |= {one.name for one in self.layer.iterdir() if not one.name.startswith(".")}
        return not here - {store.name, _TAG_NAME} <= brought


def swap(new: Path, target: Path, old: Path | None) -> bool:
    """Rename a finished folder into place.

    Parameters
    ----------
    new
        The finished folder.
    target
        Its place.
    old
        A name that is free, to which what is there already is moved first; None leaves it there.

    Returns
    -------
    bool
        False if another process had put one there in the meantime; then ``new`` stays.
    """
    if old is not None:
        with contextlib.suppress(FileNotFoundError):
            target.rename(old)
    try:
        new.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        return False
    disk.sync_folder(target.parent)
    return True
