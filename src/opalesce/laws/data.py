"""Data of a fit, checked: logs of positive finite numbers, sorted, with what is odd about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from opalesce.errors import InputError
from opalesce.laws.forms import Floats


@dataclass(frozen=True)
class Points:
    """Logs `u` (k, n) of the inputs and `v` (n,) of y, in order of the first input; `groups` (n,) number
    the independent runs. `duplicates` counts rows that repeat an earlier one exactly."""

    u: Floats
    v: Floats
    groups: np.ndarray
    grouped: bool
    duplicates: int

    @property
    def centre(self) -> Floats:
        """Mean of the logs of each input (k,)."""
        return np.asarray(self.u.mean(axis=1))


def numbers(values: Any, name: str) -> Floats:
    """One column as finite positive floats.

    Raises
    ------
    InputError
        Text, NaN or infinite, zero or negative; the message names the first such row.
    """
    try:
        out = np.asarray(values, float)
    except (TypeError, ValueError):
        bad = [(i, t) for i, t in enumerate(np.asarray(values, object).ravel()) if not _is_number(t)]
        where = f"row {bad[0][0]}: {str(bad[0][1])[:40]!r}" if bad else type(values).__name__
        raise InputError(
            f"{name} is not a column of numbers", expected="numbers", got=where, fix="drop or mend these rows"
        ) from None
    if out.ndim != 1:
        raise InputError(f"{name} is not one column", expected="shape (n,)", got=str(out.shape))
    wrong = np.flatnonzero(~(np.isfinite(out) & (out > 0)))
    if len(wrong):
        raise InputError(
            f"{name} has values that have no logarithm",
            expected="positive finite numbers",
            got=f"{len(wrong)} others of {len(out)}, the first in row {wrong[0]}: {out[wrong[0]]:g}",
            fix="drop these rows; a score that can be zero belongs in its error, 1 - score",
        )
    return out


def _is_number(text: Any) -> bool:
    try:
        float(text)
    except (TypeError, ValueError):
        return False
    return True


def points(inputs: tuple[str, ...], x: Any, y: Any, groups: Any = None) -> Points:
    """Check and order the data of a law with these inputs.

    Raises
    ------
    InputError
        Columns missing, of other lengths, not positive and finite; fewer than three points; an input or y
        that does not vary; NaN or too few groups.
    """
    if isinstance(x, Mapping) or hasattr(x, "columns"):
        missing = [k for k in inputs if k not in x]
        if missing:
            raise InputError(
                "the law needs other inputs", expected=", ".join(inputs), got=", ".join(map(str, x))[:200]
            )
        columns = [numbers(x[k], k) for k in inputs]
    elif len(inputs) == 1:
        columns = [numbers(x, "x")]
    else:
        raise InputError(
            "the law has several inputs",
            expected="x = {" + ", ".join(f"'{k}': ..." for k in inputs) + "}",
            got=type(x).__name__,
        )
    v = numbers(y, "y")
    lengths = {len(c) for c in columns} | {len(v)}
    if len(lengths) > 1:
        raise InputError("columns of different lengths", expected="one length", got=str(sorted(lengths)))
    if len(v) < 3:
        raise InputError("too few points for any law", expected="3 or more", got=str(len(v)))
    for name, c in [*zip(inputs, columns, strict=True), ("y", v)]:
        if np.ptp(c) == 0:
            raise InputError(
                f"{name} does not vary, so that no exponent can be estimated",
                expected="two or more different values",
                got=f"{len(c)} times {c[0]:g}",
            )
    grouped = groups is not None
    labels = np.asarray(groups if grouped else np.arange(len(v)))
    if labels.shape != v.shape:
        raise InputError("groups name the run of each point", expected=str(v.shape), got=str(labels.shape))
    if grouped and labels.dtype.kind == "f" and np.isnan(labels).any():
        raise InputError("a group has no name", expected="a label for each point", got="NaN")
    _, numbered = np.unique(labels.astype(str) if labels.dtype.kind == "O" else labels, return_inverse=True)
    if grouped and numbered.max() < 1:
        raise InputError(
            "an interval over runs needs runs", expected="two or more groups", got="1", fix="groups=None"
        )
    order = np.lexsort((v, *columns[::-1]))
    u = np.log(np.stack(columns))[:, order]
    w = np.log(v)[order]
    rows = np.vstack([u, w, numbered[order] if grouped else np.zeros_like(w)]).T
    return Points(u, w, numbered[order], grouped, len(rows) - len(np.unique(rows, axis=0)))
