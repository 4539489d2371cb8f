"""Take the pictures of the guide "Look at an atlas": the viewer, on the phantom, in Chromium.

Needs playwright and a chromium (or what CHROMIUM names). Run from anywhere, with bg_atlasapi
installed::

    python docs/images/make_viewer_pictures.py
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright

from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.view.viewer import Wish, start

FOLDER = Path(__file__).parent
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-background-networking", "--enable-unsafe-swiftshader"]
FLAGS += ["--use-angle=swiftshader"]
DARK, LIGHT = "dark", "light"


def cells(atlas: BrainGlobeAtlas, count: int) -> str:
    """Return invented cells, most of them around two places, as csv."""
    generator = np.random.default_rng(4)
    spots = np.array([[7400, 3300, 4300], [9300, 1500, 3000]], float)
    near = np.concatenate([generator.normal(spot, 500, (count // 2, 3)) for spot in spots])
    inside = near[atlas.lookup(near)["id"].to_numpy() > 0]
    return "x,y,z\n" + "".join(f"{x:.0f},{y:.0f},{z:.0f}\n" for x, y, z in inside)


def take(
    browser: Any, url: str, name: str, size: tuple[int, int], scheme: str, **more: str
) -> None:
    """Open a view and keep its picture."""
    viewport = {"width": size[0], "height": size[1]}
    context = browser.new_context(viewport=viewport, color_scheme=scheme)
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector("html[data-ready]")
    page.wait_for_selector("html[data-regions]")
    if "tab" in more:
        page.click(f"nav button[data-tab={more['tab']}]")
    if "search" in more:
        page.keyboard.press("/")
        page.keyboard.type(more["search"])
    page.wait_for_timeout(1500)
    page.screenshot(path=FOLDER / name)
    context.close()


def main() -> None:
    """Take them all."""
    atlas = BrainGlobeAtlas("phantom_mouse_100um", check_latest=False)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        wish = Wish((7400, 3300, 4300), ["TH", "VISp", "CA1"])
        with start(atlas, wish) as viewing:
            take(browser, viewing.url, "viewer.png", (1280, 720), DARK)
            take(browser, viewing.url, "viewer-phone.png", (390, 700), LIGHT)
        table = Path(folder) / "cells.csv"
        table.write_text(cells(atlas, 2000), encoding="utf-8")
        with start(atlas, Wish((7400, 3300, 4300), points=table)) as viewing:
            take(browser, viewing.url, "viewer-points.png", (1280, 720), LIGHT)
        browser.close()


if __name__ == "__main__":
    main()
