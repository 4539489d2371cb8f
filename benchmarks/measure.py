"""Run the same questions in each peer's interpreter, in turns. Standard library only."""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
from collections import defaultdict
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

TASKS = Path(__file__).resolve().parent / "tasks.py"


class Side(NamedTuple):
    """One package under measurement.

    Parameters
    ----------
    name
        ``"ours"``, ``"v1"``, ``"v3"``.
    label
        Name and version, for people.
    python, env
        Its interpreter and the environment variables to run it with.
    module
        Import name.
    folder, atlas
        The atlas it opens.
    mesh_folder, mesh_atlas
        The atlas whose meshes it reads.
    """

    name: str
    label: str
    python: Path
    env: dict[str, str]
    module: str
    folder: Path
    atlas: str
    mesh_folder: Path
    mesh_atlas: str


class Question(NamedTuple):
    """Something to measure.

    Parameters
    ----------
    name
        A task of ``tasks.py``, or ``"nothing"``, ``"import"``, ``"open"``: whole processes.
    options
        Handed to the task.
    once
        Sides for which one round is enough, because it takes long.
    """

    name: str
    options: dict[str, Any]
    once: tuple[str, ...] = ()


class Results(NamedTuple):
    """What came out.

    Parameters
    ----------
    values
        (side, question, value) → each round's number: seconds, or MB.
    failures
        (side, question) → why there is none.
    """

    values: dict[tuple[str, str, str], list[float]]
    failures: dict[tuple[str, str], str]

    def median(self, side: str, question: str, value: str) -> float | None:
        """Return the middle of all rounds, None if there was none."""
        found = self.values.get((side, question, value))
        return statistics.median(found) if found else None


class TaskError(RuntimeError):
    """A peer could not answer; the message is the last line it wrote."""


def run(sides: list[Side], questions: list[Question], rounds: int, say: Any) -> Results:
    """Ask every question of every side, in turns: each round asks each side once.

    Parameters
    ----------
    sides, questions
        Who and what.
    rounds
        How often.
    say
        Called with a line of progress.
    """
    results = Results(defaultdict(list), {})
    for question in questions:
        for number in range(rounds):
            for side in sides:
                key = (side.name, question.name)
                if key in results.failures or (number and side.name in question.once):
                    continue
                say(f"{question.name}: {side.label}, round {number + 1}")
                try:
                    answer = ask(side, question)
                except TaskError as error:
                    results.failures[key] = str(error)
                    continue
                for value, figure in answer.items():
                    results.values[(*key, value)].append(figure)
    return results


def warm_up(sides: list[Side]) -> None:
    """Open each side's atlas once, unmeasured: modules are compiled and read from disk."""
    for side in sides:
        with contextlib.suppress(TaskError):  # the measurement will say so
            ask(side, Question("open", {}))


def ask(side: Side, question: Question) -> dict[str, float]:
    """Ask one side once, in a process of its own.

    Raises
    ------
    TaskError
        If it failed.
    """
    opens = (
        f"from {side.module} import BrainGlobeAtlas; BrainGlobeAtlas({side.atlas!r}, "
        f"brainglobe_dir={str(side.folder)!r}, check_latest=False)"
    )
    whole = {"nothing": "pass", "import": f"import {side.module}", "open": opens}
    if question.name in whole:
        start = perf_counter()
        execute(side, ["-c", whole[question.name]])
        return {"process": perf_counter() - start}
    meshes = question.name == "meshes"
    job = {
        "task": question.name,
        "module": side.module,
        "folder": str(side.mesh_folder if meshes else side.folder),
        "atlas": side.mesh_atlas if meshes else side.atlas,
        **question.options,
        "repeats": 1 if side.name in question.once else question.options.get("repeats", 3),
    }
    answer: dict[str, float] = json.loads(execute(side, [str(TASKS), json.dumps(job)]))
    return answer


def execute(side: Side, arguments: list[str]) -> str:
    """Run a side's interpreter and return the last line it wrote.

    Raises
    ------
    TaskError
        If it failed.
    """
    done = subprocess.run(
        [str(side.python), *arguments],
        check=False,
        capture_output=True,
        text=True,
        env=side.env,
        cwd=side.folder if side.folder.is_dir() else None,
    )
    if done.returncode != 0:
        raise TaskError((done.stderr.strip() or "no message").splitlines()[-1])
    return (done.stdout.strip() or "{}").splitlines()[-1]
