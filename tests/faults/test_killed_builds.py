"""Kill -9 at every stage of a build: the next run goes on, and the bytes are the same."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

NAME = "boxes_100um_v1.0"
# Ends the process as SIGKILL does, at the n-th system call that renames something or begins to
# write a file below the folder: these are all the moments between which anything changes there.
KILLED = 9
RUN = """
import os, signal, sys
from pathlib import Path
recipe, target, moment = sys.argv[1], sys.argv[2], int(sys.argv[3])
count = 0
def watch(event, args):
    global count
    if event == "os.rename" or (event == "open" and isinstance(args[1], str) and "w" in args[1]):
        if target in str(args[0]):
            count += 1
            if count == moment:
                os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(watch)
from bg_atlasapi.build import pipeline
built = pipeline.build(recipe, pipeline.Wish(Path(target), meshes=MESHES, workers=1))
print(count, ",".join(built.resumed))
"""


def written(folder: Path, meshes: str) -> Path:
    """Write a recipe and its sources."""
    folder.mkdir()
    labels = np.zeros((20, 16, 18), np.uint16)
    labels[3:17, 3:13, 2:16] = 30
    labels[5:12, 5:12, 4:14] = 10
    np.save(folder / "labels.npy", labels)
    np.save(folder / "template.npy", labels * 100 + 1)
    rows = [{"id": i, "name": f"part {i}"} for i in (10, 30)]
    (folder / "table.csv").write_text(
        "id,name\n" + "".join(f"{r['id']},{r['name']}\n" for r in rows)
    )
    (folder / "boxes.toml").write_text(
        'name = "boxes"\nversion = "1.0"\n[space]\norientation = "asr"\nresolution_um = 100\n'
        'levels_um = [200]\n[annotation]\npath = "labels.npy"\n[template]\npath = "template.npy"\n'
        '[table]\npath = "table.csv"\nkind = "csv"\ncolumns = { id = "id", name = "name" }\n'
        f"[meshes]\nbuild = {meshes}\n"
    )
    return folder / "boxes.toml"


def run(recipe: Path, target: Path, moment: int, meshes: str) -> subprocess.CompletedProcess[str]:
    """Build in a process of its own, which is killed at a moment (0: never)."""
    code = RUN.replace("MESHES", meshes.capitalize())
    return subprocess.run(
        [sys.executable, "-c", code, str(recipe), str(target), str(moment)],
        capture_output=True,
        text=True,
        check=False,
    )


def contents(folder: Path) -> dict[str, str]:
    """Return the hash of every file below a folder."""
    return {
        one.relative_to(folder).as_posix(): hashlib.sha256(one.read_bytes()).hexdigest()
        for one in sorted(folder.rglob("*"))
        if one.is_file()
    }


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is not known there")
def test_a_build_killed_at_any_stage_goes_on_and_gives_the_same_bytes(tmp_path: Path) -> None:
    """Killed again and again, ever later, one build ends as one that was never killed."""
    meshes = "false"
    recipe = written(tmp_path / "recipe", meshes)
    whole = run(recipe, tmp_path / "whole", 0, meshes)
    assert whole.returncode == 0, whole.stderr
    moments = int(whole.stdout.split()[0])
    expected = contents(tmp_path / "whole")
    assert moments > 40
    step = max(1, moments // 10)
    resumed: set[str] = set()
    for first in range(1, moments + 1, step):
        target = tmp_path / f"killed{first}"
        killed = run(recipe, target, first, meshes)
        assert killed.returncode == -KILLED, (first, killed.stderr)
        again = run(recipe, target, 0, meshes)
        assert again.returncode == 0, (first, again.stderr)
        resumed |= set(again.stdout.strip().partition(" ")[2].split(","))
        assert contents(target) == expected, first
        assert not list(target.glob(".*")), first
    assert {"volume-annotation", "volume-template", "validation", "written-components"} <= resumed


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is not known there")
def test_a_build_killed_many_times_over_gets_there(tmp_path: Path) -> None:
    """Each try that is killed a little later than the last leaves less to do for the next."""
    meshes = "false"
    recipe = written(tmp_path / "recipe", meshes)
    target = tmp_path / "out"
    codes = []
    for _ in range(40):
        codes.append(run(recipe, target, 12, meshes).returncode)
        if codes[-1] == 0:
            break
    last = run(recipe, target, 0, meshes)
    assert last.returncode == 0, last.stderr
    whole = run(recipe, tmp_path / "whole", 0, meshes)
    assert whole.returncode == 0
    assert contents(target) == contents(tmp_path / "whole")
    assert codes.count(-KILLED) >= 2
    record = json.loads((target / "reports" / f"{NAME}.json").read_text())
    assert record["version"] == "1.0"


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is not known there")
def test_meshes_that_were_made_are_not_made_again(tmp_path: Path) -> None:
    """Killed while meshes are made and after, a build ends with the same meshes, byte for byte."""
    pytest.importorskip("scipy", reason="meshes need the extra 'build'")
    recipe = written(tmp_path / "recipe", "true")
    whole = run(recipe, tmp_path / "whole", 0, "true")
    assert whole.returncode == 0, whole.stderr
    moments = int(whole.stdout.split()[0])
    expected = contents(tmp_path / "whole")
    assert [one for one in expected if one.endswith("meshes/10.obj")]
    resumed: set[str] = set()
    for first in (moments // 8, moments // 5, moments // 3, moments // 2):
        target = tmp_path / f"killed{first}"
        killed = run(recipe, target, first, "true")
        assert killed.returncode == -KILLED, (first, killed.stderr)
        again = run(recipe, target, 0, "true")
        assert again.returncode == 0, (first, again.stderr)
        resumed |= set(again.stdout.strip().partition(" ")[2].split(","))
        assert contents(target) == expected, first
    assert "meshes" in resumed
