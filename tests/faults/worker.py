"""Runs pieces of Python in processes that may be killed; started by path, see ``conftest``.

Reads commands from its input, a line each: a list of jobs, each with ``code`` to run (it finds its
``given`` values as variables, and may set ``answer``), ``env`` to set, ``kill_after`` seconds or
None. All jobs of a line run at once, each in a process of its own: a copy of this one, which has
the library loaded, so that a moment counts from the start of the work. When all have ended it says
on a line how each did: ``killed``, ``code`` it ended with, ``answer``, ``error``.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
import traceback

import numpy as np  # noqa: F401 - loaded once, for all
import urllib3  # noqa: F401

import bg_atlasapi.bg_atlas
import bg_atlasapi.formats.registry
import bg_atlasapi.store.bundles
import bg_atlasapi.store.pruning
import bg_atlasapi.update_atlases  # noqa: F401


def start(job):
    """Start one job in a copy of this process; return its id and where it will answer."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    said = {"answer": None, "error": None}
    try:
        os.environ.update(job.get("env", {}))
        names = dict(job.get("given", {}))
        exec(job["code"], names)
        said["answer"] = names.get("answer")
    except BaseException as error:  # noqa: BLE001 - told to the test
        said["error"] = f"{type(error).__name__}: {error}\n{traceback.format_exc()}"
    with os.fdopen(writing, "w") as file:
        json.dump(said, file)
    os._exit(1 if said["error"] else 0)


def finish(pid, reading, kill_at):
    """Wait for a job, killing it when its time has come."""
    said, killed = b"", False
    while True:
        left = None if kill_at is None or killed else max(0.0, kill_at - time.monotonic())
        if select.select([reading], [], [], left)[0]:
            data = os.read(reading, 1 << 16)
            said += data
            if not data:
                break
        else:
            os.kill(pid, signal.SIGKILL)
            killed = True
    os.close(reading)
    _, status = os.waitpid(pid, 0)
    ended_by_kill = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    told = json.loads(said) if said and not ended_by_kill else {"answer": None, "error": None}
    return {**told, "killed": ended_by_kill}


def main():
    """Run lines of jobs until there are no more."""
    for line in sys.stdin:
        jobs = json.loads(line)
        begin = time.monotonic()
        running = []
        for number, job in enumerate(jobs):
            after = job.get("kill_after")
            running.append((number, *start(job), None if after is None else begin + after))
        running.sort(key=lambda one: one[3] if one[3] is not None else float("inf"))
        ends = {number: finish(*rest) for number, *rest in running}
        sys.stdout.write(json.dumps([ends[number] for number in range(len(jobs))]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
