"""The page about an atlas: whole, safe, the right way round."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from bg_atlasapi.build.report import write_report
from bg_atlasapi.build.report.gallery import partition
from bg_atlasapi.build.report.markup import Markup, element, text
from bg_atlasapi.build.report.planes import PLANES, Painter, outlined, view_of
from bg_atlasapi.build.report.surfaces import Camera, look, painted
from bg_atlasapi.build.validation import check_path
from bg_atlasapi.build.validation.subject import Checked
from bg_atlasapi.errors import StorageError
from bg_atlasapi.model.labels import ArraySource, LabelVolume
from bg_atlasapi.model.mesh import TriangleMesh
from bg_atlasapi.model.space import CoordinateSpace

_spec = importlib.util.spec_from_file_location("sound", Path(__file__).with_name("sound.py"))
sound = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(sound)

ORIENTATIONS = ("asr", "sra", "rai", "lsp", "psl", "ial")
HOSTILE = "<script>alert('x')</script>\"'&<img src=x onerror=alert(1)>"


class _Page(HTMLParser):
    """What a browser would see: elements with their attributes, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in {"img", "input", "meta", "br", "col"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def named(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def _written(tmp_path, made, **options):
    folder = sound.write(tmp_path, made)
    verdict = check_path(folder)
    path = write_report(
        verdict.atlas, tmp_path / "r.html", verdict.findings, folder=folder, **options
    )
    return path.read_text(encoding="utf-8")


def test_the_page_shows_everything_and_needs_nothing(tmp_path):
    """Pictures, regions, findings, meshes, provenance are in it; nothing is fetched."""
    made = sound.parts()
    made["structures"][4]["acronym"] = "CTX"
    page = _written(tmp_path, made, provenance={"source": {"labels": "abc.nii.gz", "sha256": "ff"}})
    seen = _Page(page)
    assert seen.open == []
    words = " ".join(seen.words)
    for wanted in (
        "sound_mouse_100um",
        "duplicate-acronym",
        "Brain stem, with a comma",
        "CC-BY-4.0",
    ):
        assert wanted in words
    assert "source: labels" in words
    pictures = seen.named("img")
    assert len(pictures) > 3 * 3 + 8
    assert all(one["src"].startswith("data:image/png;base64,") for one in pictures)
    assert all("alt" in one for one in pictures)
    assert not seen.named("link")
    assert not [one for one in seen.named("script") if "src" in one]
    assert not re.search(r"url\(|@import", page)
    (policy,) = [one["content"] for one in seen.named("meta") if "http-equiv" in one]
    assert policy.startswith("default-src 'none'")
    ids = {attributes["id"] for _, attributes in seen.elements if "id" in attributes}
    assert {one["href"][1:] for one in seen.named("a") if one["href"].startswith("#")} <= ids


def test_the_same_atlas_gives_the_same_page(tmp_path):
    """Neither the place nor the time is in it."""
    pages = {
        _written(tmp_path / name, sound.parts()) for name in "ab" if not (tmp_path / name).mkdir()
    }
    assert len(pages) == 1


def test_hostile_names_stay_text(tmp_path):
    """Names, acronyms, metadata and messages of anybody's cannot become elements."""
    made = sound.parts()
    made["structures"][3] |= {"name": HOSTILE, "acronym": HOSTILE}
    made["structures"][4] |= {"name": "", "rgb_triplet": [0, 0, 300], "acronym": HOSTILE}
    made |= {
        "citation": HOSTILE,
        "species": HOSTILE,
        "atlas_link": "javascript:alert(1)",
        HOSTILE: HOSTILE,
    }
    page = _written(tmp_path, made, provenance={HOSTILE: {HOSTILE: HOSTILE}})
    seen = _Page(page)
    assert len(seen.named("script")) == 1
    assert "alert(" not in "".join(re.findall(r"<script>.*?</script>", page, re.DOTALL))
    assert not [one for _, one in seen.elements if any(key.startswith("on") for key in one)]
    assert all(one["href"].startswith(("#", "https://", "http://")) for one in seen.named("a"))
    assert HOSTILE in "".join(seen.words)


def test_a_damaged_volume_does_not_hide_the_rest(tmp_path):
    """Without a readable template or annotation the page says so and shows the findings."""
    folder = sound.write(tmp_path, sound.parts())
    for name in ("reference.tiff", "annotation.tiff"):
        (folder / name).write_bytes((folder / name).read_bytes()[:200])
    verdict = check_path(folder)
    path = write_report(verdict.atlas, tmp_path / "r.html", verdict.findings)
    page = path.read_text(encoding="utf-8")
    assert "This cannot be shown." in page
    assert "unreadable" in page


def test_a_page_that_cannot_be_written_is_an_error(tmp_path):
    """The folder is missing: one sentence, no half page."""
    verdict = check_path(sound.write(tmp_path, sound.parts()))
    with pytest.raises(StorageError, match="cannot be written"):
        write_report(verdict.atlas, tmp_path / "none" / "r.html", verdict.findings)


def test_an_atlas_without_labels_or_meshes_has_a_page(tmp_path):
    """Emptiness is shown, not raised."""
    made = sound.parts()
    made["annotation"][:] = 0
    made["reference"][:] = 3
    made["meshes"] = {}
    page = _written(tmp_path, made)
    assert "no-labels" in page
    assert "No mesh could be read." in page


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_slices_lie_as_their_letters_say(tmp_path, orientation):
    """A bright corner (anterior, superior, left) is drawn at A, S and L, however axes run."""
    shape = (9, 10, 11)
    space = CoordinateSpace(shape, (50.0, 50.0, 50.0), orientation)
    corner = tuple(slice(0, 3) if one in "asl" else slice(-3, None) for one in orientation)
    labels = np.zeros(shape, np.uint32)
    labels[corner] = 997
    made = sound.parts()
    atlas = check_path(sound.write(tmp_path, made)).atlas
    terms = atlas.terminology
    atlas = dataclasses.replace(
        atlas,
        space=space,
        reference=ArraySource(labels.astype(np.uint16)),
        labels=LabelVolume(ArraySource(labels), terms),
    )
    painter = Painter(Checked(atlas))
    for plane in PLANES:
        view = view_of(space, plane)
        template, codes = painter._read(view, painter.place(view, 0.5), 100)
        rows, columns = np.nonzero(codes)
        letters = view.letters
        assert (rows.mean() < codes.shape[0] / 2) == (letters["top"] in "ASL")
        assert (columns.mean() < codes.shape[1] / 2) == (letters["left"] in "ASL")
        assert (letters["top"], letters["left"]) in {("S", "L"), ("S", "A"), ("A", "L")}
        assert template.shape == codes.shape


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_meshes_are_seen_from_the_left_front_and_above(orientation):
    """Whichever way axes run, anterior is to the left, superior up, left near the viewer."""
    space = CoordinateSpace((10, 10, 10), (1.0, 1.0, 1.0), orientation)
    cube = np.array([(x, y, z) for x in (0, 9) for y in (0, 9) for z in (0, 9)], float)
    camera = Camera.on(space, cube, 100)
    assert np.allclose(camera.turn @ camera.turn.T, np.eye(3))
    towards = {}
    for axis, letter in enumerate(orientation):
        step = np.zeros(3)
        step[axis] = -1  # towards index 0
        seen = camera.turn @ step
        towards[letter] = seen
        towards[{"a": "p", "p": "a", "s": "i", "i": "s", "l": "r", "r": "l"}[letter]] = -seen
    assert towards["a"][0] < -0.5
    assert towards["s"][1] > 0.5
    assert towards["l"][2] > 0.5
    assert towards["a"][2] > 0
    assert towards["s"][2] > 0


def test_surfaces_have_no_holes_and_hide_what_is_behind():
    """A large and a finely divided box cover the same pixels; the nearer of two is seen."""
    space = CoordinateSpace((10, 10, 10), (100.0, 100.0, 100.0))
    points, faces = sound.box((0, 0, 0), (1000, 1000, 1000))
    box = TriangleMesh(points, faces)
    camera = Camera.on(space, points, 60)
    seen = look(box, camera)
    inner = seen.there[:, seen.there.any(axis=0)]
    gaps = [np.diff(np.flatnonzero(column)).max(initial=1) for column in inner.T]
    assert max(gaps) == 1
    picture = painted(seen, (200, 30, 30), None)
    assert picture.shape == (*camera.size[::-1], 4)
    assert picture[..., 3].max() == 255
    assert picture[0, 0, 3] == 0
    small, more = sound.box((400, 400, 400), (600, 600, 600))
    both = look(
        TriangleMesh(np.concatenate([points, small]), np.concatenate([faces, more + 8])), camera
    )
    np.testing.assert_array_equal(both.light, seen.light)
    glass = painted(look(TriangleMesh(small, more), camera), (200, 30, 30), seen)
    assert (glass[..., 0] > 100).any()
    assert ((glass[..., 3] > 0) & (glass[..., 3] < 200)).any()


def test_outlines_are_one_pixel_of_a_finer_picture():
    """Between two regions of four voxels there is a line one pixel wide."""
    codes = np.repeat([[1, 1, 2, 2]], 4, axis=0)
    lines = outlined(codes, 40)
    assert lines.shape == (40, 40, 4)
    assert (lines[20, :, 3] > 0).sum() == 1


def test_the_gallery_takes_the_brain_apart(tmp_path):
    """Structures shown are not within one another, and no more than asked for."""
    checked = Checked(check_path(sound.write(tmp_path, sound.parts())).atlas)
    chosen = partition(checked.terminology, checked.total, 3)
    tree = checked.terminology
    assert 0 < len(chosen) <= 3
    assert not [(a, b) for a in chosen for b in chosen if a != b and tree.contains(a, b)]


def test_markup_escapes_all_but_its_own():
    """Text, attributes and numbers are escaped; elements are not escaped twice."""
    inner = element("b", "<&>")
    made = element("p", [inner, None, 3], data_x='"<', hidden=True, title=None)
    assert made == '<p data-x="&quot;&lt;" hidden><b>&lt;&amp;&gt;</b>3</p>'
    assert element("br") == "<br>"
    assert text(Markup("<i>")) == "<i>"
    assert text("a\0b") == "ab"
