"""Which folder holds the atlases, and the configuration file of 1.x."""

from __future__ import annotations

import configparser
import os
from pathlib import Path

import pytest

from bg_atlasapi import config, settings
from bg_atlasapi.errors import AtlasError, InvalidInputError


def test_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Argument beats environment beats file beats default, and each says where it came from."""
    home = Path.home()
    assert settings.resolve().brainglobe_dir == settings.Setting(home / ".brainglobe", "default")
    config.write_config_value("brainglobe_dir", tmp_path / "file")
    found = settings.resolve().brainglobe_dir
    assert found.value == tmp_path / "file"
    assert found.origin.startswith("file ")
    monkeypatch.setenv("BRAINGLOBE_DIR", str(tmp_path / "environment"))
    found = settings.resolve().brainglobe_dir
    assert found == settings.Setting(tmp_path / "environment", "environment BRAINGLOBE_DIR")
    found = settings.resolve(brainglobe_dir="~/argument").brainglobe_dir
    assert found == settings.Setting(home / "argument", "argument")


def test_the_config_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an argument (folder or file), ``BRAINGLOBE_CONFIG_DIR``, or under the home folder."""
    default = Path.home() / ".config" / "brainglobe" / "bg_config.conf"
    assert settings.config_location().value == config.CONFIG_PATH == default
    assert default.parent == config.CONFIG_DIR == config.CONFIG_DEFAULT_DIR
    monkeypatch.setenv("BRAINGLOBE_CONFIG_DIR", str(tmp_path))
    assert settings.config_location().value == config.CONFIG_PATH == tmp_path / "bg_config.conf"
    assert settings.config_location(tmp_path).value == tmp_path / "bg_config.conf"
    assert settings.config_location(tmp_path / "my.conf").value == tmp_path / "my.conf"


def test_reading_writes_nothing() -> None:
    """1.x wrote a file and made folders at first use; reading does not."""
    assert config.read_config()["default_dirs"]["brainglobe_dir"] == str(config.DEFAULT_PATH)
    assert config.get_brainglobe_dir() == Path.home() / ".brainglobe"
    assert list(Path.home().iterdir()) == []


def test_defaults_can_be_written(tmp_path: Path) -> None:
    """The default file holds the default values, readable by 1.x."""
    path = tmp_path / "new" / "bg_config.conf"
    config.write_default_config(path)
    parser = configparser.ConfigParser()
    parser.read(path)
    assert {k: dict(v) for k, v in parser.items() if v} == {
        section: {key: str(value) for key, value in entries.items()}
        for section, entries in config.TEMPLATE_CONF_DICT.items()
    }
    assert [p.name for p in path.parent.iterdir()] == ["bg_config.conf"]


def test_values_change_and_unknown_keys_do_not(tmp_path: Path) -> None:
    """As in 1.x, a key that is not there changes nothing; a ``%`` is an ordinary character."""
    path = tmp_path / "bg_config.conf"
    config.write_config_value("brainglobe_dir", "/a%b", path)
    config.write_config_value("nonsense", "x", path)
    entries = config.read_config(path)["default_dirs"]
    assert entries["brainglobe_dir"] == "/a%b"
    assert "nonsense" not in entries


def test_an_assigned_config_path_is_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tools that replace ``config.CONFIG_PATH`` keep working."""
    monkeypatch.setattr(config, "CONFIG_PATH", tmp_path / "bg_config.conf")
    config.write_config_value("brainglobe_dir", tmp_path)
    assert config.get_brainglobe_dir() == tmp_path
    assert str(tmp_path) in config._print_config()


def test_a_broken_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is not INI is one clear error."""
    monkeypatch.setenv("BRAINGLOBE_CONFIG_DIR", str(tmp_path))
    for content in (b"no section here\n", b"\xff\xfe\x00"):
        (tmp_path / "bg_config.conf").write_bytes(content)
        with pytest.raises(InvalidInputError, match=r"bg_config.conf (is not INI|cannot be read)"):
            settings.resolve()


def test_no_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An account without a home folder needs BRAINGLOBE_DIR, and then works."""
    from bg_atlasapi import BrainGlobeAtlas

    monkeypatch.setenv("HOME", str(tmp_path / "gone"))
    assert BrainGlobeAtlas("phantom_mouse_100um").shape == (132, 80, 114)
    assert not (tmp_path / "gone").exists()


@pytest.mark.skipif(getattr(os, "geteuid", int)() == 0, reason="root may write anywhere")
def test_an_unwritable_config_folder_as_a_user(tmp_path: Path) -> None:
    """A read-only folder gives one sentence that says what to set."""
    tmp_path.chmod(0o500)
    with pytest.raises(AtlasError, match="BRAINGLOBE_CONFIG_DIR"):
        config.write_config_value("brainglobe_dir", "/x", tmp_path / "bg_config.conf")


def test_an_impossible_config_folder(tmp_path: Path) -> None:
    """A folder that cannot be made gives one sentence that says what to set."""
    (tmp_path / "file").write_text("")
    with pytest.raises(AtlasError, match="BRAINGLOBE_CONFIG_DIR"):
        config.write_config_value("brainglobe_dir", "/x", tmp_path / "file" / "bg_config.conf")


def test_cli_modify_config_speaks_as_1x(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The function behind ``brainglobe config`` prints what 1.x printed."""
    config.cli_modify_config("some_dir", "/not/a/place")
    assert capsys.readouterr().out == (
        "False\n/not/a/place is not a valid path. Path must be a valid path string, "
        "and its parent must exist!\n"
    )
    config.cli_modify_config("brainglobe_dir", str(tmp_path / "x"))
    assert capsys.readouterr().out == f"True\n{config._print_config()}\n"
    assert config.get_brainglobe_dir() == tmp_path / "x"
    config.cli_modify_config(show=True)
    assert capsys.readouterr().out == f"{config._print_config()}\n"


@pytest.mark.parametrize("path", ["~no-such-account/x", "a\0b"])
def test_folders_that_cannot_be(path: str) -> None:
    """A path that cannot exist is one clear error."""
    from bg_atlasapi import BrainGlobeAtlas

    with pytest.raises(InvalidInputError):
        BrainGlobeAtlas("phantom_mouse_100um", brainglobe_dir=path)


def test_the_citation_file_names_the_version() -> None:
    """``CITATION.cff`` and the package agree on the version."""
    import tomllib

    root = Path(__file__).parents[2]
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    assert f"version: {version}\n" in (root / "CITATION.cff").read_text()
