"""The work of one task: all cells of one checkpoint. Runs in any joblib worker."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Container, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from opalesce.errors import OpalesceError
from opalesce.measure.layer_views import LayerViews, digest_of
from opalesce.measure.plan import Module
from opalesce.measure.store import Result, Store, digest
from opalesce.measure.views import Views
from opalesce.observables.registry import Observable
from opalesce.runs.run import Checkpoint

Results = dict[str, dict[str, Result]]  # module -> observable -> result


@dataclass(frozen=True)
class Task:
    """One checkpoint: its past, the modules and the observables wanted of each.

    Observables travel as objects, so that a worker needs no registry of its own.
    """

    checkpoint: Checkpoint
    fingerprint: str
    wanted: tuple[tuple[Module, tuple[Observable, ...]], ...]
    initial: Checkpoint | None = None
    previous: Checkpoint | None = None
    past: tuple[str, str] = ("", "")
    config: Mapping[str, object] = field(default_factory=dict)
    prompts: Path | None = None
    store: Store | None = None
    throw: bool = False


def keys(task: Task, module: Module, items: tuple[Observable, ...]) -> dict[str, str]:
    """Identity of each result, by observable: inputs, observable, version, parameters."""
    out = {}
    for item in items:
        inputs: list[object] = [task.fingerprint, module.name, module.tensors]
        if item.on in ("weight_pair", "neurons_pair"):
            inputs += task.past
        if item.on == "circuit":
            inputs.append(task.config.get("heads"))
        if module.cut is not None:
            inputs.append(asdict(module.cut))
        if module.layer is not None and task.prompts is not None:
            inputs += [module.layer, digest_of(task.prompts)]
        out[item.name] = digest(inputs, item.name, item.version, item.parameters)
    return out


def one_line(error: BaseException) -> str:
    """An error as a status sentence."""
    text = "; ".join(line.strip() for line in str(error).splitlines() if line.strip())
    return text if isinstance(error, OpalesceError) else f"{type(error).__name__}: {text}"


def evaluate(item: Observable, views: Views, cell_key: str, throw: bool = False) -> Result:
    """Value of an observable on its view; an error of any kind becomes a status.

    An observable that takes `rng` gets a generator seeded by the cell's key, never by worker order.
    OSError and MemoryError pass: they speak of the machine, not of the data.
    """
    try:
        extra: dict[str, Any] = dict(item.parameters)
        if "rng" in inspect.signature(item.function).parameters:
            extra["rng"] = np.random.default_rng(np.random.SeedSequence(int(cell_key, 16)))
        raw = np.asarray(item.function(views.get(item.on), **extra), float)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # third-party observables may raise anything; the sweep goes on
        if throw:
            raise
        return Result(math.nan, one_line(error))
    if raw.ndim == 1 and item.dim:
        return Result(tuple(float(v) for v in raw))
    if raw.ndim != 0:
        return Result(math.nan, f"{item.name} returned shape {raw.shape}; expected one number")
    value = float(raw)
    return Result(value, "" if math.isfinite(value) else f"{item.name} is not defined for this input")


def known(task: Task, module: Module, items: tuple[Observable, ...]) -> dict[str, Result]:
    """What the store already holds of one cell, by observable."""
    if task.store is None:
        return {}
    stored = task.store.read(task.fingerprint, module.name)
    at, vectors = keys(task, module, items), {item.name for item in items if item.dim}
    found = {name: stored[k] for name, k in at.items() if k in stored}
    # a list where one number belongs is nothing that was measured here
    return {n: r for n, r in found.items() if n in vectors or not isinstance(r.value, tuple)}


def _cell(
    task: Task,
    module: Module,
    items: tuple[Observable, ...],
    layers: LayerViews | None,
    there: Callable[[], Container[str]],
) -> dict[str, Result]:
    done = known(task, module, items)
    left = tuple(item for item in items if item.name not in done)
    if not left:
        return done
    if module.why:
        return done | {item.name: Result(math.nan, module.why) for item in left}
    missing = [t for t in module.tensors if t not in there()]
    if missing:
        why = Result(math.nan, f"step {task.checkpoint.step:g} has no tensor {missing[0]!r}")
        return done | {item.name: why for item in left}
    todo = keys(task, module, left)
    views = Views(module, task.checkpoint, task.initial, task.previous, task.config, layers)
    fresh = {item.name: evaluate(item, views, todo[item.name], task.throw) for item in left}
    if task.store:
        path = task.store.path(task.fingerprint, module.name, todo)
        task.store.write(path, module.name, task.checkpoint.step, todo, fresh, views.digests)
    return done | fresh


def run_task(task: Task) -> Results:
    """All cells of one checkpoint, BLAS held to one thread so that workers do not fight over cores."""
    out: Results = {}
    layers = None if task.prompts is None else LayerViews(task.checkpoint, task.config, task.prompts)
    there = cache(task.checkpoint.tensors)  # of 100,000 tensors the list is not made anew for each
    with threadpool_limits(limits=1):
        for module, items in task.wanted:
            try:
                out[module.name] = _cell(task, module, items, layers, there)
            except (OpalesceError, OSError, MemoryError) as error:
                if task.throw:
                    raise
                why = Result(math.nan, one_line(error))
                out[module.name] = {item.name: why for item in items}
    return out
