"""SWC files: neurons as paths, and files that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.formats.swc import read_swc

FORK = """\
# a soma, a trunk of three nodes, two branches; the second is written before its parent

5 3 10 0 9.5 0.1 3
1 1 0 0 0 5 -1
2 3 5 0 0 1 1  # on the way
3 3 10 0 0 1 2
4 3 10 7 0 1 3 extra
"""


def written(folder: Path, text: str | bytes) -> Path:
    """Return a file with this content."""
    path = folder / "neuron.swc"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_branches_are_paths(tmp_path: Path) -> None:
    """A path runs from a root or branch point to the next or an end; lengths are all there, once."""
    lines = read_swc(written(tmp_path, FORK))
    found = sorted(line.tolist() for line in lines)
    assert found == [
        [[0, 0, 0], [5, 0, 0], [10, 0, 0]],
        [[10, 0, 0], [10, 0, 9.5]],
        [[10, 0, 0], [10, 7, 0]],
    ]
    assert all(line.dtype == np.float64 for line in lines)


def test_columns_in_another_order(tmp_path: Path) -> None:
    """The axes say which column goes where."""
    turned = read_swc(written(tmp_path, FORK), axes="zyx")
    assert sorted(line[-1].tolist() for line in turned) == [[0, 0, 10], [0, 7, 10], [9.5, 0, 10]]
    for axes in ("xy", "xyzz", "abc", 5):
        with pytest.raises(InvalidInputError, match="order of 'xyz'"):
            read_swc(tmp_path / "neuron.swc", axes=axes)  # type: ignore[arg-type]


def test_neurons_of_little(tmp_path: Path) -> None:
    """A lone node has no path, several roots have theirs; line ends and marks do not matter."""
    assert read_swc(written(tmp_path, "1 1 0 0 0 1 -1\n")) == []
    assert read_swc(written(tmp_path, "# nothing\n")) == []
    two = "\ufeff1,1,0,0,0,1,-1\r\n2,1,1,0,0,1,1\r\n3 1 5 5 5 1 -1\r\n4.0 1 6 5 5 NA 3.0\r\n"
    assert len(read_swc(written(tmp_path, two))) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 1 0 0 0 1\n", "Line 1 .* expected 7 values"),
        ("# x\n1 1 0 zero 0 1 -1\n", "Line 2 .* 'zero'"),
        ("1.5 1 0 0 0 1 -1\n", "1.5 is not a whole number"),
        ("nan 1 0 0 0 1 -1\n", "Line 1 .* is not a node"),
        ("inf 1 0 0 0 1 -1\n", "Line 1 .* is not a node"),
        ("1 1 0 nan 0 1 -1\n", "its place is 0, nan, 0"),
        ("1 1 0 0 0 1 -1\n1 1 0 0 0 1 -1\n", "Line 2 .* node 1 is already in line 1"),
        ("1 1 0 0 0 1 7\n", "Line 1 .* names the parent 7"),
        ("1 1 0 0 0 1 2\n2 1 0 0 0 1 1\n", "their own ancestors"),
        ("1 1 0 0 0 1 1\n", "their own ancestors"),
        (b"\xff\xfe\x00", "not text"),
    ],
    ids=str,
)
def test_files_that_are_no_neurons(tmp_path: Path, text: str | bytes, message: str) -> None:
    """What is wrong is one sentence, with the line."""
    with pytest.raises(InvalidInputError, match=message):
        read_swc(written(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A missing file is what it is everywhere in Python."""
    with pytest.raises(FileNotFoundError):
        read_swc(tmp_path / "neuron.swc")
