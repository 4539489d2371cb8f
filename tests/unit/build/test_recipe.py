"""Recipes are read strictly, and everything wrong with one is said at once."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from bg_atlasapi.build import recipe as recipes
from bg_atlasapi.build.recipe_schema import findings_of, json_schema
from bg_atlasapi.errors import InvalidInputError, InvalidRecipeError

CHECKOUT = Path(__file__).parents[3]
PUBLISHED = CHECKOUT / "docs" / "reference" / "recipe.schema.json"
HASH = "0" * 64
FULL = f"""\
name = "my_mouse"
version = "1.2"
species = "Mus musculus"
citation = "Somebody et al. 2024"
doi = "10.1000/xyz"
licence = "CC-BY-4.0"
link = "https://example.org"
packager = "Me"
custom = false
accept = ["islands"]

[space]
orientation = "lps"
resolution_um = 25
levels_um = [100, [50, 50, 50]]

[annotation]
path = "labels.nii.gz"
sha256 = "{HASH}"
unlisted = "add"

[template]
url = "https://example.org/t.nii.gz"
sha256 = "{HASH}"
orientation = "ras"
resolution_um = [25, 25, 50]

[[references]]
name = "T2w"
path = "t2.nii.gz"

[[references]]
name = "T1w"
path = "/data/t1.nii.gz"

[hemispheres]
path = "sides.nii.gz"

[table]
path = "labels.csv"
kind = "csv"
columns = {{ id = "index", name = "label" }}

[meshes]
build = false
tolerance_um = 10
smooth = false
"""
BROKEN = """\
name = "my mouse"
versoin = "1.2"
species = 3
doi = "doi:10.1"

[space]
orientation = "apl"
resolution_um = [25, 25]
levels_um = [-50]

[annotation]
path = "labels.nii.gz"
url = "https://example.org/labels.nii.gz"
sha257 = "0"
unlisted = "ad"

[template]
orientation = "ras"

[[references]]
name = "template"
path = "a.nii"

[[references]]
nam = "T2w"

[hemispheres]
path = 1

