"""The viewer in a browser, compared with what the library itself answers."""

from __future__ import annotations

import io
import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.view import planes as view_planes
from bg_atlasapi.view.serving import Viewing
from bg_atlasapi.view.viewer import Wish, start

SIZE = {"width": 1280, "height": 720}
AXES = {"coronal": 0, "horizontal": 1, "sagittal": 2}  # of "asr"
Shown = tuple[BrainGlobeAtlas, Viewing]


def opened(page: Any, url: str, until: str = "ready") -> None:
    """Open a viewer and wait until everything is there."""
    page.goto("about:blank")
    page.goto(url)
    page.wait_for_selector(f"html[data-{until}]")


def state(page: Any) -> dict[str, Any]:
    """Return what the page shows."""
    answer: dict[str, Any] = page.evaluate("viewer.state()")
    return answer


def until(page: Any, expression: str) -> None:
    """Wait for an expression to hold; the page's policy forbids the waiting that Playwright has."""
    deadline = time.monotonic() + 60
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(50)


def _voxels(atlas: BrainGlobeAtlas, axis: int, count: int) -> np.ndarray:
    """Return labelled voxels, and one outside, all in one plane across an axis."""
    generator = np.random.default_rng(20 + axis)
    index = atlas.shape[axis] * 9 // 20
    plane = np.asarray(atlas.volumes["annotation"][(slice(None),) * axis + (index,)])
    inside = np.argwhere(plane > 0)
    places = [*inside[generator.choice(len(inside), count - 1)], np.array([1, 1])]
    return np.insert(np.array(places), axis, index, axis=1)


@pytest.mark.parametrize("pane", AXES)
def test_hovering_says_what_lookup_says_and_asks_nothing(
    page: Any, shown: Shown, pane: str
) -> None:
    """At ten positions of each plane the page names the region, id and side that lookup gives, without a request."""
    atlas, viewing = shown
    voxels = _voxels(atlas, AXES[pane], 10)
    opened(page, f"{viewing.url}#p={','.join(map(str, voxels[0]))}")
    page.wait_for_timeout(500)  # neighbours are fetched ahead
    answers = atlas.lookup(voxels + 0.5, unit="voxel")
    before = len(page.requests)
    for voxel, answer in zip(voxels.tolist(), answers.itertuples(), strict=True):
        x, y = page.evaluate(f"viewer.pageOf('{pane}', {voxel})")
        page.mouse.move(x, y)
        where, numbers = page.locator("#where"), page.locator("#numbers").text_content()
        assert where.get_attribute("data-id") == str(answer.id)
        assert where.text_content().split(" › ")[-1] == answer.acronym
        assert f"voxel {', '.join(map(str, voxel))} ·" in numbers
        assert numbers.endswith(answer.hemisphere)
    assert page.requests[before:] == []


def test_a_search_goes_there(page: Any, shown: Shown) -> None:
    """The keys "/", "VISp" and Enter select the region; all three slices then cut it, its mesh and its volume are shown."""
    atlas, viewing = shown
    opened(page, viewing.url)
    page.keyboard.press("/")
    page.keyboard.type("VISp")
    page.keyboard.press("Enter")
    page.wait_for_selector("#details [data-key=sides]")
    row = page.locator("#tree li[aria-selected=true]").bounding_box()
    assert row["y"] + row["height"] <= page.locator("#details").bounding_box()["y"] + 1
    until(page, "viewer.meshes().includes('VISp')")
    now = state(page)
    until(page, f"viewer.shown().join() == '{_slices(now['voxel'])}'")
    assert "VISp" in atlas.get_structure_ancestors(_at(atlas, now["voxel"])) or _is(
        atlas, now, "VISp"
    )
    table = atlas.region_table().set_index("acronym")
    volume = page.locator("#details [data-key=volume]").text_content()
    assert float(volume.split()[0]) == pytest.approx(table.loc["VISp", "volume_mm3"], rel=1e-3)


