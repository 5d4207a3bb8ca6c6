"""One figure of the benchmark: ours, the peer's, and their ratio; and how they are taken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Figure:
    """`ratio` is ours over the peer's: below 1 is better where less is better."""

    part: str
    what: str
    peer: str
    unit: str
    ours: float
    theirs: float
    less_is_better: bool = True

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs if self.theirs else float("nan")


def seconds(work: Callable[[], Any], times: int = 3) -> float:
    """Least CPU time of several runs, after one to warm up: on one thread it is not moved by other work."""
    work()
    taken = []
    for _ in range(times):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return min(taken)


_CHILD = """
import json, time

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

{setup}
before = peak()
start = time.process_time()
{body}
taken = time.process_time() - start
print(json.dumps({{"seconds": taken, "mib": (peak() - before) / 1024, "value": value}}))
"""


def child(setup: str, body: str, times: int = 3) -> dict[str, float]:
    """Run `body` in fresh processes: least CPU time, and peak memory above what `setup` took.

    The peak is VmHWM (Linux), file pages mapped included. `getrusage` will not do: its peak is
    inherited from the process that started this one.

    `body` sets `value`, which is compared between the two sides.
    """
    code = _CHILD.format(setup=setup, body=body)
    runs = []
    for _ in range(times):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | ONE_THREAD,
        )
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    values = {repr(r["value"]) for r in runs}
    assert len(values) == 1, values
    return {
        "seconds": min(r["seconds"] for r in runs),
        "mib": min(r["mib"] for r in runs),
        "value": runs[0]["value"],
    }
