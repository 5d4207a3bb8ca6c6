"""DataFrames as runs: one row a step."""

from __future__ import annotations

from typing import Any

import numpy as np

from opalesce.errors import FormatError, InputError
from opalesce.runs.run import Fault
from opalesce.runs.series import Parsed, axis_column, axis_name, build, is_quantity


def read_table(table: Any, source: str = "table") -> Parsed:
    """Curves of a pandas DataFrame; the control axis is a column or the named index.

    Raises
    ------
    FormatError
        When neither a column nor the index is a control axis.
    InputError
        When `table` is no DataFrame.
    """
    if not hasattr(table, "columns") or not hasattr(table, "index"):
        raise InputError("this is not a table", expected="a pandas DataFrame", got=type(table).__name__)
    names = [str(c) for c in table.columns]
    column = axis_column(names)
    if column is None and table.index.name is not None and axis_column([str(table.index.name)]):
        column = str(table.index.name)
        x = np.asarray(table.index, float)
    elif column is not None:
        x = np.asarray(table.iloc[:, names.index(column)], float)
    else:
        raise FormatError(
            "no column of the table is a control axis",
            expected="a column or index called step, global_step, iteration, tokens, epoch or x",
            got=", ".join(names[:8]),
            fix="table.rename(columns={...: 'step'})",
        )
    faults: list[Fault] = []
    columns: dict[str, tuple[list[float], list[float]]] = {}
    for i, name in enumerate(names):
        kind = table.dtypes.iloc[i].kind if hasattr(table.dtypes.iloc[i], "kind") else "O"
        if kind in "iuf" and is_quantity(name):
            y = np.asarray(table.iloc[:, i], float)
            keep = np.isfinite(x) & ~np.isnan(y)  # pandas writes NaN for a missing cell
            columns[name] = (x[keep].tolist(), y[keep].tolist())
    curves, more = build(columns, source, len(x))
    return Parsed(curves, axis_name(column), faults + more)
