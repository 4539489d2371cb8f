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
        for folder in self.leftovers():
            if disk.maker_is_gone(folder.name):
                with contextlib.suppress(OSError):
                    disk.remove(folder)

    def leftovers(self) -> list[Path]:
        """Return everything half-made."""
        return sorted(self.staging.iterdir()) if self.staging.is_dir() else []

    @contextlib.contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Wait until no other process works on an atlas of this name."""
        lock = self.layer / inventory.OWN_FOLDER / "locks" / f"{name}.lock"
        with process_lock.waiting(lock):
            yield

    def tag(self) -> None:
        """Tell backup programs that the layer is a cache, unless it holds what others made."""
        path = self.layer / "CACHEDIR.TAG"
        kept = self.layer / inventory.OWN_FOLDER / "inventories"
        known = {one.stem for one in kept.glob("*.json")} if kept.is_dir() else set()
        by_hand = [one for one in self.layer.glob("*_v*") if one.name not in known]
        if not path.exists() and not by_hand:
            disk.write_text(path, _TAG)


def swap(new: Path, target: Path, old: Path) -> bool:
    """Rename a finished folder into place.

    Parameters
    ----------
    new
        The finished folder.
    target
        Its place. What is there already is moved to ``old`` first.
    old
        A name that is free.

    Returns
    -------
    bool
        False if another process had put one there in the meantime; then ``new`` stays.
    """
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
