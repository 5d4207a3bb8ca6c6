"""What a sweep would cost: a pilot measures one module of each shape in a process of its own."""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import InputError, OpalesceError
from opalesce.measure.cells import Task, one_line, run_task
from opalesce.measure.plan import Module, plan
from opalesce.measure.sweep import fingerprint_of, tasks_of
from opalesce.runs.hub import HubCheckpoint
from opalesce.runs.open import open as open_run
from opalesce.runs.run import Run, TensorInfo

Shape = tuple[str, tuple[tuple[int, ...], ...]]  # kind of module, shapes of its tensors
RESULT = 1500  # bytes of one result in the rows, the Dataset and the table (measured on 38,400 of them)
GRACE = 10.0  # seconds that a start may take beyond the budget
UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes


@dataclass(frozen=True)
class Kind:
    """Modules of one kind and shape: how many cells, and what one of them takes.

    `measured` is False where the pilot had no time left and the figure is scaled up from smaller ones.
    """

    kind: str
    shape: str
    modules: int
    cells: int
    elements: int
    seconds: float
    measured: bool


@dataclass(frozen=True)
class Cost:
    """What `measure` would take. Seconds are those of one start with `n_jobs` workers; bytes are read once.

    `unreachable` names the checkpoints whose headers cannot be read, and why.
    """

    run: str
    checkpoints: int
    unreachable: tuple[tuple[float, str], ...]
    files: int
    bytes: int
    cells: int
    observables: tuple[str, ...]
    seconds: float
    memory: int
    kinds: tuple[Kind, ...]
    n_jobs: int = 1
    notes: tuple[str, ...] = field(default_factory=tuple)


def cost(
    run: Run | str | Any,
    observables: Sequence[str] | None = None,
    n_jobs: int = 1,
    budget: float = 60.0,
) -> Cost:
    """Files, bytes, time and memory of a sweep, and which checkpoints can be reached, before it is begun.

    Only headers are read of every checkpoint. One module of each distinct shape is measured at one
    checkpoint, the smallest first, in a child process, for at most about `budget` seconds; what was left out
    is scaled by a power law of its size (exponent 1 where only one size was measured). The child's peak
    memory, with all that a sweep imports to its end, is that of a worker. Of a run on the hub nothing is
    downloaded: the pilot takes normal entries of the same shapes.

    Raises
    ------
    InputError
        As `measure`; a budget or a number of workers that is not positive; no checkpoint that can be read.
    """
    if not budget > 0 or n_jobs < 1:
        raise InputError(
            "a pilot needs time and workers", expected="budget > 0 and n_jobs >= 1", got=f"{budget}, {n_jobs}"
        )
    run = run if isinstance(run, Run) else open_run(run)
    todo = plan(run, observables)
    headers, unreachable = {}, []
    for i, c in enumerate(run.checkpoints):
        try:
            headers[i] = c.tensors()
        except (OpalesceError, OSError) as error:
            unreachable.append((float(c.step), one_line(error)))
    prints = [fingerprint_of(c) if i in headers else ("", "") for i, c in enumerate(run.checkpoints)]
    tasks = tasks_of(run, todo, prints, None, False) if todo.observables else {}
    groups: dict[Shape, list[Module]] = {}
    cells: Counter[Shape] = Counter()
    pilot = _typical(tasks)
    if pilot is None:
        raise InputError(
            f"run {run.name!r} has no weights to measure", expected="checkpoints that can be read",
            got=f"{len(run.checkpoints)} checkpoints, {len(unreachable)} of them unreadable",
        )  # fmt: skip
    at, task = pilot
    for module, _ in task.wanted:
        if all(t in headers[at] for t in module.tensors):
            kind = module.kind if module.cut is None else f"{module.kind}, {module.cut.rule}"
            key = kind, tuple(_shape(module, headers[at], t) for t in module.tensors)
            groups.setdefault(key, []).append(module)
            cells[key] += sum(all(t in headers[i] for t in module.tensors) for i in tasks)
    order = sorted(groups, key=_size)
    notes = []
    if isinstance(task.checkpoint, HubCheckpoint):
        far = StandIn(task.checkpoint.step, headers[at])
        task = replace(task, checkpoint=far, initial=far, previous=far)
        notes.append("downloads are not in the time; the pilot took random weights of the same shapes")
    ready, spent, peak, base = _pilot([_one(task, groups[k][0]) for k in order], budget)
    kinds = tuple(
        Kind(k[0], _words(k), len(groups[k]), cells[k], _size(k), s, i < len(spent))
        for i, (k, s) in enumerate(zip(order, _scaled([_size(k) for k in order], spent), strict=True))
    )
    if len(spent) < len(order):
        notes.append(
            f"{len(order) - len(spent)} of {len(order)} shapes were larger than the pilot's time: scaled up"
        )
        peak = base + int((peak - base) * _size(order[-1]) / max(_size(order[len(spent) - 1]), 1))
    peak += RESULT * sum(cells[k] * len(todo.of(groups[k][0])) for k in order)
    work = sum(k.seconds * k.cells for k in kinds)
    files = {p for i in headers for p in run.checkpoints[i].paths}
    size = sum(t.nbytes for i in headers for t in headers[i].values() if _wanted(task, t.name))
    return Cost(
        run.name,
        len(run.checkpoints),
        tuple(unreachable),
        len(files),
        size,
        sum(cells.values()),
        tuple(o.name for o in todo.observables),
        ready + work / n_jobs,
        peak if n_jobs == 1 else base + n_jobs * peak,
        kinds,
        n_jobs,
        tuple(notes),
    )