[tabel]
path = "labels.tsv"
"""


def write(folder: Path, text: str) -> Path:
    """Write a recipe."""
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_key_arrives_typed(tmp_path: Path) -> None:
    """A recipe that says everything is read into the dataclass, paths relative to its folder."""
    found = recipes.read_recipe(write(tmp_path, FULL))
    assert found.annotation.source.path == tmp_path / "labels.nii.gz"
    assert found.annotation.source.sha256 == HASH
    assert (found.annotation.orientation, found.annotation.resolution_um) == ("lps", (25, 25, 25))
    assert found.template is not None
    assert found.template.source.url == "https://example.org/t.nii.gz"
    assert (found.template.orientation, found.template.resolution_um) == ("ras", (25, 25, 50))
    assert [one.name for one in found.volumes] == [
        *("annotation", "template", "hemispheres", "T2w", "T1w")
    ]
    assert found.references[1].source.path == Path("/data/t1.nii.gz")
    assert found.levels_um == ((50, 50, 50), (100, 100, 100))
    assert found.table.columns == {"id": "index", "name": "label"}
    assert found.meshes == recipes.MeshRecipe(build=False, tolerance_um=10, smooth=False)
    assert (found.unlisted, found.accept, found.custom) == ("add", ("islands",), False)
    assert found.full_citation == "Somebody et al. 2024, https://doi.org/10.1000/xyz"
    elsewhere = recipes.read_recipe(found.file, "/somewhere")
    assert elsewhere.table.source.path == Path("/somewhere/labels.csv")


def test_what_is_optional_has_defaults(tmp_path: Path) -> None:
    """Labels and a table are enough; the atlas is symmetric, custom, and without a template."""
    text = 'name = "a"\nversion = "1.0"\nhemispheres = "symmetric"\n'
    text += '[annotation]\npath = "a.nii"\n[table]\npath = "a.csv"\n'
    found = recipes.read_recipe(write(tmp_path, text))
    assert (found.template, found.hemispheres, found.references) == (None, None, ())
    assert (found.custom, found.unlisted, found.meshes.build) == (True, "refuse", True)
    assert found.full_citation == ""


def test_all_findings_come_at_once_with_line_and_hint(tmp_path: Path) -> None:
    """A recipe broken in many places reports each with its line, its key and what was meant."""
    with pytest.raises(InvalidRecipeError) as caught:
        recipes.read_recipe(write(tmp_path, BROKEN))
    found = [(one.where, one.code) for one in caught.value.findings]
    assert found == [
        ("mine.toml:1, name", "wrong-value"),
        ("mine.toml:2, versoin", "unknown-key"),
        ("mine.toml:3, species", "wrong-value"),
        ("mine.toml:4, doi", "wrong-value"),
        ("mine.toml:7, space.orientation", "wrong-value"),
        ("mine.toml:8, space.resolution_um", "wrong-value"),
        ("mine.toml:9, space.levels_um[0]", "wrong-value"),
        ("mine.toml:11, annotation", "missing-key"),
        ("mine.toml:11, annotation", "missing-key"),
        ("mine.toml:14, annotation.sha257", "unknown-key"),
        ("mine.toml:15, annotation.unlisted", "wrong-value"),
        ("mine.toml:17, template", "missing-key"),
        ("mine.toml:21, references[0].name", "volume-named-twice"),
        ("mine.toml:24, references[1].name", "missing-key"),
        ("mine.toml:24, references[1]", "missing-key"),
        ("mine.toml:25, references[1].nam", "unknown-key"),
        ("mine.toml:28, hemispheres.path", "wrong-value"),
        ("mine.toml:30, tabel", "unknown-key"),
        ("mine.toml, version", "missing-key"),
        ("mine.toml, table", "missing-key"),
    ]
    said = str(caught.value)
    assert said.startswith(f"{tmp_path / 'mine.toml'} cannot be built, 20 findings:\n")
    for hint in ("'version'", "'sha256'", "'name'", "'table'", "Did you mean 'add'?"):
        assert hint in said


@pytest.mark.parametrize(
    ("text", "where"),
    [('name = "a', "mine.toml:1"), ("a = 1\na = 2\n", "mine.toml:2"), ("[x\n", "mine.toml:1")],
)
def test_broken_toml_is_one_finding_with_its_line(tmp_path: Path, text: str, where: str) -> None:
    """What is not TOML is reported as such, at the line where reading ended."""
    with pytest.raises(InvalidRecipeError) as caught:
        recipes.read_recipe(write(tmp_path, text))
    (finding,) = caught.value.findings
    assert finding.code == "recipe-syntax"
    assert finding.where in {where, "mine.toml"}


def test_a_recipe_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    """A missing file and one that is not UTF-8 are sentences, not tracebacks."""
    with pytest.raises(InvalidInputError, match="cannot be read"):
        recipes.read_recipe(tmp_path / "none.toml")
    (tmp_path / "mine.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidInputError, match="UTF-8"):
        recipes.read_recipe(tmp_path / "mine.toml")


@pytest.mark.parametrize("value", [[], 1, "a", {"name": {}}, {"references": {}}, {"table": []}])
def test_hostile_shapes_are_findings(value: object) -> None:
    """Whatever stands where something else belongs is a finding, never a crash."""
    assert list(findings_of(value))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ('name = "a"\n[space]\nresolution_um = 1e300', "1e-06 to 1e\\+09 µm"),
        ('name = "a"\n[space]\nresolution_um = 1e-300', "1e-06 to 1e\\+09 µm"),
        ('name = "a"\n[space]\nlevels_um = [1' + 400 * "0" + "]", "1e-06 to 1e\\+09 µm"),
        (f'name = "a"\n[space]\nlevels_um = [{5000 * "9"}]', "not TOML"),
        (f'name = "{101 * "a"}"', "at most 100 letters"),
    ],
)
def test_absurd_sizes_are_findings(tmp_path: Path, words: str, said: str) -> None:
    """What no number, file or disk holds is told before anything is made of it."""
    with pytest.raises(InvalidRecipeError, match=said):
        recipes.read_recipe(write(tmp_path, words))


def test_the_published_schema_is_the_one_that_is_used() -> None:
    """The file that editors load equals the schema in the code."""
    assert json.loads(PUBLISHED.read_text(encoding="utf-8")) == json_schema()


def test_the_schema_and_the_dataclass_name_the_same_things() -> None:
    """Every key of the schema arrives in the dataclass, and nothing else is in it."""
    keys = set(json_schema()["properties"])
    fields = {one.name for one in dataclasses.fields(recipes.Recipe)}
    assert fields - {"file", "levels_um", "unlisted", "findings"} == keys - {"space"}


def test_the_schema_says_each_key_and_compiles() -> None:
    """Each key has a description, and each pattern is a regular expression of both languages."""
    todo = [json_schema()]
    while todo:
        schema = todo.pop()
        assert schema.get("description") or "type" in schema
        re.compile(schema.get("pattern", ""))
        todo += [*schema.get("properties", {}).values(), *schema.get("oneOf", [])]
        assert all("description" in one for one in schema.get("properties", {}).values())
