"""From columns to curves: what every reader of logged quantities shares."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from opalesce.runs.run import Completeness, Curve, Event, Fault, Lineage
from opalesce.runs.spacing import spacing

# control-axis columns, in order of preference, with the axis name each stands for
AXES = {
    "step": "step",
    "global_step": "step",
    "_step": "step",
    "steps": "step",
    "train_step": "step",
    "optimizer_step": "step",
    "trainer/global_step": "step",
    "iter": "step",
    "iters": "step",
    "iteration": "step",
    "iterations": "step",
    "update": "step",
    "num_updates": "step",
    "checkpoint": "step",
    "tokens": "tokens",
    "tokens_seen": "tokens",
    "num_tokens": "tokens",
    "num_input_tokens_seen": "tokens",
    "flops": "flops",
    "total_flops": "flops",
    "total_flos": "flops",
    "train_flops": "flops",
    "epoch": "epoch",
    "epochs": "epoch",
    "x": "x",
}
UNITS = {"step": "optimizer steps", "tokens": "tokens", "flops": "FLOPs", "epoch": "epochs", "x": "1"}
CLOCKS = {
    "wall time",
    "_timestamp",
    "_runtime",
    "timestamp",
    "wall_time",
    "runtime",
    "created_at",
    "index",
    "unnamed: 0",
}
_SPEED = re.compile(r"(?:^|[_/])(?:runtime|(?:samples|steps|tokens)_per_second)$", re.IGNORECASE)
_STDERR = re.compile(r"^(.*?)[_/ ](?:stderr|std_err|se)$", re.IGNORECASE)

_HINTS: tuple[tuple[Lineage, str], ...] = (
    ("other", r"grad"),
    ("loss", r"loss|nll|perplexity|(?:^|[_/])ppl|cross_?entropy|bits_per_byte"),
    ("activations", r"induction|prefix_match|attention|attn|activation|(?:^|[_/])act_|logit_lens"),
    ("evals", r"(?:^|[_/])auc(?:$|[_/])"),
    (
        "weights",
        r"norm|(?:^|[_/])wn_|stable_rank|token_match|spectral|singular|eigen|eff(?:ective)?_rank|gini|weight",
    ),
)
_SETTINGS = re.compile(r"weight_decay|(?:layer|batch)_?norm_eps", re.IGNORECASE)
_HARD = re.compile(
    r"(?:^|[_/])(?:acc|accuracy|exact_match|em|pass@?\d*|f1)(?:$|[_/])|accuracy", re.IGNORECASE
)


@dataclass
class Parsed:
    """What a reader made of one file. `also` holds (place, place there) for each other axis it states."""

    curves: list[Curve] = field(default_factory=list)
    axis: str = "step"
    faults: list[Fault] = field(default_factory=list)
    config: dict[str, object] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    also: dict[str, list[tuple[float, float]]] = field(default_factory=dict)


def axis_column(names: Sequence[str]) -> str | None:
    """The column that is the control axis, or None."""
    lower = {}
    for n in reversed(names):
        lower[n.strip().lower()] = n
    return next((lower[a] for a in AXES if a in lower), None)


def axis_name(column: str) -> str:
    """Name of the axis that a column stands for."""
    return AXES.get(column.strip().lower(), "step")


def is_quantity(column: str) -> bool:
    """False for columns that are the axis, another axis, a clock or a speed."""
    key = column.strip().lower()
    return key not in AXES and key not in CLOCKS and not _SPEED.search(key)


def lineage_of(name: str) -> Lineage:
    """Where a logged quantity comes from, by its name; "other" when that is not obvious."""
    if _SETTINGS.search(name):
        return "other"
    for lineage, pattern in _HINTS:
        if re.search(pattern, name, re.IGNORECASE):
            return lineage
    return "other"


def build(
    columns: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    source: str,
    rows: int | None,
) -> tuple[list[Curve], list[Fault]]:
    """Curves from columns of (x, y) pairs; `<name>_stderr` columns attach to `<name>`.

    NaN and infinite values are kept (`check` reports them); of a step logged twice the last value counts.
    `rows` is the number of rows in the file, which gives subsampled exports away; None where each
    quantity has rows of its own.
    """
    faults: list[Fault] = []
    clean = {name: _one(name, xy, source, faults) for name, xy in columns.items() if len(xy[0])}
    errors: dict[str, str] = {}
    for name in clean:
        hit = _STDERR.match(name)
        if hit and hit[1] in clean:
            errors[hit[1]] = name
    curves = []
    for name, (x, y) in clean.items():
        if name in errors.values():
            continue
        stderr = None
        if name in errors:
            at, value = clean[errors[name]]
            known = dict(zip(at.tolist(), value.tolist(), strict=True))
            stderr = np.array([known.get(v, np.nan) for v in x.tolist()])
        hard = bool(_HARD.search(name))
        curves.append(
            Curve(
                name,
                x,
                y,
                stderr,
                completeness(x, x.size if rows is None else rows),
                lineage_of(name),
                continuous=not hard,
                source=source,
            )
        )
    return _pairs(curves), faults


def _one(
    name: str, xy: tuple[Sequence[float], Sequence[float]], source: str, faults: list[Fault]
) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(xy[0], float), np.asarray(xy[1], float)
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    last = np.append(x[1:] != x[:-1], True)
    differ = np.flatnonzero((x[1:] == x[:-1]) & (y[1:] != y[:-1]))
    if differ.size:
        faults.append(
            Fault(
                "repeated step",
                source,
                f"{name}: {differ.size} steps logged twice with different values; the last ones are used",
                "one value a step",
                "keep one branch of the log, or name the restart as an event",
                tuple(np.unique(x[differ]).tolist()),
            )
        )
    x, y = x[last], y[last]
    return x, y


def _pairs(curves: list[Curve]) -> list[Curve]:
    """Name the continuous pair of each thresholded curve: `test_acc` and `test_loss`."""
    by_name = {c.name: c for c in curves}
    out = []
    for c in curves:
        if not c.continuous:
            pair = re.sub(r"accuracy|acc|exact_match", "loss", c.name, flags=re.IGNORECASE)
            if pair in by_name and pair != c.name:
                # the same forward pass: it may not count as an independent witness
                c = replace(c, pair=pair, lineage=by_name[pair].lineage)
        out.append(c)
    return out


def completeness(x: np.ndarray, rows: int = 0) -> Completeness:
    """Whether a logged curve holds every point that was logged.

    "complete" on a regular grid without holes; "sampled" when the grid is irregular and the number
    of rows is the default of a subsampling export (wandb `run.history()`: 500; TensorBoard's
    reservoir: 1000 or 10000); else "unknown".
    """
    found = spacing(x)
    if found.regular >= 0.9 and not found.missing and not found.uneven:
        return "complete"
    if rows in (500, 1000, 10000) and found.regular < 0.5:
        return "sampled"
    return "unknown"
