"""What notebooks, terminals and napari show of an atlas."""

from __future__ import annotations

import base64
import io
import re
import shutil
import struct
import subprocess
import sys
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.core import Atlas
from bg_atlasapi.errors import UnknownStructureError
from bg_atlasapi.model.terminology import Record, Terminology
from bg_atlasapi.testing import tiny_components, tiny_package
from bg_atlasapi.view import thumbnails, trees


@pytest.fixture(scope="module")
def atlas() -> BrainGlobeAtlas:
    """Return the phantom."""
    return BrainGlobeAtlas("phantom_mouse_100um", check_latest=False)


class Page(HTMLParser):
    """Collects tags, texts and pictures, and sees that all is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.pictures: list[bytes] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag, and what it shows."""
        self.tags.append(tag)
        if tag != "img":
            self.open.append(tag)
        source = dict(attrs).get("src") or ""
        if source:
            self.pictures.append(base64.b64decode(source.partition("base64,")[2]))

    def handle_endtag(self, tag: str) -> None:
        """See that it was the last to open."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.texts.append(data)


def test_a_notebook_shows_pictures_facts_and_citation(atlas: BrainGlobeAtlas) -> None:
    """Three pictures inline, the metadata, how to cite; no script, nothing from elsewhere."""
    text = atlas._repr_html_()
    page = Page(text)
    assert len(page.pictures) == 3
    shown = " ".join(page.texts)
    for fact in ("phantom mouse atlas", "Mus musculus", "132 × 80 × 114", "13.2 × 8 × 11.4 mm"):
        assert fact in shown
    assert atlas.metadata["citation"] in shown
    assert "script" not in page.tags
    assert "http" not in "".join(re.findall(r'src="([^"]*)"', text))
    assert len(text) < 100_000


def test_what_files_hold_is_escaped(tmp_path: Path) -> None:
    """Names, citations and links of a hostile atlas are text, not markup."""
    evil = '"><script>alert(1)</script>'
    folder = tiny_package(tmp_path, citation=evil, species=evil, atlas_link=f"javascript:{evil}")
    page = Page(BrainGlobeAtlas.from_path(folder)._repr_html_())
    assert "script" not in page.tags
    assert "a" not in page.tags
    assert evil in page.texts


def test_every_kind_of_atlas_has_one(tmp_path: Path, atlas: BrainGlobeAtlas) -> None:
    """Packages, stores, groups, atlases without a name; one with damaged volumes has no picture."""
    package = tiny_package(tmp_path / "v1")
    for one in (
        Atlas.from_path(package),
        Atlas.from_path(next(tiny_components(tmp_path / "v3").rglob("manifest.json"))),
        atlas.group(3),
    ):
        assert len(Page(one._repr_html_()).pictures) == 3
    broken = tmp_path / "broken" / package.name
    shutil.copytree(package, broken)
    opened = Atlas.from_path(broken)
    (broken / "annotation.tiff").write_bytes(b"II*\0 no TIFF")
    assert Page(opened._repr_html_()).pictures == []


def test_pictures_cost_little(tmp_path: Path) -> None:
    """Of a volume much larger than what is shown, planes that would touch all of it are left out."""
    atlas = Atlas.from_path(tiny_package(tmp_path, shape=(60, 260, 260)))
    found = thumbnails.thumbnails_of(atlas, side=260)  # a sagittal one takes a page for each pixel
    assert [one.title.split(",")[0] for one in found] == ["coronal", "horizontal"]
    found = thumbnails.thumbnails_of(atlas, side=100)
    assert [one.title.split(",")[0] for one in found] == ["coronal", "horizontal", "sagittal"]
    assert all(max(one.pixels.shape) <= 100 for one in found)


def test_pictures_are_seen_upright(atlas: BrainGlobeAtlas) -> None:
    """The coronal picture is the slice: dorsal is up, and sides mirror; anterior is on the left."""
    coronal = thumbnails.thumbnails_of(atlas, planes=1)[0].pixels
    assert coronal.shape[1] > coronal.shape[0]
    opaque = coronal[..., 3] > 127
    assert np.mean(opaque == opaque[:, ::-1]) > 0.97
    hypothalamus = coronal[-3, coronal.shape[1] // 2 + 4, :3].astype(int)
    assert hypothalamus[0] > hypothalamus[1] + 50  # it is red, and at the bottom
    sagittal = thumbnails.thumbnails_of(atlas)[2].pixels
    yellow = (sagittal[..., 0] > 150) & (sagittal[..., 1] > 150) & (sagittal[..., 2] < 150)
    assert np.argwhere(yellow)[:, 1].mean() > 0.6 * sagittal.shape[1]  # the cerebellum is behind


def test_png_files_hold_the_pixels() -> None:
    """Decoded by the book, the file is the picture."""
    pixels = np.random.default_rng(0).integers(0, 256, (7, 5, 4)).astype(np.uint8)
    data = thumbnails.png_of(pixels)
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    at, chunks = 8, {}
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length]) == (
            zlib.crc32(kind + body),
        )
        chunks[kind] = body
        at += 12 + length
    assert struct.unpack(">IIBBBBB", chunks[b"IHDR"]) == (5, 7, 8, 6, 0, 0, 0)
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(7, 21)
    assert np.array_equal(rows[:, 1:].reshape(7, 5, 4), pixels)
    from PIL import Image

    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), pixels)


def test_half_blocks_are_two_pixels_each() -> None:
    """Upper and lower pixel become foreground and background; what is clear stays the terminal's."""
    pixels = np.zeros((3, 2, 4), np.uint8)
    pixels[0, 0] = (1, 2, 3, 255)
    pixels[1, 0] = (4, 5, 6, 255)
    pixels[1, 1] = (7, 8, 9, 255)
    lines = list(thumbnails.half_blocks(pixels))
    assert lines == [
        [("▀", "rgb(1,2,3) on rgb(4,5,6)"), ("▄", "rgb(7,8,9)")],
        [(" ", ""), (" ", "")],
    ]


