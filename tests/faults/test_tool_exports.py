"""Exports for other tools that go wrong: nothing is left, nothing is replaced unasked."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bg_atlasapi.core import Atlas
from bg_atlasapi.errors import (
    AlreadyThereError,
    IncompleteAtlasError,
    InvalidInputError,
    StorageError,
)
from bg_atlasapi.formats import exporting
from bg_atlasapi.testing import tiny_components, tiny_package

FORMS = [*exporting.FORMATS][2:]
VOLUMES = ["nifti", "nrrd", "tiff"]
LABELS = ["itksnap", "slicer"]
MESHES = ["obj", "ply", "stl", "glb"]


def left_in(folder: Path) -> list[Path]:
    """Return everything in a folder, hidden or not."""
    return sorted(folder.rglob("*")) if folder.exists() else []


@pytest.mark.parametrize("form", [*VOLUMES, *LABELS])
@pytest.mark.parametrize("name", ["annotation.tiff", "reference.tiff", "nissl.tiff"])
def test_a_volume_cut_short(form: str, name: str, tmp_path: Path) -> None:
    """Is an error that names it, also in the middle of the work."""
    folder = tiny_package(tmp_path, compression="zlib")
    (folder / name).write_bytes((folder / name).read_bytes()[:-400])
    with pytest.raises(IncompleteAtlasError, match=name):
        Atlas.from_path(folder).export(tmp_path / "out", format=form)
    assert left_in(tmp_path / "out") == []


@pytest.mark.parametrize("form", MESHES)
@pytest.mark.parametrize("kind", ["package", "store"])
def test_a_damaged_mesh(form: str, kind: str, tmp_path: Path) -> None:
    """Stops the export of meshes."""
    if kind == "package":
        folder = tiny_package(tmp_path)
        victim = folder / "meshes" / "8.obj"
    else:
        folder = tiny_components(tmp_path)
        victim = next(one for one in folder.parents[2].rglob("mesh/8") if one.is_file())
    victim.write_bytes(victim.read_bytes()[:-4])
    with pytest.raises(IncompleteAtlasError, match="damaged"):
        Atlas.from_path(folder).export(tmp_path / "out", format=form)
    assert left_in(tmp_path / "out") == []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("where", ["first", "last"])
def test_a_full_or_closed_disk(
    form: str, code: int, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the first file or when all is flushed: one sentence, and nothing is left."""
    atlas = Atlas.from_path(tiny_package(tmp_path))
    atlas._model  # noqa: B018 - read before files cannot be opened

    def failing(function: Callable[..., Any]) -> Callable[..., Any]:
        def instead(self: Path, *given: Any, **named: Any) -> Any:
            writing = function.__name__ != "open" or "r" not in (*given, "r")[0]
            if writing and "out" in self.parts:
                raise OSError(code, os.strerror(code), str(self))
            return function(self, *given, **named)

        return instead

    def unflushed(*_: Any) -> None:
        raise OSError(code, os.strerror(code))

    if where == "first":
        for name in ("open", "write_bytes", "mkdir"):
            monkeypatch.setattr(Path, name, failing(getattr(Path, name)))
    else:
        monkeypatch.setattr(exporting, "settle", unflushed)
    with pytest.raises(StorageError, match="export tiny_mouse_100um"):
        atlas.export(tmp_path / "out", format=form)
    monkeypatch.undo()
    assert left_in(tmp_path / "out") == []
    assert atlas.export(tmp_path / "out", format=form).exists()


@pytest.mark.parametrize("form", FORMS)
def test_what_is_there_is_not_replaced_unless_asked(form: str, tmp_path: Path) -> None:
    """The second export is refused and changes nothing; with overwrite it replaces the first."""
    first = Atlas.from_path(tiny_package(tmp_path / "a")).export(tmp_path / "out", format=form)
    other = Atlas.from_path(tiny_package(tmp_path / "b", shape=(14, 8, 10)))
    before = {path: path.stat().st_mtime_ns for path in left_in(tmp_path / "out")}
    with pytest.raises(AlreadyThereError, match="is there already.*overwrite"):
        other.export(tmp_path / "out", format=form)
    assert {path: path.stat().st_mtime_ns for path in left_in(tmp_path / "out")} == before
    assert other.export(tmp_path / "out", format=form, overwrite=True) == first
    after = {path: path.stat().st_mtime_ns for path in left_in(tmp_path / "out")}
    assert set(after) == set(before)
    assert all(after[path] != before[path] for path in after if path.is_file())


@pytest.mark.parametrize("form", FORMS)
def test_a_failure_while_replacing_puts_everything_back(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file as well as a folder."""
    atlas = Atlas.from_path(tiny_package(tmp_path))
    atlas.export(tmp_path / "out", format=form)
    before = {path: path.stat().st_mtime_ns for path in left_in(tmp_path / "out") if path.is_file()}
    real, calls = Path.rename, [0]

    def failing(self: Path, target: Path) -> Path:
        calls[0] += 1
        if calls[0] == 2:
            raise OSError(errno.EIO, "broken", str(self))
        return real(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="broken"):
        atlas.export(tmp_path / "out", format=form, overwrite=True)
    monkeypatch.undo()
    after = {path: path.stat().st_mtime_ns for path in left_in(tmp_path / "out") if path.is_file()}
    assert after == before


@pytest.mark.parametrize("form", VOLUMES)
def test_names_that_lead_elsewhere_are_refused(form: str, tmp_path: Path) -> None:
    """The name of a reference never becomes a path, nor another volume's file."""
    for number, name in enumerate(["../nissl", "Annotation"]):
        folder = tiny_package(tmp_path / str(number))
        stated = (folder / "metadata.json").read_text().replace('"nissl"', f'"{name}"')
        (folder / "metadata.json").write_text(stated)
        (folder / "nissl.tiff").rename(folder / f"{name}.tiff")
        with pytest.raises(InvalidInputError, match="cannot be the name"):
            Atlas.from_path(folder).export(tmp_path / "out", format=form)
    assert left_in(tmp_path / "out") == []


@pytest.mark.parametrize("form", FORMS)
def test_progress_ends_at_what_there_is_to_do(form: str, tmp_path: Path) -> None:
    """It grows, and its total stays."""
    told: list[tuple[int, int]] = []
    atlas = Atlas.from_path(tiny_package(tmp_path, symmetric=False))
    atlas.export(
        tmp_path / "out", format=form, fn_update=lambda done, total: told.append((done, total))
    )
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]
    assert len({total for _, total in told}) == 1