def _slices(voxel: list[int]) -> str:
    return f"{voxel[0]},{voxel[2]},{voxel[1]}"  # coronal, sagittal, horizontal


def _at(atlas: BrainGlobeAtlas, voxel: list[int]) -> str:
    return str(atlas.structure_from_coords(voxel, as_acronym=True))


def _is(atlas: BrainGlobeAtlas, now: dict[str, Any], acronym: str) -> bool:
    return _at(atlas, now["voxel"]) == acronym


def test_a_click_in_the_tree_goes_there(page: Any, shown: Shown) -> None:
    """Clicking a row of the tree selects the region, and the slices cut it."""
    atlas, viewing = shown
    opened(page, viewing.url)
    row = page.locator("#tree li", has=page.locator("b", has_text=re.compile("^CB$")))
    row.click()
    page.wait_for_selector("#details [data-key=sides]")
    until(page, "!viewer.state().voxel.some(Number.isNaN)")
    page.wait_for_timeout(300)
    acronym = _at(atlas, state(page)["voxel"])
    assert acronym == "CB" or "CB" in atlas.get_structure_ancestors(acronym)
    assert row.get_attribute("aria-selected") == "true"


def test_a_click_in_a_slice_selects_what_lies_there(page: Any, shown: Shown) -> None:
    """Clicking in a slice moves the crosshair to that voxel and selects its region."""
    atlas, viewing = shown
    voxel = _voxels(atlas, 0, 3)[1].tolist()
    opened(page, f"{viewing.url}#p={','.join(map(str, voxel))}")
    x, y = page.evaluate(f"viewer.pageOf('coronal', {voxel})")
    page.mouse.click(x, y)
    assert state(page)["voxel"] == voxel
    title = page.locator("#details h2 b").text_content()
    assert title == _at(atlas, voxel)


def test_a_click_on_a_mesh_selects_its_region(page: Any, shown: Shown) -> None:
    """The surface in the middle of the 3-D view answers to a click."""
    _, viewing = shown
    opened(page, f"{viewing.url}#d=0&m=549")  # TH is pinned, slices are off
    until(page, "viewer.meshes().includes('TH')")
    page.wait_for_timeout(300)
    box = page.locator("#solid canvas").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector("#details h2 b")
    assert page.locator("#details h2 b").text_content() == "TH"


def _cells(atlas: BrainGlobeAtlas, count: int) -> tuple[np.ndarray, str]:
    generator = np.random.default_rng(7)
    points = generator.uniform(0, 1, (count, 3)) * atlas.shape_um
    text = io.StringIO()
    np.savetxt(text, points, "%.2f", ",", header="x,y,z", comments="")
    points = np.loadtxt(io.StringIO(text.getvalue()), delimiter=",", skiprows=1)
    return points, text.getvalue()


_DROP = """([text, name]) => {
  const data = new DataTransfer();
  data.items.add(new File([text], name, { type: "text/csv" }));
  const at = { bubbles: true, cancelable: true, dataTransfer: data };
  window.dispatchEvent(new DragEvent("dragenter", at));
  window.dispatchEvent(new DragEvent("drop", at));
}"""


def test_dropped_points_are_counted_as_count_counts(page: Any, shown: Shown) -> None:
    """A CSV that is dropped is counted: totals and sides of every region are those of ``atlas.count``."""
    atlas, viewing = shown
    points, text = _cells(atlas, 5000)
    opened(page, viewing.url)
    page.evaluate(_DROP, [text, "cells.csv"])
    page.wait_for_selector("html[data-points='cells.csv']")
    expected = atlas.count(points).set_index("acronym")
    for acronym in ("grey", "CB", "TH"):
        page.keyboard.press("/")
        page.keyboard.type(acronym)
        page.keyboard.press("Enter")
        until(page, f"document.querySelector('#details h2 b')?.textContent == '{acronym}'")
        total = page.locator("#details [data-key=total]").text_content()
        sides = page.locator("#details [data-key=count-sides]").text_content()
        row = expected.loc[acronym]
        assert int(total.split(" (")[0].replace(",", "")) == row["total"]
        assert [int(one.replace(",", "")) for one in sides.split(" · ")] == [
            row["left"],
            row["right"],
        ]
        in_tree = page.locator("#tree li[aria-selected=true] .total").text_content()
        assert int(in_tree.replace(",", "")) == row["total"]


