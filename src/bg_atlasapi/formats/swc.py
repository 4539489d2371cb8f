"""Read neurons in SWC files, as paths between branch points.

A line of the file is a node: number, type, x, y, z, radius, and the number of its parent (-1 at a
root). What is asked of the paths is in ``query``. Types and radii are not kept.

Source: Cannon et al. 1998, "An on-line archive of reconstructed hippocampal neurons".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.late import np

if TYPE_CHECKING:
    import numpy.typing as npt

    from bg_atlasapi.settings import PathLike

_NO_PARENT = -1


@dataclass(frozen=True, slots=True)
class _Node:
    place: tuple[float, float, float]
    parent: int
    line: int


def read_swc(path: PathLike, axes: str = "xyz") -> list[npt.NDArray[np.float64]]:
    r"""Read a neuron.

    Parameters
    ----------
    path
        The file.
    axes
        Which of the file's columns goes along each axis of the atlas. A file in the atlas's axis
        order is ``"xyz"``; one whose x runs from side to side, in an atlas in which that is the
        last axis, is ``"zyx"``.

    Returns
    -------
    list of numpy.ndarray
        Paths of shape ``(N, 3)``, from a root, or a branch point, to the next branch point or end.
        Each length of the neuron is in just one of them. In the file's unit, which is µm by custom.

    Raises
    ------
    InvalidInputError
        If the file is no SWC file: a sentence with the line.
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> import tempfile
    >>> fork = ["1 1 0 0 0 5 -1", "2 2 9 0 0 1 1", "3 2 9 9 0 1 2", "4 2 9 0 9 1 2"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "fork.swc"
    ...     _ = file.write_text("\n".join(fork))
    ...     lines = read_swc(file)
    >>> [len(line) for line in lines]
    [2, 2, 2]
    """
    if sorted(str(axes)) != ["x", "y", "z"]:
        message = f"The axes of an SWC file are an order of 'xyz', got {axes!r}."
        raise InvalidInputError(message)
    columns = ["xyz".index(letter) for letter in axes]
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path} is not an SWC file: it is not text.") from error
    nodes: dict[int, _Node] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.partition("#")[0].replace(",", " ").split()
        if fields:
            try:
                _add(nodes, fields, number)
            except ValueError as error:
                raise InvalidInputError(
                    f"Line {number} of {path} is not a node of an SWC file: {error}."
                ) from None
    lines = _branches(_children(nodes, path))
    if sum(len(line) - 1 for line in lines) < sum(
        node.parent != _NO_PARENT for node in nodes.values()
    ):
        raise InvalidInputError(
            f"The nodes of {path} are not a tree: some are their own ancestors."
        )
    return [np.array([nodes[node].place for node in line])[:, columns] for line in lines]


def _add(nodes: dict[int, _Node], fields: list[str], line: int) -> None:
    """Add a node to those read so far; a ValueError says what is wrong with it."""
    if len(fields) < 7:
        raise ValueError(f"expected 7 values (id type x y z radius parent), got {len(fields)}")
    number, parent = _whole(fields[0]), _whole(fields[6])
    x, y, z = (float(field) for field in fields[2:5])
    if not all(math.isfinite(value) for value in (x, y, z)):
        raise ValueError(f"its place is {x:g}, {y:g}, {z:g}")
    if number in nodes:
        raise ValueError(f"node {number} is already in line {nodes[number].line}")
    nodes[number] = _Node((x, y, z), parent if parent >= 0 else _NO_PARENT, line)


def _whole(text: str) -> int:
    value = float(text)
    if not value.is_integer():
        raise ValueError(f"{text} is not a whole number")
    return int(value)


def _children(nodes: dict[int, _Node], path: PathLike) -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    for number, node in nodes.items():
        if node.parent != _NO_PARENT and node.parent not in nodes:
            raise InvalidInputError(
                f"Line {node.line} of {path} names the parent {node.parent}, which is not in it."
            )
        children.setdefault(node.parent, []).append(number)
    return children


def _branches(children: dict[int, list[int]]) -> list[list[int]]:
    """Return the nodes of each path from a root or branch point on."""
    found: list[list[int]] = []
    heads = [
        (number, child)
        for number in children.get(_NO_PARENT, [])
        for child in children.get(number, [])
    ]
    while heads:
        head, node = heads.pop()
        line = [head, node]
        while len(after := children.get(node, [])) == 1:
            node = after[0]
            line.append(node)
        heads += [(node, child) for child in after]
        found.append(line)
    return found