@dataclass(frozen=True)
class StandIn:
    """Normal entries in the shapes of a checkpoint that is elsewhere; each tensor is made when it is read."""

    step: float
    infos: Mapping[str, TensorInfo]

    @property
    def paths(self) -> tuple[Path, ...]:
        """None."""
        return ()

    def tensors(self) -> Mapping[str, TensorInfo]:
        """Those of the checkpoint."""
        return self.infos

    def read(self, name: str, index: int | None = None) -> NDArray[np.generic]:
        """Random entries, float32."""
        shape = self.infos[name].shape if index is None else self.infos[name].shape[1:]
        return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)

    def fingerprint(self) -> str:
        """Of nothing."""
        return ""


def _typical(tasks: dict[int, Task]) -> tuple[int, Task] | None:
    """The third readable checkpoint, which has a past, or the last of fewer."""
    if not tasks:
        return None
    at = sorted(tasks)[min(2, len(tasks) - 1)]
    return at, tasks[at]


def _shape(module: Module, headers: Any, name: str) -> tuple[int, ...]:
    shape: tuple[int, ...] = headers[name].shape
    cut = module.cut
    if cut is None:
        return shape
    if cut.rule == "slab":
        return shape[1:]
    if cut.rule == "interleaved":
        return (shape[0] // 3, shape[1])
    part = cut.stop - cut.start
    return (part, shape[1]) if cut.rule == "rows" else (shape[0], part)


def _one(task: Task, module: Module) -> Task:
    return replace(task, wanted=tuple(w for w in task.wanted if w[0] == module))


def _wanted(task: Task, name: str) -> bool:
    return any(name in m.tensors for m, _ in task.wanted)


def _size(key: Shape) -> int:
    return sum(int(np.prod(s, dtype=np.int64)) for s in key[1])


def _words(key: Shape) -> str:
    first = " x ".join(map(str, key[1][0]))
    return first if len(key[1]) == 1 else f"{len(key[1])} tensors"


def _scaled(sizes: list[int], spent: list[float]) -> list[float]:
    """Measured seconds, and for larger sizes those of a power law through the last two measured sizes."""
    out = list(spent)
    n = len(spent)
    exponent = 1.0
    if n > 1 and sizes[n - 1] > sizes[n - 2]:
        exponent = float(np.log(spent[-1] / spent[-2]) / np.log(sizes[n - 1] / sizes[n - 2]))
    for size in sizes[n:]:
        out.append(spent[-1] * (size / sizes[n - 1]) ** min(max(exponent, 1.0), 1.5))
    return out


def _pilot(tasks: list[Task], budget: float) -> tuple[float, list[float], int, int]:
    """Seconds of a start, seconds of each task that was done, peak and idle memory of the child."""
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe(duplex=False)
    begun = time.perf_counter()
    child = context.Process(target=_work, args=(tasks, theirs), daemon=True)
    child.start()
    theirs.close()
    spent: list[float] = []
    ready, peak, base = 0.0, 0, 0
    for kind, seconds, memory in _messages(mine, begun, budget):
        if kind == "ready":
            ready, base = time.perf_counter() - begun, memory
        else:
            spent.append(seconds)
        peak = max(peak, memory)
    child.kill()
    child.join()
    if not spent:
        raise InputError(
            "the pilot measured nothing", expected="the smallest module within the budget",
            got=f"{budget:g} s", fix="give it more seconds, or fewer observables",
        )  # fmt: skip
    return ready, spent, peak, base


def _messages(pipe: Connection, begun: float, budget: float) -> Iterator[tuple[str, float, int]]:
    """What the child reports until its time is over."""
    while (left := budget + GRACE - (time.perf_counter() - begun)) > 0 and pipe.poll(left):
        try:
            yield pipe.recv()
        except EOFError:
            return


def _work(tasks: list[Task], pipe: Connection) -> None:
    """In the child: the smallest task once to warm up (compilation counts as start), then each task."""

    def memory() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT

    for library in ("pandas", "xarray", "plotly.graph_objects"):  # of the table and the page
        import_module(library)
    run_task(tasks[0])
    pipe.send(("ready", 0.0, memory()))
    for task in tasks:
        begun = time.perf_counter()
        run_task(task)
        pipe.send(("task", time.perf_counter() - begun, memory()))