def test_the_unit_of_dropped_points_can_be_changed(page: Any, phantom_viewing: Viewing) -> None:
    """Points that lie beyond the volume as µm are read again as mm, and then counted."""
    opened(page, phantom_viewing.url)
    page.evaluate(_DROP, ["x,y,z\n7.1,3.87,4.5\n7.1,3.87,44\n7.1,3.87,45\n", "mm.csv"])
    page.wait_for_selector("html[data-points='mm.csv']")
    page.locator("#details select").select_option("mm")
    until(page, "document.querySelector('#details').textContent.includes('2 outside')")
    assert "beyond" in page.locator("#details .warning").text_content()


def test_dropped_values_colour_regions_and_what_they_hold(
    page: Any, phantom_viewing: Viewing
) -> None:
    """A table of regions and numbers colours them; parts take the number of the whole; strangers are named."""
    opened(page, phantom_viewing.url)
    table = "acronym,expression\nIsocortex,0.9\nTH,0.1\nNOPE,1\n"
    page.evaluate(_DROP, [table, "genes.csv"])
    page.wait_for_selector("html[data-values='genes.csv']")
    assert "NOPE" in page.locator("#details").text_content()
    assert page.locator("#legend").text_content() == "0.10.9expression"
    page.keyboard.press("/")
    page.keyboard.type("VISp")
    page.keyboard.press("Enter")
    page.wait_for_selector("#details [data-key=value]")
    assert page.locator("#details [data-key=value]").text_content() == "0.9"


@pytest.mark.parametrize(
    ("name", "text", "part"),
    [
        ("cells.csv", "a,b\n1,2\n", "three columns of numbers"),
        ("cells.csv", "", "empty"),
        ("values.csv", "acronym,expression\nNOPE,1\n", "names a region"),
        ("picture.jpg", "hello", "type 'jpg'"),
    ],
)
def test_a_wrong_file_is_one_sentence(
    page: Any, phantom_viewing: Viewing, name: str, text: str, part: str
) -> None:
    """Files that hold neither points nor values are explained on the page, which goes on working."""
    opened(page, phantom_viewing.url)
    page.evaluate(_DROP, [text, name])
    page.wait_for_selector("#toast:not([hidden])")
    said = page.locator("#toast").text_content()
    assert part in said
    assert name in said
    assert "stream" not in said


def test_an_address_brings_the_view_back(page: Any, shown: Shown) -> None:
    """What was selected, pinned and set is in the address; opening it again shows the same."""
    _, viewing = shown
    opened(page, viewing.url)
    page.keyboard.press("/")
    page.keyboard.type("VISp")
    page.keyboard.press("Enter")
    page.wait_for_selector("#details [data-key=sides]")
    page.keyboard.press("Escape")
    page.locator("#tree li[aria-selected=true]").focus()
    page.keyboard.press("m")
    page.keyboard.press("o")
    page.locator("#opacity").fill("0.8")
    page.locator("#white").fill("180")
    page.locator("#solid canvas").focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(400)
    before, address = state(page), page.url
    opened(page, address)
    assert state(page) == before
    assert before["pinned"]


