"""The verb build, as people and scripts type it: recipes written, checked, planned, built."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from bg_atlasapi import BrainGlobeAtlas, cli
from bg_atlasapi.build.recipe_schema import json_schema


def run(*args: object, code: int = 0) -> Result:
    """Run the command line in this process."""
    words = [str(one) for one in args]
    result = CliRunner().invoke(cli.bg_cli, words, catch_exceptions=False)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def answer(*args: object, code: int = 0) -> Any:
    """Return what the verb prints with --json."""
    return json.loads(run("build", *args, "--json", code=code).stdout)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write labels, a template and a table, and work in their folder."""
    labels = np.zeros((24, 20, 22), np.uint8)
    labels[4:20, 4:16, 3:19] = 7
    labels[6:12, 6:12, 5:17] = 9
    np.save(tmp_path / "labels.npy", labels)
    np.save(tmp_path / "image.npy", labels.astype(np.uint16) * 50 + 3)
    (tmp_path / "labels.tsv").write_text("index\tname\n7\tOuter\n9\tInner\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def start(*more: object) -> Result:
    """Write a recipe for the data."""
    files = ("--from", "labels.npy", "--table", "labels.tsv", "--name", "mine")
    return run("build", *files, "--orientation", "asr", "--resolution", "50", *more)


def test_from_labels_to_an_atlas(data: Path) -> None:
    """Two commands: the first writes a recipe, the second builds it; the atlas answers."""
    told = start("--template", "image.npy", "--species", "Mus musculus", "--licence", "CC0-1.0")
    assert "brainglobe build mine.toml" in told.stderr
    assert "citation-missing" in told.stderr
    text = (data / "mine.toml").read_text()
    assert 'path = "labels.npy"' in text
    assert str(data) not in text
    made = answer("mine.toml", "-o", "out", "--no-meshes")
    assert (made["name"], made["version"], made["is_new"]) == ("mine_50um", "1.0", True)
    assert set(made["paths"]) == {"components", "packaged", "archive", "report"}
    assert all(Path(one).exists() for one in made["paths"].values())
    atlas = BrainGlobeAtlas("mine_50um", data / "out", check_latest=False)
    assert atlas.structure_from_coords((7, 7, 7)) == 9
    assert answer("mine.toml", "-o", "out", "--no-meshes")["is_new"] is False
    plain = run("build", "mine.toml", "-o", "out", "--no-meshes")
    assert "mine_50um 1.0 was built already" in plain.stdout


def test_everything_a_new_recipe_can_say(data: Path) -> None:
    """Options become keys; paths are relative to the recipe, wherever it is written."""
    np.save(data / "sides.npy", np.ones((24, 20, 22), np.uint8))
    (data / "deep").mkdir()
    start(
        *("--hemispheres", "sides.npy", "--reference", "T1=image.npy", "--version", "2.3"),
        *("--citation", 'A "quoted" – text', "--doi", "10.1000/x", "--link", "https://e.org"),
        *("--packager", "Ada", "-o", "deep/other.toml"),
    )
    facts = answer("deep/other.toml", "--dry-run")
    assert facts["references"] == ["T1"]
    assert facts["hemispheres"] == "stored"
    assert facts["version"] == "2.3"
    assert 'path = "../labels.npy"' in (data / "deep" / "other.toml").read_text()


def test_a_dry_run_says_what_would_be_and_writes_nothing(data: Path) -> None:
    """The plan names shape, voxel size, structures and formats; no file is made."""
    start()
    before = sorted(data.rglob("*"))
    facts = answer("mine.toml", "--dry-run", "--format", "packaged", "-o", "out")
    assert facts["name"] == "mine_50um"
    assert (facts["shape"], facts["resolution_um"]) == ([24, 20, 22], [50, 50, 50])
    assert (facts["structures"], facts["formats"], facts["meshes"]) == (3, ["packaged"], True)
    assert facts["not_read"] == ["voxels of annotation"]
    assert "template-missing" in {one["code"] for one in facts["findings"]}
    shown = run("build", "mine.toml", "-n").stdout
    assert "mine_50um" in shown
    assert "24 × 20 × 22" in shown
    assert sorted(data.rglob("*")) == before


def test_a_broken_recipe_ends_with_all_findings(data: Path) -> None:
    """Exit code 2 and a line a finding, before anything is read or written."""
    (data / "bad.toml").write_text('nam = "a"\nversion = 1\n[annotation]\npath = "none.nii"\n')
    for more in ([], ["--dry-run"], ["--json"]):
        told = run("build", "bad.toml", "-o", "out", *more, code=2)
        assert told.stdout == ""
        assert "bad.toml:1, nam: There is no key 'nam' here. Did you mean 'name'?" in told.stderr
        assert "bad.toml:2, version" in told.stderr
        assert "'table' is missing" in told.stderr
    assert not (data / "out").exists()


def test_an_unsound_atlas_ends_with_exit_code_4(data: Path) -> None:
    """Labels that the table lacks stop a build, with what to do."""
    (data / "labels.tsv").write_text("index\tname\n7\tOuter\n")
    start()
    told = run("build", "mine.toml", "-o", "out", "--no-meshes", code=4)
    assert "label-without-structure" in told.stderr
    assert "To mend [label-without-structure]: List the structure" in told.stderr
    assert "kept in" not in told.stderr
    assert not (data / "out").exists()


def test_sources_may_lie_elsewhere(data: Path, tmp_path: Path) -> None:
    """--sources says where relative paths start."""
    start()
    (tmp_path / "recipes").mkdir()
    (data / "mine.toml").rename(tmp_path / "recipes" / "mine.toml")
    run("build", "recipes/mine.toml", "-n", code=2)
    run("build", "recipes/mine.toml", "-n", "--sources", data)


def test_the_schema_is_printed() -> None:
    """--schema prints the JSON Schema and nothing else."""
    assert json.loads(run("build", "--schema").stdout) == json_schema()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Name a recipe"),
        (["a.toml", "--from", "labels.npy"], "Name a recipe"),
        (["--from", "labels.npy"], "--name and --table"),
        (["a.toml", "--name", "x"], "--name goes with --from"),
        (["a.toml", "--reference", "x=y"], "--reference goes with --from"),
        (["a.toml", "--resolution", "0"], "voxel size"),
        (["a.toml", "--resolution", "1,2"], "voxel size"),
        (["none.toml"], "none.toml cannot be read"),
        (["--from", "none.npy", "--table", "labels.tsv", "--name", "x"], "There is no file"),
        (
            ["--from", "labels.npy", "--table", "labels.tsv", "--name", "x", "--reference", "y"],
            "NAME=FILE",
        ),
    ],
)
@pytest.mark.usefixtures("data")
def test_what_cannot_be_meant_is_a_sentence(words: list[str], said: str) -> None:
    """Options that contradict each other, and files that are not there, end with exit code 2."""
    assert said in run("build", *words, code=2).stderr


@pytest.mark.usefixtures("data")
def test_a_recipe_is_not_overwritten_unasked() -> None:
    """A second recipe of the same name is refused, or replaces the first when asked."""
    start()
    files = ("--from", "labels.npy", "--table", "labels.tsv", "--name", "mine")
    told = run("build", *files, code=2)
    assert "is there already" in told.stderr
    start("--overwrite")
