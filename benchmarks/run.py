"""Measure this checkout side by side with bg-atlasapi 1.0.3 and brainglobe-atlasapi 3.

Usage: ``python benchmarks/run.py [--quick] [--json FILE]``; see ``benchmarks/README.md``.
Standard library only: each package runs in an environment of its own.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
from pathlib import Path

import data
import measure
import peers
import report
import rows

LOOP = 20_000
POINTS = 1_000_000
say = functools.partial(print, file=sys.stderr, flush=True)


def main() -> int:
    """Measure and report; 0 if every bar that could be judged is met, 1 if not, 2 if none was."""
    options = arguments()
    try:
        sides = make_sides(options)
    except (data.MissingDataError, peers.PeerUnavailableError, measure.TaskError) as error:
        say(str(error))
        return 2
    for folder in {side.folder for side in sides}:
        data.warm(folder)
    measure.warm_up(sides)
    asked = [
        question
        for question in questions(quick=options.quick)
        if not options.only or question.name in {"nothing", *options.only}
    ]
    results = measure.run(sides, asked, options.rounds, say)
    table = rows.rows(results, {question.name for question in asked})
    print(report.table(table))
    print()
    print(report.notes(sides, results, LOOP))
    if options.json:
        report.write_json(options.json, table, sides, results)
    return 1 if any(row.met is False for row in table) else 0


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = peers.command_line(__doc__, rounds=5)
    parser.add_argument("--quick", action="store_true", help="the 100 µm atlas instead of 25 µm")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything here as well")
    parser.add_argument("--only", nargs="+", metavar="QUESTION", help="e.g. import open mask")
    parser.add_argument("--no-v3", action="store_true", help="leave brainglobe-atlasapi 3 out")
    return parser.parse_args()


def make_sides(options: argparse.Namespace) -> list[measure.Side]:
    """Return the packages to measure, each installed, each with its atlas.

    Raises
    ------
    MissingDataError, PeerUnavailableError, TaskError
        If there is nothing to measure.
    """
    cache = options.cache.absolute()
    if not options.data.is_dir():
        raise data.MissingDataError(data.MISSING.format(path=options.data))
    chosen = [peers.V1, peers.OURS] if options.no_v3 else [peers.V1, peers.V3, peers.OURS]
    pythons = {}
    for peer in chosen:
        say(f"environment of {peer.distribution} ({peer.name})")
        pythons[peer.name] = peers.interpreter(peer, cache)
    peers.refresh(peers.OURS, pythons["ours"])
    say("atlases")
    env = peers.surroundings(cache / "home" / "ours")
    empty = measure.Side("ours", "", pythons["ours"], env, "bg_atlasapi", cache, "", cache, "")

    def package(source: Path, folder: Path) -> None:
        job = {"task": "package", "source": str(source), "folder": str(folder)}
        measure.execute(empty, [str(measure.TASKS), json.dumps(job)])

    atlases = data.prepare(options.data, cache, package)
    small = "allen_mouse_100um"
    large = small if options.quick else "allen_mouse_25um"
    sides = []
    for peer in chosen:
        python = pythons[peer.name]
        folder = atlases.store if peer is peers.V3 else atlases.packages
        sides.append(
            measure.Side(
                name=peer.name,
                label=f"{peer.distribution} {peers.version(peer, python)}",
                python=python,
                env=peers.surroundings(cache / "home" / peer.name),
                module=peer.module,
                folder=folder,
                atlas=small if peer is peers.V3 else large,
                mesh_folder=folder,
                mesh_atlas=small,
            )
        )
    return sides


def questions(*, quick: bool) -> list[measure.Question]:
    """Return what to ask, quick things first."""
    # The peer's mask takes 25 s a call at 25 µm: there is nothing to average out.
    slow = () if quick else ("v1",)
    return [
        measure.Question("nothing", {}),
        measure.Question("import", {}),
        measure.Question("open", {}),
        measure.Question("descendants", {}),
        measure.Question("memory_points", {}, slow),
        measure.Question("memory_slice", {}, slow),
        measure.Question("points", {"count": POINTS, "loop": LOOP, "repeats": 5}, slow),
        measure.Question("meshes", {}),
        measure.Question("mask", {"repeats": 5}, slow),
    ]


if __name__ == "__main__":
    sys.exit(main())
