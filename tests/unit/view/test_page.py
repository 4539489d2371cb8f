"""The built page that ships is the one that its sources make."""

from __future__ import annotations

import gzip
import hashlib
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from bg_atlasapi.view.page_files import page_files

WEB = Path(__file__).resolve().parents[3] / "web"
PAGE = files("bg_atlasapi.view").joinpath("page")
SKIPPED = {"node_modules", ".npmrc"}


def _record() -> dict[str, dict[str, str]]:
    record: dict[str, dict[str, str]] = json.loads(PAGE.joinpath("built.json").read_text())
    return record


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _sources() -> dict[str, str]:
    found: dict[str, str] = {}
    for path in sorted(WEB.rglob("*")):
        parts = path.relative_to(WEB).parts
        if path.is_file() and not SKIPPED & set(parts):
            text = path.read_bytes().replace(b"\r\n", b"\n")
            found["/".join(parts)] = _digest(text)
    return found


def test_the_page_is_built_from_these_sources() -> None:
    """Whoever changes web/ and forgets to build is told; it takes no Node to find out."""
    if not WEB.is_dir():
        pytest.skip("the sources of the page are not here")
    assert _record()["sources"] == _sources(), "run: cd web && npm install && npm run build"


def test_the_page_was_not_edited_by_hand() -> None:
    """Every built file is as the build left it, and there is no other."""
    there = {one.name: _digest(one.read_bytes()) for one in PAGE.iterdir()}
    there.pop("built.json")
    assert _record()["page"] == there


def test_the_page_is_small() -> None:
    """All that a browser fetches for the page is at most 1.5 MB as it travels."""
    sizes = {address: len(file.zipped) for address, file in page_files().items() if address != "/"}
    assert sum(sizes.values()) <= 1_500_000


def test_the_page_names_no_other_host() -> None:
    """Nothing in the page leads a browser elsewhere: no address but names of XML and licences."""
    harmless = (b"http://www.w3.org/", b"https://github.com/mrdoob", b"https://threejs.org")
    for address, file in page_files().items():
        for scheme in (b"http://", b"https://"):
            for part in file.body.split(scheme)[1:]:
                assert (scheme + part).startswith(harmless), (address, part[:60])


def test_zipped_files_are_the_files() -> None:
    """What is sent with gzip unpacks to the file itself, and its tag names its content."""
    for file in page_files().values():
        assert gzip.decompress(file.zipped) == file.body
        assert file.tag.strip('"') == _digest(file.body)[:16]


def test_versions_are_pinned() -> None:
    """Each package that the page is built with is named with one version, and no lock names a registry."""
    if not WEB.is_dir():
        pytest.skip("the sources of the page are not here")
    package: dict[str, Any] = json.loads((WEB / "package.json").read_text())
    versions = {**package["dependencies"], **package["devDependencies"]}
    assert all(one[0].isdigit() for one in versions.values()), versions
    assert not (WEB / "package-lock.json").exists()