def test_everything_by_keyboard(
    page: Any, phantom: BrainGlobeAtlas, phantom_viewing: Viewing
) -> None:
    """Without a mouse: step slices, move the crosshair, select, walk the tree, turn the brain, open the help."""
    opened(page, phantom_viewing.url)
    start = state(page)["voxel"]
    page.keyboard.press("1")
    page.keyboard.press("PageDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    assert state(page)["voxel"] == [start[0] + 1, start[1] + 10, start[2] - 1]  # to the right
    page.keyboard.press("Home")
    assert state(page)["voxel"][0] == 0
    page.keyboard.press("End")
    assert state(page)["voxel"][0] == phantom.shape[0] - 1
    page.goto(f"{phantom_viewing.url}#p=71,38,45")
    page.keyboard.press("1")
    until(page, "viewer.shown()[0] == 71")
    page.keyboard.press("Enter")
    assert page.locator("#details h2 b").text_content() == _at(phantom, [71, 38, 45])
    page.keyboard.press("t")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.locator("#details h2 b").text_content() == phantom.structures.by_code(2).acronym
    page.keyboard.press("4")
    camera = state(page)["camera"]
    page.keyboard.press("ArrowLeft")
    assert state(page)["camera"] != camera
    page.keyboard.press("?")
    assert page.locator("dialog").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("dialog").is_visible()


def test_screen_readers_are_told(page: Any, phantom_viewing: Viewing) -> None:
    """What is selected, and where the crosshair came to rest, is said in a live region; slices name themselves."""
    opened(page, f"{phantom_viewing.url}#p=71,38,45")
    page.keyboard.press("1")
    page.keyboard.press("ArrowLeft")
    until(
        page,
        "document.querySelector('#said').textContent.startsWith('Thalamus, right. Voxel 71, 38, 46')",
    )
    page.keyboard.press("Enter")
    assert page.locator("#said").text_content() == "TH, Thalamus selected"
    slider = page.get_by_role("slider", name="Coronal slice")
    assert slider.get_attribute("aria-valuetext") == "Coronal slice 71 of 131, 7.15 mm"
    assert page.get_by_role("tree", name="Region tree").get_by_role("treeitem").count() > 5


def _drawn_side(page: Any, pane: str, x: float) -> str | None:
    """Return which side the letters at the edges say a place is on; from the side, None."""
    box = page.locator(f"[data-pane={pane}] canvas").bounding_box()
    edge = "left" if x < box["x"] + box["width"] / 2 else "right"
    letter = page.locator(f"[data-pane={pane}] .edge.{edge}").text_content()
    return {"L": "left", "R": "right"}.get(letter)


@pytest.mark.parametrize("pane", ["coronal", "horizontal"])
def test_left_is_left_as_in_plots(
    page: Any, phantom: BrainGlobeAtlas, phantom_viewing: Viewing, pane: str
) -> None:
    """The edges are named L and R in this order, and a voxel of the left hemisphere is drawn on the left."""
    opened(page, f"{phantom_viewing.url}#p=71,38,45", "picture")
    edges = [
        page.locator(f"[data-pane={pane}] .edge.{one}").text_content() for one in ("left", "right")
    ]
    assert edges == ["L", "R"]
    plane = view_planes.planes_of(
        phantom._subject().space, pane, 7150 if pane == "coronal" else 3850
    )[0]
    assert [one.upper() for one in plane.letters[:2]] == edges
    box = page.locator(f"[data-pane={pane}] canvas").bounding_box()
    for across in (20, 45, 70, 100):
        x, _ = page.evaluate(f"viewer.pageOf('{pane}', [71, 38, {across}])")
        drawn = "left" if x < box["x"] + box["width"] / 2 else "right"
        assert drawn == phantom.hemisphere_from_coords([71, 38, across], as_string=True)


@pytest.mark.parametrize("orientation", ["asr", "lpi", "sra", "ial"])
def test_any_orientation_is_shown_alike(
    page: Any, phantom: BrainGlobeAtlas, tmp_path: Path, orientation: str
) -> None:
    """However the axes lie, a voxel stands at the same place of the page, and is named, with its side, as ``lookup`` does."""
    from bg_atlasapi.testing import write_package

    space = phantom.space
    turned = {
        name: np.ascontiguousarray(space.map_stack_to(orientation, getattr(phantom, name)))
        for name in ("annotation", "reference", "hemispheres")
    }
    package = write_package(
        tmp_path,
        name="turned_100um",
        structures=[dict(one) for one in phantom._model.structures],
        resolution=(100, 100, 100),
        orientation=orientation,
        symmetric=False,
        **turned,
    )
    atlas = BrainGlobeAtlas.from_path(package)
    place = np.array(
        [[71.5, 38.5, 45.5], [71.5, 20.5, 80.5], [40.5, 38.5, 45.5], [71.5, 45.5, 45.5]]
    )
    voxels = np.floor(space.map_points_to(orientation, place)).astype(int)
    with start(atlas, Wish()) as viewing, start(phantom, Wish()) as straight:
        for pane, rows in (("coronal", (0, 1)), ("sagittal", (0, 2)), ("horizontal", (0, 2))):
            opened(page, f"{straight.url}#p=71,38,45")
            expected = [
                page.evaluate(
                    f"viewer.pageOf('{pane}', {np.floor(place[row]).astype(int).tolist()})"
                )
                for row in rows
            ]
            opened(page, f"{viewing.url}#p={','.join(map(str, voxels[0]))}")
            for row, at in zip(rows, expected, strict=True):
                voxel = voxels[row].tolist()
                x, y = page.evaluate(f"viewer.pageOf('{pane}', {voxel})")
                assert (x, y) == pytest.approx(at, abs=0.6)
                if pane == "horizontal" and row == 2:
                    assert y < expected[0][1]  # anterior is up
                page.mouse.move(x, y)
                voxel_side = atlas.hemisphere_from_coords(voxel, as_string=True)
                assert _drawn_side(page, pane, x) in (voxel_side, None)
                answer = atlas.lookup(voxels[row] + 0.5, unit="voxel").iloc[0]
                assert page.locator("#where").get_attribute("data-id") == str(answer["id"])
                assert page.locator("#numbers").text_content().endswith(answer["hemisphere"])


def test_a_resting_pointer_is_told_what_came_under_it(
    page: Any, phantom: BrainGlobeAtlas, phantom_viewing: Viewing
) -> None:
    """While the wheel steps through slices, what is said is of the voxel under the pointer; keys turn to the crosshair."""
    opened(page, f"{phantom_viewing.url}#p=71,38,45")
    page.mouse.move(*page.evaluate("viewer.pageOf('coronal', [71, 38, 30])"))
    until(page, "document.querySelector('#numbers').textContent.includes('71, 38, 30')")
    ids = set()
    for index in range(74, 101, 3):
        page.mouse.wheel(0, 120)  # three slices
        until(page, f"document.querySelector('#numbers').textContent.includes('{index}, 38, 30')")
        answer = phantom.lookup([[index + 0.5, 38.5, 30.5]], unit="voxel").iloc[0]
        assert page.locator("#where").get_attribute("data-id") == str(answer["id"])
        assert page.locator("#tip b").text_content() == answer["acronym"]
        ids.add(answer["id"])
    assert len(ids) > 1
    page.keyboard.press("1")
    page.keyboard.press("ArrowUp")
    until(page, "document.querySelector('#numbers').textContent.includes(', 37, 45 ·')")
    assert page.locator("#tip").is_hidden()


def test_another_image_can_be_chosen(page: Any, phantom: BrainGlobeAtlas, tmp_path: Path) -> None:
    """An additional reference is offered, fetched when chosen, and remembered in the address."""
    from bg_atlasapi.testing import write_package

    package = write_package(
        tmp_path,
        name="two_100um",
        annotation=phantom.annotation,
        reference=phantom.reference,
        structures=[dict(one) for one in phantom._model.structures],
        resolution=(100, 100, 100),
        additional_references={"nissl": phantom.reference[::-1]},
    )
    with start(BrainGlobeAtlas.from_path(package), Wish()) as viewing:
        opened(page, viewing.url)
        before = page.locator("[data-pane=coronal] canvas").screenshot()
        page.locator("#reference").select_option(label="nissl")
        page.wait_for_timeout(500)
        assert any("/api/image/1/0/" in one for one in page.requests)
        page.evaluate(_DROP, ["acronym,expression\nTH,1\n", "genes.csv"])
        page.wait_for_selector("html[data-values]")
        box = page.locator("#help").bounding_box()
        assert box["x"] + box["width"] <= SIZE["width"]  # with all controls there are
        assert page.locator("[data-pane=coronal] canvas").screenshot() != before
        assert "r=1" in page.url


def test_a_tab_reaches_every_control(page: Any, phantom_viewing: Viewing) -> None:
    """Tab visits the search, tree, each slice and slider, the 3-D view and all buttons."""
    opened(page, phantom_viewing.url)
    seen = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.add(
            page.evaluate(
                "(document.activeElement.closest('[data-pane]')?.dataset.pane ?? '') + ' ' +"
                "(document.activeElement.id || document.activeElement.role || document.activeElement.tagName)"
            ).strip()
        )
    wanted = {"search", "treeitem", "opacity", "outlines", "file", "share", "shot", "theme", "help"}
    slices = {f"{pane} {part}" for pane in AXES for part in ("application", "INPUT")}
    assert wanted | slices | {"solid application"} <= seen


@pytest.mark.parametrize("size", [(1280, 720), (390, 780), (1920, 1080)])
def test_nothing_is_cut_off_at_any_size(
    page: Any, phantom_viewing: Viewing, size: tuple[int, int]
) -> None:
    """From a phone to a large screen the page does not scroll sideways, and slices fill their panes."""
    page.set_viewport_size({"width": size[0], "height": size[1]})
    opened(page, phantom_viewing.url)
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert page.evaluate("document.documentElement.scrollHeight") <= size[1]
    box = page.locator("[data-pane=coronal] canvas").bounding_box()
    assert box["width"] > 300
    assert box["height"] > 200
    if size[0] < 760:
        page.click("nav button[data-tab=regions]")
        page.locator("#tree li").nth(3).click()
        assert page.locator("[data-pane=coronal] canvas").is_visible()


def test_a_picture_can_be_saved(page: Any, phantom_viewing: Viewing, tmp_path: Path) -> None:
    """The button saves a PNG of the four views that is not blank."""
    opened(page, phantom_viewing.url)
    with page.expect_download() as waiting:
        page.click("#shot")
    path = tmp_path / "shot.png"
    waiting.value.save_as(path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 50_000
    assert waiting.value.suggested_filename.startswith("phantom_mouse")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(page: Any, phantom_viewing: Viewing, scheme: str) -> None:
    """An accessibility scan finds nothing serious or critical: at the start, with results, with a region, with the help."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page.emulate_media(color_scheme=scheme)
    opened(page, phantom_viewing.url)

    def findings() -> list[str]:
        found = axe.run(page).response["violations"]
        serious = [one for one in found if one["impact"] in ("serious", "critical")]
        return [f"{one['id']}: {node['html'][:120]}" for one in serious for node in one["nodes"]]

    assert findings() == []
    page.keyboard.press("/")
    page.keyboard.type("vis")
    assert findings() == []
    page.keyboard.press("Enter")
    page.wait_for_selector("#details [data-key=sides]")
    page.evaluate(_DROP, ["x,y,z\n7100,3870,4500\n", "one.csv"])
    page.wait_for_selector("html[data-points]")
    assert findings() == []
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]")
    assert findings() == []
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": 390, "height": 780})
    page.click("nav button[data-tab=regions]")
    assert findings() == []


def test_nothing_is_fetched_from_elsewhere(page: Any, phantom_viewing: Viewing) -> None:
    """Every request of a whole visit goes to the viewer's own server."""
    opened(page, phantom_viewing.url)
    assert {urlsplit(one).netloc for one in page.requests if one.startswith("http")} == {
        urlsplit(phantom_viewing.url).netloc
    }
