"""`measure`: a run goes in, an xarray.Dataset comes out."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from opalesce.errors import InputError, OpalesceError, StoreError
from opalesce.measure.budget import SKIPPED, within
from opalesce.measure.cells import Results, Task, known, one_line
from opalesce.measure.coverage import covered
from opalesce.measure.engines import engine as working
from opalesce.measure.layer_views import prompts_of
from opalesce.measure.plan import Module, Plan, plan
from opalesce.measure.store import Result, Store
from opalesce.observables.registry import Observable
from opalesce.provenance import provenance
from opalesce.runs.open import open as open_run
from opalesce.runs.run import Checkpoint, Run

LOGGER = logging.getLogger(__name__)
Progress = Callable[[int, int], object]
NOT_ASKED = "not asked for at this step"


def measure(
    run: Run | str | Path | Any,
    observables: Sequence[str] | None = None,
    out: str | Path | None = None,
    engine: str | None = None,
    shard: tuple[int, int] | None = None,
    n_jobs: int = 1,
    gpus: float = 0,
    steps: Sequence[float] | None = None,
    budget: float | None = None,
    progress: Progress | None = None,
    throw: bool = False,
) -> xr.Dataset:
    """Measure observables at every checkpoint and module of a run, and collect its curves.

    Parameters
    ----------
    run : Run, path or DataFrame
        From `opalesce.open`, or what it opens.
    observables : sequence of str, optional
        Names of columns of the run or of registered observables; None takes all that apply.
    out : path, optional
        Folder of the store. What it holds already is not computed again; a run that was killed
        continues. None keeps everything in memory.
    engine : str, optional
        "loky" (default), "threading", "dask://HOST:PORT", "ray://HOST:PORT": see `measure.engines.engine`.
    shard : (i, n), optional
        Do only checkpoints number i, i + n, i + 2n, ... (0 <= i < n), as one of n processes that
        share `out`; the others' cells are taken from the store when they are there.
    n_jobs : int
        Workers (joblib); each holds BLAS to one thread. With one the work is done in this process; with more,
        a worker that dies loses only its cell.
    gpus : float
        GPUs that each task asks of a Dask or Ray cluster.
    steps : sequence of float, optional
        Measure weights at these checkpoints only; the past of each is still what it is in the whole run.
    budget : float, optional
        Seconds. Modules are visited in a fixed order in which every beginning is a fair sample of roles and
        depths (`measure.budget.visiting`), each at all checkpoints, until the time is over; the others get a
        status, and means over modules a standard error for it (`measure.aggregate`).
    progress : callable, optional
        Called with (checkpoints done, all), or modules under a budget.
    throw : bool
        Raise at the first failure instead of noting it in a status.

    Returns
    -------
    xarray.Dataset
        Dims `step` and `module` (with the coordinates `kind`: tensor, group or model, and
        `fingerprint`). Each weight observable is a variable `<name>` (step, module) with
        `<name>_status`, empty where all is well and else a sentence. Each curve is a variable (step)
        with `<name>_stderr` where its source states one. Units, source, null, lineage and version
        are attributes.

    Raises
    ------
    InputError
        Unknown names, a bad shard, or a run without anything to measure.
    StoreError
        `out` cannot be made or is not a folder.
    """
    run = run if isinstance(run, Run) else open_run(run)
    todo = plan(run, observables)
    if shard is not None and not 0 <= shard[0] < shard[1]:
        raise InputError("no such shard", expected="(i, n) with 0 <= i < n", got=str(shard))
    if shard is not None and out is None:
        raise InputError("shards meet in a store", expected="out=FOLDER", got="out=None")
    if budget is not None and (shard is not None or not budget > 0):
        raise InputError(
            "a budget is the time of one whole sweep", expected="seconds above 0, and no shard",
            got=f"budget {budget:g}" + ("" if shard is None else f" with shard {shard}"),
        )  # fmt: skip
    store = _store(Path(out)) if out is not None else None
    fingerprints = [fingerprint_of(c) for c in run.checkpoints]
    rows: list[Results] = [{} for _ in run.checkpoints]
    if todo.observables:
        tasks = tasks_of(run, todo, fingerprints, store, throw)
        if steps is not None:
            asked = {run.checkpoint(s).step for s in steps}
            fingerprints = [
                f if c.step in asked else ("", NOT_ASKED)
                for f, c in zip(fingerprints, run.checkpoints, strict=True)
            ]
            tasks = {i: t for i, t in tasks.items() if t.checkpoint.step in asked}
        mine = [i for i in tasks if shard is None or i % shard[1] == shard[0]]
        with working(engine, n_jobs, gpus) as active:
            if budget is not None:
                found = within(tasks, active.map, budget, progress)
                rows = [found.get(i, row) for i, row in enumerate(rows)]
            else:
                for n, (i, got) in enumerate(zip(mine, active.map([tasks[i] for i in mine]), strict=True)):
                    rows[i] = got
                    LOGGER.info("measured step %g: %d of %d", run.checkpoints[i].step, n + 1, len(mine))
                    if progress is not None:
                        progress(n + 1, len(mine))
        for i in set(tasks) - set(mine):
            rows[i] = _from_store(tasks[i])
    return _dataset(run, todo, fingerprints, rows)


def _store(folder: Path) -> Store:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            "the store cannot be made", expected="a folder that can be written", got=f"{folder}: {error}"
        ) from error
    return Store(folder)


def fingerprint_of(checkpoint: Checkpoint) -> tuple[str, str]:
    """(fingerprint, "") or ("", why there is none)."""
    try:
        return checkpoint.fingerprint(), ""
    except (OpalesceError, OSError) as error:
        return "", one_line(error)


def tasks_of(
    run: Run, todo: Plan, fingerprints: list[tuple[str, str]], store: Store | None, throw: bool
) -> dict[int, Task]:
    """One task per readable checkpoint. The past is the first and the latest readable one before."""
    wanted = tuple((m, todo.of(m)) for m in todo.modules if todo.of(m))
    readable = [i for i, (f, _) in enumerate(fingerprints) if f]
    out: dict[int, Task] = {}
    for n, i in enumerate(readable):
        first, before = readable[0], readable[n - 1] if n else None
        out[i] = Task(
            checkpoint=run.checkpoints[i],
            fingerprint=fingerprints[i][0],
            wanted=wanted,
            initial=run.checkpoints[first],
            previous=run.checkpoints[before] if before is not None else None,
            past=(fingerprints[first][0], fingerprints[before][0] if before is not None else ""),
            config=dict(run.config),
            prompts=prompts_of(run),
            store=store,
            throw=throw,
        )
    return out


def _from_store(task: Task) -> Results:
    waiting = Result(float("nan"), "not measured yet: it belongs to another shard")
    return {
        module.name: {item.name: waiting for item in items} | known(task, module, items)
        for module, items in task.wanted
    }


def _dataset(run: Run, todo: Plan, fingerprints: list[tuple[str, str]], rows: list[Results]) -> xr.Dataset:
    steps = _axis(run, todo)
    at = {float(s): i for i, s in enumerate(steps)}
    place = [at[float(c.step)] for c in run.checkpoints] if todo.observables else []
    why = np.full(len(steps), "no checkpoint at this step", dtype=object)
    for i, (_, complaint) in zip(place, fingerprints, strict=False):
        why[i] = complaint
    ds = xr.Dataset(coords={"step": ("step", steps, {"units": run.axis.unit, "long_name": run.axis.name})})
    used = [m for m in todo.modules if todo.of(m)]
    if used:
        ds = ds.assign_coords(
            module=("module", [m.name for m in used]), kind=("module", [m.kind for m in used])
        )
        prints = np.full(len(steps), "", dtype=object)
        prints[place] = [f for f, _ in fingerprints]
        ds = ds.assign_coords(fingerprint=("step", prints.astype(str)))
    for item in todo.observables:
        values, status = _fill(item, [m.name for m in used], rows, place, why)
        applies = [item in todo.of(m) for m in used]
        status[:, ~np.array(applies)] = f"{item.name} needs the view {item.on!r}, which this module lacks"
        dims = ("step", "module", item.dim) if item.dim else ("step", "module")
        ds[item.name] = (dims, values, _attributes(item))
        ds[f"{item.name}_status"] = (("step", "module"), status.astype(str))
    for name in todo.curves:
        _add_curve(ds, run, name, at)
    ds.attrs = {
        "run": run.name,
        "axis": run.axis.name,
        "axis_scale": run.axis.scale,
        "axis_x1": run.axis.x1,
        "events": json.dumps([{"x": e.x, "kind": e.kind, "label": e.label} for e in run.events]),
        "provenance": json.dumps(provenance()),
        "coverage": covered(run, _analysed(used, rows)) if used else "",
    }
    return ds


def _analysed(used: Sequence[Module], rows: list[Results]) -> set[str]:
    """Tensors of the modules that were measured: not packed, and visited if there was a budget."""
    gone = {
        name
        for row in rows
        for name, cells in row.items()
        if any(r.status == SKIPPED for r in cells.values())
    }
    return {t for m in used if not m.why and m.name not in gone for t in m.tensors}


def _axis(run: Run, todo: Plan) -> NDArray[np.float64]:
    """Union of the places where something asked for was observed."""
    parts = [np.asarray(run.curves[n].x, float) for n in todo.curves]
    if todo.observables:
        parts.append(np.array([c.step for c in run.checkpoints], float))
    steps = np.unique(np.concatenate(parts)) if parts else np.empty(0)
    if not steps.size:
        raise InputError(
            f"run {run.name!r} has nothing to measure",
            expected="checkpoints or logged columns",
            got=f"{len(run.checkpoints)} checkpoints, {len(run.curves)} columns",
            fix="opalesce check RUN says what the scan took and left",
        )
    return steps


def _fill(
    item: Observable, names: list[str], rows: list[Results], place: list[int], why: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[Any]]:
    status = np.repeat(why[:, None], len(names), axis=1)
    found = [
        (i, j, row[name][item.name])
        for i, row in zip(place, rows, strict=True)
        for j, name in enumerate(names)
        if item.name in row.get(name, {})
    ]
    shape: tuple[int, ...] = (len(why), len(names))
    if item.dim:
        shape += (max((len(r.value) for *_, r in found if isinstance(r.value, tuple)), default=0),)
    values = np.full(shape, np.nan)
    for i, j, r in found:
        status[i, j] = r.status
        if isinstance(r.value, tuple):
            values[i, j, : len(r.value)] = r.value
        elif not item.dim:
            values[i, j] = r.value
    return values, status


def _attributes(item: Observable) -> dict[str, Any]:
    return {
        "units": item.unit,
        "long_name": item.summary,
        "source": item.source,
        "null": item.null,
        "lineage": item.lineage,
        "version": item.version,
        "view": item.on,
    }


def _add_curve(ds: xr.Dataset, run: Run, name: str, at: dict[float, int]) -> None:
    """One logged column; where a step was logged twice the later entry stands."""
    curve = run.curves[name]
    index = [at[float(x)] for x in curve.x]
    y = np.full(ds.sizes["step"], np.nan)
    y[index] = curve.y
    attrs = {
        "units": curve.unit,
        "lineage": curve.lineage,
        "complete": curve.complete,
        "continuous": int(curve.continuous),
        "source": curve.source,
        "view": "curve",
    }
    ds[name] = ("step", y, attrs)
    if curve.stderr is not None:
        error = np.full(ds.sizes["step"], np.nan)
        error[index] = curve.stderr
        ds[f"{name}_stderr"] = ("step", error, {"units": curve.unit})
