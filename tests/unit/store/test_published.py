"""The index of published atlases: what ships is what the table says, and the table is checked."""

from __future__ import annotations

import importlib.util
import json
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "tools" / "make_published.py"
KEYS = ["name", "species", "resolution", "stores", "versions", "citation", "atlas_link"]


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    """Return the script as a module; it is no part of the package."""
    spec = importlib.util.spec_from_file_location("make_published", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def shipped() -> str:
    """Return the index as it lies in the package."""
    data = resources.files("bg_atlasapi") / "data" / "published_atlases.json"
    return data.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def atlases(shipped: str) -> dict[str, dict[str, Any]]:
    """Return the atlases of the index by name."""
    return {atlas["name"]: atlas for atlas in json.loads(shipped)["atlases"]}


@pytest.fixture
def row(maker: ModuleType) -> dict[str, str]:
    """Return a row of the table that has nothing wrong."""
    return next(r for r in maker.read_table() if r["name"] == "allen_mouse_25um")


def test_what_ships_is_what_the_script_makes(maker: ModuleType, shipped: str) -> None:
    """Nobody edited the index by hand, and nobody edited the table without running the script."""
    assert shipped == maker.index_text(maker.read_table()), "run python tools/make_published.py"


def test_the_header_says_what_it_is_from_when_and_from_where(shipped: str) -> None:
    """Whoever finds the file can judge it without finding the script."""
    about = json.loads(shipped)["about"]
    assert about["date"] == "2026-11-22"
    assert about["what"]
    assert set(about["stores"]) == {"packages", "components"}
    assert set(about["sources"]) == {"names", "versions", "facts", "citations"}


def test_one_line_an_atlas_sorted_by_name(shipped: str, atlases: dict[str, Any]) -> None:
    """A changed atlas is a changed line, and no name is there twice."""
    lines = shipped.partition('"atlases": [\n')[2].splitlines()[:-1]
    names = [json.loads(line.removesuffix(","))["name"] for line in lines]
    assert names == sorted(names) == sorted(atlases)
    assert len(names) == len(atlases)


def test_every_atlas_has_every_field_and_is_somewhere(atlases: dict[str, Any]) -> None:
    """A reader needs no defaults, and a version is of a store the atlas is in."""
    for atlas in atlases.values():
        assert list(atlas) == KEYS
        assert atlas["stores"]
        assert set(atlas["versions"]) <= set(atlas["stores"]) <= {"packages", "components"}


def test_layouts_have_their_major_versions(atlases: dict[str, Any]) -> None:
    """Archives are of major version 1 and components of 3: the columns are not mixed up."""
    for atlas in atlases.values():
        for store, version in atlas["versions"].items():
            assert version.startswith({"packages": "1.", "components": "3."}[store])


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        (
            "allen_mouse_25um",
            "citation",
            "Wang et al 2020, https://doi.org/10.1016/j.cell.2020.04.007",
        ),
        ("allen_mouse_25um", "versions", {"packages": "1.2"}),
        ("allen_mouse_25um", "stores", ["packages", "components"]),
        ("whs_sd_rat_39um", "species", "Rattus norvegicus"),
        ("allen_cord_20um", "resolution", [20, 10, 10]),
        ("kocher_bumblebee_2.542um", "resolution", [2.542, 1.2407, 1.2407]),
        ("admba_3d_p14_mouse_16.752um", "resolution", [16.752, 16.752, 25]),
        ("mpin_zfish_1um", "resolution", 1),
        ("swc_female_rat_50um", "atlas_link", None),
        ("african_molerat_20um", "citation", "unpublished"),
        ("duke_mouse_15um", "stores", ["components"]),
    ],
)
def test_facts_of_known_atlases(
    atlases: dict[str, Any], name: str, field: str, value: object
) -> None:
    """Facts that sources state arrive, types included; unknown ones are null, not invented."""
    assert atlases[name][field] == value


def test_the_table_has_nothing_wrong(maker: ModuleType) -> None:
    """The rules the script checks hold for the table as it is."""
    assert maker.problems(maker.read_table()) == []


