"""Long tables of scores: one row a model, checkpoint and task (CSV, plain or gzipped)."""

from __future__ import annotations

import csv
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from opalesce.errors import FormatError
from opalesce.runs.bounded import Room, lines
from opalesce.runs.lm_eval import EvalFile, is_metric, is_score, trials
from opalesce.runs.run import Fault
from opalesce.runs.series import axis_column

_SHOTS = ("fewshot", "num_fewshot", "n_shot", "shots")
_NUMBERED = re.compile(r"^(.*?)_\d+$")
_MAX_NAMED = 5  # malformed lines named one by one
Cell = tuple[float, float]  # value and its standard error, NaN where none is stated
Key = tuple[str, str, str, str]  # model, shots, task without its number, metric


def is_long(path: Path) -> bool:
    """True for a CSV file with a column `task`, one of a checkpoint or step, and one of a known metric."""
    if not path.name.endswith((".csv", ".csv.gz")):
        return False
    try:
        names = next(csv.reader(lines(path)), [])
    except (FormatError, csv.Error, OSError):
        return False
    return "task" in names and axis_column(names) is not None and any(is_metric(n) for n in names)


def read_long(path: Path) -> tuple[dict[str, list[EvalFile]], list[Fault]]:
    r"""Evaluations by model of a long table, numbered tasks pooled.

    Columns: `task`; `checkpoint` or `step`; one or more metrics by the names of lm-evaluation-harness (`acc`,
    `exact_match`, `log_ppl` ...) with `<metric>_stderr`; optionally `model` and `fewshot`. Others are left.

    Tasks that differ only by a number at their end (`addition_0`, `addition_1` ...) are strata of one: its
    value is the mean over them, its error :math:`\sqrt{\sum_i s_i^2}/m`. Questions are those of all strata; a
    binomial error of so many is larger than that of strata, so that intervals made with it are wide enough.
    Only the numbers that every checkpoint has are used.

    Raises
    ------
    FormatError
        A file that is no such table, or has no row that can be read.
    """
    faults: list[Fault] = []
    cells: dict[Key, dict[float, dict[str, Cell]]] = defaultdict(lambda: defaultdict(dict))
    for number, key, step, task, cell in _rows(path, faults):
        old = cells[key][step].get(task)
        if old is not None and old != cell:
            seen = f"{task} at {step:g} of {key[0] or 'the run'} is {old[0]:g} and {cell[0]:g}"
            faults.append(
                Fault("repeated step", f"{path}:{number}", seen, "one value", "remove one row", (step,))
            )
        cells[key][step][task] = cell
    if not cells:
        raise FormatError(f"{path}: no row of this table can be read", expected="a number in each metric")
    values: dict[tuple[str, str, float], dict[tuple[str, str], tuple[float, float, int | None]]] = {}
    for (model, shots, stem, metric), by_step in cells.items():
        shared = set.intersection(*(set(found) for found in by_step.values()))
        most = max(len(found) for found in by_step.values())
        if len(shared) < most:
            seen = f"{stem}: {len(shared)} of {most} tasks are there at every checkpoint"
            faults.append(Fault("missing scores", str(path), seen, "the same tasks at every checkpoint"))
        if not shared:
            continue
        name = stem if len(shared) > 1 else next(iter(shared))
        n = _questions(by_step, shared) if is_score(metric) else None
        for step, found in by_step.items():
            pool = [found[t] for t in sorted(shared)]
            value = sum(v for v, _ in pool) / len(pool)
            error = math.sqrt(sum(s * s for _, s in pool)) / len(pool)
            values.setdefault((model, shots, step), {})[name, metric] = (value, error, n)
    out: dict[str, list[EvalFile]] = {}
    for (model, shots, step), found_values in sorted(values.items()):
        out.setdefault(model, []).append(EvalFile(path, step, model, shots, found_values))
    return out, faults


def _questions(by_step: Mapping[float, Mapping[str, Cell]], shared: set[str]) -> int | None:
    """Questions of all strata, from the scores and their errors; None unless the strata agree on theirs."""
    told = Counter(trials(*found[t]) for found in by_step.values() for t in shared)
    told.pop(None, None)  # scores of zero and one do not tell
    return len(shared) * int(next(iter(told))) if len(told) == 1 else None  # type: ignore[arg-type]


def _rows(path: Path, faults: list[Fault]) -> Iterator[tuple[int, Key, float, str, Cell]]:
    bad: list[tuple[int, str]] = []
    try:
        table, room = csv.DictReader(lines(path, kind="a CSV file")), Room(str(path))
        names = list(table.fieldnames or [])
        step_column, metrics = axis_column(names), [n for n in names if is_metric(n)]
        if "task" not in names or step_column is None or not metrics:
            raise FormatError(
                f"{path}: not a long table of scores", expected="columns task, checkpoint and a metric",
                got=", ".join(names)[:200],
            )  # fmt: skip
        shots_column = next((n for n in _SHOTS if n in names), None)
        for row in table:
            room.take(len(row))
            number, step = table.line_num, _float(row[step_column])
            task, model = str(row["task"] or ""), str(row.get("model") or "")
            shots = str(row[shots_column] or "") if shots_column else ""
            if not task or not math.isfinite(step):
                bad.append((number, "no task, or no number in the column of the checkpoint"))
                continue
            hit = _NUMBERED.match(task)
            for metric in metrics:
                value, error = _float(row[metric]), _float(row.get(f"{metric}_stderr"))
                if not math.isfinite(value) or (is_score(metric) and not 0 <= value <= 1):
                    if row[metric]:
                        bad.append((number, f"{metric} is {str(row[metric])[:20]!r}"))
                    continue
                key = (model, shots, hit[1] if hit else task, metric)
                yield number, key, step, task, (value, error)
    except (csv.Error, OSError) as error:
        raise FormatError(f"{path}: not a CSV file", expected="UTF-8 text", got=str(error)[:100]) from error
    for number, why in bad[:_MAX_NAMED]:
        faults.append(Fault("malformed line", f"{path}:{number}", why, "a task, a step, a score in 0 to 1"))
    if len(bad) > _MAX_NAMED:
        faults.append(Fault("malformed line", str(path), f"{len(bad) - _MAX_NAMED} more malformed lines"))


def _float(cell: str | None) -> float:
    try:
        return float(cell or "nan")
    except (TypeError, ValueError):
        return math.nan