def test_the_terminal_panel_is_that_of_1x(atlas: BrainGlobeAtlas) -> None:
    """``print(atlas)`` still is the panel with the metadata."""
    text = str(atlas)
    assert "Phantom mouse 100um" in text
    assert "Mus musculus" in text
    assert text.startswith(("╭", "┌"))


def test_the_tree_is_that_of_treelib(atlas: BrainGlobeAtlas) -> None:
    """``print(atlas.structures)`` prints what 1.x did, line for line."""
    assert repr(atlas.structures) == str(atlas.structures.tree.show(stdout=False))


def deep(count: int) -> Terminology:
    """Return structures each of which is the parent of the next."""
    records = [Record(1, "s1", "one", (1,), (1, 2, 3))]
    records += [Record(n, f"s{n}", "x", (n - 1, n), (1, 2, 3)) for n in range(2, count + 1)]
    return Terminology(records)


def test_deep_trees_are_printed() -> None:
    """50,000 levels: a line each, none longer than can be read, no recursion."""
    lines = trees.plain(deep(50_000)).splitlines()
    assert len(lines) == 50_000
    assert max(map(len, lines)) < 200
    assert lines[1] == "└── s2 (2)"
    assert lines[-1].startswith("… ")
    assert lines[-1].endswith("└── s50000 (50000)")


def test_broad_trees_are_printed() -> None:
    """50,000 children of one parent."""
    records = [Record(1, "s1", "one", (1,), (1, 2, 3))]
    records += [Record(n, f"s{n}", "x", (1, n), (1, 2, 3)) for n in range(2, 50_002)]
    lines = list(trees.lines_of(Terminology(records)))
    assert [line for line, _ in lines[-2:]] == ["├── ", "└── "]


def test_rich_prints_the_tree_in_colour(atlas: BrainGlobeAtlas) -> None:
    """A dot in the region's colour, the acronym, the name; names are not markup."""
    from rich.console import Console

    console = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", width=80)
    console.print(atlas.structures)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    red, green, blue = atlas.structures["TH"].rgb_triplet
    assert re.search(rf"38;2;{red};{green};{blue}m● .*TH.*Thalamus", text)
    assert len(text.splitlines()) == len(atlas.structures)
    lines = [str(line) for line in trees.coloured(atlas.structures.terminology, depth=1)]
    assert lines[0] == "● root  root"
    assert lines[1].startswith("├── ● grey  ")
    assert re.search(r"  \+\d+$", lines[1])


