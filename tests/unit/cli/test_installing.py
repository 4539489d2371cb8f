"""The verbs that change which atlases are here, as people and scripts type them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bg_atlasapi import cli
from bg_atlasapi.cli import outcome
from bg_atlasapi.store import disk
from bg_atlasapi.testing import tiny_components, tiny_package
from bg_atlasapi.testing.server import Server

NAME = "tiny_mouse_100um"
pytestmark = pytest.mark.usefixtures("layer")


def run(*args: str, code: int = 0) -> Result:
    """Run the command line in this process."""
    result = CliRunner().invoke(cli.bg_cli, list(args), catch_exceptions=False)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def answer(*args: str, code: int = 0) -> Any:
    """Return what a verb prints with --json."""
    return json.loads(run(*args, "--json", code=code).stdout)


@pytest.fixture
def layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of atlases, not there yet."""
    monkeypatch.setenv("BRAINGLOBE_DIR", str(tmp_path / "layer"))
    return tmp_path / "layer"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Serve two versions of a package; the second is in the index."""
    root = tmp_path / "site"
    for version in ("1.0", "1.1"):
        folder = tiny_package(tmp_path / "made", version=version)
        archive = root / f"{folder.name}.tar.gz"
        monkeypatch.setenv("BRAINGLOBE_DIR", str(tmp_path / "made"))
        run("bundle", f"{NAME}@{version}", str(archive))
    (root / "last_versions.conf").write_text(f"[atlases]\n{NAME} = 1.1\n")
    monkeypatch.setenv("BRAINGLOBE_DIR", str(tmp_path / "layer"))
    with Server(root) as server:
        monkeypatch.setenv("BRAINGLOBE_REMOTES", server.url)
        yield server


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a component store that is the remote."""
    tiny_components(tmp_path / "remote", symmetric=False)
    folder = tmp_path / "remote" / "brainglobe-atlasapi"
    (folder / "atlases" / "last_versions.conf").write_text(f"[atlases]\n{NAME} = 3.0\n")
    monkeypatch.setenv("BRAINGLOBE_REMOTES", str(folder))
    return folder


@pytest.mark.usefixtures("site")
def test_the_life_of_an_atlas(layer: Path, tmp_path: Path) -> None:
    """Install, again, update, verify, bundle, remove, add: each says what it did, and where."""
    path = layer / f"{NAME}_v1.0"
    assert run("install", f"{NAME}@1.0").stdout == f"{NAME} 1.0 installed: {path}\n"
    assert "is installed already" in run("install", NAME).stdout
    done = run("update", NAME).stdout
    assert done == f"{NAME} 1.1 installed in place of 1.0: {layer / f'{NAME}_v1.1'}\n"
    assert "is the newest version" in run("update", NAME).stdout
    assert "installed again" in run("update", "-f", NAME).stdout
    assert "all sound" in run("verify", NAME).stdout
    bundle = tmp_path / "carried.tar.gz"
    assert f"brainglobe add {bundle.name}" in run("bundle", NAME, str(bundle)).stdout
    assert "removed" in run("remove", NAME).stdout
    assert f"No atlas '{NAME}'" in run("remove", NAME, code=outcome.UNKNOWN).stderr
    assert "added" in run("add", str(bundle)).stdout
    assert answer("list", "--installed", NAME)[0]["local"] == "1.1"


@pytest.mark.usefixtures("site")
def test_as_in_1x(layer: Path) -> None:
    """The options and orders of 1.x still work."""
    run("install", "-a", f"{NAME}@1.0")
    run("-a", NAME, "update")
    run("update", "-a", NAME, "-f")
    assert NAME in run("list").stdout
    assert str(layer) in run("list", "--show").stdout
    assert str(layer) in run("-s", "list").stdout
    assert "exclude" in run("install", NAME, "--only", "meshes", "--all-components", code=2).stderr
    for verb in ("install", "update", "remove"):
        assert "Name one atlas" in run(verb, code=2).stderr
        assert "Name one atlas" in run(verb, "a_1um", "-a", "b_1um", code=2).stderr


