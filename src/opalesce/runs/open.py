"""`opalesce.open`: a folder, a file or a table becomes a Run."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from opalesce.errors import FormatError, InputError
from opalesce.runs import lm_eval, memory
from opalesce.runs.events import config_events
from opalesce.runs.join import Scale, moved, scales
from opalesce.runs.long_scores import is_long, read_long
from opalesce.runs.run import Axis, Checkpoint, Curve, Event, Fault, Left, Run, Scan
from opalesce.runs.scan import Scanner, scan
from opalesce.runs.series import UNITS, Parsed
from opalesce.runs.steps import parse_step
from opalesce.runs.table import read_table

_COMMON = {"metrics", "log", "logs", "history", "events", "trainer_state", "progress", "train", "results"}
_URL = re.compile(r"^[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def open(source: str | os.PathLike[str] | Any, name: str | None = None, allow_pickle: bool = False) -> Run:
    """Open a run: states of one system along one control axis. Nothing heavy is read.

    Parameters
    ----------
    source : path, address, DataFrame, torch module or state dict
        A folder (scanned recursively, links out of it not followed), one file, or a table with a
        step column, or an address `hf://org/model@step*` on the Hugging Face hub (`runs.hub_open`). What was
        taken and left, and why, is in `run.scan`. A torch module, a mapping of names to tensors or arrays,
        or a mapping of steps to those is copied as it is now (`runs.memory`).
    name : str, optional
        Name shown to people; by default that of the folder or file. In a long table of scores of several
        models (`runs.long_scores`), which of them.
    allow_pickle : bool
        Open .pt, .pth, .bin and .ckpt too, each in a confined child process (`runs.torch_file`). A pickle is
        a program: only for files of people you trust.

    Raises
    ------
    InputError
        When there is no such path, nothing in it can be read, or it holds more than one run.
    FormatError
        When the file named is broken.
    """
    if not isinstance(source, str | os.PathLike):
        held = memory.states(source)
        if not held:
            return _from_table(source, name or "table")
        return _from_memory(held, name or "model", memory.config_of(source))
    text = os.fspath(source)
    if isinstance(text, bytes):
        text = os.fsdecode(text)
    if text.startswith("hf:"):
        from opalesce.runs.hub_open import open_hub

        return open_hub(text, name)
    if _URL.match(text):
        raise InputError(
            "an address of a kind that is not read here",
            expected="a folder, a file, a DataFrame or hf://org/model@revision",
            got=text.partition(":")[0] + "://...",
            fix="download it and open the folder",
        )
    path = Path(text)
    if not path.exists():
        raise _missing(path)
    if path.is_file() and is_long(path):
        return _named(open_all(path), path, name)
    found = scan(path, allow_pickle)
    name = name or path.resolve().name.removesuffix(".gz").removesuffix(".csv")
    return assemble(found, name)


def open_all(source: str | os.PathLike[str] | Any) -> list[Run]:
    """Every run of a long table of scores of several models; of anything else the one that `open` gives.

    Raises
    ------
    InputError, FormatError
        See `open`.
    """
    path = Path(os.fsdecode(source)) if isinstance(source, str | os.PathLike) else None
    if path is None or not path.is_file() or not is_long(path):
        return [open(source)]
    models, faults = read_long(path)
    took, runs = [(path.name, "long table of scores")], []
    for model, files in models.items():
        parsed = lm_eval.assemble(files, path)
        curves: dict[str, Curve] = {}
        _merge(curves, parsed, path)
        seen = [*faults, *parsed.faults]
        runs.append(_run(model or path.name, path, (), curves, [], {}, "step", took, [], seen))
    return runs


def _named(runs: list[Run], path: Path, name: str | None) -> Run:
    if len(runs) == 1:
        return replace(runs[0], name=name or runs[0].name)
    for run in runs:
        if run.name == name:
            return run
    models = ", ".join(r.name for r in runs)
    raise InputError(
        f"{path} holds more than one run", expected="the name of one of its models", got=name or models,
        fix=f"name={runs[0].name!r}" + (f", or another of {models}" if name else ""),
    )  # fmt: skip


def assemble(found: Scanner, name: str) -> Run:
    """A Run of what a scan gathered.

    Raises
    ------
    InputError
        See `open`.
    """
    _one_run(found)
    checkpoints = _checkpoints(found)
    logs = list(found.logs)
    if found.evals:
        logs.append((found.root, lm_eval.assemble(found.evals, found.root)))
    axes = [p.axis for _, p in logs]
    axis = "step" if checkpoints or found.evals or not logs or "step" in axes else axes[0]
    curves: dict[str, Curve] = {}
    events: list[Event] = list(found.events)
    config: dict[str, object] = dict(found.config)
    for _, parsed in logs:
        config.update({k: v for k, v in parsed.config.items() if k not in config})
    by = _scales(found, axis, logs, checkpoints, config)
    for path, parsed in logs:
        if parsed.axis != axis:
            turned = moved(found, path, parsed, axis, by)
            if turned is None:
                continue
            parsed = turned
        found.faults.extend(parsed.faults)
        events += [*parsed.events, *config_events(parsed.config, str(path))]
        _merge(curves, parsed, path, found.root)
    if not checkpoints and not curves:
        raise _nothing(found)
    return _run(
        name, found.root, checkpoints, curves, events, config, axis, found.took, found.left, found.faults
    )


def _scales(
    found: Scanner,
    axis: str,
    logs: Sequence[tuple[Path, Parsed]],
    checkpoints: Sequence[Checkpoint],
    config: Mapping[str, object],
) -> dict[str, Scale]:
    named = [(found.name(path), parsed) for path, parsed in logs]
    tokens = [(c.step, t) for c in checkpoints if (t := getattr(c, "tokens", None))]
    return scales(axis, named, tokens, config)


def _from_memory(held: Sequence[memory.MemoryCheckpoint], name: str, config: dict[str, object]) -> Run:
    took = [(f"{name} at step {c.step:g}", "state in memory") for c in held]
    return _run(name, None, held, {}, [], config, "step", took, [], [])


def _from_table(table: Any, name: str) -> Run:
    parsed = read_table(table, name)
    curves: dict[str, Curve] = {}
    _merge(curves, parsed, Path(name))
    if not curves:
        raise InputError("the table has no numeric column beside its control axis", got=name)
    return _run(name, None, (), curves, parsed.events, {}, parsed.axis, [(name, "table")], [], parsed.faults)


def _run(
    name: str,
    path: Path | None,
    checkpoints: Sequence[Checkpoint],
    curves: dict[str, Curve],
    events: Sequence[Event],
    config: dict[str, object],
    axis: str,
    took: Sequence[tuple[str, str]],
    left: Sequence[Left],
    faults: Sequence[Fault],
) -> Run:
    places = [np.array([c.step for c in checkpoints], float), *(c.x for c in curves.values())]
    return Run(
        name,
        path,
        tuple(checkpoints),
        curves,
        tuple(sorted(set(events), key=lambda e: (e.x, e.kind))),
        config,
        Scan(tuple(took), tuple(left), tuple(faults)),
        Axis.of(np.unique(np.concatenate(places)), *_axis_name(config, axis)),
    )


def _axis_name(config: dict[str, object], axis: str) -> tuple[str, str]:
    """Name and unit of the axis: the config may say what the steps of this run count."""
    said = config.get("axis")
    if axis == "step" and isinstance(said, dict):
        name, unit = said.get("name"), said.get("unit", "1")
        if isinstance(name, str) and name and isinstance(unit, str):
            return name, unit
    return axis, UNITS.get(axis, "1")


def _checkpoints(found: Scanner) -> list[Checkpoint]:
    """Sorted by step; a state without a step counts only when it is alone."""
    placed = [c for c in found.checkpoints if c.step >= 0]
    for c in found.checkpoints:
        if c.step < 0:
            if len(found.checkpoints) == 1:
                tag = parse_step(found.root.resolve().name)  # the folder of one state was opened
                lone: Any = c  # every reader is a dataclass with these fields
                return [replace(lone, step=tag.step if tag else 0.0, tokens=tag.tokens if tag else None)]
            names = {found.name(p) for p in c.paths}
            found.took[:] = [t for t in found.took if t[0] not in names]
            found.leave(c.paths[0], "no step in its name, beside checkpoints that have one")
    return sorted(placed, key=lambda c: c.step)


def _one_run(found: Scanner) -> None:
    """Two states at one step, or evaluations of two models, are two runs."""
    counts = Counter(c.step for c in found.checkpoints)
    twice = [s for s, n in counts.items() if n > 1]
    if twice:
        at = [found.name(c.paths[0]) for c in found.checkpoints if c.step == twice[0]]
        got = ", ".join(at[:4])
        raise _several(found, f"{len(at)} checkpoints at step {twice[0]:g}: {got}")
    models = sorted({f.model for f in found.evals if f.model})
    if len(models) > 1:
        raise _several(found, f"evaluations of {len(models)} models: {', '.join(models[:4])}")


def _several(found: Scanner, got: str) -> InputError:
    folders = sorted(p.name for p in found.root.iterdir() if p.is_dir()) if found.root.is_dir() else []
    return InputError(
        f"{found.root} holds more than one run",
        expected="states of one system, one at each step",
        got=got,
        fix=f"open one of its folders: {', '.join(folders[:8])}" if folders else "name one file",
    )


def _merge(curves: dict[str, Curve], parsed: Parsed, path: Path, root: Path | None = None) -> None:
    """Add curves; of two files with the same column the second gets its file's name in front."""
    clash = any(c.name in curves for c in parsed.curves)
    stem = path.name.split(".")[0]
    if stem in _COMMON and root is not None and path.parent not in (root, root.parent):
        stem = path.parent.name  # every folder has a file of that name
    for c in parsed.curves:
        name, pair = c.name, c.pair
        if clash:
            name, pair = f"{stem}/{name}", pair and f"{stem}/{pair}"
        base, k = name, 2
        while name in curves:
            name, k = f"{base}#{k}", k + 1
        curves[name] = replace(c, name=name, pair=pair)


def _missing(path: Path) -> InputError:
    parent = path.parent
    near = get_close_matches(path.name, [p.name for p in parent.iterdir()], 3) if parent.is_dir() else []
    return InputError(
        f"there is no file or folder {path}",
        expected="a folder, a file or a DataFrame",
        fix=f"did you mean {' or '.join(str(parent / n) for n in near)}?" if near else "check the path",
    )


def _nothing(found: Scanner) -> InputError:
    broken = next(iter(found.faults), None)
    if not found.root.is_dir() and broken is not None:
        return FormatError(
            f"{found.root}: {found.left[0].why}", expected=broken.expected, got=broken.seen, fix=broken.fix
        )
    why = "; ".join(f"{item.path}: {item.why}" for item in found.left[:4])
    more = f" and {len(found.left) - 4} more" if len(found.left) > 4 else ""
    return InputError(
        f"nothing to read in {found.root}",
        expected="checkpoints, logs (JSONL, CSV, TensorBoard, W&B, text, npz) or results of evaluations",
        got=(why + more) or "an empty folder",
    )
