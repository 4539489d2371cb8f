"""Several processes that make meshes, each given the next job when it has done one."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from bg_atlasapi.build.meshing.plan import Job
from bg_atlasapi.build.meshing.surface_files import MeshFacts
from bg_atlasapi.errors import AtlasError

_MODULE = "bg_atlasapi.build.meshing.worker"
_ROOT = Path(__file__).resolve().parents[3]
_SURROUNDINGS = {
    # One thread each: there is a process for every core.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # Memory that was given back is kept for what comes next; glibc's alone, ignored elsewhere.
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
}


def made_by_crew(jobs: Sequence[Job], order: dict[str, Any], workers: int) -> Iterator[MeshFacts]:
    """Yield the facts of meshes as they are made, in whatever order.

    Parameters
    ----------
    jobs
        What to make.
    order
        What holds for all of them; see ``worker``.
    workers
        How many processes.

    Raises
    ------
    AtlasError
        If one of them dies.
    OSError
        If one of them cannot write.
    """
    waiting: SimpleQueue[Job | None] = SimpleQueue()
    done: SimpleQueue[MeshFacts | BaseException] = SimpleQueue()
    for job in jobs:
        waiting.put(job)
    hands = [_Hand(order) for _ in range(min(workers, len(jobs)))]
    threads = [threading.Thread(target=hand.work, args=(waiting, done)) for hand in hands]
    try:
        for thread in threads:
            waiting.put(None)
            thread.start()
        for _ in jobs:
            answer = done.get()
            if isinstance(answer, BaseException):
                raise answer
            yield answer
    finally:  # also where nobody wants the rest
        for hand in hands:
            hand.end()
        for thread in threads:
            thread.join()


class _Hand:
    """One process."""

    def __init__(self, order: dict[str, Any]) -> None:
        paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter, this package
            [sys.executable, "-m", _MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | _SURROUNDINGS | {"PYTHONPATH": os.pathsep.join(paths)},
        )
        self._order = order

    def work(
        self, waiting: SimpleQueue[Job | None], done: SimpleQueue[MeshFacts | BaseException]
    ) -> None:
        """Give the process jobs until there are none, and pass on what it says."""
        try:
            self._say(self._order)
            while (job := waiting.get()) is not None:
                self._say(asdict(job))
                done.put(self._heard())
        except BaseException as error:  # noqa: BLE001 - raised where the answers are taken
            done.put(error)

    def _say(self, what: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(what) + "\n")
            self._process.stdin.flush()
        except (OSError, ValueError) as error:
            raise self._gone() from error

    def _heard(self) -> MeshFacts:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.endswith("\n"):
            raise self._gone()
        answer = json.loads(line)
        if "error" in answer:
            raise OSError(answer["errno"], answer["error"], answer["file"] or None)
        return MeshFacts(**answer)

    def _gone(self) -> AtlasError:
        """Return the error of a process that ended too soon."""
        assert self._process.stderr is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        said = self._process.stderr.read().strip().splitlines()
        code = self._process.returncode
        reason = said[-1] if said else f"it was ended ({code}), most likely for want of memory"
        message = (
            f"A process that makes meshes failed: {reason}. What is done is kept: run again, "
            "with fewer workers if memory is short."
        )
        return AtlasError(message)

    def end(self) -> None:
        """End the process: what it is at work on is not wanted."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