def test_dry_run_counts_exactly(
    layer: Path, site: Server, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What --dry-run says is what comes, to the byte; itself it brings nothing."""
    with Server(store, s3_bucket="b") as server:
        monkeypatch.setenv("BRAINGLOBE_REMOTES", server.url)
        for args in ([], ["--only", "template,meshes=CTX+"], ["--all-components"]):
            where = tmp_path / f"layer{len(args)}{'all' in ''.join(args)}"
            monkeypatch.setenv("BRAINGLOBE_DIR", str(where))
            plan = answer("install", NAME, "-n", *args)
            assert not (where / "brainglobe-atlasapi").exists()
            assert plan["to_fetch_bytes"] == plan["total_bytes"]
            run("install", NAME, *args)
            files = [one for one in (where / "brainglobe-atlasapi").rglob("*") if one.is_file()]
            assert plan["total_bytes"] == sum(one.stat().st_size for one in files)
            assert plan["files"] == len(files)
        more = answer("install", NAME, "-n", "--only", "masks")
        assert more["to_fetch_bytes"] == 0
    monkeypatch.setenv("BRAINGLOBE_REMOTES", site.url)
    monkeypatch.setenv("BRAINGLOBE_DIR", str(layer))
    plan = answer("install", NAME, "-n")
    assert site.sent("*.tar.gz") == 0
    run("install", NAME)
    assert plan["to_fetch_bytes"] == site.sent("*.tar.gz")
    assert plan["target"] == str(layer / f"{NAME}_v1.1")
    text = run("install", f"{NAME}@1.0", "-n").stdout
    assert f"{NAME}_v1.0.tar.gz" in text


@pytest.mark.usefixtures("store")
def test_more_of_what_is_still_to_come(layer: Path) -> None:
    """With some parts here, --dry-run counts the others."""
    run("install", NAME, "--only", "template")
    usual = answer("install", NAME, "-n", "--only", "template,annotation")
    assert 0 < usual["to_fetch_bytes"] < usual["total_bytes"]
    before = disk.size_of(layer / "brainglobe-atlasapi")
    run("install", NAME, "--only", "template,annotation")
    assert disk.size_of(layer / "brainglobe-atlasapi") - before == usual["to_fetch_bytes"]


@pytest.mark.usefixtures("store")
def test_a_part_of_an_atlas() -> None:
    """Who has a part is told how to get the rest; a dry run of nothing to do says so."""
    run("install", NAME, "--only", "template")
    for args in ([], ["-n"], ["--version", "3.0", "-n"]):
        result = run("install", NAME, *args)
        assert "is installed already" in result.stdout
        rest = "annotation,hemispheres,meshes,references"
        assert f"brainglobe install {NAME} --only {rest}" in result.stderr
    run("install", NAME, "--only", rest)
    assert run("install", NAME).stderr == ""
    assert answer("info", NAME)["structures"] == 6


@pytest.mark.parametrize("layout", ["packages", "components"])
def test_info_of_what_is_not_here(
    layer: Path, site: Server, monkeypatch: pytest.MonkeyPatch, store: Path, layout: str
) -> None:
    """Everything known is shown, how much would come, and nothing comes."""
    with Server(store, s3_bucket="b") as components:
        server = site if layout == "packages" else components
        monkeypatch.setenv("BRAINGLOBE_REMOTES", server.url)
        facts = answer("info", NAME)
        text = run("info", NAME).stdout
        assert facts["path"] is None
        assert f"{facts['download_bytes']:,}" in text
        assert "installed: no" in " ".join(text.split())
        assert facts["version"] in text
        assert server.sent("*.tar.gz") + server.sent("*/c/*") == 0
        assert not (layer / "brainglobe-atlasapi").exists()
        assert not (layer / f"{NAME}_v1.1").exists()
        run("install", NAME)
        text = " ".join(run("info", NAME).stdout.split())
        assert "installed from: http" in text
        assert "12 × 8 × 10" in text


def test_info_with_odd_metadata(layer: Path) -> None:
    """Metadata of any type are shown, not tripped over."""
    tiny_package(layer, species=["Mus", "musculus"], license={"name": "CC"}, citation=None)
    text = run("info", NAME).stdout
    assert "['Mus', 'musculus']" in text
    assert "'CC'" in text


@pytest.mark.usefixtures("site")
def test_list(layer: Path) -> None:
    """Filters narrow it; JSON holds what the table cannot."""
    run("install", f"{NAME}@1.0")
    (row,) = answer("list", "tiny")
    assert (row["local"], row["latest"]) == ("1.0", "1.1")
    assert row["versions"] == ["1.1", "1.0"]
    assert row["path"] == str(layer / f"{NAME}_v1.0")
    assert answer("list", "--species", "rattus") == []
    assert {one["name"] for one in answer("list", "--installed")} == {NAME, "phantom_mouse_100um"}
    assert answer("list", "--resolution", "7") == []
    table = run("list").stdout
    assert "1.1" in table


@pytest.mark.usefixtures("site")
def test_verify_and_repair(layer: Path) -> None:
    """Damage is named, with the next command; repaired, all is sound; codes tell scripts."""
    run("install", NAME)
    path = layer / f"{NAME}_v1.1" / "reference.tiff"
    path.write_bytes(path.read_bytes()[:-1])
    result = run("verify", NAME, code=outcome.INVALID_ATLAS)
    assert f"damaged: {path}" in result.stdout
    assert f"brainglobe verify {NAME}@1.1 --repair" in result.stdout
    facts = answer("verify", NAME, code=outcome.INVALID_ATLAS)
    assert [one["key"] for one in facts["damaged"]] == ["reference.tiff"]
    assert facts["sound"] is False
    run("verify", code=outcome.INVALID_ATLAS)
    assert "repaired" in run("verify", NAME, "--repair").stdout
    assert [one["sound"] for one in answer("verify")] == [True, True]
    assert "No atlas" in run("verify", "nothing_1um", code=outcome.UNKNOWN).stderr


@pytest.mark.usefixtures("site")
def test_prune_and_remove(layer: Path) -> None:
    """What goes is listed with its size; JSON has the same."""
    for version in ("1.0", "1.1"):
        run("install", NAME, "--version", version)
    (shown,) = answer("prune", "-n")
    assert shown["reason"] == "older than 1.1"
    assert "would be removed" in run("prune", "--dry-run").stdout
    assert (layer / f"{NAME}_v1.0").exists()
    text = run("prune").stdout
    assert f"{shown['size_bytes']:,} bytes" in text
    assert not (layer / f"{NAME}_v1.0").exists()
    assert answer("prune") == []
    assert answer("remove", NAME) == [
        {"name": NAME, "version": "1.1", "path": str(layer / f"{NAME}_v1.1")}
    ]
    message = run("remove", "phantom_mouse_100um", code=outcome.STORAGE).stderr
    assert "comes with bg_atlasapi" in message


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["install", "tiny_mouse_10um"], outcome.UNKNOWN, f"Did you mean {NAME}"),
        (["install", f"{NAME}@9.0"], outcome.UNKNOWN, "there are: 1.1"),
        (["install", f"{NAME}@x"], outcome.INVALID_INPUT, "write it like"),
        (["install", "../x"], outcome.INVALID_INPUT, "is not the name of an atlas"),
        (["install", NAME, "--only", "nothing"], outcome.INVALID_INPUT, "is not a part"),
        (["add", "/no/such/file"], outcome.INVALID_INPUT, "There is no file or folder"),
        (["bundle", "nothing_1um"], outcome.UNKNOWN, "No atlas"),
        (["inventory", "/nowhere"], outcome.INVALID_INPUT, "neither archives"),
    ],
)
@pytest.mark.usefixtures("site")
def test_errors_are_sentences(layer: Path, args: list[str], code: int, words: str) -> None:
    """Each error is a sentence on standard error, and its code says which kind it is."""
    result = run(*args, code=code)
    assert result.stderr.startswith("Error: ")
    assert words in result.stderr
    assert result.stdout == ""
    assert not layer.exists() or not list(layer.glob("tiny*"))


def test_remotes_that_fail(site: Server, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A remote that cannot be used is code 5, offline included; a full disk is 6."""
    site.set("*.tar.gz", html=True)
    monkeypatch.setenv("BRAINGLOBE_REMOTES", site.url)
    assert "web page" in run("install", NAME, code=outcome.REMOTE).stderr
    site.clear()
    monkeypatch.setenv("BRAINGLOBE_REMOTES", str(store))
    with monkeypatch.context() as patched:
        patched.setattr(disk, "free_bytes", lambda _: 3)
        assert "3 bytes free" in run("install", NAME, code=outcome.STORAGE).stderr
    monkeypatch.setenv("BRAINGLOBE_REMOTES", site.url)
    monkeypatch.setenv("BRAINGLOBE_OFFLINE", "1")
    assert "BRAINGLOBE_OFFLINE" in run("install", NAME, code=outcome.REMOTE).stderr


@pytest.mark.usefixtures("site")
def test_inventory(tmp_path: Path) -> None:
    """A folder is made ready for any web server; the files written are named."""
    written = answer("inventory", str(tmp_path / "site"))
    assert written == [str(tmp_path / "site" / "inventory.json")]
    assert "written" in run("inventory", str(tmp_path / "site")).stdout
    run("install", NAME)


def test_config_tells_every_value_and_its_origin(
    layer: Path, store: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each setting in force is there, with the environment, the file or the default as origin."""
    monkeypatch.setenv("BRAINGLOBE_OFFLINE", "1")
    monkeypatch.setenv("BRAINGLOBE_TIMEOUT", "3")
    found = answer("config")
    assert found["brainglobe_dir"] == {
        "value": str(layer),
        "origin": "environment BRAINGLOBE_DIR",
    }
    assert found["remotes"]["value"] == [str(store)]
    assert found["offline"] == {"value": True, "origin": "environment BRAINGLOBE_OFFLINE"}
    assert found["timeout_s"]["value"] == 3
    assert found["locks"] == {"value": True, "origin": "default"}
    assert {"layers", "interm_download_dir", "config_path"} <= set(found)
    text = run("config").stdout
    for name, setting in found.items():
        assert name in text
        assert setting["origin"] in text
    monkeypatch.delenv("BRAINGLOBE_REMOTES")
    run("config", "-k", "remotes", "-v", "https://example.org/a,/b")
    assert answer("config")["remotes"]["value"] == ["https://example.org/a", "/b"]
    assert answer("config")["remotes"]["origin"].startswith("file ")
    two = f"{tmp_path / 'one'}{os.pathsep}{tmp_path / 'two'}"
    warned = run("config", "-k", "brainglobe_dir", "-v", two).stderr
    assert "environment BRAINGLOBE_DIR" in warned
    monkeypatch.delenv("BRAINGLOBE_DIR")
    assert answer("config")["layers"]["value"] == two.split(os.pathsep)


def complete(words: str) -> list[str]:
    """Ask the real command what the shell would offer at the end of a line."""
    place = len(words.split(" ")) - 1
    done = subprocess.run(
        [sys.executable, "-c", "from bg_atlasapi.cli import main; main()"],
        env={
            **os.environ,
            "_BRAINGLOBE_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(place),
            "PYTHONPATH": str(Path(cli.__file__).parents[2]),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.split()]


def test_completion(site: Server) -> None:
    """The shell completes verbs and names, published ones and those here, asking no network."""
    assert complete("brainglobe inst") == ["install"]
    assert complete("brainglobe install allen_mouse_2") == ["allen_mouse_25um"]
    assert complete("brainglobe info phantom") == ["phantom_mouse_100um"]
    assert complete("brainglobe verify tiny") == []
    assert site.log() == []
    run("list", "--fresh")
    assert complete("brainglobe verify tiny") == [NAME]
    assert complete("brainglobe install -a phan") == ["phantom_mouse_100um"]