@pytest.mark.parametrize(
    ("column", "value", "complaint"),
    [
        ("name", "allen_mouse_26um", "does not state the resolution '25'"),
        ("name", "allen_mouse", "name 'allen_mouse' is not of the form"),
        ("name", "Allen_mouse_25um", "name 'Allen_mouse_25um' is not of the form"),
        ("resolution", "25 25", "resolution '25 25' is not of the form"),
        ("resolution", "10 25 25", "does not state the resolution '10 25 25'"),
        ("species", "mouse", "species 'mouse' is not of the form"),
        ("packages", "v1.2", "packages 'v1.2' is not of the form"),
        ("citation", "Wang et al 2020", "citation 'Wang et al 2020' is neither"),
        ("citation", "Wang et al 2020, doi:10.1016/j.cell.2020.04.007", "is neither"),
        ("citation", "https://dx.doi.org/10.1016/j.cell.2020.04.007", "is neither"),
        ("atlas_link", "brain-map.org", "atlas_link 'brain-map.org' is not of the form"),
    ],
)
def test_a_wrong_cell_is_named(
    maker: ModuleType, row: dict[str, str], column: str, value: str, complaint: str
) -> None:
    """Each rule catches what it is for, and says which atlas and which cell."""
    (found,) = maker.problems([row | {column: value}])
    assert complaint in found
    assert found.startswith(value if column == "name" else row["name"])


@pytest.mark.parametrize(
    "citation",
    [
        "",
        "unpublished",
        "https://doi.org/10.1038/nature05453",
        "Jung et al. 2021, https://doi.org/10.1016/a; Hartig et al. 2021, https://doi.org/10.1016/b",
    ],
)
def test_forms_a_citation_may_have(maker: ModuleType, row: dict[str, str], citation: str) -> None:
    """Not known, unpublished, a bare DOI and several papers are all right."""
    assert maker.problems([row | {"citation": citation}]) == []


def test_a_name_may_round_its_resolution(maker: ModuleType, row: dict[str, str]) -> None:
    """A name with three decimals states a voxel size with seven, but not a different one."""
    fly = row | {"name": "fly_0.519um", "resolution": "0.5189161 1 0.5189161"}
    assert maker.problems([fly]) == []
    assert maker.problems([fly | {"name": "fly_0.518um"}])


def test_rows_out_of_order_twice_or_in_no_store(maker: ModuleType, row: dict[str, str]) -> None:
    """Mistakes that show only between rows or between columns are found, all at once."""
    nowhere = row | {"name": "aaa_mouse_25um", "packages": "", "components": ""}
    found = "\n".join(maker.problems([row, row, nowhere]))
    assert "allen_mouse_25um: named more than once" in found
    assert "not sorted by name" in found
    assert "aaa_mouse_25um: is in no store" in found


def test_a_table_with_problems_makes_no_index(maker: ModuleType, row: dict[str, str]) -> None:
    """Every problem is in one error; no half-checked index is written."""
    with pytest.raises(ValueError, match=r"(?s)species 'mouse'.*packages 'v1'"):
        maker.index_text([row | {"species": "mouse", "packages": "v1"}])


@pytest.mark.parametrize("text", ["name\tspecies\n", "{columns}\nallen_mouse_25um\tMus musculus\n"])
def test_a_table_of_another_shape_is_refused(maker: ModuleType, tmp_path: Path, text: str) -> None:
    """Missing columns and short rows (a lost tab) are told apart from wrong facts."""
    table = tmp_path / "published_atlases.tsv"
    table.write_text(text.format(columns="\t".join(maker.COLUMNS)), encoding="utf-8")
    with pytest.raises(ValueError, match="columns"):
        maker.read_table(table)


def test_check_writes_nothing_and_tells_by_its_status(
    maker: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """--check fails on a missing or stale index and passes after the script has run."""
    monkeypatch.setattr(maker, "INDEX", tmp_path / "published_atlases.json")
    monkeypatch.setattr("sys.argv", ["make_published.py", "--check"])
    assert maker.main() == 1
    assert not maker.INDEX.exists()
    monkeypatch.setattr("sys.argv", ["make_published.py"])
    assert maker.main() == 0
    monkeypatch.setattr("sys.argv", ["make_published.py", "--check"])
    assert maker.main() == 0