def test_a_part_of_the_tree(atlas: BrainGlobeAtlas) -> None:
    """From a structure down, so many levels; as rows, with parents."""
    tree = atlas.structures.terminology
    rows = trees.nested(tree, tree.code("CTX"), 1)
    assert [row["acronym"] for row in rows] == [
        "CTX",
        *(one.acronym for one in atlas.structures["CTX"].children),
    ]
    assert {row["parent"] for row in rows[1:]} == {atlas.structures["CTX"].id}
    with pytest.raises(UnknownStructureError):
        tree.code("CTY")


def test_napari_finds_a_sound_manifest() -> None:
    """npe2 reads it, and every function it names is there; the package offers it."""
    script = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "from npe2 import PluginManifest\n"
        "manifest = PluginManifest.from_distribution('bg-atlasapi')\n"
        "manifest.validate_imports()\n"
        "print([c.command for c in manifest.contributions.readers])\n"
        "print([s.key for s in manifest.contributions.sample_data])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        "['bg-atlasapi.get_reader']",
        "['phantom', 'allen_mouse_100um']",
    ]


def test_napari_is_not_imported_by_others() -> None:
    """Neither the package nor an atlas nor its plots load napari, or the module for it."""
    script = (
        "import sys\n"
        "from bg_atlasapi import BrainGlobeAtlas, view\n"
        "view.outlines_of(BrainGlobeAtlas('phantom_mouse_100um'))._repr_html_ if 0 else None\n"
        "print([m for m in sys.modules if 'napari' in m or m == 'npe2'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_layers_of_napari(atlas: BrainGlobeAtlas) -> None:
    """An image, labels with names and colours by id, and surfaces over each other, in µm."""
    from bg_atlasapi import napari_layers

    layers = napari_layers.phantom()
    kinds = [kind for _, _, kind in layers]
    assert kinds[:2] == ["image", "labels"]
    assert set(kinds[2:]) == {"surface"}
    assert len({meta["name"] for _, meta, _ in layers}) == len(layers)
    (image, shown, _), (labels, named, _) = layers[:2]
    assert np.array_equal(image[71], atlas.reference[71])
    assert labels.dtype.kind in "iu"
    assert shown["scale"] == named["scale"] == (100, 100, 100)
    assert shown["translate"] == (50, 50, 50)  # the centre of the first voxel
    features = named["features"].set_index("index")
    assert features.loc[549, ["acronym", "name"]].tolist() == ["TH", "Thalamus"]
    colour = np.array(named["colormap"][549]) if "colormap" in named else None
    assert colour is None or np.allclose(colour[:3] * 255, atlas.structures["TH"].rgb_triplet)
    (points, triangles), root, _ = layers[2]
    assert root["metadata"]["acronym"] == "root"
    assert root["vertex_colors"].shape == (len(points), 4)
    assert triangles.max() < len(points)
    assert np.allclose(points, atlas.root_mesh().points)


def test_napari_reads_folders_and_leaves_other_files(tmp_path: Path) -> None:
    """Folders and descriptions of both generations; anything else is for other readers."""
    from bg_atlasapi import napari_layers

    package = tiny_package(tmp_path / "v1")
    manifest = next(tiny_components(tmp_path / "v3").rglob("manifest.json"))
    for path in (package, package / "metadata.json", manifest, manifest.parent):
        read: Any = napari_layers.get_reader(str(path))
        layers = read(str(path))
        assert [kind for _, _, kind in layers[:2]] == ["image", "image"]  # the template and nissl
        assert [meta["visible"] for _, meta, _ in layers[:2]] == [True, False]
    other = tmp_path / "metadata.json"
    other.write_text("{}")
    for path in (tmp_path, other, package / "annotation.tiff", tmp_path / "nothing"):
        assert napari_layers.get_reader(str(path)) is None
    assert napari_layers.get_reader([]) is None
    assert napari_layers.get_reader([str(package), str(tmp_path)]) is None
