"""The text of a label table, whatever wrote it: UTF-8, UTF-16, or what Windows used to write."""

from __future__ import annotations

import codecs
from pathlib import Path

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.formats.label_tables.entries import Notes

_MOST_BYTES = 64 << 20  # a hundred times the largest there is
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LOOKED_AT = 4096


def read_text(path: Path, notes: Notes) -> str:
    """Return the text of a file, its line ends all those of Unix.

    Raises
    ------
    InvalidInputError
        If there is no such file, it is empty, too large, or no text.
    """
    try:
        size = path.stat().st_size
        if size > _MOST_BYTES:
            message = f"{path} has {size:,} bytes; a label table has a few thousand lines."
            raise InvalidInputError(message)
        data = path.read_bytes()
    except OSError as error:
        message = f"{path} cannot be read as a label table: {error.strerror or error}."
        raise InvalidInputError(message) from error
    if not data.strip():
        raise InvalidInputError(f"{path} is empty; a label table has a line for each region.")
    text = _decoded(path, data, notes)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _decoded(path: Path, data: bytes, notes: Notes) -> str:
    encoding = next((name for bom, name in _BOMS if data.startswith(bom)), None)
    if encoding is None and b"\0" in data[:_LOOKED_AT]:
        even, odd = data[:_LOOKED_AT:2].count(0), data[1:_LOOKED_AT:2].count(0)
        encoding = "utf-16-be" if even > odd else "utf-16-le"
        if max(even, odd) < min(len(data), _LOOKED_AT) // 4 or min(even, odd):
            raise InvalidInputError(f"{path} is no text, so it is no label table.")
    try:
        return data.decode(encoding or "utf-8")
    except UnicodeDecodeError as error:
        if encoding is not None:
            message = f"{path} starts as {encoding} does, but is none ({error.reason})."
            raise InvalidInputError(message) from error
    text = data.decode("cp1252", errors="replace")
    if "\0" in text:
        raise InvalidInputError(f"{path} is no text, so it is no label table.")
    message = "it is not UTF-8; it was read as Windows-1252, so letters with accents may be wrong."
    notes.warning("encoding", message, "", "Save it as UTF-8.")
    return text
