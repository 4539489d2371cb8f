"""The verbs plot and tree, and the picture of info."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bg_atlasapi import BrainGlobeAtlas, cli

ATLAS = "phantom_mouse_100um"
COMMAND = "from bg_atlasapi.cli import main; main()"


def run(*args: str) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(cli.bg_cli, list(args), catch_exceptions=False)


def test_a_figure_is_drawn(tmp_path: Path) -> None:
    """An SVG with a path a region and texts that stay texts; the same again is the same file."""
    path = tmp_path / "slice.svg"
    result = run("plot", ATLAS, "TH", "CTX", "--position", "7100", "-o", str(path))
    assert result.stdout == f"Drew 1 slice to {path}: coronal, AP 7.10 mm\n"
    root = ET.fromstring(path.read_text())
    assert "TH" in {one.get("id") for one in root.iter()}
    written = {"".join(one.itertext()).strip() for one in root.iter() if one.tag.endswith("text")}
    assert {"TH", "CTX", "2 mm", "coronal, AP 7.10 mm"} <= written
    first = path.read_bytes()
    run("plot", ATLAS, "TH", "CTX", "--position", "7100", "-o", str(path))
    assert path.read_bytes() == first


@pytest.mark.parametrize("kind", ["png", "pdf", "jpg"])
def test_kinds_of_files(tmp_path: Path, kind: str) -> None:
    """The extension decides; facts as JSON."""
    path = tmp_path / f"slice.{kind}"
    options = ("--plane", "sagittal", "--position", "4000", "--position", "CA1", "--dpi", "50")
    answer = json.loads(run("plot", ATLAS, *options, "-o", str(path), "--json").stdout)
    assert answer["output"] == str(path)
    assert len(answer["slices"]) == 2
    assert path.stat().st_size > 5000


@pytest.mark.parametrize("kind", ["svg", "png", "pdf"])
def test_a_figure_says_where_it_comes_from(tmp_path: Path, kind: str) -> None:
    """Atlas, version and what was asked are in the file; the same call makes the same file."""
    files = [tmp_path / f"{at}.{kind}" for at in (1, 2)]
    for file in files:
        assert run("plot", ATLAS, "TH", "--position", "7100", "-o", str(file)).exit_code == 0
    written = files[0].read_bytes()
    assert written == files[1].read_bytes()
    for part in (b"phantom_mouse", b"structures", b"TH", b"sha256"):
        assert part in written


def test_values_from_tables(tmp_path: Path) -> None:
    """What brainglobe count wrote, and tables that name regions otherwise."""
    atlas = BrainGlobeAtlas(ATLAS, check_latest=False)
    counts = atlas.count([[7100, 3870, 4500]], zeros=True)
    counts.to_csv(tmp_path / "counts.csv", index=False)
    (tmp_path / "named.tsv").write_text("region\tvalue\nTH\t2\nCerebral cortex\t1\n")
    counts[["acronym", "total"]].to_parquet(tmp_path / "acronyms.parquet")
    out = tmp_path / "out.png"
    for name, *more in (
        ("counts.csv", "--column", "total"),
        ("counts.csv", "--column", "left", "--column", "right"),
        ("named.tsv",),
    ):
        result = run("plot", ATLAS, "--values", str(tmp_path / name), *more, "-o", str(out))
        assert result.exit_code == 0, result.stderr
        assert out.exists()
        out.unlink()


def test_what_is_wrong_is_a_sentence(tmp_path: Path) -> None:
    """Planes, positions, regions, tables, files: exit code and one line, and nothing is written."""
    (tmp_path / "one.csv").write_text("TH\n1\n")
    (tmp_path / "bad.csv").write_text("region,value\nVISq,1\n")
    (tmp_path / "text.csv").write_text("region,value\nTH,much\n")
    (tmp_path / "empty.csv").write_text("")
    out = str(tmp_path / "out.png")
    cases = [
        (["-o", str(tmp_path / "out.doc")], 2, "none of the extensions"),
        (["-o", str(tmp_path / "no" / "out.png")], 2, "there is no folder"),
        ([], 2, "Say where to draw"),
        (["--plane", "top", "-o", out], 2, "A plane is one of"),
        (["--position", "99999", "-o", out], 2, "lies outside this atlas"),
        (["VISq", "-o", out], 3, f"brainglobe find {ATLAS} VISq"),
        (["--values", str(tmp_path / "none.csv"), "-o", out], 2, "cannot be read"),
        (["--values", str(tmp_path / "one.csv"), "-o", out], 2, "needs a column of regions"),
        (["--values", str(tmp_path / "bad.csv"), "-o", out], 3, "VISq"),
        (["--values", str(tmp_path / "text.csv"), "-o", out], 2, "no finite number"),
        (["--values", str(tmp_path / "empty.csv"), "-o", out], 2, "no table of values"),
        (["--values", str(tmp_path / "x.xlsx"), "-o", out], 2, ".csv, .tsv or .parquet"),
        (["--dpi", "0", "-o", out], 2, "dots per inch"),
    ]
    for arguments, code, said in cases:
        result = run("plot", ATLAS, *arguments)
        assert result.exit_code == code, arguments
        assert said in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert not [path for path in tmp_path.iterdir() if path.suffix in (".png", ".doc")]


def test_the_tree() -> None:
    """All of it, a part, so many levels; rows as JSON; no colours into a pipe."""
    text = run("tree", ATLAS).stdout
    atlas = BrainGlobeAtlas(ATLAS, check_latest=False)
    assert len(text.splitlines()) == len(atlas.structures)
    assert "\x1b" not in text
    assert run("tree", ATLAS, "CTX", "--depth", "1").stdout.splitlines()[0].startswith("● CTX")
    rows = json.loads(run("tree", ATLAS, "TH", "--json").stdout)
    assert rows[0]["acronym"] == "TH"
    assert run("tree", ATLAS, "nowhere").exit_code == 3
    assert run("tree", ATLAS, "--depth", "-1").exit_code == 2


@pytest.mark.skipif(os.name != "posix", reason="there are no pseudo-terminals")
def test_info_shows_a_slice_in_a_terminal_with_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half blocks where colours are; none without colours, in a pipe, or as JSON."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    assert "▀" in terminal("info", ATLAS)
    assert "▀" not in terminal("info", ATLAS, "--json")
    assert "▀" not in run("info", ATLAS).stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert "▀" not in terminal("info", ATLAS)
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert "▀" not in terminal("info", ATLAS)


def terminal(*args: str) -> str:
    """Return what the command prints to a terminal."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", COMMAND, *args]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        printed = bytearray()
        try:
            while data := os.read(ours, 1 << 16):
                printed.extend(data)
        except OSError:  # how a terminal says that nobody writes to it any more
            pass
    os.close(ours)
    assert process.returncode == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", printed.decode())
