"""A real browser on a real viewer. Without Playwright, or CHROMIUM=path, these tests skip."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.testing import write_package
from bg_atlasapi.view.serving import Viewing
from bg_atlasapi.view.viewer import Wish, start

CHECKOUT = Path(__file__).resolve().parents[2]
# A sandbox needs rights that containers lack; the rest keeps Chromium from looking for the internet.
FLAGS = (
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-unsafe-swiftshader",
    "--use-angle=swiftshader",
)
SIZE = {"width": 1280, "height": 720}


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Return a headless Chromium, or skip."""
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    path = os.environ.get("CHROMIUM")
    if path is None:  # drawing without a graphics card takes a core: they are asked for by name
        pytest.skip("CHROMIUM names no browser")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """Return a fresh page whose errors fail the test."""
    context = browser.new_context(viewport=SIZE, color_scheme="dark", accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(60_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.requests = []
    page.on("request", lambda request: page.requests.append(request.url))
    yield page
    context.close()
    assert errors == []


@pytest.fixture(scope="session")
def phantom() -> BrainGlobeAtlas:
    """Return the atlas that ships with the package."""
    return BrainGlobeAtlas("phantom_mouse_100um", check_latest=False)


@pytest.fixture(scope="session")
def allen(tmp_path_factory: pytest.TempPathFactory) -> BrainGlobeAtlas:
    """Return the real 25 µm atlas with the published meshes, or skip."""
    shared = CHECKOUT.parent / "shared" / "data"
    if not (shared / "README.md").is_file():
        pytest.skip(f"the real atlas data are not here: no {shared}")
    nrrd = pytest.importorskip("nrrd")
    folder, source = tmp_path_factory.mktemp("allen"), shared / "allen_ccf_2017"
    package = write_package(
        folder,
        name="allen_mouse_25um",
        version="1.2",
        annotation=np.ascontiguousarray(nrrd.read(str(source / "annotation_25.nrrd"))[0]),
        reference=np.ascontiguousarray(nrrd.read(str(source / "average_template_25.nrrd"))[0]),
        structures=json.loads((source / "structures_brainglobe.json").read_bytes()),
        resolution=(25, 25, 25),
    )
    with tarfile.open(shared / "allen_mouse_100um_v1.2.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    # Meshes are in µm, so those of the 100 µm package fit.
    shutil.copytree(
        folder / "allen_mouse_100um_v1.2" / "meshes", package / "meshes", dirs_exist_ok=True
    )
    return BrainGlobeAtlas.from_path(package)


@pytest.fixture(scope="session")
def phantom_viewing(phantom: BrainGlobeAtlas) -> Iterator[Viewing]:
    """Return a running viewer of the phantom."""
    with start(phantom, Wish()) as viewing:
        yield viewing


@pytest.fixture(scope="session")
def allen_viewing(allen: BrainGlobeAtlas) -> Iterator[Viewing]:
    """Return a running viewer of the real atlas."""
    with start(allen, Wish()) as viewing:
        yield viewing


@pytest.fixture(params=["phantom", "allen"])
def shown(request: pytest.FixtureRequest) -> tuple[BrainGlobeAtlas, Viewing]:
    """Return each of the two atlases in turn, and its viewer."""
    name: str = request.param
    return request.getfixturevalue(name), request.getfixturevalue(f"{name}_viewing")
