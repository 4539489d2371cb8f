"""What the values of a volume become in an atlas: ids that are exact, or a template of 16 bits.

Fed with blocks in any order. Labels that would change on the way, or that are no ids, are refused:
a label that is off by one is another region. What is odd about a template is mended and told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import Finding, InvalidInputError
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
        self.findings: list[Finding] = []

    def taken(self, block: Array) -> Array:
        """Return a block as it is.

        Raises
        ------
        InvalidInputError
            If a label in it is not a whole number from 0 to 2**32 - 1, or may have been another
            one before it was stored as a float.
        """
        if self._dtype.kind == "f":
            self._require_whole(block)
        low, high = int(block.min()), int(block.max())
        if low < 0 or high > _MOST_ID:
            strange = low if low < 0 else high
            raise self._refused(f"the label {strange}; ids of regions are 0 to {_MOST_ID}.")
        if self._dtype.kind == "f" and high >= _EXACT[self._dtype.itemsize]:
            raise self._refused(
                f"the label {high} as {self._dtype.name}, which cannot tell it from its "
                "neighbours: ids may have changed when they were stored. Store them as uint32."
            )
        self._most = max(self._most, high)
        return block

    def _require_whole(self, block: Array) -> None:
        with np.errstate(invalid="ignore"):
            odd = ~(np.isfinite(block) & (np.floor(block) == block))
        if not odd.any():
            return
        example = block[odd].reshape(-1)[0]
        if np.isfinite(example):
            raise self._refused(
                f"the value {example:g}, which is no id of a region. Is it an image, or were its "
                "labels interpolated? Resample labels with nearest neighbours."
            )
        raise self._refused(f"{example:g} where a label should be; make it 0 if it means outside.")

    def _refused(self, what: str) -> InvalidInputError:
        return InvalidInputError(f"{self._where} holds {what}")

    def finished(self) -> Array:
        """Return the array as the smallest type that holds all labels."""
        smallest = next(kind for kind in ("u1", "u2", "u4") if self._most <= np.iinfo(kind).max)
        return self.array.astype(smallest, copy=False)


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
            mend = "Make sure that they lie outside the brain."
            self._tell("template-not-finite", "warning", message, mend)
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
            raise InvalidInputError(message)
        self.scaling = (factor, offset)
        message = (
            f"The values of {self._where}, {low:g} to {high:g}, became 16 bits: "
            f"(value - {offset:g}) × {factor:.9g}, rounded."
        )
        self._tell("template-scaled", "note", message, "")
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

    def _tell(self, code: str, severity: str, message: str, mend: str) -> None:
        self.findings.append(Finding(code, message, severity, self._where, mend))
