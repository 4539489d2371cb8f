"""The verb config."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bg_atlasapi import cli, config
from bg_atlasapi.cli import outcome


def run(*args: str) -> Result:
    """Run ``brainglobe config`` in this process."""
    return CliRunner().invoke(cli.bg_cli, ["config", *args], catch_exceptions=False)


@pytest.mark.parametrize(
    "args",
    [["-s"], ["--show"], ["-k", "brainglobe_dir"], ["-k brainglobe_dir -v valid_path"]],
)
def test_show(args: list[str]) -> None:
    """With -s, or a key without a value, the file is printed as in 1.x; nothing is written."""
    result = run(*args)
    assert (result.exit_code, result.output) == (0, config._print_config() + "\n")
    assert list(Path.home().iterdir()) == []


@pytest.mark.parametrize(("key", "value"), [("-k", "-v"), ("--key", "--value")])
def test_change(tmp_path: Path, key: str, value: str) -> None:
    """A value is changed and printed; the folder itself need not exist."""
    result = run(key, "brainglobe_dir", value, str(tmp_path / "new"))
    assert (result.exit_code, result.output) == (0, config._print_config() + "\n")
    assert config.get_brainglobe_dir() == tmp_path / "new"


def test_folders_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative folder means the one seen now, wherever the next command runs."""
    monkeypatch.chdir(tmp_path)
    assert run("-k", "brainglobe_dir", "-v", "atlases").exit_code == 0
    assert config.get_brainglobe_dir() == tmp_path / "atlases"


@pytest.mark.parametrize("value", ["/no/such/folder", ""])
def test_invalid_folder(value: str) -> None:
    """A folder whose parent is missing is refused with the sentence of 1.x; nothing is written."""
    result = run("-k", "brainglobe_dir", "-v", value)
    assert result.exit_code == outcome.INVALID_INPUT
    assert config.invalid_folder(value) in result.stderr
    assert list(Path.home().iterdir()) == []


def test_unknown_key_and_missing_key(tmp_path: Path) -> None:
    """An unknown key lists the known ones; a value without a key is a usage error."""
    result = run("-k", "brain_dir", "-v", str(tmp_path))
    assert result.exit_code == outcome.INVALID_INPUT
    assert "brainglobe_dir, interm_download_dir" in result.stderr
    assert run("-v", str(tmp_path)).exit_code == outcome.INVALID_INPUT


def test_a_folder_that_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration that cannot be written is one sentence, not a traceback."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BRAINGLOBE_CONFIG_DIR", str(tmp_path / "file"))
    result = run("-k", "brainglobe_dir", "-v", str(tmp_path))
    assert result.exit_code == outcome.INVALID_INPUT
    assert "cannot be written" in result.stderr


def test_json_tells_origins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``--json`` has each value in force and where it comes from."""
    run("-k", "interm_download_dir", "-v", str(tmp_path))
    monkeypatch.setenv("BRAINGLOBE_DIR", str(tmp_path / "env"))
    values = json.loads(run("--json").stdout)
    assert values["brainglobe_dir"] == {
        "value": str(tmp_path / "env"),
        "origin": "environment BRAINGLOBE_DIR",
    }
    assert values["interm_download_dir"]["value"] == str(tmp_path)
    assert values["interm_download_dir"]["origin"].startswith("file ")
    assert values["config_path"]["origin"] == "default"


def test_a_change_that_has_no_effect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change that the environment overrules is made, and said to be overruled."""
    monkeypatch.setenv("BRAINGLOBE_DIR", str(tmp_path / "env"))
    result = run("-k", "brainglobe_dir", "-v", str(tmp_path / "file"))
    assert result.exit_code == 0
    assert "environment BRAINGLOBE_DIR" in result.stderr
