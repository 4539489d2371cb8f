"""What the values of a volume become in an atlas: ids that are exact, or a template of 16 bits.

Fed with blocks in any order. Labels that would change on the way, or that are no ids, are refused:
a label that is off by one is another region. What is odd about a template is mended and told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bg_atlasapi.build.validation.catalogue import found
from bg_atlasapi.errors import Finding, InvalidVolumeError
from bg_atlasapi.formats.image_sources import Scaled
from bg_atlasapi.formats.voxel_files import allocate
from bg_atlasapi.late import np

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

_MOST_ID = 2**32 - 1
_WHITE = 65535
# Below, every whole number has a float of its own; 2**24 + 1 has become 2**24.
_EXACT = {2: 2**11, 4: 2**24, 8: 2**53}
_BLOCK = 1 << 21


class LabelValues:
    """Labels, checked and kept exactly.

    Parameters
    ----------
    source
        What will be read; it gives the type.
    shape
        Of the array to fill.
    where
        The file, for messages.

    Attributes
    ----------
    array
        To be filled with what ``taken`` returns.
    stored
        What to read the blocks from.
    """

    scaling = (1.0, 0.0)

    def __init__(self, source: Any, shape: tuple[int, ...], where: str) -> None:
        self._where, self.stored = where, source
        self._dtype = np.dtype(source.dtype)
        small = self._dtype.kind in "bui" and self._dtype.itemsize <= 4
        kept = np.dtype(f"u{self._dtype.itemsize}" if small else "u4")
        self.array: Array = allocate(shape, kept, where)
        self._most = 0
        self._unfit: dict[str, _Unfit] = {}
        self.findings: list[Finding] = []

    def taken(self, block: Array) -> Array:
        """Return a block as it is; with 0 for what is no label, which ``finished`` refuses."""
        if self._dtype.kind == "f":
            with np.errstate(invalid="ignore"):
                finite = np.isfinite(block)
                block = self._without(block, "labels-not-finite", ~finite)
                block = self._without(block, "labels-not-whole", np.floor(block) != block)
        low, high = int(block.min()), int(block.max())
        if low < 0 or high > _MOST_ID:
            block = self._without(block, "labels-out-of-range", (block < 0) | (block > _MOST_ID))
            high = int(block.max())
        if self._dtype.kind == "f" and high >= _EXACT[self._dtype.itemsize]:
            block = self._without(block, "labels-inexact", block >= _EXACT[self._dtype.itemsize])
        self._most = max(self._most, high)
        return block

    def _without(self, block: Array, code: str, odd: Array) -> Array:
        """Return a block with 0 where something is odd, which is noted."""
        number = int(np.count_nonzero(odd))
        if not number:
            return block
        example = block[odd].reshape(-1)[0]
        known = self._unfit.setdefault(code, _Unfit(example))
        known.voxels += number
        return np.where(odd, np.zeros((), block.dtype), block)

    def finished(self) -> Array:
        """Return the array as the smallest type that holds all labels.

        Raises
        ------
        InvalidVolumeError
            If a label was not a whole number from 0 to 2**32 - 1, or may have been another one
            before it was stored as a float; carries a finding for each way to be no label.
        """
        if self._unfit:
            found = [self._told(code, unfit) for code, unfit in self._unfit.items()]
            raise InvalidVolumeError(self._where, found)
        smallest = next(kind for kind in ("u1", "u2", "u4") if self._most <= np.iinfo(kind).max)
        return self.array.astype(smallest, copy=False)

    def _told(self, code: str, unfit: _Unfit) -> Finding:
        voxels = f"{unfit.voxels:,} voxel{'s' if unfit.voxels != 1 else ''}"
        whole = code in {"labels-out-of-range", "labels-inexact"}
        value = str(int(unfit.example)) if whole else f"{unfit.example:g}"
        what = {
            "labels-not-finite": f"{value} where a label should be",
            "labels-not-whole": f"the value {value}, which is no id of a region",
            "labels-out-of-range": f"the label {value}; ids of regions are 0 to {_MOST_ID}",
            "labels-inexact": (
                f"the label {value} as {self._dtype.name}, which cannot tell it from its neighbours"
            ),
        }
        return found(code, f"{self._where} holds {what[code]} ({voxels}).", self._where)


@dataclass
class _Unfit:
    """Values of one kind that are no labels: one of them, and how many there are."""

    example: Any
    voxels: int = 0


class TemplateValues:
    """Grey values, as ``uint8`` or ``uint16``; parameters and attributes as of ``LabelValues``."""

    def __init__(self, source: Any, shape: tuple[int, ...], where: str) -> None:
        self._where = where
        slope, intercept = 1.0, 0.0
        if isinstance(source, Scaled):  # scaled, they would take eight bytes a voxel
            slope, intercept, source = source.slope, source.intercept, source.stored
        self.stored, self._slope, self._intercept = source, slope, intercept
        self._plain = (slope, intercept) == (1.0, 0.0)
        self._dtype = np.dtype(source.dtype).newbyteorder("=")
        kept = np.dtype(np.uint8) if self._dtype.kind == "b" else self._dtype
        self.array: Array = allocate(shape, kept, where)
        self._low: float = np.inf
        self._high: float = -np.inf
        self._whole, self._strange = True, 0
        self.findings: list[Finding] = []
        self.scaling = (1.0, 0.0)

    def taken(self, block: Array) -> Array:
        """Return a block as it is, with 0 for what is no number."""
        if self._dtype.kind == "f":
            finite = np.isfinite(block)
            if strange := block.size - int(finite.sum()):
                self._strange += strange
                block = np.where(finite, block, 0).astype(block.dtype)
            if self._whole:
                self._whole = bool((np.floor(block) == block).all())
        self._low = min(self._low, float(block.min()))
        self._high = max(self._high, float(block.max()))
        return block

    def finished(self) -> Array:
        """Return the array as ``uint8`` or ``uint16``."""
        if self._strange:
            message = f"{self._where} holds NaN or infinity in {self._strange:,} voxels; now 0."
            self.findings.append(found("template-not-finite", message, self._where))
        if self._plain and (self._dtype.kind == "b" or self._dtype.str[1:] in {"u1", "u2"}):
            return self.array
        ends = [float(end) * self._slope + self._intercept for end in (self._low, self._high)]
        low, high = min(ends), max(ends)
        if self._plain and self._whole and low >= 0 and high <= _WHITE:
            return self.array.astype(np.uint16)
        return self._scaled(low, high)

    def _scaled(self, low: float, high: float) -> Array:
        offset = min(low, 0.0)
        span = high - offset
        exact = self._dtype.kind in "ui" and self._plain and span <= _WHITE
        factor = 1.0 if span == 0 or exact else _WHITE / span
        if not np.isfinite(factor * span) or not np.isfinite(span):
            message = (
                f"{self._where} holds values from {low:g} to {high:g}, too far apart to scale."
            )
            raise InvalidVolumeError(
                self._where, [found("template-too-wide", message, self._where)]
            )
        self.scaling = (factor, offset)
        message = (
            f"The values of {self._where}, {low:g} to {high:g}, became 16 bits: "
            f"(value - {offset:g}) × {factor:.9g}, rounded."
        )
        self.findings.append(found("template-scaled", message, self._where, ""))
        return self._converted(factor * self._slope, (self._intercept - offset) * factor)

    def _converted(self, factor: float, shift: float) -> Array:
        source = self.array.reshape(-1)
        out = np.empty(self.array.shape, np.uint16)
        flat = out.reshape(-1)
        for start in range(0, source.size, _BLOCK):
            values = source[start : start + _BLOCK].astype(np.float64)
            values *= factor
            values += shift
            flat[start : start + _BLOCK] = np.clip(np.rint(values, out=values), 0, _WHITE)
        return out
