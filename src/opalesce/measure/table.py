"""A measured Dataset as one long table, and as a CSV file that is safe to open in a spreadsheet."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

_NO_CELL = (
    "which this module lacks$|^no checkpoint at this step$|^not asked for"  # sentences of measure/sweep.py
)
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # spreadsheets take the wide ones too


def tidy(ds: Any) -> Any:
    """One row per value: name, step, module (and the dimension of a vector result), value, stderr, status.

    Parameters
    ----------
    ds : xarray.Dataset
        From `opalesce.measure`.

    Returns
    -------
    pandas.DataFrame
        Cells that cannot exist (an observable on a module that lacks its view, or at a logged step
        without a checkpoint) and cells with
        neither value nor status are left out.
    """
    import pandas as pd

    parts = []
    for name in ds.data_vars:
        base, _, suffix = name.rpartition("_")
        if suffix in ("status", "stderr") and base in ds:
            continue
        found = {"value": ds[name]}
        found |= {s: ds[f"{name}_{s}"] for s in ("stderr", "status") if f"{name}_{s}" in ds}
        wide = ds[[]].assign(found).to_dataframe(dim_order=list(ds[name].dims)).reset_index()
        frame = wide[[*ds[name].dims, *found]]
        frame.insert(0, "name", name)
        parts.append(frame)
    out = pd.concat(parts, ignore_index=True)
    for column, empty in (("module", ""), ("status", ""), ("stderr", float("nan"))):
        out[column] = out[column].fillna(empty) if column in out else empty
    needless = out["status"].str.contains(_NO_CELL, regex=True)
    return out[~needless & (out["value"].notna() | (out["status"] != ""))].reset_index(drop=True)


def write_csv(frame: Any, path: Path) -> Path:
    """Write a table atomically; text that a spreadsheet would run as a formula gets a leading apostrophe.

    Names come from files of others: a tensor called `=cmd|...` is text here, not a command. Characters
    that cannot be printed are written as escapes.
    """
    safe = frame.copy()
    for column in safe.columns:
        if safe[column].dtype.kind not in "fiub":
            safe[column] = [_text(v) for v in safe[column]]
    part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        safe.to_csv(part, index=False)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _text(value: object) -> str:
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(value))
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text
