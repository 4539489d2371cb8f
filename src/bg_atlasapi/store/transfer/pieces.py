"""What the pieces in a folder are pieces of, as it is written beside them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from bg_atlasapi.store import disk
from bg_atlasapi.store.transport.numbers import LARGEST, whole_number

STATE = "state.json"
ENDLESS = 1 << 62
_MOST_PIECES = 1 << 23


@dataclass(frozen=True, slots=True)
class State:
    """What the pieces in a folder are pieces of."""

    url: str
    validator: str | None
    size: int | None
    ranges: bool
    piece: int
    sha256: str | None
    md5: str | None

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """Read what was written, None if it is nothing that can be gone on with."""
        try:
            stored = json.loads((folder / STATE).read_bytes())
            state = cls(**stored)
        except (OSError, ValueError, TypeError, RecursionError):
            return None
        return state if state._is_sound() else None

    def save(self, folder: Path) -> None:
        """Write it, whole or not at all."""
        disk.write_text(folder / STATE, json.dumps(asdict(self)))

    def _is_sound(self) -> bool:
        texts: tuple[object, ...] = (self.validator, self.sha256, self.md5)
        size, piece = self.size, self.piece
        if not all(isinstance(text, str | None) for text in texts):
            return False
        if type(size) is not int or type(piece) is not int or type(self.ranges) is not bool:
            return False
        return 0 <= size <= LARGEST and piece > 0 and size <= piece * _MOST_PIECES

    def length(self, piece: int) -> int:
        """Return how long a piece becomes; endless where the size is not known."""
        if self.size is None:
            return ENDLESS
        return min(self.piece, self.size - piece * self.piece)

    @property
    def pieces(self) -> range:
        """The numbers of all pieces."""
        return range(1 if self.size is None else -(-self.size // self.piece))

    def here(self, folder: Path) -> dict[int, int]:
        """Return how long the pieces are that are here, by number."""
        found: dict[int, int] = {}
        for path in folder.iterdir():
            name = path.name
            number = whole_number(name)
            if number in self.pieces and str(number) == name:
                found[int(name)] = path.stat().st_size
        return found
